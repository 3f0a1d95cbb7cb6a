"""The run as a Prefect flow: each station a task, the work itself untouched.

Prefect's own settings are set before it is imported: no telemetry, no pickled results, a server
bound to this machine, patience for a busy one, and its files inside the workspace. What Prefect
keeps of an error names the station and the kind of error, never its text, which may quote a row.
"""

from __future__ import annotations

import http
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cohorte.errors import CohorteError, SourceError
from cohorte.logs import logger
from cohorte.store import open_store
from cohorte.workspace import Workspace
from flows.run import RunOptions, RunReport, execute
from flows.stations import RunContext, StationResult

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient

FLOW_NAME = "cohorte-run"
SERVER_SECONDS = 300
INGEST_RETRIES = 2
INGEST_PAUSES_SECONDS = [30.0, 120.0]

SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
    "PREFECT_SERVER_API_HOST": "127.0.0.1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_CLI_PROMPT": "false",
    "PREFECT_SERVER_SERVICES_DB_VACUUM_ENABLED": "events,flow_runs",
}


class StationFailedError(Exception):
    """A station failed; what it said is in the workspace's own record of the run."""


def set_up_prefect(workspace: Workspace) -> None:
    """Prefect's settings for this workspace; what the environment already says stays."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PREFECT_HOME", str(workspace.root / ".prefect"))
    kept = timedelta(days=workspace.settings.retention.orchestration)
    seconds = str(int(kept.total_seconds()))
    os.environ.setdefault("PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD", seconds)


def run_in_prefect(context: RunContext, options: RunOptions) -> RunReport:
    """Run the stations as tasks of a flow, on ``PREFECT_API_URL`` or an embedded server."""
    set_up_prefect(context.workspace)
    from prefect import flow

    reports: list[RunReport] = []

    @flow(name=FLOW_NAME, flow_run_name=context.run_id, persist_result=False)
    def cohorte_run() -> None:
        reports.append(execute_in_flow(context, options, raises=False))
        _raise_scrubbed(reports[0])

    try:
        cohorte_run()
    except StationFailedError:
        if not reports:
            raise
    return reports[0]


def execute_in_flow(context: RunContext, options: RunOptions, raises: bool = True) -> RunReport:
    """The run inside a flow: its stations as tasks, and runs that died told to Prefect.

    Raises StationFailedError when the run fails and ``raises``, so that the flow's state says so.
    """
    report = execute(context, options, call=_tasks_of(context))
    bury_dead_runs(context.workspace)
    if report.version is not None:
        _link_to_screens(context.workspace, report)
    if raises:
        _raise_scrubbed(report)
    return report


def _raise_scrubbed(report: RunReport) -> None:
    if report.error is not None:
        kind = type(report.error).__name__
        raise StationFailedError(f"run {report.run_id} failed ({kind}); cohorte runs says why")


def _tasks_of(context: RunContext) -> Callable[..., StationResult]:
    """How a station of this run is called as a task: its state and its numbers are in Prefect."""
    from prefect import task
    from prefect.artifacts import create_table_artifact
    from prefect.cache_policies import NO_CACHE

    seconds = context.workspace.settings.schedule.station_minutes * 60

    def as_task(name: str, station: Callable[[], StationResult]) -> StationResult:
        errors: list[Exception] = []

        def retries(_task: object, _run: object, _state: object) -> bool:
            """A source or a disk that was away may be back; a rule that does not hold is not."""
            return isinstance(errors[-1], SourceError | OSError) if errors else False

        @task(
            name=name,
            task_run_name=name,
            cache_policy=NO_CACHE,
            persist_result=False,
            timeout_seconds=seconds,
            retries=INGEST_RETRIES if name == "ingest" else 0,
            retry_delay_seconds=INGEST_PAUSES_SECONDS if name == "ingest" else None,
            retry_condition_fn=retries,
        )
        def run() -> StationResult:
            try:
                result = station()
            except TimeoutError:
                raise
            except Exception as error:
                errors.append(error)
                kind = type(error).__name__
                raise StationFailedError(f"station {name} failed ({kind})") from None
            create_table_artifact(
                key=f"station-{name}",
                description=f"What {name} did in run {context.run_id}",
                table=[
                    {
                        "rows in": result.rows_in,
                        "accepted": result.accepted,
                        "rejected": result.rejected,
                        "rows out": result.rows_out,
                        "seconds": round(result.seconds, 2),
                    }
                ],
            )
            return result

        try:
            return run()
        except StationFailedError:
            raise errors[-1] from None

    return as_task


def _link_to_screens(workspace: Workspace, report: RunReport) -> None:
    from prefect.artifacts import create_link_artifact

    if report.version is not None:
        create_link_artifact(
            key="published",
            link=f"{workspace.settings.screens_url}/runs",
            link_text=f"{report.version.version} of {workspace.settings.company}",
            description=f"Published by run {report.run_id}, as of {report.as_of}",
        )


def bury_dead_runs(workspace: Workspace) -> int:
    """Say in Prefect that runs died which the workspace knows did; how many there were.

    A process killed outright tells nobody: its flow run and the task it was in would be "Running"
    for ever. The next run of the workspace finds it interrupted in the store, and says so here.
    What goes wrong with that is logged: it is no reason for a run to fail.
    """
    from prefect.client.orchestration import get_client

    with open_store(workspace.store_url) as store:
        dead = [run.run_id for run in store.list_runs() if run.status == "interrupted"]
    if not dead:
        return 0
    try:
        with get_client(sync_client=True) as client:
            return _bury(client, dead)
    except Exception as error:
        logger().warning(
            "dead runs are not told to Prefect", extra={"reason": type(error).__name__}
        )
        return 0


def _bury(client: SyncPrefectClient, names: Sequence[str]) -> int:
    from prefect.client.schemas.filters import (
        FlowRunFilter,
        FlowRunFilterName,
        FlowRunFilterState,
        FlowRunFilterStateType,
        TaskRunFilter,
        TaskRunFilterState,
        TaskRunFilterStateType,
    )
    from prefect.client.schemas.objects import StateType
    from prefect.states import Crashed

    alive = [StateType.RUNNING, StateType.PENDING]
    named = FlowRunFilterName(any_=list(names))
    gone: Any = Crashed(message="the process ended without finishing")
    tasks = client.read_task_runs(
        flow_run_filter=FlowRunFilter(name=named),
        task_run_filter=TaskRunFilter(
            state=TaskRunFilterState(type=TaskRunFilterStateType(any_=alive))
        ),
    )
    for task in tasks:
        client.set_task_run_state(task.id, gone, force=True)
    flows = client.read_flow_runs(
        flow_run_filter=FlowRunFilter(
            name=named, state=FlowRunFilterState(type=FlowRunFilterStateType(any_=alive))
        )
    )
    for run in flows:
        client.set_flow_run_state(run.id, gone, force=True)
    return len(flows)


@contextmanager
def scheduling_server(workspace: Workspace) -> Iterator[str]:
    """The address of a Prefect server that can schedule: ``PREFECT_API_URL``, else one of our own.

    Prefect's embedded server does not schedule, so one is started beside, bound to this machine,
    and stopped at the end. Raises CohorteError when it does not answer in time.
    """
    set_up_prefect(workspace)
    declared = os.environ.get("PREFECT_API_URL")
    if declared:
        yield declared
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workspace.logs_dir.mkdir(parents=True, exist_ok=True)
    log = workspace.logs_dir / "prefect-server.log"
    command = [sys.executable, "-m", "prefect", "server", "start"]
    with (
        log.open("wb") as output,
        subprocess.Popen(
            [*command, "--host", "127.0.0.1", "--port", str(port)],
            stdout=output,
            stderr=subprocess.STDOUT,
        ) as server,
    ):
        try:
            address = f"http://127.0.0.1:{port}/api"
            _wait_for(address, server, log)
            os.environ["PREFECT_API_URL"] = address
            yield address
        finally:
            os.environ.pop("PREFECT_API_URL", None)
            server.terminate()


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + SERVER_SECONDS
    while time.monotonic() < deadline and server.poll() is None:
        try:
            with urllib.request.urlopen(f"{address}/health", timeout=5) as answer:  # noqa: S310
                if answer.status == http.HTTPStatus.OK:
                    return
        except OSError:
            time.sleep(0.25)
    raise CohorteError(
        "Prefect's server did not start", remedy=f"see {log.name} in the workspace's logs"
    )
