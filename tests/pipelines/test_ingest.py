"""Deliveries: new content by hash, one transaction each, lineage, repeats, rehearsals, crashes."""

from __future__ import annotations

import itertools
import os
import signal
import subprocess
import sys
import time
from datetime import timedelta

import pytest

from cohorte.errors import SettingsError
from cohorte.warehouse import connect_raw
from cohorte.workspace import Workspace
from tests.pipelines.workbench import NOW, ORDERS, Bench, instant, order_feed

HEADER = "Ticket,Date,Montant,Client\n"
LINES = {"order_lines": {"columns": {"order_id": "Ticket", "quantity": "Montant"}}}


def day(number: int, rows: int = 3) -> str:
    lines = [f"D{number}-{row},2026-01-{number:02d},1.5,C{row}\n" for row in range(rows)]
    return HEADER + "".join(lines)


def test_every_row_knows_its_source_file_line_and_moment(bench):
    bench.orders()
    bench.deliver("orders_1.csv", day(1))
    bench.deliver("orders_2.csv", day(2, rows=1))
    bench.ingest()
    assert bench.ask(
        "select order_id, _source, name, _line, _occurrence, _version, _extra from orders"
        " join files on file_id = _file_id order by 1"
    ) == [
        ("D1-0", "shop", "orders_1.csv", 2, 1, None, None),
        ("D1-1", "shop", "orders_1.csv", 3, 1, None, None),
        ("D1-2", "shop", "orders_1.csv", 4, 1, None, None),
        ("D2-0", "shop", "orders_2.csv", 2, 1, None, None),
    ]
    assert bench.ask("select records, accepted, rejected, bytes, feed from files order by 1") == [
        (1, 1, 0, len(day(2, rows=1)), "orders"),
        (3, 3, 0, len(day(1)), "orders"),
    ]


def test_a_later_file_counts_as_loaded_later(bench):
    bench.orders()
    for number in (3, 1, 2):
        bench.deliver(f"orders_{number}.csv", day(number))
    bench.ingest()
    assert bench.ask("select name, loaded_at from files order by loaded_at") == [
        ("orders_1.csv", instant("2026-11-21 09:00:00")),
        ("orders_2.csv", instant("2026-11-21 09:00:00.000001")),
        ("orders_3.csv", instant("2026-11-21 09:00:00.000002")),
    ]
    loaded = "select count(distinct _loaded_at) from orders"
    assert bench.ask(loaded) == [(3,)]


def test_the_same_content_twice_does_nothing_whatever_its_name(bench):
    bench.orders()
    bench.deliver("orders_1.csv", day(1))
    bench.deliver("orders_2.csv", day(1))
    assert [file.status for file in bench.ingest().files] == ["loaded", "known"]
    assert [file.status for file in bench.ingest().files] == ["known", "known"]
    assert bench.ask("select count(*) from orders") == [(3,)]
    assert bench.ask("select count(*) from files") == [(1,)]


def test_a_file_that_changed_is_a_new_delivery_and_the_old_one_stays(bench):
    bench.orders()
    bench.ingest_one("orders_1.csv", day(1))
    report = bench.ingest_one("orders_1.csv", day(1, rows=4))
    assert (report.status, report.accepted) == ("loaded", 4)
    assert bench.ask("select _file_id, count(*) from orders group by 1 order by 1") == [
        (1, 3),
        (2, 4),
    ]


def test_the_same_content_is_new_to_another_feed(bench):
    bench.source(order_feed(), order_feed() | {"feed": "again"})
    bench.deliver("orders_1.csv", day(1))
    assert [file.status for file in bench.ingest().files] == ["loaded", "loaded"]


def test_only_the_sources_asked_for_are_taken(bench):
    bench.orders()
    bench.source(order_feed("web*.csv"), name="web")
    bench.deliver("orders_1.csv", day(1))
    bench.deliver("web_1.csv", day(2))
    assert [file.source for file in bench.ingest(only_sources=["web"]).files] == ["web"]


def test_equal_rows_of_a_file_are_numbered(bench):
    bench.source({"feed": "lines", "files": "*.csv", "entities": LINES})
    bench.ingest_one("1.csv", "Ticket,Montant\nT1,2\nT2,1\nT1,2.0\nT1,2\nT1,3\n")
    columns = "order_id, quantity::int, _occurrence, _line"
    assert bench.ask(f"select {columns} from order_lines order by 4") == [
        ("T1", 2, 1, 2), ("T2", 1, 1, 3), ("T1", 2, 2, 4), ("T1", 2, 3, 5), ("T1", 3, 1, 6),
    ]  # fmt: skip


@pytest.mark.parametrize("order", list(itertools.permutations([0, 1, 2])))
def test_overlapping_deliveries_in_any_order_count_each_line_as_often_as_the_fullest(bench, order):
    bench.source({"feed": "lines", "files": "*.csv", "entities": LINES})
    deliveries = ["T1,2\nT1,2\nT2,1\n", "T1,2.00\nT3,1\n", "T1,2\nT1,2\nT1,2\n"]
    for place, chosen in enumerate([*order, *order]):
        bench.deliver(f"{place}.csv", "Ticket,Montant\n" + deliveries[chosen])
        bench.ingest(now=NOW + timedelta(days=place))
    distinct = "(select distinct order_id, _source, _row_hash, _occurrence from order_lines)"
    assert bench.ask(f"select order_id, count(*) from {distinct} group by 1 order by 1") == [
        ("T1", 3),
        ("T2", 1),
        ("T3", 1),
    ]


def test_a_rehearsal_tells_everything_and_writes_nothing(bench):
    bench.orders()
    bench.ingest_one("orders_1.csv", day(1))
    bench.deliver("orders_2.csv", day(2) + "x,y,z,w\n" * 5)
    bench.deliver("orders_3.csv", day(3))
    before = Workspace(bench.root).raw_path.read_bytes()
    report = bench.ingest(dry_run=True)
    assert [file.status for file in report.files] == ["known", "quarantined", "loaded"]
    assert report.rows == {"orders": 3}
    assert Workspace(bench.root).raw_path.read_bytes() == before
    assert [file.status for file in bench.ingest().files] == ["known", "quarantined", "loaded"]


def test_a_rehearsal_before_the_first_run_makes_no_database(bench):
    bench.orders()
    bench.deliver("orders_1.csv", day(1))
    assert bench.ingest(dry_run=True).accepted == 3
    assert not Workspace(bench.root).raw_path.exists()


def test_a_rehearsal_after_a_crash_sees_what_was_committed(bench):
    bench.orders()
    bench.deliver("orders_1.csv", day(1))
    bench.deliver("orders_2.csv", day(2).replace(",", ";"))
    crash(bench, "load", 1)
    assert [file.status for file in bench.ingest(dry_run=True).files] == ["known", "loaded"]


def test_progress_is_told_after_each_delivery(bench):
    bench.orders()
    for number in (1, 2, 3):
        bench.deliver(f"orders_{number}.csv", day(number))
    told = []
    bench.ingest(progress=lambda file, done, total: told.append((file.name, done, total)))
    assert told == [(f"orders_{n}.csv", n, 3) for n in (1, 2, 3)]


def test_no_temporary_file_stays(bench):
    bench.orders()
    bench.deliver("orders_1.csv", day(1).replace("C1", "Zoé").encode("cp1252"))
    bench.ingest()
    assert list(Workspace(bench.root).temp_dir.iterdir()) == []


def test_patterns_may_leave_the_folder_or_be_absolute(bench):
    bench.orders(["../outbox/a*.csv", f"{bench.root}/outbox/b.csv"])
    bench.deliver("../outbox/a1.csv", day(1))
    bench.deliver("../outbox/b.csv", day(2))
    assert [(file.name, file.status) for file in bench.ingest().files] == [
        ("../outbox/a1.csv", "loaded"),
        ("../outbox/b.csv", "loaded"),
    ]


def test_a_time_without_a_zone_is_refused(bench):
    bench.orders()
    with pytest.raises(SettingsError, match="no time zone"):
        bench.ingest(now=NOW.replace(tzinfo=None))


def test_files_of_other_headers_do_not_disturb_a_group(bench):
    bench.orders()
    bench.deliver("orders_1.csv", day(1))
    bench.deliver("orders_2.csv", "Client;Ticket;Date\nC;D2-0;2026-01-02\n")
    bench.deliver("orders_3.csv", day(3).replace("\n", "\r\n"))
    bench.deliver("orders_4.csv", day(4))
    bench.ingest()
    assert bench.ask("select count(*), count(distinct order_id), max(_line) from orders") == [
        (10, 10, 4)
    ]
    assert bench.ask("select contact_id from orders where order_id = 'D2-0'") == [("C",)]


CRASH = """
import os, signal, sys
from pathlib import Path
import duckdb
import pipelines.load, pipelines.ingest
from tests.pipelines.workbench import NOW
from cohorte.workspace import Workspace

def die(*_):
    os.kill(os.getpid(), signal.SIGKILL)

root, point, after = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
module = pipelines.ingest if point in ("extract_text", "type_rows", "load") else pipelines.load
original, calls = getattr(module, point), []

def counted(*arguments, **keys):
    calls.append(1)
    if len(calls) > after:
        die()
    return original(*arguments, **keys)

setattr(module, point, counted)
pipelines.ingest.ingest(Workspace(root), now=NOW)
"""


def crash(bench: Bench, point: str, after: int) -> None:
    """Take in with a process that kills itself at the given call."""
    ended = subprocess.run(
        [sys.executable, "-c", CRASH, str(bench.root), point, str(after)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        check=False,
        capture_output=True,
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


@pytest.mark.parametrize(
    ("point", "after"), [("type_rows", 0), ("load", 1), ("_insert_rows", 1), ("_insert_files", 1)]
)
def test_killed_anywhere_whole_files_stay_and_the_next_run_completes(bench, point, after):
    entities = ORDERS | LINES
    bench.source({"feed": "orders", "files": "*.csv", "entities": entities}, reject_limit=0.5)
    bench.deliver("orders_1.csv", day(1) + "D1-9,no,1,C\n")
    bench.deliver("orders_2.csv", day(2).replace(",", ";"))
    crash(bench, point, after)
    connect_raw(Workspace(bench.root)).close()
    whole = "select count(*) from files anti join orders on file_id = _file_id"
    assert bench.ask(whole) == [(0,)]
    stray = "select count(*) from {} anti join files on file_id = {}"
    for table, column in (("orders", "_file_id"), ("order_lines", "_file_id")):
        assert bench.ask(stray.format(table, column)) == [(0,)]
    assert bench.ask("select count(*) from rejected_rows anti join files using (file_id)") == [(0,)]
    bench.ingest()
    assert bench.ask("select count(*) from orders") == [(6,)]
    assert bench.ask("select count(*) from order_lines") == [(7,)]
    assert bench.ask("select line from rejected_rows") == [(5,)]
    assert [file.status for file in bench.ingest().files] == ["known", "known"]


@pytest.mark.parametrize("after", [1, 2])
def test_a_run_that_was_cut_ends_with_the_latest_rows_of_one_that_was_not(bench, after):
    bench.orders()
    for number, delimiter in enumerate(";,;,"):
        text = HEADER + f"T1,2026-01-01,{number},from {number}\nT2,2026-01-01\n"
        text += "".join(f"F{number}-{n},2026-01-01,1,c\n" for n in range(40))
        bench.deliver(f"orders_{number}.csv", text.replace(",", delimiter))
    crash(bench, "load", after)
    bench.ingest(now=NOW + timedelta(hours=1))
    latest = "select arg_max(contact_id, _loaded_at) from orders where order_id = 'T1'"
    assert bench.ask(latest) == [("from 3",)]
    order = "select list(name order by loaded_at) = list(name order by name) from files"
    assert bench.ask(order) == [(True,)]


def test_killed_at_any_moment_from_outside_nothing_is_torn(bench):
    bench.orders()
    for number in range(1, 29):
        bench.deliver(f"orders_{number}.csv", day(number).replace(",", ";,"[number % 2]))
    command = (
        "from tests.pipelines.workbench import *; ingest(Workspace(Path(sys.argv[1])), now=NOW)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", f"import sys; {command}", str(bench.root)],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    raw = Workspace(bench.root).raw_path
    deadline = time.monotonic() + 30
    while not raw.exists() and time.monotonic() < deadline and process.poll() is None:
        time.sleep(0.01)
    time.sleep(0.15)
    process.kill()
    process.wait()
    bench.ingest()
    assert bench.ask("select count(*), count(distinct order_id) from orders") == [(84, 84)]
    assert bench.ask("select count(*), sum(accepted) from files") == [(28, 84)]
