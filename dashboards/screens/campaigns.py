"""Campaigns: what each changed, by who was held out, and whom it is worth writing to."""

from __future__ import annotations

import getpass

import polars as pl
import streamlit as st

from cohorte.clock import now
from dashboards import charts, queries, score_facts, theme
from dashboards.charts import Line
from dashboards.components import (
    Column,
    card,
    choice,
    draw,
    empty,
    insight,
    line_legend,
    note,
    page_head,
    pill,
    plot,
    strip,
    table,
    warning,
)
from dashboards.language import Words, words
from dashboards.markup import markdown_text, span
from models.uplift import CampaignEffect, Effect, Targeting, together

DAYS = {"7": 7, "14": 14, "30": 30}
SHOWN = 24
SIGNIFICANT = 0.05
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#B9C1CD"
CONTACTED = (1000, 2000, 5000, 10_000)


def render() -> None:
    _ = words()
    with page_head(
        _("Campaigns"),
        _("What a mailing changed, measured against those held out of it by chance."),
    ):
        chosen = choice(
            _("Days counted"),
            list(DAYS),
            lambda key: _.ngettext("{count} day", "{count} days", DAYS[key]),
            "days",
            "14",
        )
    days = DAYS[chosen]
    found = score_facts.campaigns(days)
    if not found:
        empty(
            _("No campaign has a control group yet"),
            _(
                "Hold a share of the audience out when you export a segment, and bring the list"
                " of those held out in as e-mail events of kind held_out. Who ordered all the same"
                " then shows what the campaign changed."
            ),
            symbol="target",
        )
        return
    _all(found, days, _)
    _table(found, _)
    _targeting(found, days, _)


def _points(value: float, _: Words) -> str:
    return _("{points} points", points=_.number(100 * value, 1))


def _all(found: list[CampaignEffect], days: int, _: Words) -> None:
    """All campaigns as one, each compared within itself."""
    weights = [one.treated * one.held_out / (one.treated + one.held_out) for one in found]
    both = together([one.effect for one in found], weights)
    if both is None:
        return
    insight(_verdict(both, len(found), days, _))
    treated, held_out = sum(one.treated for one in found), sum(one.held_out for one in found)
    strip(
        [
            (_("Written to"), _.number(treated)),
            (_("Held out"), _.number(held_out)),
            (_("Effect"), _points(both.effect, _)),
            (
                _("Between (95 %)"),
                _(
                    "{low} and {high}",
                    low=_.number(100 * both.low, 1),
                    high=_points(both.high, _),
                ),
            ),
            (_("Buyers gained"), _.number(round(both.effect * treated))),
        ]
    )


def _verdict(both: Effect, count: int, days: int, _: Words) -> str:
    values = {
        "days": _.number(days),
        "effect": _points(both.effect, _),
        "low": _points(both.low, _),
        "high": _points(both.high, _),
    }
    if both.low > 0:
        return _.ngettext(
            "{count} campaign brought in {effect} more buyers within {days} days than nothing"
            " would have ({low} to {high}).",
            "{count} campaigns brought in {effect} more buyers within {days} days than nothing"
            " would have ({low} to {high}).",
            count,
            **values,
        )
    return _(
        "No effect can be told from chance within {days} days: between {low} and {high}.", **values
    )


def _table(found: list[CampaignEffect], _: Words) -> None:
    odd = [one for one in found if one.before.p_value < SIGNIFICANT]
    with card(
        "campaigns",
        _("One by one"),
        _("Share that ordered, among those written to and those held out."),
    ):
        draw(
            table(
                [
                    Column(_("Campaign")),
                    Column(_("Day"), "hide"),
                    Column(_("Written to"), "num", named=True),
                    Column(_("Held out"), "num", named=True),
                    Column(_("Effect, points"), "num first", named=True),
                    Column(_("Before it began"), "state"),
                ],
                [_row(one, _) for one in found[:SHOWN]],
                _("One by one"),
            )
        )
        expected = SIGNIFICANT * len(found)
        note(
            _(
                "Before a campaign both groups should order alike (A/A): {odd} of {all} differ by"
                " more than chance allows at 5 %, and about {expected} would by chance alone.",
                odd=_.number(len(odd)),
                all=_.number(len(found)),
                expected=_.number(expected, 0 if expected >= 1 else 1),
            )
        )
        if len(odd) > 2 * expected + 1:
            warning(_("More than chance explains: look at how the control groups were drawn."))


def _row(one: CampaignEffect, _: Words) -> list[object]:
    differs = one.before.p_value < SIGNIFICANT
    told = one.effect.p_value < SIGNIFICANT
    return [
        one.name,
        _.day(one.day),
        f"{_.percent(one.treated_ordered / one.treated, 1)} · {_.number(one.treated)}",
        f"{_.percent(one.held_out_ordered / one.held_out, 1)} · {_.number(one.held_out)}",
        span(
            _.number(100 * one.effect.effect, 1),
            span(
                _(
                    "{low} to {high}",
                    low=_.number(100 * one.effect.low, 1),
                    high=_.number(100 * one.effect.high, 1),
                ),
                cls="sub",
            ),
            cls="co-good" if told and one.effect.effect > 0 else "",
        ),
        pill(_("groups differed"), "warn") if differs else pill(_("alike")),
    ]


def _targeting(found: list[CampaignEffect], days: int, _: Words) -> None:
    with card(
        "targeting",
        _("Whom is it worth writing to?"),
        _("People ranked by what a message changes for them, tested on those not learned from."),
    ):
        names = {one.campaign_id: one.name for one in found}
        left, right = st.columns([3, 1], vertical_alignment="bottom")
        with left:
            picked = st.selectbox(
                _("Learned from"),
                ["", *names],
                format_func=lambda key: markdown_text(names[key]) if key else _("all campaigns"),
                key="learned-from",
            )
        with right:
            asked = st.button(_("Work it out"), key="targeting-go", width="stretch")
        key = f"targeting-{days}-{picked}"
        if asked:
            st.session_state[key] = True
        if not st.session_state.get(key):
            note(_("This takes a minute at most."))
            return
        with st.spinner(_("Learning and testing …")):
            told = score_facts.targeting(days, picked or None)
        _ranking(told, _)


def _ranking(told: Targeting, _: Words) -> None:
    if told.curves is None or told.figures is None or told.ranked is None:
        empty(
            _("Too few orders to rank anyone"),
            _(
                "{held_out} of those held out ordered, and {treated} of those written to. About"
                " 60 of each are needed.",
                held_out=_.number(told.ordered[1]),
                treated=_.number(told.ordered[0]),
            ),
            symbol="target",
            small=True,
        )
        return
    draw_sentence = {
        "ranked": _("The ranking holds: it beats chance and a model of who answers."),
        "no_better_than_response": _(
            "The ranking beats chance, but not a model of who answers: either will do."
        ),
        "no_better_than_chance": _(
            "Nobody can be ranked by what a message changes for them: write to everyone, or to"
            " no one."
        ),
    }[told.outcome]
    insight(draw_sentence)
    names = [_.percent(share, 0) for share in told.shares]
    end = told.curves["uplift"][-1]
    lines = [
        Line(_("by gain"), list(told.curves["uplift"]), BLUE),
        Line(_("by who answers"), list(told.curves["response"]), ORANGE),
        Line(_("at random"), [end * share for share in told.shares], GREY, dashed=True),
    ]
    drawn = charts.course(
        names,
        names,
        lines,
        lambda value, short: _.number(value, 0 if short else 1),
        _,
        theme.tokens(st.context.theme.type),
        height=240,
    )
    line_legend(lines)
    plot(drawn, _("Buyers gained per thousand written to, by share of people written to"))
    draw(_qini_table(told, _))
    if told.outcome == "no_better_than_chance":
        return
    _save(told.ranked, _)


def _qini_table(told: Targeting, _: Words) -> object:
    rankings = (told.figures or {})["rankings"]
    names = {"uplift": _("by gain"), "response": _("by who answers")}
    rows = []
    for name, label in names.items():
        low, high = rankings[name]["qini_interval"]
        rows.append(
            [
                label,
                _.number(rankings[name]["qini"], 3),
                _("{low} to {high}", low=_.number(low, 3), high=_.number(high, 3)),
            ]
        )
    rows.append([_("at random"), _.number(0, 3), "–"])
    return table(
        [Column(_("Ranking")), Column(_("Qini"), "num"), Column(_("Between (90 %)"), "num")],
        rows,
        _("Qini"),
    )


def _save(ranked: pl.DataFrame, _: Words) -> None:
    """The people to gain from first, as a segment."""
    sizes = [size for size in CONTACTED if size < ranked.height] or [ranked.height]
    left, middle, right = st.columns([2, 3, 2], vertical_alignment="bottom")
    with left:
        size = st.selectbox(
            _("Write to the first"), sizes, format_func=lambda each: _.number(each), key="first"
        )
    with middle:
        name = st.text_input(
            _("Name of the segment"), _("Gained by a message"), max_chars=120, key="gain-name"
        )
    with right:
        asked = st.button(
            _("Save as a segment"), key="gain-save", disabled=not name.strip(), width="stretch"
        )
    if asked:
        ids = ranked.filter(pl.col("gain") > 0).head(size)["customer_id"].to_list()
        queries.store().save_segment(
            name.strip(), score_facts.list_rule(ids), author=getpass.getuser(), at=now()
        )
        note(_("{count} customers are in the segment {name}.", count=_.number(len(ids)), name=name))


render()
