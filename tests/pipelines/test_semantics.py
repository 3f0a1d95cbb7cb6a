"""What deliveries mean: replays, snapshots, columns that come and go, files still being written."""

from __future__ import annotations

import threading
import time

import polars as pl
import pytest

from cohorte.contracts import contracts
from pipelines.load import moment_in_name
from tests.pipelines.workbench import ORDERS, Bench, order_feed

HEADER = "Ticket,Date,Montant,Client\n"
GOOD = HEADER + "".join(f"T{n},2026-01-{n:02d} 10:00:00,{n}.50,C{n}\n" for n in range(1, 21))
MENDED = {"orders": {"columns": ORDERS["orders"]["columns"] | {"store": "Client"}}}
CONTACTS = {"contacts": {"mode": "snapshot", "columns": {"contact_id": "id", "email": "mail"}}}


def content(bench: Bench) -> list[tuple[object, ...]]:
    """All that raw holds, but for the moments of loading."""
    rows: list[tuple[object, ...]] = []
    for entity in contracts():
        rows += bench.ask(f"select '{entity}', columns(* exclude (_loaded_at)) from {entity}")
    rows += bench.ask("select columns(* exclude (rejected_at)) from rejected_rows")
    rows += bench.ask("select columns(* exclude (loaded_at)) from files")
    rows += bench.ask("from column_counts") + bench.ask("from snapshots")
    return sorted(rows, key=repr)


def test_a_mended_mapping_replays_what_was_loaded_as_if_it_had_been_so_from_the_start(
    bench, tmp_path
):
    bench.orders()
    bench.deliver("orders_1.csv", GOOD)
    bench.deliver("orders_2.csv", GOOD.replace("\nT", "\nU").replace("2026-01-05", "31/02/2026"))
    first = bench.ingest()
    assert first.rejected == 1
    bench.source({**order_feed(), "entities": MENDED})
    again = bench.ingest()
    assert [(file.status, file.is_replay) for file in again.files] == [("loaded", True)] * 2
    assert bench.ask("select count(*), count(distinct order_id), count(store) from orders") == [
        (39, 39, 39)
    ]
    assert bench.ask("select count(*) from rejected_rows") == [(1,)]
    assert [file.status for file in bench.ingest().files] == ["known", "known"]
    fresh = Bench(tmp_path / "fresh")
    fresh.source({**order_feed(), "entities": MENDED})
    for path in bench.inbox.iterdir():
        fresh.deliver(path.name, path.read_bytes())
    fresh.ingest()
    assert content(bench) == content(fresh)


def test_rejected_rows_are_replayed_from_raw_when_their_file_is_gone(bench, tmp_path):
    """As if the mended mapping had been there from the start; what cannot enter is not lost."""
    bad = GOOD.replace("2026-01-05", "05/02/2026").replace("2026-01-07", "never")
    bad += "T8;extra,2026-01-08,1,C,too many\n" + "T3,03/01/2026,3.50,C3\n"
    limit = {"reject_limit": 0.5}
    bench.source(order_feed(), **limit)
    path = bench.deliver("orders_1.csv", bad)
    assert bench.ingest().rejected == 4
    path.unlink()
    formats = {"column": "Date", "formats": ["%d/%m/%Y %H:%M:%S", "%d/%m/%Y", "%Y-%m-%d %H:%M:%S"]}
    mended = {"orders": {"columns": ORDERS["orders"]["columns"] | {"ordered_at": formats}}}
    bench.source({**order_feed(), "entities": mended}, **limit)
    told = next(file for file in bench.ingest().files if file.name)
    assert (told.records, told.accepted, told.rejected, told.is_replay) == (4, 2, 2, True)
    assert "2 of 4 rejected records enter by the mended mapping" in told.messages[0]
    assert "the 18 that had entered stay as they were read" in told.messages[0]
    assert not any(file.is_replay for file in bench.ingest().files)
    fresh = Bench(tmp_path / "fresh")
    fresh.source({**order_feed(), "entities": mended}, **limit)
    fresh.deliver("orders_1.csv", bad)
    fresh.ingest()

    def same(one: Bench) -> list[tuple[object, ...]]:
        return [
            *one.ask("select columns(* exclude (_loaded_at)) from orders order by _line"),
            *one.ask("select columns(* exclude (rejected_at)) from rejected_rows order by line"),
            *one.ask("from column_counts order by all"),
            *one.ask("from entity_counts order by all"),
            *one.ask("select records, accepted, rejected, status from files"),
        ]

    assert same(bench) == same(fresh)
    fresh.deliver("orders_1.csv", bad)
    bench.deliver("orders_1.csv", bad)
    assert bench.ingest().files[0].is_replay
    assert content(bench) == content(fresh)


LISTED = {
    "feed": "t",
    "files": "t*.jsonl",
    "format": "json_lines",
    "entities": {
        "orders": {"columns": {"order_id": "id", "ordered_at": "at"}},
        "order_lines": {
            "explode": "$.lines",
            "columns": {"order_id": "id", "quantity": "@.n", "product_id": "@.p"},
        },
    },
}
FIXED = {
    "feed": "f",
    "files": "f*.txt",
    "format": "fixed_width",
    "header": False,
    "columns": ["id", "at"],
    "fields": [{"name": "id", "start": 1, "length": 3}, {"name": "at", "start": 4, "length": 10}],
    "entities": {"orders": {"columns": {"order_id": "id", "ordered_at": "at"}}},
}


@pytest.mark.parametrize(
    ("feed", "name", "text", "mend", "query"),
    [
        (
            LISTED,
            "t1.jsonl",
            (
                '{"id":"1","at":"2026-01-01","lines":[{"n":1,"p":"a"},{"n":"two","p":"b"}]}\n{"id":"2",'
                '"at":"2026-01-01","lines":[{"n":1,"p":"c"}]}\n'
            ),
            ("order_lines", "quantity", {"column": "@.n", "values": {"two": 2}}),
            "select order_id, product_id, quantity, _occurrence from order_lines order by 1, 2",
        ),
        (
            FIXED,
            "f1.txt",
            "A012026-01-01\nA02  01.01.26\n",
            ("orders", "ordered_at", {"column": "at", "formats": ["%Y-%m-%d", "%d.%m.%y"]}),
            "select order_id, ordered_at from orders order by 1",
        ),
    ],
    ids=["json", "fixed"],
)
def test_rows_of_other_formats_are_replayed_from_raw(bench, feed, name, text, mend, query):
    bench.source(feed, reject_limit=1)
    path = bench.deliver(name, text)
    assert bench.ingest().rejected == 1
    path.unlink()
    entity, column, mapped = mend
    mended = feed | {
        "entities": {
            one: mapping
            | {"columns": mapping["columns"] | ({column: mapped} if one == entity else {})}
            for one, mapping in feed["entities"].items()
        }
    }
    bench.source(mended, reject_limit=1)
    bench.ingest()
    replayed = bench.ask(query)
    assert bench.ask("select count(*) from rejected_rows") == [(0,)]
    bench.deliver(name, text)
    bench.ingest()
    assert bench.ask(query) == replayed
    assert bench.ask("select rejected, accepted from files") == [(0, 2)]


def test_a_typed_row_is_replayed_from_the_text_that_raw_keeps_of_it(bench):
    columns = {"order_id": "id", "ordered_at": "at", "gross_amount": "amount", "store": "shop"}
    feed = {"feed": "p", "files": "p*.parquet", "format": "parquet"}
    bench.source(feed | {"entities": {"orders": {"columns": columns}}}, reject_limit=1)
    path = bench.inbox / "p1.parquet"
    rows = {"id": [1, 2], "at": ["2026-01-01", "soon"], "amount": [1.5, 2.25], "shop": [None, "x"]}
    pl.DataFrame(rows).write_parquet(path)
    assert bench.ingest().rejected == 1
    path.unlink()
    columns["ordered_at"] = {"column": "at", "values": {"soon": "2026-02-01"}}
    bench.source(feed | {"entities": {"orders": {"columns": columns}}}, reject_limit=1)
    bench.ingest()
    assert bench.ask(
        "select order_id, ordered_at::date::varchar, gross_amount::double, store from orders"
        " order by 1"
    ) == [("1", "2026-01-01", 1.5, None), ("2", "2026-02-01", 2.25, "x")]


def test_a_replay_keeps_the_order_in_which_deliveries_arrived(bench):
    bench.orders()
    bench.deliver("orders_b.csv", HEADER + "T1,2026-01-01,1,first\n")
    bench.ingest()
    bench.deliver("orders_a.csv", HEADER + "T1,2026-01-01,2,second\n")
    bench.ingest()
    latest = "select contact_id from orders order by _loaded_at desc, _file_id desc limit 1"
    assert bench.ask(latest) == [("second",)]
    bench.source({**order_feed(), "entities": MENDED})
    bench.ingest()
    assert bench.ask(latest) == [("second",)]


def test_a_mapping_that_no_longer_fits_takes_nothing_away(bench):
    bench.orders()
    bench.deliver("orders.csv", GOOD)
    bench.ingest()
    wrong = {"orders": {"columns": ORDERS["orders"]["columns"] | {"ordered_at": "Montant"}}}
    for mapping in (wrong, {"orders": {"columns": {"order_id": "No", "ordered_at": "Date"}}}):
        bench.source({**order_feed(), "entities": mapping})
        (report,) = bench.ingest().files
        assert report.status == "quarantined"
        assert "what the mapping before made of it stays" in report.messages[-1]
        assert bench.ask("select count(*) from orders") == [(20,)]
        assert bench.ask("select status, count(*) from files group by 1") == [("loaded", 1)]
    bench.orders()
    assert bench.ingest().files[0].status == "known"


def test_another_place_or_name_of_files_reads_nothing_again(bench):
    bench.orders()
    bench.deliver("orders.csv", GOOD)
    bench.ingest()
    bench.source(order_feed(["orders.csv", "later/*.csv"]), title="Tills", trust=2)
    assert bench.ingest().count("known") == 1


def test_the_zone_of_times_decides_so_it_reads_again(bench):
    bench.orders()
    bench.deliver("orders.csv", GOOD)
    bench.ingest()
    bench.source(order_feed(), time_zone="Europe/Paris")
    assert bench.ingest().files[0].is_replay
    assert bench.ask("select ordered_at::varchar from orders order by order_id limit 1") == [
        ("2026-01-01 09:00:00",)
    ]


def test_columns_that_come_and_go_are_told_once(bench):
    bench.orders()
    bench.deliver("orders_1.csv", GOOD)
    bench.deliver("orders_2.csv", GOOD.replace("Client", "Client,Caisse").replace("50,", "50,7,"))
    bench.deliver("orders_3.csv", GOOD.replace("\nT", "\nV"))
    one, two, three = bench.ingest().files
    assert one.messages == ()
    assert two.messages[0].startswith('orders_2.csv: new column "Caisse", kept in _extra; map it')
    assert 'orders_3.csv: column "Caisse" is no longer delivered' in three.messages
    bench.deliver("orders_4.csv", GOOD.replace("\nT", "\nW"))
    four = next(file for file in bench.ingest().files if file.name == "orders_4.csv")
    assert four.messages == ()
    assert bench.ask(
        "select name, dialect ->> '$.new_columns' from files"
        " where (dialect ->> '$.new_columns') is not null"
    ) == [("orders_2.csv", '["Caisse"]')]


def test_values_are_counted_by_column_and_delivery(bench):
    bench.orders()
    bench.ingest_one("orders.csv", HEADER + "T1,2026-01-01,,C\nT2,2026-01-02,5,\nT3,2026-01-03,,\n")
    assert bench.ask(
        "select column_name, rows_count, filled_count from column_counts order by 1"
    ) == [
        ("contact_id", 3, 1),
        ("currency_code", 3, 3),
        ("gross_amount", 3, 1),
        ("order_id", 3, 3),
        ("ordered_at", 3, 3),
    ]


def test_snapshots_count_by_the_date_in_their_names_whatever_their_order(bench):
    bench.source({"feed": "crm", "files": "crm_*.csv", "entities": CONTACTS})
    bench.deliver("crm_2026-02-01.csv", "id,mail\n1,new@x.fr\n")
    bench.ingest()
    bench.deliver("crm_2026-01-01.csv", "id,mail\n1,old@x.fr\n2,gone@x.fr\n")
    bench.ingest()
    assert bench.ask("select entity, shown_at::date::varchar from snapshots order by 2") == [
        ("contacts", "2026-01-01"),
        ("contacts", "2026-02-01"),
    ]
    assert bench.ask(
        "select email from contacts where contact_id = '1' order by _version desc limit 1"
    ) == [("new@x.fr",)]


@pytest.mark.parametrize(
    ("name", "moment"),
    [
        ("crm_2026-01-31.csv", "2026-01-31 00:00:00"),
        ("crm_20260131.csv", "2026-01-31 00:00:00"),
        ("2025-12-01/crm_20260131_0915.csv", "2026-01-31 09:15:00"),
        ("crm_2026-01-31T09:15:30.csv", "2026-01-31 09:15:30"),
        ("crm_20260231.csv", None),
        ("crm_120260131.csv", None),
        ("crm.csv", None),
    ],
)
def test_the_moment_of_a_snapshot_is_read_from_its_name(name, moment):
    found = moment_in_name(name)
    assert (None if found is None else str(found)) == moment


@pytest.mark.parametrize("mode", ["upsert", "snapshot"])
def test_a_mode_that_needs_a_key_says_so(bench, mode):
    bench.source(
        {
            "feed": "o",
            "files": "o.csv",
            "entities": {
                "order_lines": {"mode": mode, "columns": {"order_id": "a", "quantity": "b"}}
            },
        }
    )
    with pytest.raises(Exception, match="needs order_id, line_number"):
        bench.ingest()


def test_a_file_waits_for_its_mark(bench):
    bench.orders(done_mark=".done")
    bench.deliver("orders.csv", GOOD)
    (report,) = bench.ingest().files
    assert (report.status, report.messages) == (
        "unfinished",
        ("orders.csv: still being written; it is taken once it is whole",),
    )
    assert bench.ask("select count(*) from files") == [(0,)]
    bench.deliver("orders.csv.done", "")
    assert bench.ingest().files[0].status == "loaded"


def test_the_name_of_an_unfinished_transfer_waits(bench):
    bench.orders("orders*")
    bench.deliver("orders.csv.part", GOOD)
    assert bench.ingest().files[0].status == "unfinished"


def test_a_file_that_grows_while_it_is_watched_waits(bench):
    bench.settings(settle_seconds=1.5)
    bench.orders()
    path = bench.deliver("orders_new.csv", HEADER)
    stop = threading.Event()

    def write() -> None:
        with path.open("a") as file:
            while not stop.wait(0.1):
                file.write("T,2026-01-01,1,C\n")
                file.flush()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        (report,) = bench.ingest().files
    finally:
        stop.set()
        writer.join()
    assert report.status == "unfinished"


def test_a_file_that_is_still_for_a_moment_is_taken(bench):
    bench.settings(settle_seconds=0.3)
    bench.orders()
    bench.deliver("orders.csv", GOOD)
    begun = time.monotonic()
    assert bench.ingest().files[0].status == "loaded"
    assert time.monotonic() - begun >= 0.2


def test_a_file_that_changes_while_it_is_read_enters_at_the_next_run(bench, monkeypatch):
    bench.orders()
    path = bench.deliver("orders.csv", GOOD)
    from pipelines import ingest as station

    real = station.type_rows

    def slow(*args):
        with path.open("a") as file:
            file.write("T77,2026-01-01,1,C\n")
        return real(*args)

    monkeypatch.setattr(station, "type_rows", slow)
    (report,) = bench.ingest().files
    assert report.status == "quarantined"
    assert "it changed while it was read" in report.messages[0]
    monkeypatch.undo()
    assert bench.ingest().files[0].accepted == 21


def test_what_is_delivered_again_is_counted_by_delivery(bench):
    contacts = {"contacts": {"columns": {"contact_id": "id", "email": "mail"}}}
    bench.source({"feed": "crm", "files": "crm_*.csv", "entities": contacts})
    bench.deliver("crm_1.csv", "id,mail\n1,a@x.fr\n2,b@x.fr\n3,c@x.fr\n")
    bench.ingest()
    assert bench.ask("from again_counts") == []
    bench.deliver("crm_2.csv", "id,mail\n1,a@x.fr\n2,new@x.fr\n4,d@x.fr\n")
    bench.deliver("crm_3.csv", "id,mail\n4,d@x.fr\n4,e@x.fr\n5,f@x.fr\n")
    bench.ingest()
    bench.deliver("crm_4.csv", "id,mail\n2,b@x.fr\n")
    bench.ingest()
    counted = "select name, same_count, changed_count from again_counts join files using (file_id)"
    assert bench.ask(f"{counted} order by 1") == [
        ("crm_2.csv", 1, 1),
        ("crm_3.csv", 1, 1),
        ("crm_4.csv", 1, 0),
    ]
