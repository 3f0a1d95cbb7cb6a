"""Periods that end on the `as_of` day, and the period each is compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import polars as pl

from cohorte.i18n import N_

LABELS = {
    "30d": N_("Last 30 days"),
    "90d": N_("Last 90 days"),
    "12m": N_("Last 12 months"),
}
AGAINST = {
    "30d": N_("vs the 30 days before"),
    "90d": N_("vs the 90 days before"),
    "12m": N_("vs the 12 months before"),
}
STEP_DAYS = {"30d": 1, "90d": 7, "12m": 30}


@dataclass(frozen=True)
class Period:
    """Days `start` to `end`, both included, and the days compared with them."""

    key: str
    start: date
    end: date
    before_start: date
    before_end: date


def a_year_before(day: date) -> date:
    """The same day a year before; 28 February for a 29th."""
    try:
        return day.replace(year=day.year - 1)
    except ValueError:
        return day.replace(year=day.year - 1, day=28)


def period(key: str, as_of: date) -> Period:
    """The period of a key of LABELS that ends on `as_of`, which is included."""
    if key == "12m":
        before_end = a_year_before(as_of)
        start = before_end + timedelta(days=1)
        return Period(key, start, as_of, a_year_before(before_end) + timedelta(days=1), before_end)
    days = int(key.removesuffix("d"))
    start = as_of - timedelta(days=days - 1)
    before_end = start - timedelta(days=1)
    return Period(key, start, as_of, before_end - timedelta(days=days - 1), before_end)


def course(days: pl.DataFrame, kpi_id: str, start: date, end: date, key: str) -> list[float]:
    """A KPI over a period in equal steps counted back from its last day; days without are 0."""
    step = STEP_DAYS[key]
    length = (end - start).days + 1
    values = [0.0] * length
    for day, value in days.filter(pl.col("kpi_id") == kpi_id).select("kpi_date", "value").rows():
        position = (day - start).days
        if 0 <= position < length:
            values[position] += value
    first = length % step
    return [sum(values[i : i + step]) for i in range(first, length, step)]


def steps(counts: dict[int, int], start: date, end: date, key: str) -> list[float]:
    """Counts by steps back from `end` as a course from `start`; whole steps only."""
    whole = ((end - start).days + 1) // STEP_DAYS[key]
    return [float(counts.get(back, 0)) for back in range(whole - 1, -1, -1)]


def ratio(parts: Sequence[float], wholes: Sequence[float]) -> list[float]:
    """Step by step part over whole; 0 where the whole is 0."""
    return [part / whole if whole else 0.0 for part, whole in zip(parts, wholes, strict=True)]
