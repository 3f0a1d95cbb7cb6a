"""Objectives: targets by KPI, period and scope, how far they are, and where they will end."""

from __future__ import annotations

from datetime import date, timedelta
from decimal import Decimal
from typing import Any

import streamlit as st

from cohorte.clock import now
from cohorte.errors import CohorteError
from cohorte.i18n import N_
from cohorte.kpis import Kpi, Period, add_months, catalogue, dimensions, kpi
from cohorte.kpis.objectives import COLUMNS, Progress, filters_of, read_goals, scope_of
from cohorte.store import Target
from dashboards import figures, person, queries, vocabulary
from dashboards.components import (
    Column,
    bar,
    card,
    draw,
    empty,
    insight,
    note,
    page_head,
    pill,
    table,
    warning,
)
from dashboards.goals import scope_name, standing_of
from dashboards.language import DATES, Words, words
from dashboards.markup import div, join, markdown_text, span, tag

STANDINGS = {
    "reached": (N_("reached"), "good"),
    "on_track": (N_("on track"), "accent"),
    "behind": (N_("behind"), "bad"),
    "ahead_of_us": (N_("not begun"), ""),
    "unknown": (N_("no figure"), ""),
}
LENGTHS = {
    "month": N_("This month"),
    "quarter": N_("This quarter"),
    "year": N_("This year"),
    "custom": N_("Chosen dates"),
}
SAID = "objectives_said"


def render() -> None:
    _ = words()
    as_of = queries.pinned().as_of
    with page_head(_("Objectives"), _("What is aimed at, how far it is, and where it will end.")):
        pass
    if said := st.session_state.pop(SAID, ""):
        note(said)
    targets = [each for each in queries.store().list_targets() if each.kpi_id in catalogue()]
    standing = {each.target_id: standing_of(each, as_of) for each in targets}
    running = [each for each in targets if each.start_date <= as_of < each.end_date]
    if running:
        good = sum(standing[each.target_id].standing in ("reached", "on_track") for each in running)
        insight(
            _.ngettext(
                "{good} of {count} running objective is reached or on track.",
                "{good} of {count} running objectives are reached or on track.",
                len(running),
                good=_.number(good),
            )
        )
    if not targets:
        empty(
            _("No objective yet"),
            _(
                "Set one below: a figure, a period, a value. "
                "It then shows here and on the overview."
            ),
            symbol="lead",
        )
    else:
        order = sorted(
            targets, key=lambda each: (each.end_date <= as_of, each.end_date, each.kpi_id)
        )
        with card("objectives", _("Where they stand"), _("To {day}", day=_.day(as_of, "long"))):
            draw(
                table(
                    [
                        Column(_("Objective")),
                        Column(_("Target"), "num first"),
                        Column(_("So far"), "num hide"),
                        Column(_("Reached"), "wide"),
                        Column(_("Due by now"), "num hide"),
                        Column(_("To expect at the end"), "num hide"),
                        Column("", "state"),
                    ],
                    [_row(each, standing[each.target_id], _) for each in order],
                    _("Objectives"),
                )
            )
            note(
                _(
                    "A sum is expected to grow through its period as it did a year before; evenly "
                    "when that year is not known. A rate or a stock is taken as it is."
                )
            )
    left, right = st.columns(2, gap="small")
    with left:
        _enter(as_of, _)
    with right:
        _import(_)
        if targets:
            _remove(targets, _)


def _dates(start: date, end: date, _: Words) -> str:
    return _("{first} to {last}", first=_.day(start), last=_.day(end - timedelta(days=1)))


def _row(target: Target, found: Progress, _: Words) -> list[Any]:
    defined: Kpi = kpi(target.kpi_id)
    name, tone = STANDINGS[found.standing]
    share = float(found.attainment) if found.attainment is not None else 0.0
    return [
        join(
            span(defined.title(_.code), cls="main"),
            span(
                f"{scope_name(target.scope, _)} · {_dates(target.start_date, target.end_date, _)}",
                cls="sub",
            ),
        ),
        _.figure(target.target_value, defined.unit),
        _.figure(found.value, defined.unit) if found.value is not None else "–",
        join(bar(share), span(_.percent(found.attainment, 0), cls="sub"))
        if found.attainment is not None
        else "–",
        _.figure(found.due, defined.unit) if found.due is not None else "–",
        _.figure(found.expected, defined.unit) if found.expected is not None else "–",
        pill(_(name), tone),
    ]


def _enter(as_of: date, _: Words) -> None:
    with card(
        "enter", _("Set an objective"), _("One of the same figure, period and scope is replaced")
    ):
        known = [each.kpi_id for group in figures.grouped().values() for each in group]
        kpi_id = st.selectbox(
            _("KPI"), known, format_func=lambda each: kpi(each).title(_.code), key="goal-kpi"
        )
        length = st.segmented_control(
            _("Period"),
            list(LENGTHS),
            default="year",
            required=True,
            format_func=lambda each: _(LENGTHS[each]),
            key="goal-length",
        )
        period = _whole(length or "year", as_of)
        if length == "custom":
            picked = st.date_input(
                _("Dates"),
                (period.start, period.end - timedelta(days=1)),
                key="goal-dates",
                format=DATES,
            )
            ends = picked if isinstance(picked, tuple) else (picked,)
            if len(ends) == 2:
                period = Period(ends[0], ends[1] + timedelta(days=1))
        dimension = st.selectbox(
            _("For"),
            list(dimensions(kpi_id)),
            index=None,
            format_func=lambda each: _(vocabulary.DIMENSIONS[each]),
            placeholder=_("whole company"),
            key=f"goal-by-{kpi_id}",
        )
        part = None
        if dimension:
            names = figures.names_of(dimension, _)
            parts = [
                each
                for each in queries.kpi_parts(
                    kpi_id, dimension, Period(add_months(as_of, -12), as_of)
                )
                if each
            ]
            part = st.selectbox(
                _(vocabulary.DIMENSIONS[dimension]),
                parts,
                format_func=lambda each: markdown_text(vocabulary.part(dimension, each, _, names)),
                key=f"goal-part-{kpi_id}-{dimension}",
            )
        defined = kpi(kpi_id)
        in_percent = defined.unit == "percent"
        value = st.number_input(
            _("Target, in %") if in_percent else _("Target"),
            value=None,
            step=1.0,
            placeholder=_now(defined, period, as_of, scope_of(dimension, part), _),
            key="goal-value",
        )
        if st.button(
            _("Set the objective"), type="primary", disabled=value is None, key="goal-set"
        ):
            exact = Decimal(str(value)) / (100 if in_percent else 1)
            queries.store().set_target(
                kpi_id, period.start, period.end, exact, author=person.who() or _("on screen"),
                at=now(), scope=scope_of(dimension, part),
            )  # fmt: skip
            st.session_state[SAID] = _("The objective is set.")
            st.rerun()


def _whole(length: str, as_of: date) -> Period:
    """The whole month, quarter or year of a day."""
    months = {"month": 1, "quarter": 3, "year": 12}.get(length, 12)
    start = as_of.replace(month=as_of.month - (as_of.month - 1) % months, day=1)
    return Period(start, add_months(start, months))


def _now(defined: Kpi, period: Period, as_of: date, scope: str, _: Words) -> str:
    """What the same period came to a year before, to measure the target by."""
    filters = tuple(filters_of(defined.kpi_id, scope).items())
    before = queries.kpi_figures((defined.kpi_id,), period.year_before(), filters)[defined.kpi_id]
    if before.value is None:
        return ""
    return _("a year before: {value}", value=_.figure(before.value, defined.unit))


def _import(_: Words) -> None:
    with card(
        "import",
        _("Import objectives"),
        _("A CSV file; all of it is taken, or nothing"),
    ):
        draw(div(_("Columns:"), " ", tag("code", ", ".join(COLUMNS), cls="co-mono"), cls="co-note"))
        sent = st.file_uploader(
            _("CSV file"), type="csv", key="goals-file", label_visibility="collapsed"
        )
        if sent is None:
            return
        try:
            goals = read_goals(sent.getvalue())
        except CohorteError as error:
            warning(f"{error.message}. {error.remedy}")
            return
        draw(
            table(
                [Column(_("Objective")), Column(_("Target"), "num first")],
                [
                    [
                        join(
                            span(kpi(each.kpi_id).title(_.code), cls="main"),
                            span(
                                f"{scope_name(each.scope, _)} · "
                                f"{_dates(each.period.start, each.period.end, _)}",
                                cls="sub",
                            ),
                        ),
                        _.figure(each.value, kpi(each.kpi_id).unit),
                    ]
                    for each in goals[:20]
                ],
                _("Import objectives"),
            )
        )
        label = _.ngettext("Set {count} objective", "Set {count} objectives", len(goals))
        if goals and st.button(label, type="primary", key="goals-set"):
            for each in goals:
                queries.store().set_target(
                    each.kpi_id, each.period.start, each.period.end, each.value,
                    author=person.who() or _("on screen"), at=now(), scope=each.scope,
                )  # fmt: skip
            st.session_state[SAID] = _("The objectives are set.")
            st.rerun()


def _remove(targets: list[Target], _: Words) -> None:
    with card("remove", _("Take an objective away")):
        names = {
            each.target_id: (
                f"{kpi(each.kpi_id).title(_.code)} · {scope_name(each.scope, _)} · "
                f"{_dates(each.start_date, each.end_date, _)}"
            )
            for each in targets
        }
        chosen = st.selectbox(
            _("Objective"),
            list(names),
            index=None,
            format_func=lambda each: markdown_text(names[each]),
            placeholder=_("Choose one"),
            key="goal-gone",
            label_visibility="collapsed",
        )
        if st.button(_("Take it away"), disabled=chosen is None, key="goal-remove"):
            queries.store().remove_target(
                int(chosen or 0), who=person.who() or _("on screen"), at=now()
            )
            st.session_state[SAID] = _("The objective is gone.")
            st.rerun()


render()
