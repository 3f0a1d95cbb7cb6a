"""What the figures say: changes, and the sentences that stand above the charts."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from math import log

import polars as pl

from cohorte.kpis import Comparison, add_months
from dashboards import queries
from dashboards.language import Words

Number = int | float | Decimal

FEW_BUYERS = 20

RFM_COLOURS = {
    "champions": "#0072B2",
    "loyal": "#3F97C9",
    "potential_loyalists": "#56B4E9",
    "new_customers": "#009E73",
    "promising": "#5FBF9F",
    "need_attention": "#E8C520",
    "about_to_sleep": "#E69F00",
    "at_risk": "#E27A1C",
    "cannot_lose": "#D55E00",
    "hibernating": "#9AA3B2",
    "lost": "#6B7484",
    "prospect": "#CC79A7",
}


def change(value: Number | None, before: Number | None) -> float | None:
    """The change as a ratio; None when there is nothing before, or nothing to divide by."""
    if value is None or before is None or before <= 0:
        return None
    return float(value) / float(before) - 1


def main_finding(figures: Mapping[str, Comparison], when: str, comparable: bool, _: Words) -> str:
    """Revenue, its change, and which of its two factors made it: orders or their value."""
    now = {kpi_id: each.current.value for kpi_id, each in figures.items()}
    before = {kpi_id: each.previous.value for kpi_id, each in figures.items()}
    revenue = _.money(now["net_revenue"], 0)
    moved = change(now["net_revenue"], before["net_revenue"]) if comparable else None
    if moved is None:
        return _(
            "{when}: {revenue} of net revenue from {orders} orders. "
            "The data do not go back far enough to compare.",
            when=when,
            revenue=revenue,
            orders=_.number(now["orders"]),
        )
    orders = change(now["orders"], before["orders"]) or 0.0
    value = change(now["average_order_value"], before["average_order_value"]) or 0.0
    if abs(moved) < 0.01:
        return _(
            "{when}: net revenue is steady at {revenue} "
            "(orders {orders}, average order value {value}).",
            when=when,
            revenue=revenue,
            orders=_.change(orders),
            value=_.change(value),
        )
    parts = {
        "when": when,
        "revenue": revenue,
        "change": _.magnitude(moved),
        "orders": _.change(orders),
        "value": _.change(value),
    }
    by_orders = orders > -1 and value > -1 and abs(log(1 + orders)) >= abs(log(1 + value))
    if moved > 0 and by_orders:
        return _(
            "{when}: net revenue rose by {change} to {revenue}, mostly through more orders "
            "({orders}); average order value {value}.",
            **parts,
        )
    if moved > 0:
        return _(
            "{when}: net revenue rose by {change} to {revenue}, mostly through a higher order "
            "value ({value}); orders {orders}.",
            **parts,
        )
    if by_orders:
        return _(
            "{when}: net revenue fell by {change} to {revenue}, mostly through fewer orders "
            "({orders}); average order value {value}.",
            **parts,
        )
    return _(
        "{when}: net revenue fell by {change} to {revenue}, mostly through a lower order "
        "value ({value}); orders {orders}.",
        **parts,
    )


def monthly(frame: pl.DataFrame, as_of: date) -> pl.DataFrame:
    """The months up to `as_of`, each with last year's revenue and whether it is still running."""
    before = dict(frame.select("month", "net_revenue").rows())
    next_day = date.fromordinal(as_of.toordinal() + 1)
    return frame.filter(pl.col("month") <= as_of).with_columns(
        pl.col("net_revenue").cast(pl.Float64),
        pl.Series(
            "last_year",
            [
                None if (value := before.get(add_months(month, -12))) is None else float(value)
                for month in frame.filter(pl.col("month") <= as_of)["month"]
            ],
            dtype=pl.Float64,
        ),
        pl.Series(
            "is_partial",
            [
                (m.year, m.month) == (as_of.year, as_of.month) and next_day.month == as_of.month
                for m in frame.filter(pl.col("month") <= as_of)["month"]
            ],
        ),
    )


def revenue_finding(frame: pl.DataFrame, _: Words) -> str:
    """The last whole month against the same month a year before."""
    whole = frame.filter(~pl.col("is_partial"))
    if whole.is_empty():
        return _("Revenue by month")
    last = whole.row(-1, named=True)
    moved = change(last["net_revenue"], last["last_year"])
    month = _.month(last["month"])
    if moved is None:
        return _("{month}: {revenue}", month=month, revenue=_.money(last["net_revenue"], 0))
    size = _.percent(abs(moved), 0)
    if abs(moved) < 0.005:
        return _("{month} equals the same month a year before", month=month)
    if moved > 0:
        return _("{month} is {change} above the same month a year before", month=month, change=size)
    return _("{month} is {change} below the same month a year before", month=month, change=size)


def customers_finding(frame: pl.DataFrame, _: Words) -> str:
    """How much of the last whole month's buyers had bought before."""
    whole = frame.filter(~pl.col("is_partial"))
    if whole.is_empty():
        return _("New and returning customers")
    last = whole.row(-1, named=True)
    total = last["new_customers"] + last["returning_customers"]
    if not total:
        return _("Nobody bought in {month}", month=_.month(last["month"]))
    if total < FEW_BUYERS:
        return _.ngettext(
            "Only {count} buyer in {month}",
            "Only {count} buyers in {month}",
            total,
            month=_.month(last["month"]),
        )
    return _(
        "{share} of the buyers of {month} had bought before",
        share=_.percent(last["returning_customers"] / total, 0),
        month=_.month(last["month"]),
    )


def rfm_names(_: Words) -> dict[str, str]:
    """RFM segments by key, in the language of the page."""
    names = {row["rfm_segment"]: row[f"name_{_.code}"] for row in queries.rfm_names()}
    return {**names, "prospect": _("Prospects")}
