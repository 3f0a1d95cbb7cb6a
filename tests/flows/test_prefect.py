"""The run as a Prefect flow, and without a server when there is none to be had."""

from __future__ import annotations

import json
import os
import socket
import sqlite3
import subprocess
import sys
from contextlib import closing

import pytest

from cohorte.warehouse import served_version
from tests.support.workspaces import small_shop


def run(workspace, *options, **environment):
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
    }
    return subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", "--json", "-w", str(workspace.root), *options],
        capture_output=True,
        text=True,
        check=False,
        env=inherited | environment,
    )


def test_a_run_is_a_flow_whose_tasks_are_the_stations(tmp_path):
    workspace = small_shop(tmp_path)
    ended = run(workspace)
    assert ended.returncode == 0, ended.stderr
    report = json.loads(ended.stdout)
    assert served_version(workspace).version == "v1"
    with closing(sqlite3.connect(tmp_path / ".prefect" / "prefect.db")) as database:
        flows = database.execute("select name, state_type from flow_run").fetchall()
        tasks = database.execute("select name, state_type from task_run").fetchall()
        results = database.execute("select count(*) from artifact where type = 'result'")
        stored = results.fetchall()
        tables = database.execute("select count(*) from artifact where type = 'table'").fetchall()
    assert flows == [(report["run_id"], "COMPLETED")]
    assert sorted(tasks) == sorted(
        (station["station"], "COMPLETED") for station in report["stations"]
    )
    assert tables == [(len(report["stations"]),)]
    assert stored == [(0,)]


def test_without_a_server_the_run_goes_on_and_says_so(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    workspace = small_shop(tmp_path)
    ended = run(workspace, "--kind", "ingest", PREFECT_API_URL=f"http://127.0.0.1:{port}/api")
    assert ended.returncode == 0, ended.stderr
    assert "running without it" in ended.stderr
    (station,) = json.loads(ended.stdout)["stations"]
    assert station["station"] == "ingest"
    assert station["accepted"] > 0


@pytest.mark.full
def test_a_run_that_fails_is_a_failed_flow(tmp_path):
    workspace = small_shop(tmp_path)
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "broken.yml").write_text("segment: broken\n", encoding="utf-8")
    ended = run(workspace)
    assert ended.returncode != 0
    assert "broken.yml" in ended.stderr
    with closing(sqlite3.connect(tmp_path / ".prefect" / "prefect.db")) as database:
        assert database.execute("select state_type from flow_run").fetchall() == [("FAILED",)]
