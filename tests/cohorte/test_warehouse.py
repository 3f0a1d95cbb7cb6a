"""Who may open what, and what is served when something is broken."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from datetime import UTC, date, datetime

import duckdb
import pytest

from cohorte import warehouse
from cohorte.errors import LockedError, NotFoundError
from cohorte.warehouse import (
    TableInfo,
    VersionInfo,
    connect_raw,
    connect_reader,
    connect_work,
    list_versions,
    served_version,
    set_served,
    sha256_of,
    shown_version,
    version_path,
    writer_lock,
)
from cohorte.workspace import make_workspace, open_workspace

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "cohorte.yml").write_text("company: Test\n", encoding="utf-8")
    opened = open_workspace(tmp_path)
    opened.make_folders()
    return opened


def keep_version(workspace, number):
    path = version_path(workspace, f"v{number}")
    with duckdb.connect(str(path)) as connection:
        connection.execute(f"create table customers as select {number} as customer_id")
    info = VersionInfo(
        version=f"v{number}",
        run_id="r",
        as_of=date(2026, 11, 20),
        published_at=NOW,
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        tables={"customers": TableInfo(rows=1, hash="0")},
        key_figures={"customers": "1"},
    )
    path.with_suffix(".json").write_text(info.model_dump_json(), encoding="utf-8")
    return info


def test_nothing_is_served_before_the_first_publication(workspace):
    assert served_version(workspace) is None


def test_the_pointer_names_the_version_served(workspace):
    keep_version(workspace, 1)
    keep_version(workspace, 2)
    set_served(workspace, "v1")
    assert served_version(workspace).version == "v1"
    assert [info.version for info in list_versions(workspace)] == ["v2", "v1"]


@pytest.mark.parametrize("garbage", ["", "{", '{"version": 3}', '{"version": "../x"}', "[]"])
def test_a_pointer_that_does_not_read_serves_the_newest_version_kept(workspace, garbage):
    keep_version(workspace, 1)
    keep_version(workspace, 2)
    workspace.pointer_path.write_text(garbage, encoding="utf-8")
    assert served_version(workspace).version == "v2"


def test_a_version_whose_file_was_changed_is_not_served(workspace):
    keep_version(workspace, 1)
    keep_version(workspace, 2)
    set_served(workspace, "v2")
    with version_path(workspace, "v1").open("ab") as file:
        file.write(b"x")
    with pytest.raises(NotFoundError, match="not what was published"):
        set_served(workspace, "v1")
    assert served_version(workspace).version == "v2"


@pytest.mark.parametrize("name", ["v9", "../v1", "v1.duckdb", ""])
def test_a_version_that_is_not_kept_is_refused(workspace, name):
    keep_version(workspace, 1)
    with pytest.raises(NotFoundError):
        set_served(workspace, name)


def test_a_reader_can_read_its_file_and_nothing_else(workspace, tmp_path):
    keep_version(workspace, 1)
    secret = tmp_path / "secret.csv"
    secret.write_text("a\n1\n", encoding="utf-8")
    with connect_reader(version_path(workspace, "v1")) as reader:
        assert reader.execute("select customer_id from customers").fetchall() == [(1,)]
        for hostile in (
            f"select * from read_csv('{secret}')",
            f"copy customers to '{tmp_path / 'out.csv'}'",
            f"attach '{workspace.raw_path}' as other",
            "set enable_external_access = true",
            "create table t as select 1",
            "delete from customers",
        ):
            with pytest.raises(duckdb.Error):
                reader.execute(hostile)


def test_work_reads_raw_and_cannot_write_it(workspace):
    with connect_raw(workspace) as raw:
        raw.execute("insert into places (postcode, latitude, longitude) values ('1', 2, 3)")
    with connect_work(workspace) as work:
        assert work.execute("select count(*) from raw.places").fetchall() == [(1,)]
        with pytest.raises(duckdb.Error):
            work.execute("delete from raw.places")


def test_raw_of_an_older_release_gains_the_columns_it_lacks(workspace):
    with duckdb.connect(str(workspace.raw_path)) as raw:
        raw.execute("create table places (postcode varchar)")
        raw.execute("insert into places values ('75011')")
    with connect_raw(workspace) as raw:
        assert raw.execute("select postcode, latitude from places").fetchall() == [("75011", None)]


def test_the_second_run_is_told_who_holds_the_lock(workspace):
    holder = (
        "import sys; from datetime import UTC, datetime\n"
        "from cohorte.warehouse import writer_lock\n"
        "from cohorte.workspace import open_workspace\n"
        "with writer_lock(open_workspace(sys.argv[1]), 'first', datetime.now(UTC)):\n"
        "    print('held', flush=True); sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", holder, str(workspace.root)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout.readline() == "held\n"
        with (
            pytest.raises(LockedError, match=f"run first, process {process.pid}"),
            writer_lock(workspace, "second", NOW),
        ):
            pass
        process.kill()
        process.wait()
        with writer_lock(workspace, "third", NOW):
            assert json.loads(workspace.lock_path.with_suffix(".json").read_text())["run_id"] == (
                "third"
            )


def test_a_workspace_is_made_from_a_template_and_again_without_loss(tmp_path):
    root = tmp_path / "company"
    made = make_workspace(root, "blank")
    (root / "cohorte.yml").write_text("company: Ours\n", encoding="utf-8")
    make_workspace(root, "blank")
    assert open_workspace(root).settings.company == "Ours"
    assert made.inbox_dir.is_dir()


def test_an_unknown_template_and_an_empty_folder_are_told(tmp_path):
    with pytest.raises(NotFoundError, match="choose of blank"):
        make_workspace(tmp_path, "nope")
    with pytest.raises(NotFoundError, match="cohorte init"):
        open_workspace(tmp_path / "nothing")


def test_a_large_new_version_is_read_through_while_the_one_before_is_shown(workspace, monkeypatch):
    keep_version(workspace, 1)
    set_served(workspace, "v1")
    assert shown_version(workspace).version == "v1"
    keep_version(workspace, 2)
    may_end = threading.Event()
    hashed = warehouse.sha256_of

    def slowly(path):
        assert may_end.wait(120)
        return hashed(path)

    monkeypatch.setattr(warehouse, "AT_ONCE_BYTES", 0)
    pointer = json.dumps({"version": "v2", "sha256": "not read"})
    workspace.pointer_path.write_text(pointer, encoding="utf-8")
    monkeypatch.setattr(warehouse, "sha256_of", slowly)
    assert shown_version(workspace).version == "v1"
    may_end.set()
    warehouse._checking[workspace.root].join(120)
    assert shown_version(workspace).version == "v2"
