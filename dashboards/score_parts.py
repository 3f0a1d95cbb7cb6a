"""What the page of a customer says of their scores: the figure, its reasons, what to suggest."""

from __future__ import annotations

import json

from dashboards import queries, score_facts
from dashboards.components import bar, card, draw
from dashboards.language import Words
from dashboards.markup import Html, div, span, tag
from models.propensity import reason_sentence as propensity_reason
from models.value import reason_sentence as value_reason


def person_scores(customer_id: str, _: Words) -> None:
    """The scores of a customer with their reasons, and products to suggest; nothing without."""
    found = score_facts.person_scores(customer_id)
    suggested = score_facts.person_suggestions(customer_id)
    if not found and not suggested:
        return
    titles = {
        score.name: score.propensity.title(_.code)
        for score in score_facts.scores(queries.workspace())
        if score.propensity is not None
    }
    with card("person-scores", _("What to expect")):
        draw(tag("ul", [_score(row, titles, _) for row in found], cls="co-list"))
        for kind, label in (("again", _("Buys again")), ("new", _("Might like"))):
            names = [row["product_name"] for row in suggested if row["kind"] == kind]
            if names:
                draw(div(tag("b", label), " ", span(_.list(names[:3]), cls="sub")))


def _score(row: queries.Row, titles: dict[str, str], _: Words) -> Html:
    is_value = row["name"] == score_facts.VALUE
    title = (
        _("An order within {days} days", days=_.number(row["horizon_days"]))
        if is_value
        else titles.get(row["name"], row["name"].removeprefix("propensity_"))
    )
    lines = [
        div(span(title), tag("b", _.percent(row["probability"], 0)), cls="row"),
        bar(row["probability"]),
    ]
    if is_value:
        lines.append(
            div(
                _(
                    "{orders} orders and {value} expected; {low} to {high} for four in five",
                    orders=_.number(row["expected_orders"], 1),
                    value=_.money(row["expected_value"], 0),
                    low=_.money(row["expected_value_low"], 0),
                    high=_.money(row["expected_value_high"], 0),
                ),
                cls="sub",
            )
        )
    say = value_reason if is_value else propensity_reason
    told = json.loads(row["reasons"] or "[]")
    strongest = sorted(told, key=lambda reason: -abs(float(reason["contribution"])))[:3]
    lines += [div(say(reason, _.code), cls="sub") for reason in strongest]
    return tag("li", lines)
