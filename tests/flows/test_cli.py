"""The command line: what it prints, and the code it ends with."""

from __future__ import annotations

import json
import shutil
import sys
from datetime import UTC, date, datetime

import pytest

from cohorte.warehouse import (
    TableInfo,
    VersionInfo,
    served_version,
    set_served,
    sha256_of,
    version_path,
    writer_lock,
)
from cohorte.workspace import make_workspace, open_workspace
from flows import cli
from tests.support.published import build_published

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)


@pytest.fixture
def cohorte(monkeypatch, capsys):
    """Call the command line as a shell would: exit code, what it printed, what it complained."""

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["cohorte", *map(str, arguments)])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        printed = capsys.readouterr()
        return ended.value.code or 0, printed.out, printed.err

    return call


@pytest.fixture(scope="module")
def published(tmp_path_factory):
    """A workspace with two versions kept, the second served."""
    workspace = make_workspace(tmp_path_factory.mktemp("company"), "blank")
    for number in (1, 2):
        path = version_path(workspace, f"v{number}")
        build_published(path, customers=50, seed=number)
        info = VersionInfo(
            version=f"v{number}",
            run_id="r",
            as_of=date(2026, 11, 20),
            published_at=NOW,
            sha256=sha256_of(path),
            bytes=path.stat().st_size,
            tables={"customers": TableInfo(rows=50, hash="0")},
            key_figures={"customers": "50"},
        )
        path.with_suffix(".json").write_text(info.model_dump_json(), encoding="utf-8")
        set_served(workspace, info.version)
    return workspace


@pytest.mark.parametrize("command", [[], *([name] for name in (
    "init", "run", "status", "versions", "rollback", "serve", "schedule", "doctor", "query",
    "backup", "restore", "diff", "housekeeping", "backfill", "runs", "alerts", "deploy",
))])  # fmt: skip
def test_every_command_helps(cohorte, command):
    code, out, _ = cohorte(*command, "--help")
    assert code == 0
    assert "Usage: cohorte" in out


def test_no_workspace_is_code_3_with_the_remedy(cohorte, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COHORTE_WORKSPACE", raising=False)
    code, _, err = cohorte("status")
    assert code == 3
    assert "cohorte init" in err


def test_the_workspace_comes_from_the_environment_or_the_folder(
    cohorte, published, monkeypatch, tmp_path
):
    monkeypatch.setenv("COHORTE_WORKSPACE", str(published.root))
    monkeypatch.chdir(tmp_path)
    assert cohorte("status")[0] == 0
    monkeypatch.delenv("COHORTE_WORKSPACE")
    monkeypatch.chdir(published.root)
    assert cohorte("status")[0] == 0


def test_an_unknown_template_is_code_2(cohorte, tmp_path):
    code, _, err = cohorte("init", tmp_path / "x", "--template", "nope")
    assert code == 2
    assert "choose of blank" in err


def test_a_template_that_needs_files_asks_for_them(cohorte, tmp_path):
    code, _, err = cohorte("init", tmp_path / "x", "--template", "olist")
    assert code == 2
    assert "--source-dir" in err


def test_a_broken_setting_is_code_2_with_its_line(cohorte, tmp_path):
    (tmp_path / "cohorte.yml").write_text("company: A\ncurrency: euro\n", encoding="utf-8")
    code, _, err = cohorte("run", "-w", tmp_path, "--plain")
    assert code == 2
    assert "line 2" in err


def test_an_unknown_station_is_code_3(cohorte, published):
    code, _, err = cohorte("run", "-w", published.root, "--plain", "--only", "nope")
    assert code == 3
    assert "ingest, stage" in err


def test_a_second_run_is_code_4(cohorte, published):
    with writer_lock(published, "first", NOW):
        code, _, err = cohorte("run", "-w", published.root, "--plain")
    assert code == 4
    assert "run first" in err


def test_status_and_versions_read_as_json(cohorte, published):
    told = json.loads(cohorte("status", "-w", published.root, "--json")[1])
    assert told["version"] == "v2"
    kept = json.loads(cohorte("versions", "-w", published.root, "--json")[1])
    assert [(row["version"], row["served"]) for row in kept] == [("v2", True), ("v1", False)]


def test_rollback_serves_a_version_kept(cohorte, published):
    assert cohorte("rollback", "v1", "-w", published.root)[0] == 0
    assert served_version(published).version == "v1"
    assert cohorte("rollback", "v9", "-w", published.root)[0] == 3
    assert cohorte("rollback", "v2", "-w", published.root)[0] == 0


def test_a_query_prints_a_table_csv_or_json(cohorte, published):
    sql = "select 'a,b' as x, 1.50::decimal(9,2) as y"
    assert "a,b" in cohorte("query", sql, "-w", published.root)[1]
    assert cohorte("query", sql, "-w", published.root, "--format", "csv")[1] == (
        'x,y\n"a,b",1.50\n'
    )
    told = json.loads(cohorte("query", sql, "-w", published.root, "--json")[1])
    assert told == [{"x": "a,b", "y": "1.50"}]


@pytest.mark.parametrize(
    "hostile",
    [
        "delete from customers",
        "copy customers to 'out.csv'",
        "select * from read_text('/etc/hostname')",
        "attach 'other.duckdb'",
        "install httpfs",
        "set memory_limit = '1TB'",
        "selec 1",
    ],
)
def test_a_query_can_only_read_the_published_version(cohorte, published, hostile):
    code, _, err = cohorte("query", hostile, "-w", published.root)
    assert code == 2
    assert "query" in err


def test_a_query_that_takes_too_long_is_stopped(cohorte, published):
    endless = "select count(*) from range(1000000000) a, range(1000000) b where a.range > b.range"
    code, _, err = cohorte("query", endless, "-w", published.root, "--seconds", "1")
    assert code == 1
    assert "took more than 1 s" in err


def test_markup_in_a_value_is_text(cohorte, published):
    out = cohorte("query", "select '[red]x[/red]' as name", "-w", published.root)[1]
    assert "[red]x[/red]" in out


def test_doctor_tells_a_changed_version_and_its_remedy(cohorte, tmp_path):
    workspace = make_workspace(tmp_path, "blank")
    code, out, _ = cohorte("doctor", "-w", workspace.root, "--json")
    findings = {finding["check"]: finding for finding in json.loads(out)}
    assert code == 0
    assert findings["served version"]["remedy"] == "cohorte run"
    assert open_workspace(tmp_path).settings.company


def test_doctor_tells_a_version_and_a_store_that_are_damaged(cohorte, published, tmp_path):
    root = tmp_path / "company"
    shutil.copytree(published.root, root)
    with version_path(open_workspace(root), "v2").open("r+b") as file:
        file.truncate(1000)
    for path in root.glob("store.db*"):
        path.unlink()
    (root / "store.db").write_bytes(b"no database" * 1000)
    code, out, _ = cohorte("doctor", "-w", root, "--json")
    findings = {finding["check"]: finding for finding in json.loads(out)}
    assert code == 1
    assert findings["served version"]["detail"] == "v2 is damaged; v1 is served instead"
    assert findings["store"]["status"] == "problem"


def test_an_error_that_should_not_be_is_one_line(cohorte, published, monkeypatch):
    def broken(_workspace):
        raise RuntimeError("no such thing")

    monkeypatch.setattr(cli, "served_version", broken)
    code, _, err = cohorte("versions", "-w", published.root)
    assert code == 1
    assert "RuntimeError: no such thing" in err
    assert "Traceback" not in err
