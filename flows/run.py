"""One pass of the pipeline: the lock, the stations in order, the record of what happened."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import date, datetime
from typing import Any, Literal
from uuid import uuid4

from cohorte.clock import now as clock_now
from cohorte.errors import CohorteError, NotFoundError, SettingsError
from cohorte.formats import settle_format
from cohorte.logs import log_about, log_to, logger
from cohorte.said import listed, packed
from cohorte.store import RunStatus, Store, open_store
from cohorte.warehouse import VersionInfo, served_version, writer_lock
from cohorte.workspace import Workspace
from flows import alerts
from flows.mend import keep_store_copy, mend
from flows.stations import BUILT_BY_DBT, STATIONS, Progress, RunContext, StationResult, run_station

Call = Callable[[str, Callable[[], StationResult]], StationResult]
"""How a station is called: directly, or as a task of a scheduler."""

Kind = Literal["refresh", "ingest", "score", "retrain"]

STATIONS_OF: dict[Kind, tuple[str, ...]] = {
    "refresh": tuple(STATIONS),
    "ingest": ("ingest",),
    "score": ("unify", "features", "score", "profile", "segment", "publish"),
    "retrain": ("unify", "features", "score", "profile", "segment", "publish"),
}
"""What each kind of run goes through: a score looks anew at what was taken in before."""


@dataclass(frozen=True)
class RunOptions:
    """What a run is asked to do; see ``cohorte run --help``.

    ``sources`` narrows what is taken in. ``patience`` is how many seconds to wait for another
    run of the workspace to end.
    """

    only: str | None = None
    full_refresh: bool = False
    as_of: date | None = None
    dry_run: bool = False
    kind: Kind = "refresh"
    sources: tuple[str, ...] = ()
    patience: float = 0.0


@dataclass
class RunReport:
    """What a run did: its stations, the version it published, and why it stopped if it did."""

    run_id: str
    as_of: date
    status: RunStatus
    stations: list[StationResult] = field(default_factory=list)
    version: VersionInfo | None = None
    message: str = ""
    error: CohorteError | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "run_id": self.run_id,
            "as_of": self.as_of.isoformat(),
            "status": self.status,
            "message": self.message,
            "stations": [asdict(station) for station in self.stations],
            "version": self.version.model_dump(mode="json") if self.version else None,
        }


def directly(name: str, station: Callable[[], StationResult]) -> StationResult:
    return station()


def stations_asked(options: RunOptions) -> list[str]:
    """The stations of a run, in order; NotFoundError for one that does not exist."""
    if options.only is not None and options.only not in STATIONS:
        raise NotFoundError(
            f'there is no station "{options.only}"', remedy=f"choose of {', '.join(STATIONS)}"
        )
    if options.dry_run:
        return ["ingest"]
    return [options.only] if options.only else list(STATIONS_OF[options.kind])


def new_context(
    workspace: Workspace,
    options: RunOptions,
    now: datetime,
    progress: Progress | None = None,
    run_id: str | None = None,
) -> RunContext:
    """A run about to begin."""
    return RunContext(
        workspace=workspace,
        run_id=run_id or f"{now:%Y%m%dT%H%M%S}-{uuid4().hex[:6]}",
        as_of=workspace.settings.as_of_on(now, options.as_of),
        now=now,
        full_refresh=options.full_refresh,
        dry_run=options.dry_run,
        kind=options.kind,
        anew=options.kind == "refresh" and options.only is None,
        sources=options.sources,
        retrain=options.kind == "retrain",
        progress=progress,
    )


def execute(context: RunContext, options: RunOptions, call: Call = directly) -> RunReport:
    """Run the stations under the workspace's lock and record the run in the store.

    A station that fails ends the run: its error is in the report and the served version stays.
    Raises LockedError when another run holds the workspace, and CohorteError when the workspace
    itself does not read or cannot be mended.
    """
    workspace = context.workspace
    names = stations_asked(options)
    workspace.make_folders()
    log_to(workspace.logs_dir)
    with (
        log_about(run_id=context.run_id),
        writer_lock(workspace, context.run_id, context.now, options.patience),
    ):
        _check_sources(workspace, options)
        mended = []
        if not context.dry_run:
            settle_format(workspace)
            mended = mend(workspace, context.now)
        store = open_store(workspace.store_url)
        if not context.dry_run:
            store.start_run(context.run_id, as_of=context.as_of, at=context.now, kind=options.kind)
        context.served_before = served_version(workspace)
        report = RunReport(context.run_id, context.as_of, "running")
        try:
            if BUILT_BY_DBT & set(names) and not workspace.work_path.is_file():
                _ = context.dbt  # it reads its project while files are read
            for name in names:
                call(name, lambda name=name: run_station(context, name))  # type: ignore[misc]
            report.status, report.message = "succeeded", listed(mended)
        except CohorteError as error:
            report.status, report.error, report.message = "failed", error, error.said
            logger().error("run failed", extra={"station": context.station})
        except BaseException as error:
            report.status, report.message = "failed", type(error).__name__
            logger().exception("run failed", extra={"station": context.station})
            raise
        finally:
            context.close()
            report.stations, report.version = context.results, context.version
            if not context.dry_run:
                _record(store, context, report)
                alerts.after_run(context, report)
    return report


def _check_sources(workspace: Workspace, options: RunOptions) -> None:
    """Raises SettingsError for a source that does not read, or is asked for and not declared."""
    declared = [source.source for source in workspace.sources()]
    for name in options.sources:
        if name not in declared:
            raise SettingsError(
                f'there is no source "{name}"', remedy=f"choose of {', '.join(declared)}"
            )


def _record(store: Store, context: RunContext, report: RunReport) -> None:
    """Note how the run ended. What is published stays so though the store cannot be written."""
    try:
        store.finish_run(
            context.run_id,
            report.status,
            at=clock_now(),
            stations=[
                asdict(station) | {"said": [packed(one) for one in station.messages]}
                for station in report.stations
            ],
            version=report.version.version if report.version else None,
            message=report.message,
        )
        keep_store_copy(context.workspace)
    except (CohorteError, OSError) as error:
        logger().error("the run was not recorded", extra={"reason": type(error).__name__})
