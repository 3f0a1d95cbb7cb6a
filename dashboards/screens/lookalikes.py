"""Lookalikes: who is most like a segment without being in it, and what to expect at each size."""

from __future__ import annotations

import getpass

import streamlit as st

from cohorte.clock import now
from cohorte.segments import Segment, clauses
from dashboards import address, charts, queries, score_facts, segment_queries, theme
from dashboards.charts import Line
from dashboards.components import (
    Column,
    card,
    cell,
    draw,
    empty,
    insight,
    line_legend,
    note,
    open_table,
    page_head,
    plot,
    strip,
    table,
)
from dashboards.language import Words, words
from dashboards.markup import markdown_text
from models.lookalikes import LEAST_MEMBERS, Lookalikes
from models.propensity.words import feature_label

SHOWN = 10
BLUE, GREY = "#0072B2", "#B9C1CD"


def render() -> None:
    _ = words()
    with page_head(
        _("Lookalikes"),
        _("Who is most like the members of a segment without being in it."),
    ):
        pass
    segments, _problem = segment_queries.library()
    known = {segment.segment_id: segment for segment in segments}
    if not known:
        empty(
            _("No segment yet"),
            _("Lookalikes start from a saved segment: make one first."),
            symbol="filter",
        )
        return
    picked = st.selectbox(
        _("Segment"),
        list(known),
        index=_place(address.asked("of", known), list(known)),
        format_func=lambda key: markdown_text(known[key].name(_.code)),
        placeholder=_("Choose a segment"),
        key="of-segment",
    )
    address.keep("of", picked)
    if picked is None:
        note(_("Learning takes some seconds; nothing is written before you save."))
        return
    segment = known[picked]
    tested = tuple(sorted({clause.field for clause in clauses(segment.rule)}))
    with st.spinner(_("Learning and testing …")):
        found = score_facts.lookalikes(picked, tested)
    if found.outcome != "ranked":
        _not_there(found, _)
        return
    _show(segment, found, tested, _)


def _place(asked: str | None, options: list[str]) -> int | None:
    return options.index(asked) if asked in options else None


def _not_there(found: Lookalikes, _: Words) -> None:
    texts = {
        "too_few_members": _(
            "It has {members} members in the version served; {least} are needed.",
            members=_.number(found.members),
            least=_.number(LEAST_MEMBERS),
        ),
        "nobody_else": _("Everybody is in it already."),
        "nothing_to_go_by": _("Nothing is known of customers beyond what the segment tests."),
    }
    empty(_("No lookalikes of this segment"), texts[found.outcome], symbol="users")


def _show(segment: Segment, found: Lookalikes, tested: tuple[str, ...], _: Words) -> None:
    first = found.expected[0]
    insight(
        _(
            "Of the first {size}, {precision} are like members: {lift} times chance.",
            size=_.number(first["size"]),
            precision=_.percent(first["precision"], 0),
            lift=_.number(first["lift"], 1),
        )
    )
    strip(
        [
            (_("Members"), _.number(found.members)),
            (_("Others ranked"), _.number(found.ranked.height)),
            (_("AUC on unseen customers"), _.number(found.auc or 0, 3)),
        ]
    )
    left, right = st.columns(2, gap="small")
    with left:
        _expected(found, _)
    with right:
        _likest(found, _)
    _save(segment, found, _)
    left_out = [feature_label(name, _.code) for name in found.left_out]
    if left_out or tested:
        note(
            _(
                "Not looked at, because they define the segment or give members away: {fields}.",
                fields=_.list([*(feature_label(name, _.code) for name in tested), *left_out]),
            )
        )


def _expected(found: Lookalikes, _: Words) -> None:
    with card(
        "expected",
        _("Expected precision by size"),
        _("How many of the first so many would be members, by a test on customers not seen."),
    ):
        names = [_.number(row["size"]) for row in found.expected]
        chance = found.expected[-1]["precision"]
        lines = [
            Line(_("lookalikes"), [row["precision"] for row in found.expected], BLUE),
            Line(_("at random"), [chance] * len(names), GREY, dashed=True),
        ]
        drawn = charts.course(
            names,
            [_("the first {size}", size=name) for name in names],
            lines,
            lambda value, short: _.percent(value, 0 if short else 1),
            _,
            theme.tokens(st.context.theme.type),
            height=240,
        )
        line_legend(lines)
        plot(drawn, _("Expected precision by size"))
        draw(
            table(
                [
                    Column(_("The first")),
                    Column(_("Expected precision"), "num first"),
                    Column(_("Times chance"), "num"),
                ],
                [
                    [
                        _.number(row["size"]),
                        _.percent(row["precision"], 1),
                        _.number(row["lift"], 1),
                    ]
                    for row in found.expected
                ],
                _("Expected precision by size"),
            )
        )


def _likest(found: Lookalikes, _: Words) -> None:
    with card("likest", _("The likest"), _("Open one to see why.")):
        best = found.ranked.head(SHOWN)
        names = score_facts.names(tuple(best["customer_id"].to_list()))
        asked = open_table(
            "likest-table",
            [Column(_("Customer")), Column(_("Likeness"), "num first")],
            [
                (
                    row["customer_id"],
                    [
                        cell(names.get(row["customer_id"], row["customer_id"])),
                        cell(_.percent(row["probability"], 0)),
                    ],
                )
                for row in best.iter_rows(named=True)
            ],
            label=_("The likest"),
        )
        if asked:
            st.switch_page("screens/customer.py", query_params=address.link(id=asked))


def _save(segment: Segment, found: Lookalikes, _: Words) -> None:
    sizes = [int(row["size"]) for row in found.expected if row["size"] <= 25_000]
    with card("save", _("Save them as a segment"), _("A list of customers as of today.")):
        left, middle, right = st.columns([2, 3, 2], vertical_alignment="bottom")
        with left:
            size = st.selectbox(_("The first"), sizes, format_func=lambda each: _.number(each))
        with middle:
            name = st.text_input(
                _("Name of the segment"),
                _("Like: {name}", name=segment.name(_.code))[:120],
                max_chars=120,
                key=f"like-name-{segment.segment_id}",
            )
        with right:
            asked = st.button(
                _("Save as a segment"), key="like-save", disabled=not name.strip(), width="stretch"
            )
        if asked:
            ids = found.ranked.head(size)["customer_id"].to_list()
            queries.store().save_segment(
                name.strip(), score_facts.list_rule(ids), author=getpass.getuser(), at=now()
            )
            note(
                _(
                    "{count} customers are in the segment {name}.",
                    count=_.number(len(ids)),
                    name=name,
                )
            )


render()
