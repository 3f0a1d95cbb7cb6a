"""A rule while it is being edited: rows and groups on screen, turned into a rule and back.

Groups nest to any depth. A part that the builder has no row for is kept as it is, shown as a
sentence: it can be moved, switched off and removed.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Iterator
from dataclasses import dataclass
from dataclasses import field as made
from datetime import date
from typing import Any, Literal, get_args

import streamlit as st

from cohorte.i18n import N_
from cohorte.segments import (
    AllOf,
    AnyOf,
    Behaviour,
    Clause,
    Contactable,
    Deciles,
    Event,
    Moved,
    Near,
    Node,
    NoneOf,
    ProfileField,
    Reference,
    Sequence,
    Share,
    Times,
    Top,
    Window,
    parse_rule,
    rule_json,
)

Mode = Literal["all", "any", "none"]
KEY = "segment_draft"

MODES: dict[Mode, str] = {
    "all": N_("all of these"),
    "any": N_("at least one of these"),
    "none": N_("none of these"),
}

TESTS: dict[str, dict[str, str]] = {
    "text": {
        "in": N_("is one of"),
        "not_in": N_("is none of"),
        "contains": N_("contains"),
        "starts_with": N_("starts with"),
        "is_known": N_("is known"),
        "is_unknown": N_("is not known"),
    },
    "list": {
        "contains": N_("includes"),
        "in": N_("includes one of"),
        "not_in": N_("includes none of"),
        "is_known": N_("is known"),
        "is_unknown": N_("is not known"),
    },
    "number": {
        "greater_or_equal": N_("is at least"),
        "less_or_equal": N_("is at most"),
        "greater": N_("is above"),
        "less": N_("is below"),
        "between": N_("is between"),
        "equals": N_("equals"),
        "not_equals": N_("does not equal"),
        "in": N_("is one of"),
        "not_in": N_("is none of"),
        "is_known": N_("is known"),
        "is_unknown": N_("is not known"),
    },
    "boolean": {
        "true": N_("is true"),
        "false": N_("is false"),
        "is_known": N_("is known"),
        "is_unknown": N_("is not known"),
    },
    "date": {
        "within_days": N_("is within the last (days)"),
        "more_than_days_ago": N_("is further back than (days)"),
        "anniversary_in_days": N_("has its anniversary in the next (days)"),
        "greater_or_equal": N_("is on or after"),
        "less_or_equal": N_("is on or before"),
        "equals": N_("is on"),
        "not_equals": N_("is not on"),
        "in": N_("is on one of these days"),
        "not_in": N_("is on none of these days"),
        "greater": N_("is after"),
        "less": N_("is before"),
        "between": N_("is between"),
        "is_known": N_("is known"),
        "is_unknown": N_("is not known"),
    },
}

NO_VALUE = ("is_known", "is_unknown", "true", "false")
_numbers = itertools.count(1)


def tests_of(tested: ProfileField) -> dict[str, str]:
    """The tests that the builder offers for a field, by key, with their names."""
    kind = {"integer": "number", "timestamp": "date"}.get(tested.type, tested.type)
    return TESTS[kind]


def _uid() -> int:
    return next(_numbers)


@dataclass
class Item:
    """A row of the builder; what is off is kept and does not count."""

    off: bool = made(default=False, kw_only=True)
    uid: int = made(default_factory=_uid, kw_only=True)


@dataclass
class Line(Item):
    """A clause in the making; `value` is None until it is given."""

    field: str
    test: str
    value: Any = None
    unknown: bool = False


SpanKind = Literal["ever", "last_days", "older", "between", "after", "before"]
SPANS: dict[SpanKind, str] = {
    "ever": N_("ever"),
    "last_days": N_("in the last days"),
    "older": N_("longer ago than days"),
    "between": N_("between two days"),
    "after": N_("in the days after"),
    "before": N_("in the days before"),
}


@dataclass
class Span:
    """A window in the making; `but` are the latest days that it leaves out, if it asks for them."""

    kind: SpanKind = "ever"
    days: int | None = None
    but: int | None = None
    asks_but: bool = made(default=False, kw_only=True)
    since: date | None = None
    until: date | None = None
    did: str = "ordered"
    which: Literal["first", "last"] = "first"
    where: list[Line] = made(default_factory=list)


HowOften = Literal[
    "at_least", "at_most", "exactly", "never",
    "sum", "average", "minimum", "maximum", "first", "last",
]  # fmt: skip
COUNTS: dict[HowOften, str] = {
    "at_least": N_("at least (times)"),
    "at_most": N_("at most (times)"),
    "exactly": N_("exactly (times)"),
    "never": N_("not at all"),
}
FIGURES: dict[HowOften, str] = {
    "sum": N_("total of"),
    "average": N_("average of"),
    "minimum": N_("smallest"),
    "maximum": N_("largest"),
    "first": N_("first"),
    "last": N_("last"),
}


@dataclass
class Deed(Item):
    """A behaviour in the making: how many times, or a figure (`of` a measure, compared)."""

    did: str = "ordered"
    how: HowOften = "at_least"
    times: int | None = 1
    figure: Line = made(default_factory=lambda: Line("amount", "greater_or_equal"))
    span: Span = made(default_factory=Span)
    where: list[Line] = made(default_factory=list)


@dataclass
class Chain(Item):
    """A sequence in the making."""

    first: str = "abandoned_cart"
    then: str = "ordered"
    first_where: list[Line] = made(default_factory=list)
    then_where: list[Line] = made(default_factory=list)
    within: int | None = 7
    follows: bool = True
    span: Span = made(default_factory=Span)


@dataclass
class Link(Item):
    """Another segment, or who entered or left it lately."""

    segment: str | None = None
    change: Literal["entered", "left"] | None = None
    days: int | None = 7


@dataclass
class Around(Item):
    """A distance from a place."""

    place: str | None = None
    latitude: float | None = None
    longitude: float | None = None
    km: float | None = 20
    unknown: bool = False


@dataclass
class Band(Item):
    """Deciles of a field."""

    field: str = "lifetime_net_revenue"
    deciles: list[int] = made(default_factory=lambda: [10])


@dataclass
class Allowed(Item):
    """Contactable on a channel for a purpose."""

    channel: str = "email"
    purpose: str | None = None


ShiftKind = Literal["any", "was", "rose", "fell", "rose_percent", "fell_percent"]
SHIFTS: dict[ShiftKind, str] = {
    "any": N_("has changed"),
    "was": N_("was one thing and is another"),
    "rose": N_("has risen by at least"),
    "fell": N_("has fallen by at least"),
    "rose_percent": N_("has risen by at least (%)"),
    "fell_percent": N_("has fallen by at least (%)"),
}
SinceKind = Literal["run", "days", "day"]
SINCES: dict[SinceKind, str] = {
    "run": N_("since the run before"),
    "days": N_("since some days ago"),
    "day": N_("since a day"),
}


@dataclass
class Shift(Item):
    """A score that moved, in the making."""

    field: str = "rfm_segment"
    kind: ShiftKind = "any"
    was: list[Any] = made(default_factory=list)
    now: list[Any] = made(default_factory=list)
    by: float | None = None
    since: SinceKind = "run"
    days: int | None = 30
    day: date | None = None


@dataclass
class Draw(Item):
    """A reproducible random share."""

    percent: float | None = 10
    seed: str = "1"


@dataclass
class Raw(Item):
    """A part that the builder has no row for."""

    rule: dict[str, Any] = made(default_factory=dict)


@dataclass
class Group(Item):
    """Rows and groups joined by a mode."""

    mode: Mode = "all"
    items: list[Item] = made(default_factory=list)

    def rows(self) -> Iterator[Item]:
        """Every row that is no group, in reading order."""
        for item in self.items:
            if not isinstance(item, Group):
                yield item
            if inner := inside(item):
                yield from inner.rows()

    def groups(self) -> Iterator[Group]:
        """This group and every group within it."""
        yield self
        for item in self.items:
            if inner := inside(item):
                yield from inner.groups()


@dataclass
class Best(Item):
    """The first so many of those who meet a group."""

    top: int | None = 1000
    by: str = "lifetime_net_revenue"
    order: Literal["highest", "lowest"] = "highest"
    among: Group = made(default_factory=Group)


def inside(item: Item) -> Group | None:
    """The group that an item is or holds."""
    if isinstance(item, Best):
        return item.among
    return item if isinstance(item, Group) else None


CapKind = Literal["none", "top", "share", "holdout"]
CAPS: dict[CapKind, str] = {
    "none": N_("everyone who meets the rule"),
    "top": N_("only the first, ranked by a field"),
    "share": N_("only a random share"),
    "holdout": N_("all but a random share held out"),
}


@dataclass
class Cap:
    """How many of those who meet the rule are taken."""

    kind: CapKind = "none"
    top: int | None = 1000
    by: str = "lifetime_net_revenue"
    order: Literal["highest", "lowest"] = "highest"
    percent: float | None = 10
    seed: str = "1"


@dataclass
class Draft:
    """A segment on the workbench. `segment_id` is None for one not saved yet.

    `past` and `future` are states to go back and forth to; `seen` is the state they lead from.
    """

    name: str
    description: str
    rule: Group
    segment_id: str | None = None
    rule_version: int | None = None
    saved: dict[str, Any] | None = None
    tags: list[str] = made(default_factory=list)
    cap: Cap = made(default_factory=Cap)
    uid: int = made(default_factory=_uid)
    past: list[tuple[Group, Cap]] = made(default_factory=list)
    future: list[tuple[Group, Cap]] = made(default_factory=list)
    seen: tuple[Group, Cap] | None = None

    def remember(self) -> None:
        """Keep the state for undoing, if it is another than the last one seen."""
        state = (self.rule, self.cap)
        if self.seen == state:
            return
        if self.seen is not None:
            self.past = [*self.past[-99:], self.seen]
            self.future.clear()
        self.seen = copy.deepcopy(state)

    def undo(self) -> None:
        """Back to the state before."""
        if self.past:
            self.future.append(copy.deepcopy((self.rule, self.cap)))
            self._restore(self.past.pop())

    def redo(self) -> None:
        """Forth again."""
        if self.future:
            self.past.append(copy.deepcopy((self.rule, self.cap)))
            self._restore(self.future.pop())

    def _restore(self, state: tuple[Group, Cap]) -> None:
        """Take a state over; its rows get new ids, so that widgets show what it holds."""
        self.rule, self.cap = renewed(state[0]), copy.deepcopy(state[1])
        self.uid = _uid()
        self.seen = copy.deepcopy((self.rule, self.cap))


def renewed(item: Any) -> Any:
    """A copy whose rows have ids of their own."""
    copied = copy.deepcopy(item)
    waiting = [copied]
    while waiting:
        each = waiting.pop()
        each.uid = _uid()
        for name in ("items", "where", "first_where", "then_where"):
            waiting.extend(getattr(each, name, ()))
        if isinstance(each, Best):
            waiting.append(each.among)
        if isinstance(each, Deed | Chain):
            waiting.extend(each.span.where)
    return copied


def open_draft(
    name: str,
    rule: dict[str, Any],
    *,
    description: str = "",
    segment_id: str | None = None,
    rule_version: int | None = None,
    tags: list[str] | None = None,
) -> Draft:
    """Put a rule on the workbench of this session."""
    cap, inner = _uncapped(parse_rule(rule))
    draft = Draft(
        name,
        description,
        to_group(inner),
        segment_id,
        rule_version,
        saved=None if segment_id is None else normal(rule),
        tags=list(tags or ()),
        cap=cap,
    )
    st.session_state[KEY] = draft
    return draft


def current_draft() -> Draft | None:
    """What is on the workbench of this session."""
    found = st.session_state.get(KEY)
    return found if isinstance(found, Draft) else None


def close_draft() -> None:
    """Clear the workbench."""
    st.session_state.pop(KEY, None)


# From a rule to rows


def _uncapped(rule: Node) -> tuple[Cap, Node]:
    """What a rule takes of another, and that other."""
    if isinstance(rule, Top) and not rule.off:
        cap = Cap("top", top=rule.top, by=rule.by, order=rule.order)
        return cap, rule.among or AllOf(all=[])
    if isinstance(rule, AllOf) and len(rule.all) == 2 and _is_group(rule.all[0]):
        drawn = rule.all[1]
        if isinstance(drawn, Share) and not drawn.off:
            return Cap("share", percent=_percent(drawn), seed=drawn.seed), rule.all[0]
        if isinstance(drawn, NoneOf) and len(drawn.none) == 1 and not drawn.off:
            held = drawn.none[0]
            if isinstance(held, Share) and not held.off:
                return Cap("holdout", percent=_percent(held), seed=held.seed), rule.all[0]
    return Cap(), rule


def _percent(drawn: Share) -> float:
    return round(drawn.share * 100, 6)


def _is_group(rule: Node) -> bool:
    return isinstance(rule, AllOf | AnyOf | NoneOf)


def to_group(rule: Node) -> Group:
    """The rule as rows and groups; a leaf as the only row of a group."""
    if not _is_group(rule):
        return Group(mode="all", items=[to_item(rule)])
    return Group(mode=_mode(rule), items=[to_item(part) for part in _parts(rule)], off=rule.off)


def to_item(rule: Node) -> Item:
    """The row that edits a part; a raw one when none says quite the same."""
    if _is_group(rule):
        return to_group(rule)
    if isinstance(rule, Clause):
        line = _to_line(rule)
        return Raw(rule=rule_json(rule), off=rule.off) if line is None else line
    if isinstance(rule, Behaviour) and rule.times == Times(at_least=1):
        rule = rule.model_copy(update={"times": None})
    item = _to_row(rule)
    stated = rule_json(rule)
    if item is not None:
        item.off = rule.off
        if isinstance(item, Best):
            return item  # what it ranks may have become a group of one
        said = to_clause(item)
        if said is not None and normal(said) == stated:
            return item
    return Raw(rule={name: part for name, part in stated.items() if name != "off"}, off=rule.off)


def _to_row(rule: Node) -> Item | None:
    match rule:
        case Behaviour():
            return _to_deed(rule)
        case Sequence():
            first, then = _lines(rule.first), _lines(rule.then)
            span = _to_span(rule.window)
            if first is None or then is None or span is None:
                return None
            return Chain(
                rule.first.did, rule.then.did, first, then, rule.within_days, rule.follows, span
            )
        case Reference():
            return Link(rule.segment, rule.change, rule.last_days or 7)
        case Near():
            near = rule.near
            return Around(near.name, near.latitude, near.longitude, rule.km, rule.unknown)
        case Deciles():
            return Band(rule.decile_of, list(rule.deciles))
        case Contactable():
            return Allowed(rule.contactable, rule.purpose)
        case Moved():
            return _to_shift(rule)
        case Share():
            return Draw(_percent(rule), rule.seed)
        case Top():
            return Best(rule.top, rule.by, rule.order, to_group(rule.among or AllOf(all=[])))
        case _:
            return None


def _to_shift(rule: Moved) -> Shift:
    shift = Shift(rule.moved, was=list(rule.was or ()), now=list(rule.now or ()))
    if shift.was or shift.now:
        shift.kind = "was"
    elif rule.rose is not None:
        shift.kind, shift.by = "rose_percent" if rule.percent else "rose", rule.rose
    elif rule.fell is not None:
        shift.kind, shift.by = "fell_percent" if rule.percent else "fell", rule.fell
    if rule.days_ago is not None:
        shift.since, shift.days = "days", rule.days_ago
    elif rule.since is not None:
        shift.since, shift.day = "day", _day(rule.since)
    return shift


def _to_deed(rule: Behaviour) -> Deed | None:
    where, span = _lines(rule), _to_span(rule.window)
    if where is None or span is None:
        return None
    deed = Deed(rule.did, span=span, where=where)
    if rule.measure is not None:
        deed.how = rule.measure.by
        deed.figure = Line(
            rule.measure.of, rule.measure.op, rule.measure.value, rule.measure.unknown
        )
        return deed
    times = rule.times or Times(at_least=1)
    if times.exactly == 0:
        deed.how = "never"
        return deed
    stated = times.model_dump(exclude_none=True)
    deed.how, deed.times = next(iter(stated.items()))
    return deed


def _lines(event: Event) -> list[Line] | None:
    lines = [_to_line(test) for test in event.where]
    return None if None in lines else [line for line in lines if line is not None]


def _to_span(window: Window) -> Span | None:
    if window.anchor is not None:
        anchor = window.anchor
        kind: SpanKind = "after" if window.after is not None else "before"
        where = _lines(anchor)
        if where is None:
            return None
        return Span(kind, window.days, did=anchor.did, which=anchor.which, where=where)
    if window.last_days is not None:
        return Span("last_days", window.last_days, window.except_last_days)
    if window.except_last_days is not None:
        return Span("older", window.except_last_days)
    if window.since is not None or window.until is not None:
        since, until = (None if day is None else _day(day) for day in (window.since, window.until))
        return Span("between", since=since, until=until)
    return Span()


def _mode(rule: Any) -> Mode:
    return "all" if isinstance(rule, AllOf) else "any" if isinstance(rule, AnyOf) else "none"


def _parts(rule: Any) -> list[Any]:
    return list(getattr(rule, _mode(rule)))


def _to_line(clause: Clause) -> Line | None:
    value, test = clause.value, str(clause.op)
    if test in ("in", "not_in") and value in ([True], [False]):
        value, test = clause.values[0], "equals" if test == "in" else "not_equals"
    made_of: dict[str, Any] = {"unknown": clause.unknown, "off": clause.off}
    if isinstance(value, bool):
        if test not in ("equals", "not_equals"):
            return None
        return Line(clause.field, str(value is (test == "equals")).lower(), None, **made_of)
    if isinstance(value, str) and test in ("equals", "not_equals"):
        day = _day(value)
        if day is not None:
            return Line(clause.field, test, day, **made_of)
        return Line(clause.field, "in" if test == "equals" else "not_in", [value], **made_of)
    if isinstance(value, str) and (day := _day(value)) is not None:
        return Line(clause.field, test, day, **made_of)
    if isinstance(value, list) and test == "between":
        days = [_day(v) if isinstance(v, str) else v for v in value]
        return None if None in days else Line(clause.field, test, days, **made_of)
    if isinstance(value, list):
        if any(isinstance(each, bool) for each in value):
            return None
        days = [_day(each) if isinstance(each, str) else None for each in value]
        return Line(clause.field, test, value if None in days else days, **made_of)
    return Line(clause.field, test, value, **made_of)


def _day(value: str) -> date | None:
    try:
        return date.fromisoformat(value) if len(value) == 10 else None
    except ValueError:
        return None


# From rows to a rule


def draft_rule(draft: Draft) -> dict[str, Any]:
    """The rule of what is complete in a draft, as JSON."""
    rule = to_rule(draft.rule)
    cap = draft.cap
    if cap.kind == "top" and cap.top:
        order = {} if cap.order == "highest" else {"order": cap.order}
        return {"top": cap.top, "by": cap.by, **order, "among": rule}
    if cap.kind in ("share", "holdout") and cap.percent and 0 < cap.percent < 100:
        drawn = {"share": round(cap.percent / 100, 8), "seed": cap.seed}
        return {"all": [rule, drawn if cap.kind == "share" else {"none": [drawn]}]}
    return rule


def to_rule(group: Group) -> dict[str, Any]:
    """The rule of what is complete in a group, as JSON; rows without a value are left out."""
    parts = []
    for item in group.items:
        if isinstance(item, Group):
            inner = to_rule(item)
            if inner[item.mode]:
                parts.append(inner)
        elif (clause := to_clause(item)) is not None:
            parts.append(clause)
    return {group.mode: parts, **({"off": True} if group.off else {})}


def to_clause(item: Item) -> dict[str, Any] | None:
    """A row as the JSON of a leaf; None while something is missing."""
    stated = _stated(item)
    if stated is not None and item.off:
        stated["off"] = True
    return stated


def _stated(item: Item) -> dict[str, Any] | None:
    match item:
        case Line():
            return _stated_line(item)
        case Deed():
            return _stated_deed(item)
        case Chain():
            return _stated_chain(item)
        case Link():
            if not item.segment or (item.change and not item.days):
                return None
            change = {"change": item.change, "last_days": item.days} if item.change else {}
            return {"segment": item.segment, **change}
        case Around():
            if item.latitude is None or item.longitude is None or not item.km:
                return None
            point: dict[str, Any] = {"latitude": item.latitude, "longitude": item.longitude}
            if item.place:
                point["name"] = item.place
            unknown = {"unknown": True} if item.unknown else {}
            return {"near": point, "km": _plain(item.km), **unknown}
        case Band():
            return {"decile_of": item.field, "deciles": item.deciles} if item.deciles else None
        case Allowed():
            if not item.purpose:
                return None
            return {"contactable": item.channel, "purpose": item.purpose}
        case Shift():
            return _stated_shift(item)
        case Draw():
            if not item.percent or not 0 < item.percent < 100:
                return None
            return {"share": round(item.percent / 100, 8), "seed": item.seed}
        case Best():
            if not item.top:
                return None
            order = {} if item.order == "highest" else {"order": item.order}
            return {"top": item.top, "by": item.by, **order, "among": to_rule(item.among)}
        case Raw():
            return dict(item.rule)
        case _:
            return None


def _stated_shift(shift: Shift) -> dict[str, Any] | None:
    stated: dict[str, Any] = {"moved": shift.field}
    if shift.kind == "was":
        if not shift.was and not shift.now:
            return None
        stated |= {name: each for name, each in (("was", shift.was), ("now", shift.now)) if each}
    elif shift.kind != "any":
        if not shift.by:
            return None
        way, _underscore, percent = shift.kind.partition("_")
        stated |= {way: _plain(shift.by), **({"percent": True} if percent else {})}
    if shift.since == "days":
        return {**stated, "days_ago": shift.days} if shift.days else None
    if shift.since == "day":
        return {**stated, "since": shift.day.isoformat()} if shift.day else None
    return stated


def _stated_line(line: Line) -> dict[str, Any] | None:
    clause: dict[str, Any] = {"field": line.field, "op": line.test}
    if line.test in ("true", "false"):
        clause |= {"op": "equals", "value": line.test == "true"}
    elif line.test not in NO_VALUE:
        value = line.value
        if value is None or value in ("", []):
            return None
        if line.test == "between":
            if len(value) != 2 or None in value:
                return None
            value = sorted(value)
        clause["value"] = _plain(value)
    if line.unknown and line.test not in ("is_known", "is_unknown"):
        clause["unknown"] = True
    return clause


def _stated_event(did: str, where: list[Line]) -> dict[str, Any] | None:
    tests = [to_clause(line) for line in where]
    if None in tests:
        return None
    return {"did": did, **({"where": tests} if tests else {})}


def _stated_deed(deed: Deed) -> dict[str, Any] | None:
    event, window = _stated_event(deed.did, deed.where), _stated_span(deed.span)
    if event is None or window is None:
        return None
    if deed.how in FIGURES:
        compared = _stated_line(deed.figure)
        if compared is None or "value" not in compared:
            return None
        measure = {"by": deed.how, "of": compared.pop("field"), **compared}
        return {**event, "measure": measure, **window}
    if deed.how == "never":
        return {**event, "times": {"exactly": 0}, **window}
    if deed.times is None:
        return None
    if (deed.how, deed.times) == ("at_least", 1):
        return {**event, **window}
    return {**event, "times": {deed.how: deed.times}, **window}


def _stated_chain(chain: Chain) -> dict[str, Any] | None:
    first = _stated_event(chain.first, chain.first_where)
    then = _stated_event(chain.then, chain.then_where)
    window = _stated_span(chain.span)
    if first is None or then is None or window is None:
        return None
    within = {} if chain.within is None else {"within_days": chain.within}
    follows = {} if chain.follows else {"follows": False}
    return {"first": first, "then": then, **within, **follows, **window}


def _stated_span(span: Span) -> dict[str, Any] | None:
    """The window as JSON, or nothing for ever; None while something is missing."""
    match span.kind:
        case "ever":
            return {}
        case "last_days":
            if not span.days or (span.but and span.but >= span.days):
                return None
            but = {"except_last_days": span.but} if span.but else {}
            return {"window": {"last_days": span.days, **but}}
        case "older":
            return {"window": {"except_last_days": span.days}} if span.days else None
        case "between":
            days = {
                name: day.isoformat()
                for name, day in (("since", span.since), ("until", span.until))
                if day is not None
            }
            in_order = not (span.since and span.until) or span.since <= span.until
            return {"window": days} if days and in_order else None
        case _:
            which = {} if span.which == "first" else {"which": span.which}
            event = _stated_event(span.did, span.where)
            if event is None:
                return None
            anchor = {span.kind: {**event, **which}}
            return {"window": {**anchor, **({"days": span.days} if span.days else {})}}


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(each) for each in value]
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def normal(rule: dict[str, Any]) -> dict[str, Any]:
    """A rule's JSON as the store keeps it."""
    return rule_json(parse_rule(rule))


def incomplete(group: Group) -> int:
    """How many rows still lack something."""
    return sum(1 for row in group.rows() if to_clause(row) is None)


# Moving rows

Direction = Literal["up", "down", "in", "out"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)


def move(top: Group, item: Item, direction: Direction) -> None:
    """Move a row or group up or down, into the group beside it, or out of its own."""
    parent = parent_of(top, item)
    if parent is None:
        return
    place = parent.items.index(item)
    if direction == "up" and place > 0:
        parent.items[place - 1 : place + 1] = [item, parent.items[place - 1]]
    elif direction == "down" and place + 1 < len(parent.items):
        parent.items[place : place + 2] = [parent.items[place + 1], item]
    elif direction == "in" and (group := _group_beside(parent, place)) is not None:
        parent.items.pop(place)
        group.items.append(item)
    elif direction == "out" and (above := parent_of(top, parent)) is not None:
        parent.items.pop(place)
        holders = [inside(each) is parent for each in above.items]
        above.items.insert(holders.index(True) + 1, item)


def moves(top: Group, item: Item) -> list[Direction]:
    """The directions in which a row can go."""
    parent = parent_of(top, item)
    if parent is None:
        return []
    place = parent.items.index(item)
    able = {
        "up": place > 0,
        "down": place + 1 < len(parent.items),
        "in": _group_beside(parent, place) is not None,
        "out": parent_of(top, parent) is not None,
    }
    return [direction for direction in DIRECTIONS if able[direction]]


def parent_of(top: Group, item: Item) -> Group | None:
    """The group that a row stands in; None for the outermost."""
    for group in top.groups():
        if any(each is item or inside(each) is item for each in group.items):
            return group
    return None


def _group_beside(parent: Group, place: int) -> Group | None:
    beside = [parent.items[at] for at in (place - 1, place + 1) if 0 <= at < len(parent.items)]
    return next((inner for each in beside if (inner := inside(each))), None)


def duplicate(top: Group, item: Item) -> None:
    """Put a copy of a row or group below it."""
    parent = parent_of(top, item)
    if parent is not None:
        parent.items.insert(parent.items.index(item) + 1, renewed(item))


def remove(top: Group, item: Item) -> None:
    """Take a row or group out."""
    parent = parent_of(top, item)
    if parent is not None:
        parent.items.remove(item)
