"""The page of runs: what it shows, and its two acts."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

from cohorte.store import open_store
from cohorte.warehouse import served_version, set_served, writer_lock
from cohorte.workspace import Workspace
from dashboards import operations
from tests.dashboards.conftest import RunScreen, said
from tests.dashboards.test_screens import publish_another
from tests.support.published import build_workspace

AT = datetime(2026, 11, 1, 2, tzinfo=UTC)


def company(root: Path) -> Workspace:
    workspace = build_workspace(root, customers=20)
    publish_another(workspace, "v8", customers=30)
    with open_store(workspace.store_url) as store:
        for day, status in enumerate(("succeeded", "failed", "succeeded")):
            run_id, at = f"run-{day}", AT + timedelta(days=day)
            store.start_run(run_id, as_of=date(2026, 10, 31), at=at)
            stations = [
                {"station": "ingest", "rows_in": 1200, "rejected": 7, "seconds": 4.0},
                {
                    "station": "unify",
                    "rows_in": 900,
                    "seconds": 16.0,
                    "messages": ["a <b>word</b>"],
                },
            ]
            store.finish_run(
                run_id, status, at=at + timedelta(seconds=20), stations=stations, version="v8"
            )
        store.keep_alerts({"stale:shop": ("stale", "nothing from shop")}, looked_at=set(), at=AT)
    (workspace.logs_dir).mkdir(exist_ok=True)
    (workspace.logs_dir / "cohorte.log").write_text(
        '{"at": "2026-11-03T02:00:04.000+00:00", "level": "info", "message": "station done",'
        ' "run_id": "run-2", "station": "unify"}\n'
        '{"at": "2026-11-02T02:00:04.000+00:00", "level": "info", "message": "another run",'
        ' "run_id": "run-1"}\n',
        encoding="utf-8",
    )
    return workspace


def test_a_run_is_told_closely(screen: RunScreen, tmp_path: Path) -> None:
    workspace = company(tmp_path)
    app = screen("runs", root=workspace.root, lang="en")
    assert not app.exception
    shown = said(app)
    assert "2 of 3" in shown
    assert "Most of the time goes to: Unify" in shown
    assert "1 problem is open" in shown
    assert "nothing from shop" in shown
    assert "a &lt;b&gt;word&lt;/b&gt;" in shown
    assert "station done" in shown
    assert "another run" not in shown
    assert "0 5 * * *" in shown


def test_another_version_is_served_once_confirmed(screen: RunScreen, tmp_path: Path) -> None:
    workspace = company(tmp_path)
    app = screen("runs", root=workspace.root, lang="en")
    assert served_version(workspace).version == "v8"
    app.button(key="roll-yes").click().run()
    assert served_version(workspace).version == "v7"
    assert "Version v7 is served." in [element.value for element in app.success]
    with open_store(workspace.store_url) as store:
        assert store.list_audit()[0].action == "version.served"


def test_a_run_is_started_once_confirmed(screen: RunScreen, tmp_path: Path, monkeypatch) -> None:
    workspace = company(tmp_path)
    started = []
    monkeypatch.setattr(
        operations.subprocess, "Popen", lambda command, **_options: started.append(command)
    )
    app = screen("runs", root=workspace.root, lang="en")
    assert started == []
    app.button(key="run-yes").click().run()
    assert started[0][1:5] == ["-m", "flows.cli", "run", "--plain"]
    assert str(workspace.root) in started[0]


def test_while_a_run_goes_on_nothing_can_be_started(screen: RunScreen, tmp_path: Path) -> None:
    workspace = company(tmp_path)
    with writer_lock(workspace, "run-9", AT):
        app = screen("runs", root=workspace.root, lang="en")
        assert "a run is going on" in said(app)
        assert [button.key for button in app.button if button.key in ("run-yes", "roll-yes")] == []


def test_a_run_whose_process_is_gone_is_not_shown_as_running(
    screen: RunScreen, tmp_path: Path
) -> None:
    workspace = company(tmp_path)
    with open_store(workspace.store_url) as store:
        store.start_run("dead", as_of=date(2026, 10, 31), at=AT + timedelta(days=9))
    assert "The last run interrupted" in said(screen("runs", root=workspace.root, lang="en"))


def test_a_version_damaged_on_disk_is_said_loudly(screen: RunScreen, tmp_path: Path) -> None:
    workspace = company(tmp_path)
    set_served(workspace, "v8")
    with (workspace.versions_dir / "v8.duckdb").open("r+b") as file:
        file.truncate(5000)
    app = screen("runs", root=workspace.root, lang="en")
    assert "v8 is damaged on disk: v7 is served instead" in app.error[0].value
