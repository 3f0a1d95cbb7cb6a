"""How we know who one customer is: records, links, evidence, values kept and lost, corrections."""

from __future__ import annotations

import streamlit as st

from cohorte.clock import now
from cohorte.errors import CohorteError
from cohorte.i18n import N_
from dashboards import address, identities, queries, theme, vocabulary
from dashboards.components import (
    Column,
    card,
    draw,
    empty,
    note,
    table,
    warning,
)
from dashboards.identities import Node
from dashboards.identity_parts import AUTHOR, PEOPLE, event_table, link_list, records_of_one
from dashboards.language import Words, words
from dashboards.markup import Html, div, join, span, tag
from dashboards.queries import Row
from dashboards.vocabulary import named

NODES_SHOWN = 24

GOLDEN = {
    "full_name": (N_("Name"), "name_source"),
    "email": (N_("E-mail"), "email_source"),
    "phone": (N_("Phone"), "phone_source"),
    "birth_date": (N_("Born"), "birth_date_source"),
    "address_line": (N_("Address"), "address_source"),
    "postcode": (N_("Postcode"), "address_source"),
    "city": (N_("City"), "address_source"),
    "gender": (N_("Gender"), None),
    "language": (N_("Language"), None),
    "company_name": (N_("Company"), None),
}
CORRECTABLE = {
    "full_name": N_("Name"),
    "first_name": N_("First name"),
    "last_name": N_("Last name"),
    "email": N_("E-mail"),
    "phone": N_("Phone"),
    "birth_date": N_("Born (such as 1980-05-03)"),
    "address_line": N_("Address"),
    "postcode": N_("Postcode"),
    "city": N_("City"),
    "company_name": N_("Company"),
}


def render() -> None:
    _ = words()
    asked = str(st.query_params.get("id") or "")
    customer_id = asked
    person = queries.customer(customer_id) if customer_id else {}
    known = identities.is_known()
    if not person and known and asked:
        customer_id = identities.successor(asked) or asked
        person = queries.customer(customer_id)
    if not person or not known:
        empty(
            _("This customer is not in the version served"),
            _("Look for the name or the e-mail among the customers."),
            symbol="people",
        )
        return
    with st.container(key="back-customer"):
        st.page_link(
            "screens/customer.py",
            label=person["full_name"] or person["company_name"] or customer_id,
            icon=":material/arrow_back:",
            query_params=address.link(id=customer_id),
        )
    draw(
        div(
            tag("h1", _("How we know this person")),
            tag("p", _aliases(customer_id, asked, _)),
            cls="co-title",
        )
    )
    records = queries.source_records(customer_id)
    links = identities.links_of(customer_id)
    left, right = st.columns([6, 7], gap="small")
    with left:
        _graph(customer_id, records, links, _)
        _records(records, _)
        _history(customer_id, _)
    with right:
        _values(person, records, _)
        _links(links, _)
        _corrections(customer_id, records, _)


def _aliases(customer_id: str, asked: str, _: Words) -> str:
    aliases = [row["alias_id"] for row in identities.aliases_of(customer_id)]
    said = _("Id {id}.", id=customer_id)
    if asked != customer_id:
        said += " " + _("{old} was merged into this customer.", old=asked)
    if aliases:
        said += " " + _("Older ids that lead here: {ids}.", ids=_.list(aliases))
    return said


def _graph(customer_id: str, records: list[Row], links: list[Row], _: Words) -> None:
    nodes = [
        Node((row["source"], row["contact_id"]), f"{row['source']} {row['contact_id']}", True)
        for row in records
    ]
    own = {node.key for node in nodes}
    for row in links:
        for side in ("a", "b"):
            key = (row[f"source_{side}"], row[f"contact_{side}"])
            if key not in own:
                own.add(key)
                nodes.append(Node(key, f"{key[0]} {key[1]}", False))
    with card(
        "identity-graph",
        _("Records and links"),
        _("Full dots are records of this customer, grey ones of others; dashed links do not join."),
    ):
        drawn = identities.graph(nodes[:NODES_SHOWN], links, _, theme.tokens(st.context.theme.type))
        st.vega_lite_chart(
            None,
            drawn.to_dict() | {"width": "container"},
            theme=None,
            alt=_(
                "{records} records joined by {links} links",
                records=_.number(len(records)),
                links=_.number(sum(row["status"] == "joined" for row in links)),
            ),
        )
        if len(nodes) > NODES_SHOWN:
            note(_("The first {count} records are drawn.", count=_.number(NODES_SHOWN)))


def _records(records: list[Row], _: Words) -> None:
    title = _.ngettext(
        "{count} source record makes this person",
        "{count} source records make this person",
        len(records),
    )
    with card("identity-records", title, _("One that is somebody else can be taken out")):
        records_of_one(records, PEOPLE, lambda row: _told_of_record(row, _), _)


def _told_of_record(row: Row, _: Words) -> list[Html | None]:
    rule = named(vocabulary.LINK_RULES, row["link_rule"], _)
    return [
        div(" · ".join(part for part in (row["full_name"], row["email"]) if part), cls="sub"),
        div(_("Linked: {rule}", rule=rule), cls="sub rule"),
    ]


def _values(person: Row, records: list[Row], _: Words) -> None:
    rows = []
    for name, (label, origin) in GOLDEN.items():
        kept = person.get(name)
        lost: dict[str, list[str]] = {}
        for record in records:
            value = record.get(name)
            if value is not None and str(value).casefold() != str(kept).casefold():
                lost.setdefault(_shown(name, value, _), []).append(record["source"])
        if kept is None and not lost:
            continue
        source = person.get(origin) if origin else None
        rows.append(
            [
                _(label),
                join(
                    span(_shown(name, kept, _) if kept is not None else "–", cls="main"),
                    span(_source(source, _), cls="sub") if source else None,
                ),
                [
                    div(span(value), " ", span(_.list(sorted(set(sources))), cls="sub"))
                    for value, sources in lost.items()
                ]
                or "–",
            ]
        )
    with card(
        "identity-values",
        _("Values kept, and those that were not"),
        _("Which record a value is taken from is declared in cohorte.yml, per field"),
    ):
        draw(
            table(
                [
                    Column(_("Field")),
                    Column(_("Kept"), "wide", named=True),
                    Column(_("Others say"), "wide", named=True),
                ],
                rows,
                _("Values kept, and those that were not"),
            )
        )


def _source(source: str, _: Words) -> str:
    return (
        _("set right by a person") if source == "correction" else _("from {source}", source=source)
    )


def _shown(name: str, value: object, _: Words) -> str:
    if name == "gender":
        return named(vocabulary.GENDERS, str(value), _)
    return value if isinstance(value, str) else _.day(value)  # type: ignore[arg-type]


def _links(links: list[Row], _: Words) -> None:
    with card(
        "identity-links",
        _.ngettext("{count} link looked at", "{count} links looked at", len(links)),
        _("The evidence of each, the weightiest first"),
    ):
        if links:
            draw(link_list(links, _, lambda row: _likelihood(row, _)))
        else:
            note(_("This customer has one record, and no other was like it."))


def _likelihood(row: Row, _: Words) -> Html | None:
    sure = row["match_probability"]
    return None if sure is None else div(_("{share} likely", share=_.percent(sure, 1)), cls="sub")


def _corrections(customer_id: str, records: list[Row], _: Words) -> None:
    if not records:
        return
    keys = [(row["source"], row["contact_id"]) for row in records]
    with card(
        "identity-corrections",
        _("Set a value right"),
        _("It rules over every source from the next run on, whatever they send again"),
    ):
        for held in queries.store().list_corrections(keys):
            with st.container(
                horizontal=True, vertical_alignment="center", key=f"held-{held.correction_id}"
            ):
                draw(
                    div(
                        span(
                            _(CORRECTABLE.get(held.field, held.field)), ": ", tag("b", held.value)
                        ),
                        div(
                            _("by {who} on {at}", who=held.author, at=_.at(held.made_at)), cls="sub"
                        ),
                    )
                )
                if st.button(_("Withdraw"), key=f"drop-{held.correction_id}", type="tertiary"):
                    queries.store().withdraw_correction(held.correction_id, who=AUTHOR, at=now())
                    st.rerun()
        with st.form(f"correct-{customer_id}", border=False, clear_on_submit=True):
            left, right = st.columns([2, 3])
            field = left.selectbox(
                _("Field"), list(CORRECTABLE), format_func=lambda name: _(CORRECTABLE[name]),
                key="correct-field",
            )  # fmt: skip
            value = right.text_input(_("Value"), max_chars=300, key="correct-value")
            if st.form_submit_button(_("Keep"), type="primary", key="correct-keep"):
                _correct(keys[0], field, value, _)


def _correct(record: tuple[str, str], field: str, value: str, _: Words) -> None:
    from models.identity import checked_corrections

    try:
        kept = checked_corrections({field: value}, queries.workspace().settings.country_code)
    except CohorteError as error:
        warning(_.told(error.said))
        return
    queries.store().correct(record, kept, who=AUTHOR, at=now())
    st.rerun()


def _history(customer_id: str, _: Words) -> None:
    rows = identities.events(customer_id, 30)
    if not rows:
        return
    with card("identity-history", _("What became of this customer's id")):
        draw(event_table(rows, _))


render()
