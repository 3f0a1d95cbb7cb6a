"""Scores: what each means, how far it can be believed, who moved, and what would change one."""

from __future__ import annotations

import getpass
import json
from datetime import date, timedelta
from typing import Any

import streamlit as st

from cohorte.clock import now
from cohorte.i18n import N_, language_of
from cohorte.workspace import Workspace
from dashboards import address, charts, queries, score_facts, score_parts, score_question, theme
from dashboards.charts import Line, Plot
from dashboards.components import (
    Column,
    card,
    cell,
    choice,
    draw,
    empty,
    insight,
    line_legend,
    note,
    open_table,
    page_head,
    pill,
    plot,
    strip,
    table,
)
from dashboards.language import Words, words
from dashboards.lead_parts import show_contracts_first, show_leads_first, show_leads_moved
from dashboards.markup import div, markdown_text, span
from dashboards.score_facts import LEADS, NEXT, VALUE, Score
from models.leads import verdict_sentence as lead_verdict
from models.nextpurchase import verdict_sentence as next_verdict
from models.propensity import verdict_sentence as propensity_verdict
from models.propensity.words import feature_label
from models.registry import Artifact, Registry
from models.value import verdict_sentence as value_verdict

TITLES = {VALUE: N_("Orders again"), LEADS: N_("Leads"), NEXT: N_("Next order")}
MEANINGS = {
    VALUE: N_(
        "The probability that a customer orders at least once in the next {days} days. Beside it"
        " stand the orders and the net revenue to expect."
    ),
    LEADS: N_(
        "The probability that a lead becomes an opportunity or a customer within {days} days of"
        " coming in."
    ),
}
DECISIONS = {
    "promoted": (N_("serves"), "good"),
    "kept_back": (N_("kept back"), ""),
    "retired": (N_("retired"), "warn"),
}
PAST = {
    "past_predicted_rate": N_("was expected"),
    "past_observed_rate": N_("came"),
    "past_auc": N_("AUC since"),
    "past_calibration_error": N_("calibration error since"),
}
SHOWN_DRIFT = 8
WEEKS = 26
BLUE, ORANGE, GREY = "#0072B2", "#E69F00", "#B9C1CD"


def render() -> None:
    _ = words()
    workspace = queries.workspace()
    found = score_facts.scores(workspace)
    if saved := st.session_state.pop(score_question.SAVED, None):
        st.session_state.pop("score", None)
        address.keep("score", saved)
    titles = {score.name: _title(score, _) for score in found}
    with page_head(
        _("Scores"),
        _("What is expected of customers and leads, and how far it can be believed."),
    ):
        picked = choice(
            _("Score"), list(titles), lambda name: markdown_text(titles[name]), "score", VALUE
        )
    score = next(one for one in found if one.name == picked)
    _show(score, workspace, _)
    score_question.ask(getpass.getuser(), _)


def _show(score: Score, workspace: Workspace, _: Words) -> None:
    registry = Registry(workspace.artifacts_dir)
    if score.name == NEXT:
        _next_orders(score, registry, _)
        return
    if score.propensity is not None and "propensity_scores" not in score_facts.tables():
        spread: dict[str, Any] = {"scored": 0}
    else:
        spread = score_facts.spread(score.relation)
    known = score_facts.artifact(registry, score.name, spread.get("version"))
    if not spread["scored"] or known is None:
        _not_there(score, known, _)
        _versions(registry, score, None, _)
        return
    facts = known.facts
    insight(_sentence(_verdict(score, facts["outcome"], facts, _)))
    _figures(score, spread, facts, _)
    left, right = st.columns(2, gap="small")
    with left:
        _distribution(score, spread, facts, _)
    with right:
        _calibration(score, facts, _)
    left, right = st.columns(2, gap="small")
    with left:
        _lift(score, facts, _)
    with right:
        _drift(score, _)
    if score.name == LEADS:
        show_leads_first(_)
        show_leads_moved(_)
    if score.name == VALUE:
        show_contracts_first(_)
    _movers(registry, score, spread["as_of"], _)
    if score.name == LEADS:
        score_parts.leads_what_if(known, _)
    elif customer := address.asked("id") or score_facts.likeliest(score.relation):
        score_parts.score_what_if(score.name, known, customer, _)
    _versions(registry, score, known.version, _)
    _card(known, _)


def _next_orders(score: Score, registry: Registry, _: Words) -> None:
    """When customers are expected to order next, week by week, and how that did when tested."""
    spread = score_facts.next_orders_by_week(WEEKS)
    known = score_facts.artifact(registry, score.name, spread.get("version"))
    if not spread["scored"] or known is None:
        _not_there(score, known, _)
        _versions(registry, score, None, _)
        return
    facts = known.facts
    tested = facts["evaluation"][facts["method"]]
    insight(_sentence(_verdict(score, facts["outcome"], facts, _)))
    strip(
        [
            (_("Customers"), _.number(spread["scored"])),
            (_("Expected within a year"), _.number(spread["expected"])),
            (_("Median error, days"), _.number(tested["median_error_days"], 0)),
            (_("Looked from"), _.day(spread["as_of"])),
        ]
    )
    left, right = st.columns(2, gap="small")
    with (
        left,
        card(
            "weeks",
            _("When they are expected"),
            _("Customers by the week by which half of those like them have ordered again."),
        ),
    ):
        starts = [spread["as_of"] + timedelta(days=7 * at + 1) for at in range(WEEKS)]
        labels = [_.day_month(day) if at % 5 == 0 else "" for at, day in enumerate(starts)]
        names = [_("week of {day}", day=_.day(day)) for day in starts]
        plot(_bars(labels, names, spread["weeks"], _("Week"), _), _("When they are expected"))
    with (
        right,
        card(
            "ends",
            _("Does what is expected come?"),
            _(
                "Of {customers} customers on {day}, by the days told then.",
                customers=_.number(facts["evaluation"]["customers"]),
                day=_.day(date.fromisoformat(facts["evaluation"]["cut"])),
            ),
        ),
    ):
        _ends(facts, tested, _)
    _versions(registry, score, known.version, _)
    _card(known, _)


def _ends(facts: dict[str, Any], tested: dict[str, Any], _: Words) -> None:
    """How many had ordered by each day told, against how many were to have."""
    said = {"0.1": _("the earliest"), "0.5": _("the one expected"), "0.9": _("the latest")}
    draw(
        table(
            [
                Column(_("By the day told")),
                Column(_("Were to have ordered"), "num"),
                Column(_("Had ordered"), "num first"),
            ],
            [
                [
                    div(said[share], div(_number_of(end["customers"], _), cls="sub")),
                    _.percent(float(share), 0),
                    _.percent(end["ordered"], 0),
                ]
                for share, end in tested["ends"].items()
            ],
            _("Does what is expected come?"),
        )
    )
    category = facts["evaluation"].get("category")
    if category:
        note(
            _(
                "The category a customer bought most was in {own} of the next orders; the one"
                " bought most by all, in {popular}.",
                own=_.percent(category["own"], 0),
                popular=_.percent(category["popular"], 0),
            )
        )


def _number_of(customers: int, _: Words) -> str:
    return _.ngettext("{count} customer", "{count} customers", customers)


def _title(score: Score, _: Words) -> str:
    if score.propensity is not None:
        return score.propensity.title(_.code)
    return _(TITLES[score.name])


def _sentence(text: str) -> str:
    return text[:1].upper() + text[1:] + "."


def _verdict(score: Score, outcome: str, facts: dict[str, Any], _: Words) -> str:
    say = {VALUE: value_verdict, LEADS: lead_verdict, NEXT: next_verdict}
    return say.get(score.name, propensity_verdict)(outcome, facts, _.code)


def _not_there(score: Score, known: Artifact | None, _: Words) -> None:
    """Why there is no score: as the last run said, where it said so."""
    told = score_facts.verdict(score.name)
    if told is not None and told[0] not in ("not_trained", "scored"):
        text = _sentence(_verdict(score, *told, _))
    elif score.propensity is None:
        text = _(
            "Too little is known to test one; the report of the last run says what is missing."
        )
    elif known is None:
        text = _("It has not been learned yet.")
    else:
        text = _("It has been learned; the next run scores with it.")
    empty(_("No score yet"), text, symbol="spark")
    if score.propensity is not None:
        _train(score, _)


def _figures(score: Score, spread: dict[str, Any], facts: dict[str, Any], _: Words) -> None:
    area = score_facts.auc(facts, score.name)
    strip(
        [
            (_("Scored"), _.number(spread["scored"])),
            (_("Mean probability"), _.percent(spread["mean"], 1)),
            (_("AUC on later days"), _.number(area, 3) if area is not None else "–"),
            (_("Looked from"), _.day(spread["as_of"])),
        ]
    )


def _distribution(score: Score, spread: dict[str, Any], facts: dict[str, Any], _: Words) -> None:
    meaning = _meaning(score, facts, _)
    with card("spread", _("What it means"), meaning):
        labels = [
            _.percent(at / score_facts.BINS, 0) if at % 4 == 0 else ""
            for at in range(score_facts.BINS)
        ]
        names = [
            f"{_.percent(at / score_facts.BINS, 0)} – {_.percent((at + 1) / score_facts.BINS, 0)}"
            for at in range(score_facts.BINS)
        ]
        plot(
            _bars(labels, names, spread["bins"], _("Probability"), _),
            _("How many have which probability"),
        )


def _meaning(score: Score, facts: dict[str, Any], _: Words) -> str:
    if score.propensity is None:
        return _(MEANINGS[score.name], days=_.number(facts["horizon_days"]))
    who, will = (facts[part][language_of(_.code)] for part in ("who", "will"))
    return _(
        "Asked of: {who} The probability that {days} days later they are among: {will}",
        who=who,
        days=_.number(facts["horizon_days"]),
        will=will,
    )


def _bars(labels: list[str], names: list[str], counts: list[int], what: str, _: Words) -> Plot:
    tokens = theme.tokens(st.context.theme.type)
    ticks = charts.nice_ticks(max(counts))
    step = ticks[1]
    values = [
        {"at": at, "name": names[at], "n": count, "said": _.number(count)}
        for at, count in enumerate(counts)
    ]
    shown = {str(at): label for at, label in enumerate(labels) if label}
    said = {str(round(tick / step)): _.number(tick) for tick in ticks}
    spec = charts.configured(
        {
            "data": {"values": values},
            "mark": {"type": "bar", "color": BLUE, "cornerRadiusEnd": 2},
            "encoding": {
                "x": {
                    "field": "at",
                    "type": "ordinal",
                    "axis": {
                        "values": [int(at) for at in shown],
                        "labelExpr": f"{json.dumps(shown)}[toString(datum.value)]",
                        "labelAngle": 0,
                    },
                },
                "y": {
                    "field": "n",
                    "type": "quantitative",
                    "scale": {"domain": [0, ticks[-1]], "nice": False},
                    "axis": {
                        "values": ticks,
                        "labelExpr": f"{json.dumps(said)}[toString(round(datum.value/{step!r}))]",
                    },
                },
                "tooltip": [
                    {"field": "name", "type": "nominal", "title": what},
                    {"field": "said", "type": "nominal", "title": _("Number")},
                ],
            },
        },
        tokens,
        220,
    )
    rows = [[name, _.number(count)] for name, count in zip(names, counts, strict=True)]
    return Plot(spec, [what, _("Number")], rows)


def _calibration(score: Score, facts: dict[str, Any], _: Words) -> None:
    rows = score_facts.calibration(facts, score.name)
    with card(
        "calibration",
        _("Does what is expected come?"),
        _("Tenths of those tested on later days, from the least likely to the likeliest."),
    ):
        if not rows:
            note(_("No test yet: the history is too short."))
            return
        steps = [_.number(at + 1) for at in range(len(rows))]
        lines = [
            Line(_("expected"), [row["predicted"] for row in rows], GREY, dashed=True),
            Line(_("came"), [row["observed"] for row in rows], BLUE),
        ]
        _curves(steps, [_("Tenth {number}", number=step) for step in steps], lines, _)


def _lift(score: Score, facts: dict[str, Any], _: Words) -> None:
    rows = list(reversed(score_facts.calibration(facts, score.name)))
    sizes = [next(iter(_sizes(row))) for row in rows]
    positives = [size * row["observed"] for size, row in zip(sizes, rows, strict=True)]
    with card(
        "lift",
        _("How many are reached by starting at the top"),
        _("Share of all who did it, among the best tenths by score."),
    ):
        if not rows or not sum(positives):
            note(_("No test yet: the history is too short."))
            return
        reached = [sum(positives[: at + 1]) / sum(positives) for at in range(len(rows))]
        chance = [sum(sizes[: at + 1]) / sum(sizes) for at in range(len(rows))]
        labels = [_.percent(share, 0) for share in chance]
        lines = [
            Line(_("by score"), reached, BLUE),
            Line(_("at random"), chance, GREY, dashed=True),
        ]
        _curves(labels, labels, lines, _)


def _sizes(row: dict[str, float]) -> list[float]:
    return [value for key, value in row.items() if key not in ("predicted", "observed")]


def _curves(labels: list[str], names: list[str], lines: list[Line], _: Words) -> None:
    tokens = theme.tokens(st.context.theme.type)
    drawn = charts.course(
        labels,
        names,
        lines,
        lambda value, short: _.percent(value, 0 if short else 1),
        _,
        tokens,
        height=220,
    )
    line_legend(lines)
    plot(drawn, ", ".join(line.name for line in lines))


def _drift(score: Score, _: Words) -> None:
    there = "score_checks" in score_facts.tables()
    checks = score_facts.checks(score.name) if there else []
    moved = [row for row in checks if row["measure"] in ("score_drift", "feature_drift")]
    alerts = [row for row in checks if row["is_alert"]]
    title = (
        _.ngettext("{count} check raises an alert", "{count} checks raise an alert", len(alerts))
        if alerts
        else _("Nothing has drifted")
        if moved
        else _("Drift")
    )
    with card(
        "drift",
        title,
        _(
            "How far today lies from what was learned (PSI):"
            " {shift} is a shift, {large} a large one.",
            shift=_.number(0.1, 1),
            large=_.number(0.25, 2),
        ),
    ):
        past = {row["measure"]: row["value"] for row in checks if row["measure"] in PAST}
        if past:
            strip(
                [
                    (_(label), _past(measure, past[measure], _))
                    for measure, label in PAST.items()
                    if measure in past
                ],
                boxed=False,
            )
        if not moved:
            note(_("Known after the second week of a version."))
            return
        rows = sorted(moved, key=lambda row: -row["value"])[:SHOWN_DRIFT]
        draw(
            table(
                [Column(_("What")), Column(_("PSI"), "num first")],
                [
                    [
                        feature_label(row["subject"], _.code) if row["subject"] else _("The score"),
                        span(
                            _.number(row["value"], 2),
                            " ",
                            pill(_("alert"), "warn") if row["is_alert"] else None,
                        ),
                    ]
                    for row in rows
                ],
                _("Drift"),
            )
        )


def _past(measure: str, value: float, _: Words) -> str:
    return _.number(value, 3) if measure == "past_auc" else _.percent(value, 1)


def _movers(registry: Registry, score: Score, as_of: date, _: Words) -> None:
    found = None if score.name == LEADS else score_facts.movers(registry, score, as_of)
    if found is None:
        return
    day, moved = found
    if moved.is_empty():
        return
    names = score_facts.names(tuple(moved["id"].to_list()))
    with card("movers", _("Who moved"), _("Largest changes since {day}.", day=_.day(day))):
        asked = open_table(
            "movers-table",
            [
                Column(_("Customer")),
                Column(_("Before"), "num hide"),
                Column(_("Now"), "num first"),
                Column(_("Change"), "num"),
            ],
            [
                (
                    row["id"],
                    [
                        cell(names.get(row["id"], row["id"])),
                        cell(_.percent(row["before"], 0)),
                        cell(_.percent(row["now"], 0)),
                        cell(_.difference(row["change"], "percent")),
                    ],
                )
                for row in moved.iter_rows(named=True)
            ],
            label=_("Who moved"),
        )
        if asked:
            st.switch_page("screens/customer.py", query_params=address.link(id=asked))


def _train(score: Score, _: Words) -> None:
    if score.propensity is None:
        return
    asked = score.propensity.propensity
    if st.button(_("Learn it now"), key=f"train-{asked}"):
        workspace = queries.workspace()
        store = queries.store()
        score_facts.start_training(workspace, store, asked, who=getpass.getuser(), at=now())
        note(_("Learning has begun; its result stands below in a minute or so."))


def _versions(registry: Registry, score: Score, version: str | None, _: Words) -> None:
    decided = score_facts.decisions(registry, score.name)
    if not decided:
        return
    title = _("Scored by {version}", version=version) if version else _("Versions")
    with card("versions", title, _("What was learned, and why it serves or does not")):
        draw(
            table(
                [
                    Column(_("When")),
                    Column(_("Version"), "hide"),
                    Column(_("Decision"), "state"),
                    Column(_("Why"), "wide"),
                ],
                [
                    [
                        _.day(date.fromisoformat(one.at[:10])),
                        span(one.version, cls="co-mono"),
                        pill(_(DECISIONS[one.decision][0]), DECISIONS[one.decision][1]),
                        one.why(_.code),
                    ]
                    for one in decided[:12]
                ],
                _("Versions"),
            )
        )
        if version is not None:
            _train(score, _)


def _card(known: Artifact, _: Words) -> None:
    from markdown_it import MarkdownIt

    markdown = known.card(language_of(_.code))
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    title = _("Model card")
    st.html(f'<details class="co-details"><summary>{title}</summary>{body}</details>')


render()
