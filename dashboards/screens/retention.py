"""Retention: who comes back, when, and how buyers move between states."""

from __future__ import annotations

from datetime import date

import polars as pl
import streamlit as st

from cohorte.i18n import N_
from cohorte.kpis import add_months
from dashboards import charts, queries, theme
from dashboards.charts import Line
from dashboards.components import (
    Heat,
    card,
    choice,
    draw,
    empty,
    heat_table,
    insight,
    legend,
    line_legend,
    note,
    page_head,
    plot,
    strip,
)
from dashboards.language import Words, words
from dashboards.markup import Html

MEASURES = {
    "customers_count": N_("Customers"),
    "orders_count": N_("Orders"),
    "net_revenue": N_("Net revenue"),
}
SHARES = {"share": N_("Share"), "count": N_("Number")}
COHORTS_SHOWN = 14
CURVES = 6
STATES = {
    "not_yet": (N_("Not yet a customer"), "#B9C1CD"),
    "new": (N_("New"), "#009E73"),
    "active": (N_("Active"), "#0072B2"),
    "won_back": (N_("Won back"), "#CC79A7"),
    "at_risk": (N_("At risk"), "#E69F00"),
    "lapsed": (N_("Lapsed"), "#6B7484"),
}
GAP_STEP = 14
GAP_LAST = 364


def render() -> None:
    _ = words()
    as_of = queries.pinned().as_of
    with page_head(
        _("Retention"),
        _("Who comes back, when, and how buyers move between states."),
    ):
        measure = choice(
            _("What"),
            list(MEASURES),
            lambda each: _(MEASURES[each]),
            "measure",
            "customers_count",
        )
        share = choice(_("As"), list(SHARES), lambda each: _(SHARES[each]), "as", "share")
    frame = queries.cohort_months()
    if frame.is_empty():
        empty(
            _("No orders yet"),
            _("The table appears with the first orders of known customers."),
            symbol="order",
        )
        return
    cohorts = by_age(frame, measure, as_of)
    shown = sorted(cohorts)[-COHORTS_SHOWN:]
    insight(_finding(cohorts, measure, _))
    title = _("Of those who first bought in a month, what came in the months after")
    with card(
        "triangle",
        title,
        _("Row: when they first bought. Column: how long after. Cells still running are faint."),
    ):
        draw(_triangle(cohorts, shown, measure, share == "share", as_of, _))
    left, right = st.columns(2, gap="small")
    with left:
        _curves(cohorts, shown, as_of, _)
    with right:
        _gaps(_)
    _moves(_)


Cohorts = dict[date, list[float]]


def by_age(frame: pl.DataFrame, measure: str, as_of: date) -> Cohorts:
    """The cohorts by month of first order: the measure 0, 1, 2 ... months after it, until now."""
    held: dict[tuple[date, int], float] = {
        (row["cohort_month"], _months_between(row["cohort_month"], row["month"])): float(
            row[measure]
        )
        for row in frame.iter_rows(named=True)
    }
    return {
        cohort: [held.get((cohort, age), 0.0) for age in range(_months_between(cohort, as_of) + 1)]
        for cohort in frame["cohort_month"].unique().to_list()
    }


def _months_between(earlier: date, later: date) -> int:
    return (later.year - earlier.year) * 12 + later.month - earlier.month


def _triangle(
    cohorts: Cohorts,
    shown: list[date],
    measure: str,
    as_share: bool,
    as_of: date,
    _: Words,
) -> Html:
    """The table of cohorts; colour says what the figure in the cell says too."""
    width = min(max(len(cohorts[cohort]) for cohort in shown), 13)
    top = max(
        (v / cohorts[c][0] for c in shown if cohorts[c][0] for v in cohorts[c][1:width]),
        default=1.0,
    )
    rows = []
    for cohort in shown:
        values = cohorts[cohort]
        cells = [Heat(_said(values[0], measure, _))]
        for after, value in enumerate(values[1:width], 1):
            part = value / values[0] if values[0] else 0.0
            running = after == len(values) - 1 and not _is_over(as_of)
            text = _.percent(part, 0) if as_share else _said(value, measure, _)
            cells.append(Heat(text, part / (top or 1), running))
        rows.append((_.bucket(cohort, "month", axis=True), cells))
    head = [_("First order"), _(MEASURES[measure]), *(f"+{after}" for after in range(1, width))]
    return heat_table(head, rows, _("Cohorts"))


def _is_over(as_of: date) -> bool:
    """Whether the running month ends with the latest day known."""
    return date.fromordinal(as_of.toordinal() + 1).day == 1


def _said(value: float, measure: str, _: Words) -> str:
    return _.short_money(value) if measure == "net_revenue" else _.number(value)


def mean_curve(cohorts: Cohorts, shown: list[date], whole: bool) -> list[float | None]:
    """The share of all cohorts old enough, step after step; the running step left out."""
    width = max((len(cohorts[cohort]) for cohort in shown), default=0)
    curve: list[float | None] = []
    for after in range(width):
        old = [cohort for cohort in shown if len(cohorts[cohort]) - (0 if whole else 1) > after]
        base = sum(cohorts[cohort][0] for cohort in old)
        curve.append(sum(cohorts[cohort][after] for cohort in old) / base if base else None)
    return curve


def _finding(cohorts: Cohorts, measure: str, _: Words) -> str:
    curve = mean_curve(cohorts, sorted(cohorts)[-COHORTS_SHOWN:], whole=False)
    third = curve[3] if len(curve) > 3 else None
    if third is None:
        return _("The cohorts are too young to tell who comes back.")
    if measure == "customers_count":
        return _(
            "In the third month after their first order {share} of the customers buy.",
            share=_.percent(third, 0),
        )
    return _(
        "In the third month a cohort brings {share} of what it brought in its first.",
        share=_.percent(third, 0),
    )


def _curves(cohorts: Cohorts, shown: list[date], as_of: date, _: Words) -> None:
    tokens = theme.tokens(st.context.theme.type)
    whole = _is_over(as_of)
    picked = shown[-CURVES - 1 : -1][::2] if len(shown) > 3 else shown
    width = min(13, max(len(cohorts[cohort]) for cohort in shown))
    lines = [
        Line(_("All shown"), mean_curve(cohorts, shown, whole)[1:width], tokens.ink),
        *(
            Line(
                _.bucket(cohort, "month", axis=True),
                [v / cohorts[cohort][0] for v in cohorts[cohort][1:width]]
                if cohorts[cohort][0]
                else [],
                colour,
            )
            for cohort, colour in zip(picked, charts.SERIES_COLOURS, strict=False)
        ),
    ]
    labels = [f"+{after}" for after in range(1, width)]
    drawn = charts.course(
        labels,
        labels,
        lines,
        lambda value, short: _.percent(value, 0 if short else 1),
        _,
        tokens,
        height=230,
    )
    with card(
        "curves",
        _("Retention by age of the cohort"),
        _("Share of the first step, some cohorts and all together"),
    ):
        line_legend(lines)
        plot(drawn, _("Retention by age of the cohort"))


def _gaps(_: Words) -> None:
    frame = queries.order_gaps()
    if frame.is_empty():
        return
    total = int(frame["gaps_count"].sum())
    running = frame.with_columns((pl.cum_sum("gaps_count") / total).alias("share"))
    median, ninth = (
        int(running.filter(pl.col("share") >= portion)["days_between"][0]) for portion in (0.5, 0.9)
    )
    steps = list(range(0, GAP_LAST, GAP_STEP))
    counted = [
        int(
            frame.filter(pl.col("days_between").is_between(start + 1, start + GAP_STEP))[
                "gaps_count"
            ].sum()
        )
        for start in steps
    ]
    drawn = charts.stacked(
        [_.number(start) for start in steps],
        [_("{first} to {last} days", first=start + 1, last=start + GAP_STEP) for start in steps],
        [
            Line(
                _("Times"),
                [float(count) for count in counted],
                theme.tokens(st.context.theme.type).now,
            )
        ],
        lambda value, short: _.short_number(value or 0) if short else _.number(value),
        _,
        theme.tokens(st.context.theme.type),
        height=200,
    )
    title = _("Half of the next orders come within {days}", days=_.days(median))
    with card("gaps", title, _("Days from one order to the next, by fortnight")):
        plot(drawn, title)
        longer = total - sum(counted)
        strip(
            [
                (_("Median"), _.days(median)),
                (_("Nine in ten within"), _.days(ninth)),
                (_("Longer than a year"), _.share(longer, total)),
            ],
            boxed=False,
        )


def _moves(_: Words) -> None:
    rows = queries.lifecycle_moves()
    if not rows:
        return
    moments = sorted({row["moment_date"] for row in rows})
    columns = [_.day(add_months(moments[0], -3)), *(_.day(moment) for moment in moments)]
    states: dict[str, tuple[str, str]] = {
        state: (_(name), colour) for state, (name, colour) in STATES.items()
    }
    flows = [
        (
            moments.index(row["moment_date"]),
            row["state_before"],
            row["state_after"],
            row["customers_count"],
        )
        for row in rows
        if row["state_before"] in states and row["state_after"] in states
    ]
    last = [row for row in rows if row["moment_date"] == moments[-1]]

    def moved(before: tuple[str, ...], after: str) -> int:
        return sum(
            row["customers_count"]
            for row in last
            if row["state_after"] == after and row["state_before"] in before
        )

    lost = moved(("new", "active", "at_risk", "won_back"), "lapsed")
    title = _(
        "In the last quarter {lost} buyers lapsed, {back} were won back and {new} were new",
        lost=_.number(lost),
        back=_.number(moved(("lapsed",), "won_back")),
        new=_.number(moved(("not_yet",), "new")),
    )
    tokens = theme.tokens(st.context.theme.type)
    with card("moves", title, _("Buyers by state at the end of each quarter, and how they moved")):
        legend([(name, colour) for name, colour in states.values()])
        plot(charts.alluvial(columns, flows, states, _, tokens), title)
        days = queries.windows().lapse_days
        note(
            _(
                "Active: ordered within {half} days. At risk: within {days}. Lapsed: longer ago. "
                "Won back: ordered in the quarter after more than {days} days.",
                half=_.number(days // 2),
                days=_.number(days),
            )
        )


render()
