"""The run as a Prefect flow: each station a task, the work itself untouched.

Prefect's own settings are set before it is imported: no telemetry, no pickled results, a server
bound to this machine, patience for a busy one, and its files inside the workspace.
"""

from __future__ import annotations

import http
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from cohorte.errors import CohorteError
from cohorte.workspace import Workspace
from flows.run import RunOptions, RunReport, execute
from flows.stations import RunContext, StationResult

FLOW_NAME = "cohorte-run"
SERVER_SECONDS = 300

SETTINGS = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_RESULTS_PERSIST_BY_DEFAULT": "false",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "300",
    "PREFECT_SERVER_API_HOST": "127.0.0.1",
    "PREFECT_LOGGING_LEVEL": "WARNING",
    "PREFECT_SERVER_LOGGING_LEVEL": "ERROR",
    "PREFECT_CLI_PROMPT": "false",
}


def set_up_prefect(workspace: Workspace) -> None:
    """Prefect's settings for this workspace; what the environment already says stays."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    os.environ.setdefault("PREFECT_HOME", str(workspace.root / ".prefect"))


def run_in_prefect(context: RunContext, options: RunOptions) -> RunReport:
    """Run the stations as tasks of a flow, on ``PREFECT_API_URL`` or an embedded server."""
    set_up_prefect(context.workspace)
    from prefect import flow

    reports: list[RunReport] = []

    @flow(name=FLOW_NAME, flow_run_name=context.run_id, persist_result=False)
    def cohorte_run() -> None:
        report = execute(context, options, call=as_task)
        reports.append(report)
        if report.error is not None:
            raise report.error

    try:
        cohorte_run()
    except CohorteError:
        if not reports:
            raise
    return reports[0]


def as_task(name: str, station: Callable[[], StationResult]) -> StationResult:
    """One station as a task: its state and its numbers are seen in Prefect."""
    from prefect import task
    from prefect.artifacts import create_table_artifact
    from prefect.cache_policies import NO_CACHE

    @task(name=name, task_run_name=name, cache_policy=NO_CACHE, persist_result=False)
    def run() -> StationResult:
        result = station()
        create_table_artifact(
            key=f"station-{name}",
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

    return run()


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
