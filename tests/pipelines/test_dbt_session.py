"""The dbt session: one child per run, results told, the database free between selections."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import duckdb
import pytest

from cohorte.errors import CohorteError
from cohorte.settings import WorkspaceSettings
from cohorte.sources import Source
from pipelines.dbt_session import DbtSession, run_variables
from tests.support.dbt_project import session_in, write_project

FILES = {
    "models/good.sql": "{{ config(tags=['good']) }} select '{{ var(\"as_of\") }}' as as_of",
    "models/wrong.sql": "{{ config(tags=['bad']) }} select * from raw.main.absent",
    "models/below.sql": "{{ config(tags=['bad']) }} select * from {{ ref('wrong') }}",
    "tests/assert_nothing.sql": "{{ config(tags=['good']) }} select * from {{ ref('good') }}",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("session")
    write_project(folder, FILES)
    duckdb.connect(str(folder / "raw.duckdb")).close()
    return folder


@pytest.fixture(scope="module")
def session(folder: Path) -> Iterator[DbtSession]:
    with session_in(folder) as opened:
        yield opened


def test_results_name_what_was_built_and_tested(session: DbtSession) -> None:
    results = session.build("tag:good")
    assert [(result.name, result.kind, result.status) for result in results] == [
        ("good", "model", "success"),
        ("assert_nothing", "test", "fail"),
    ]
    assert [result.failures for result in results] == [0, 1]
    assert [result.is_good for result in results] == [True, False]


def test_the_database_is_free_between_selections(session: DbtSession) -> None:
    session.build("good")
    with duckdb.connect(str(session.work_path)) as connection:
        assert connection.execute("select as_of from good").fetchall() == [("2026-06-30",)]
    assert session.build("good", again={"good"})[0].status == "success"


def test_variables_change_without_reading_the_project_again(session: DbtSession) -> None:
    session.variables = {"as_of": "2026-07-01"}
    session.build("good")
    with duckdb.connect(str(session.work_path)) as connection:
        assert connection.execute("select as_of from good").fetchall() == [("2026-07-01",)]


def test_a_failing_model_is_returned_and_what_needs_it_is_skipped(session: DbtSession) -> None:
    wrong, below = session.build("tag:bad")
    assert (wrong.name, wrong.status) == ("wrong", "error")
    assert "absent" in wrong.message
    assert (below.name, below.status) == ("below", "skipped")


def test_a_selection_of_nothing_is_an_error(session: DbtSession) -> None:
    with pytest.raises(CohorteError, match="nothing is selected"):
        session.build("tag:no_such_tag")


def test_a_child_that_dies_is_an_error_with_a_remedy(folder: Path) -> None:
    with session_in(folder) as dying:
        child = dying._child
        assert child is not None
        os.kill(child.pid, signal.SIGKILL)
        child.wait()
        with pytest.raises(CohorteError, match="ended by itself") as caught:
            dying.build("good")
    assert "run again" in caught.value.remedy


def test_a_project_that_does_not_read_is_an_error(folder: Path, tmp_path: Path) -> None:
    broken = session_in(folder)
    broken.project_dir = tmp_path
    broken.target_dir = tmp_path / "target"
    with broken, pytest.raises(CohorteError) as caught:
        broken.build("good")
    assert "dbt_project.yml" in caught.value.message


def test_the_child_ends_when_its_parent_is_killed(folder: Path) -> None:
    script = (
        "import sys, time\n"
        "from pathlib import Path\n"
        "from tests.pipelines.test_dbt_session import session_in\n"
        f"session = session_in(Path({str(folder)!r})).__enter__()\n"
        "print(session._child.pid, flush=True)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    patience = time.monotonic() + 20
    while _runs(child) and time.monotonic() < patience:
        time.sleep(0.05)
    assert not _runs(child)


def _runs(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8").rsplit(")", 1)[1].split()[0]
    except FileNotFoundError:
        return False
    return state != "Z"


def test_variables_say_the_settings_and_the_declared_sources() -> None:
    settings = WorkspaceSettings(company="X", currency="BRL", country_code="BR")
    feed = {"feed": "a", "files": "a.csv", "entities": {}}
    source = Source.model_validate({"source": "shop", "trust": 2, "feeds": [feed]})
    variables = run_variables(settings, [source], date(2026, 6, 30))
    assert variables["as_of"] == "2026-06-30"
    assert variables["rfm_window_days"] == 730
    assert variables["sources"] == [
        {"source": "shop", "trust": 2, "currency_code": "BRL", "country_code": "BR"}
    ]
