"""Geography: where customers are, what they bring, where they leave, and who is near a place."""

from __future__ import annotations

import streamlit as st

from cohorte.i18n import N_
from dashboards import address, charts, queries, theme, vocabulary
from dashboards.charts import Spot
from dashboards.components import (
    Column,
    bar,
    card,
    cell,
    choice,
    draw,
    empty,
    insight,
    legend,
    note,
    open_table,
    page_head,
    plot,
    table,
)
from dashboards.language import Words, words
from dashboards.markup import join, span
from dashboards.queries import Row

MEASURES = {"customers": N_("Customers"), "net_revenue": N_("Net revenue")}
REACHES = {"5": 5, "20": 20, "50": 50}
TOWNS_SHOWN = 15
TOWNS_OFFERED = 500
FEW_BUYERS = 20
"""Fewer buyers than these make no rate."""


def render() -> None:
    _ = words()
    with page_head(
        _("Geography"), _("Where customers are, what they bring, and where they leave.")
    ):
        measure = choice(
            _("What"), list(MEASURES), lambda each: _(MEASURES[each]), "measure", "customers"
        )
    places = queries.places()
    if not places:
        empty(
            _("No place is known"),
            _("Addresses with a postcode, and a source of places, bring this page to life."),
            symbol="visit",
        )
        return
    _finding(places, _)
    left, right = st.columns([7, 5], gap="small")
    with left:
        _map(places, measure, _)
    with right:
        _towns(places, measure, _)
    _nearby(places, _)


def _lapsed(row: Row) -> float | None:
    return row["lapsed"] / row["buyers"] if row["buyers"] >= FEW_BUYERS else None


def _finding(places: list[Row], _: Words) -> None:
    total = sum(row["net_revenue"] or 0 for row in places)
    top = sorted(places, key=lambda row: row["net_revenue"] or 0, reverse=True)[:10]
    brought = sum(row["net_revenue"] or 0 for row in top)
    insight(
        _.ngettext(
            "{towns} of {count} town bring {share} of the revenue of a year.",
            "{towns} of {count} towns bring {share} of the revenue of a year.",
            len(places),
            towns=_.number(len(top)),
            share=_.share(brought, total),
        )
    )


def _depth(rate: float | None, low: float, high: float) -> float:
    """Where a rate lies between a low and a high one, from 0 to 1; in the middle when unknown."""
    if rate is None or high <= low:
        return 0.5
    return max(0.0, min(1.0, (rate - low) / (high - low)))


def _map(places: list[Row], measure: str, _: Words) -> None:
    rates = sorted(rate for row in places if (rate := _lapsed(row)) is not None) or [0.0, 1.0]
    low, high = rates[len(rates) // 20], rates[-1 - len(rates) // 20]
    spots = [
        Spot(
            row["city"],
            row["latitude"],
            row["longitude"],
            max(float(row[measure] or 0), 0.0),
            _depth(_lapsed(row), low, high),
            [
                _.number(row["customers"]),
                _.money(row["net_revenue"], 0),
                _.percent(_lapsed(row), 0),
            ],
        )
        for row in places
    ]
    title = _("{measure} by town", measure=_(MEASURES[measure]))
    with card("map", title, _("The larger the dot, the more; the redder, the more buyers lapsed")):
        legend(
            [
                (_("fewest lapsed: {share}", share=_.percent(low, 0)), theme.OKABE_ITO["sky"]),
                (_("between, or too few to tell"), theme.OKABE_ITO["orange"]),
                (_("most: {share}", share=_.percent(high, 0)), theme.OKABE_ITO["vermilion"]),
            ]
        )
        head = [_("Town"), _("Customers"), _("Net revenue of a year"), _("Lapsed buyers")]
        plot(charts.spots(spots, head, theme.tokens(st.context.theme.type)), title)


def _towns(places: list[Row], measure: str, _: Words) -> None:
    ordered = sorted(places, key=lambda row: row[measure] or 0, reverse=True)[:TOWNS_SHOWN]
    top = float(ordered[0][measure] or 1) or 1.0
    said = _.money if measure == "net_revenue" else _.number
    with card("towns", _("The largest towns")):
        draw(
            table(
                [
                    Column(_("Town")),
                    Column(_(MEASURES[measure]), "num first"),
                    Column("", "wide"),
                    Column(_("Lapsed"), "num hide"),
                ],
                [
                    [
                        join(
                            span(row["city"], cls="main"),
                            span(row["region"] or row["country_code"] or "", cls="sub"),
                        ),
                        said(row[measure], 0),
                        bar(float(row[measure] or 0) / top),
                        _.percent(_lapsed(row), 0),
                    ]
                    for row in ordered
                ],
                _("The largest towns"),
            )
        )


def _nearby(places: list[Row], _: Words) -> None:
    towns = {f"{row['city']}|{row['country_code'] or ''}": row for row in places[:TOWNS_OFFERED]}
    keys = list(towns)
    with card("nearby", _("Who is near"), _("For a round of visits: the nearest first")):
        with st.container(key="by", horizontal=True, vertical_alignment="bottom", gap="small"):
            asked = address.asked("near", keys)
            town = st.selectbox(
                _("Around"),
                keys,
                index=keys.index(asked) if asked else None,
                format_func=lambda each: each.replace("|", ", ").removesuffix(", "),
                placeholder=_("Choose a town"),
                key="near",
            )
            address.keep("near", town)
            reach = choice(
                _("Within"),
                list(REACHES),
                lambda each: _("{count} km", count=_.number(REACHES[each])),
                "km",
                "20",
                is_labelled=True,
            )
        if town is None:
            return
        kilometres = REACHES[reach]
        row = towns[town]
        found = queries.nearby(row["latitude"], row["longitude"], kilometres)
        note(
            _.ngettext(
                "{count} customer within {reach} km",
                "{count} customers within {reach} km",
                found[0]["found"] if found else 0,
                reach=_.number(kilometres),
            )
        )
        picked = open_table(
            "nearby",
            [
                Column(_("Customer")),
                Column(_("Distance"), "num"),
                Column(_("Status"), "hide"),
                Column(_("Last order"), "num hide"),
                Column(_("Revenue of a year"), "num first"),
            ],
            [
                (
                    each["customer_id"],
                    [
                        cell(
                            each["name"],
                            sub=" ".join(filter(None, [each["postcode"], each["city"]])),
                        ),
                        cell(_("{count} km", count=_.number(each["kilometres"]))),
                        cell(
                            pill=vocabulary.part("lifecycle_status", each["lifecycle_status"], _),
                            tone=vocabulary.LIFECYCLE_TONES.get(each["lifecycle_status"], ""),
                        ),
                        cell(_.day(each["last_order_date"])),
                        cell(_.money(each["net_revenue_365d"], 0)),
                    ],
                )
                for each in found
            ],
            label=_("Who is near"),
            path="customer?id=",
        )
    if picked:
        st.switch_page("screens/customer.py", query_params=address.link(id=picked))


render()
