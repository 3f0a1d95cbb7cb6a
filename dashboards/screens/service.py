"""Service: tickets, how long they take, what waits, what customers say, and who stays."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

from cohorte.i18n import N_
from cohorte.intervals import likely_range
from cohorte.kpis import Kpi, Period, kpi
from dashboards import charts, figures, periods, queries, theme, vocabulary
from dashboards.charts import Line
from dashboards.components import (
    Column,
    bar,
    card,
    choice,
    draw,
    empty,
    legend,
    note,
    page_head,
    plot,
    table,
)
from dashboards.components import figures as figure_cards
from dashboards.language import Words, words
from dashboards.markup import join, span

HEADLINE = (
    "tickets_opened",
    "ticket_backlog",
    "first_response_time",
    "resolution_time",
    "nps",
    "csat",
)
PERIODS = {"90d": N_("Last 90 days"), "12m": N_("Last 12 months"), "24m": N_("Last 24 months")}
BY = ("category", "channel", "priority")
BY_PRODUCT = ("product_category", "product_name")
HEARD_BY = ("channel", *BY_PRODUCT)
SPEEDS = {
    "day": N_("resolved within a day"),
    "days": N_("within three days"),
    "week": N_("within a week"),
    "longer": N_("later"),
    "never": N_("not resolved"),
}
SHOWN = 12


def render() -> None:
    _ = words()
    as_of = queries.pinned().as_of
    with page_head(
        _("Service"), _("Tickets, how long they take, what waits, and what customers say.")
    ):
        key = choice(_("Period"), list(PERIODS), lambda each: _(PERIODS[each]), "period", "12m")
    period = periods.period(key, as_of)
    found = queries.kpi_figures(HEADLINE, period)
    if (
        not found["tickets_opened"].value
        and found["nps"].value is None
        and found["csat"].value is None
    ):
        empty(
            _("No tickets and no answers in this period"),
            _("This page shows them once a source brings tickets or surveys."),
            symbol="ticket",
        )
        return
    figure_cards([figures.figure_of(kpi(name), period, _) for name in HEADLINE])
    left, right = st.columns(2, gap="small")
    with left:
        _flow(period, _)
    with right:
        _backlog(period, _)
    _parts(period, _)
    left, right = st.columns(2, gap="small")
    with left:
        _nps(period, _)
    with right:
        _return(_)
    if queries.tells_of_products():
        _heard(period, _)


def _flow(period: Period, _: Words) -> None:
    grain = periods.grain_for(period)
    now = queries.kpi_series("tickets_opened", grain, period)
    days = [day for day, _value in now]
    tokens = theme.tokens(st.context.theme.type)
    title = _("Tickets opened")
    with card("flow", title, _("By {step}", step=_(periods.GRAIN_NAMES[grain]).lower())):
        plot(
            charts.stacked(
                figures.labels(days, grain, _),
                [_.bucket(day, grain) for day in days],
                [Line(title, [float(value.value or 0) for _day, value in now], tokens.now)],
                lambda value, short: _.short_number(value or 0) if short else _.number(value),
                _,
                tokens,
                height=200,
            ),
            title,
        )


def _backlog(period: Period, _: Words) -> None:
    tokens = theme.tokens(st.context.theme.type)
    defined = kpi("ticket_backlog")
    with card("backlog", defined.title(_.code), defined.definition(_.code)):
        grain = figures.steps("ticket_backlog", "week" if period.days < 200 else "month", period)
        names = (defined.title(_.code), "")
        drawn = figures.course_plot(defined, grain, period, None, (), names, tokens, _, height=200)
        plot(drawn, defined.title(_.code))


def _parts(period: Period, _: Words) -> None:
    with card(
        "parts",
        _("What tickets are about, and how long they take"),
        _("Medians; tickets still open count for as long as they have been"),
    ):
        by = choice(
            _("By"),
            (*BY, *BY_PRODUCT) if queries.tells_of_products() else BY,
            lambda each: _(vocabulary.DIMENSIONS[each]),
            "by",
            "category",
        )
        opened = queries.kpi_parts("tickets_opened", by, period)
        answered = queries.kpi_parts("first_response_time", by, period)
        resolved = queries.kpi_parts("resolution_time", by, period)
        top = max((float(each.value or 0) for each in opened.values()), default=1.0) or 1.0
        hours: Kpi = kpi("resolution_time")
        rows = []
        for part in list(opened)[:SHOWN]:
            first, last = answered.get(part), resolved.get(part)
            rows.append(
                [
                    span(vocabulary.part(by, part, _), cls="main"),
                    _.number(opened[part].value),
                    bar(float(opened[part].value or 0) / top),
                    _.figure(first.value if first else None, hours.unit),
                    join(
                        span(_.figure(last.value if last else None, hours.unit)),
                        span(
                            _("nine in ten: {time}", time=_.figure(last.beside["p90"], "hours")),
                            cls="sub",
                        )
                        if last and last.beside["p90"] is not None
                        else None,
                    ),
                    _.number(last.beside["waiting"]) if last else "–",
                ]
            )
        draw(
            table(
                [
                    Column(_(vocabulary.DIMENSIONS[by])),
                    Column(_("Tickets"), "num first"),
                    Column("", "wide"),
                    Column(_("First response"), "num hide"),
                    Column(_("Resolution"), "num hide"),
                    Column(_("Open"), "num hide"),
                ],
                rows,
                _("What tickets are about, and how long they take"),
            )
        )


def _nps(period: Period, _: Words) -> None:
    found = queries.kpi_series("nps", "quarter" if period.days > 200 else "month", period)
    known = [(day, value) for day, value in found if value.value is not None]
    defined = kpi("nps")
    with card("nps", defined.title(_.code), figures.explained(defined, _)):
        if not known:
            empty(_("Nobody was asked, or nobody answered"), symbol="survey", small=True)
            return
        tokens = theme.tokens(st.context.theme.type)
        grain = "quarter" if period.days > 200 else "month"
        lines = [
            Line(_("NPS"), [float(value.value or 0) for _day, value in known], tokens.now),
            *(
                Line(
                    name,
                    [
                        float((value.value or 0) + sign * (value.beside["margin"] or 0))
                        for _day, value in known
                    ],
                    tokens.ink_faint,
                    dashed=True,
                )
                for name, sign in ((_("at most"), 1), (_("at least"), -1))
            ),
        ]
        legend([(_("NPS"), tokens.now), (_("Margin of error, 95%"), tokens.ink_faint, "dash")])
        plot(
            charts.course(
                [_.bucket(day, grain, axis=True) for day, _value in known],
                [_.bucket(day, grain) for day, _value in known],
                lines,
                lambda value, short: _.number(value, 0 if short else 1),
                _,
                tokens,
                height=200,
            ),
            defined.title(_.code),
        )
        answers = sum(int(value.denominator or 0) for _day, value in known)
        note(_.ngettext("{count} answer", "{count} answers", answers))


def _heard(period: Period, _: Words) -> None:
    """NPS with its margin, and satisfaction, by what was bought and where."""
    rate = queries.kpi_figures(("survey_response_rate",), period)["survey_response_rate"].value
    answered = _(
        "Answers about {share} of the tickets resolved; with few answers the margin says little",
        share=_.percent(rate, 0),
    )
    title = _("What customers say, and of what")
    with card("heard", title, answered if rate is not None else ""):
        by = choice(
            _("By"), HEARD_BY, lambda each: _(vocabulary.DIMENSIONS[each]), "heard", "channel"
        )
        scores = queries.kpi_parts("nps", by, period)
        rated = queries.kpi_parts("csat", by, period)
        answers = {
            part: sum(int(each[part].denominator or 0) for each in (scores, rated) if part in each)
            for part in (*scores, *rated)
        }
        if not answers:
            empty(_("Nobody was asked, or nobody answered"), symbol="survey", small=True)
            return
        rows = []
        for part, count in sorted(answers.items(), key=lambda item: (-item[1], str(item[0]))):
            score, share = scores.get(part), rated.get(part)
            margin = score.beside["margin"] if score else None
            rows.append(
                [
                    span(vocabulary.part(by, part, _), cls="main"),
                    _.number(count),
                    join(
                        span(_.figure(score.value if score else None, "points")),
                        span(f"± {_.figure(margin, 'points')}", cls="sub")
                        if margin is not None
                        else None,
                    ),
                    _.figure(share.value if share else None, "percent"),
                ]
            )
        draw(
            table(
                [
                    Column(_(vocabulary.DIMENSIONS[by])),
                    Column(_("Answers"), "num hide"),
                    Column(_("NPS"), "num first"),
                    Column(_("Satisfaction"), "num hide"),
                ],
                rows[:SHOWN],
                title,
            )
        )


def _return(_: Words) -> None:
    rows = {row["speed"]: row for row in queries.service_and_return()}
    as_of = queries.pinned().as_of
    with card(
        "return",
        _("What service does to those who asked"),
        _("Share who ordered within half a year of their ticket, with its margin of error"),
    ):
        if not rows:
            empty(_("No ticket is old enough to tell"), symbol="ticket", small=True)
            return
        body = []
        for speed, name in SPEEDS.items():
            row = rows.get(speed)
            if row is None:
                continue
            low, high = likely_range(row["ordered"], row["customers"])
            body.append(
                [
                    join(
                        span(_(name), cls="main"),
                        span(
                            _.ngettext("{count} customer", "{count} customers", row["customers"]),
                            cls="sub",
                        ),
                    ),
                    join(
                        span(_.share(row["ordered"], row["customers"])),
                        span(
                            _("{low} to {high}", low=_.percent(low, 0), high=_.percent(high, 0)),
                            cls="sub",
                        ),
                    ),
                    bar(row["ordered"] / row["customers"]),
                ]
            )
        draw(
            table(
                [Column(_("Ticket")), Column(_("Ordered again"), "num first"), Column("", "wide")],
                body,
                _("What service does to those who asked"),
            )
        )
        note(
            _(
                "Tickets opened from {first} to {last}. Who gets a slow answer may differ in other "
                "ways too: a difference is a lead, not a proof.",
                first=_.day(as_of - timedelta(days=546)),
                last=_.day(as_of - timedelta(days=182)),
            )
        )


render()
