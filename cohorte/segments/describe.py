"""A rule as a sentence, in English or French.

Every clause is a relative clause of its own ("whose city is Paris", "dont la ville est « Paris »"),
so that any nesting of them stays grammatical without agreeing genders or numbers.
"""

from __future__ import annotations

from datetime import date
from decimal import Decimal

from cohorte.i18n import (
    Translator,
    format_date,
    format_enumeration,
    format_money,
    format_number,
    format_percent,
    translator,
)
from cohorte.segments.catalogue import Catalogue, ProfileField
from cohorte.segments.compile import window
from cohorte.segments.rules import AllOf, AnyOf, Clause, Node, NoneOf, parts, simplified


def describe(rule: Node, language: str, catalogue: Catalogue, as_of: date) -> str:
    """One sentence that says who meets the rule, with relative days made absolute.

    SettingsError when the rule does not fit the catalogue.
    """
    catalogue.check(rule)
    _ = translator(language)
    simple = simplified(rule)
    if simple is True:
        return _("All customers.")
    if simple is False:
        return _("No customer.")
    said = _Sentence(_, catalogue, as_of)
    return _("Customers {who}.", who=said.node(simple))


def describe_clause(clause: Clause, language: str, catalogue: Catalogue, as_of: date) -> str:
    """One clause, as it stands within a sentence."""
    catalogue.check_clause(clause)
    return _Sentence(translator(language), catalogue, as_of).clause(clause)


class _Sentence:
    def __init__(self, translate: Translator, catalogue: Catalogue, as_of: date) -> None:
        self._ = translate
        self.language = translate.language
        self.catalogue = catalogue
        self.as_of = as_of

    def node(self, rule: Node, *, inside: bool = False) -> str:
        """A group or clause; one of several in a group stands in brackets."""
        _ = self._
        match rule:
            case Clause():
                return self.clause(rule)
            case NoneOf():
                return _(
                    "who are not among those {who}", who=self._joined(parts(rule), either=True)
                )
            case AllOf():
                joined = self._joined(parts(rule), either=False)
            case AnyOf():
                joined = self._joined(parts(rule), either=True)
        return f"({joined})" if inside else joined

    def _joined(self, rules: list[Node], *, either: bool) -> str:
        said = [self.node(rule, inside=len(rules) > 1) for rule in rules]
        return format_enumeration(said, self.language, either=either)

    def clause(self, clause: Clause) -> str:
        """A clause, saying so when those whose value is unknown count too."""
        _ = self._
        field = self.catalogue[clause.field]
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
        said = [self._value(value, field) for value in clause.values]
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

    def _value(self, value: object, field: ProfileField) -> str:
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
