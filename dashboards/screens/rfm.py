"""RFM: the 25 cells and their named segments, with a way through to the people."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import streamlit as st

from dashboards import address, findings, queries, vocabulary
from dashboards.components import (
    Column,
    card,
    cell,
    choice,
    draw,
    empty,
    insight,
    note,
    open_table,
    page_head,
    reach,
    rfm_map,
    strip,
)
from dashboards.language import Words, words
from dashboards.markup import div, markdown_text, span
from dashboards.queries import Row
from dashboards.segment_draft import open_draft

PICK = "rfm_pick"


def render() -> None:
    _ = words()
    window = queries.workspace().settings.rfm.window_days
    parties = queries.rfm_parties()
    with page_head(
        _("RFM"),
        _(
            "Buyers by how recently they bought, and by how often and how much over {days} days.",
            days=_.number(window),
        ),
    ):
        party = None
        if len(parties) > 1:
            party = choice(
                _("Who"),
                list(parties),
                lambda key: markdown_text(_(vocabulary.PARTIES.get(key, key))),
                "party",
                next(iter(parties)),
            )
    segments = queries.rfm_segments(party)
    if not segments:
        empty(
            _("Nobody has bought yet"),
            _("The map appears with the first orders."),
            symbol="order",
        )
        return
    names = findings.rfm_names(_)
    people = sum(row["customers"] for row in segments)
    revenue = sum((row["net_revenue"] or Decimal(0) for row in segments), Decimal(0))
    segments.sort(key=lambda row: row["net_revenue"] or Decimal(0), reverse=True)
    insight(_finding(segments, people, revenue, _))
    picked = str(st.query_params.get("pick") or segments[0]["rfm_segment"])
    chosen = next((row for row in segments if row["rfm_segment"] == picked), segments[0])
    left, right = st.columns([8, 5], gap="small")
    with (
        left,
        card(
            "map",
            _("Where the buyers stand"),
            _("Each cell: its segment and its buyers. Choose one to see who is in it."),
        ),
    ):
        draw(
            div(
                span(_("↑ bought more recently")),
                span(_("buys more often, for more →")),
                cls="co-map-axes",
            )
        )
        asked = rfm_map(
            "map",
            _cells(names, party, people, _),
            label=_("Map of the RFM segments"),
            picked=chosen["rfm_segment"],
        )
        if asked:
            _pick(asked)
    with right:
        _detail(chosen, names, people, revenue, party, _)
    asked = open_table(
        "segments",
        [
            Column(_("Segment")),
            Column(_("Buyers"), "num hide"),
            Column(_("Share of buyers"), "num hide"),
            Column(_("Net revenue"), "num first"),
            Column(_("Share of revenue"), "wide"),
            Column(_("Revenue each"), "num hide"),
            Column(_("Last order"), "num hide"),
        ],
        [
            (row["rfm_segment"], _line(row, names, people, revenue, segments[0], _))
            for row in segments
        ],
        label=_("RFM segments"),
        picked=chosen["rfm_segment"],
    )
    if asked:
        _pick(asked)
    waiting = queries.reach("prospect", None)["customers"]
    if waiting:
        note(
            _.ngettext(
                "{count} person is known but has not ordered: no place on the map.",
                "{count} people are known but have not ordered: no place on the map.",
                waiting,
            )
        )


def _pick(segment: str) -> None:
    st.query_params["pick"] = segment
    st.rerun()


def _finding(segments: list[Row], people: int, revenue: Decimal, _: Words) -> str:
    by_name = {row["rfm_segment"]: row for row in segments}

    def total(*names: str) -> tuple[int, Decimal]:
        rows = [by_name[name] for name in names if name in by_name]
        return sum(r["customers"] for r in rows), sum((r["net_revenue"] for r in rows), Decimal(0))

    best, best_revenue = total("champions", "loyal")
    fading, fading_revenue = total("at_risk", "cannot_lose")
    said = _(
        "Champions and loyal customers are {people} of the buyers "
        "and bring {revenue} of the revenue.",
        people=_.share(best, people),
        revenue=_.share(best_revenue, revenue),
    )
    if fading:
        said += " " + _.ngettext(
            "{count} good customer is going quiet; they brought {amount}.",
            "{count} good customers are going quiet; they brought {amount}.",
            fading,
            amount=_.money(fading_revenue, 0),
        )
    return said


def _cells(
    names: dict[str, str], party: str | None, people: int, _: Words
) -> dict[str, dict[str, Any]]:
    counted = {
        (row["recency_score"], row["frequency_monetary_score"]): row
        for row in queries.rfm_cells(party)
    }
    most = max((row["customers"] for row in counted.values()), default=1)
    cells = {}
    for named in queries.rfm_names():
        place = (named["recency_score"], named["frequency_monetary_score"])
        row = counted.get(place, {"customers": 0, "net_revenue": Decimal(0)})
        name = names[named["rfm_segment"]]
        cells[f"{place[0]}-{place[1]}"] = {
            "segment": named["rfm_segment"],
            "name": name,
            "count": _.short_number(row["customers"]),
            "colour": findings.RFM_COLOURS.get(named["rfm_segment"], "#888888"),
            "strength": 14 + round(52 * (row["customers"] / most) ** 0.5),
            "description": _(
                "{name}: {customers} buyers ({share}), {revenue}",
                name=name,
                customers=_.number(row["customers"]),
                share=_.share(row["customers"], people),
                revenue=_.money(row["net_revenue"], 0),
            ),
        }
    return cells


def _detail(
    row: Row, names: dict[str, str], people: int, revenue: Decimal, party: str | None, _: Words
) -> None:
    segment = row["rfm_segment"]
    name = names.get(segment, segment)
    with card("detail", name, _(vocabulary.RFM_ADVICE.get(segment, ""))):
        strip(
            [
                (_("Buyers"), _.number(row["customers"]), _.share(row["customers"], people)),
                (
                    _("Net revenue"),
                    _.tile_money(row["net_revenue"]),
                    _.share(row["net_revenue"], revenue),
                ),
                (_("Revenue each"), _.money(row["revenue_each"], 0)),
                (_("Orders each"), _.number(row["orders_count"], 1)),
                (
                    _("Last order"),
                    _("{days} ago", days=_.days(row["days_since_last_order"])),
                    _("on average"),
                ),
            ],
            boxed=False,
        )
        found = queries.reach(segment, party)
        reach(found, found["customers"], vocabulary.REACHED_BY)
        with st.container(key="link-people", horizontal=True, gap="small"):
            st.page_link(
                "screens/customers.py",
                label=_.ngettext(
                    "See the {count} customer", "See the {count} customers", row["customers"]
                ),
                query_params=address.link(rfm=segment, **({"party": party} if party else {})),
            )
            if st.button(_("Make a segment of it"), key="make"):
                clause = {"field": "rfm_segment", "op": "in", "value": [segment]}
                rule: dict[str, Any] = {"all": [clause]}
                if party:
                    rule["all"].append({"field": "party", "op": "in", "value": [party]})
                open_draft(name, rule)
                st.switch_page("screens/segments.py", query_params=address.link(id="new"))


def _line(
    row: Row, names: dict[str, str], people: int, revenue: Decimal, top: Row, _: Words
) -> list[dict[str, Any]]:
    segment = row["rfm_segment"]
    colour = findings.RFM_COLOURS.get(segment)
    return [
        cell(names.get(segment, segment), colour=colour),
        cell(_.number(row["customers"])),
        cell(_.share(row["customers"], people)),
        cell(_.money(row["net_revenue"], 0)),
        cell(
            _.share(row["net_revenue"], revenue),
            bar=float((row["net_revenue"] or 0) / (top["net_revenue"] or 1)),
            colour=colour,
        ),
        cell(_.money(row["revenue_each"], 0)),
        cell(_("{days} ago", days=_.days(row["days_since_last_order"]))),
    ]


render()
