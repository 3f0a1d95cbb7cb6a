"""Overview: how the company does, against the period before and the year before."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import polars as pl
import streamlit as st

from cohorte.kpis import Comparison, Kpi, KpiValue, Period, catalogue, last_days
from cohorte.kpis.definitions import DAILY, MEASURES
from cohorte.kpis.objectives import Progress
from cohorte.store import Target
from dashboards import address, charts, findings, periods, person, queries, theme, vocabulary
from dashboards import figures as shown
from dashboards.components import (
    Column,
    Figure,
    bar,
    card,
    change_pill,
    choice,
    draw,
    empty,
    figures,
    insight,
    legend,
    page_head,
    picture,
    strip,
    swatch,
    table,
    warning,
)
from dashboards.goals import asked_of_months, scope_name, standing_of
from dashboards.language import Words, words
from dashboards.markup import join, span

MONTHS_SHOWN = 13
HEADLINE = ("net_revenue", "orders", "average_order_value", "active_customers", "new_customers")
BESIDE = (
    "items_sold",
    "returned_amount",
    "leads_created",
    "leads_converted",
    "opportunities_won",
    "tickets_opened",
    "emails_opened",
    "web_visits",
)
MOST_FIGURES = 12
CHOICE = "overview"
WHY = (
    "rfm_segment_before",
    "channel",
    "store",
    "product_category",
    "party",
    "region",
    "country_code",
)
"""By the segment of before the period: that of now is decided by who bought last."""
NEARLY_ALL = 0.8
"""A part this large says nothing: it moves as the whole does."""
WHY_SHOWN = 4


def render() -> None:
    _ = words()
    served = queries.pinned()
    chosen_kpis = _chosen_kpis()
    with page_head(
        _("Overview"),
        _(
            "How {company} is doing, to {day}.",
            company=served.company,
            day=_.day(served.as_of, "long"),
        ),
    ):
        key = choice(
            _("Period"), list(periods.LABELS), lambda key: _(periods.LABELS[key]), "period", "90d"
        )
        _arrange(chosen_kpis, _)
    first = queries.first_day()
    if first is None:
        empty(
            _("No sales yet"),
            _("Revenue, orders and customers appear here once a source brings orders."),
            symbol="order",
        )
        return
    period = periods.period(key, served.as_of)
    previous = period.previous()
    comparable = first <= previous.start
    known = catalogue()
    wanted = tuple(dict.fromkeys((*HEADLINE, *BESIDE, *chosen_kpis)))
    found = queries.comparison(wanted, period, previous)
    a_year = period.year_before()
    last_year = queries.kpi_figures(chosen_kpis, a_year) if first <= a_year.start else {}
    insight(findings.main_finding(found, _(periods.LABELS[key]), comparable, _))
    targets = queries.store().list_targets()
    running = _running(targets, served.as_of)
    _alerts(running, served.as_of, _)
    goals = _goals(running)
    figures(
        [
            _figure(known[k], found[k], last_year.get(k), goals.get(k), key, period, comparable, _)
            for k in chosen_kpis
        ]
    )
    _beside([(known[k], found[k]) for k in BESIDE if k not in chosen_kpis], comparable, _)
    if comparable:
        _why(key, period, previous, _)
    tokens = theme.tokens(st.context.theme.type)
    frame = findings.monthly(queries.months(), served.as_of).tail(MONTHS_SHOWN)
    left, right = st.columns(2, gap="small")
    with left, card("revenue", findings.revenue_finding(frame, _), _("Net revenue by month")):
        asked = _with_objectives(frame, "net_revenue", targets)
        items = [(_("This year"), tokens.now), (_("Same month a year before"), tokens.ink, "tick")]
        legend([*items, *_aimed_at(asked, tokens, _)])
        picture(charts.revenue_by_month, asked, _, tokens, says=_("Net revenue by month"))
    with right, card("customers", findings.customers_finding(frame, _), _("Buyers by month")):
        asked = _with_objectives(frame, "active_customers", targets)
        items = [(_("Returning"), tokens.now), (_("New"), tokens.second)]
        legend([*items, *_aimed_at(asked, tokens, _)])
        picture(charts.new_and_returning, asked, _, tokens, says=_("Buyers by month"))
    _where_revenue_comes_from(_)


def _with_objectives(frame: pl.DataFrame, kpi_id: str, targets: Sequence[Target]) -> pl.DataFrame:
    """The months with what objectives ask of each, null where none does."""
    asked = asked_of_months(kpi_id, frame["month"].to_list(), targets)
    return frame.with_columns(pl.Series("objective", asked, dtype=pl.Float64))


def _aimed_at(frame: pl.DataFrame, tokens: theme.Tokens, _: Words) -> list[tuple[str, str, str]]:
    """The objective in a legend, where any month has one."""
    is_drawn = frame["objective"].null_count() < len(frame)
    return [(_("Objective"), tokens.third, "dash")] if is_drawn else []


def _chosen_kpis() -> tuple[str, ...]:
    """The figures this person put on the page; those everyone begins with when they did not."""
    held = person.preference(CHOICE)
    kept = [each for each in held if each in catalogue()] if isinstance(held, list) else []
    return tuple(kept[:MOST_FIGURES]) or HEADLINE


def _arrange(chosen: tuple[str, ...], _: Words) -> None:
    """Which figures stand at the head of the page, and in which order."""
    with st.popover(_("Arrange"), icon=":material/tune:"):
        picked = st.multiselect(
            _("Figures on this page, in this order"),
            list(catalogue()),
            default=list(chosen),
            format_func=lambda each: catalogue()[each].title(_.code),
            max_selections=MOST_FIGURES,
            placeholder=_("Choose"),
            key="arranged",
        )
        if tuple(picked) != chosen and st.button(_("Keep"), type="primary", key="arrange"):
            person.keep(CHOICE, list(picked) if picked and tuple(picked) != HEADLINE else None)
            st.rerun()
        is_home = person.preference("home") in (None, "overview")
        if not is_home and st.button(_("Begin here"), key="begin-here"):
            person.keep("home", None)
            st.rerun()


def _running(targets: Sequence[Target], as_of: date) -> list[tuple[Target, Progress]]:
    """The objectives of today, and where each stands."""
    return [
        (target, standing_of(target, as_of))
        for target in targets
        if target.start_date <= as_of < target.end_date and target.kpi_id in catalogue()
    ]


def _goals(running: Sequence[tuple[Target, Progress]]) -> dict[str, tuple[Target, Progress]]:
    """The running objective of each KPI for the whole company; the one that ends first."""
    found: dict[str, tuple[Target, Progress]] = {}
    for target, where in sorted(running, key=lambda each: each[0].end_date):
        if not target.scope:
            found.setdefault(target.kpi_id, (target, where))
    return found


def _alerts(running: Sequence[tuple[Target, Progress]], as_of: date, _: Words) -> None:
    """What needs someone: objectives behind, data that do not come."""
    said = []
    for target, where in running:
        if where.standing == "behind":
            defined = catalogue()[target.kpi_id]
            said.append(
                _(
                    "{kpi} ({scope}) is behind its objective: "
                    "{expected} to expect, {target} aimed at.",
                    kpi=defined.title(_.code),
                    scope=scope_name(target.scope, _),
                    expected=_.figure(where.expected, defined.unit),
                    target=_.figure(target.target_value, defined.unit),
                )
            )
    said += [_.told(alert.detail) for alert in queries.store().list_alerts(only_open=True, limit=3)]
    late = queries.kpi_figures(("freshness_hours",), last_days(1, as_of))["freshness_hours"].value
    if late is not None and late > LATE_HOURS:
        said.append(_("A source has brought nothing for {time}.", time=_.hours(late)))
    for sentence in said[:5]:
        warning(sentence)


LATE_HOURS = 72


def _figure(
    kpi: Kpi,
    found: Comparison,
    a_year_before: KpiValue | None,
    goal: tuple[Target, Progress] | None,
    key: str,
    period: Period,
    comparable: bool,
    _: Words,
) -> Figure:
    value = found.current.value
    change = shown.moved(kpi, found.current, found.previous) if comparable else None
    yearly = shown.moved(kpi, found.current, a_year_before)
    aside = shown.beside(kpi, found.current, _)[:1]
    remarks = [
        _("{change} vs a year before", change=shown.said_move(kpi, yearly, _))
        if yearly is not None
        else "",
        " ".join(aside[0]) if aside else "",
    ]
    aim = None
    if goal is not None and goal[1].attainment is not None:
        target, where = goal
        aim = (
            float(goal[1].attainment),
            _(
                "{share} of {target} aimed at by {day}; {expected} to expect",
                share=_.percent(where.attainment, 0),
                target=_.figure(target.target_value, kpi.unit),
                day=_.day(target.end_date - timedelta(days=1)),
                expected=_.figure(where.expected, kpi.unit),
            ),
        )
    return Figure(
        name=kpi.title(_.code),
        value=_.figure(value, kpi.unit),
        definition=shown.explained(kpi, _),
        change=change,
        against=_(periods.AGAINST[key]),
        up_is_good=shown.up_is_good(kpi),
        course=_course(kpi, key, period),
        course_before=_course(kpi, key, period.previous()) if comparable else (),
        known=value is not None,
        unit=kpi.unit,
        remark=" · ".join(filter(None, remarks)),
        goal=aim,
        warning=_("The period is not over") if found.current.is_partial else "",
    )


def _course(kpi: Kpi, key: str, period: Period) -> list[float]:
    """Sums from the daily totals in equal steps; what does not add up by calendar buckets. None of
    what is asked for a moment: it costs more than a small line tells."""
    if kpi.kpi_id == "average_order_value":
        revenue = periods.in_steps(queries.course("net_revenue", "day", period), key)
        orders = periods.in_steps(queries.course("orders", "day", period), key)
        return periods.ratio(revenue, orders)
    if kpi.kpi_id in DAILY:
        return periods.in_steps(queries.course(kpi.kpi_id, "day", period), key)
    if MEASURES[kpi.kpi_id].span != "period":
        return []
    return queries.course(kpi.kpi_id, periods.GRAINS[key], period)


def _why(key: str, period: Period, previous: Period, _: Words) -> None:
    """What changed in revenue, and through which shops, channels, segments and places."""
    rows: list[list[Any]] = []
    strongest: tuple[str, str, Decimal] | None = None
    biggest = Decimal(1)
    for dimension in WHY:
        if dimension == "product_category" and not queries.tells_of_categories():
            continue
        effects = queries.kpi_contributions("net_revenue", dimension, period, previous)
        known = [each for each in effects if each.part is not None]
        sizes = [float(each.now.value or 0) if each.now else 0.0 for each in effects]
        if len(known) < 2 or max(sizes) > NEARLY_ALL * (sum(sizes) or 1):
            continue
        names = shown.names_of(dimension, _)
        for each in known[:WHY_SHOWN]:
            called = vocabulary.part(dimension, each.part, _, names)
            biggest = max(biggest, abs(each.effect))
            if strongest is None or abs(each.effect) > abs(strongest[2]):
                strongest = (dimension, called, each.effect)
            rows.append(
                [
                    join(
                        span(called, cls="main"),
                        span(_(vocabulary.DIMENSIONS[dimension]), cls="sub"),
                    ),
                    each,
                    shown.moved(catalogue()["net_revenue"], each.now, each.before),
                ]
            )
    if not rows or strongest is None:
        return
    rows.sort(key=lambda row: -abs(row[1].effect))
    by, called, effect = strongest
    title = _(
        "{part} moved revenue most: {effect}",
        part=called,
        effect=_.difference(effect, "money"),
    )
    with card(
        "why",
        title,
        _(
            "What each segment, channel, shop, category, kind of customer and place adds to the "
            "change"
        ),
    ):
        tokens = theme.tokens(st.context.theme.type)
        draw(
            table(
                [
                    Column(_("Where")),
                    Column(_("Net revenue"), "num hide"),
                    Column(_("Change"), "num hide"),
                    Column("", "wide"),
                    Column(_("Adds to the change"), "num first"),
                ],
                [
                    [
                        name,
                        _.money(each.now.value if each.now else Decimal(0), 0),
                        change_pill(moved, True, _),
                        bar(
                            float(abs(each.effect) / biggest),
                            tokens.now if each.effect >= 0 else tokens.bad,
                        ),
                        _.difference(each.effect, "money"),
                    ]
                    for name, each, moved in rows[:10]
                ],
                title,
            )
        )
        with st.container(key="link-why", horizontal=True):
            st.page_link(
                "screens/explore.py",
                label=_("Look into it"),
                query_params=address.link(kpi="net_revenue", by=by, period=key, against="previous"),
            )


def _beside(pairs: list[tuple[Kpi, Comparison]], comparable: bool, _: Words) -> None:
    items = []
    for kpi, found in pairs:
        value = found.current.value
        if not value and not found.previous.value:
            continue
        change = findings.change(value, found.previous.value) if comparable else None
        said = _.money(value, 0) if kpi.unit == "money" else _.number(value)
        items.append((kpi.title(_.code), said, "" if change is None else _.change(change)))
    if items:
        strip(items)


def _where_revenue_comes_from(_: Words) -> None:
    rows = queries.rfm_segments(None)
    total = sum((row["net_revenue"] or Decimal(0) for row in rows), Decimal(0))
    people = sum(row["customers"] for row in rows)
    if not rows or total <= 0:
        return
    rows = sorted(rows, key=lambda row: row["net_revenue"] or 0, reverse=True)
    names = findings.rfm_names(_)
    top = rows[0]
    title = _(
        "{segment}: {people} of the buyers, {revenue} of the revenue",
        segment=names.get(top["rfm_segment"], top["rfm_segment"]),
        people=_.percent(top["customers"] / people, 0),
        revenue=_.percent(top["net_revenue"] / total, 0),
    )
    window = queries.workspace().settings.rfm.window_days
    with card(
        "rfm",
        title,
        _(
            "Where the revenue of the last {days} days comes from, by RFM segment",
            days=_.number(window),
        ),
    ):
        biggest = float(rows[0]["net_revenue"] / total)
        draw(
            table(
                [
                    Column(_("Segment")),
                    Column(_("Share of revenue"), "wide"),
                    Column("", "num hide"),
                    Column(_("Net revenue"), "num first"),
                    Column(_("Buyers"), "num hide"),
                    Column(_("Share of buyers"), "num hide"),
                ],
                [
                    [
                        join(
                            swatch(findings.RFM_COLOURS.get(row["rfm_segment"], "#888")),
                            span(names.get(row["rfm_segment"], row["rfm_segment"]), cls="main"),
                        ),
                        bar(
                            float(row["net_revenue"] / total) / biggest,
                            findings.RFM_COLOURS.get(row["rfm_segment"], ""),
                        ),
                        _.share(row["net_revenue"], total),
                        _.money(row["net_revenue"], 0),
                        _.number(row["customers"]),
                        _.share(row["customers"], people),
                    ]
                    for row in rows[:8]
                ],
                _("Revenue by RFM segment"),
            )
        )


render()
