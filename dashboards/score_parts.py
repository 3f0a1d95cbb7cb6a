"""What the page of a customer says of their scores: the figure, its reasons, what to suggest."""

from __future__ import annotations

import json

import polars as pl
import streamlit as st

from dashboards import queries, score_facts
from dashboards.components import bar, card, draw, strip
from dashboards.language import Words
from dashboards.markup import Html, div, markdown_text, span, tag
from models.propensity import reason_sentence as propensity_reason
from models.propensity.words import feature_label
from models.registry import Artifact, Registry
from models.value import reason_sentence as value_reason

TRIED = 6
"""Features offered to try other values of, the weightiest."""


def person_scores(customer_id: str, _: Words) -> None:
    """The scores of a customer with their reasons, and products to suggest; nothing without."""
    found = score_facts.person_scores(customer_id)
    suggested = score_facts.person_suggestions(customer_id)
    coming = score_facts.next_order(customer_id)
    if not found and not suggested and coming is None:
        return
    titles = {
        score.name: score.propensity.title(_.code)
        for score in score_facts.scores(queries.workspace())
        if score.propensity is not None
    }
    with card("person-scores", _("What to expect")):
        told = [] if coming is None else [_next_order(coming, _)]
        draw(tag("ul", told + [_score(row, titles, _) for row in found], cls="co-list"))
        for kind, label in (("again", _("Buys again")), ("new", _("Might like"))):
            names = [row["product_name"] for row in suggested if row["kind"] == kind]
            if names:
                draw(div(tag("b", label), " ", span(_.list(names[:3]), cls="sub")))


def person_what_if(customer_id: str, _: Words) -> None:
    """Try other values on a customer's own scores; nothing where no such score is there."""
    registry = Registry(queries.workspace().artifacts_dir)
    known = {
        row["name"]: score_facts.artifact(registry, row["name"], row["estimator_version"])
        for row in score_facts.person_scores(customer_id)
        if row["name"] != score_facts.VALUE
    }
    titles = {
        score.name: score.propensity.title(_.code)
        for score in score_facts.scores(queries.workspace())
        if score.propensity is not None and known.get(score.name) is not None
    }
    if not titles:
        return
    picked = next(iter(titles))
    if len(titles) > 1:
        picked = st.selectbox(
            _("Score to try values on"),
            list(titles),
            format_func=lambda name: markdown_text(titles[name]),
            key="try-score",
        )
    chosen = known[picked]
    if chosen is not None:
        what_if(picked, chosen, customer_id, _)


def _next_order(row: queries.Row, _: Words) -> Html:
    """When the next order is expected, and what of."""
    if row["expected_date"] is None:
        said = _(
            "No order expected within a year: {share} of such customers order in one.",
            share=_.percent(row["year_probability"], 0),
        )
    else:
        said = _("Next order expected by {day}", day=_.day(row["expected_date"]))
    lines = [div(tag("b", said))]
    if row["latest_date"] is not None:
        between = _(
            "Four in five such customers order between {early} and {late}.",
            early=_.day(row["earliest_date"]),
            late=_.day(row["latest_date"]),
        )
        lines.append(div(between, cls="sub"))
    elif row["earliest_date"] is not None and row["expected_date"] is not None:
        after = _(
            "Nine in ten after {early}; {share} within a year.",
            early=_.day(row["earliest_date"]),
            share=_.percent(row["year_probability"], 0),
        )
        lines.append(div(after, cls="sub"))
    if row["category"]:
        lines.append(div(_("Likeliest category: {name}", name=row["category"]), cls="sub"))
    return tag("li", lines)


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


def what_if(score: str, known: Artifact, customer: str, _: Words) -> None:
    """A person's weightiest values to change, and what the score and its reasons become."""
    served = score_facts.estimator(known)
    frame = score_facts.features(customer)
    if served is None or frame.is_empty():
        return
    contributions = served.scorer.explain(served.encoder.encode(frame))[0]
    order = sorted(range(len(contributions)), key=lambda at: -abs(contributions[at]))
    numbers = [at for at in order if served.encoder.features[at].kind == "number"][:TRIED]
    name = score_facts.names((customer,)).get(customer, customer)
    with card(
        "what-if",
        _("What if?"),
        _(
            "{name}: change what is known and see what would be expected. It shows how the score"
            " reads people, not what would make them act.",
            name=name,
        ),
    ):
        changed = frame
        places = [place for _row in range(0, len(numbers), 3) for place in st.columns(3)]
        for place, at in zip(places, numbers, strict=False):
            feature = served.encoder.features[at].name
            value = frame[feature][0]
            with place:
                tried = st.number_input(
                    feature_label(feature, _.code),
                    value=None if value is None else float(value),
                    key=f"try-{score}-{customer}-{feature}",
                    format="%g",
                )
            changed = changed.with_columns(pl.lit(tried, dtype=pl.Float64).alias(feature))
        before, after = (float(served.probability(rows)[0]) for rows in (frame, changed))
        strip(
            [
                (_("As it is"), _.percent(before, 1)),
                (_("As tried"), _.percent(after, 1)),
                (_("Change"), _.difference(after - before, "percent")),
            ],
            boxed=False,
        )
        told = served.scorer.explain(served.encoder.encode(changed))[0]
        strongest = sorted(range(len(told)), key=lambda at: -abs(told[at]))[:3]
        lines = []
        for at in strongest:
            feature = served.encoder.features[at].name
            reason = {
                "feature": feature,
                "value": changed[feature][0],
                "contribution": float(told[at]),
            }
            lines.append(tag("li", propensity_reason(reason, _.code)))
        draw(tag("ul", lines, cls="co-list"))
