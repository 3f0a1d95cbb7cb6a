"""Identity: duplicates that wait for a person, what was joined and split, and other settings."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import get_args

import duckdb
import streamlit as st

from cohorte.clock import now
from cohorte.errors import CohorteError
from cohorte.i18n import N_
from cohorte.kpis.definitions import kpi
from cohorte.kpis.figures import KpiValue
from cohorte.settings import Comparison, IdentitySettings
from cohorte.store import IdentityDecision
from dashboards import identities, link_model, queries, theme
from dashboards.components import (
    Column,
    card,
    choice,
    draw,
    empty,
    note,
    page_head,
    plot,
    section,
    strip,
    table,
    warning,
)
from dashboards.figures import moved, said_move
from dashboards.identities import COMPARED, Pair, pair_key
from dashboards.identity_parts import (
    KEYS,
    PEOPLE,
    decide,
    event_table,
    learned,
    review,
    said_by_people,
    undo,
)
from dashboards.language import Words, words
from dashboards.markup import div, span, tag
from dashboards.operations import rehearse_identity
from dashboards.queries import Row
from models.identity.evaluation import Share, quality_by_decisions

EVENTS_SHOWN = 60
REHEARSED_AT_MOST = 200_000

TABS = {
    "waiting": N_("Duplicates waiting"),
    "history": N_("History"),
    "settings": N_("Settings and simulator"),
}
QUEUES = {
    "review": N_("Waiting for a person"),
    "joined": N_("Check what was joined"),
    "vetoed": N_("Kept apart by a rule"),
}
RULES = {
    "most_trusted": N_("most trusted source"),
    "most_recent": N_("most recent"),
    "most_complete": N_("most complete"),
    "most_frequent": N_("most frequent"),
}
GOLDEN = {
    "name": N_("Name"),
    "email": N_("E-mail"),
    "phone": N_("Phone"),
    "address": N_("Address"),
    "birth_date": N_("Born"),
    "gender": N_("Gender"),
    "language": N_("Language"),
    "company": N_("Company"),
}
METHODS = {
    "exact": N_("shared keys alone"),
    "full": N_("shared keys and probable links"),
}
FIGURES = {
    "customers": N_("Customers"),
    "buyers": N_("Customers who ordered"),
    "repeat_buyers": N_("Customers who ordered again"),
    "largest_customer_records": N_("Records of the largest customer"),
}


def render() -> None:
    _ = words()
    with page_head(
        _("Identity"),
        _(
            "Which records are one person, on what evidence, and who decided. "
            "Everything can be undone."
        ),
    ):
        pass
    if not identities.is_known():
        empty(
            _("The version served does not tell of links"),
            _("It was published by an older Cohorte. The next run publishes them."),
            symbol="people",
            command="cohorte run",
        )
        return
    chosen = choice(
        _("View"),
        list(TABS),
        lambda name: _(TABS[name]),
        "view",
        "waiting",
        widget="identity-view",
    )
    decisions = queries.store().list_identity_decisions()
    if chosen == "history":
        _history(_)
    elif chosen == "settings":
        _settings(_)
    else:
        _waiting(decisions, _)


def _waiting(decisions: list[IdentityDecision], _: Words) -> None:
    counts = identities.counts()
    decided = {identities.decision_key(decision) for decision in decisions}
    merged = counts["records"] - counts["customers"]
    strip(
        [
            (_("Source records"), _.number(counts["records"])),
            (
                _("Customers"),
                _.number(counts["customers"]),
                _("{count} records joined to others", count=_.number(merged)),
            ),
            (_("Pairs waiting"), _.number(counts["review"])),
            (_("Decided by people"), _.number(len(decisions))),
        ]
    )
    _quality(decisions, counts, _)
    name = st.segmented_control(
        _("Which pairs"),
        list(QUEUES),
        default="review",
        required=True,
        format_func=lambda queue: f"{_(QUEUES[queue])} ({_.number(counts[queue])})",
        key="identity-queue",
        label_visibility="collapsed",
    )
    rows = [row for row in identities.queue(name) if pair_key(row) not in decided]
    undo(_)
    if not rows:
        _nothing_waits(name, _)
        return
    review(rows, PEOPLE, _, identities.told)
    safe = [row for row in rows if identities.is_uncontradicted(row)]
    if name == "review" and len(safe) > 1:
        _bulk(safe, _)


def _nothing_waits(name: str, _: Words) -> None:
    exact = queries.workspace().settings.identity.method == "exact"
    if name == "review" and exact:
        explanation = _(
            "Only shared keys link records here, and they leave little doubt. Probable links are "
            "switched on in cohorte.yml: the method full, under identity."
        )
    else:
        explanation = _("What people decided is applied by the next run.")
    empty(_("No pair waits here"), explanation, symbol="people", small=True)


def _bulk(rows: list[Row], _: Words) -> None:
    with card(
        "bulk",
        _.ngettext(
            "{count} pair that nothing contradicts",
            "{count} pairs that nothing contradicts",
            len(rows),
        ),
        _(
            "Every value known of both agrees or says little, "
            "and they are 80% or more likely to be one person."
        ),
    ):
        draw(
            tag(
                "ul",
                [
                    tag(
                        "li",
                        div(
                            span(f"{row['full_name_a'] or '–'} · {row['full_name_b'] or '–'}"),
                            span(_.percent(row["match_probability"], 0), cls="sub"),
                            cls="row",
                        ),
                    )
                    for row in map(identities.told, rows[:5])
                ],
                cls="co-list",
            )
        )
        sure = st.checkbox(_("I have looked at a few of them"), key="bulk-sure")
        if st.button(
            _.ngettext("{count} is the same person", "All {count} are the same person", len(rows)),
            key="bulk-same",
            disabled=not sure,
        ):
            decide(rows, PEOPLE, "same")


def _quality(decisions: list[IdentityDecision], counts: Row, _: Words) -> None:
    keys: tuple[Pair, ...] = tuple(identities.decision_key(decision) for decision in decisions)
    probabilities = identities.decided_probabilities(keys)
    settings = queries.workspace().settings.identity
    found = quality_by_decisions(
        [
            (decision.verdict, probabilities[key])
            for decision, key in zip(decisions, keys, strict=True)
            if key in probabilities
        ],
        join_probability=settings.false_merge_cost / (1 + settings.false_merge_cost),
        review_probability=settings.review_probability,
        joined_pairs=counts["joined"],
        waiting_pairs=counts["review"],
    )
    if not found.precision.of and not found.waiting.of:
        return
    recall, low, high = found.recall
    strip(
        [
            (_("Joined pairs that are right"), *_share(found.precision, _)),
            (_("Waiting pairs that are one person"), *_share(found.waiting, _)),
            (
                _("Of true pairs, joined"),
                _.percent(recall, 0) if found.precision.of and found.waiting.of else "–",
                _(
                    "{low} to {high}; pairs never proposed are not counted",
                    low=_.percent(low, 0),
                    high=_.percent(high, 0),
                ),
            ),
        ]
    )


def _share(share: Share, _: Words) -> tuple[str, str]:
    if not share.of:
        return "–", _("no pair looked at yet")
    low, high = share.interval
    return _.percent(share.value, 0), _(
        "{low} to {high}, by {count} decisions",
        low=_.percent(low, 0),
        high=_.percent(high, 0),
        count=_.number(share.of),
    )


def _history(_: Words) -> None:
    rows = identities.events(None, EVENTS_SHOWN)
    section(_("Merged, split and restored"), _("What runs did to customers, the latest first."))
    if rows:
        draw(event_table(rows, _))
    else:
        empty(
            _("Nothing was merged or split since the first run"),
            _("New records that join a customer do not change it."),
            symbol="people",
            small=True,
        )
    section(_("Decided by people"), _("Withdrawing one lets the machine decide again."))
    said_by_people(PEOPLE, _)


def _settings(_: Words) -> None:
    held = queries.workspace().settings.identity
    with card(
        "identity-settings",
        _("How records become customers"),
        _("Declared in cohorte.yml, under identity"),
    ):
        draw(
            table(
                [Column(_("Setting")), Column(_("Value"), "wide")],
                [
                    [_("Links"), _(METHODS[held.method])],
                    [
                        _("Keys that link by themselves"),
                        _.list([_(KEYS[key]) for key in held.exact_keys]) or "–",
                    ],
                    [
                        _("Names on one value beyond which it links nobody"),
                        _.number(held.max_names_per_value),
                    ],
                    [_("Missed links that one false merge costs"), _.number(held.false_merge_cost)],
                    [
                        _("Sources whose ids are unique people"),
                        ", ".join(held.unique_sources) or "–",
                    ],
                    *(
                        [
                            _("{field} is taken from", field=_(label)),
                            _(RULES[held.survivorship.get(name, "most_trusted")]),  # type: ignore[call-overload]
                        ]
                        for name, label in GOLDEN.items()
                    ),
                ],
                _("Settings of identity"),
            )
        )
    _learned(held, _)
    with card(
        "identity-simulator",
        _("What other settings would change"),
        _("The whole step is run on a copy, in memory. Nothing is written."),
    ):
        asked = _asked(held, _)
        with st.container(horizontal=True, key="simulator-answers"):
            sees = st.button(_("See what would change"), type="primary", key="simulate")
            rehearses = st.button(_("Segments and KPIs too"), key="rehearse")
        note(
            _(
                "Segments and KPIs are those of a run rehearsed on a copy, as long as a run takes"
                " from identity on; {largest} records at most. Scores stay those of the last run.",
                largest=_.number(REHEARSED_AT_MOST),
            )
        )
        if sees:
            _simulated(asked, _)
        if rehearses:
            _rehearsed(asked, _)


def _learned(held: IdentitySettings, _: Words) -> None:
    """The link model: its weights, one pair's, whom nothing tells, and what a threshold joins."""
    model = link_model.trained("person")
    if model is None:
        return
    learned(model, identities.queue("review"), math.log2(held.false_merge_cost), PEOPLE, _)
    tokens = theme.tokens(st.context.theme.type)
    rows = link_model.thresholds(tuple(float(step) for step in range(0, 21, 2)))
    if any(row["pairs"] for row in rows):
        title = _("What another threshold would join")
        with card(
            "link-thresholds",
            title,
            _("Of the pairs at or above a weight, the share that the model takes for one person"),
        ):
            plot(link_model.threshold_curve(rows, _, tokens), title)


def _asked(held: IdentitySettings, _: Words) -> IdentitySettings:
    left, right = st.columns(2)
    method = left.selectbox(
        _("Links"), list(METHODS), index=list(METHODS).index(held.method),
        format_func=lambda name: _(METHODS[name]), key="sim-method",
    )  # fmt: skip
    cost = right.number_input(
        _("Missed links that one false merge costs"),
        min_value=1.0, max_value=10_000.0, value=held.false_merge_cost, step=1.0, key="sim-cost",
    )  # fmt: skip
    names = left.number_input(
        _("Names on one value beyond which it links nobody"),
        min_value=1, max_value=1000, value=held.max_names_per_value, key="sim-names",
    )  # fmt: skip
    keys = right.multiselect(
        _("Keys that link by themselves"), list(KEYS), default=list(held.exact_keys),
        format_func=lambda name: _(KEYS[name]), key="sim-keys", placeholder=_("None"),
    )  # fmt: skip
    with st.expander(_("What each comparison counts for")):
        note(_("1 is what was learned; 0 leaves the comparison out."))
        columns = st.columns(3)
        factors = {
            name: columns[place % 3].number_input(
                _(COMPARED[name]), min_value=0.0, max_value=3.0, step=0.25,
                value=float(held.comparison_weights.get(name, 1.0)), key=f"sim-weight-{name}",
            )
            for place, name in enumerate(get_args(Comparison))
        }  # fmt: skip
    return IdentitySettings.model_validate(
        held.model_dump()
        | {
            "comparison_weights": {name: factor for name, factor in factors.items() if factor != 1},
            "method": method,
            "false_merge_cost": cost,
            "max_names_per_value": names,
            "exact_keys": keys,
        }
    )


def _simulated(asked: IdentitySettings, _: Words) -> None:
    from models.identity import Decision, simulate

    space = queries.workspace()
    try:
        with st.spinner(_("The records are linked again on a copy")):
            found = simulate(space, asked, now=now(), decisions=Decision.of_store(queries.store()))
    except duckdb.IOException:
        warning(_("A run is at work; simulate again when it has ended."))
        return
    except CohorteError as error:
        warning(_.told(error.said))
        return
    _then(
        [
            [_(FIGURES.get(name, name)), _.number(old), _.number(new), _signed(new - old, _)]
            for name, (old, new) in found.figures.items()
        ]
        + _sizes(found.segments, _)
        + [
            [_("Records that change customer"), "–", _.number(found.records_moved), ""],
            [_("Customers made of several"), "–", _.number(found.merges), ""],
            [_("Customers split"), "–", _.number(found.splits), ""],
        ],
        _,
    )
    for title, samples in (
        (_("Would be one customer"), found.merge_samples),
        (_("Would be several customers"), found.split_samples),
    ):
        if not samples:
            continue
        section(title)
        for sample in samples:
            draw(
                table(
                    [Column(_("Record")), Column(_("Name"), named=True),
                     Column(_("E-mail"), named=True), Column(_("Then"), named=True)],
                    [
                        [f"{source} {contact}", name or "–", email or "–", new]
                        for _old, new, source, contact, name, email in sample
                    ],
                    title,
                )
            )  # fmt: skip
    note(_("To apply these settings, put them in cohorte.yml and run the pipeline:"))
    st.code(_as_yaml(asked), language=None, wrap_lines=True)


def _rehearsed(asked: IdentitySettings, _: Words) -> None:
    try:
        with st.spinner(_("A run is rehearsed on a copy")):
            found = rehearse_identity(queries.workspace(), asked)
    except CohorteError as error:
        warning(_.told(error.said))
        return
    old, new = found["customers"]
    rows = []
    for kpi_id, pair in found["kpis"].items():
        about = kpi(kpi_id)
        before, after = (
            KpiValue(kpi_id, None if value is None else Decimal(value)) for value in pair
        )
        rows.append(
            [
                about.title(_.code),
                _.figure(before.value, about.unit),
                _.figure(after.value, about.unit),
                said_move(about, moved(about, after, before), _),
            ]
        )
    _then(
        [
            [_("Customers"), _.number(old), _.number(new), _signed(new - old, _)],
            *_sizes(found["segments"], _),
            *rows,
        ],
        _,
    )
    note(_("KPIs are of the last 365 days."))


def _sizes(segments: Mapping[str, Sequence[int]], _: Words) -> list[list[str]]:
    return [
        [_("Segment {name}", name=name), _.number(old), _.number(new), _signed(new - old, _)]
        for name, (old, new) in segments.items()
    ]


def _then(rows: list[list[str]], _: Words) -> None:
    draw(
        table(
            [
                Column(_("Figure")),
                Column(_("Now"), "num", named=True),
                Column(_("Then"), "num", named=True),
                Column(_("Difference"), "num", named=True),
            ],
            rows,
            _("What other settings would change"),
        )
    )


def _signed(change: int, _: Words) -> str:
    return ("+" if change > 0 else "") + _.number(change)


def _as_yaml(asked: IdentitySettings) -> str:
    factors = ", ".join(f"{name}: {factor:g}" for name, factor in asked.comparison_weights.items())
    return (
        "identity:\n"
        f"  method: {asked.method}\n"
        f"  exact_keys: [{', '.join(asked.exact_keys)}]\n"
        f"  max_names_per_value: {asked.max_names_per_value}\n"
        f"  false_merge_cost: {asked.false_merge_cost:g}\n"
        + (f"  comparison_weights: {{{factors}}}\n" if factors else "")
    )


render()
