"""What the page of a customer says of their scores: the figure, its reasons, what to suggest."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import streamlit as st

from dashboards import queries, score_facts
from dashboards.components import bar, card, draw, strip
from dashboards.language import Words
from dashboards.lead_parts import leads_first
from dashboards.markup import Html, div, markdown_text, span, tag
from models.leads import feature_label as lead_label
from models.leads import reason_sentence as lead_reason
from models.propensity import reason_sentence as propensity_reason
from models.propensity.words import feature_label as propensity_label
from models.registry import Artifact, Registry
from models.value import feature_label as value_label
from models.value import reason_sentence as value_reason
from models.whatif import Lever, Told, Value, WhatIf

MOST_LEADS = 8
MOST_SUGGESTED = 3
Label = Callable[[str, str], str]
Say = Callable[[Mapping[str, Any], str], str]
WORDS: dict[str, tuple[Label, Say]] = {
    score_facts.VALUE: (value_label, value_reason),
    score_facts.LEADS: (lead_label, lead_reason),
}
"""What the values of a score are called, and its reasons; all others are propensities."""


def person_scores(customer_id: str, _: Words) -> None:
    """The scores of a customer with their reasons, and products to suggest; nothing without."""
    found = score_facts.person_scores(customer_id)
    suggested = score_facts.person_suggestions(customer_id)
    coming = score_facts.next_order(customer_id)
    if not found and not suggested and coming is None:
        return
    titles = _titles(_)
    with card("person-scores", _("What to expect")):
        told = [] if coming is None else [_next_order(coming, _)]
        told += [_score(row, titles, _) for row in found]
        for kind, label in (("again", _("Buys again")), ("new", _("Might like"))):
            told += _suggested(label, [row for row in suggested if row["kind"] == kind], _)
        draw(tag("ul", told, cls="co-list"))


def _suggested(label: str, rows: list[queries.Row], _: Words) -> list[Html]:
    """The first products to suggest, each with what they bought that it goes with, where that is
    why. What two sources give one name is told once."""
    named: dict[str, str | None] = {}
    for row in rows:
        named.setdefault(row["product_name"], row["because"])
    lines = [
        div(
            product,
            div(_("goes with {bought}", bought=because), cls="sub") if because else None,
        )
        for product, because in list(named.items())[:MOST_SUGGESTED]
    ]
    return [tag("li", tag("b", label), *lines)] if lines else []


def person_what_if(customer_id: str, _: Words) -> None:
    """Try other values on a customer's own scores and open leads; nothing without any."""
    registry = Registry(queries.workspace().artifacts_dir)
    titles = _titles(_)
    found: list[tuple[str, str, WhatIf]] = []

    def add(score: str, version: str, title: str, who: str, source: str = "") -> None:
        known = score_facts.artifact(registry, score, version)
        tried = None if known is None else score_facts.what_if(known, who, source)
        if tried is not None:
            found.append((score, title, tried))

    for row in score_facts.person_scores(customer_id):
        add(row["name"], row["estimator_version"], _title(row, titles, _), customer_id)
    for row in leads_first(MOST_LEADS, customer_id):
        title = _("The lead of {day} converts", day=_.day(row["created_date"]))
        version = row["estimator_version"]
        add(score_facts.LEADS, version, title, row["lead_id"], row["source"])
    if not found:
        return
    at = 0
    if len(found) > 1:
        at = st.selectbox(
            _("Score to try values on"),
            range(len(found)),
            format_func=lambda at: markdown_text(found[at][1]),
            key="try-score",
        )
    score, _told, tried = found[at]
    _what_if(f"{customer_id}-{at}", _name(customer_id), score, tried, _)


def score_what_if(score: str, known: Artifact, customer_id: str, _: Words) -> None:
    """Try other values on one score of a customer."""
    tried = score_facts.what_if(known, customer_id)
    if tried is not None:
        _what_if(customer_id, _name(customer_id), score, tried, _)


def leads_what_if(known: Artifact, _: Words) -> None:
    """Try other values on the leads to take first."""
    leads = {
        (row["source"], row["lead_id"]): row["full_name"] or row["company_name"] or row["lead_id"]
        for row in leads_first(MOST_LEADS)
    }
    if not leads:
        return
    picked = st.selectbox(
        _("Lead to try values on"),
        list(leads),
        format_func=lambda one: markdown_text(leads[one]),
        key="try-lead",
    )
    source, lead_id = picked
    tried = score_facts.what_if(known, lead_id, source)
    if tried is not None:
        _what_if(f"{source}-{lead_id}", leads[picked], score_facts.LEADS, tried, _)


def _name(customer_id: str) -> str:
    return score_facts.names((customer_id,)).get(customer_id, customer_id)


def _titles(_: Words) -> dict[str, str]:
    """What the propensities are called."""
    return {
        score.name: score.propensity.title(_.code)
        for score in score_facts.scores(queries.workspace())
        if score.propensity is not None
    }


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


def _title(row: queries.Row, titles: dict[str, str], _: Words) -> str:
    """What a score of a customer is called."""
    if row["name"] == score_facts.VALUE:
        return _("An order within {days} days", days=_.number(row["horizon_days"]))
    return titles.get(row["name"], row["name"].removeprefix("propensity_"))


def _score(row: queries.Row, titles: dict[str, str], _: Words) -> Html:
    is_value = row["name"] == score_facts.VALUE
    lines = [
        div(span(_title(row, titles, _)), tag("b", _.percent(row["probability"], 0)), cls="row"),
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


def _what_if(key: str, name: str, score: str, asked: WhatIf, _: Words) -> None:
    """The weightiest values to change, and what the score and its reasons become."""
    label, say = WORDS.get(score, (propensity_label, propensity_reason))
    with card(
        "what-if",
        _("What if?"),
        _(
            "{name}: change what is known and see what would be expected. It shows how the score"
            " reads people, not what would make them act.",
            name=name,
        ),
    ):
        tried: dict[str, Value] = {}
        places = [place for _row in range(0, len(asked.levers), 3) for place in st.columns(3)]
        for place, lever in zip(places, asked.levers, strict=False):
            with place:
                field = f"try-{score}-{key}-{lever.name}"
                value = _lever(field, label(lever.name, _.code), lever, _)
            if value != lever.value:
                tried[lever.name] = value
        before = asked.tell({})
        after = asked.tell(tried) if tried else before
        change = after.probability - before.probability
        strip(
            [
                (_("As it is"), _.percent(before.probability, 1)),
                (_("As tried"), _.percent(after.probability, 1)),
                (_("Change"), _.difference(change, "percent")),
                *_figures(before, after, _),
            ],
            boxed=False,
        )
        strongest = sorted(after.reasons, key=lambda reason: -abs(float(reason["contribution"])))
        told = [tag("li", say(reason, _.code)) for reason in strongest[:3]]
        draw(tag("ul", told, cls="co-list"))


def _lever(key: str, label: str, lever: Lever, _: Words) -> Value:
    """A field for a value, bounded to what was seen when the score was learned."""
    if lever.kind != "number":
        is_flag = lever.kind == "flag"
        names = {True: _("Yes"), False: _("No")}
        options: list[Value] = [True, False] if is_flag else list(lever.choices)
        return st.selectbox(
            label,
            options,
            index=None if lever.value is None else options.index(lever.value),
            format_func=lambda value: names[value] if is_flag else markdown_text(str(value)),
            placeholder=_("not known"),
            key=key,
        )
    own = None if lever.value is None else float(lever.value)
    bounds: dict[str, float] = {}
    seen = None
    if lever.low is not None and lever.high is not None:
        inside = lever.low if own is None else own
        bounds = {"min_value": min(lever.low, inside), "max_value": max(lever.high, inside)}
        seen = _(
            "Seen when the score was learned: {low} to {high}",
            low=_.number(lever.low, 0),
            high=_.number(lever.high, 0),
        )
    return st.number_input(
        label,
        value=own,
        step=1.0,
        format="%g",
        help=seen,
        placeholder=_("not known"),
        key=key,
        **bounds,
    )


def _figures(before: Told, after: Told, _: Words) -> list[tuple[str, str]]:
    """What hangs on the probability, as it is and as tried."""
    shown: dict[str, tuple[str, Callable[[Any], str]]] = {
        "lead_grade": (_("Grade"), str),
        "expected_value_amount": (_("Expected value"), lambda value: _.money(value, 0)),
        "expected_orders": (_("Expected orders"), lambda value: _.number(value, 1)),
        "expected_value": (_("Expected spend"), lambda value: _.money(value, 0)),
    }
    told = []
    for name, (label, write) in shown.items():
        if before.figures.get(name) is not None:
            both = dict.fromkeys(write(each.figures[name]) for each in (before, after))
            told.append((label, " → ".join(both)))
    return told
