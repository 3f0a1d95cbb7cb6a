"""Organisations: the accounts that make each, who is above and below, and likely duplicates."""

from __future__ import annotations

import math

import streamlit as st

from cohorte.i18n import N_
from dashboards import address, identities, link_model, organisations, queries, vocabulary
from dashboards.components import (
    Column,
    card,
    cell,
    choice,
    draw,
    empty,
    note,
    open_table,
    page_head,
    pill,
    search_box,
    section,
    strip,
)
from dashboards.identities import pair_key
from dashboards.identity_parts import (
    ORGANISATIONS,
    SHARED,
    learned,
    link_list,
    records_of_one,
    review,
    said_by_people,
    undo,
)
from dashboards.language import Words, words
from dashboards.markup import Html, div, span, tag
from dashboards.queries import Row
from models.identity.accounts import MIN_CERTAIN_PAIRS

TABS = {
    "all": N_("Organisations"),
    "waiting": N_("Duplicates waiting"),
    "weights": N_("Weights"),
}


def render() -> None:
    _ = words()
    if not organisations.is_known():
        empty(
            _("The version served does not tell of links between accounts"),
            _("It was published by an older Cohorte. The next run publishes them."),
            symbol="people",
            command="cohorte run",
        )
        return
    if asked := str(st.query_params.get("id") or ""):
        _one(asked, _)
        return
    counts = organisations.counts()
    with page_head(
        _("Organisations"),
        _("Companies and institutions, each made of the accounts that sources have of it."),
    ):
        pass
    if not counts["accounts"]:
        empty(
            _("No source has accounts yet"),
            _("Companies come from a source whose mapping names the entity accounts."),
            symbol="people",
        )
        return
    strip(
        [
            (_("Accounts"), _.number(counts["accounts"])),
            (_("Organisations"), _.number(counts["organisations"])),
            (_("Part of another"), _.number(counts["below"])),
            (_("Pairs waiting"), _.number(counts["waiting"])),
        ]
    )
    chosen = choice(
        _("View"), list(TABS), lambda name: _(TABS[name]), "view", "all",
        widget="organisations-view",
    )  # fmt: skip
    if chosen == "waiting":
        _waiting(_)
    elif chosen == "weights":
        _weights(_)
    else:
        _all(_)


def _all(_: Words) -> None:
    rows = organisations.found(search_box(_("Name, registration number, domain, city or id")))
    if not rows:
        empty(_("No organisation is found by that"), symbol="people", small=True)
        return
    picked = open_table(
        "organisations",
        [
            Column(_("Organisation")),
            Column(_("City"), "hide"),
            Column(_("Part of"), "hide"),
            Column(_("Sources"), "hide"),
            Column(_("Accounts"), "num hide"),
            Column(_("Contacts"), "num first"),
        ],
        [
            (
                row["organisation_id"],
                [
                    cell(
                        row["organisation_name"] or row["organisation_id"],
                        sub=row["domain"] or row["legal_id"],
                    ),
                    cell(row["city"] or "–"),
                    cell(row["parent_name"] or "–"),
                    cell((row["sources"] or "").replace(",", ", ")),
                    cell(_.number(row["accounts_count"])),
                    cell(_.number(row["contacts_count"])),
                ],
            )
            for row in rows
        ],
        label=_("Organisations"),
        path="organisations?id=",
    )
    if len(rows) == organisations.SHOWN:
        note(_("The first {count} are shown; search for others.", count=_.number(len(rows))))
    if picked:
        st.switch_page("screens/organisations.py", query_params=address.link(id=picked))


def _waiting(_: Words) -> None:
    decided = {
        identities.decision_key(decision)
        for decision in queries.store().list_identity_decisions("organisation")
    }
    rows = [row for row in organisations.waiting() if pair_key(row) not in decided]
    undo(_)
    if rows:
        review(rows, ORGANISATIONS, _)
    else:
        empty(
            _("No pair waits here"),
            _("What people decided is applied by the next run."),
            symbol="people",
            small=True,
        )
    section(_("Decided by people"), _("Withdrawing one lets the machine decide again."))
    said_by_people(ORGANISATIONS, _)


def _weights(_: Words) -> None:
    model = link_model.trained("organisation")
    if model is None:
        empty(
            _("Weights are declared, not learned"),
            _(
                "They are learned once {count} pairs of accounts state one registration"
                " or VAT number.",
                count=_.number(MIN_CERTAIN_PAIRS),
            ),
            symbol="people",
            small=True,
        )
        return
    odds = queries.workspace().settings.identity.review_probability
    learned(
        model, organisations.waiting(), math.log2(odds / (1 - odds)), ORGANISATIONS, _
    )  # fmt: skip


def _one(organisation_id: str, _: Words) -> None:
    row = organisations.organisation(organisation_id)
    with st.container(key="back-organisations"):
        st.page_link(
            "screens/organisations.py",
            label=_("Organisations"),
            icon=":material/arrow_back:",
            query_params=address.link(),
        )
    if not row:
        empty(
            _("This organisation is not in the version served"),
            _("Look for its name among the organisations."),
            symbol="people",
        )
        return
    stated = [
        _("{label} {value}", label=_(label), value=row[name])
        for name, label in (
            ("legal_id", N_("Registration number")), ("vat_number", N_("VAT number")),
            ("domain", N_("Domain")), ("city", N_("City")),
        )
        if row[name]
    ]  # fmt: skip
    draw(
        div(
            tag("h1", row["organisation_name"] or organisation_id),
            tag("p", " · ".join(stated)),
            cls="co-title",
        )
    )
    left, right = st.columns(2, gap="small")
    with left:
        _accounts(organisations.accounts_of(organisation_id), _)
        _hierarchy(organisations.around(organisation_id), _)
    with right:
        _contacts(organisations.contacts_of(organisation_id), _)
        _links(organisations.links_of(organisation_id), _)


def _accounts(rows: list[Row], _: Words) -> None:
    title = _.ngettext(
        "{count} account makes this organisation",
        "{count} accounts make this organisation",
        len(rows),
    )
    with card("organisation-accounts", title, _("One that is another company can be taken out")):
        records_of_one(rows, ORGANISATIONS, lambda row: _told_of_account(row, _), _)


def _told_of_account(row: Row, _: Words) -> list[Html | None]:
    where = (row["account_name"], row["address_line"], row["postcode"], row["city"])
    rule = SHARED.get(row["link_rule"])
    return [
        div(" · ".join(str(part) for part in where if part), cls="sub"),
        div(_("shared: {key}", key=_(rule)), cls="sub rule") if rule else None,
    ]


def _hierarchy(rows: list[Row], _: Words) -> None:
    if not rows:
        return
    above = [row for row in rows if row["is_above"]]
    below = [row for row in rows if not row["is_above"]]
    with card("organisation-hierarchy", _("Above and below"), _("As its accounts name a parent")):
        for label, those in ((_("Above"), above), (_("Below"), below)):
            if those:
                section(label)
                draw(tag("ul", [_linked(row, _) for row in those], cls="co-list"))


def _linked(row: Row, _: Words) -> Html:
    contacts = _.ngettext("{count} contact", "{count} contacts", row["contacts_count"])
    return tag(
        "li",
        div(
            _link("organisations", row["organisation_id"], row["organisation_name"]),
            span(contacts, cls="sub"),
            cls="row",
        ),
    )


def _link(page: str, wanted: str, label: str | None) -> Html:
    return tag("a", label or wanted, href=f"{page}?id={wanted}", target="_self")


def _contacts(rows: list[Row], _: Words) -> None:
    with card(
        "organisation-contacts",
        _.ngettext("{count} contact", "{count} contacts", len(rows)),
        _("People whom a source places in it"),
    ):
        if not rows:
            note(_("No source names a person of this organisation."))
            return
        draw(
            tag(
                "ul",
                [
                    tag(
                        "li",
                        div(
                            _link("customer", row["customer_id"], row["full_name"] or row["email"]),
                            pill(
                                _(vocabulary.LIFECYCLE.get(row["lifecycle_status"], "–")),
                                vocabulary.LIFECYCLE_TONES.get(row["lifecycle_status"], ""),
                            ),
                            cls="row",
                        ),
                    )
                    for row in rows
                ],
                cls="co-list",
            )
        )


def _links(rows: list[Row], _: Words) -> None:
    if not rows:
        return
    with card(
        "organisation-links",
        _.ngettext("{count} link looked at", "{count} links looked at", len(rows)),
        _("The evidence of each, the weightiest first"),
    ):
        draw(link_list(rows, _))


render()
