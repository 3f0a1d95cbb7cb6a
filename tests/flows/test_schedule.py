"""What a workspace's schedule declares, and what becomes of it in Prefect."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta

import pytest
from pydantic import ValidationError

from cohorte.settings import ScheduleSettings, Timing
from cohorte.workspace import open_workspace
from flows.prefect_flow import SETTINGS, set_up_prefect
from flows.run import RunOptions, stations_asked
from tests.support.workspaces import small_shop

NOW = datetime(2026, 3, 28, 12, tzinfo=UTC)
SCHEDULE = """
schedule:
  cron: "30 4 * * *"
  time_zone: America/Montreal
  retrain: {cron: "0 6 1 * *"}
  score: {every: 6h}
"""


@pytest.fixture
def workspace(tmp_path, monkeypatch):
    for name in (*SETTINGS, "PREFECT_HOME", "PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"):
        monkeypatch.setenv(name, os.environ.get(name, ""))
        monkeypatch.delenv(name)
    small_shop(tmp_path)
    path = tmp_path / "cohorte.yml"
    path.write_text(path.read_text(encoding="utf-8") + SCHEDULE, encoding="utf-8")
    source = tmp_path / "sources" / "shop.yml"
    text = source.read_text(encoding="utf-8").replace(
        "title: Tills", "title: Tills\nschedule: {every: 15m}"
    )
    source.write_text(text, encoding="utf-8")
    return open_workspace(tmp_path)


def test_every_deployment_has_the_timing_that_was_declared(workspace):
    set_up_prefect(workspace)
    from flows.schedule import deployments

    found = {deployment.flow_name: deployment for deployment in deployments(workspace)}
    names = {"refresh", "retrain", "score", "quality", "housekeeping", "ingest"}
    assert names <= found.keys()
    refresh = found["refresh"].schedules[0].schedule
    assert (refresh.cron, refresh.timezone) == ("30 4 * * *", "America/Montreal")
    assert found["retrain"].schedules[0].schedule.timezone == "Europe/Paris"
    assert found["score"].schedules[0].schedule.interval == timedelta(hours=6)
    assert found["ingest"].name.startswith("ingest-shop-")
    assert found["ingest"].parameters["sources"] == ["shop"]
    assert found["ingest"].schedules[0].schedule.interval == timedelta(minutes=15)
    assert all(deployment.concurrency_limit == 1 for deployment in found.values())
    assert found["refresh"].entrypoint == "flows.schedule.refresh"


def test_prefect_tells_nobody_pickles_nothing_and_is_bound_to_this_machine(workspace):
    set_up_prefect(workspace)
    assert os.environ["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false"
    assert os.environ["PREFECT_RESULTS_PERSIST_BY_DEFAULT"] == "false"
    assert os.environ["PREFECT_SERVER_API_HOST"] == "127.0.0.1"
    assert os.environ["PREFECT_SERVER_SERVICES_DB_VACUUM_RETENTION_PERIOD"] == str(90 * 86_400)


def test_the_next_times_follow_the_clock_change():
    timing = Timing(cron="30 4 * * *")
    assert [moment.isoformat() for moment in timing.next_times(NOW, "Europe/Paris", 2)] == [
        "2026-03-29T02:30:00+00:00",
        "2026-03-30T02:30:00+00:00",
    ]
    assert Timing(every=timedelta(hours=1)).next_times(NOW, "Europe/Paris") == []


@pytest.mark.parametrize(
    ("declared", "wrong"),
    [
        ({"cron": "every day"}, "no cron line"),
        ({"cron": "61 * * * *"}, "no cron line"),
        ({"every": "soon"}, "no interval"),
        ({"every": "15m", "cron": "0 5 * * *"}, "not both"),
        ({"retrain": {"cron": "0 6 1 * *", "time_zone": "Mars/Base"}}, "no IANA time zone"),
    ],
)
def test_a_timing_that_does_not_read_is_told(declared, wrong):
    with pytest.raises(ValidationError, match=wrong):
        ScheduleSettings.model_validate(declared)


def test_an_interval_takes_the_place_of_the_line_by_default():
    settings = ScheduleSettings.model_validate({"every": "2d"})
    assert settings.timings()["refresh"] == Timing(every=timedelta(days=2))


def test_a_score_starts_from_what_was_taken_in():
    assert "ingest" not in stations_asked(RunOptions(kind="score"))
    assert stations_asked(RunOptions(kind="ingest", sources=("shop",))) == ["ingest"]
    assert stations_asked(RunOptions(kind="retrain"))[-1] == "publish"


DIES = """
import os, signal, sys
from flows import cli, stations
def killed(context):
    os.kill(os.getpid(), signal.SIGKILL)
stations.STATIONS["identify"] = killed
sys.argv = ["cohorte", "run", "-w", sys.argv[1]]
cli.main()
"""


@pytest.mark.full
@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_run_killed_outright_is_not_running_for_ever(workspace):
    environment = {
        name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")
    }
    dead = subprocess.run(
        [sys.executable, "-c", DIES, str(workspace.root)], env=environment, check=False
    )
    assert dead.returncode == -signal.SIGKILL
    subprocess.run(
        [sys.executable, "-m", "flows.cli", "run", "-w", str(workspace.root)],
        env=environment,
        check=True,
        capture_output=True,
    )
    with closing(sqlite3.connect(workspace.root / ".prefect" / "prefect.db")) as database:
        states = database.execute("select state_type from flow_run order by start_time").fetchall()
        tasks = database.execute("select distinct state_type from task_run").fetchall()
    assert states == [("CRASHED",), ("COMPLETED",)]
    assert set(tasks) == {("CRASHED",), ("COMPLETED",)}
