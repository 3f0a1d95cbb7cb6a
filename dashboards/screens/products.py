"""Products: what sells, what is bought together, what first purchase leads to loyal customers."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal
from typing import Any

import streamlit as st

from cohorte.intervals import likely_range
from cohorte.kpis import add_months
from dashboards import address, charts, findings, queries, theme
from dashboards.charts import Line
from dashboards.components import (
    Column,
    bar,
    card,
    change_pill,
    choice,
    draw,
    empty,
    line_legend,
    note,
    page_head,
    plot,
    strip,
    table,
)
from dashboards.language import Words, words
from dashboards.markup import join, span
from dashboards.queries import Row

PERIODS = {"3": 3, "12": 12, "24": 24}
SHOWN = 15
PAIRS = 15
FIRST_BUYERS = 20
"""Fewer buyers than these tell nothing of a product."""


def render() -> None:
    _ = words()
    as_of = queries.pinned().as_of
    with page_head(
        _("Products"), _("What sells, together with what, and what brings customers back.")
    ):
        months = choice(
            _("Period"),
            list(PERIODS),
            lambda key: _.ngettext("{count} month", "{count} months", PERIODS[key]),
            "months",
            "12",
        )
    known = queries.categories()
    category = None
    if known:
        with st.container(key="filters-category", horizontal=True):
            asked = address.asked("category", known)
            category = st.selectbox(
                _("Category"),
                known,
                index=known.index(asked) if asked else None,
                placeholder=_("All"),
                key="category",
            )
            address.keep("category", category)
    length = PERIODS[months]
    end = add_months(as_of.replace(day=1), 1)
    start, before = add_months(end, -length), add_months(end, -2 * length)
    rows = [
        row
        for row in queries.products(start, end, before, category)
        if row["net_revenue"] is not None
    ]
    if not rows:
        empty(
            _("No product was sold in this period"),
            _("Order lines with a product bring this page to life."),
            symbol="cart",
        )
        return
    _sales(rows, _)
    _course(start, end, category, _)
    _table(rows, _)
    left, right = st.columns(2, gap="small")
    with left:
        _pairs(_)
    with right:
        _firsts(_)
    note(
        _(
            "Whole months, the running one as far as it goes, to {day}.",
            day=_.day(min(as_of, end - timedelta(days=1))),
        )
    )


def _total(rows: list[Row], name: str) -> Decimal:
    return sum((row[name] or Decimal(0) for row in rows), Decimal(0))


def _sales(rows: list[Row], _: Words) -> None:
    revenue, before = _total(rows, "net_revenue"), _total(rows, "net_revenue_before")
    costed = [row for row in rows if row["margin_amount"] is not None]
    few = max(1, len(rows) // 5)
    moved = findings.change(revenue, before)
    strip(
        [
            (
                _("Net revenue"),
                _.tile_money(revenue),
                "" if moved is None else _.change(moved),
            ),
            (_("Quantity"), _.number(_total(rows, "quantity"))),
            (_("Products sold"), _.number(len(rows))),
            (
                _("Margin"),
                _.tile_money(_total(costed, "margin_amount")) if costed else _.number(None),
                _("of products with a known cost") if costed else "",
            ),
            (
                _("Returned"),
                _.share(_total(rows, "returned_amount"), revenue + _total(rows, "returned_amount")),
            ),
            (
                _("Best fifth of products"),
                _.share(_total(rows[:few], "net_revenue"), revenue),
                _("of the revenue"),
            ),
        ]
    )


def _course(start: Any, end: Any, category: str | None, _: Words) -> None:
    found = queries.product_course(start, end, category)
    months = []
    month = start
    while month < end:
        months.append(month)
        month = add_months(month, 1)
    sums: dict[str | None, Decimal] = {}
    for part, _month, amount in found:
        sums[part] = sums.get(part, Decimal(0)) + amount
    best = sorted(sums, key=lambda part: -sums[part])[:5]
    tokens = theme.tokens(st.context.theme.type)
    held = {(part, at): float(amount) for part, at, amount in found}
    lines = [
        Line(part or _("unknown"), [held.get((part, at), 0.0) for at in months], colour)
        for part, colour in zip(best, charts.SERIES_COLOURS, strict=False)
    ]
    title = (
        _("Net revenue by category and month")
        if category is None
        else _("Net revenue by product and month")
    )
    with card("course", title, _("The five largest")):
        line_legend(lines)
        plot(
            charts.course(
                [_.bucket(at, "month", axis=True) for at in months],
                [_.month(at) for at in months],
                lines,
                lambda value, short: _.short_money(value) if short else _.money(value, 0),
                _,
                tokens,
                partial=queries.pinned().as_of + timedelta(days=1) < end,
            ),
            title,
        )


def _table(rows: list[Row], _: Words) -> None:
    top = float(rows[0]["net_revenue"]) or 1.0
    body = []
    for row in rows[:SHOWN]:
        margin = row["margin_amount"]
        body.append(
            [
                join(
                    span(row["product_name"] or row["product_id"], cls="main"),
                    span(" · ".join(filter(None, [row["category"], row["source"]])), cls="sub"),
                ),
                _.money(row["net_revenue"], 0),
                bar(float(row["net_revenue"]) / top),
                _.number(row["quantity"]),
                _.share(margin, row["net_revenue"]) if margin is not None else _.number(None),
                change_pill(
                    findings.change(row["net_revenue"], row["net_revenue_before"]), True, _
                ),
            ]
        )
    title = _("The {count} products that sell most", count=_.number(len(body)))
    with card("products", title, _("Change against as many months before")):
        draw(
            table(
                [
                    Column(_("Product")),
                    Column(_("Net revenue"), "num first"),
                    Column("", "wide"),
                    Column(_("Quantity"), "num hide"),
                    Column(_("Margin rate"), "num hide"),
                    Column(_("Change"), "num hide"),
                ],
                body,
                title,
            )
        )


def _pairs(_: Words) -> None:
    found = queries.product_pairs(None, PAIRS)
    with card(
        "pairs",
        _("Bought together"),
        _("Pairs that meet in one order more often than chance would have it, over a year"),
    ):
        if not found:
            empty(_("No pair was bought together five times"), symbol="cart", small=True)
            return
        draw(
            table(
                [
                    Column(_("Products")),
                    Column(_("Orders"), "num first"),
                    Column(_("Times chance"), "num"),
                ],
                [
                    [
                        join(
                            span(row["product_name"], cls="main"),
                            span(row["other_name"], cls="sub"),
                        ),
                        _.number(row["orders_count"]),
                        f"×\u202f{_.number(row['lift'], 1)}",
                    ]
                    for row in found
                ],
                _("Bought together"),
            )
        )


def _firsts(_: Words) -> None:
    found = queries.first_products(FIRST_BUYERS)
    with card(
        "firsts",
        _("First purchases that lead to a second"),
        _("Share of first buyers who ordered again within half a year, with its margin of error"),
    ):
        if not found:
            empty(_("Too few first purchases to tell"), symbol="people", small=True)
            return
        usual = float(found[0]["usual"])
        rows = []
        for row in found[:PAIRS]:
            share = row["returned_count"] / row["first_buyers_count"]
            low, high = likely_range(row["returned_count"], row["first_buyers_count"])
            rows.append(
                [
                    join(
                        span(row["product_name"] or row["product_id"], cls="main"),
                        span(
                            _.ngettext(
                                "{count} first buyer",
                                "{count} first buyers",
                                row["first_buyers_count"],
                            ),
                            cls="sub",
                        ),
                    ),
                    join(
                        span(_.percent(share, 0)),
                        span(
                            _("{low} to {high}", low=_.percent(low, 0), high=_.percent(high, 0)),
                            cls="sub",
                        ),
                    ),
                    bar(share, "" if low > usual else theme.PAIRS["ink_faint"][0]),
                ]
            )
        draw(
            table(
                [
                    Column(_("Product")),
                    Column(_("Ordered again"), "num first"),
                    Column("", "wide"),
                ],
                rows,
                _("First purchases that lead to a second"),
            )
        )
        note(
            _(
                "Of all first buyers {share} ordered again. Bars in colour are surely above it.",
                share=_.percent(usual, 0),
            )
        )


render()
