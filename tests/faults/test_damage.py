"""Files truncated or garbled: found by their checksum, the last good one used, and loudly said."""

from __future__ import annotations

import logging
import shutil
import sqlite3
import threading
from contextlib import closing
from datetime import UTC, date, datetime, timedelta

import duckdb
import pytest

from cohorte.errors import CohorteError, LockedError, SettingsError
from cohorte.formats import FORMAT, format_path, settle_format
from cohorte.store import open_store
from cohorte.warehouse import (
    TableInfo,
    VersionInfo,
    connect_reader,
    connect_work,
    open_served,
    pointed_version,
    served_version,
    set_served,
    sha256_of,
    version_path,
    writer_lock,
)
from cohorte.workspace import Workspace
from flows.mend import keep_store_copy, mend
from pipelines.publish import Publication, publish
from tests.support.published import build_workspace
from tests.support.workspaces import small_shop

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)


def truncate(path):
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)


def garble(path):
    with path.open("r+b") as file:
        file.seek(path.stat().st_size // 2)
        file.write(b"\xff\x00garbled" * 100)


def empty(path):
    path.write_bytes(b"")


DAMAGE = [truncate, garble, empty]


@pytest.fixture
def workspace(tmp_path) -> Workspace:
    """A workspace that serves v7, and keeps a whole v6 of fewer customers."""
    made = build_workspace(tmp_path / "company", customers=30)
    keep(made, 6, customers=20)
    set_served(made, "v7")
    return made


def keep(workspace, number, customers):
    path = version_path(workspace, f"v{number}")
    with closing(duckdb.connect(str(path))) as version:
        version.execute(f"create table customers as select * from range({customers})")
    info = VersionInfo(
        version=f"v{number}",
        run_id="r",
        as_of=date(2026, 10, 31),
        published_at=NOW,
        sha256=sha256_of(path),
        bytes=path.stat().st_size,
        tables={"customers": TableInfo(rows=customers, hash="0")},
        key_figures={},
    )
    path.with_suffix(".json").write_text(info.model_dump_json(), encoding="utf-8")
    return info


def said(caplog):
    return "\n".join(record.message for record in caplog.records if record.levelname == "ERROR")


@pytest.fixture
def errors(caplog):
    """What is logged, though the workspace's log keeps it to itself."""
    log = logging.getLogger("cohorte")
    log.addHandler(caplog.handler)
    yield lambda: said(caplog)
    log.removeHandler(caplog.handler)


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_published_file_that_is_damaged_gives_way_to_the_one_before(workspace, damage, errors):
    damage(version_path(workspace, "v7"))
    info, connection = open_served(workspace)
    with closing(connection):
        assert connection.execute("select count(*) from customers").fetchall() == [(20,)]
    assert info.version == "v6"
    told = mend(workspace, NOW)
    assert told == ["v7 is not what was published: v6 is served"]
    assert pointed_version(workspace) == "v6"
    assert "mended" in errors()


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_pointer_that_is_damaged_is_written_again(workspace, damage):
    damage(workspace.pointer_path)
    assert served_version(workspace).version == "v7"
    assert mend(workspace, NOW) == ["current.json did not read: v7 is served"]
    assert pointed_version(workspace) == "v7"


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_description_that_is_damaged_gives_way_to_the_version_before(workspace, damage):
    damage(version_path(workspace, "v7").with_suffix(".json"))
    assert served_version(workspace).version == "v6"


def test_when_no_version_is_whole_nothing_is_served_and_that_is_said(workspace):
    for name in ("v6", "v7"):
        truncate(version_path(workspace, name))
    assert served_version(workspace) is None
    assert "no published version is whole" in mend(workspace, NOW)[0]


def scatter(path):
    """Garble a byte of every page: SQLite keeps no checksum of what a row says."""
    content = bytearray(path.read_bytes())
    content[4096::4096] = b"\xff" * len(content[4096::4096])
    path.write_bytes(bytes(content))


@pytest.mark.parametrize("damage", [truncate, scatter])
def test_a_damaged_store_is_replaced_by_its_last_copy(workspace, damage):
    path = workspace.root / "store.db"
    with open_store(workspace.store_url) as store:
        for number in range(200):
            store.add_note("customer", f"C{number}", "x" * 200, author="a", at=NOW)
    keep_store_copy(workspace)
    with closing(sqlite3.connect(path)) as database:
        database.execute("pragma wal_checkpoint(truncate)")
    damage(path)
    told = mend(workspace, NOW)
    assert "store.db was damaged" in told[0]
    with open_store(workspace.store_url) as store:
        assert len(store.list_notes("customer", "C7")) == 1
    assert list(workspace.root.glob("store.db.damaged-*"))


def test_a_damaged_store_without_a_good_copy_stops_the_run_with_the_remedy(workspace):
    open_store(workspace.store_url).close()
    keep_store_copy(workspace)
    garble(workspace.store_copy_path)
    (workspace.root / "store.db").write_bytes(b"no database at all" * 1000)
    with pytest.raises(SettingsError, match="does not open"):
        open_store(workspace.store_url)
    with pytest.raises(CohorteError, match="no good copy"):
        mend(workspace, NOW)


@pytest.mark.parametrize("name", ["raw.duckdb", "identity.duckdb"])
def test_what_cannot_be_had_again_stops_the_run_with_the_remedy(workspace, name):
    path = workspace.root / "warehouse" / name
    with closing(duckdb.connect(str(path))) as database:
        database.execute("create table files as select * from range(10)")
    empty(path)
    path.write_bytes(b"\x00" * 40_000)
    with pytest.raises(CohorteError, match="restore a backup"):
        mend(workspace, NOW)
    assert served_version(workspace).version == "v7"


def test_the_build_database_is_made_anew_when_damaged(workspace):
    workspace.work_path.write_bytes(b"\x00" * 40_000)
    assert "built anew" in mend(workspace, NOW)[0]
    assert not workspace.work_path.exists()


def test_an_estimator_that_was_altered_gives_way_to_the_one_before(workspace):
    from sklearn.linear_model import LinearRegression

    from models.registry import Registry

    registry = Registry(workspace.artifacts_dir)
    for version in ("one", "two"):
        registry.save(
            "value",
            version,
            LinearRegression().fit([[0], [1]], [0, 1]),
            metadata={"as_of": version},
            evaluation={},
            cards={"en": "card", "fr": "carte"},
        )
        registry.promote("value", version, reason="better", now=NOW)
    garble(workspace.artifacts_dir / "value" / "two" / "estimator.skops")
    assert "one serves again" in mend(workspace, NOW)[0]
    assert registry.served("value").version == "one"


def test_a_store_that_another_program_holds_is_told_with_the_remedy(workspace, monkeypatch):
    from cohorte.store import store as storing

    monkeypatch.setattr(storing, "_BUSY_SECONDS", 0.2)
    path = workspace.root / "store.db"
    open_store(workspace.store_url).close()
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("begin immediate")
        with (
            open_store(workspace.store_url) as store,
            pytest.raises(CohorteError, match="cannot be written"),
        ):
            store.start_run("r", as_of=date(2026, 10, 31), at=NOW)
        other.execute("rollback")


HOLD = """
import duckdb, sys
held = duckdb.connect(sys.argv[1])
print("held", flush=True)
sys.stdin.read()
"""


def test_a_build_database_that_another_program_reads_is_no_damage(workspace, tmp_path):
    import subprocess
    import sys

    with closing(connect_work_of(workspace)) as work:
        work.execute("create table here as select 1")
    holder = subprocess.Popen(
        [
            *(sys.executable, "-c", HOLD),
            str(workspace.work_path),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    try:
        assert holder.stdout.readline().strip() == b"held"
        with pytest.raises(LockedError):
            mend(workspace, NOW)
        assert workspace.work_path.exists()
    finally:
        holder.communicate(b"")


def connect_work_of(workspace):
    with closing(duckdb.connect(str(workspace.raw_path))):
        pass
    return connect_work(workspace)


def test_a_reader_holds_its_version_while_ten_are_published(tmp_path):
    workspace = small_shop(tmp_path)
    workspace.make_folders()
    with closing(connect_work_of(workspace)) as work:
        work.execute("create schema marts")
        for table in ("customers", "orders", "order_lines", "leads"):
            work.execute(
                f"create table marts.{table} as select range as customer_id from range(300000)"
            )
        work.execute("create table marts.kpi_daily (kpi_id varchar, value decimal(18, 4))")
        publish(workspace, work, Publication("r", date(2026, 10, 31), NOW))
        with closing(connect_reader(version_path(workspace, "v1"))) as reader:
            before = reader.execute("select sum(customer_id), count(*) from orders").fetchall()
            for _ in range(10):
                work.execute("delete from marts.orders where customer_id % 7 = 0")
                publish(workspace, work, Publication("r", date(2026, 10, 31), NOW))
            assert not version_path(workspace, "v1").exists()
            assert (
                reader.execute("select sum(customer_id), count(*) from orders").fetchall() == before
            )
            assert reader.execute("select sum(customer_id) from order_lines").fetchall()
    assert served_version(workspace).version == "v11"


def test_readers_that_open_at_once_do_not_stumble_over_each_other(workspace):
    failures = []

    def read():
        try:
            for _ in range(20):
                _info, connection = open_served(workspace)
                connection.close()
        except Exception as error:  # what a reader may meet is what is tested
            failures.append(repr(error))

    readers = [threading.Thread(target=read) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join()
    assert failures == []


def test_a_second_run_is_refused_and_one_with_patience_waits(workspace):
    begun = threading.Event()
    finish = threading.Event()

    def hold():
        with writer_lock(workspace, "first", NOW):
            begun.set()
            finish.wait(60)

    holder = threading.Thread(target=hold)
    holder.start()
    begun.wait(60)
    with pytest.raises(LockedError, match="first"), writer_lock(workspace, "second", NOW):
        pass
    threading.Timer(0.3, finish.set).start()
    with writer_lock(workspace, "third", NOW, patience=120):
        pass
    holder.join()


def test_a_workspace_of_a_newer_program_is_refused_and_an_older_one_upgraded(workspace):
    workspace.work_path.write_bytes(b"")
    settle_format(workspace)
    assert format_path(workspace).exists()
    assert not workspace.work_path.exists()
    settle_format(workspace)
    format_path(workspace).write_text(
        f'{{"format": {FORMAT + 1}, "program": "9.0"}}', encoding="utf-8"
    )
    with pytest.raises(SettingsError, match=r"newer Cohorte \(9\.0"):
        settle_format(workspace)


def test_a_raw_database_of_an_older_release_gains_what_contracts_gained(tmp_path):
    from cohorte.warehouse import connect_raw

    workspace = small_shop(tmp_path)
    with closing(connect_raw(workspace)) as raw:
        raw.execute("insert into contacts (contact_id, _source) values ('M1', 'shop')")
        raw.execute("alter table contacts drop column birth_date")
    with closing(connect_raw(workspace)) as raw:
        found = raw.execute("select contact_id, birth_date from contacts").fetchall()
    assert found == [("M1", None)]


def test_a_delivery_counts_as_later_though_the_clock_was_set_back(tmp_path):
    from cohorte.warehouse import connect_raw
    from pipelines.ingest import ingest

    workspace = small_shop(tmp_path)
    ingest(workspace, now=NOW)
    changed = (workspace.inbox_dir / "members.csv").read_text("utf-8").replace("Anne", "Annette")
    (workspace.inbox_dir / "members_2.csv").write_text(changed, "utf-8")
    ingest(workspace, now=NOW - timedelta(days=400))
    with closing(connect_raw(workspace)) as raw:
        latest = raw.execute(
            "select first_name from contacts where contact_id = 'M1' order by _loaded_at desc"
        ).fetchall()
    assert latest[0] == ("Annette",)


def test_a_disk_that_is_full_while_copying_the_store_leaves_the_copy_before(workspace, monkeypatch):
    from cohorte.store import copies

    open_store(workspace.store_url).close()
    keep_store_copy(workspace)
    before = sha256_of(workspace.store_copy_path)

    def full(*_arguments):
        raise OSError("No space left on device")

    monkeypatch.setattr(copies.Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        keep_store_copy(workspace)
    assert sha256_of(workspace.store_copy_path) == before
    shutil.rmtree(workspace.root)
