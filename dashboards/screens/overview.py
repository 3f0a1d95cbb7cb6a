"""Overview: how the company does, against the period before and the year before."""

from __future__ import annotations

from decimal import Decimal

import streamlit as st

from cohorte.kpis import Comparison, Kpi, Period, catalogue
from dashboards import address, charts, findings, periods, queries, theme
from dashboards.components import (
    Column,
    Figure,
    bar,
    card,
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
)
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


def render() -> None:
    _ = words()
    served = queries.pinned()
    with page_head(
        _("Overview"),
        _(
            "How {company} is doing, to {day}.",
            company=served.company,
            day=_.day(served.as_of, "long"),
        ),
    ):
        chosen = st.segmented_control(
            _("Period"),
            list(periods.LABELS),
            default=address.asked("period", periods.LABELS) or "90d",
            required=True,
            format_func=lambda key: _(periods.LABELS[key]),
            key="period",
            label_visibility="collapsed",
        )
        address.keep("period", chosen, "90d")
    first = queries.first_day()
    if first is None:
        empty(
            _("No sales yet"),
            _("Revenue, orders and customers appear here once a source brings orders."),
            symbol="order",
        )
        return
    key = chosen or "90d"
    period = periods.period(key, served.as_of)
    previous = period.previous()
    comparable = first <= previous.start
    known = catalogue()
    found = queries.comparison((*HEADLINE, *BESIDE), period, previous)
    insight(findings.main_finding(found, _(periods.LABELS[key]), comparable, _))
    figures([_figure(known[k], found[k], key, period, comparable, _) for k in HEADLINE])
    _beside([(known[k], found[k]) for k in BESIDE], comparable, _)
    tokens = theme.tokens(st.context.theme.type)
    frame = findings.monthly(queries.months(), served.as_of).tail(MONTHS_SHOWN)
    left, right = st.columns(2, gap="small")
    with left, card("revenue", findings.revenue_finding(frame, _), _("Net revenue by month")):
        items = [(_("This year"), tokens.now), (_("Same month a year before"), tokens.ink, "tick")]
        legend(items)
        picture(charts.revenue_by_month, frame, _, tokens, says=_("Net revenue by month"))
    with right, card("customers", findings.customers_finding(frame, _), _("Buyers by month")):
        legend([(_("Returning"), tokens.now), (_("New"), tokens.second)])
        picture(charts.new_and_returning, frame, _, tokens, says=_("Buyers by month"))
    _where_revenue_comes_from(_)


def _figure(
    kpi: Kpi, found: Comparison, key: str, period: Period, comparable: bool, _: Words
) -> Figure:
    value = found.current.value
    definition = ". ".join(
        filter(None, [kpi.definition(_.code, queries.windows()), kpi.caution(_.code)])
    )
    return Figure(
        name=kpi.title(_.code),
        value=_.tile_money(value) if kpi.unit == "money" else _.number(value),
        definition=definition,
        change=findings.change(value, found.previous.value) if comparable else None,
        against=_(periods.AGAINST[key]),
        up_is_good={"up": True, "down": False, "none": None}[kpi.direction],
        course=_course(kpi, key, period),
        course_before=_course(kpi, key, period.previous()) if comparable else (),
        known=value is not None,
    )


def _course(kpi: Kpi, key: str, period: Period) -> list[float]:
    """Sums from the daily totals in equal steps; what does not add up by calendar buckets."""
    if kpi.kpi_id == "average_order_value":
        revenue = periods.in_steps(queries.course("net_revenue", "day", period), key)
        orders = periods.in_steps(queries.course("orders", "day", period), key)
        return periods.ratio(revenue, orders)
    if kpi.additive:
        return periods.in_steps(queries.course(kpi.kpi_id, "day", period), key)
    return queries.course(kpi.kpi_id, periods.GRAINS[key], period)


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
