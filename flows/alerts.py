"""Problems that a person should hear of, told once when they begin and once when they end.

A problem has a name that stays the same while it lasts, such as ``stale:shop``. What is told
names stations, sources and counts, never a value of a row.
"""

from __future__ import annotations

import math
from contextlib import closing
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import TYPE_CHECKING

import duckdb

from cohorte.errors import CohorteError
from cohorte.i18n import language_of, translator
from cohorte.logs import logger
from cohorte.said import said, told
from cohorte.store import Alert, open_store
from cohorte.warehouse import VersionInfo, connect_reader, served_version, version_path
from cohorte.workspace import Workspace
from flows.notify import Message, send

if TYPE_CHECKING:
    from flows.run import RunReport
    from flows.stations import RunContext

Problems = dict[str, tuple[str, str]]
"""A problem's name, with its kind and what to tell."""

DELIVERIES_BEFORE = 5
LEAST_SHARE = 1e-4
WATCHED = {
    "rfm_segment": "select rfm_segment, count(*) from rfm group by all",
    "lifecycle_status": "select lifecycle_status, count(*) from customers group by all",
    "lead_grade": "select lead_grade, count(*) from lead_scores group by all",
}


def after_run(context: RunContext, report: RunReport) -> None:
    """Tell what the end of a run shows. Whatever goes wrong here is logged, not raised."""
    try:
        problems, looked_at = failures(context, report), {f"failure:{context.kind}"}
        if context.gates_failed or report.version is not None:
            looked_at.add("gate:")
        if report.version is not None:
            problems |= of_served(context.workspace, context.now)
            problems |= drift(context.workspace, context.served_before, report.version)
            looked_at |= {"stale:", "volume:", "drift:", "scores:"}
        tell(context.workspace, problems, looked_at, context.now, context.run_id)
    except (CohorteError, OSError, duckdb.Error) as error:
        logger().error("alerts were not told", extra={"reason": type(error).__name__})


def check(workspace: Workspace, now: datetime) -> Problems:
    """Look at what is served, without a run: the problems there are, told as they begin or end."""
    problems = of_served(workspace, now)
    tell(workspace, problems, {"stale:", "volume:", "scores:"}, now)
    return problems


def failures(context: RunContext, report: RunReport) -> Problems:
    """A run that failed, by its kind; a gate that did not pass, by gate."""
    if report.status == "succeeded":
        return {}
    if context.gates_failed:
        return {f"gate:{gate.gate}": ("gate", gate.told) for gate in context.gates_failed}
    error = type(report.error).__name__ if report.error else report.message
    told = (
        said(
            "run {run} stopped at {station}: {error}",
            run=context.run_id,
            station=context.station,
            error=error,
        )
        if context.station
        else said(
            "run {run} stopped before its first station: {error}", run=context.run_id, error=error
        )
    )
    return {f"failure:{context.kind}": ("failure", told)}


def of_served(workspace: Workspace, now: datetime) -> Problems:
    """Sources that bring nothing, deliveries of an unusual size and scores in doubt, as the served
    version says.

    A workspace whose day is pinned has stopped by declaration: none of its sources is stale.
    """
    info = served_version(workspace)
    if info is None:
        return {}
    with closing(connect_reader(version_path(workspace, info.version))) as served:
        by_day = served.execute(
            "select source, loaded_date, sum(accepted), max(last_loaded_at)"
            " from source_quality group by all order by all"
        ).fetchall()
        problems = _doubts(served)
        unusual = _unusual_days(served)
    settings = workspace.settings
    for source in workspace.sources():
        days = [row for row in by_day if row[0] == source.source]
        limit = source.stale_days or settings.alerts.stale_days
        last = max((row[3] for row in days), default=None)
        if settings.as_of is None:
            if last is None:
                never = said("{source} never delivered", source=source.source)
                problems[f"stale:{source.source}"] = ("stale", never)
            elif now - last.replace(tzinfo=UTC) > timedelta(days=limit):
                problems[f"stale:{source.source}"] = (
                    "stale",
                    said(
                        "nothing from {source} since {at} UTC",
                        source=source.source,
                        at=f"{last:%Y-%m-%d %H:%M}",
                    ),
                )
        usual = _unusual([int(row[2]) for row in days], settings.alerts.volume)
        told = unusual.get(source.source)
        if told is None and usual is not None:
            _, day, rows, _ = days[-1]
            told = said(
                "{source} brought {rows:,} rows on {day}, usually {usual:,}",
                source=source.source,
                rows=int(rows),
                day=str(day),
                usual=usual,
            )
        if told is not None:
            problems[f"volume:{source.source}"] = ("volume", told)
    return problems


def _doubts(served: duckdb.DuckDBPyConnection) -> Problems:
    """Scores past a limit of their monitoring: drift, calibration, coverage."""
    try:
        rows = served.execute(
            "select score, measure, subject, value, limit_value from score_checks where is_alert"
            " order by all"
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {
        f"scores:{score}:{measure}:{subject or ''}": (
            "scores",
            said(
                "{measure} of {subject} is {value:.2f}, limit {limit:.2f}",
                measure=measure.replace("_", " "),
                subject=subject or score,
                value=float(value),
                limit=float(limit),
            ),
        )
        for score, measure, subject, value, limit in rows
    }


def _unusual_days(served: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Sources whose last day of deliveries is outside its usual range, as the Data screen shows."""
    try:
        rows = served.execute(
            "select source, loaded_date, records, usual_low, usual_high from source_deliveries"
            " qualify row_number() over (partition by source order by loaded_date desc) = 1"
            " and is_volume_unusual"
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {
        source: said(
            "{source} brought {records:,} records on {day}, usually {low:,} to {high:,}",
            source=source,
            records=int(records),
            day=str(day),
            low=round(low),
            high=round(high),
        )
        for source, day, records, low, high in rows
    }


def _unusual(accepted: list[int], factor: float) -> int | None:
    """The usual size of a delivery when the last is further from it than ``factor`` times."""
    if len(accepted) <= DELIVERIES_BEFORE:
        return None
    usual = max(1.0, median(accepted[:-1]))
    last = max(1.0, float(accepted[-1]))
    return round(usual) if max(last / usual, usual / last) > factor else None


def drift(workspace: Workspace, before: VersionInfo | None, after: VersionInfo) -> Problems:
    """Shares of customers that moved between two versions, by the population stability index."""
    if before is None or before.as_of > after.as_of:
        return {}
    shares = [_shares(workspace, info) for info in (before, after)]
    limit = workspace.settings.alerts.drift
    problems: Problems = {}
    for what in shares[1]:
        index = stability_index(shares[0].get(what, {}), shares[1][what])
        if index > limit:
            told = said(
                "{what} moved between {before} and {after}: stability index {index:.2f},"
                " limit {limit:.2f}",
                what=what,
                before=before.version,
                after=after.version,
                index=index,
                limit=limit,
            )
            problems[f"drift:{what}"] = ("drift", told)
    return problems


def _shares(workspace: Workspace, info: VersionInfo) -> dict[str, dict[str, int]]:
    try:
        with closing(connect_reader(version_path(workspace, info.version))) as version:
            return {
                what: dict(version.execute(query).fetchall()) for what, query in WATCHED.items()
            }
    except (duckdb.Error, CohorteError):
        return {}


def stability_index(before: dict[str, int], after: dict[str, int]) -> float:
    """How far two distributions lie apart: 0 the same; above 0.25 commonly called a shift.

    0 when either has nothing in it.
    """
    totals = sum(before.values()), sum(after.values())
    if not all(totals):
        return 0.0
    index = 0.0
    for key in before.keys() | after.keys():
        was = max(before.get(key, 0) / totals[0], LEAST_SHARE)
        now = max(after.get(key, 0) / totals[1], LEAST_SHARE)
        index += (now - was) * math.log(now / was)
    return index


def tell(
    workspace: Workspace,
    problems: Problems,
    looked_at: set[str],
    now: datetime,
    run_id: str | None = None,
) -> None:
    """Keep the alerts, and send those that began and those that ended."""
    with open_store(workspace.store_url) as store:
        began, ended = store.keep_alerts(problems, looked_at=looked_at, at=now, run_id=run_id)
    for alert, is_over in [*((one, False) for one in began), *((one, True) for one in ended)]:
        send(workspace, _message(workspace, alert, is_over))


def _message(workspace: Workspace, alert: Alert, is_over: bool) -> Message:
    return Message(
        company=workspace.settings.company,
        problem=alert.problem,
        kind=alert.kind,
        detail=told(alert.detail, translator(language_of(workspace.settings.language))),
        run_id=alert.run_id,
        began_at=alert.began_at,
        ended_at=alert.ended_at if is_over else None,
    )
