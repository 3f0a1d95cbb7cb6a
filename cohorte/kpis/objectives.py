"""Objectives: how far a figure is towards its target, and where its period will end.

A total grows through its period as it did a year before, when that year is known; else evenly. A
ratio or a stock does not grow by the day: what it is now is what to expect.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal, InvalidOperation
from typing import Literal

from cohorte.errors import CohorteError, SettingsError
from cohorte.kpis.definitions import dimensions, kpi
from cohorte.kpis.figures import Period
from cohorte.said import said

Standing = Literal["reached", "on_track", "behind", "ahead_of_us", "unknown"]

NEAR = Decimal("0.97")
"""A forecast this close to the target is on track."""


@dataclass(frozen=True)
class Progress:
    """An objective on a day. `due`: what should be there by now; `expected`: at the period's end.

    `attainment` is of the whole target, `pace` of what is due by now.
    """

    value: Decimal | None
    due: Decimal | None
    expected: Decimal | None
    attainment: Decimal | None
    pace: Decimal | None
    standing: Standing


def progress(
    kpi_id: str,
    target: Decimal,
    period: Period,
    as_of: date,
    figure: Callable[[Period], Decimal | None],
) -> Progress:
    """Where an objective stands at the end of `as_of`; `figure` gives the KPI over a period."""
    defined = kpi(kpi_id)
    known = min(period.end, as_of + timedelta(days=1))
    if known <= period.start:
        return Progress(None, None, None, None, None, "ahead_of_us")
    so_far = Period(period.start, known)
    value = figure(so_far)
    if value is None:
        return Progress(None, None, None, None, None, "unknown")
    portion = _portion(period, so_far, figure) if defined.additive else Decimal(1)
    due = target * portion
    expected = value / portion if portion else None
    return Progress(
        value,
        due,
        expected,
        value / target if target else None,
        value / due if due else None,
        _standing(target, expected, value, defined.direction == "down", known == period.end),
    )


def part_of_target(
    kpi_id: str,
    target: Decimal,
    period: Period,
    part: Period,
    figure: Callable[[Period], Decimal | None],
) -> Decimal | None:
    """What of an objective belongs to some days within its period; `figure` gives the KPI.

    None for a ratio or a stock, unless the days are the whole period: it has no parts.
    """
    if part != period and not kpi(kpi_id).additive:
        return None
    return target * _portion(period, part, figure)


def _portion(period: Period, part: Period, figure: Callable[[Period], Decimal | None]) -> Decimal:
    """The part of the period's total to expect in some of its days."""
    if part == period:
        return Decimal(1)
    whole_before, part_before = figure(period.year_before()), figure(part.year_before())
    if whole_before and part_before and whole_before > 0 and part_before > 0:
        return part_before / whole_before
    return Decimal(part.days) / period.days


def _standing(
    target: Decimal, expected: Decimal | None, value: Decimal, down: bool, is_over: bool
) -> Standing:
    if expected is None:
        return "unknown"
    if down:
        return (
            "reached"
            if is_over and value <= target
            else ("on_track" if expected * NEAR <= target and not is_over else "behind")
        )
    if value >= target:
        return "reached"
    return "on_track" if expected >= target * NEAR and not is_over else "behind"


@dataclass(frozen=True)
class Goal:
    """An objective as entered: a KPI, half-open days, a scope such as ``team:Nord``, a value."""

    kpi_id: str
    period: Period
    scope: str
    value: Decimal


def scope_of(dimension: str | None, value: str | None) -> str:
    """How a scope is written; empty for the whole company."""
    return f"{dimension}:{value}" if dimension and value else ""


def filters_of(kpi_id: str, scope: str) -> dict[str, tuple[str, ...]]:
    """The filters of a scope; SettingsError when the KPI is not known by it."""
    if not scope:
        return {}
    dimension, _colon, value = scope.partition(":")
    if dimension not in dimensions(kpi_id) or not value:
        raise SettingsError(
            said('{kpi} has no scope "{scope}"', kpi=kpi_id, scope=scope),
            remedy=said(
                "leave it empty, or write {names}:value", names="|".join(dimensions(kpi_id))
            ),
        )
    return {dimension: (value,)}


COLUMNS = ("kpi_id", "start_date", "last_date", "scope", "target_value")


def read_goals(written: bytes) -> list[Goal]:
    """The objectives of a CSV file with the columns of `COLUMNS`, comma or semicolon.

    Dates are ISO, `last_date` is the last day of the period. SettingsError names the line.
    """
    text = written.decode("utf-8-sig", errors="replace")
    first = text.split("\n", 1)[0]
    rows = csv.DictReader(io.StringIO(text), delimiter=";" if ";" in first else ",")
    missing = set(COLUMNS) - {"scope"} - set(rows.fieldnames or ())
    if missing:
        raise SettingsError(
            said("the file has no column {names}", names=", ".join(sorted(missing))),
            remedy=said("give it the columns {names}", names=", ".join(COLUMNS)),
        )
    goals = []
    for number, row in enumerate(rows, start=2):
        try:
            kpi_id, scope = (row["kpi_id"] or "").strip(), (row.get("scope") or "").strip()
            filters_of(kpi(kpi_id).kpi_id, scope)
            start = date.fromisoformat((row["start_date"] or "").strip())
            last = date.fromisoformat((row["last_date"] or "").strip())
            written_value = (row["target_value"] or "").replace("\u202f", "").replace(" ", "")
            value = Decimal(written_value.replace(",", "."))
            if not value.is_finite():
                raise InvalidOperation
            goals.append(Goal(kpi_id, Period(start, last + timedelta(days=1)), scope, value))
        except (ValueError, InvalidOperation, CohorteError) as error:
            reason = (
                error.message if isinstance(error, CohorteError) else said("a value does not read")
            )
            raise SettingsError(
                said("line {number}: {reason}", number=number, reason=reason),
                remedy=said("dates as 2026-12-31, numbers as 1250.5; nothing was imported"),
            ) from error
    return goals
