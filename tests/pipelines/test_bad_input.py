"""What is wrong with a delivery is said with file, line, column and remedy; the others go on."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from tests.pipelines.workbench import ORDERS, Bench, order_feed

HEADER = "Ticket,Date,Montant,Client\n"
GOOD = HEADER + "".join(f"T{n},2026-01-{n:02d} 10:00:00,{n}.50,C{n}\n" for n in range(1, 21))


def codes(bench: Bench) -> list[str]:
    return [code for (code,) in bench.ask("select dialect ->> '$.code' from files order by 1")]


def test_a_missing_file_is_named_with_its_folder_and_recorded_once(bench):
    bench.orders("orders.csv")
    (report,) = bench.ingest().files
    assert report.status == "quarantined"
    assert report.messages[0] == (
        f"{bench.inbox}/orders.csv: the file is missing; deliver it, or correct files of feed"
        ' "orders"'
    )
    assert bench.ingest().files[0].status == "missing"
    assert bench.ask("select status, records from files") == [("quarantined", 0)]


def test_a_missing_folder_is_told_and_other_sources_go_on(bench):
    bench.orders("orders.csv")
    bench.source(order_feed("x.csv"), name="away", folder="nowhere")
    bench.deliver("orders.csv", GOOD)
    away, shop = bench.ingest().files
    assert (away.status, shop.status) == ("missing", "loaded")
    assert "there is no folder" in away.messages[0]


def test_a_folder_from_an_unset_variable_is_told_and_other_sources_go_on(bench):
    bench.orders("orders.csv")
    bench.source(order_feed("x.csv"), name="away", folder="${COHORTE_NOT_SET}")
    bench.deliver("orders.csv", GOOD)
    away, shop = bench.ingest().files
    assert (away.status, shop.status) == ("missing", "loaded")
    assert "COHORTE_NOT_SET is not set" in away.messages[0]


def test_a_pattern_without_a_file_is_told_until_one_came(bench):
    bench.orders("orders_*.csv")
    assert bench.ingest().files[0].status == "missing"
    path = bench.deliver("orders_1.csv", GOOD)
    assert bench.ingest().files[0].status == "loaded"
    path.unlink()
    assert bench.ingest().files == []


@pytest.mark.parametrize("content", ["", "\n\n", "\ufeff"])
def test_an_empty_file_is_quarantined(bench, content):
    bench.orders()
    report = bench.ingest_one("orders.csv", content)
    assert report.status == "quarantined"
    assert codes(bench) == ["empty_file"]
    assert report.messages[0].startswith("orders.csv: the file ")


def test_a_header_without_rows_is_a_quiet_day(bench):
    bench.orders()
    report = bench.ingest_one("orders.csv", HEADER)
    assert (report.status, report.records, report.messages) == ("empty", 0, ())


def test_a_file_that_breaks_off_is_quarantined_with_its_last_line(bench):
    bench.orders()
    report = bench.ingest_one("orders.csv", GOOD + "T99,2026-02")
    assert report.status == "quarantined"
    assert report.messages[0] == (
        "orders.csv line 22: the file breaks off: 2 fields instead of 4 in its last line, which"
        " has no end; transfer it again, whole"
    )
    assert bench.ask("select count(*) from orders") == [(0,)]
    assert bench.ask("select line, reason from rejected_rows") == [(22, "truncated_file")]


def test_a_file_that_breaks_off_in_a_quote_is_quarantined(bench):
    bench.orders()
    assert bench.ingest_one("orders.csv", GOOD + '"T99').status == "quarantined"
    assert codes(bench) == ["truncated_file"]


def test_a_last_line_without_end_is_no_truncation(bench):
    bench.orders()
    assert bench.ingest_one("orders.csv", GOOD.rstrip("\n")).accepted == 20


def test_a_duplicated_header_names_the_column(bench):
    bench.orders()
    report = bench.ingest_one("orders.csv", GOOD.replace("Client", "Montant", 1))
    assert report.messages[0] == (
        'orders.csv line 1: the column "Montant" stands twice in the header; rename one of them'
        " in the export"
    )
    assert bench.ask("select line, column_name, reason from rejected_rows") == [
        (1, "Montant", "duplicated_header")
    ]


def test_a_missing_required_column_quarantines_the_file_and_hints_at_the_name(bench):
    bench.orders()
    report = bench.ingest_one("orders.csv", GOOD.replace("Ticket", "Tickets", 1))
    assert report.status == "quarantined"
    assert report.messages[0] == (
        'orders.csv line 1: no column "Ticket", which orders.order_id needs; the file has Tickets,'
        ' Date, Montant, Client; is it "Tickets"? correct the export, or the mapping of feed'
        ' "orders"'
    )
    assert bench.ask("select count(*) from orders") == [(0,)]


def test_a_missing_optional_column_warns_and_the_rows_enter(bench):
    bench.orders()
    report = bench.ingest_one("orders.csv", GOOD.replace("Montant", "Total", 1))
    assert (report.status, report.accepted) == ("loaded", 20)
    assert report.messages == ('orders.csv: no column "Montant"; orders.gross_amount stays empty',)
    assert bench.ask("select count(gross_amount) from orders") == [(0,)]
    assert json.loads(bench.ask("select _extra from orders limit 1")[0][0]) == {"Total": "1.50"}


def test_a_declared_encoding_that_does_not_hold_names_the_line_and_the_byte(bench):
    bench.orders(encoding="utf-8")
    report = bench.ingest_one("orders.csv", GOOD.replace("C7", "Zoé").encode("cp1252"))
    assert report.status == "quarantined"
    assert report.messages[0] == (
        "orders.csv line 8: byte 0xE9 is not UTF-8; declare the encoding of feed"
        ' "orders", such as encoding: cp1252'
    )


def test_an_encoding_that_is_neither_utf_8_nor_cp1252_is_told(bench):
    bench.orders()
    report = bench.ingest_one("orders.csv", GOOD.encode().replace(b"C7", b"\x81\xe9"))
    assert "line 8: byte 0x81 is neither UTF-8 nor cp1252" in report.messages[0]


def test_an_unknown_encoding_is_told(bench):
    bench.orders(encoding="klingon")
    assert 'no encoding is called "klingon"' in bench.ingest_one("orders.csv", GOOD).messages[0]


def test_a_few_bad_bytes_in_utf_8_reject_their_lines_only(bench):
    bench.orders()
    text = "".join(f"T{n},2026-01-01,1.5,Zoé {n}\n" for n in range(100))
    content = (HEADER + text).encode().replace("Zoé 41\n".encode(), b"Zo\xe9 41\n")
    report = bench.ingest_one("orders.csv", content)
    assert (report.status, report.accepted, report.rejected) == ("loaded", 99, 1)
    assert bench.ask("select line, reason from rejected_rows") == [(43, "wrong_encoding")]
    assert bench.ask("select distinct substr(contact_id, 1, 3) from orders") == [("Zoé",)]


@pytest.mark.parametrize(
    ("line", "column", "reason", "value"),
    [
        ("T99,31/02/2026,1.5,C", "ordered_at", "not_a_timestamp", "31/02/2026"),
        ("T99,24-01-05,1.5,C", "ordered_at", "not_a_timestamp", "24-01-05"),
        ("T99,infinity,1.5,C", "ordered_at", "not_a_timestamp", "infinity"),
        ("T99,,1.5,C", "ordered_at", "missing_required", None),
        ("  ,2026-01-01,1.5,C", "order_id", "missing_required", None),
        ('T99,2026-01-01,"1,5",C', "gross_amount", "not_a_number", "1,5"),
        ("T99,2026-01-01,twelve,C", "gross_amount", "not_a_number", "twelve"),
        ("T99,2026-01-01,NaN,C", "gross_amount", "not_a_number", "NaN"),
        ("T99,2026-01-01,1e400,C", "gross_amount", "not_a_number", "1e400"),
        ("T99,2026-01-01", None, "malformed_row", "2 fields instead of 4"),
        ("T99,2026-01-01,1.5,C,D", None, "malformed_row", "5 fields instead of 4"),
        ('"T"99,2026-01-01,1.5,C', None, "malformed_row", "a quote is open or misplaced"),
        ("T99,2026-01-01,1.5,C\0", None, "nul_byte", "the line holds a NUL byte"),
    ],
)
def test_a_bad_row_is_kept_with_file_line_column_reason_value_and_text(
    bench, line, column, reason, value
):
    bench.orders()
    report = bench.ingest_one("orders.csv", f"{GOOD}{line}\nT100,2026-03-01,1,C\n")
    assert (report.status, report.accepted, report.rejected) == ("loaded", 21, 1)
    assert bench.ask("select line, column_name, reason, value, row_text from rejected_rows") == [
        (22, column, reason, value, line)
    ]
    assert bench.ask("select _line from orders where order_id = 'T100'") == [(23,)]
    assert "1 of 22 records rejected; the first: line 22: " in report.messages[0]


def test_an_open_quote_costs_one_line(bench):
    bench.orders()
    lines = [f'T{n},2026-01-01,1.5,"C{n}"\n' for n in range(5000)]
    lines[1234] = 'T1234,2026-01-01,1.5,"C1234\n'
    report = bench.ingest_one("orders.csv", HEADER + "".join(lines))
    assert (report.accepted, report.rejected, report.records) == (4999, 1, 5000)
    assert bench.ask("select line from rejected_rows") == [(1236,)]


def test_over_the_reject_limit_nothing_enters_and_the_rejects_are_kept(bench):
    bench.source(order_feed(), reject_limit=0.1)
    report = bench.ingest_one("orders.csv", GOOD + "T91,x,1,C\nT92,y,1,C\nT93,z,1,C\n")
    assert (report.status, report.records, report.accepted) == ("quarantined", 23, 0)
    assert report.messages[0] == (
        "orders.csv: 3 of 23 records rejected (13.0%), over the limit of 10.0%; the first: line"
        ' 22: orders.ordered_at "x" is not a timestamp; correct the file or the mapping, or raise'
        ' reject_limit of source "shop"'
    )
    assert bench.ask("select count(*) from orders") == [(0,)]
    assert bench.ask("select line from rejected_rows order by 1") == [(22,), (23,), (24,)]


def test_a_quarantined_content_is_taken_again_once_the_mapping_or_the_limit_changed(bench):
    bench.source(order_feed(), reject_limit=0.0)
    bench.deliver("orders.csv", GOOD + "T91,x,1,C\n")
    assert bench.ingest().files[0].status == "quarantined"
    again = bench.ingest().files[0]
    assert again.status == "quarantined"
    assert again.messages[0].endswith("(as before)")
    assert bench.ask("select count(*) from files") == [(1,)]
    bench.source(order_feed(), reject_limit=0.1)
    assert bench.ingest().files[0].status == "loaded"
    assert bench.ask("select count(*) from orders") == [(20,)]


def test_a_bad_file_leaves_the_others_of_its_feed_alone(bench):
    bench.orders()
    for day in range(1, 8):
        bench.deliver(f"orders_{day}.csv", f"{HEADER}D{day},2026-01-0{day},1.5,C\n" * 1)
    bench.deliver("orders_3.csv", HEADER + "D3,2026-01-03\n")
    bench.deliver("orders_5.csv", "")
    bench.deliver("orders_6.csv", HEADER + 'D6,2026-01-06,1.5,"two\nlines"\n')
    statuses = {file.name: file.status for file in bench.ingest().files}
    assert statuses == {
        f"orders_{day}.csv": "quarantined" if day in (3, 5) else "loaded" for day in range(1, 8)
    }
    assert bench.ask("select order_id, _line from orders order by 1") == [
        (f"D{day}", 2) for day in (1, 2, 4, 6, 7)
    ]


def test_a_cut_gzip_is_quarantined(bench):
    bench.orders("orders.csv.gz")
    report = bench.ingest_one("orders.csv.gz", gzip.compress(GOOD.encode())[:-20])
    assert (report.status, codes(bench)) == ("quarantined", ["truncated_file"])


def test_a_gzip_that_swells_beyond_reason_is_refused(bench, monkeypatch):
    monkeypatch.setattr("pipelines.connectors.archive.FREE_BYTES", 1_000_000)
    bench.orders("orders.csv.gz")
    report = bench.ingest_one("orders.csv.gz", gzip.compress(b"x" * 50_000_000))
    assert (report.status, codes(bench)) == ("quarantined", ["swollen_archive"])


@pytest.mark.parametrize("form", ["parquet", "excel"])
def test_a_file_that_is_not_of_its_format_is_quarantined(bench, form):
    bench.orders("orders.bin", format=form)
    report = bench.ingest_one("orders.bin", "no such thing")
    assert report.status == "quarantined"
    assert report.messages[0].startswith("orders.bin: it does not read as ")


def test_a_cut_parquet_is_quarantined(bench):
    bench.orders("orders.parquet", format="parquet")
    path = bench.inbox / "whole.parquet"
    pl.DataFrame({"Ticket": ["T1"], "Date": ["2026-01-01"]}).write_parquet(path)
    content = path.read_bytes()
    path.unlink()
    assert bench.ingest_one("orders.parquet", content[:-9]).status == "quarantined"


def test_a_missing_sheet_is_told_with_those_there(bench):
    import xlsxwriter

    bench.orders("orders.xlsx", format="excel", sheet="Ventes")
    with xlsxwriter.Workbook(bench.inbox / "orders.xlsx") as workbook:
        workbook.add_worksheet("Sales")
    (report,) = bench.ingest().files
    assert 'no sheet "Ventes"; the workbook has Sales' in report.messages[0]


def test_a_json_line_that_is_no_object_is_a_reject(bench):
    bench.orders("orders.jsonl", format="json_lines")
    good = [json.dumps({"Ticket": f"T{n}", "Date": "2026-01-01"}) for n in range(40)]
    content = "\n".join([*good, '{"Ticket": "T40"', "", "[1, 2]", good[0]]) + "\n"
    report = bench.ingest_one("orders.jsonl", content)
    assert (report.records, report.accepted, report.rejected) == (43, 41, 2)
    assert bench.ask("select line, reason, row_text from rejected_rows order by 1") == [
        (41, "malformed_row", '{"Ticket": "T40"'),
        (43, "malformed_row", "[1, 2]"),
    ]
    assert bench.ask("select max(_line) from orders") == [(44,)]


def test_a_json_file_that_breaks_off_is_quarantined(bench):
    bench.orders("orders.jsonl", format="json_lines")
    report = bench.ingest_one("orders.jsonl", '{"Ticket":"T1","Date":"2026-01-01"}\n{"Tick')
    assert (report.status, codes(bench)) == ("quarantined", ["truncated_file"])


def test_a_database_that_is_not_there_is_told_without_its_password(bench):
    feed = {"feed": "orders", "format": "database", "table": "sales", "entities": ORDERS}
    bench.source(
        feed | {"url": f"sqlite:///{bench.root}/absent.db"},
        feed | {"feed": "other", "url": "nosuch://me:secret@host/db"},
    )
    absent, unknown = bench.ingest().files
    assert (absent.status, unknown.status) == ("quarantined", "quarantined")
    assert "there is no database" in absent.messages[0]
    assert not (bench.root / "absent.db").exists()
    assert "secret" not in unknown.messages[0]


@pytest.mark.parametrize("name", ["orders[1].csv", "orders *.csv", "orders'x.csv", "orders{a}.csv"])
def test_names_that_look_like_patterns_or_quotes_read(bench, name):
    bench.orders()
    bench.deliver("orders1.csv", GOOD.replace("T", "U").replace("Uicket", "Ticket"))
    bench.deliver(name, GOOD)
    assert {file.status for file in bench.ingest().files} == {"loaded"}
    assert bench.ask("select count(*), count(distinct order_id) from orders") == [(40, 40)]


def test_a_variable_that_is_not_set_stops_its_feed_only(bench):
    feed = {"feed": "a", "format": "database", "table": "t", "url": "${NOT_SET_AT_ALL}"}
    bench.source(feed | {"entities": ORDERS}, order_feed())
    bench.deliver("orders.csv", GOOD)
    for _ in range(2):
        unset, orders = bench.ingest().files
        assert (unset.status, orders.status in ("loaded", "known")) == ("quarantined", True)
        assert "NOT_SET_AT_ALL is not set" in unset.messages[0]
    assert bench.ask("select count(*) from files where feed = 'a'") == [(1,)]


def test_a_message_on_the_file_s_name_only_never_the_machine_s_path(bench, tmp_path: Path):
    bench.orders()
    bench.deliver("orders.csv", "Ticket\n1\n")
    assert str(tmp_path) not in bench.ingest().files[0].messages[0]
