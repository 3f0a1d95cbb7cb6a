"""Leads and sales: the way from lead to won, what is open, what to expect, how long stages last."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from math import sqrt
from typing import Any

import polars as pl
import streamlit as st

from cohorte.i18n import N_
from cohorte.kpis import Period, add_months, kpi
from cohorte.kpis.durations import quantile, survival
from dashboards import charts, figures, periods, queries, theme, vocabulary
from dashboards.charts import Line
from dashboards.components import (
    Column,
    bar,
    card,
    choice,
    draw,
    empty,
    line_legend,
    note,
    page_head,
    pill,
    plot,
    table,
)
from dashboards.components import figures as figure_cards
from dashboards.language import Words, words
from dashboards.lead_parts import show_contracts_first, show_leads_first, show_leads_moved
from dashboards.markup import join, span
from dashboards.queries import Row

HEADLINE = (
    "leads_created",
    "lead_to_opportunity",
    "win_rate",
    "pipeline_value",
    "weighted_forecast",
)
BY = {
    "month": N_("Month of entry"),
    "channel": N_("Channel"),
    "owner": N_("Person"),
    "industry": N_("Industry"),
}
PERIODS = {"12m": N_("Last 12 months"), "24m": N_("Last 24 months")}
PAST_MONTHS = 12
JUDGED_MONTHS = 6
SHOWN = 14


def render() -> None:
    _ = words()
    as_of = queries.pinned().as_of
    with page_head(
        _("Leads and sales"), _("From lead to won, what is open, and what to expect of it.")
    ):
        key = choice(_("Period"), list(PERIODS), lambda each: _(PERIODS[each]), "period", "12m")
    period = periods.period(key, as_of)
    funnel = queries.lead_funnel("month", period.start, period.end)
    ends = tuple(_month_ends(as_of, PAST_MONTHS))
    past = queries.kpi_at("pipeline_value", "stage", ends)
    if not funnel and not any(past):
        empty(
            _("No leads and no opportunities yet"),
            _("This page shows them once a source brings leads or opportunities."),
            symbol="lead",
        )
        return
    figure_cards([figures.figure_of(kpi(name), period, _) for name in HEADLINE])
    _funnel(period, funnel, _)
    show_leads_first(_)
    show_leads_moved(_)
    _pipeline(ends, past, _)
    show_contracts_first(_)
    left, right = st.columns(2, gap="small")
    with left:
        _forecast(as_of, _)
    with right:
        _past_forecasts(as_of, _)
    left, right = st.columns(2, gap="small")
    with left:
        _stages(_)
    with right:
        _activity(period, _)


def _month_ends(as_of: date, count: int) -> list[date]:
    """The last days of the months before, and as_of."""
    first = as_of.replace(day=1)
    return [*(add_months(first, -i) - timedelta(days=1) for i in reversed(range(count))), as_of]


def _funnel(period: Period, by_month: Sequence[Row], _: Words) -> None:
    leads, opportunities, won = (
        sum(row[name] for row in by_month) for name in ("leads", "opportunities", "won")
    )
    title = _(
        "Of {leads} leads, {opportunities} became an opportunity and {won} were won",
        leads=_.number(leads),
        opportunities=_.number(opportunities),
        won=_.number(won),
    )
    with card("funnel", title, _("By when they came in: the latest have had the least time")):
        by = choice(_("By"), list(BY), lambda each: _(BY[each]), "by", "month")
        rows = (
            sorted(by_month, key=lambda row: row["part"], reverse=True)
            if by == "month"
            else queries.lead_funnel(by, period.start, period.end)
        )
        top = max((row["leads"] for row in rows), default=1)
        draw(
            table(
                [
                    Column(_(BY[by])),
                    Column(_("Leads"), "num first"),
                    Column("", "wide"),
                    Column(_("Became opportunities"), "num hide"),
                    Column(_("Won"), "num hide"),
                    Column(_("Amount won"), "num hide"),
                ],
                [
                    [
                        span(_name(by, row["part"], _), cls="main"),
                        _.number(row["leads"]),
                        bar(row["leads"] / top),
                        _of(row["opportunities"], row["leads"], _),
                        _of(row["won"], row["leads"], _),
                        _.money(row["amount"], 0) if row["amount"] is not None else "–",
                    ]
                    for row in rows[:SHOWN]
                ],
                title,
            )
        )


def _name(by: str, part: Any, _: Words) -> str:
    if by == "month":
        return _.month(part)
    return vocabulary.part(by, part, _)


def _of(part: int, whole: int, _: Words) -> Any:
    return join(span(_.number(part)), " ", span(_.share(part, whole), cls="co-none"))


def _pipeline(ends: Sequence[date], past: Sequence[dict[str | None, Any]], _: Words) -> None:
    stages = list(dict.fromkeys(stage for at in reversed(past) for stage in at))[:6]
    if not stages:
        return
    tokens = theme.tokens(st.context.theme.type)
    lines = [
        Line(
            stage or _("unknown"),
            [float(at[stage].value or 0) if stage in at else 0.0 for at in past],
            colour,
        )
        for stage, colour in zip(stages, charts.SERIES_COLOURS, strict=False)
    ]
    now, before = (sum(float(each.value or 0) for each in past[i].values()) for i in (-1, 0))
    title = _(
        "{now} is open today; a year ago it was {before}",
        now=_.short_money(now),
        before=_.short_money(before),
    )
    with card("pipeline", title, _("Open amounts by stage at the end of each month")):
        line_legend(lines)
        plot(
            charts.stacked(
                [_.bucket(at, "month", axis=True) for at in ends],
                [_.day(at) for at in ends],
                lines,
                lambda value, short: _.short_money(value) if short else _.money(value, 0),
                _,
                tokens,
            ),
            title,
        )


def weighed(frame: pl.DataFrame) -> tuple[float, float]:
    """Amounts times their chances, and half the width of the 95 % interval."""
    pairs = [
        (float(amount), float(chance))
        for amount, chance in frame.select("reporting_amount", "win_probability").iter_rows()
        if amount is not None and chance is not None
    ]
    variance = sum(amount**2 * chance * (1 - chance) for amount, chance in pairs)
    return sum(amount * chance for amount, chance in pairs), 1.96 * sqrt(variance)


def _forecast(as_of: date, _: Words) -> None:
    frame = queries.forecast_at(as_of)
    if frame.is_empty():
        return
    first = as_of.replace(day=1)
    frame = frame.with_columns(
        pl.col("expected_close_date").dt.truncate("1mo").alias("month"),
    )
    rows = []
    for month in sorted(frame["month"].unique().to_list(), key=lambda each: (each is None, each)):
        part = frame.filter(pl.col("month").eq_missing(month))
        value, margin = weighed(part)
        if month is None:
            name = _("no date")
        elif month < first:
            name = _("{month} (overdue)", month=_.month(month))
        else:
            name = _.month(month)
        rows.append(
            [
                span(name, cls="main"),
                _.number(len(part)),
                _.money(float(part["reporting_amount"].sum() or 0), 0),
                join(span(_.money(value, 0)), span(f"± {_.money(margin, 0)}", cls="sub")),
            ]
        )
    value, margin = weighed(frame)
    title = _(
        "{value} ± {margin} to expect of what is open",
        value=_.short_money(value),
        margin=_.short_money(margin),
    )
    with card(
        "forecast", title, _("By expected month of closing; chances from what came of their like")
    ):
        draw(
            table(
                [
                    Column(_("Closing")),
                    Column(_("Open"), "num hide"),
                    Column(_("Amount"), "num hide"),
                    Column(_("To expect"), "num first"),
                ],
                rows,
                title,
            )
        )


def _past_forecasts(as_of: date, _: Words) -> None:
    rows, held = [], 0
    for day in reversed(_month_ends(as_of, PAST_MONTHS)[:-1]):
        frame = queries.forecast_at(day)
        if frame.is_empty():
            continue
        value, margin = weighed(frame)
        won = float(frame.filter(pl.col("is_won"))["reporting_amount"].sum() or 0)
        still = frame.filter(pl.col("is_won").is_null()).height
        inside = abs(won - value) <= margin
        judged = still == 0
        held += judged and inside
        rows.append((day, value, margin, won, still, inside, judged))
    if not rows:
        return
    judged_rows = [row for row in rows if row[6]]
    title = (
        _(
            "{held} of {count} past forecasts held within their margin",
            held=_.number(held),
            count=_.number(len(judged_rows)),
        )
        if judged_rows
        else _("What past forecasts came to")
    )
    with card(
        "past",
        title,
        _("Made from what was known then, against what was won of the same opportunities"),
    ):
        draw(
            table(
                [
                    Column(_("On")),
                    Column(_("Forecast"), "num first"),
                    Column(_("Won since"), "num hide"),
                    Column("", "num hide"),
                ],
                [
                    [
                        span(_.day(day), cls="main"),
                        join(span(_.money(value, 0)), span(f"± {_.money(margin, 0)}", cls="sub")),
                        _.money(won, 0),
                        pill(_.ngettext("{count} open", "{count} open", still))
                        if still
                        else pill(_("held"), "good")
                        if inside
                        else pill(_("missed"), "bad"),
                    ]
                    for day, value, margin, won, still, inside, _judged in rows
                ],
                title,
            )
        )


def _stages(_: Words) -> None:
    stays: dict[str, tuple[dict[float, int], dict[float, int]]] = {}
    for row in queries.stage_stays():
        ended, waiting = stays.setdefault(row["stage"], ({}, {}))
        (ended if row["has_left"] else waiting)[float(row["days"])] = row["stays"]
    if not stays:
        return
    body = []
    slowest, slowest_days = "", 0.0
    medians = {stage: quantile(survival(*counted), 0.5) for stage, counted in stays.items()}
    for stage, (ended, waiting) in stays.items():
        curve = survival(ended, waiting)
        median, ninth = medians[stage], quantile(curve, 0.9)
        if median and median > slowest_days:
            slowest, slowest_days = stage, median
        body.append(
            [
                span(stage, cls="main"),
                _.days(median) if median is not None else "–",
                _.days(ninth) if ninth is not None else "–",
                _.number(sum(waiting.values())),
            ]
        )
    title = (
        _(
            "{stage} takes longest: half stay {days} or more",
            stage=slowest,
            days=_.days(slowest_days),
        )
        if slowest
        else _("Time in each stage")
    )
    with card(
        "stages", title, _("Those still in a stage count for as long as they have been there")
    ):
        draw(
            table(
                [
                    Column(_("Sales stage")),
                    Column(_("Median"), "num first"),
                    Column(_("Nine in ten within"), "num hide"),
                    Column(_("In it now"), "num hide"),
                ],
                body,
                title,
            )
        )


def _activity(period: Period, _: Words) -> None:
    parts = queries.kpi_parts("sales_activities", "kind", period)
    if not parts:
        return
    months = queries.kpi_series("sales_activities", "month", period)
    days = [day for day, _value in months]
    lines = [
        Line(
            vocabulary.part("kind", part, _),
            [
                float(value.value or 0)
                for _day, value in queries.kpi_series(
                    "sales_activities", "month", period, (("kind", (part,)),)
                )
            ],
            colour,
        )
        for part, colour in zip(parts, charts.SERIES_COLOURS, strict=False)
    ]
    total = sum(float(value.value or 0) for _day, value in months)
    title = _("{count} calls, visits and meetings", count=_.number(total))
    each_day = queries.kpi_figures(("sales_activity",), period)["sales_activity"].value
    said = _(
        "By month, for the whole company; {count} per person and day with any",
        count=_.number(each_day, 1),
    )
    with card("activity", title, said if each_day else _("By month, for the whole company")):
        line_legend(lines)
        plot(
            charts.stacked(
                figures.labels(days, "month", _),
                [_.month(day) for day in days],
                lines,
                lambda value, short: _.short_number(value or 0) if short else _.number(value),
                _,
                theme.tokens(st.context.theme.type),
                height=200,
            ),
            title,
        )
        note(_("No one's work is counted by name."))


render()
