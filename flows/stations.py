"""The stations of a run, in order: plain functions that take a context and say what they did."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection
from contextlib import ExitStack, closing
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

import duckdb

from cohorte.errors import GateError
from cohorte.logs import log_about, logger
from cohorte.said import listed, said
from cohorte.warehouse import VersionInfo, connect_work, served_version, version_path
from cohorte.workspace import Workspace

if TYPE_CHECKING:
    from pipelines.dbt_session import DbtSession
    from pipelines.gates import Gate
    from pipelines.ingest import FileReport

Progress = Callable[[str, int, int], None]
"""Called with what is worked on, how much is done and how much there is."""


@dataclass(frozen=True)
class StationResult:
    """What one station did: rows, seconds, and what a person should know."""

    station: str
    rows_in: int = 0
    accepted: int = 0
    rejected: int = 0
    rows_out: int = 0
    seconds: float = 0.0
    messages: tuple[str, ...] = ()


@dataclass
class RunContext:
    """One run: what it was asked, and what its stations hand on."""

    workspace: Workspace
    run_id: str
    as_of: date
    now: datetime
    full_refresh: bool = False
    dry_run: bool = False
    kind: str = "refresh"
    anew: bool = False
    sources: tuple[str, ...] = ()
    retrain: bool = False
    accept_changes: bool = False
    progress: Progress | None = None
    results: list[StationResult] = field(default_factory=list)
    dbt_failures: list[str] = field(default_factory=list)
    version: VersionInfo | None = None
    started: bool = False
    station: str = ""
    gates_failed: list[Gate] = field(default_factory=list)
    served_before: VersionInfo | None = None
    is_work_open: bool = False
    _dbt: DbtSession | None = None
    _open: ExitStack = field(default_factory=ExitStack)

    @property
    def dbt(self) -> DbtSession:
        """The run's dbt process, started when first asked for; it reads its project meanwhile."""
        if self._dbt is None:
            from pipelines.dbt_session import DbtSession

            session = DbtSession.of_workspace(self.workspace, self.as_of)
            self._dbt = self._open.enter_context(session)
        return self._dbt

    def close(self) -> None:
        self._open.close()
        self._dbt = None


def ingest(context: RunContext) -> StationResult:
    """Extract, check and load what is new in every source, in a process of its own."""
    from pipelines.isolation import ingest_isolated

    def show(file: FileReport, done: int, total: int) -> None:
        if context.progress is not None:
            context.progress(f"{file.source} {file.feed}", done, total)

    report = ingest_isolated(
        context.workspace,
        now=context.now,
        only_sources=context.sources or None,
        dry_run=context.dry_run,
        progress=show,
    )
    return StationResult(
        "ingest",
        rows_in=report.records,
        accepted=report.accepted,
        rejected=report.rejected,
        rows_out=sum(report.rows.values()),
        messages=tuple(report.messages),
    )


def stage(context: RunContext) -> StationResult:
    """One row a record, latest version of each, names and types of the vocabulary."""
    return _build(context, "stage", rows_from=("raw", "main"), rows_to="staging")


def identify(context: RunContext) -> StationResult:
    """Records become customers, as people decided, with ids that outlive the run."""
    from cohorte.store import open_store
    from models.identity import Correction, Decision, FullLimits
    from models.identity import identify as identify_records

    workspace = context.workspace
    settings = workspace.settings.identity
    with open_store(workspace.store_url) as store:
        decisions, corrections = Decision.of_store(store), Correction.of_store(store)
        account_decisions = Decision.of_store(store, "organisation")
    report = identify_records(
        workspace,
        now=context.now,
        decisions=decisions,
        account_decisions=account_decisions,
        corrections=corrections,
        method=settings.method,
        unique_sources=frozenset(settings.unique_sources),
        limits=FullLimits.of_settings(settings, accept_changes=context.accept_changes),
    )
    return StationResult(
        "identify",
        rows_in=report.records,
        rows_out=report.customers,
        messages=report.messages,
    )


def unify(context: RunContext) -> StationResult:
    """The customer view: every fact carries its customer."""
    return _build(context, "unify", rows_from=("work", "staging"), rows_to="marts")


def features(context: RunContext) -> StationResult:
    """What was known of every customer and lead on the day looked from; RFM."""
    from pipelines.late_facts import lay_late_facts
    from pipelines.numbers import lay_customer_numbers

    with closing(connect_work(context.workspace)) as work:
        lay_late_facts(context.workspace, work, context.as_of)
        lay_customer_numbers(work)
    return _build(context, "features", rows_from=("work", "marts"), rows_to="marts")


def score(context: RunContext) -> StationResult:
    """Estimators read features and orders, and write scores."""
    from flows.scoring import features_sql, score_workspace

    workspace = context.workspace
    sql = features_sql(workspace, context.dbt.compile) if context.retrain else None
    with closing(connect_work(workspace)) as work:
        report = score_workspace(
            work,
            workspace,
            as_of=context.as_of,
            now=context.now,
            retrain=context.retrain,
            sql=sql,
        )
    return StationResult(
        "score", rows_in=report.rows_in, rows_out=report.rows_out, messages=report.messages
    )


def profile(context: RunContext) -> StationResult:
    """One wide row a customer, daily KPIs, quality of sources, reconciliation."""
    from flows.scoring import show_propensities
    from pipelines.attributes import show_attributes

    again = {"customer_profiles"}  # columns are added to it below, which dbt knows nothing of
    done = _build(context, "profile", rows_from=("work", "marts"), rows_to="marts", again=again)
    with closing(connect_work(context.workspace)) as work:
        show_propensities(work, context.workspace)
        told = show_attributes(work, context.workspace, context.as_of)
    return replace(done, messages=(*done.messages, *told))


def segment(context: RunContext) -> StationResult:
    """Rules become memberships, with who entered and who left since the served version."""
    from cohorte.segments import all_segments, evaluate_memberships
    from cohorte.store import open_store
    from pipelines.day_sql import lay_day_sql
    from pipelines.history import lay_score_days
    from pipelines.publish import next_version

    workspace = context.workspace
    with open_store(workspace.store_url) as store:
        segments = all_segments(workspace, store)
    with closing(connect_work(workspace)) as work:
        lay_score_days(workspace, work, context.as_of)
        lay_day_sql(work, context.as_of)
        served = served_version(workspace)
        previous = history = None
        if served is not None:
            path = str(version_path(workspace, served.version)).replace("'", "''")
            work.execute(f"attach '{path}' as served (read_only)")
            previous = "served.segment_memberships"
            kept = work.execute(
                "select 1 from duckdb_tables()"
                " where database_name = 'served' and table_name = 'segment_history'"
            ).fetchall()
            history = "served.segment_history" if kept else None
        evaluation = evaluate_memberships(
            work,
            segments,
            as_of=context.as_of,
            previous=previous,
            history=history,
            version=next_version(workspace),
            time_zone=workspace.settings.time_zone,
            language=workspace.settings.language,
        )
        if served is not None:
            work.execute("detach served")
    return StationResult(
        "segment",
        rows_in=len(segments),
        rows_out=sum(evaluation.values()),
        messages=tuple(
            said("{segment}: {problem}", segment=segment, problem=problem)
            for segment, problem in evaluation.problems.items()
        ),
    )


def publish(context: RunContext) -> StationResult:
    """Pass the gates, write the next version, serve it.

    Raises GateError naming the gates that do not hold; the served version stays.
    """
    from pipelines import gates
    from pipelines.history import remember, show_history
    from pipelines.publish import Publication
    from pipelines.publish import publish as publish_version

    workspace = context.workspace
    with closing(connect_work(workspace)) as work:
        checked = [
            gates.dbt_gate(context.dbt_failures),
            gates.reconciliation_gate(work),
            gates.rejects_gate(work, workspace.settings, workspace.sources()),
        ]
        context.gates_failed = failed = [gate for gate in checked if not gate.passed]
        for gate in failed:
            logger().error("gate not passed", extra={"run_id": context.run_id, "gate": gate.gate})
        if failed:
            raise GateError(
                said(
                    "not published: {gates}",
                    gates=listed(
                        said("{gate}: {detail}", gate=gate.gate, detail=gate.detail)
                        for gate in failed
                    ),
                ),
                remedy=said("mend what the gate names and run again; the served version stays"),
            )
        remember(workspace, work, context.as_of)
        show_history(workspace, work)
        publication = Publication(context.run_id, context.as_of, context.now.astimezone(UTC))
        context.version = publish_version(workspace, work, publication, anew=context.full_refresh)
    rows = sum(table.rows for table in context.version.tables.values())
    return StationResult("publish", rows_in=rows, accepted=rows, rows_out=rows)


Station = Callable[[RunContext], StationResult]

STATIONS: dict[str, Station] = {
    station.__name__: station
    for station in (
        ingest, stage, identify, unify, features, score, profile, segment, publish,
    )
}  # fmt: skip

BUILT_BY_DBT = frozenset({"stage", "unify", "features", "profile"})


def run_station(context: RunContext, name: str) -> StationResult:
    """Run one station, or leave it as it stands; time it, log it and keep its result."""
    from flows.standing import standing_station

    begun = time.monotonic()
    context.started, context.station = True, name
    with log_about(station=name), standing_station(context, name) as kept:
        if kept.result is None:
            kept.result = STATIONS[name](context)
    result = kept.result
    accepted = result.accepted or result.rows_in - result.rejected
    timed = StationResult(
        name,
        result.rows_in,
        accepted,
        result.rejected,
        result.rows_out,
        time.monotonic() - begun,
        result.messages,
    )
    context.results.append(timed)
    logger().info(
        "station done",
        extra={
            "run_id": context.run_id,
            "station": name,
            "rows_in": timed.rows_in,
            "accepted": timed.accepted,
            "rejected": timed.rejected,
            "rows_out": timed.rows_out,
            "seconds": round(timed.seconds, 3),
        },
    )
    return timed


def _build(
    context: RunContext,
    tag: str,
    *,
    rows_from: tuple[str, str],
    rows_to: str,
    again: Collection[str] = (),
) -> StationResult:
    results = context.dbt.build(f"tag:{tag}", full_refresh=context.full_refresh, again=again)
    failures = [
        f"{node.name} {node.status}: {node.message}"
        for node in results
        if not node.is_good and node.status != "skipped"
    ]
    broken = [node for node in results if node.kind != "test" and node.status == "error"]
    context.dbt_failures += failures
    if broken:
        raise GateError(
            said(
                "dbt could not build {models}: {reason}",
                models=", ".join(node.name for node in broken),
                reason=broken[0].message,
            ),
            where=said("station {station}", station=tag),
            remedy=said("the served version stays; mend the model or what feeds it and run again"),
        )
    with closing(connect_work(context.workspace)) as work:
        rows_in, rows_out = _rows(work, *rows_from), _rows(work, "work", rows_to)
    return StationResult(tag, rows_in=rows_in, rows_out=rows_out, messages=tuple(failures))


def _rows(work: duckdb.DuckDBPyConnection, database: str, schema: str) -> int:
    """Rows of all tables of a schema."""
    return int(
        work.execute(
            "select coalesce(sum(estimated_size), 0) from duckdb_tables()"
            " where database_name = ? and schema_name = ?",
            [database, schema],
        ).fetchall()[0][0]
    )
