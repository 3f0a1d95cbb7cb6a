"""KPIs as figures: over a period, against another, over time, by a dimension.

Every figure of every screen comes from here. Totals of additive KPIs are read from `kpi_daily`;
what that table does not hold is computed from the facts, to the same result.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import cache, lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import sqlglot
from sqlglot import exp

from cohorte.errors import SettingsError
from cohorte.kpis.definitions import (
    BEFORE,
    DAILY,
    FOLLOWED,
    MEASURES,
    PREPARED,
    ROLLING_MONTHS,
    STOCK_MONTHS,
    STOCKS,
    Measure,
    Windows,
    fact_sql,
    kpi,
)
from cohorte.kpis.durations import quantile, survival
from cohorte.said import said

Grain = Literal["day", "week", "month", "quarter", "year"]
Filters = Mapping[str, Sequence[str | None]]

_DIALECT = "duckdb"
_DAILY = Measure("daily", "sum(value)")
_NUMERATOR, _DENOMINATOR = "numerator", "denominator"
_MOMENT = "known_until"
_PARAMETER = re.compile(r"\$\w+")


@dataclass(frozen=True)
class Period:
    """Days from `start` up to but not including `end`, in the company's time zone."""

    start: date
    end: date

    def __post_init__(self) -> None:
        if self.end <= self.start:
            raise SettingsError(
                said(
                    "the period from {start} to {end} holds no day", start=self.start, end=self.end
                ),
                remedy=said("choose an end after the start"),
            )

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    def previous(self) -> Period:
        """As many months when it is whole months, else as many days, just before."""
        if self.start.day == 1 and self.end.day == 1:
            months = (self.end.year - self.start.year) * 12 + self.end.month - self.start.month
            return Period(add_months(self.start, -months), self.start)
        return Period(self.start - timedelta(days=self.days), self.start)

    def year_before(self) -> Period:
        """The same dates a year earlier; 29 February becomes the 28th."""
        return Period(add_months(self.start, -12), add_months(self.end, -12))


def add_months(day: date, months: int) -> date:
    """The same day some months away, or the last of that month when it has no such day."""
    month = day.year * 12 + day.month - 1 + months
    year, month = divmod(month, 12)
    following = date(year + (month == 11), (month + 1) % 12 + 1, 1)
    return date(year, month + 1, min(day.day, (following - timedelta(days=1)).day))


def month_of(day: date) -> Period:
    """The calendar month that holds a day."""
    start = day.replace(day=1)
    return Period(start, add_months(start, 1))


def last_days(days: int, as_of: date) -> Period:
    """The days that end with `as_of`, included."""
    return Period(as_of - timedelta(days=days - 1), as_of + timedelta(days=1))


@dataclass(frozen=True)
class KpiValue:
    """A figure. `value` is None where there is none, such as a ratio over nothing.

    Shares are of 1. `beside` holds what must be read with it, such as the median. `is_partial`:
    the period goes on after what the version knows.
    """

    kpi_id: str
    value: Decimal | None
    numerator: Decimal | None = None
    denominator: Decimal | None = None
    beside: Mapping[str, Decimal | None] = field(default_factory=dict)
    is_partial: bool = False


@dataclass(frozen=True)
class Comparison:
    """A figure and an earlier one. `change_ratio` is None when there is nothing to divide by."""

    current: KpiValue
    previous: KpiValue

    @property
    def change(self) -> Decimal | None:
        if self.current.value is None or self.previous.value is None:
            return None
        return self.current.value - self.previous.value

    @property
    def change_ratio(self) -> Decimal | None:
        if self.change is None or not self.previous.value:
            return None
        return self.change / abs(self.previous.value)


@dataclass(frozen=True)
class Contribution:
    """What one part of a breakdown adds to the change of the whole.

    `effect`: the change of the whole that the part explains; over all parts they sum to the
    change. Of a ratio it is split into what comes of the part's own level (`level`) and of its
    weight in the whole (`weight`).
    """

    part: str | None
    now: KpiValue | None
    before: KpiValue | None
    effect: Decimal
    level: Decimal = Decimal(0)
    weight: Decimal = Decimal(0)


@dataclass(frozen=True)
class _Version:
    as_of: date
    time_zone: str
    published_at: datetime
    prepared: frozenset[str] = frozenset()
    """The facts that this version holds as tables."""

    def known_until(self, period: Period) -> date:
        """The end of a period, or of what is known where it goes on after that."""
        return min(period.end, self.as_of + timedelta(days=1))

    def held(self, fact: str, period: Period) -> frozenset[str]:
        """What of a fact, and of segments of before, is found prepared for a period."""
        known = {fact, BEFORE} & self.prepared
        if fact in STOCKS and self.known_until(period) not in _moments(self.as_of):
            known.discard(fact)
        if period.start not in _beginnings(self.as_of):
            known.discard(BEFORE)
        return frozenset(known)


def _moments(as_of: date) -> list[date]:
    """The ends of the last months, and of the latest day: when stocks are written down."""
    first = as_of.replace(day=1)
    return [*(add_months(first, -i) for i in range(STOCK_MONTHS)), as_of + timedelta(days=1)]


def _beginnings(as_of: date) -> list[date]:
    """The first days of the last 30 and 90 days and 12 months, and of as many before: for which
    segments of before are written down."""
    end = as_of + timedelta(days=1)
    looks = [last_days(30, as_of), last_days(90, as_of), Period(add_months(end, -12), end)]
    return [each for look in looks for each in (look.start, look.previous().start)]


def kpi_values(
    con: duckdb.DuckDBPyConnection,
    kpi_ids: Iterable[str],
    period: Period,
    filters: Filters | None = None,
    windows: Windows | None = None,
) -> dict[str, KpiValue]:
    """The figures of a published version over a period.

    `filters` keeps the rows whose dimension has one of the values; None stands for unknown.
    NotFoundError for an unknown KPI, SettingsError for a dimension that a KPI does not have.
    """
    return _values(con, _version(con), kpi_ids, period, filters, windows)


def _values(
    con: duckdb.DuckDBPyConnection,
    version: _Version,
    kpi_ids: Iterable[str],
    period: Period,
    filters: Filters | None,
    windows: Windows | None,
) -> dict[str, KpiValue]:
    wanted = list(dict.fromkeys(kpi_ids))
    rows = _aggregate(con, version, wanted, period, filters, windows, None, None)
    return {
        kpi_id: rows[kpi_id].get((None, None)) or _nothing(kpi_id, period, version.as_of)
        for kpi_id in wanted
    }


def compare(
    con: duckdb.DuckDBPyConnection,
    kpi_ids: Iterable[str],
    period: Period,
    previous: Period | None = None,
    filters: Filters | None = None,
    windows: Windows | None = None,
) -> dict[str, Comparison]:
    """The figures of a period against those of another, the one just before by default.

    Raises as `kpi_values` does.
    """
    wanted = list(dict.fromkeys(kpi_ids))
    now = kpi_values(con, wanted, period, filters, windows)
    before = kpi_values(con, wanted, previous or period.previous(), filters, windows)
    return {kpi_id: Comparison(now[kpi_id], before[kpi_id]) for kpi_id in wanted}


def breakdown(
    con: duckdb.DuckDBPyConnection,
    kpi_id: str,
    dimension: str,
    period: Period,
    filters: Filters | None = None,
    windows: Windows | None = None,
) -> dict[str | None, KpiValue]:
    """A KPI by each value of a dimension, the largest first; None is unknown.

    The parts of an additive KPI sum to its value over the period. Raises as `kpi_values` does.
    """
    rows = _aggregate(con, _version(con), [kpi_id], period, filters, windows, dimension, None)
    found = {part: value for (part, _), value in rows[kpi_id].items()}
    order = sorted(
        found.items(), key=lambda item: (item[1].value is None, -(item[1].value or 0), str(item[0]))
    )
    return dict(order)


def contributions(
    con: duckdb.DuckDBPyConnection,
    kpi_id: str,
    dimension: str,
    period: Period,
    previous: Period | None = None,
    filters: Filters | None = None,
    windows: Windows | None = None,
) -> list[Contribution]:
    """How the parts of a dimension make up the change of a KPI, the largest effect first.

    For a total, a part's own change. For a ratio, the change of its level at its mean weight, and
    that of its weight by how far it stands from the mean of the whole. SettingsError for a KPI
    whose parts do not add up (distinct customers, medians). Raises as `kpi_values` does.
    """
    if not is_decomposable(kpi_id):
        raise SettingsError(
            said("the parts of {kpi} do not add up to it", kpi=kpi_id),
            remedy=said("choose another KPI"),
        )
    now = breakdown(con, kpi_id, dimension, period, filters, windows)
    before = breakdown(con, kpi_id, dimension, previous or period.previous(), filters, windows)
    found = [
        _contribution(part, now.get(part), before.get(part), _weights(now), _weights(before))
        for part in dict.fromkeys([*now, *before])
    ]
    return sorted(found, key=lambda each: (-abs(each.effect), str(each.part)))


def is_decomposable(kpi_id: str) -> bool:
    """Whether the parts of a breakdown make up the whole: sums, and ratios of sums."""
    measure = MEASURES[kpi(kpi_id).kpi_id]
    stated = f"{measure.numerator} {measure.denominator}"
    return not (measure.is_duration or "distinct" in stated or "max(" in stated or measure.now_only)


def _weights(parts: Mapping[str | None, KpiValue]) -> tuple[Decimal, Decimal]:
    """The numerators and the denominators of all parts."""
    return (
        sum((each.numerator or Decimal(0) for each in parts.values()), Decimal(0)),
        sum((each.denominator or Decimal(0) for each in parts.values()), Decimal(0)),
    )


def _contribution(
    part: str | None,
    now: KpiValue | None,
    before: KpiValue | None,
    whole_now: tuple[Decimal, Decimal],
    whole_before: tuple[Decimal, Decimal],
) -> Contribution:
    zero = Decimal(0)
    if all(each is None or each.denominator is None for each in (now, before)):
        effect = _amount(now, "value") - _amount(before, "value")
        return Contribution(part, now, before, effect, level=effect)
    if not whole_now[1] or not whole_before[1]:
        return Contribution(part, now, before, zero)
    share_now = _amount(now, "denominator") / whole_now[1]
    share_before = _amount(before, "denominator") / whole_before[1]
    mean = (whole_now[0] / whole_now[1] + whole_before[0] / whole_before[1]) / 2
    added = _amount(now, "numerator") / whole_now[1]
    added -= _amount(before, "numerator") / whole_before[1]
    effect = added - (share_now - share_before) * mean
    # A part that is missing on one side has no level of its own there: its other one stands in.
    levels = [each.value for each in (now, before) if each and each.value is not None]
    if not levels:
        return Contribution(part, now, before, effect, level=effect)
    weight = (share_now - share_before) * ((levels[0] + levels[-1]) / 2 - mean)
    return Contribution(part, now, before, effect, effect - weight, weight)


def _amount(value: KpiValue | None, name: Literal["value", "numerator", "denominator"]) -> Decimal:
    found: Decimal | None = getattr(value, name, None)
    return found or Decimal(0)


def series(
    con: duckdb.DuckDBPyConnection,
    kpi_id: str,
    grain: Grain,
    period: Period,
    filters: Filters | None = None,
    windows: Windows | None = None,
) -> list[tuple[date, KpiValue]]:
    """A KPI by day, week (from Monday), month, quarter or year: the first day and the figure.

    Every bucket that the version knows of is there, zero or without value where nothing happened.
    The first and last are cut to the period. Raises as `kpi_values` does.
    """
    measure = _measure(kpi_id, filters or {}, None)
    cut = buckets(period, grain)
    version = _version(con)
    known = [bucket for bucket in cut if bucket.start <= version.as_of]
    if measure.span != "period":
        return [
            (bucket.start, _values(con, version, [kpi_id], bucket, filters, windows)[kpi_id])
            for bucket in known
        ]
    rows = _aggregate(con, version, [kpi_id], period, filters, windows, None, grain)
    found = {bucket: value for (_, bucket), value in rows[kpi_id].items()}
    return [
        (bucket.start, found.get(bucket.start) or _nothing(kpi_id, bucket, version.as_of))
        for bucket in known
    ]


def is_followed(kpi_id: str) -> bool:
    """Whether a KPI can be told of cohorts: it counts orders of a period."""
    measure = MEASURES[kpi(kpi_id).kpi_id]
    return measure.fact in FOLLOWED and measure.span == "period"


def cohorts(
    con: duckdb.DuckDBPyConnection,
    kpi_id: str,
    grain: Grain,
    count: int,
    filters: Filters | None = None,
    windows: Windows | None = None,
) -> dict[date, list[KpiValue]]:
    """A KPI of those who first ordered in each of the last `count` months, quarters or years, in
    that bucket and in each one after, until as_of.

    SettingsError for a KPI that does not count orders. Raises as `kpi_values` does.
    """
    if not is_followed(kpi_id):
        raise SettingsError(
            said("{kpi} is not told of cohorts", kpi=kpi_id), remedy=said("choose another KPI")
        )
    filters = filters or {}
    measure = MEASURES[kpi_id].known_by(filters)
    for name in filters:
        if name not in measure.dimensions:
            raise _not_known_by(kpi_id, name, measure)
    version = _version(con)
    end = version.as_of + timedelta(days=1)
    steps = buckets(Period(_back(version.as_of, grain, count - 1), end), grain)
    period = Period(steps[0].start, end)
    held = version.held(measure.fact, period)
    query = _compiled_cohorts(kpi_id, measure.fact, held, _shape(filters), grain)
    found = {
        (row["part"], row["bucket"]): _value(kpi_id, measure, row, False)
        for row in _frame(con, query, period, filters, windows or Windows(), version).to_dicts()
    }
    return {
        cohort.start: [
            found.get((cohort.start, step.start)) or _nothing(kpi_id, step, version.as_of)
            for step in steps[place:]
        ]
        for place, cohort in enumerate(steps)
    }


def _back(day: date, grain: Grain, count: int) -> date:
    """The first day of the month, quarter or year that began so many of them before a day's."""
    months = {"month": 1, "quarter": 3, "year": 12}[grain]
    first = date(day.year, (day.month - 1) // months * months + 1, 1)
    return add_months(first, -months * count)


@lru_cache(maxsize=200)
def _compiled_cohorts(
    kpi_id: str, fact: str, held: frozenset[str], filters: _Shape, grain: Grain
) -> _Query:
    first = exp.column("first_order_date", table="facts")
    cohort = exp.func("date_trunc", exp.Literal.string(grain), first, dialect=_DIALECT)
    rows = _cut(fact, held, "period", filters, grain)
    rows = rows.select(exp.cast(cohort, "date").as_("cohort")).where(
        first.copy() >= _parameter("start")
    )
    query = _grouped(rows, _aggregates([kpi_id]), "cohort", grain)
    return _Query(query.sql(_DIALECT), _names(query))


def rows_behind(
    con: duckdb.DuckDBPyConnection,
    kpi_id: str,
    period: Period,
    filters: Filters | None = None,
    windows: Windows | None = None,
    limit: int = 1000,
) -> pl.DataFrame:
    """The rows that a figure counts, the latest first; one row per row of the KPI's fact.

    Raises as `kpi_values` does. Empty for a KPI of which only the present is known, before it.
    """
    measure = MEASURES[kpi(kpi_id).kpi_id]
    filters = filters or {}
    for name in filters:
        if name not in measure.dimensions:
            raise _not_known_by(kpi_id, name, measure)
    version = _version(con)
    query = _compiled_rows(
        kpi_id,
        version.held(measure.known_by(filters).fact, period),
        _shape(filters),
        measure.now_only and period.end <= version.as_of,
        limit,
    )
    found = _frame(con, query, period, filters, windows or Windows(), version)
    return found.drop("bucket", _MOMENT, strict=False)


@lru_cache(maxsize=1000)
def _compiled_rows(
    kpi_id: str, held: frozenset[str], filters: _Shape, is_unknown: bool, limit: int
) -> _Query:
    """The SQL of the rows behind a figure, whatever its dates and values."""
    measure = MEASURES[kpi_id].known_by(name for name, _unknown in filters)
    rows = _cut(measure.fact, held, measure.span, filters, None)
    query = exp.select("*").from_(rows.subquery("cut")).limit(limit)
    condition = "kpi_id = '" + kpi_id + "'" if measure.fact == "daily" else measure.rows
    if condition:
        query = query.where(sqlglot.parse_one(condition, dialect=_DIALECT))
    if is_unknown:
        query = query.where(exp.false())
    if measure.span in ("period", "year"):
        query = query.order_by(exp.column("day").desc())
    return _Query(query.sql(_DIALECT), _names(query))


def buckets(period: Period, grain: Grain) -> list[Period]:
    """The days, weeks, months, quarters or years of a period, the first and last cut to it."""
    cut = []
    start = period.start
    while start < period.end:
        match grain:
            case "day":
                following = start + timedelta(days=1)
            case "week":
                following = start + timedelta(days=7 - start.weekday())
            case "month":
                following = month_of(start).end
            case "quarter":
                following = add_months(month_of(start).start, 3 - (start.month - 1) % 3)
            case "year":
                following = date(start.year + 1, 1, 1)
        cut.append(Period(start, min(following, period.end)))
        start = following
    return cut


def _nothing(kpi_id: str, period: Period, as_of: date) -> KpiValue:
    """The figure where there is no row: zero for what is counted, none for a ratio."""
    measure = MEASURES[kpi_id]
    is_total = measure.denominator is None and measure.span == "period"
    is_partial = _is_partial(period, as_of)
    return KpiValue(kpi_id, Decimal(0) if is_total else None, is_partial=is_partial)


def _is_partial(period: Period, as_of: date) -> bool:
    return period.end > as_of + timedelta(days=1)


def _measure(kpi_id: str, filters: Filters, dimension: str | None) -> Measure:
    """How to compute a KPI; from the published daily totals where they suffice."""
    measure = MEASURES[kpi(kpi_id).kpi_id]
    asked = {*filters, *([dimension] if dimension else [])}
    if kpi_id in DAILY and asked <= {"source"}:
        return _DAILY
    for name in asked:
        if name not in measure.dimensions:
            raise _not_known_by(kpi_id, name, measure)
    return measure.known_by(asked)


def _not_known_by(kpi_id: str, name: str, measure: Measure) -> SettingsError:
    choices = ", ".join(measure.dimensions)
    return SettingsError(
        said("{kpi} is not known by {name}", kpi=kpi_id, name=name),
        remedy=said("choose of {names}", names=choices) if choices else said("take the whole"),
    )


_Key = tuple[str | None, date | None]
_Shape = tuple[tuple[str, tuple[bool, ...]], ...]
"""Filters without their values: the dimension, and which of its values stand for unknown."""


def _shape(filters: Filters) -> _Shape:
    return tuple((name, tuple(value is None for value in filters[name])) for name in filters)


@dataclass(frozen=True)
class _Query:
    sql: str
    parameters: frozenset[str]


def _names(query: exp.Expr) -> frozenset[str]:
    return frozenset(each.name for each in query.find_all(exp.Placeholder))


def _aggregate(
    con: duckdb.DuckDBPyConnection,
    version: _Version,
    kpi_ids: Sequence[str],
    period: Period,
    filters: Filters | None,
    windows: Windows | None,
    dimension: str | None,
    grain: Grain | None,
) -> dict[str, dict[_Key, KpiValue]]:
    """Figures by KPI, then by (value of the dimension, bucket); KPIs of one fact share a query."""
    filters, windows = filters or {}, windows or Windows()
    is_partial = _is_partial(period, version.as_of)
    together: dict[tuple[str, str], dict[str, Measure]] = {}
    found: dict[str, dict[_Key, KpiValue]] = {kpi_id: {} for kpi_id in kpi_ids}
    for kpi_id in kpi_ids:
        measure = _measure(kpi_id, filters, dimension)
        if measure.now_only and period.end <= version.as_of:
            continue
        together.setdefault((measure.fact, measure.span), {})[kpi_id] = measure
    shape = _shape(filters)
    for (fact, _span), measures in together.items():
        is_daily = all(measure is _DAILY for measure in measures.values())
        held = version.held(fact, period)
        query = _compiled(fact, held, tuple(measures), is_daily, shape, dimension, grain)
        for row in _frame(con, query, period, filters, windows, version).to_dicts():
            for kpi_id, measure in measures.items():
                if row.get("kpi_id", kpi_id) == kpi_id:
                    key = (row.get("part"), row.get("bucket"))
                    found[kpi_id][key] = _value(kpi_id, measure, row, is_partial)
    return found


@lru_cache(maxsize=1000)
def _compiled(
    fact: str,
    held: frozenset[str],
    kpi_ids: tuple[str, ...],
    is_daily: bool,
    filters: _Shape,
    dimension: str | None,
    grain: Grain | None,
) -> _Query:
    """The SQL of a question, whatever its dates and values, and the parameters it names."""
    query = (
        _daily_query(kpi_ids, filters, dimension, grain)
        if is_daily
        else _query(fact, held, kpi_ids, filters, dimension, grain)
    )
    return _Query(query.sql(_DIALECT), _names(query))


def _value(kpi_id: str, measure: Measure, row: Mapping[str, Any], is_partial: bool) -> KpiValue:
    prefix = "" if measure is _DAILY else f"{kpi_id}__"
    if measure.is_duration:
        ended, waiting = row[f"{kpi_id}__{_NUMERATOR}"], row[f"{kpi_id}__{_DENOMINATOR}"]
        return _duration(kpi_id, ended or {}, waiting or {}, is_partial)
    numerator = _exact(row[f"{prefix}{_NUMERATOR}"])
    beside = {name: _exact(row[f"{prefix}{name}"]) for name in measure.beside}
    if measure.denominator is None:
        if numerator is None and measure.span == "period":
            numerator = Decimal(0)
        return KpiValue(kpi_id, numerator, numerator, None, beside, is_partial)
    denominator = _exact(row[f"{prefix}{_DENOMINATOR}"])
    value = numerator / denominator if numerator is not None and denominator else None
    return KpiValue(kpi_id, value, numerator, denominator, beside, is_partial)


def _duration(
    kpi_id: str, ended: Mapping[float, int], waiting: Mapping[float, int], is_partial: bool
) -> KpiValue:
    """The median of hours, ended ones and those that still run, and what stands beside it."""
    curve = survival(ended, waiting)
    done, still = sum(ended.values()), sum(waiting.values())
    beside = {"p90": _exact(quantile(curve, 0.9)), "waiting": Decimal(still)}
    median = _exact(quantile(curve, 0.5))
    return KpiValue(kpi_id, median, Decimal(done), Decimal(done + still), beside, is_partial)


def _exact(value: Any) -> Decimal | None:
    if value is None:
        return None
    return Decimal(repr(value)) if isinstance(value, float) else Decimal(value)


@cache
def _fact(fact: str) -> exp.Expr:
    return sqlglot.parse_one(fact_sql(fact), dialect=_DIALECT)


def _daily_query(
    kpi_ids: Sequence[str], filters: _Shape, dimension: str | None, grain: Grain | None
) -> exp.Select:
    rows = _cut("daily", frozenset(), "period", filters, grain)
    names = [exp.Literal.string(kpi_id) for kpi_id in kpi_ids]
    rows = rows.where(exp.In(this=exp.column("kpi_id"), expressions=names))
    aggregates = [exp.column("kpi_id"), _aliased(_DAILY.numerator, _NUMERATOR)]
    return _grouped(rows, aggregates, dimension, grain, also=["kpi_id"])


def _query(
    fact: str,
    held: frozenset[str],
    kpi_ids: Sequence[str],
    filters: _Shape,
    dimension: str | None,
    grain: Grain | None,
) -> exp.Select:
    rows = _cut(fact, held, MEASURES[kpi_ids[0]].span, filters, grain, dimension)
    return _grouped(rows, _aggregates(kpi_ids), dimension, grain)


def _aggregates(kpi_ids: Sequence[str]) -> list[exp.Expr]:
    found = []
    for kpi_id in kpi_ids:
        measure = MEASURES[kpi_id]
        found.append(_aliased(measure.numerator, f"{kpi_id}__{_NUMERATOR}"))
        if measure.denominator is not None:
            found.append(_aliased(measure.denominator, f"{kpi_id}__{_DENOMINATOR}"))
        for name, expression in measure.beside.items():
            found.append(_aliased(expression, f"{kpi_id}__{name}"))
    return found


def _aliased(expression: str, name: str) -> exp.Expr:
    return exp.alias_(sqlglot.parse_one(expression, dialect=_DIALECT), name)


def _cut(
    fact: str,
    held: frozenset[str],
    span: str,
    filters: _Shape,
    grain: Grain | None,
    dimension: str | None = None,
) -> exp.Select:
    """The rows of a fact within the span and the filters, each with its bucket."""
    start = exp.cast(_parameter("start"), "date")
    bucket: exp.Expr = start
    if grain is not None:
        truncated = exp.cast(
            exp.func("date_trunc", exp.Literal.string(grain), exp.column("day"), dialect=_DIALECT),
            "date",
        )
        bucket = exp.func("greatest", truncated, start.copy())
    facts: exp.Expr = (
        exp.to_table(_table(fact)).as_("facts")
        if fact in held
        else exp.Subquery(
            this=_fact(fact).copy(), alias=exp.TableAlias(this=exp.to_identifier("facts"))
        )
    )
    rows = exp.select(
        exp.Column(this=exp.Star(), table=exp.to_identifier("facts")), bucket.as_("bucket")
    ).from_(facts)
    first = "year_start" if span == "year" else "start"
    if BEFORE in (dimension, *dict(filters)):
        rows = _with_segment_before(rows, first, BEFORE in held and span != "year")
    if span == "runs":
        rows = rows.where(
            exp.column("day") >= _parameter("start"), exp.column("day") <= _parameter("told_until")
        )
    elif fact in held and fact in STOCKS:
        rows = rows.where(exp.column(_MOMENT).eq(_parameter("end")))
    elif span != "whole":
        rows = rows.where(
            exp.column("day") >= _parameter(first), exp.column("day") < _parameter("end")
        )
    for position, (name, are_unknown) in enumerate(filters):
        rows = rows.where(_filter(name, are_unknown, position))
    return rows


def _with_segment_before(rows: exp.Select, first: str, is_prepared: bool) -> exp.Select:
    """Rows of customers with the RFM segment of each on the day before the first one."""
    segments = _fact(BEFORE).copy()
    if is_prepared:
        held = exp.to_table(_table(BEFORE))
        segments = exp.select("*").from_(held).where(exp.column(_MOMENT).eq(_parameter(first)))
    for each in segments.find_all(exp.Placeholder):
        if each.name == "start":
            each.set("this", first)
    before = exp.Subquery(this=segments, alias=exp.TableAlias(this=exp.to_identifier("before")))
    return rows.select(_segment_before().as_(BEFORE)).join(
        before,
        on=exp.column("customer_id", table="facts").eq(exp.column("customer_id", table="before")),
        join_type="left",
    )


def _segment_before() -> exp.Expr:
    """Of a customer who had not ordered yet, that of prospects; unknown of an unknown customer."""
    known = exp.func(
        "coalesce", exp.column("rfm_segment", table="before"), exp.Literal.string("prospect")
    )
    is_known = exp.column("customer_id", table="facts").is_(exp.null()).not_()
    return exp.Case().when(is_known, known)


def _filter(name: str, are_unknown: Sequence[bool], position: int) -> exp.Expr:
    held = _segment_before() if name == BEFORE else exp.column(name, table="facts", quoted=True)
    known = [
        _parameter(f"filter_{position}_{number}")
        for number, is_unknown in enumerate(are_unknown)
        if not is_unknown
    ]
    tests: list[exp.Expr] = [exp.In(this=held, expressions=known)] if known else []
    if any(are_unknown):
        tests.append(exp.Is(this=held.copy(), expression=exp.null()))
    return exp.or_(*tests) if tests else exp.false()


def _grouped(
    rows: exp.Select,
    aggregates: Sequence[exp.Expr],
    dimension: str | None,
    grain: Grain | None,
    also: Sequence[str] = (),
) -> exp.Select:
    keys: list[exp.Expr] = []
    if dimension is not None:
        keys.append(exp.column(dimension, quoted=True).as_("part"))
    if grain is not None:
        keys.append(exp.column("bucket"))
    query = exp.select(*keys, *aggregates).from_(rows.subquery("cut"))
    groups = [name for name in (*also, dimension, "bucket" if grain else None) if name]
    return query.group_by(*(exp.column(name, quoted=True) for name in groups)) if groups else query


def _parameter(name: str) -> exp.Expr:
    return exp.Placeholder(this=name)


def _frame(
    con: duckdb.DuckDBPyConnection,
    query: _Query,
    period: Period,
    filters: Filters,
    windows: Windows,
    version: _Version,
) -> pl.DataFrame:
    end = version.known_until(period)
    told_at = version.published_at if period.end > version.as_of else _instant(end, version)
    values: dict[str, Any] = {
        "start": period.start,
        "end": end,
        "year_start": add_months(end, -ROLLING_MONTHS),
        "end_at": _instant(end, version),
        "told_at": told_at,
        "told_until": _last_day(told_at, version),
        "as_of": version.as_of,
        "time_zone": version.time_zone,
        "previous_start": period.previous().start,
        "known_at": _instant(version.as_of + timedelta(days=1), version),
        "lapse_days": windows.lapse_days,
        "repeat_days": windows.repeat_days,
        "conversion_days": windows.conversion_days,
        "cart_hours": windows.cart_hours,
        "rfm_days": windows.rfm_days,
    }
    for position, wanted in enumerate(filters.values()):
        for number, value in enumerate(wanted):
            values[f"filter_{position}_{number}"] = value
    parameters = {name: value for name, value in values.items() if name in query.parameters}
    frame: pl.DataFrame = con.sql(query.sql, params=parameters).pl()
    return frame


@dataclass(frozen=True)
class PreparedFact:
    """A fact to write down as a table: its SELECT, the values of its parameters, an order.

    `columns` are those that it reads, by table of the version.
    """

    table: str
    sql: str
    values: Mapping[str, Any]
    order: str
    columns: Mapping[str, tuple[str, ...]]


def facts_to_prepare(
    con: duckdb.DuckDBPyConnection, windows: Windows | None = None
) -> list[PreparedFact]:
    """The facts that need no parameter but the version's own, by day, the stocks at the ends of
    months, and the segments of before the periods most looked at.

    `con` writes the version; its marts and `version_info` are there. A fact of a mart that the
    version does not have is left out; one of a missing column raises when it is written.
    """
    version = _version(con)
    known: dict[str, Any] = {
        "as_of": version.as_of,
        "time_zone": version.time_zone,
        "known_at": _instant(version.as_of + timedelta(days=1), version),
    }
    ends, beginnings = _moments(version.as_of), _beginnings(version.as_of)
    days = (windows or Windows()).rfm_days
    instants: list[Mapping[str, Any]] = [{"end_at": _instant(end, version)} for end in ends]
    told: list[Mapping[str, Any]] = [{"start": start, "rfm_days": days} for start in beginnings]
    held = _columns(con)
    found = []
    for fact in (*PREPARED, *STOCKS, BEFORE):
        columns = _columns_read(fact, held)
        if columns is None:
            continue
        if fact in STOCKS:
            sql, values, order = *_at_moments(fact, ends, instants), ""
        elif fact == BEFORE:
            sql, values, order = *_at_moments(fact, beginnings, told), ""
        else:
            query = _fact(fact)
            values = {name: value for name, value in known.items() if name in _names(query)}
            sql, order = query.sql(_DIALECT), "day"
        found.append(PreparedFact(_table(fact), sql, values, order, columns))
    return found


def prepare(con: duckdb.DuckDBPyConnection, windows: Windows | None = None) -> None:
    """Write the facts to prepare down as tables. What is asked later reads these instead of joining
    a million customers again, to the same figures."""
    for fact in facts_to_prepare(con, windows):
        write_fact(con, fact)


def write_fact(con: duckdb.DuckDBPyConnection, fact: PreparedFact) -> bool:
    """Write a fact down as a table; False when the version does not have what it reads."""
    ordered = f" order by {fact.order}" if fact.order else ""
    try:
        con.execute(f'create table "{fact.table}" as from ({fact.sql}){ordered}', fact.values)
    except NOT_HELD:
        return False
    return True


NOT_HELD = (duckdb.BinderException, duckdb.CatalogException)
"""What the SELECT of a fact raises when the version does not have what it reads."""


def _columns(con: duckdb.DuckDBPyConnection) -> dict[str, list[str]]:
    """The columns of every table and view of the version."""
    return dict(
        con.execute(
            "select table_name, list(column_name order by column_index) from duckdb_columns()"
            " where database_name = current_database() and schema_name = current_schema()"
            " group by table_name"
        ).fetchall()
    )


@dataclass(frozen=True)
class _Read:
    """A table that the SELECT of a fact reads: the columns it names, or all of them."""

    table: str
    named: frozenset[str]
    is_whole: bool


@cache
def _reads(fact: str) -> tuple[_Read, ...]:
    query = _fact(fact)
    columns = list(query.find_all(exp.Column))
    starred = {each.table for each in columns if each.is_star}
    is_bare = any(isinstance(each.parent, exp.Select) for each in query.find_all(exp.Star))
    own = {each.alias for each in query.find_all(exp.CTE)}
    return tuple(
        _Read(
            table.name,
            frozenset(each.name for each in columns if each.table in ("", table.alias_or_name)),
            is_bare or table.alias_or_name in starred,
        )
        for table in query.find_all(exp.Table)
        if table.name not in own
    )


def _columns_read(
    fact: str, held: Mapping[str, Sequence[str]]
) -> dict[str, tuple[str, ...]] | None:
    """What a fact may read of each table; none when the version does not have one of them."""
    found: dict[str, tuple[str, ...]] = {}
    for read in _reads(fact):
        if read.table not in held:
            return None
        columns = [name for name in held[read.table] if read.is_whole or name in read.named]
        found[read.table] = tuple(dict.fromkeys([*found.get(read.table, ()), *columns]))
    return found


def _at_moments(
    fact: str, moments: Sequence[date], values: Sequence[Mapping[str, Any]]
) -> tuple[str, dict[str, Any]]:
    """The SELECT of a fact as it was at some moments, each with the values of its parameters."""
    sql = _fact(fact).sql(_DIALECT)
    told = []
    for i in range(len(moments)):
        numbered = _PARAMETER.sub(rf"\g<0>_{i}", sql)
        told.append(f"select *, $moment_{i}::date as {_MOMENT} from ({numbered})")
    named = {f"moment_{i}": moment for i, moment in enumerate(moments)} | {
        f"{name}_{i}": value for i, each in enumerate(values) for name, value in each.items()
    }
    return " union all ".join(told), named


def _table(fact: str) -> str:
    return f"facts_{fact}"


def _instant(day: date, version: _Version) -> datetime:
    """The UTC instant at which a day starts for the company, naive."""
    start = datetime.combine(day, time(), ZoneInfo(version.time_zone))
    return start.astimezone(UTC).replace(tzinfo=None)


def _last_day(instant: datetime, version: _Version) -> date:
    """The company's day just before a naive UTC instant."""
    before = (instant - timedelta(microseconds=1)).replace(tzinfo=UTC)
    return before.astimezone(ZoneInfo(version.time_zone)).date()


def _version(con: duckdb.DuckDBPyConnection) -> _Version:
    as_of, time_zone, published_at, tables = con.sql(
        """
        select as_of, time_zone, published_at, (
            select list(table_name) from duckdb_tables() where starts_with(table_name, 'facts_')
        ) from version_info
        """
    ).fetchall()[0]
    prepared = frozenset(
        fact for fact in (*PREPARED, *STOCKS, BEFORE) if _table(fact) in (tables or ())
    )
    return _Version(as_of, time_zone, published_at, prepared)
