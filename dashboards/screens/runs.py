"""Runs: how they went, how long each station took, what comes next, and the versions kept."""

from __future__ import annotations

from datetime import datetime
from typing import Any

import streamlit as st

from cohorte.clock import now
from cohorte.errors import CohorteError
from cohorte.i18n import N_
from cohorte.said import unpacked
from cohorte.settings import Timing
from cohorte.store import Alert, Run
from cohorte.warehouse import holder_of, list_versions, pointed_version
from dashboards import charts, operations, queries, theme
from dashboards.components import (
    Column,
    card,
    draw,
    empty,
    line_legend,
    page_head,
    pill,
    plot,
    strip,
    table,
)
from dashboards.language import Words, words
from dashboards.markup import div, join, span
from dashboards.vocabulary import named

AUTHOR = "screen"
RUNS_SHOWN = 30
NEXT_SHOWN = 3
LOG_SHOWN = 60
MINUTE = 60
STATIONS = {
    "ingest": N_("Load"),
    "stage": N_("Stage"),
    "identify": N_("Identify"),
    "unify": N_("Unify"),
    "features": N_("Features"),
    "score": N_("Score"),
    "profile": N_("Profiles"),
    "segment": N_("Segments"),
    "publish": N_("Publish"),
}
COLOURS = dict(
    zip(
        STATIONS,
        ["#0072B2", "#56B4E9", "#CC79A7", "#009E73", "#8FD3BC", "#E69F00", "#F5D08A", "#D55E00",
         "#8A93A2"],
        strict=True,
    )
)  # fmt: skip
STATUS = {
    "running": (N_("running"), "accent"),
    "succeeded": (N_("succeeded"), "good"),
    "failed": (N_("failed"), "bad"),
    "interrupted": (N_("interrupted"), "warn"),
}
KINDS = {
    "refresh": N_("Refresh"),
    "ingest": N_("Take in"),
    "score": N_("Score anew"),
    "retrain": N_("Learn anew"),
    "backfill": N_("Fill the past"),
    "quality": N_("Look for problems"),
    "housekeeping": N_("Housekeeping"),
    "reports": N_("Reports"),
}
PROBLEMS = {
    "failure": N_("A run failed"),
    "gate": N_("A check did not pass"),
    "stale": N_("A source brings nothing"),
    "volume": N_("A delivery of an unusual size"),
    "drift": N_("Customers shifted"),
    "scores": N_("Scores are in doubt"),
}


def render() -> None:
    _ = words()
    space, served = queries.workspace(), queries.pinned()
    held_by = holder_of(space)
    runs = [_truly(run, held_by) for run in queries.store().list_runs(RUNS_SHOWN)]
    with page_head(
        _("Runs"),
        _("Version {version} is served, published on {at}.", version=served.info.version,
          at=_.at(served.info.published_at)),
    ):  # fmt: skip
        _run_again(held_by, _)
        _roll_back(served.info.version, held_by, _)
    _say_what_was_done(_)
    damaged = pointed_version(space)
    if damaged not in (None, served.info.version):
        st.error(
            _(
                "Version {version} is damaged on disk: {instead} is served instead. A run publishes"
                " a whole one.",
                version=damaged,
                instead=served.info.version,
            )
        )
    _alerts(queries.store().list_alerts(only_open=True), _)
    if runs:
        _overview(runs, _)
        _trend(runs, _)
        _runs(runs, _)
        _one(runs, _)
    else:
        empty(_("No run yet"), _("Each run of the pipeline appears here."), symbol="database")
    left, right = st.columns([1, 1], gap="small")
    with left:
        _next(_)
    with right:
        _versions(_)


def _truly(run: Run, held_by: str | None) -> Run:
    """A run whose process is gone is not running, whatever the store was left with."""
    if run.status == "running" and held_by != run.run_id:
        run.status = "interrupted"
    return run


# Acts


def _run_again(held_by: str | None, _: Words) -> None:
    if held_by is not None:
        draw(pill(_("a run is going on"), "accent"))
        return
    with st.popover(_("Run now"), icon=":material/play_arrow:", key="run-now"):
        st.markdown(
            _(
                "The pipeline runs from the sources to a new version. The version served stays"
                " until the new one is whole."
            )
        )
        full = st.checkbox(_("Build everything anew"), key="full")
        if st.button(_("Yes, run"), type="primary", key="run-yes"):
            operations.start_run(
                queries.workspace(), queries.store(), who=AUTHOR, at=now(), full=full
            )
            st.session_state["done"] = ("run", "")
            st.rerun()


def _roll_back(served: str, held_by: str | None, _: Words) -> None:
    others = [info for info in list_versions(queries.workspace()) if info.version != served]
    if not others or held_by is not None:
        return
    with st.popover(_("Serve another version"), icon=":material/history:", key="roll-back"):
        chosen = st.selectbox(
            _("Version"),
            others,
            format_func=lambda info: f"{info.version} · {_.at(info.published_at)}",
            key="version",
        )
        st.markdown(
            _("Everyone sees this version from their next look on, until the next run publishes.")
        )
        if st.button(_("Yes, serve it"), type="primary", key="roll-yes"):
            try:
                operations.serve_version(
                    queries.workspace(), queries.store(), chosen.version, who=AUTHOR, at=now()
                )
                st.session_state["done"] = ("version", chosen.version)
            except CohorteError as error:
                st.session_state["done"] = ("error", _.told(error.said))
            st.rerun()


def _say_what_was_done(_: Words) -> None:
    kind, detail = st.session_state.pop("done", ("", ""))
    if kind == "run":
        st.info(_("The run has begun. This page shows it once it is under way."))
    elif kind == "version":
        st.success(_("Version {version} is served.", version=detail))
    elif kind == "error":
        st.error(detail)


# What there is to see


def _alerts(alerts: list[Alert], _: Words) -> None:
    if not alerts:
        return
    title = _.ngettext("{count} problem is open", "{count} problems are open", len(alerts))
    with card("alerts", title):
        draw(
            table(
                [Column(_("Problem")), Column(_("What"), "wide")],
                [
                    [
                        join(
                            span(named(PROBLEMS, alert.kind, _), cls="main"),
                            span(_("since {at}", at=_.at(alert.began_at)), cls="sub"),
                        ),
                        join(
                            span(_.told(alert.detail), cls="wrap"),
                            span(alert.problem, cls="sub co-mono"),
                        ),
                    ]
                    for alert in alerts
                ],
                title,
            )
        )


def _overview(runs: list[Run], _: Words) -> None:
    last = runs[0]
    done = [run for run in runs if run.status == "succeeded" and run.kind == "refresh"]
    rows = sum(int(one.get("rows_in") or 0) for one in last.stations[:1])
    rejects = sum(int(one.get("rejected") or 0) for one in last.stations)
    parts = [
        (_("Last run"), _(STATUS.get(last.status, (last.status, ""))[0]), _.at(last.started_at)),
        (_("Duration"), _took(last, _)),
        (_("Rows taken in"), _.number(rows)),
        (_("Rejected"), _.number(rejects)),
        (
            _("Succeeded"),
            _("{part} of {whole}", part=_.number(sum(run.status == "succeeded" for run in runs)),
              whole=_.number(len(runs))),
        ),
    ]  # fmt: skip
    if done:
        parts.append((_("Usual duration"), _seconds(_median([_length(run) for run in done]), _)))
    strip(parts)


def _median(values: list[float]) -> float:
    return sorted(values)[len(values) // 2]


def _length(run: Run) -> float:
    return 0.0 if run.ended_at is None else (run.ended_at - run.started_at).total_seconds()


def _trend(runs: list[Run], _: Words) -> None:
    drawn = [run for run in reversed(runs) if run.kind == "refresh" and len(run.stations) > 1]
    if len(drawn) < 2:
        return
    lines = [
        charts.Line(
            name=_(label),
            values=[
                next(
                    (
                        float(part.get("seconds") or 0)
                        for part in run.stations
                        if part.get("station") == station
                    ),
                    0.0,
                )
                for run in drawn
            ],
            colour=COLOURS[station],
        )
        for station, label in STATIONS.items()
    ]
    slowest = max(lines, key=lambda line: sum(value or 0 for value in line.values))
    title = _("Most of the time goes to: {station}", station=slowest.name)
    unit = MINUTE if max(map(_length, drawn)) > 2 * MINUTE else 1
    with card("trend", title, _("Duration of each run, by station")):
        line_legend(lines)
        plot(
            charts.stacked(
                [_.day_month(run.started_at.date()) for run in drawn],
                [_.at(run.started_at) for run in drawn],
                lines,
                lambda value, short: _seconds(value or 0, _, in_minutes=short and unit == MINUTE),
                _,
                theme.tokens(st.context.theme.type),
                unit=unit,
            ),
            title,
        )


def _runs(runs: list[Run], _: Words) -> None:
    status, _tone = STATUS.get(runs[0].status, (runs[0].status, ""))
    with card("runs", _("The last run {status}", status=_(status))):
        draw(
            table(
                [
                    Column(_("Began")),
                    Column(_("Status"), "state"),
                    Column(_("Duration"), "num first"),
                    Column(_("Rows"), "num hide"),
                    Column(_("Rejected"), "num hide"),
                    Column(_("Version"), "num hide"),
                    Column(_("Said"), "wide"),
                ],
                [_row(run, _) for run in runs[:12]],
                _("Runs"),
            )
        )


def _row(run: Run, _: Words) -> list[Any]:
    name, tone = STATUS.get(run.status, (run.status, ""))
    rows = sum(int(part.get("rows_in") or 0) for part in run.stations[:1])
    rejects = sum(int(part.get("rejected") or 0) for part in run.stations)
    return [
        join(
            span(f"{_.at(run.started_at)} · {named(KINDS, run.kind, _)}", cls="main"),
            span(run.run_id, cls="sub co-mono"),
        ),
        pill(_(name), tone),
        _took(run, _),
        _.number(rows) if run.stations else "–",
        _.number(rejects) if run.stations else "–",
        run.version or "–",
        span(_.told(run.message) or "–", cls="wrap" if run.message else "co-none"),
    ]


def _took(run: Run, _: Words) -> str:
    return _.number(None) if run.ended_at is None else _seconds(_length(run), _)


def _seconds(seconds: float, _: Words, *, in_minutes: bool = False) -> str:
    if in_minutes:
        return _("{minutes} min", minutes=_.number(seconds / MINUTE))
    if seconds < 90:
        return _("{seconds} s", seconds=_.number(seconds, 1 if 0 < seconds < 10 else 0))
    return _("{minutes} min", minutes=_.number(seconds / 60, 1))


def _one(runs: list[Run], _: Words) -> None:
    """One run closely: its stations and its log."""
    with card("one", _("One run closely")):
        chosen = st.selectbox(
            _("Run"),
            runs,
            format_func=lambda run: f"{_.at(run.started_at)} · {run.version or _(run.status)}",
            key="run",
            label_visibility="collapsed",
        )
        if chosen.stations:
            draw(_stations(chosen, _))
        lines = operations.log_lines(queries.workspace(), chosen.run_id)
        with st.expander(
            _.ngettext("{count} line of its log", "{count} lines of its log", len(lines)),
            key="log",
        ):
            if lines:
                draw(_log(lines[-LOG_SHOWN:], _))
            else:
                draw(div(_("Its log is not kept any more."), cls="co-note"))


def _stations(run: Run, _: Words) -> Any:
    total = sum(float(part.get("seconds") or 0) for part in run.stations) or 1.0
    return table(
        [
            Column(_("Station")),
            Column(_("In"), "num hide"),
            Column(_("Rejected"), "num hide"),
            Column(_("Out"), "num hide"),
            Column(_("Time"), "num first"),
            Column(_("Said"), "wide"),
        ],
        [
            [
                span(named(STATIONS, str(part.get("station")), _), cls="main"),
                *[
                    _.number(int(part.get(name) or 0)) if part.get(name) else "–"
                    for name in ("rows_in", "rejected", "rows_out")
                ],
                span(
                    _seconds(float(part.get("seconds") or 0), _),
                    title=_.share(float(part.get("seconds") or 0), total),
                ),
                [
                    div(_.told(unpacked(line)), cls="sub")
                    for line in part.get("said") or part.get("messages") or []
                ]
                or "–",
            ]
            for part in run.stations
        ],
        _("Stations of a run"),
    )


def _log(lines: list[dict[str, Any]], _: Words) -> Any:
    kept = {"at", "level", "message", "run_id"}
    return table(
        [Column(_("At")), Column(_("Level"), "state"), Column(_("Said"), "wide")],
        [
            [
                span(str(line.get("at", ""))[11:23], cls="co-mono"),
                pill(str(line.get("level", "")), "bad" if line.get("level") == "error" else ""),
                join(
                    span(str(line.get("message", "")), cls="main"),
                    span(
                        ", ".join(f"{name} {line[name]}" for name in line if name not in kept),
                        cls="sub wrap",
                    ),
                ),
            ]
            for line in lines
        ],
        _("Log"),
    )


def _next(_: Words) -> None:
    space = queries.workspace()
    zone = space.settings.time_zone
    rows: list[tuple[datetime | None, str, str]] = []
    timings: dict[str, Timing] = {
        named(KINDS, name, _): timing for name, timing in space.settings.schedule.timings().items()
    }
    try:
        sources = space.sources()
    except CohorteError:  # a broken source file must not hide what is scheduled
        sources = []
    for source in sources:
        timings[_("Take in {source}", source=source.source)] = source.schedule
    for name, timing in timings.items():
        if timing.cron is not None:
            moments = timing.next_times(now(), zone, NEXT_SHOWN)
            rows += [(moment, name, timing.cron) for moment in moments]
        elif timing.every is not None:
            minutes = timing.every.total_seconds() / 60
            rows.append((None, name, _("every {minutes} min", minutes=_.number(minutes))))
    rows.sort(key=lambda row: (row[0] is None, row[0] or now(), row[1]))
    with card(
        "next",
        _("What is scheduled next"),
        join(_("While {command} runs", command="cohorte schedule"), "."),
    ):
        draw(
            table(
                [Column(_("When")), Column(_("What")), Column(_("Declared"), "hide")],
                [
                    [
                        _.at(moment) if moment else how,
                        name,
                        span(how, cls="co-mono") if moment else "–",
                    ]
                    for moment, name, how in rows[:8]
                ],
                _("What is scheduled next"),
            )
        )


def _versions(_: Words) -> None:
    versions = list_versions(queries.workspace())
    served = queries.pinned().info.version
    with card(
        "versions",
        _.ngettext("{count} version is kept", "{count} versions are kept", len(versions)),
    ):
        draw(
            table(
                [
                    Column(_("Version")),
                    Column(_("Published"), "first"),
                    Column(_("Data to"), "num hide"),
                    Column(_("Size"), "num hide"),
                    Column("", "state"),
                ],
                [
                    [
                        span(info.version, cls="main"),
                        _.at(info.published_at),
                        _.day(info.as_of),
                        _("{size} MB", size=_.number(info.bytes / 1e6, 1)),
                        pill(_("served"), "good") if info.version == served else "",
                    ]
                    for info in versions
                ],
                _("Versions"),
            )
        )


render()
