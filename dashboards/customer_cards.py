"""Cards of a customer's page: their course, service, notes."""

from __future__ import annotations

from datetime import date
from decimal import Decimal

import streamlit as st

from cohorte.clock import now
from cohorte.kpis import add_months
from dashboards import charts, identities, person, queries, theme, vocabulary
from dashboards.charts import Line
from dashboards.components import card, draw, note, pill, plot
from dashboards.language import Words
from dashboards.markup import Html, div, span, tag
from dashboards.queries import Row
from dashboards.vocabulary import named

QUARTERS = 12
NOTE_LENGTH = 2000


def course(customer_id: str, _: Words) -> None:
    """Net revenue by quarter."""
    found = {row["quarter"]: row["net_revenue"] for row in queries.revenue_course(customer_id)}
    if len(found) < 2:
        return
    as_of = queries.pinned().as_of
    last = as_of.replace(month=as_of.month - (as_of.month - 1) % 3, day=1)
    first = max(min(found), add_months(last, -3 * (QUARTERS - 1)))
    quarters: list[date] = []
    while first <= last:
        quarters.append(first)
        first = add_months(first, 3)
    amounts = [float(max(found.get(at, Decimal(0)), Decimal(0))) for at in quarters]
    best = max(range(len(quarters)), key=lambda i: amounts[i])
    title = _(
        "Best quarter: {quarter}, {amount}",
        quarter=_.bucket(quarters[best], "quarter"),
        amount=_.money(amounts[best], 0),
    )
    tokens = theme.tokens(st.context.theme.type)
    with card("course", title, _("Net revenue by quarter")):
        plot(
            charts.stacked(
                [_.bucket(at, "quarter", axis=True) for at in quarters],
                [_.bucket(at, "quarter") for at in quarters],
                [Line(_("Net revenue"), amounts, tokens.now)],
                lambda value, short: _.short_money(value) if short else _.money(value, 0),
                _,
                tokens,
                height=150,
            ),
            title,
        )


def service(customer_id: str, _: Words) -> None:
    """Tickets and answers to surveys, the latest first."""
    tickets, answers = queries.service_of(customer_id)
    if not tickets and not answers:
        return
    title = ", ".join(
        filter(
            None,
            [
                _.ngettext("{count} ticket", "{count} tickets", len(tickets)) if tickets else "",
                _.ngettext("{count} answer", "{count} answers", len(answers)) if answers else "",
            ],
        )
    )
    with card("service", title):
        draw(
            tag(
                "ul",
                [_ticket(ticket, _) for ticket in tickets[:6]]
                + [_answer(answer, _) for answer in answers[:6]],
                cls="co-list",
            )
        )


def _ticket(ticket: Row, _: Words) -> Html:
    resolved, opened = ticket["resolved_at"], ticket["opened_at"]
    took = (
        _("resolved after {time}", time=_.hours((resolved - opened).total_seconds() / 3600))
        if resolved
        else _("open for {time}", time=_.hours(ticket["hours_open"]))
    )
    about = vocabulary.part("category", ticket["category"], _)
    return tag(
        "li",
        div(
            span(tag("b", about), " · ", _.day(_.local(opened).date())),
            pill(_("resolved"), "good") if resolved else pill(_("open"), "warn"),
            cls="row",
        ),
        div(f"{named(vocabulary.CHANNELS, ticket['channel'], _)} · {took}", cls="sub"),
    )


def _answer(answer: Row, _: Words) -> Html:
    top = 10 if answer["kind"] == "nps" else 5
    good = answer["score"] is not None and answer["score"] >= (9 if top == 10 else 4)
    poor = answer["score"] is not None and answer["score"] <= (6 if top == 10 else 2)
    score = f"{answer['score'] if answer['score'] is not None else '–'}/{top}"
    return tag(
        "li",
        div(
            span(
                tag("b", _("Recommends us") if top == 10 else _("Satisfied")),
                " · ",
                _.day(_.local(answer["answered_at"]).date()),
            ),
            pill(score, "good" if good else "bad" if poor else ""),
            cls="row",
        ),
        div(answer["comment"], cls="sub") if answer["comment"] else None,
    )


def notes(customer_id: str, _: Words) -> None:
    """What people here wrote of the customer; anyone may add."""
    store = queries.store()
    ids = [customer_id]
    if identities.is_known():
        ids += [row["alias_id"] for row in identities.aliases_of(customer_id)]
    held = sorted(
        (each for known_as in ids for each in store.list_notes("customer", known_as)),
        key=lambda each: each.created_at,
        reverse=True,
    )
    with card("notes", _("Notes")):
        if not held:
            note(_("Nobody has noted anything."))
        draw(
            tag(
                "ul",
                [
                    tag(
                        "li",
                        div(each.text),
                        div(
                            " · ".join(filter(None, [each.author, _.at(each.created_at)])),
                            cls="sub",
                        ),
                    )
                    for each in held
                ],
                cls="co-list",
            )
            if held
            else None
        )
        with st.form(f"note-{customer_id}", clear_on_submit=True, border=False):
            written = st.text_area(
                _("New note"),
                max_chars=NOTE_LENGTH,
                height=70,
                placeholder=_("What the next person should know"),
                label_visibility="collapsed",
            )
            if st.form_submit_button(_("Add the note")) and written.strip():
                store.add_note(
                    "customer", customer_id, written.strip(), author=person.who() or _("on screen"),
                    at=now(),
                )  # fmt: skip
                st.rerun()
