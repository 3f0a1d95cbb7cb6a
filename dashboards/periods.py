"""Periods that end on the `as_of` day, and the course of a KPI through them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import cast

from cohorte.i18n import N_
from cohorte.kpis import Grain, Period, add_months, last_days

LABELS = {
    "30d": N_("Last 30 days"),
    "90d": N_("Last 90 days"),
    "12m": N_("Last 12 months"),
}
LONGER = {
    "month": N_("This month"),
    "quarter": N_("This quarter"),
    "year": N_("This year"),
    "24m": N_("Last 24 months"),
    "60m": N_("Last 5 years"),
}
GRAIN_NAMES: dict[Grain, str] = {
    "day": N_("Day"),
    "week": N_("Week"),
    "month": N_("Month"),
    "quarter": N_("Quarter"),
    "year": N_("Year"),
}
AGAINST = {
    "30d": N_("vs the 30 days before"),
    "90d": N_("vs the 90 days before"),
    "12m": N_("vs the 12 months before"),
}
GRAINS: dict[str, Grain] = {"30d": "day", "90d": "week", "12m": "month"}
STEP_DAYS = {"30d": 1, "90d": 7, "12m": 30}


def period(key: str, as_of: date) -> Period:
    """The period of a key of LABELS or LONGER that ends with `as_of`, included."""
    end = as_of + timedelta(days=1)
    match key:
        case "month":
            return Period(as_of.replace(day=1), end)
        case "quarter":
            return Period(as_of.replace(month=as_of.month - (as_of.month - 1) % 3, day=1), end)
        case "year":
            return Period(as_of.replace(month=1, day=1), end)
    if key.endswith("m"):
        return Period(add_months(end, -int(key.removesuffix("m"))), end)
    return last_days(int(key.removesuffix("d")), as_of)


def grain_for(period: Period) -> Grain:
    """A grain that cuts a period into a readable number of steps."""
    for grain, days in (("day", 45), ("week", 200), ("month", 1200), ("quarter", 4000)):
        if period.days <= days:
            return cast(Grain, grain)
    return "year"


def in_steps(days: Sequence[float], key: str) -> list[float]:
    """Daily values summed in equal steps counted back from the last day; whole steps only."""
    step = STEP_DAYS[key]
    return [sum(days[i : i + step]) for i in range(len(days) % step, len(days), step)]


def ratio(parts: Sequence[float], wholes: Sequence[float]) -> list[float]:
    """Step by step part over whole; 0 where the whole is 0."""
    return [part / whole if whole else 0.0 for part, whole in zip(parts, wholes, strict=True)]
