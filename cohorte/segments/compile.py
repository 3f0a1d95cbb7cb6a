"""Rules become SQL: sqlglot expressions over the catalogue's columns, with bound values.

Nothing that a person typed is ever part of the SQL's text: fields are looked up in the catalogue,
and each value is checked against its field's type and bound as a parameter.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from zoneinfo import ZoneInfo

from sqlglot import exp

from cohorte.errors import SettingsError
from cohorte.segments.catalogue import PROFILES, Catalogue, ProfileField
from cohorte.segments.rules import AllOf, AnyOf, Clause, Node, NoneOf, parts

Bound = str | int | float | bool | Decimal | date | datetime
ALIAS = "profiles"
DIALECT = "duckdb"

_LARGEST = Decimal(10) ** 15
_FINEST = Decimal("0.000001")


@dataclass(frozen=True)
class Query:
    """A SELECT and the values of its named parameters."""

    sql: str
    parameters: dict[str, Bound]


@dataclass
class Binder:
    """Names the values that an expression binds: p1, p2, ..."""

    parameters: dict[str, Bound] = field(default_factory=dict)

    def bind(self, value: Bound) -> exp.Expr:
        name = f"p{len(self.parameters) + 1}"
        self.parameters[name] = value
        return exp.Placeholder(this=name)


def compile_rule(rule: Node, catalogue: Catalogue, as_of: date, relation: str = PROFILES) -> Query:
    """The SELECT of the `customer_id`s that meet the rule, seen from the `as_of` day.

    SettingsError when the rule does not fit the catalogue. `relation` is a name that the program
    states, never one that a person typed.
    """
    binder = Binder()
    select = profile_select([column("customer_id")], relation).where(
        condition(rule, catalogue, as_of, binder)
    )
    return Query(select.sql(DIALECT), binder.parameters)


def profile_select(columns: Sequence[exp.Expr], relation: str = PROFILES) -> exp.Select:
    """A SELECT from the profiles, under the alias that conditions refer to."""
    return exp.select(*columns).from_(exp.to_table(relation, dialect=DIALECT).as_(ALIAS))


def column(name: str) -> exp.Column:
    """A column of the profiles. The name is one of the catalogue's."""
    return exp.column(name, table=ALIAS, quoted=True)


def condition(rule: Node, catalogue: Catalogue, as_of: date, binder: Binder) -> exp.Expr:
    """The rule as an expression that is true or false for every customer, never null."""
    if isinstance(rule, Clause):
        return _clause(rule, catalogue, as_of, binder)
    conditions = [condition(part, catalogue, as_of, binder) for part in parts(rule)]
    match rule:
        case AllOf():
            return exp.and_(*conditions) if conditions else exp.true()
        case AnyOf():
            return exp.or_(*conditions) if conditions else exp.false()
        case NoneOf():
            return exp.not_(exp.or_(*conditions)) if conditions else exp.true()


def _clause(clause: Clause, catalogue: Catalogue, as_of: date, binder: Binder) -> exp.Expr:
    tested = catalogue.check_clause(clause)
    value = column(tested.name)
    is_null = exp.Is(this=value, expression=exp.null())
    if clause.op == "is_unknown":
        return is_null
    if clause.op == "is_known":
        return exp.not_(is_null)
    met = _test(clause, tested, value, catalogue, as_of, binder)
    otherwise = exp.true() if clause.unknown else exp.false()
    return exp.Coalesce(this=exp.paren(met), expressions=[otherwise])


def _test(
    clause: Clause,
    tested: ProfileField,
    value: exp.Expr,
    catalogue: Catalogue,
    as_of: date,
    binder: Binder,
) -> exp.Expr:
    if tested.type in ("date", "timestamp"):
        return _day_test(clause, tested, value, catalogue.time_zone, as_of, binder)
    wanted = [binder.bind(each) for each in typed_values(clause, tested)]
    if tested.type == "list":
        held = exp.func(
            "string_split", exp.func("replace", value, _text(" "), _text("")), _text(",")
        )
        any_held = exp.or_(*(exp.func("list_contains", held.copy(), each) for each in wanted))
        return exp.not_(any_held) if clause.op == "not_in" else any_held
    match clause.op:
        case "contains":
            return exp.func("contains", _folded(value), _folded(wanted[0]))
        case "starts_with":
            return exp.StartsWith(this=_folded(value), expression=_folded(wanted[0]))
        case "in":
            return exp.In(this=value, expressions=wanted)
        case "not_in":
            return exp.not_(exp.In(this=value, expressions=wanted))
        case "between":
            return exp.Between(this=value, low=wanted[0], high=wanted[1])
        case _:
            return _COMPARISONS[clause.op](this=value, expression=wanted[0])


_COMPARISONS: dict[str, type[exp.Binary]] = {
    "equals": exp.EQ,
    "not_equals": exp.NEQ,
    "greater": exp.GT,
    "greater_or_equal": exp.GTE,
    "less": exp.LT,
    "less_or_equal": exp.LTE,
}


def _text(constant: str) -> exp.Expr:
    return exp.Literal.string(constant)


def _folded(value: exp.Expr) -> exp.Expr:
    """Text for searching in: neither case nor accents matter."""
    return exp.func("lower", exp.func("strip_accents", value))


def _day_test(
    clause: Clause,
    tested: ProfileField,
    value: exp.Expr,
    time_zone: str,
    as_of: date,
    binder: Binder,
) -> exp.Expr:
    """Days are compared as half-open ranges, so that a timestamp falls in its local day."""

    def within(first: date | None, last: date | None) -> exp.Expr:
        """From the first day to the last, both included; None is open."""
        bounds: list[exp.Expr] = []
        if first is not None:
            bound = binder.bind(_edge(first, tested, time_zone))
            bounds.append(exp.GTE(this=value, expression=bound))
        if last is not None:
            bound = binder.bind(_edge(last + timedelta(days=1), tested, time_zone))
            bounds.append(exp.LT(this=value, expression=bound))
        return exp.and_(*bounds)

    if clause.op in ("within_days", "more_than_days_ago"):
        first, last = window(clause, as_of)
        return within(first, last)
    days = [_day(each, tested) for each in clause.values]
    match clause.op:
        case "equals":
            return within(days[0], days[0])
        case "not_equals":
            return exp.not_(exp.paren(within(days[0], days[0])))
        case "in":
            return exp.or_(*(within(day, day) for day in days))
        case "not_in":
            return exp.not_(exp.paren(exp.or_(*(within(day, day) for day in days))))
        case "greater":
            return within(days[0] + timedelta(days=1), None)
        case "greater_or_equal":
            return within(days[0], None)
        case "less":
            return within(None, days[0] - timedelta(days=1))
        case "less_or_equal":
            return within(None, days[0])
        case _:
            _check_order(days, tested)
            return within(days[0], days[1])


def window(clause: Clause, as_of: date) -> tuple[date | None, date]:
    """The days that a relative clause covers, both included; None is open.

    `within_days: 30` covers the 30 days that end with `as_of`; `more_than_days_ago: 30` what lies
    before the day that was 30 days before `as_of`.
    """
    days = clause.value
    if isinstance(days, bool) or not isinstance(days, int):
        raise SettingsError(f"{clause.op} takes a number of days", remedy="correct the rule")
    if clause.op == "within_days":
        return as_of - timedelta(days=days - 1), as_of
    return None, as_of - timedelta(days=days + 1)


def _edge(day: date, tested: ProfileField, time_zone: str) -> date | datetime:
    """The start of a day: the day itself, or the UTC instant at which it starts locally."""
    if tested.type == "date":
        return day
    local = datetime.combine(day, time(), ZoneInfo(time_zone))
    return local.astimezone(UTC).replace(tzinfo=None)


def typed_values(clause: Clause, tested: ProfileField) -> list[Bound]:
    """The clause's values in the type of its field; SettingsError when one is of another.

    Not for dates and timestamps, which are compared by days.
    """
    values = [_typed(value, tested) for value in clause.values]
    if clause.op == "between":
        _check_order(values, tested)
    return values


def _check_order(values: Sequence[Bound], tested: ProfileField) -> None:
    low, high = values
    if low > high:  # type: ignore[operator]
        raise SettingsError(
            f'"{tested.name}" is to lie between {low} and {high}, which nothing does',
            remedy="write the lower value first",
        )


def _typed(value: object, tested: ProfileField) -> Bound:
    if tested.type in ("text", "list") and isinstance(value, str) and "\0" not in value:
        return value
    if tested.type == "boolean" and isinstance(value, bool):
        return value
    if (
        tested.type in ("integer", "number")
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    ):
        return _number(value, tested)
    raise _wrong_type(value, tested)


def _number(value: int | float, tested: ProfileField) -> int | float | Decimal:
    try:
        exact = Decimal(str(value))
        fits = abs(exact) < _LARGEST and exact == exact.quantize(_FINEST)
    except InvalidOperation:
        fits = False
    if not fits:
        raise SettingsError(
            f'"{tested.name}" cannot be compared with {value}',
            remedy="use a number of at most 15 digits and 6 decimals",
        )
    if tested.database_type.upper() in ("DOUBLE", "FLOAT"):
        return float(value)
    return int(value) if exact == exact.to_integral_value() else exact


def _day(value: object, tested: ProfileField) -> date:
    try:
        if isinstance(value, str) and len(value) == 10:
            day = date.fromisoformat(value)
            if 1000 <= day.year <= 3000:
                return day
    except ValueError:
        pass
    raise _wrong_type(value, tested)


_EXPECTED: Mapping[str, str] = {
    "text": "a text",
    "list": "a text",
    "integer": "a number",
    "number": "a number",
    "boolean": "true or false",
    "date": "a day such as 2026-10-31",
    "timestamp": "a day such as 2026-10-31",
}


def _wrong_type(value: object, tested: ProfileField) -> SettingsError:
    return SettingsError(
        f'"{tested.name}" is compared with {value!r}', remedy=f"give {_EXPECTED[tested.type]}"
    )
