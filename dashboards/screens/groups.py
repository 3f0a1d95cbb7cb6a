"""Groups: a few kinds of buyers that come out again, what sets each apart, how they grow."""

from __future__ import annotations

import getpass
import json

import streamlit as st

from cohorte.clock import now
from dashboards import charts, queries, score_facts, theme
from dashboards.charts import SERIES_COLOURS, Line
from dashboards.components import Column as Head
from dashboards.components import (
    card,
    draw,
    empty,
    insight,
    line_legend,
    note,
    page_head,
    plot,
    strip,
    table,
)
from dashboards.language import Words, words
from dashboards.markup import div, span
from dashboards.queries import Row
from models.propensity.words import feature_label

APART = 0.5
SHOWN_RUNS = 26


def render() -> None:
    _ = words()
    with page_head(
        _("Groups"),
        _(
            "A few kinds of buyers, found in how they buy, that come out again when others are"
            " drawn."
        ),
    ):
        pass
    rows = score_facts.groups()
    if not rows:
        empty(
            _("No groups yet"),
            _(
                "They are learned once you ask, from 200 buyers on; where no number of groups is"
                " stable, there are none."
            ),
            symbol="users",
        )
        _learn(_)
        return
    today = [row for row in rows if row["as_of"] == rows[0]["as_of"]]
    largest = max(today, key=lambda row: row["share"])
    insight(
        _(
            "{count} groups of buyers; the largest is {share} of them: {name}.",
            count=_.number(len(today)),
            share=_.percent(largest["share"], 0),
            name=_name(largest, _),
        )
    )
    strip(
        [
            (_("Groups"), _.number(len(today))),
            (_("Buyers"), _.number(sum(row["customers"] for row in today))),
            (_("Stability"), _.number(today[0]["stability"], 2)),
            (_("Looked from"), _.day(today[0]["as_of"])),
        ]
    )
    _groups(today, _)
    _sizes(rows, _)
    note(
        _(
            "Stability is how far two halves of the buyers agree on who belongs together (adjusted"
            " Rand index): 1 is wholly, 0 is chance; below {least} no groups are told.",
            least=_.number(0.85, 2),
        )
    )
    _learn(_)


def _name(row: Row, _: Words) -> str:
    return str(row["name_fr"] if _.code == "fr" else row["name_en"])


def _groups(today: list[Row], _: Words) -> None:
    with card("groups", _("What sets each apart"), _("Against the mean of all buyers.")):
        draw(
            table(
                [
                    Head(_("Group"), "wide"),
                    Head(_("Buyers"), "num", named=True),
                    Head(_("Share"), "num first"),
                    Head(_("Above"), "wide", named=True),
                    Head(_("Below"), "wide", named=True),
                ],
                [
                    [
                        div(span(row["cluster"], cls="co-mono"), " ", _name(row, _)),
                        _.number(row["customers"]),
                        _.percent(row["share"], 0),
                        *_apart(row, _),
                    ]
                    for row in today
                ],
                _("Groups"),
            )
        )
        names = {row["cluster"]: _name(row, _) for row in today}
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        with left:
            picked = st.selectbox(
                _("Group"), list(names), format_func=lambda key: f"{key} · {names[key]}"
            )
        with right:
            asked = st.button(_("Save as a segment"), key="save-group", width="stretch")
        if asked:
            queries.store().save_segment(
                names[picked][:120],
                {"all": [{"field": "cluster", "op": "equals", "value": picked}]},
                author=getpass.getuser(),
                at=now(),
            )
            note(_("Saved: the segment follows the group from run to run."))


def _apart(row: Row, _: Words) -> tuple[str, str]:
    """What lies over half a standard deviation above everyone's mean, and below."""
    far = sorted(json.loads(row["apart"]).items(), key=lambda item: -abs(item[1]))
    said = {
        sign: ", ".join(
            f"{feature_label(name, _.code)} ({_.number(each, 1)} σ)"
            for name, each in far
            if each * sign >= APART
        )
        for sign in (1, -1)
    }
    return said[1] or "–", said[-1] or "–"


def _sizes(rows: list[Row], _: Words) -> None:
    version = rows[0]["estimator_version"]
    days = sorted({row["as_of"] for row in rows if row["estimator_version"] == version})
    days = days[-SHOWN_RUNS:]
    with card("sizes", _("Size over runs"), _("Share of buyers, as each run found it.")):
        if len(days) < 2:
            note(_("Told from the second run on that looks from another day."))
            return
        at = {(row["cluster"], row["as_of"]): row["share"] for row in rows}
        clusters = sorted({row["cluster"] for row in rows if row["estimator_version"] == version})
        lines = [
            Line(cluster, [at.get((cluster, day)) for day in days], SERIES_COLOURS[n % 6])
            for n, cluster in enumerate(clusters)
        ]
        names = [_.day(day) for day in days]
        drawn = charts.course(
            names,
            names,
            lines,
            lambda value, short: _.percent(value, 0 if short else 1),
            _,
            theme.tokens(st.context.theme.type),
        )
        line_legend(lines)
        plot(drawn, _("Size over runs"))


def _learn(_: Words) -> None:
    if st.button(_("Learn the groups anew"), key="learn-groups"):
        score_facts.start_training(
            queries.workspace(), queries.store(), "clusters", who=getpass.getuser(), at=now()
        )
        note(_("Learning has begun; the next run shows the groups."))


render()
