"""A rule as a sentence, in English or French.

Every clause is a relative clause of its own ("whose city is Paris", "dont la ville est « Paris »"),
so that any nesting of them stays grammatical without agreeing genders or numbers.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date, datetime, timedelta
from decimal import Decimal

from cohorte.i18n import (
    Translator,
    format_date,
    format_datetime,
    format_enumeration,
    format_money,
    format_number,
    format_percent,
    translator,
)
from cohorte.segments.catalogue import ActivityKind, Catalogue, ProfileField
from cohorte.segments.compile import window, window_days
from cohorte.segments.rules import (
    AllOf,
    Anchor,
    AnyOf,
    Behaviour,
    Clause,
    Contactable,
    Deciles,
    Event,
    Leaf,
    Measure,
    Moved,
    Near,
    Node,
    NoneOf,
    Reference,
    Scalar,
    Sequence,
    Share,
    Times,
    Top,
    Window,
    parts,
    simplified,
    without_off,
)


def describe(rule: Node, language: str, catalogue: Catalogue, as_of: date) -> str:
    """One sentence that says who meets the rule, with relative days made absolute.

    References stay references, by the names of their segments; what is off is left out.
    SettingsError when the rule does not fit the catalogue.
    """
    _ = translator(language)
    simple = simplified(without_off(rule))
    if simple is True:
        return _("All customers.")
    if simple is False:
        return _("No customer.")
    said = _Sentence(_, catalogue, as_of)
    if isinstance(simple, Top):
        return said.top_sentence(simple)
    return _("Customers {who}.", who=said.node(simple))


def describe_clause(clause: Clause, language: str, catalogue: Catalogue, as_of: date) -> str:
    """One clause, as it stands within a sentence."""
    return describe_part(clause, language, catalogue, as_of)


def describe_part(rule: Node, language: str, catalogue: Catalogue, as_of: date) -> str:
    """A leaf or a group, as it stands within a sentence after "Customers"."""
    return _Sentence(translator(language), catalogue, as_of).node(rule)


def say_value(value: object, field: ProfileField, language: str, catalogue: Catalogue) -> str:
    """A value of a field as sentences say it: an amount, a share, a day, the name of a choice."""
    if isinstance(value, datetime):
        return format_datetime(value, language, catalogue.time_zone, "long")
    if isinstance(value, date):
        return format_date(value, language, "long")
    if isinstance(value, float):
        value = round(value, 4)
    if isinstance(value, Decimal):
        value = float(value)
    return _Sentence(translator(language), catalogue, date.min).value(value, field)


class _Sentence:
    def __init__(self, translate: Translator, catalogue: Catalogue, as_of: date) -> None:
        self._ = translate
        self.language = translate.language
        self.catalogue = catalogue
        self.as_of = as_of

    def node(self, rule: Node, *, inside: bool = False) -> str:
        """A group or leaf; one of several in a group stands in brackets."""
        _ = self._
        match rule:
            case NoneOf():
                return _(
                    "who are not among those {who}", who=self._joined(parts(rule), either=True)
                )
            case AllOf():
                joined = self._joined(parts(rule), either=False)
            case AnyOf():
                joined = self._joined(parts(rule), either=True)
            case _:
                return self._leaf(rule)
        return f"({joined})" if inside else joined

    def _leaf(self, leaf: Leaf) -> str:
        match leaf:
            case Clause():
                return self.clause(leaf)
            case Behaviour():
                return self._behaviour(leaf)
            case Sequence():
                return self._sequence(leaf)
            case Reference():
                return self._reference(leaf)
            case Near():
                return self._near(leaf)
            case Contactable():
                return self._contactable(leaf)
            case Deciles():
                return self._deciles(leaf)
            case Moved():
                return self._moved(leaf)
            case Top():
                return self._top(leaf)
            case Share():
                return self._share(leaf)

    # What customers did

    def _behaviour(self, leaf: Behaviour) -> str:
        _ = self._
        kind = self.catalogue.behaviour(leaf.did)
        when = self._when(leaf.window)
        only = self._only(leaf, kind)
        if leaf.measure is not None:
            return self._measured(leaf.measure, kind, when) + only
        times = leaf.times or Times(at_least=1)
        if 0 in (times.exactly, times.at_most):
            return _("who {did}", did=kind.say("did_not", self.language)) + when + only
        did = kind.say("did", self.language)
        if times.at_least == 1:
            return _("who {did}", did=did) + when + only
        if times.at_least is not None:
            said = _.ngettext(
                "who {did} at least {count} time",
                "who {did} at least {count} times",
                times.at_least,
                did=did,
            )
        elif times.at_most is not None:
            said = _.ngettext(
                "who {did} at most {count} time (or not at all)",
                "who {did} at most {count} times (or not at all)",
                times.at_most,
                did=did,
            )
        else:
            said = _.ngettext(
                "who {did} exactly {count} time",
                "who {did} exactly {count} times",
                times.exactly or 0,
                did=did,
            )
        return said + when + only

    def _measured(self, measure: Measure, kind: ActivityKind, when: str) -> str:
        _ = self._
        tested = kind[measure.of]
        named = {
            "value": tested.of[self.language],
            "things": kind.say("things", self.language) + when,
        }
        figures = {
            "sum": _("total {value} of {things}", **named),
            "average": _("average {value} of {things}", **named),
            "minimum": _("smallest {value} of {things}", **named),
            "maximum": _("largest {value} of {things}", **named),
            "first": _("first {value} of {things}", **named),
            "last": _("last {value} of {things}", **named),
        }
        phrase = figures[measure.by]
        figure = replace(tested, phrases={self.language: phrase})
        said = _("whose {test}", test=self._test(measure.test, figure))
        if measure.unknown:
            return _("{clause} (or whose {field} is not known)", clause=said, field=phrase)
        return said

    def _only(self, event: Event, kind: ActivityKind) -> str:
        """What the things done are narrowed to, as an aside."""
        _ = self._
        if not event.tests:
            return ""
        tests = [self._aside(test, kind) for test in event.tests]
        joined = format_enumeration(tests, self.language)
        return _(" (counting only those where {tests})", tests=joined)

    def _aside(self, test: Clause, kind: ActivityKind) -> str:
        _ = self._
        tested = self.catalogue.check_clause(test, kind)
        phrase = tested.phrase(self.language)
        if test.op == "is_known":
            return _("the {field} is known", field=phrase)
        if test.op == "is_unknown":
            return _("the {field} is not known", field=phrase)
        said = _("the {test}", test=self._test(test, tested))
        return _("{test} or is not known", test=said) if test.unknown else said

    def _when(self, window: Window) -> str:
        _ = self._
        if window.anchor is not None:
            return self._around(window, window.anchor)
        first, last = window_days(window, self.as_of)
        named = {"first": self._date(first), "last": self._date(last)}
        if window.last_days is not None and window.except_last_days is None:
            return _.ngettext(
                " on the last day ({last})",
                " in the last {count} days (from {first} to {last})",
                window.last_days,
                **named,
            )
        if first is not None and (window.until is not None or window.since is None):
            return _(" from {first} to {last}", **named)
        if first is not None:
            return _(" since {first}", **named)
        if window.until is not None or window.except_last_days is not None:
            return _(" up to {last}", **named)
        return ""

    def _around(self, window: Window, anchor: Anchor) -> str:
        _ = self._
        kind = self.catalogue.behaviour(anchor.did)
        event = kind.say(anchor.which, self.language) + self._only(anchor, kind)
        if window.days is None:
            if window.after is not None:
                return _(" after {event}", event=event)
            return _(" before {event}", event=event)
        if window.after is not None:
            return _.ngettext(
                " in the {count} day after {event}",
                " in the {count} days after {event}",
                window.days,
                event=event,
            )
        return _.ngettext(
            " in the {count} day before {event}",
            " in the {count} days before {event}",
            window.days,
            event=event,
        )

    def _sequence(self, leaf: Sequence) -> str:
        _ = self._
        first, then = (self.catalogue.behaviour(each.did) for each in (leaf.first, leaf.then))
        said = _("who {did}", did=first.say("did", self.language))
        said += self._when(leaf.window) + self._only(leaf.first, first)
        what = then.say("did" if leaf.follows else "did_not", self.language)
        if leaf.within_days is None:
            followed = _("{first}, then {did}", first=said, did=what)
        elif leaf.within_days == 0:
            followed = _("{first}, then {did} on the same day", first=said, did=what)
        else:
            followed = _.ngettext(
                "{first}, then {did} within {count} day",
                "{first}, then {did} within {count} days",
                leaf.within_days,
                first=said,
                did=what,
            )
        return followed + self._only(leaf.then, then)

    # Segments, places, ranks, draws, consents

    def _reference(self, leaf: Reference) -> str:
        _ = self._
        name = self.catalogue.segment_name(leaf.segment, self.language)
        if leaf.change is None or leaf.last_days is None:
            return _("who are in the segment “{name}”", name=name)
        first = self._date(self.as_of - timedelta(days=leaf.last_days - 1))
        named = {"name": name, "first": first, "last": self._date(self.as_of)}
        if leaf.change == "entered":
            return _("who entered the segment “{name}” from {first} to {last}", **named)
        return _("who left the segment “{name}” from {first} to {last}", **named)

    def _near(self, leaf: Near) -> str:
        _ = self._
        place = leaf.near.name or f"{leaf.near.latitude:g}, {leaf.near.longitude:g}"
        decimals = 0 if float(leaf.km).is_integer() else 1
        km = format_number(leaf.km, self.language, decimals)
        said = _("who live within {km} km of {place}", km=km, place=place)
        return _("{clause} (or for whom this is not known)", clause=said) if leaf.unknown else said

    def _contactable(self, leaf: Contactable) -> str:
        _ = self._
        channel = {
            "email": _("by e-mail"),
            "sms": _("by SMS"),
            "phone": _("by phone"),
            "post": _("by post"),
        }[leaf.contactable]
        return _(
            "who may be contacted {channel} for “{purpose}”", channel=channel, purpose=leaf.purpose
        )

    def _deciles(self, leaf: Deciles) -> str:
        _ = self._
        field = self.catalogue.ranked(leaf.decile_of).phrase(self.language)
        wanted = sorted(set(leaf.deciles))
        numbers = format_enumeration([str(each) for each in wanted], self.language, either=True)
        return _.ngettext(
            "who are in decile {numbers} by {field} (10 is the highest)",
            "who are in deciles {numbers} by {field} (10 is the highest)",
            len(wanted),
            numbers=numbers,
            field=field,
        )

    def _moved(self, leaf: Moved) -> str:
        _ = self._
        tested = self.catalogue.moving(leaf.moved)
        named = {"field": tested.phrase(self.language), "since": self._since(leaf)}
        if leaf.was is not None:
            named["was"] = self._either(leaf.was, tested)
        if leaf.now is not None:
            named["now"] = self._either(leaf.now, tested)
        if leaf.was is not None and leaf.now is not None:
            return _("whose {field} went from {was} to {now} {since}", **named)
        if leaf.was is not None:
            return _("whose {field} was {was} and has changed {since}", **named)
        if leaf.now is not None:
            return _("whose {field} became {now} {since}", **named)
        least = leaf.rose or leaf.fell
        if least is None:
            return _("whose {field} has changed {since}", **named)
        percent = format_percent(least / 100, self.language, 0 if least == int(least) else 1)
        named["least"] = percent if leaf.percent else self.value(least, tested)
        if leaf.rose is not None:
            return _("whose {field} has risen by at least {least} {since}", **named)
        return _("whose {field} has fallen by at least {least} {since}", **named)

    def _since(self, leaf: Moved) -> str:
        _ = self._
        if leaf.since is None and leaf.days_ago is None:
            return _("since the run before")
        day = (
            date.fromisoformat(leaf.since)
            if leaf.since is not None
            else self.as_of - timedelta(days=leaf.days_ago or 0)
        )
        return _("since {day}", day=self._date(day))

    def _either(self, values: list[Scalar], tested: ProfileField) -> str:
        said = [self.value(value, tested) for value in values]
        return format_enumeration(said, self.language, either=True)

    def _top(self, leaf: Top) -> str:
        _ = self._
        among = None if leaf.among is None else simplified(leaf.among)
        who = "" if among is None or isinstance(among, bool) else self.node(among)
        if not who:
            return _("who are among {ranked}", ranked=self._ranked(leaf))
        return _("who are among {ranked} of those {who}", ranked=self._ranked(leaf), who=who)

    def top_sentence(self, leaf: Top) -> str:
        """A whole rule that takes the first of another."""
        _ = self._
        among = None if leaf.among is None else simplified(leaf.among)
        ranked = self._ranked(leaf)
        ranked = ranked[:1].upper() + ranked[1:]
        if among is False:
            return _("No customer.")
        if among is None or among is True:
            return _("{ranked}, among all customers.", ranked=ranked)
        return _("{ranked}, among customers {who}.", ranked=ranked, who=self.node(among))

    def _ranked(self, leaf: Top) -> str:
        _ = self._
        field = self.catalogue.ranked(leaf.by).phrase(self.language)
        if leaf.order == "highest":
            return _.ngettext(
                "the one with the highest {field}",
                "the {count} with the highest {field}",
                leaf.top,
                field=field,
            )
        return _.ngettext(
            "the one with the lowest {field}",
            "the {count} with the lowest {field}",
            leaf.top,
            field=field,
        )

    def _share(self, leaf: Share) -> str:
        _ = self._
        decimals = max(0, -int(Decimal(str(leaf.share)).normalize().as_tuple().exponent) - 2)
        share = format_percent(leaf.share, self.language, decimals)
        return _("who fall in a random {share} of all (draw “{seed}”)", share=share, seed=leaf.seed)

    def _joined(self, rules: list[Node], *, either: bool) -> str:
        said = [self.node(rule, inside=len(rules) > 1) for rule in rules]
        return format_enumeration(said, self.language, either=either)

    def clause(self, clause: Clause) -> str:
        """A clause, saying so when those whose value is unknown count too."""
        _ = self._
        field = self.catalogue.check_clause(clause)
        if clause.op == "is_known":
            return _("whose {field} is known", field=field.phrase(self.language))
        if clause.op == "is_unknown":
            return _("whose {field} is not known", field=field.phrase(self.language))
        if field.type == "boolean":
            return self._boolean(clause, field)
        said = _("whose {test}", test=self._test(clause, field))
        if clause.unknown:
            return _(
                "{clause} (or whose {field} is not known)",
                clause=said,
                field=field.phrase(self.language),
            )
        return said

    def _boolean(self, clause: Clause, field: ProfileField) -> str:
        _ = self._
        wanted = clause.value is (clause.op == "equals")
        phrases = field.when_true if wanted else field.when_false
        said = phrases.get(self.language) or (
            _("for whom “{field}” is true", field=field.label(self.language))
            if wanted
            else _("for whom “{field}” is false", field=field.label(self.language))
        )
        return (
            _("{clause} (or for whom this is not known)", clause=said) if clause.unknown else said
        )

    def _test(self, clause: Clause, field: ProfileField) -> str:
        if field.type in ("date", "timestamp"):
            return self._day_test(clause, field)
        _ = self._
        said = [self.value(value, field) for value in clause.values]
        named = {"field": field.phrase(self.language), "value": said[0]}
        if clause.op in ("in", "not_in") and len(said) > 1:
            return self._one_of(clause, field, said)
        if field.type == "list":
            if clause.op == "not_in":
                return _("{field} does not include {value}", **named)
            return _("{field} includes {value}", **named)
        match clause.op:
            case "not_equals" | "not_in":
                return _("{field} is not {value}", **named)
            case "contains":
                return _("{field} contains {value}", **named)
            case "starts_with":
                return _("{field} starts with {value}", **named)
            case "greater":
                return _("{field} is above {value}", **named)
            case "greater_or_equal":
                return _("{field} is at least {value}", **named)
            case "less":
                return _("{field} is below {value}", **named)
            case "less_or_equal":
                return _("{field} is at most {value}", **named)
            case "between":
                return _(
                    "{field} is between {low} and {high}",
                    field=named["field"],
                    low=said[0],
                    high=said[1],
                )
            case _:
                return _("{field} is {value}", **named)

    def _one_of(self, clause: Clause, field: ProfileField, said: list[str]) -> str:
        """One of several values, or none of them."""
        _ = self._
        phrase = field.phrase(self.language)
        if clause.op == "in":
            values = format_enumeration(said, self.language, either=True)
            if field.type == "list":
                return _("{field} includes {value}", field=phrase, value=values)
            return _("{field} is {value}", field=phrase, value=values)
        values = _(" nor ").join(said)
        if field.type == "list":
            return _("{field} includes neither {values}", field=phrase, values=values)
        return _("{field} is neither {values}", field=phrase, values=values)

    def _day_test(self, clause: Clause, field: ProfileField) -> str:
        _ = self._
        phrase = field.phrase(self.language)
        if clause.op == "within_days":
            first, last = window(clause, self.as_of)
            return _.ngettext(
                "{field} is within the last day ({last})",
                "{field} is within the last {count} days (from {first} to {last})",
                int(str(clause.value)),
                field=phrase,
                first=self._date(first),
                last=self._date(last),
            )
        if clause.op == "more_than_days_ago":
            _first, last = window(clause, self.as_of)
            return _.ngettext(
                "{field} is more than {count} day ago (up to {last})",
                "{field} is more than {count} days ago (up to {last})",
                int(str(clause.value)),
                field=phrase,
                last=self._date(last),
            )
        if clause.op == "anniversary_in_days":
            count = int(str(clause.value))
            return _.ngettext(
                "{field} has its anniversary tomorrow ({last})",
                "{field} has its anniversary in the next {count} days (from {first} to {last})",
                count,
                field=phrase,
                first=self._date(self.as_of + timedelta(days=1)),
                last=self._date(self.as_of + timedelta(days=count)),
            )
        days = [self._date(date.fromisoformat(str(value))) for value in clause.values]
        if clause.op in ("in", "not_in") and len(days) > 1:
            return self._one_of(clause, field, [_("on {day}", day=day) for day in days])
        named = {"field": phrase, "day": days[0]}
        match clause.op:
            case "not_equals" | "not_in":
                return _("{field} is not on {day}", **named)
            case "greater":
                return _("{field} is after {day}", **named)
            case "greater_or_equal":
                return _("{field} is on or after {day}", **named)
            case "less":
                return _("{field} is before {day}", **named)
            case "less_or_equal":
                return _("{field} is on or before {day}", **named)
            case "between":
                return _(
                    "{field} is from {first} to {last}", field=phrase, first=days[0], last=days[1]
                )
            case _:
                return _("{field} is on {day}", **named)

    def _date(self, day: date | None) -> str:
        return format_date(day, self.language, "long")

    def value(self, value: object, field: ProfileField) -> str:
        if isinstance(value, str):
            if value in field.choices:
                return self._("“{text}”", text=field.choice(value, self.language))
            return self._("“{text}”", text=value)
        if isinstance(value, bool) or not isinstance(value, int | float):
            return str(value)
        number = Decimal(str(value))
        decimals = max(0, -int(number.normalize().as_tuple().exponent))
        if field.unit == "money":
            return format_money(number, self.catalogue.currency, self.language, decimals and 2)
        if field.unit == "share":
            return format_percent(number, self.language, max(0, decimals - 2))
        return format_number(number, self.language, decimals)
