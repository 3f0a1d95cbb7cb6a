"""Customers: find someone, or page through those that a filter leaves."""

from __future__ import annotations

import zlib

import streamlit as st

from cohorte.i18n import N_
from dashboards import address, findings, identities, queries, vocabulary
from dashboards.components import Column, cell, empty, note, open_table, page_head, search_box
from dashboards.language import Words, words
from dashboards.queries import PAGE_SIZE

SORTS = {
    "revenue": N_("Most revenue"),
    "recent": N_("Latest order"),
    "orders": N_("Most orders"),
    "newest": N_("Newest"),
    "name": N_("Name"),
}


def render() -> None:
    _ = words()
    names = findings.rfm_names(_)
    saved = queries.saved_segment_names()
    with page_head(_("Customers"), _("Everyone known from the sources, one line a person.")):
        pass
    with st.container(key="filters", horizontal=True, vertical_alignment="bottom", gap="small"):
        search = search_box(_("Name, e-mail, phone, order number or id"))
        lifecycle = _filter(
            _("Status"), {key: _(name) for key, name in vocabulary.LIFECYCLE.items()}, "status", _
        )
        rfm_segment = _filter(_("RFM segment"), names, "rfm", _)
        parties = queries.rfm_parties()
        party = None
        if len(parties) > 1:
            kinds = {key: _(vocabulary.PARTIES.get(key, key)) for key in parties}
            party = _filter(_("Who"), kinds, "party", _)
        segment = _filter(_("Saved segment"), saved, "segment", _) if saved else None
        sorts = list(SORTS)
        sort = st.selectbox(
            _("Sort by"),
            sorts,
            index=sorts.index(address.asked("sort", sorts) or sorts[0]),
            format_func=lambda key: _(SORTS[key]),
            key="sort",
        )
    address.keep("sort", sort, sorts[0])
    asked = (_current(search), lifecycle, rfm_segment, party, segment, sort)
    key = f"page-{zlib.crc32(repr(asked).encode())}"
    page = int(st.session_state.get(key) or 1)
    total, rows = queries.customers(*asked, page)
    if not total:
        _nobody(search, _)
        return
    note(_results(total, page, len(rows), _))
    picked = open_table(
        "people",
        [
            Column(_("Customer")),
            Column(_("Status")),
            Column(_("RFM segment"), "nowrap hide"),
            Column(_("City"), "words hide"),
            Column(_("Orders"), "num hide"),
            Column(_("Last order"), "num hide"),
            Column(_("Revenue"), "num first"),
        ],
        [(row["customer_id"], _cells(row, names, _)) for row in rows],
        label=_("Customers"),
        path="customer?id=",
    )
    if picked:
        st.switch_page("screens/customer.py", query_params=address.link(id=picked))
    pages = -(-total // PAGE_SIZE)
    if pages > 1:
        with st.container(key="pager", horizontal=True, horizontal_alignment="center"):
            st.pagination(pages, key=key, max_visible_pages=7)


def _filter(label: str, names: dict[str, str], key: str, _: Words) -> str | None:
    """A choice of one of the names by key, or of none; kept in the address."""
    keys = list(names)
    start = address.asked(key, keys)
    chosen = st.selectbox(
        label,
        keys,
        index=None if start is None else keys.index(start),
        format_func=lambda code: names[code],
        placeholder=_("All"),
        key=key,
    )
    address.keep(key, chosen)
    return chosen


def _current(search: str) -> str:
    """What is searched; for the id of a customer merged into another, the other's."""
    typed = search.strip().upper()
    if len(typed) == 12 and typed.isalnum() and identities.is_known():
        return identities.successor(typed) or search
    return search


def _results(total: int, page: int, shown: int, _: Words) -> str:
    if total <= PAGE_SIZE:
        return _.ngettext("{count} customer", "{count} customers", total)
    first = (page - 1) * PAGE_SIZE + 1
    return _(
        "{first} to {last} of {total} customers",
        first=_.number(first),
        last=_.number(first + shown - 1),
        total=_.number(total),
    )


def _cells(row: queries.Row, names: dict[str, str], _: Words) -> list[dict[str, object]]:
    known = [row["full_name"], row["company_name"], row["email"], row["phone"], row["customer_id"]]
    name, *others = [each for each in known if each]
    if row["full_name"]:
        others.sort(key=lambda each: each != row["email"])
    status = row["lifecycle_status"]
    segment = row["rfm_segment"]
    return [
        cell(name, sub=others[0] if others else None),
        cell(
            pill=_("Internal")
            if row["is_internal"]
            else _(vocabulary.LIFECYCLE.get(status, status or "–")),
            tone="" if row["is_internal"] else vocabulary.LIFECYCLE_TONES.get(status, ""),
        ),
        cell(
            names.get(segment, segment) if segment and segment != "prospect" else "–",
            colour=findings.RFM_COLOURS.get(segment) if segment != "prospect" else None,
            faint=segment == "prospect",
        ),
        cell(row["city"] or "–", faint=not row["city"]),
        cell(_.number(row["lifetime_orders_count"])),
        cell(_.day(row["last_order_date"]), faint=row["last_order_date"] is None),
        cell(_.money(row["lifetime_net_revenue"], 0)),
    ]


def _nobody(search: str, _: Words) -> None:
    if search:
        empty(
            _("Nobody found for “{search}”", search=search),
            _(
                "Every word is looked for in the name, the company and the e-mail; numbers in "
                "phones, orders and ids. Try fewer letters, or take a filter off."
            ),
        )
    elif not queries.base_size():
        empty(
            _("Nobody is known yet"),
            _("People appear here once a source brings contacts or orders."),
            symbol="people",
        )
    else:
        empty(_("Nobody meets these filters"), _("Take a filter off to see more people."))


render()
