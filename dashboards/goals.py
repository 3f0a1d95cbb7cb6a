"""Objectives as the pages show them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import date
from decimal import Decimal

from cohorte.errors import CohorteError
from cohorte.kpis import Period
from cohorte.kpis.figures import month_of
from cohorte.kpis.objectives import Progress, filters_of, part_of_target, progress
from cohorte.store import Target
from dashboards import figures, queries, vocabulary
from dashboards.language import Words


def standing_of(target: Target, as_of: date) -> Progress:
    """Where a target stands; unknown when its scope no longer reads."""
    try:
        filters = tuple(filters_of(target.kpi_id, target.scope).items())
    except CohorteError:
        return Progress(None, None, None, None, None, "unknown")

    def figure(period: Period) -> Decimal | None:
        return queries.kpi_figures((target.kpi_id,), period, filters)[target.kpi_id].value

    period = Period(target.start_date, target.end_date)
    return progress(target.kpi_id, target.target_value, period, as_of, figure)


def asked_of_months(
    kpi_id: str, months: Sequence[date], targets: Iterable[Target]
) -> list[float | None]:
    """What the whole company's objectives ask of each month; of several the shortest counts."""

    def figure(period: Period) -> Decimal | None:
        return queries.kpi_figures((kpi_id,), period)[kpi_id].value

    of_company = [
        (Period(target.start_date, target.end_date), target.target_value)
        for target in targets
        if target.kpi_id == kpi_id and not target.scope
    ]
    of_company.sort(key=lambda target: target[0].days)
    asked: list[float | None] = []
    for month in map(month_of, months):
        parts = (
            part_of_target(kpi_id, value, period, month, figure)
            for period, value in of_company
            if period.start <= month.start and month.end <= period.end
        )
        part = next((part for part in parts if part is not None), None)
        asked.append(None if part is None else float(part))
    return asked


def scope_name(scope: str, _: Words) -> str:
    """A scope in words; the whole company when empty."""
    if not scope:
        return _("whole company")
    dimension, _colon, value = scope.partition(":")
    name = vocabulary.DIMENSIONS.get(dimension)
    called = vocabulary.part(dimension, value, _, figures.names_of(dimension, _))
    return f"{_(name) if name else dimension}: {called}"
