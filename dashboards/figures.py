"""KPIs as pages show them: the figure, its change, what stands beside it, its course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from decimal import Decimal

from cohorte.kpis import Grain, Kpi, KpiValue, Period, buckets, catalogue
from cohorte.kpis.definitions import MEASURES
from dashboards import charts, findings, queries, vocabulary
from dashboards.charts import Line, Plot
from dashboards.components import Figure
from dashboards.language import Words
from dashboards.queries import Filtered
from dashboards.theme import Tokens

SLOW_STEPS = 60
"""Steps of a course that asks the version once a step."""


def up_is_good(kpi: Kpi) -> bool | None:
    """Whether a rise is good; None when neither direction is better."""
    return {"up": True, "down": False, "none": None}[kpi.direction]


def explained(kpi: Kpi, _: Words) -> str:
    """The definition and what to beware of."""
    definition = kpi.definition(_.code, queries.windows())
    return ". ".join(filter(None, [definition, kpi.caution(_.code)]))


def beside(kpi: Kpi, value: KpiValue, _: Words) -> list[tuple[str, str]]:
    """What must be read with a figure: names and values in words."""
    said = []
    for name, found in value.beside.items():
        unit = (
            kpi.unit
            if name in vocabulary.BESIDE_OWN
            else vocabulary.BESIDE_UNITS.get(name, "count")
        )
        written = _.figure(found, unit)
        if name == "margin" and found is not None:
            written = f"± {written}"
        said.append((_(vocabulary.BESIDE.get(name, name)), written))
    return said


def moved(kpi: Kpi, now: KpiValue | None, before: KpiValue | None) -> float | None:
    """The change as a ratio, or in its own unit for shares and points; None without both."""
    if now is None or before is None or now.value is None or before.value is None:
        return None
    if kpi.unit in ("percent", "points"):
        return float(now.value - before.value)
    return findings.change(now.value, before.value)


def said_move(kpi: Kpi, change: float | None, _: Words) -> str:
    """A change from `moved` in words."""
    if change is None:
        return _("no comparison")
    if kpi.unit in ("percent", "points"):
        return _.difference(change, kpi.unit)
    return _.change(change)


def figure_of(kpi: Kpi, period: Period, _: Words) -> Figure:
    """A headline figure against the period before: with what stands beside it as its remark."""
    now = queries.kpi_figures((kpi.kpi_id,), period)[kpi.kpi_id]
    before = queries.kpi_figures((kpi.kpi_id,), period.previous())[kpi.kpi_id]
    aside = beside(kpi, now, _)[:1]
    return Figure(
        name=kpi.title(_.code),
        value=_.figure(now.value, kpi.unit),
        definition=explained(kpi, _),
        change=moved(kpi, now, before),
        unit=kpi.unit,
        against=_("vs the period before"),
        up_is_good=up_is_good(kpi),
        known=now.value is not None,
        remark=" ".join(aside[0]) if aside else "",
    )


def steps(kpi_id: str, grain: Grain, period: Period) -> Grain:
    """The grain, or a coarser one where a fine one would ask too much of the version."""
    coarser: dict[Grain, Grain] = {
        "day": "week",
        "week": "month",
        "month": "quarter",
        "quarter": "year",
    }
    limit = 800 if MEASURES[kpi_id].span == "period" else SLOW_STEPS
    while grain in coarser and len(buckets(period, grain)) > limit:
        grain = coarser[grain]
    return grain


def course_plot(
    kpi: Kpi,
    grain: Grain,
    period: Period,
    against: Period | None,
    filters: Filtered,
    names: tuple[str, str],
    tokens: Tokens,
    _: Words,
    target: Decimal | None = None,
    height: int = 260,
) -> Plot:
    """The course of a KPI through a period, with that of another under it."""
    found = queries.kpi_series(kpi.kpi_id, grain, period, filters)
    lines = []
    if against is not None:
        earlier = [
            _float(each) for _day, each in queries.kpi_series(kpi.kpi_id, grain, against, filters)
        ]
        lines.append(Line(names[1], earlier[: len(found)], tokens.ink_faint, dashed=True))
    lines.append(Line(names[0], [_float(each) for _day, each in found], tokens.now))
    if target is not None:
        lines.append(
            Line(_("Target"), [float(target)] * len(found), charts.SERIES_COLOURS[1], True)
        )
    days = [day for day, _each in found]
    return _drawn(kpi, grain, period, days, lines, tokens, _, height)


def parts_plot(
    kpi: Kpi,
    grain: Grain,
    period: Period,
    dimension: str,
    parts: Sequence[str | None],
    filters: Filtered,
    names: Mapping[str, str],
    tokens: Tokens,
    _: Words,
) -> Plot:
    """The courses of the parts of a dimension."""
    days: list[date] = []
    lines = []
    for part, colour in zip(parts, charts.SERIES_COLOURS, strict=False):
        found = queries.kpi_series(kpi.kpi_id, grain, period, (*filters, (dimension, (part,))))
        days = [day for day, _each in found]
        name = vocabulary.part(dimension, part, _, names)
        lines.append(Line(name, [_float(each) for _day, each in found], colour))
    return _drawn(kpi, grain, period, days, lines, tokens, _)


def _drawn(
    kpi: Kpi,
    grain: Grain,
    period: Period,
    days: Sequence[date],
    lines: Sequence[Line],
    tokens: Tokens,
    _: Words,
    height: int = 260,
) -> Plot:
    return charts.course(
        labels(days, grain, _),
        [_.bucket(day, grain) for day in days],
        lines,
        lambda value, short: _.figure(value, kpi.unit, short=short),
        _,
        tokens,
        partial=bool(days) and _is_open(days[-1], grain, period),
        height=height,
    )


def labels(days: Sequence[date], grain: Grain, _: Words) -> list[str]:
    """What stands under the steps of a chart."""
    return [_.bucket(day, grain, axis=True) for day in days]


def grouped() -> dict[str, list[Kpi]]:
    """The catalogue by the team that answers for it."""
    found: dict[str, list[Kpi]] = {team: [] for team in vocabulary.TEAMS_OF_KPIS}
    for kpi in catalogue().values():
        found[kpi.owner].append(kpi)
    return found


def names_of(dimension: str, _: Words) -> dict[str, str]:
    """Names that the data give to the values of a dimension."""
    if dimension == "campaign_id":
        return queries.campaign_names()
    if dimension == "rfm_segment":
        return findings.rfm_names(_)
    if dimension == "rfm_segment_before":
        return {**findings.rfm_names(_), "prospect": _("First-time buyers")}
    return {}


def _float(value: KpiValue) -> float | None:
    return None if value.value is None else float(value.value)


def _is_open(first: date, grain: Grain, period: Period) -> bool:
    """Whether the last step is cut by the end of the period."""
    (whole, *_rest) = buckets(Period(first, date(first.year + 2, 1, 1)), grain)
    return whole.end > period.end
