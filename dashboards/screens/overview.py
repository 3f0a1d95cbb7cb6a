"""Overview: how the company does, against the period before and the year before."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import streamlit as st

from dashboards import charts, findings, periods, queries, theme
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
    strip,
    swatch,
    table,
)
from dashboards.language import Words, words
from dashboards.markup import join, span
from dashboards.periods import Period

MONTHS_SHOWN = 13


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
            default="90d",
            required=True,
            format_func=lambda key: _(periods.LABELS[key]),
            key="period",
            bind="query-params",
            label_visibility="collapsed",
        )
    first = queries.first_day()
    if first is None:
        empty(
            _("No sales yet"),
            _("Revenue, orders and customers appear here once a source brings orders."),
            symbol="order",
        )
        return
    span_ = periods.period(chosen or "90d", served.as_of)
    now = findings.headline(span_.start, span_.end)
    before = (
        findings.headline(span_.before_start, span_.before_end)
        if first <= span_.before_start
        else None
    )
    insight(findings.main_finding(now, before, span_, _))
    _headline(now, before, span_, _)
    _rest(now, before, _)
    tokens = theme.tokens(st.context.theme.type)
    frame = findings.monthly(queries.months(), served.as_of).tail(MONTHS_SHOWN)
    left, right = st.columns(2, gap="small")
    with left, card("revenue", findings.revenue_finding(frame, _), _("Net revenue by month")):
        items = [(_("This year"), tokens.now), (_("Same month a year before"), tokens.ink, "tick")]
        legend(items)
        st.altair_chart(
            charts.revenue_by_month(frame, _, tokens), theme=None, alt=_("Net revenue by month")
        )
    with right, card("customers", findings.customers_finding(frame, _), _("Buyers by month")):
        legend([(_("Returning"), tokens.now), (_("New"), tokens.second)])
        st.altair_chart(
            charts.new_and_returning(frame, _, tokens), theme=None, alt=_("Buyers by month")
        )
    _where_revenue_comes_from(_)


def _headline(
    now: findings.Headline, before: findings.Headline | None, span_: Period, _: Words
) -> None:
    prior = before or findings.Headline({}, 0)
    days = queries.kpi_days(span_.before_start, span_.end)

    def course(kpi_id: str) -> list[float]:
        return periods.course(days, kpi_id, span_.start, span_.end, span_.key)

    def course_before(kpi_id: str) -> list[float]:
        if before is None:
            return []
        return periods.course(days, kpi_id, span_.before_start, span_.before_end, span_.key)

    def buyers_course(start: date, end: date) -> list[float]:
        counts = queries.buyers_by_step(start, end, periods.STEP_DAYS[span_.key])
        return periods.steps(counts, start, end, span_.key)

    against = _(periods.AGAINST[span_.key])
    figures(
        [
            Figure(
                _("Net revenue"),
                _.tile_money(now.net_revenue),
                _(
                    "Order lines before tax, less returns and credit notes, on the day of the "
                    "order. Cancelled orders and internal records are left out."
                ),
                findings.change(now.net_revenue, prior.net_revenue),
                against,
                course=course("net_revenue"),
                course_before=course_before("net_revenue"),
            ),
            Figure(
                _("Orders"),
                _.number(now.orders),
                _("Distinct orders that were not cancelled and came to more than nothing."),
                findings.change(now.orders, prior.orders),
                against,
                course=course("orders"),
                course_before=course_before("orders"),
            ),
            Figure(
                _("Average order value"),
                _.money(now.average_order_value),
                _("Net revenue divided by orders."),
                findings.change(now.average_order_value, prior.average_order_value),
                against,
                course=periods.ratio(course("net_revenue"), course("orders")),
                course_before=periods.ratio(course_before("net_revenue"), course_before("orders")),
                known=now.average_order_value is not None,
            ),
            Figure(
                _("Active customers"),
                _.number(now.active_customers),
                _("Distinct customers with an order in the period."),
                findings.change(now.active_customers, prior.active_customers),
                against,
                course=buyers_course(span_.start, span_.end),
                course_before=buyers_course(span_.before_start, span_.before_end) if before else [],
            ),
            Figure(
                _("New customers"),
                _.number(now.new_customers),
                _("Customers whose first order ever is in the period."),
                findings.change(now.new_customers, prior.new_customers),
                against,
                course=course("new_customers"),
                course_before=course_before("new_customers"),
            ),
        ]
    )


def _rest(now: findings.Headline, before: findings.Headline | None, _: Words) -> None:
    names = {
        "items_sold": _("Items sold"),
        "returned_amount": _("Returns"),
        "leads_created": _("Leads"),
        "leads_converted": _("Leads converted"),
        "opportunities_won": _("Opportunities won"),
        "tickets_opened": _("Tickets"),
        "emails_opened": _("E-mails opened"),
        "web_visits": _("Web visits"),
    }
    items = []
    for kpi_id, name in names.items():
        value = now.totals.get(kpi_id)
        if not value:
            continue
        change = findings.change(value, before.totals.get(kpi_id) if before else None)
        said = _.money(value, 0) if kpi_id == "returned_amount" else _.number(value)
        items.append((name, said, "" if change is None else _.change(change)))
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
