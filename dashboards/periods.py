"""Periods that end on the `as_of` day, and the course of a KPI through them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta

from cohorte.i18n import N_
from cohorte.kpis import Grain, Period, add_months, last_days

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
GRAINS: dict[str, Grain] = {"30d": "day", "90d": "week", "12m": "month"}
STEP_DAYS = {"30d": 1, "90d": 7, "12m": 30}


def period(key: str, as_of: date) -> Period:
    """The period of a key of LABELS that ends with `as_of`, included."""
    if key == "12m":
        end = as_of + timedelta(days=1)
        return Period(add_months(end, -12), end)
    return last_days(int(key.removesuffix("d")), as_of)


def in_steps(days: Sequence[float], key: str) -> list[float]:
    """Daily values summed in equal steps counted back from the last day; whole steps only."""
    step = STEP_DAYS[key]
    return [sum(days[i : i + step]) for i in range(len(days) % step, len(days), step)]


def ratio(parts: Sequence[float], wholes: Sequence[float]) -> list[float]:
    """Step by step part over whole; 0 where the whole is 0."""
    return [part / whole if whole else 0.0 for part, whole in zip(parts, wholes, strict=True)]
