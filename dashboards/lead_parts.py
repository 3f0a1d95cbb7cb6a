"""Leads to take first and contracts that end soon: what is expected of each, and who takes it."""

from __future__ import annotations

from dashboards.components import Column, card, draw, pill, table
from dashboards.language import Words
from dashboards.markup import Html, div, join, span
from dashboards.queries import Cursor, Row, published
from models.leads import routing_sentence

SHOWN = 8
SHOWN_COURSE = 4
LEAST_MOVE = 0.005
"""Smaller changes of a probability are not shown."""


@published
def leads_first(cursor: Cursor, limit: int, customer_id: str | None = None) -> list[Row]:
    """Open leads of the last scores, the one worth most first; none in versions without them.

    With ``customer_id`` those of one customer.
    """
    if not cursor.has_table("lead_routing"):
        return []
    return cursor.rows(
        """
        select leads.full_name, leads.company_name, leads.lead_id, leads.channel, scored.lead_grade,
            scored.conversion_probability, scored.expected_value_amount, scored.learned_weight,
            scored.estimator_version, leads.source, leads.created_date,
            scored.fit_points, scored.behaviour_points, routing.suggested_owner,
            routing.suggested_team, routing.reasons as routing_reasons
        from lead_scores as scored
        inner join leads using (source, lead_id)
        left join lead_routing as routing using (source, lead_id)
        where scored.as_of = (select max(as_of) from lead_scores) and not leads.is_converted
            and ($customer_id::varchar is null or leads.customer_id = $customer_id)
        order by coalesce(scored.expected_value_amount, scored.conversion_probability) desc,
            leads.source, leads.lead_id
        limit $limit
        """,
        {"limit": limit, "customer_id": customer_id},
    )


@published
def leads_moved(cursor: Cursor, limit: int) -> list[Row]:
    """Open leads whose score was another before, the largest change first, with their course."""
    if not cursor.has_table("lead_score_history"):
        return []
    return cursor.rows(
        """
        with courses as (
            select source, lead_id, list(as_of order by as_of) as days,
                list(conversion_probability order by as_of) as course
            from lead_score_history group by source, lead_id
        )
        select leads.full_name, leads.company_name, leads.lead_id, scored.lead_grade,
            courses.days[-$shown:] as days, courses.course[-$shown:] as course
        from lead_scores as scored
        inner join leads using (source, lead_id)
        inner join courses using (source, lead_id)
        where scored.as_of = (select max(as_of) from lead_scores) and not leads.is_converted
            and abs(courses.course[-1] - courses.course[-2]) >= $least
        order by abs(courses.course[-1] - courses.course[-2]) desc, leads.source, leads.lead_id
        limit $limit
        """,
        {"limit": limit, "least": LEAST_MOVE, "shown": SHOWN_COURSE},
    )


@published
def contracts_first(cursor: Cursor, limit: int) -> list[Row]:
    """Contracts that end in the horizon, the one with most to lose first."""
    if not cursor.has_table("contract_scores"):
        return []
    return cursor.rows(
        """
        select contracts.contract_name, scored.contract_id, scored.end_date, customers.full_name,
            accounts.account_name, scored.non_renewal_probability, scored.expected_loss_amount,
            contracts.currency_code, count(*) over () as contracts_count
        from contract_scores as scored
        inner join contracts using (source, contract_id)
        left join customers on scored.customer_id = customers.customer_id
        left join accounts
            on contracts.source = accounts.source and contracts.account_id = accounts.account_id
        order by scored.expected_loss_amount desc nulls last, scored.end_date, scored.contract_id
        limit $limit
        """,
        {"limit": limit},
    )


def show_leads_first(_: Words) -> None:
    """The open leads worth most, with both parts of their score and who should take them."""
    found = leads_first(SHOWN)
    if not found:
        return
    with card(
        "leads-first",
        _("Leads to take first"),
        _("By expected value: what a deal like it brings, times its chance."),
    ):
        has_points = found[0]["fit_points"] is not None
        columns = [
            Column(_("Lead")),
            Column(_("Grade"), "state"),
            Column(_("Probability"), "num"),
            Column(_("Expected value"), "num hide"),
            *([Column(_("Points"), "num hide")] if has_points else []),
            Column(_("Who should take it"), "wide"),
        ]
        draw(table(columns, [_row(row, has_points, _) for row in found], _("Leads to take first")))


def show_leads_moved(_: Words) -> None:
    """The open leads whose score changed most, and what it was before."""
    found = leads_moved(SHOWN)
    if not found:
        return
    with card(
        "leads-moved",
        _("Leads whose score moved"),
        _("By their last change; the chance of converting as it was told, the oldest first."),
    ):
        columns = [
            Column(_("Lead")),
            Column(_("Grade"), "state"),
            Column(_("Since"), "num hide"),
            Column(_("Course"), "num first"),
        ]
        rows = [
            [
                _lead(row),
                pill(row["lead_grade"], "accent"),
                _.day(row["days"][-1]),
                " → ".join(_.percent(chance, 0) for chance in row["course"]),
            ]
            for row in found
        ]
        draw(table(columns, rows, _("Leads whose score moved")))


def _lead(row: Row) -> Html:
    return join(
        div(row["full_name"] or row["company_name"] or row["lead_id"], cls="main"),
        div(row["company_name"] if row["full_name"] else "", cls="sub"),
    )


def _row(row: Row, has_points: bool, _: Words) -> list[Html | str]:
    worth = row["expected_value_amount"]
    cells: list[Html | str] = [
        _lead(row),
        pill(row["lead_grade"], "accent"),
        _.percent(row["conversion_probability"], 0),
        "–" if worth is None else _.money(worth, 0),
    ]
    if has_points:
        cells.append(_.number((row["fit_points"] or 0) + (row["behaviour_points"] or 0)))
    return [*cells, _who(row, _)]


def _who(row: Row, _: Words) -> Html:
    """Who should take a lead, and why."""
    owner = row["suggested_owner"]
    if owner is None:
        return span("–")
    team = row["suggested_team"]
    return join(
        div(_("{owner}, {team}", owner=owner, team=team) if team else owner),
        div(routing_sentence(row["routing_reasons"], _.code), cls="sub"),
    )


def show_contracts_first(_: Words) -> None:
    """The contracts that end soon with most to lose."""
    found = contracts_first(SHOWN)
    if not found:
        return
    count = found[0]["contracts_count"]
    title = _.ngettext("{count} contract ends soon", "{count} contracts end soon", count)
    with card("contracts-first", title, _("By what is expected to be lost with them.")):
        columns = [
            Column(_("Contract")),
            Column(_("Ends on"), "num"),
            Column(_("Not renewed"), "num first"),
            Column(_("Expected loss"), "num hide"),
        ]
        rows = [
            [
                join(
                    div(row["contract_name"] or row["contract_id"], cls="main"),
                    div(row["account_name"] or row["full_name"] or "", cls="sub"),
                ),
                _.day(row["end_date"]),
                _.percent(row["non_renewal_probability"], 0),
                "–"
                if row["expected_loss_amount"] is None
                else _.money(row["expected_loss_amount"], 0),
            ]
            for row in found
        ]
        draw(table(columns, rows, title))
