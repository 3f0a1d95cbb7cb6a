"""The builder of segments: rows and groups to edit, counted as one goes.

Streamlit's own elements: a row is a line of widgets in a keyed container, a menu moves, copies and
switches it, and every number comes from sets kept per version, so that editing one row asks that
row alone.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import date
from typing import Any

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from cohorte.clock import now
from cohorte.errors import CohorteError
from cohorte.i18n import N_
from cohorte.segments import (
    CHANNELS,
    ActivityKind,
    Catalogue,
    Node,
    ProfileField,
    describe_part,
    parse_rule,
)
from cohorte.segments.library import Segment, segment_templates
from dashboards import queries, segment_queries, vocabulary
from dashboards.components import draw, note
from dashboards.language import DATES, Words
from dashboards.markup import Html, div, span, tag
from dashboards.segment_draft import (
    CAPS,
    COUNTS,
    FIGURES,
    MODES,
    NO_VALUE,
    SHIFTS,
    SINCES,
    SPANS,
    Allowed,
    Around,
    Band,
    Best,
    Cap,
    Chain,
    Deed,
    Draft,
    Draw,
    Group,
    Item,
    Line,
    Link,
    Raw,
    Shift,
    Span,
    draft_rule,
    duplicate,
    incomplete,
    inside,
    move,
    moves,
    normal,
    open_draft,
    remove,
    tests_of,
    to_clause,
    to_rule,
)

HIDDEN: dict[str, Any] = {"label_visibility": "collapsed"}
ADDABLE: dict[str, str] = {
    "line": N_("Something known of them"),
    "deed": N_("Something they did or did not do"),
    "chain": N_("One thing, then another"),
    "link": N_("Another segment"),
    "around": N_("Distance from a place"),
    "band": N_("Rank among all (deciles)"),
    "shift": N_("A score that moved"),
    "best": N_("The first of those who meet conditions"),
    "draw": N_("A random share"),
    "allowed": N_("Consent for a purpose"),
    "group": N_("A group of conditions"),
}
ROW_MENU: dict[str, str] = {
    "up": N_("Move up"),
    "down": N_("Move down"),
    "in": N_("Move into the group beside"),
    "out": N_("Move out of the group"),
    "copy": N_("Duplicate"),
    "off": N_("Switch off"),
    "on": N_("Switch on"),
    "unknown": N_("Count people whose value is not known"),
    "known": N_("Leave out people whose value is not known"),
    "but": N_("Leave the latest days out"),
    "with_latest": N_("Count the latest days too"),
    "where": N_("Add a condition on it"),
    "then_where": N_("Add a condition on what followed"),
    "anchor_where": N_("Add a condition on the moment counted from"),
    "remove": N_("Remove"),
}


class Builder:
    """Draws a draft and takes its edits."""

    def __init__(self, draft: Draft, segments: list[Segment], _: Words) -> None:
        self.draft = draft
        self.segments = [each for each in segments if each.segment_id != draft.segment_id]
        self.catalogue: Catalogue = segment_queries.catalogue(segments)
        self._ = _
        self.slots: list[tuple[Item, DeltaGenerator]] = []

    def rule(self) -> Node:
        """What is complete of the draft."""
        return parse_rule(normal(draft_rule(self.draft)))

    def plain(self) -> str:
        """The same as JSON that says everything itself."""
        return segment_queries.plain(self.rule(), self.segments)

    def edit(self) -> None:
        """The rows, what is taken of those who meet them, and undoing.

        What depends on every row, counts and undoing, is filled in when all have been drawn.
        """
        bar = st.container(key="draft-bar", horizontal=True, vertical_alignment="center")
        self._group(self.draft.rule, top=True)
        self._cap()
        self.draft.remember()
        with bar:
            self._bar()
        sizes = self._count_all()
        for item, slot in self.slots:
            slot.html(self._counted(item, sizes.get(str(item.uid))))

    # Counts of every row and group

    def _count_all(self) -> dict[str, int]:
        rules: dict[str, str] = {}
        for group in self.draft.rule.groups():
            for item in [group, *group.items]:
                stated = to_rule(item) if isinstance(item, Group) else to_clause(item)
                if stated is None or item.off:
                    continue
                try:
                    rules[str(item.uid)] = segment_queries.plain(parse_rule(stated), self.segments)
                except CohorteError:
                    continue
        return segment_queries.sizes_of(rules)

    def _count(self, item: Item) -> None:
        """The place beside a row for how many meet it."""
        self.slots.append((item, st.empty()))

    def _counted(self, item: Item, size: int | None) -> Html:
        _ = self._
        if item.off:
            return span(_("off"), cls="co-count off")
        about = _.ngettext("{count} customer", "{count} customers", size or 0)
        return span("–" if size is None else _.number(size), cls="co-count", title=about)

    # Rows and groups

    def _bar(self) -> None:
        _ = self._
        if st.button(_("Undo"), icon=":material/undo:", key="undo", disabled=not self.draft.past):
            self.draft.undo()
            st.rerun()
        if st.button(_("Redo"), icon=":material/redo:", key="redo", disabled=not self.draft.future):
            self.draft.redo()
            st.rerun()
        chosen = st.menu_button(
            _("Start from a template"),
            list(segment_templates()),
            format_func=lambda key: segment_templates()[key].name[_.code],
            icon=":material/auto_awesome:",
            key="template",
        )
        if chosen is not None:
            self._take_template(chosen)

    def _take_template(self, key: str) -> None:
        """The template's rows take the place of the draft's, which Undo brings back."""
        template, draft = segment_templates()[key], self.draft
        taken = open_draft(
            draft.name or template.name[self._.code],
            template.rule.model_dump(mode="json", exclude_defaults=True),
            description=draft.description or template.description[self._.code],
            segment_id=draft.segment_id,
            rule_version=draft.rule_version,
            tags=draft.tags,
        )
        taken.saved = draft.saved
        taken.past, taken.seen = draft.past, draft.seen
        st.rerun()

    def _group(self, group: Group, *, top: bool = False, bare: bool = False) -> None:
        """A group; a bare one is what a row ranks, which goes where the row goes."""
        _ = self._
        with st.container(
            key=f"mode-{'top-' if top else ''}{group.uid}",
            horizontal=True,
            vertical_alignment="center",
            wrap=True,
        ):
            st.html(span(_("Customers who meet") if top else _("those who meet")), width="content")
            group.mode = st.selectbox(
                _("How the lines are joined"),
                list(MODES),
                index=list(MODES).index(group.mode),
                format_func=lambda mode: _(MODES[mode]),
                key=f"m-{group.uid}",
                width=230,
                **HIDDEN,
            )
            self._count(group)
            if not (top or bare):
                self._menu(group, {})
        for item in list(group.items):
            if isinstance(item, Group):
                off = "-off" if item.off else ""
                with st.container(key=f"group-{item.uid}{off}"):
                    self._group(item)
            else:
                self._row(item)
                if inner := inside(item):
                    with st.container(key=f"group-{inner.uid}{'-off' if item.off else ''}"):
                        self._group(inner, bare=True)
        with st.container(key=f"add-{group.uid}", horizontal=True):
            chosen = st.menu_button(
                _("Add a condition"),
                list(ADDABLE),
                format_func=lambda kind: _(ADDABLE[kind]),
                icon=":material/add:",
                key=f"a-{group.uid}",
            )
        if chosen is not None:
            group.items.append(_fresh(chosen, group))
            st.rerun()

    def _row(self, item: Item) -> None:
        off = "-off" if item.off else ""
        with st.container(key=f"row-{item.uid}{off}"):
            with st.container(key=f"line-{item.uid}", horizontal=True, vertical_alignment="center"):
                match item:
                    case Line():
                        self._line(item)
                    case Deed():
                        self._deed(item)
                    case Chain():
                        self._chain(item)
                    case Link():
                        self._link(item)
                    case Around():
                        self._around(item)
                    case Band():
                        self._band(item)
                    case Allowed():
                        self._allowed(item)
                    case Shift():
                        self._shift(item)
                    case Draw():
                        self._draw(item)
                    case Best():
                        self._best(item)
                    case Raw():
                        draw(tag("p", self._said(item), cls="co-note"))
                self._count(item)
                self._menu(item, _extras(item))
            if isinstance(item, Deed):
                self._where(item.where, item.did)
            elif isinstance(item, Chain):
                self._where(item.first_where, item.first)
                self._where(item.then_where, item.then)
            if isinstance(item, Deed | Chain) and item.span.kind in ("after", "before"):
                self._where(item.span.where, item.span.did)

    def _said(self, item: Raw) -> str:
        try:
            return describe_part(
                parse_rule(item.rule), self._.code, self.catalogue, queries.pinned().as_of
            )
        except CohorteError as error:
            return self._.told(error.said)

    def _menu(self, item: Item, extras: Mapping[str, Callable[[], None]]) -> None:
        """Moving, copying, switching off and removing, by one button that the keyboard reaches."""
        _ = self._
        acts = [*extras, *moves(self.draft.rule, item), "copy"]
        chosen = self._act_on(item, acts, _("Move, duplicate, switch off, remove"))
        if chosen is None:
            return
        match chosen:
            case "up" | "down" | "in" | "out":
                move(self.draft.rule, item, chosen)
            case "copy":
                duplicate(self.draft.rule, item)
            case "off" | "on":
                item.off = chosen == "off"
            case "remove":
                remove(self.draft.rule, item)
            case _:
                extras[chosen]()
        st.rerun()

    def _act_on(self, item: Item, acts: Sequence[str], about: str) -> str | None:
        """The act chosen from a line's menu: those given, switching off or on, removing."""
        _ = self._
        chosen: str | None = st.menu_button(
            _("Edit the line"),
            [*acts, "on" if item.off else "off", "remove"],
            format_func=lambda act: _(ROW_MENU[act]),
            icon=":material/more_vert:",
            help=about,
            type="tertiary",
            key=f"menu-{item.uid}",
        )
        return chosen

    # One field

    def _line(self, line: Line) -> None:
        _, catalogue = self._, self.catalogue
        labels = {
            each.name: f"{each.label(_.code)} · {catalogue.group_label(group, _.code)}"
            for group, members in catalogue.groups().items()
            for each in members
        }
        chosen = self._pick(_("Field"), labels, line.field, f"f-{line.uid}")
        if chosen != line.field:
            line.field, line.value = chosen, None
        tested = catalogue[chosen]
        self._test(
            line,
            tested,
            lambda search: segment_queries.values_of(line.field, search, self._rest(line)),
        )
        if line.unknown:
            draw(span(_("or not known"), cls="co-pill"))

    def _rest(self, line: Line) -> str:
        """The rule without a line, when its values are to be counted within it; else nothing."""
        if not st.session_state.get(f"within-{line.uid}"):
            return ""
        rest = copy.deepcopy(self.draft)
        for row in rest.rule.rows():
            if row.uid == line.uid:
                row.off = True
        try:
            rule = parse_rule(normal(draft_rule(rest)))
            return segment_queries.plain(rule, self.segments)
        except CohorteError:
            return ""

    def _test(self, line: Line, tested: ProfileField, values: Values) -> None:
        """The test and its value."""
        _ = self._
        tests = tests_of(tested)
        if line.test not in tests:
            line.test, line.value = next(iter(tests)), None
        before = line.test
        line.test = self._pick(
            _("Test"),
            {test: _(name) for test, name in tests.items()},
            line.test,
            f"t-{line.uid}-{line.field}",
        )
        if _shape(line.test) != _shape(before):
            line.value = None
        value_widget(line, tested, values, _)

    def _pick(self, label: str, labels: Mapping[str, str], chosen: str, key: str) -> str:
        options = list(labels)
        found: str = st.selectbox(
            label,
            options,
            index=options.index(chosen) if chosen in labels else 0,
            format_func=lambda option: labels[option],
            key=key,
            **HIDDEN,
        )
        return found

    # What customers did

    def _behaviours(self) -> dict[str, str]:
        return {
            name: kind.say("label", self._.code) for name, kind in self.catalogue.behaviours.items()
        }

    def _deed(self, deed: Deed) -> None:
        _ = self._
        chosen = self._pick(_("What they did"), self._behaviours(), deed.did, f"did-{deed.uid}")
        if chosen != deed.did:
            deed.did, deed.where = chosen, []
        kind = self.catalogue.behaviour(deed.did)
        offered = {**COUNTS, **(FIGURES if kind.measures else {})}
        if deed.how not in offered:
            deed.how = "at_least"
        names = {how: _(name) for how, name in offered.items()}
        deed.how = self._pick(_("How often"), names, deed.how, f"how-{deed.uid}-{deed.did}")  # type: ignore[assignment]
        if deed.how in FIGURES:
            self._figure(deed, kind)
        elif deed.how != "never":
            deed.times = st.number_input(
                _("Times"), 0 if deed.how == "at_most" else 1, 1_000_000, value=deed.times, step=1,
                key=f"n-{deed.uid}-{deed.how}", placeholder=_("times"), **HIDDEN,
            )  # fmt: skip
        self._span(deed.span, f"{deed.uid}")

    def _figure(self, deed: Deed, kind: ActivityKind) -> None:
        figure = deed.figure
        if figure.field not in kind.measures:
            figure.field, figure.value = kind.measures[0], None
        labels = {name: kind[name].label(self._.code) for name in kind.measures}
        figure.field = self._pick(self._("Figure"), labels, figure.field, f"of-{deed.uid}")
        tests = {
            test: self._(name)
            for test, name in tests_of(kind[figure.field]).items()
            if test not in NO_VALUE
        }
        before = figure.test
        figure.test = self._pick(self._("Test"), tests, figure.test, f"ft-{deed.uid}")
        if _shape(before) != _shape(figure.test):
            figure.value = None
        value_widget(figure, kind[figure.field], lambda _search: [], self._)
        if figure.unknown:
            draw(span(self._("or not known"), cls="co-pill"))

    def _span(self, span_: Span, key: str) -> None:
        _ = self._
        names = {kind: _(name) for kind, name in SPANS.items()}
        span_.kind = self._pick(_("When"), names, span_.kind, f"when-{key}")  # type: ignore[assignment]
        if span_.kind in ("last_days", "older"):
            span_.days = st.number_input(
                _("Days"), 1, 36_500, value=span_.days, step=1, key=f"days-{key}",
                placeholder=_("days"), **HIDDEN,
            )  # fmt: skip
            if span_.kind == "last_days" and (span_.but or span_.asks_but):
                draw(span(_("but the last"), cls="co-where"))
                span_.but = st.number_input(
                    _("Latest days left out"), 1, 36_500, value=span_.but, step=1,
                    key=f"but-{key}", placeholder=_("none"), **HIDDEN,
                )  # fmt: skip
        elif span_.kind == "between":
            span_.since = _day_input(_("From"), span_.since, f"since-{key}")
            span_.until = _day_input(_("To"), span_.until, f"until-{key}")
        elif span_.kind in ("after", "before"):
            span_.days = st.number_input(
                _("Days"), 1, 36_500, value=span_.days, step=1, key=f"around-{key}",
                placeholder=_("any number of days"), **HIDDEN,
            )  # fmt: skip
            moments = {
                f"{which}:{name}": kind.say(which, _.code)
                for name, kind in self.catalogue.behaviours.items()
                for which in ("first", "last")
            }
            picked = self._pick(_("Moment"), moments, f"{span_.which}:{span_.did}", f"moment-{key}")
            which, _colon, did = picked.partition(":")
            if did != span_.did:
                span_.did, span_.where = did, []
            span_.which = "last" if which == "last" else "first"

    def _where(self, lines: list[Line], did: str) -> None:
        """Conditions on the thing itself, each a smaller row."""
        _ = self._
        kind = self.catalogue.behaviour(did)
        labels = {name: field.label(_.code) for name, field in kind.fields.items()}
        for line in list(lines):
            off = "-off" if line.off else ""
            with st.container(
                key=f"where-{line.uid}{off}", horizontal=True, vertical_alignment="center"
            ):
                draw(span(_("where"), cls="co-where"))
                chosen = self._pick(_("Field"), labels, line.field, f"wf-{line.uid}-{did}")
                if chosen != line.field:
                    line.field, line.value = chosen, None
                field = line.field
                self._test(
                    line,
                    kind[field],
                    lambda search, field=field, line=line: segment_queries.done_values(  # type: ignore[misc]
                        did, field, search, self._rest(line)
                    ),
                )
                if line.unknown:
                    draw(span(_("or not known"), cls="co-pill"))
                if line.off:
                    draw(span(_("off"), cls="co-pill"))
                self._where_menu(lines, line)

    def _where_menu(self, lines: list[Line], line: Line) -> None:
        """What can be done with a condition on the thing itself."""
        _ = self._
        extras = _extras(line)
        chosen = self._act_on(line, [*extras], _("Switch off, remove"))
        if chosen is None:
            return
        if chosen == "remove":
            lines.remove(line)
        elif chosen in extras:
            extras[chosen]()
        else:
            line.off = chosen == "off"
        st.rerun()

    def _chain(self, chain: Chain) -> None:
        _ = self._
        first = self._pick(_("First"), self._behaviours(), chain.first, f"c1-{chain.uid}")
        if first != chain.first:
            chain.first, chain.first_where = first, []
        self._span(chain.span, f"{chain.uid}")
        followed = {"yes": _("and then"), "no": _("and then not")}
        chosen = self._pick(
            _("Then"), followed, "yes" if chain.follows else "no", f"cf-{chain.uid}"
        )
        chain.follows = chosen == "yes"
        then = self._pick(_("What followed"), self._behaviours(), chain.then, f"c2-{chain.uid}")
        if then != chain.then:
            chain.then, chain.then_where = then, []
        chain.within = st.number_input(
            _("Within days"), 0, 36_500, value=chain.within, step=1, key=f"cw-{chain.uid}",
            placeholder=_("within days"), **HIDDEN,
        )  # fmt: skip
        draw(span(_("days at most"), cls="co-where"))

    # Segments, places, ranks, consent

    def _link(self, link: Link) -> None:
        _ = self._
        changes = {
            "in": _("are in the segment"),
            "entered": _("entered the segment in the last days"),
            "left": _("left the segment in the last days"),
        }
        chosen = self._pick(_("How"), changes, link.change or "in", f"lc-{link.uid}")
        link.change = None if chosen == "in" else chosen  # type: ignore[assignment]
        names = {each.segment_id: each.name(_.code) for each in self.segments}
        link.segment = st.selectbox(
            _("Segment"),
            list(names),
            index=list(names).index(link.segment) if link.segment in names else None,
            format_func=lambda segment_id: names[segment_id],
            placeholder=_("choose a segment"),
            key=f"ls-{link.uid}",
            **HIDDEN,
        )
        if link.change is not None:
            link.days = st.number_input(
                _("Days"), 1, 36_500, value=link.days, step=1, key=f"ld-{link.uid}",
                placeholder=_("days"), **HIDDEN,
            )  # fmt: skip

    def _around(self, around: Around) -> None:
        _ = self._
        around.km = st.number_input(
            _("Kilometres"), 0.1, 20_000.0, value=None if around.km is None else float(around.km),
            key=f"km-{around.uid}", placeholder=_("km"), format="%g", **HIDDEN,
        )  # fmt: skip
        draw(span(_("km at most from"), cls="co-where"))
        known = dict(segment_queries.places())
        if around.place and around.place not in known and around.latitude is not None:
            known[around.place] = (around.latitude, around.longitude or 0.0)
        place = st.selectbox(
            _("Place"),
            list(known),
            index=list(known).index(around.place) if around.place in known else None,
            placeholder=_("choose a city, or type 45.76, 4.84"),
            key=f"pl-{around.uid}",
            accept_new_options=True,
            **HIDDEN,
        )
        if place is not None and place != around.place:
            point = known.get(place) or as_point(place)
            if point is None:
                note(_("No city of customers has that name; type degrees, such as 45.76, 4.84."))
            else:
                around.place = place
                around.latitude, around.longitude = point

    def _band(self, band: Band) -> None:
        _ = self._
        labels = {
            each.name: each.label(_.code)
            for each in self.catalogue
            if each.type in ("integer", "number")
        }
        band.field = self._pick(_("Field"), labels, band.field, f"bf-{band.uid}")
        band.deciles = st.multiselect(
            _("Deciles"),
            list(range(10, 0, -1)),
            default=band.deciles,
            format_func=lambda decile: (
                _("decile 10, the highest") if decile == 10 else _("decile {decile}", decile=decile)
            ),
            key=f"bd-{band.uid}",
            placeholder=_("choose deciles"),
            select_all=False,
            **HIDDEN,
        )

    def _shift(self, shift: Shift) -> None:
        _, known = self._, self.catalogue.moved_fields
        if not known:
            note(_("The version served knows no scores of earlier days yet: run the pipeline."))
            return
        labels = {name: each.label(_.code) for name, each in known.items()}
        field = self._pick(_("Score"), labels, shift.field, f"sf-{shift.uid}")
        if field != shift.field:
            shift.field, shift.was, shift.now = field, [], []
        tested = known[field]
        numeric = tested.type in ("integer", "number")
        kinds = {
            kind: _(name) for kind, name in SHIFTS.items() if numeric or kind in ("any", "was")
        }
        shift.kind = self._pick(_("How"), kinds, shift.kind, f"sk-{shift.uid}-{field}")  # type: ignore[assignment]
        if shift.kind == "was":
            for name, said in (("was", _("was")), ("now", _("is"))):
                draw(span(said, cls="co-where"))
                line = Line(field, "in", getattr(shift, name), uid=shift.uid)
                _several(
                    line, tested, lambda search: segment_queries.values_of(field, search, ""),
                    f"s{name}-{shift.uid}-{field}", _, any_value=True,
                )  # fmt: skip
                setattr(shift, name, line.value)
        elif shift.kind != "any":
            shift.by = st.number_input(
                _("By"), 0.0, value=None if shift.by is None else float(shift.by), format="%g",
                key=f"sb-{shift.uid}-{shift.kind}", placeholder=_("by"), **HIDDEN,
            )  # fmt: skip
        sinces = {since: _(name) for since, name in SINCES.items()}
        shift.since = self._pick(_("Since"), sinces, shift.since, f"ss-{shift.uid}")  # type: ignore[assignment]
        if shift.since == "days":
            shift.days = st.number_input(
                _("Days"), 1, 36_500, value=shift.days, step=1, key=f"sd-{shift.uid}",
                placeholder=_("days"), **HIDDEN,
            )  # fmt: skip
        elif shift.since == "day":
            shift.day = _day_input(_("Day"), shift.day, f"sday-{shift.uid}")

    def _draw(self, drawn: Draw) -> None:
        _ = self._
        draw(span(_("a random share of all, in %"), cls="co-where"))
        drawn.percent = st.number_input(
            _("Share in %"), 0.1, 99.9, value=drawn.percent, key=f"dp-{drawn.uid}", format="%g",
            **HIDDEN,
        )  # fmt: skip
        drawn.seed = st.text_input(
            _("Name of the draw"), drawn.seed, max_chars=60, key=f"ds-{drawn.uid}",
            placeholder=_("name of the draw"), **HIDDEN,
        )  # fmt: skip

    def _best(self, best: Best) -> None:
        """How many, ranked by what; those ranked are the group below."""
        _ = self._
        draw(span(_("the first"), cls="co-where"))
        self._ranking(best, f"{best.uid}")

    def _ranking(self, ranked: Best | Cap, key: str) -> None:
        _ = self._
        ranked.top = st.number_input(
            _("How many"), 1, 100_000_000, value=ranked.top, step=1, key=f"cap-n-{key}", **HIDDEN
        )
        labels = {
            each.name: each.label(_.code)
            for each in self.catalogue
            if each.type in ("integer", "number", "date")
        }
        ranked.by = self._pick(_("Ranked by"), labels, ranked.by, f"cap-by-{key}")
        orders = {"highest": _("highest first"), "lowest": _("lowest first")}
        ranked.order = self._pick(_("Order"), orders, ranked.order, f"cap-order-{key}")  # type: ignore[assignment]

    def _allowed(self, allowed: Allowed) -> None:
        _ = self._
        channels = {channel: _(vocabulary.CHANNELS[channel]) for channel in CHANNELS}
        allowed.channel = self._pick(_("Channel"), channels, allowed.channel, f"ac-{allowed.uid}")
        purposes = queries.purposes()
        allowed.purpose = st.selectbox(
            _("Purpose"),
            purposes,
            index=purposes.index(allowed.purpose) if allowed.purpose in purposes else None,
            placeholder=_("choose a purpose"),
            key=f"ap-{allowed.uid}",
            **HIDDEN,
        )

    # How many are taken

    def _cap(self) -> None:
        _, cap = self._, self.draft.cap
        with st.container(key="cap", horizontal=True, vertical_alignment="center"):
            st.html(span(_("Take")), width="content")
            names = {kind: _(name) for kind, name in CAPS.items()}
            cap.kind = self._pick(_("How many"), names, cap.kind, f"cap-{self.draft.uid}")  # type: ignore[assignment]
            if cap.kind == "top":
                self._ranking(cap, f"{self.draft.uid}")
            elif cap.kind in ("share", "holdout"):
                cap.percent = st.number_input(
                    _("Share in %"), 0.1, 99.9, value=cap.percent, key=f"cap-p-{self.draft.uid}",
                    format="%g", **HIDDEN,
                )  # fmt: skip
                cap.seed = st.text_input(
                    _("Name of the draw"), cap.seed, max_chars=60,
                    key=f"cap-s-{self.draft.uid}", placeholder=_("name of the draw"), **HIDDEN,
                )  # fmt: skip


def _extras(item: Item) -> dict[str, Callable[[], None]]:
    """What a row's menu offers beside moving it."""
    extras: dict[str, Callable[[], None]] = {}
    if isinstance(item, Around) or (
        isinstance(item, Line) and item.test not in ("is_known", "is_unknown")
    ):

        def turn() -> None:
            item.unknown = not item.unknown

        extras["known" if item.unknown else "unknown"] = turn
    if isinstance(item, Deed):
        extras["where"] = lambda: item.where.append(Line("", ""))
        if item.how in FIGURES and item.how != "sum":
            figure = item.figure

            def turn_figure() -> None:
                figure.unknown = not figure.unknown

            extras["known" if figure.unknown else "unknown"] = turn_figure
    if isinstance(item, Chain):
        extras["where"] = lambda: item.first_where.append(Line("", ""))
        extras["then_where"] = lambda: item.then_where.append(Line("", ""))
    if isinstance(item, Deed | Chain) and item.span.kind == "last_days":
        span_ = item.span

        def leave_out() -> None:
            span_.asks_but = not (span_.but or span_.asks_but)
            span_.but = None

        extras["with_latest" if span_.but or span_.asks_but else "but"] = leave_out
    if isinstance(item, Deed | Chain) and item.span.kind in ("after", "before"):
        extras["anchor_where"] = lambda: item.span.where.append(Line("", ""))
    return extras


def _fresh(kind: str, group: Group) -> Item:
    """A new row of a kind."""
    match kind:
        case "line":
            return Line("lifetime_net_revenue", "greater_or_equal")
        case "deed":
            return Deed(span=Span("last_days", 90))
        case "chain":
            return Chain(span=Span("last_days", 30))
        case "link":
            return Link()
        case "around":
            return Around()
        case "band":
            return Band()
        case "allowed":
            return Allowed()
        case "shift":
            return Shift()
        case "draw":
            return Draw()
        case "best":
            return Best(among=Group(items=[Line("lifetime_net_revenue", "greater_or_equal")]))
        case _:
            inner = Group(mode="any" if group.mode == "all" else "all")
            inner.items.append(Line("lifetime_net_revenue", "greater_or_equal"))
            return inner


# Values

Values = Callable[[str], list[tuple[Any, int]]]
"""The values that a search finds, the commonest first, and how many customers have each."""


def _shape(test: str) -> str:
    if test in ("in", "not_in"):
        return "several"
    if test in ("within_days", "more_than_days_ago", "anniversary_in_days"):
        return "days"
    return test if test in ("between", *NO_VALUE) else "one"


def value_widget(line: Line, tested: ProfileField, values: Values, _: Words) -> None:
    """The widget that fits the test; sets the line's value, None while there is none."""
    key = f"v-{line.uid}-{line.field}-{_shape(line.test)}"
    if line.test in NO_VALUE:
        line.value = None
    elif _shape(line.test) == "days":
        most = 366 if line.test == "anniversary_in_days" else 36_500
        line.value = st.number_input(
            _("Days"), 0, most, value=line.value, step=1, key=key, placeholder=_("days"), **HIDDEN
        )
    elif tested.type in ("date", "timestamp"):
        _days(line, tested, values, key, _)
    elif line.test in ("in", "not_in"):
        _several(line, tested, values, key, _)
    elif tested.type in ("integer", "number"):
        _numbers(line, tested, key, _)
    else:
        line.value = st.text_input(
            _("Text"), str(line.value or ""), max_chars=200, key=key, live="400ms",
            placeholder=_("text"), **HIDDEN,
        )  # fmt: skip


def _day_input(label: str, day: date | None, key: str) -> date | None:
    found: date | None = st.date_input(
        label, day, date(1900, 1, 1), date(2200, 12, 31), key=key, format=DATES, **HIDDEN
    )
    return found


def _days(line: Line, tested: ProfileField, values: Values, key: str, _: Words) -> None:
    if _shape(line.test) == "several":
        counts = dict(values("")) if tested.type == "date" else {}
        known = {day: count for text, count in counts.items() if (day := as_day(str(text)))}
        chosen = list(line.value or [])

        def named(day: date | str) -> str:
            """A day with how many have it; what was typed as it was."""
            if isinstance(day, str):
                return day
            return f"{_.day(day)} ({_.number(known[day])})" if day in known else _.day(day)

        picked = st.multiselect(
            _("Days"),
            list(dict.fromkeys([*chosen, *known])),
            default=chosen,
            format_func=named,
            key=key,
            placeholder=_("choose or type a day, 31/12/2026"),
            accept_new_options=True,
            select_all=False,
            **HIDDEN,
        )
        line.value = [day for each in picked if (day := as_day(each)) is not None]
    elif line.test == "between":
        first, last = line.value or (None, None)
        line.value = [
            _day_input(_("From"), first, f"{key}-1"),
            _day_input(_("To"), last, f"{key}-2"),
        ]
    else:
        line.value = _day_input(_("Day"), line.value, key)


def _numbers(line: Line, tested: ProfileField, key: str, _: Words) -> None:
    whole = tested.type == "integer"
    percent = tested.unit == "share"
    unit = {"money": queries.pinned().currency, "share": "%", "days": _("days")}.get(
        str(tested.unit), _("number")
    )

    def ask(label: str, value: Any, suffix: str = "") -> Any:
        shown = None if value is None else (round(value * 100, 6) if percent else value)
        shown = None if shown is None else (int(shown) if whole else float(shown))
        typed = st.number_input(
            label, value=shown, step=1 if whole else None, key=key + suffix, placeholder=unit,
            format=None if whole else "%g", **HIDDEN,
        )  # fmt: skip
        return typed if typed is None or not percent else typed / 100

    if line.test == "between":
        first, last = line.value or (None, None)
        line.value = [ask(_("From"), first, "-1"), ask(_("To"), last, "-2")]
    else:
        line.value = ask(_("Value"), line.value)


def _several(
    line: Line,
    tested: ProfileField,
    values: Values,
    key: str,
    _: Words,
    *,
    any_value: bool = False,
) -> None:
    """A choice of values; where they are more than the list shows, a search among all of them."""
    counts = dict(values(st.session_state.get(f"find-{key}", "")))
    times_mended = st.session_state.get(f"mended-{key}", 0)
    chosen = [str(each) if isinstance(each, date) else each for each in line.value or []]
    options = list(dict.fromkeys([*chosen, *counts, *tested.choices]))
    picked = st.multiselect(
        _("Values"),
        options,
        default=chosen,
        format_func=lambda value: (
            f"{tested.choice(str(value), _.code)} ({_.number(counts[value])})"
            if value in counts
            else tested.choice(str(value), _.code)
        ),
        key=f"{key}-{times_mended}" if times_mended else key,
        placeholder=_("any") if any_value else _("choose or type"),
        accept_new_options=True,
        select_all=False,
        filter_mode="contains",
        **HIDDEN,
    )
    if tested.type in ("integer", "number"):
        picked = [number for each in picked if (number := _as_number(each)) is not None]
    else:
        meant = [
            each if each in options else meant_value(each, values, tested, _) for each in picked
        ]
        if meant != picked:
            line.value = list(dict.fromkeys(meant))
            st.session_state[f"mended-{key}"] = times_mended + 1
            st.rerun()
    line.value = picked
    if any_value:
        return
    with st.popover(
        _("All values"), icon=":material/manage_search:", type="tertiary", help=_("All values")
    ):
        st.text_input(
            _("Search all values"), key=f"find-{key}", live="400ms", max_chars=100,
            placeholder=_("part of a value"),
        )  # fmt: skip
        st.toggle(_("Count within the rest of the rule"), key=f"within-{line.uid}")


def meant_value(typed: str, values: Values, tested: ProfileField, _: Words) -> str:
    """The value that somebody typed a part of, whatever its case and accents; else what they typed.

    The list of choices is Streamlit's and minds accents: without this, who types "ile" would be
    given a value that nobody has.
    """
    plain = queries.folded(typed)
    named = {value: queries.folded(tested.choice(value, _.code)) for value in tested.choices}
    named |= {str(value): queries.folded(str(value)) for value, _count in values(typed)}
    found = [value for value, name in named.items() if plain in name]
    return min(
        found, key=lambda value: (named[value] != plain, not named[value].startswith(plain)),
        default=typed,
    )  # fmt: skip


def as_point(text: str) -> tuple[float, float] | None:
    """The latitude and longitude that a person typed, in degrees."""
    figures = re.findall(r"-?\d+(?:\.\d+)?", text)
    if len(figures) != 2:
        return None
    latitude, longitude = (float(each) for each in figures)
    return (latitude, longitude) if abs(latitude) <= 90 and abs(longitude) <= 180 else None


def as_day(value: Any) -> date | None:
    """The day that a person typed, as 31/12/2026 or 2026-12-31."""
    if isinstance(value, date):
        return value
    text = str(value).strip()
    if typed := re.fullmatch(r"(\d{1,2})/(\d{1,2})/(\d{4})", text):
        text = "{2}-{1:0>2}-{0:0>2}".format(*typed.groups())
    with suppress(ValueError):
        return date.fromisoformat(text)
    return None


def _as_number(value: Any) -> int | float | None:
    try:
        number = float(str(value).replace(",", "."))
    except ValueError:
        return None
    return int(number) if number.is_integer() else number


# Saving


def save_form(builder: Builder, author: str) -> str | None:
    """Name, purpose, tags, what saving would change, and the button; the id of what was saved."""
    draft, _ = builder.draft, builder._
    draft.name = st.text_input(
        _("Name"),
        draft.name,
        max_chars=120,
        key=f"name-{draft.uid}",
        placeholder=_("Name of the segment"),
    )
    draft.description = st.text_input(
        _("What it is for"), draft.description, max_chars=400, key=f"about-{draft.uid}",
        placeholder=_("Optional"),
    )  # fmt: skip
    known = sorted({tag_ for segment in builder.segments for tag_ in segment.tags} | {*draft.tags})
    draft.tags = st.multiselect(
        _("Tags"), known, default=draft.tags, key=f"tags-{draft.uid}", accept_new_options=True,
        placeholder=_("Optional"), select_all=False,
    )  # fmt: skip
    if draft.saved is not None:
        _impact(builder, draft.saved)
    ready = bool(draft.name.strip()) and not incomplete(draft.rule)
    if not st.button(
        _("Save the segment"),
        type="primary",
        key="save",
        disabled=not ready,
        help=None if ready else _("Give every line a value and the segment a name."),
    ):
        return None
    try:
        builder.plain()
        saved = queries.store().save_segment(
            draft.name.strip(),
            normal(draft_rule(draft)),
            author=author,
            at=now(),
            segment_id=draft.segment_id,
            description=draft.description.strip(),
            replaces=draft.rule_version,
            tags=[each.strip()[:40] for each in draft.tags if each.strip()],
        )
    except CohorteError as error:
        draw(div(_.told(error.said), cls="co-warning", role="alert"))
        return None
    return str(saved.segment_id)


def _impact(builder: Builder, saved: dict[str, Any]) -> None:
    """Who would enter and leave compared with the saved definition."""
    _ = builder._
    before = segment_queries.plain(parse_rule(saved), builder.segments)
    entering, leaving = segment_queries.rule_impact(before, builder.plain())
    if not entering and not leaving:
        note(_("Saving changes nobody: the same people as in the saved segment."))
        return
    note(
        _(
            "Saving would bring in {entering} and take out {leaving}, compared with the saved "
            "segment.",
            entering=_.number(entering),
            leaving=_.number(leaving),
        )
    )
