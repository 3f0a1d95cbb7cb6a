"""Excel, JSON lines, Parquet and databases give the same rows as delimited text."""

from __future__ import annotations

import io
import json
import sqlite3
import zipfile
from datetime import date
from decimal import Decimal

import polars as pl
import pytest
import xlsxwriter

from cohorte.paths import templates_dir
from pipelines.connectors.ebcdic import register_codecs
from pipelines.connectors.packed import unpacked, unzoned
from pipelines.ingest import _Intake
from tests.pipelines.workbench import ORDERS, instant, order_feed

ANSWER = "select order_id, ordered_at, gross_amount, contact_id, _line from orders order by _line"


def test_excel_keeps_rows_dates_and_leading_zeros(bench):
    bench.orders("book.xlsx", format="excel", sheet="Ventes", header_row=3)
    with xlsxwriter.Workbook(bench.inbox / "book.xlsx") as book:
        book.add_worksheet("Notes")
        sheet = book.add_worksheet("Ventes")
        day = book.add_format({"num_format": "dd/mm/yyyy"})
        sheet.merge_range(0, 1, 0, 4, "Sales of the year")
        sheet.write_row(2, 1, ["Ticket", "Date", "Montant", "Client", "Notes"])
        sheet.write_row(3, 1, ["T1"])
        sheet.write_datetime(3, 2, instant("2026-01-05 00:00:00"), day)
        sheet.write_row(3, 3, [12.5, "007", "=1+1 as text"])
        sheet.write_row(5, 1, ["T2", "2026-01-06 10:30:00", 3])
    (report,) = bench.ingest().files
    assert (report.records, report.accepted, report.messages) == (2, 2, ())
    assert bench.ask(ANSWER) == [
        ("T1", instant("2026-01-05 00:00:00"), Decimal("12.5"), "007", 4),
        ("T2", instant("2026-01-06 10:30:00"), Decimal(3), None, 6),
    ]
    assert json.loads(bench.ask("select _extra from orders order by _line")[0][0])["Notes"]


def test_excel_rejects_name_the_sheet_s_row(bench):
    bench.source(order_feed("book.xlsx", format="excel"), reject_limit=1)
    with xlsxwriter.Workbook(bench.inbox / "book.xlsx") as book:
        sheet = book.add_worksheet()
        sheet.write_row(0, 0, ["Ticket", "Date", "Montant", "Client"])
        sheet.write_row(4, 0, ["T1", "soon", 1, "c"])
    bench.ingest()
    ((line, reason, text),) = bench.ask("select line, reason, row_text from rejected_rows")
    assert (line, reason) == (5, "not_a_timestamp")
    assert json.loads(text) == {"Ticket": "T1", "Date": "soon", "Montant": "1", "Client": "c"}


def test_excel_without_header_takes_the_declared_names(bench):
    names = ["Ticket", "Date", "Montant", "Client"]
    bench.orders("book.xlsx", format="excel", header=False, columns=names)
    with xlsxwriter.Workbook(bench.inbox / "book.xlsx") as book:
        book.add_worksheet().write_row(0, 0, ["T1", "2026-01-05", 1, "c"])
    bench.ingest()
    assert bench.ask("select order_id, contact_id, _line from orders") == [("T1", "c", 1)]


JSON_ENTITIES = {
    "orders": {
        "columns": {
            "order_id": "$.id",
            "ordered_at": "$.at",
            "contact_id": "$.customer.email",
            "status": "status",
        }
    },
    "order_lines": {
        "explode": "$.lines",
        "columns": {
            "order_id": "$.id",
            "line_number": "@.n",
            "product_id": "@.sku",
            "quantity": "@.qty",
        },
    },
}


def json_line(n: int, **more: object) -> str:
    order = {
        "id": f"W{n}",
        "at": "2026-01-05T10:00:00+01:00",
        "customer": {"email": f"c{n}@example.com", "vip": True},
        "status": "shipped",
        "lines": [{"n": 1, "sku": "A", "qty": 2, "gift": True}, {"n": 2, "sku": "B", "qty": 1.5}],
    }
    return json.dumps(order | more)


def test_json_lines_flatten_and_explode(bench):
    bench.source(
        {"feed": "o", "files": "o.jsonl", "format": "json_lines", "entities": JSON_ENTITIES}
    )
    content = [
        json_line(1),
        json_line(2, lines=[]),
        json_line(3, lines=None),
        json_line(4, note="x"),
    ]
    report = bench.ingest_one("o.jsonl", "\n".join(content))
    assert (report.records, report.accepted) == (4, 4)
    assert dict(report.rows) == {"orders": 4, "order_lines": 4}
    assert bench.ask("select distinct ordered_at, status from orders") == [
        (instant("2026-01-05 09:00:00"), "shipped")
    ]
    assert bench.ask(
        "select order_id, line_number, product_id, quantity, _line from order_lines order by all"
    ) == [
        ("W1", 1, "A", Decimal(2), 1),
        ("W1", 2, "B", Decimal("1.5"), 1),
        ("W4", 1, "A", Decimal(2), 4),
        ("W4", 2, "B", Decimal("1.5"), 4),
    ]
    extras = [
        json.loads(extra) for (extra,) in bench.ask("select _extra from orders order by _line")
    ]
    assert extras[0] == {"customer": {"vip": True}}
    assert extras[3] == {"customer": {"vip": True}, "note": "x"}
    lines = "select line_number, _extra from order_lines where order_id = 'W1' order by 1"
    assert bench.ask(lines) == [(1, '{"gift":true}'), (2, None)]


def test_a_json_element_that_does_not_fit_rejects_its_row_only(bench):
    feed = {"feed": "o", "files": "o.jsonl", "format": "json_lines", "entities": JSON_ENTITIES}
    bench.source(feed, reject_limit=1)
    lines = [
        json_line(1, lines=[{"n": 1, "qty": "many"}, {"n": "one", "qty": 1}, {"n": 3, "qty": 1}]),
        json_line(2, lines="none"),
        json_line(3),
    ]
    report = bench.ingest_one("o.jsonl", "\r\n".join(lines) + "\r\n")
    assert (report.records, report.accepted, report.rejected) == (3, 1, 2)
    assert dict(report.rows) == {"orders": 3, "order_lines": 3}
    assert bench.ask(
        "select entity, line, column_name, reason, value from rejected_rows order by line, reason"
    ) == [
        ("order_lines", 1, "quantity", "not_a_number", "many"),
        ("order_lines", 1, "line_number", "not_an_integer", "one"),
        ("order_lines", 2, None, "not_a_list", None),
    ]


def test_json_lines_of_any_bytes_are_all_accounted_for(bench):
    entities = {"orders": {"columns": {"order_id": "id", "ordered_at": {"constant": "2026-01-01"}}}}
    feed = {"feed": "o", "files": "o.jsonl", "format": "json_lines", "entities": entities}
    bench.source(feed, reject_limit=1)
    lines = [b'{"id":"1"}', b'{"id":"\x07"}', b'{"id":"2\x00"}', b'{"id":"\xff"}', b"", b"null"]
    lines += [json.dumps({"id": "x" * 3_000_000}).encode(), '{"id":"é"}'.encode() * 1]
    lines += ['{"id":"éé"}'.encode()] * 20
    report = bench.ingest_one("o.jsonl", b"\n".join(lines))
    assert (report.records, report.accepted, report.rejected) == (27, 22, 5)
    assert bench.ask("select line, reason from rejected_rows order by 1") == [
        (2, "malformed_row"),
        (3, "nul_byte"),
        (4, "wrong_encoding"),
        (6, "malformed_row"),
        (7, "field_too_long"),
    ]


def test_parquet_types_go_through_and_equal_the_text(bench):
    columns = {
        "order_id": {"column": "Ticket", "transform": "integer"},
        "ordered_at": "Date",
        "gross_amount": "Montant",
        "delivered_at": "Jour",
        "store": "Magasin",
    }
    entities = {"orders": {"columns": columns}}
    bench.source(
        {"feed": "text", "files": "o.csv", "entities": entities},
        {"feed": "typed", "files": "o.parquet", "format": "parquet", "entities": entities},
        time_zone="Europe/Paris",
    )
    bench.deliver(
        "o.csv",
        "Ticket,Date,Montant,Jour,Magasin\n17850.0,2026-07-01 08:30:00,2.55,2026-07-02,3\n"
        "17851.0,2026-01-01 08:30:00,-0.1,,4\n",
    )
    pl.DataFrame(
        {
            "Ticket": [17850.0, 17851.0],
            "Date": [instant("2026-07-01 08:30:00"), instant("2026-01-01 08:30:00")],
            "Montant": [2.55, -0.1],
            "Jour": [date(2026, 7, 2), None],
            "Magasin": [3, 4],
        }
    ).write_parquet(bench.inbox / "o.parquet")
    assert [file.accepted for file in bench.ingest().files] == [2, 2]
    assert bench.ask("select count(*), count(distinct _row_hash) from orders") == [(4, 2)]
    assert bench.ask("select order_id, ordered_at, delivered_at, store from orders limit 1") == [
        ("17850", instant("2026-07-01 06:30:00"), instant("2026-07-01 22:00:00"), "3")
    ]


def test_parquet_values_that_do_not_fit_are_rejected_with_their_row(bench):
    entities = {
        "surveys": {
            "columns": {
                "survey_id": "id",
                "kind": {"constant": "nps"},
                "score": "score",
                "answered_at": "when",
            }
        }
    }
    feed = {"feed": "s", "files": "s.parquet", "format": "parquet", "entities": entities}
    bench.source(feed, reject_limit=1)
    pl.DataFrame(
        {"id": ["a", "b"], "score": [9.0, 9.5], "when": ["2026-01-01", "2026-01-01"]}
    ).write_parquet(bench.inbox / "s.parquet")
    bench.ingest()
    assert bench.ask("select survey_id, score from surveys") == [("a", 9)]
    ((line, column, reason, value, text),) = bench.ask(
        "select line, column_name, reason, value, row_text from rejected_rows"
    )
    assert (line, column, reason, value) == (2, "score", "not_an_integer", "9.5")
    assert json.loads(text) == {"id": "b", "score": 9.5, "when": "2026-01-01"}


@pytest.fixture
def till_database(bench, monkeypatch):
    path = bench.root / "tills.db"
    with sqlite3.connect(path) as tills:
        tills.execute('create table "sales 2026" (Ticket, Date text, Montant, Client)')
        rows = [("T1", "2026-01-05", 12.5, "c"), (2, "2026-01-06", "3", None), ("T3", "x", 1, "d")]
        tills.executemany('insert into "sales 2026" values (?, ?, ?, ?)', rows)
    tills.close()
    monkeypatch.setenv("TILLS_URL", f"sqlite:///{path}")
    return path


def test_a_database_table_streams_in_and_is_new_only_when_its_rows_are(bench, till_database):
    feed = {"feed": "o", "format": "database", "url": "${TILLS_URL}", "entities": ORDERS}
    bench.source(feed | {"table": "sales 2026"}, reject_limit=0.5)
    (report,) = bench.ingest().files
    assert (report.name, report.records, report.rejected) == ("sales 2026", 3, 1)
    assert bench.ask(ANSWER) == [
        ("T1", instant("2026-01-05 00:00:00"), Decimal("12.5"), "c", 1),
        ("2", instant("2026-01-06 00:00:00"), Decimal(3), None, 2),
    ]
    assert bench.ingest().files[0].status == "known"
    with sqlite3.connect(till_database) as tills:
        tills.execute('update "sales 2026" set Date = ? where Ticket = ?', ("2026-01-07", "T3"))
    tills.close()
    assert bench.ingest().files[0].accepted == 3
    assert bench.ask("select count(*) from files") == [(2,)]


def test_a_database_query_says_which_rows(bench, till_database):
    query = """select * from "sales 2026" where Ticket like 'T%'"""
    feed = {"feed": "o", "format": "database", "url": "${TILLS_URL}", "entities": ORDERS}
    bench.source(feed | {"query": query}, reject_limit=1)
    assert bench.ingest().files[0].records == 2


def test_a_query_the_database_does_not_understand_is_told(bench, till_database):
    feed = {"feed": "o", "format": "database", "url": "${TILLS_URL}", "entities": ORDERS}
    bench.source(feed | {"query": "select * from nowhere"})
    (report,) = bench.ingest().files
    assert report.status == "quarantined"
    assert "no such table: nowhere" in report.messages[0]


@pytest.mark.parametrize("form", ["delimited", "json_lines", "parquet"])
def test_files_of_one_shape_are_read_together(bench, form, monkeypatch):
    bench.orders("orders_*", format=form)
    for day in range(1, 6):
        row = {"Ticket": f"T{day}", "Date": f"2026-01-0{day}", "Montant": "1", "Client": "c"}
        path = bench.inbox / f"orders_{day}"
        match form:
            case "delimited":
                path.write_text("\n".join([",".join(row), ",".join(row.values()), ""]))
            case "json_lines":
                path.write_text(json.dumps(row) + "\n")
            case "parquet":
                pl.DataFrame([row]).write_parquet(path)
    groups = []
    finish = _Intake._finish
    monkeypatch.setattr(
        _Intake,
        "_finish",
        lambda self, read, *rest: groups.append(read) or finish(self, read, *rest),
    )
    assert bench.ingest().accepted == 5
    assert [len(group) for group in groups] == [5]
    found = bench.ask("select order_id, name, _line from orders join files on file_id = _file_id")
    line = 2 if form == "delimited" else 1
    assert sorted(found) == [(f"T{day}", f"orders_{day}", line) for day in range(1, 6)]


def test_a_damaged_parquet_among_good_ones_stops_itself_only(bench):
    bench.orders("orders_*", format="parquet")
    for day in range(1, 5):
        row = {"Ticket": [f"T{day}"] * 5000, "Date": ["2026-01-01"] * 5000}
        pl.DataFrame(row).write_parquet(bench.inbox / f"orders_{day}", compression="uncompressed")
    damaged = bytearray((bench.inbox / "orders_2").read_bytes())
    damaged[4:400] = b"\xff" * 396
    (bench.inbox / "orders_2").write_bytes(damaged)
    statuses = [file.status for file in bench.ingest().files]
    assert statuses == ["loaded", "quarantined", "loaded", "loaded"]
    assert bench.ask("select count(*) from orders") == [(15000,)]


def test_a_day_number_of_a_spreadsheet_is_a_date(bench):
    columns = ORDERS["orders"]["columns"] | {
        "ordered_at": {"column": "Date", "formats": ["%d/%m/%Y", "excel"]}
    }
    text = (
        "Ticket,Date,Montant,Client\nT1,46023,1,C\nT2,46023.5,1,C\nT3,31/01/2026,1,C\nT4,12,1,C\n"
    )
    bench.source(order_feed() | {"entities": {"orders": {"columns": columns}}}, reject_limit=0.5)
    bench.ingest_one("orders.csv", text)
    assert bench.ask("select order_id, ordered_at::varchar from orders order by 1") == [
        ("T1", "2026-01-01 00:00:00"),
        ("T2", "2026-01-01 12:00:00"),
        ("T3", "2026-01-31 00:00:00"),
    ]
    assert bench.ask("select line, reason from rejected_rows") == [(5, "not_a_timestamp")]


def test_a_part_of_a_text_fills_a_column(bench):
    columns = {
        "postcode": "cp",
        "latitude": {"column": "gps", "split": ",", "part": 1},
        "longitude": {"column": "gps", "split": ",", "part": 2},
    }
    bench.source({"feed": "p", "files": "p.csv", "entities": {"places": {"columns": columns}}})
    bench.ingest_one("p.csv", "cp;gps\n42000;45.43, 4.39\n")
    assert bench.ask("select latitude::varchar, longitude::varchar from places") == [
        ("45.4300", "4.3900")
    ]


def test_the_postal_codes_of_france_are_a_source_to_copy(bench, shared_data):
    sample = templates_dir() / "blank" / "sources" / "france.yml.sample"
    (bench.root / "sources" / "france.yml").write_text(sample.read_text(encoding="utf-8"))
    content = (shared_data / "france" / "laposte_hexasmal.csv").read_bytes()
    report = bench.ingest_one("laposte_hexasmal.csv", content)
    assert (report.status, report.rejected) == ("loaded", 0)
    assert report.records == 39_192
    assert bench.ask(
        "select count(*), round(avg(latitude), 1)::varchar from places where postcode = '69003'"
    ) == [(1, "45.8")]


@pytest.mark.parametrize(
    ("encoding", "line_end"),
    [
        *(
            (encoding, end)
            for encoding in ("cp1147", "cp297", "cp037")
            for end in ("\n", "\r\n", "")
        ),
        ("utf-8", "\n"),
        ("utf-8", "\r\n"),
    ],
)
def test_fixed_width_extracts_read_in_ebcdic_and_without_line_ends(bench, encoding, line_end):
    fields = [
        {"name": "Ticket", "start": 1, "length": 6},
        {"name": "Date", "start": 7, "length": 8},
        {"name": "Montant", "start": 15, "length": 10},
        {"name": "Client", "start": 25, "length": 16},
    ]
    columns = ORDERS["orders"]["columns"] | {
        "ordered_at": {"column": "Date", "formats": ["%Y%m%d"]}
    }
    euro = " €" if encoding in ("cp1147", "utf-8") else ""
    lines = [f"T{n:05}202601{n + 1:02}{n * 1.5:10.2f}{'Zoé à l' + euro:<16}" for n in range(20)]
    feed = {
        "feed": "o",
        "files": "o.txt",
        "format": "fixed_width",
        "encoding": encoding,
        "fields": fields,
        "entities": {"orders": {"columns": columns}},
    }
    if not line_end:
        feed["record_length"] = 40
    bench.source(feed)
    register_codecs()
    bench.ingest_one("o.txt", "".join(line + line_end for line in lines).encode(encoding))
    assert bench.ask(
        "select count(*), sum(gross_amount)::varchar, min(contact_id) from orders"
    ) == [(20, "285.0000", f"Zoé à l{euro}")]


def test_a_fixed_width_line_of_another_length_is_rejected(bench):
    fields = [
        {"name": "Ticket", "start": 1, "length": 3},
        {"name": "Date", "start": 5, "length": 10},
    ]
    columns = {"order_id": "Ticket", "ordered_at": "Date"}
    bench.source(
        {
            "feed": "o",
            "files": "o.txt",
            "format": "fixed_width",
            "fields": fields,
            "entities": {"orders": {"columns": columns}},
        },
        reject_limit=0.5,
    )
    report = bench.ingest_one(
        "o.txt", "T01 2026-01-01\nT02\n\nT03 2026-01-01 and more\nT04 2026-01-02\n"
    )
    assert (report.records, report.accepted) == (4, 2)
    assert bench.ask("select line, reason from rejected_rows order by 1") == [
        (2, "malformed_row"),
        (4, "malformed_row"),
    ]


def test_a_record_that_breaks_off_is_told(bench):
    bench.source(
        {
            "feed": "o",
            "files": "o.txt",
            "format": "fixed_width",
            "record_length": 15,
            "fields": [
                {"name": "a", "start": 1, "length": 5},
                {"name": "b", "start": 6, "length": 10},
            ],
            "entities": {"orders": {"columns": {"order_id": "a", "ordered_at": "b"}}},
        }
    )
    report = bench.ingest_one("o.txt", "T0001" + "2026-01-01" + "T00")
    assert report.status == "quarantined"
    assert "no whole number of records of 15" in report.messages[0]


def test_cp850_reads_by_declaration(bench):
    bench.orders(encoding="cp850")
    bench.ingest_one(
        "orders.csv", "Ticket,Date,Montant,Client\nT1,2026-01-01,1,Zoé\n".encode("cp850")
    )
    assert bench.ask("select contact_id from orders") == [("Zoé",)]


def test_a_json_document_gives_its_list(bench):
    rows = [
        {"Ticket": f"T{n}", "Date": "2026-01-01", "Montant": 1.1, "Client": None} for n in range(5)
    ]
    columns = {name: f"$.{column}" for name, column in ORDERS["orders"]["columns"].items()}
    feed = order_feed("o.json", format="json", records="$.page.rows")
    bench.source(feed | {"entities": {"orders": {"columns": columns}}})
    bench.ingest_one("o.json", json.dumps({"page": {"rows": rows}}, indent=2))
    assert bench.ask("select count(*), sum(gross_amount)::varchar from orders") == [(5, "5.5000")]


def test_the_files_of_a_zip_are_deliveries_of_their_own(bench):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as packed:
        for n in (1, 2):
            packed.writestr(f"in/o{n}.csv", f"Ticket,Date,Montant,Client\nT{n},2026-01-01,1,C\n")
        packed.writestr("__MACOSX/._o1.csv", "litter")
    bench.orders("*.zip")
    bench.deliver("orders.zip", buffer.getvalue())
    assert [(f.name, f.status) for f in bench.ingest().files] == [
        ("orders.zip/in/o1.csv", "loaded"),
        ("orders.zip/in/o2.csv", "loaded"),
    ]
    assert [f.status for f in bench.ingest().files] == ["known", "known"]


PACKED = [
    ("01234C", 2, "12.34"), ("01234D", 2, "-12.34"), ("5F", 2, "0.05"), ("000F", 0, "0"),
    ("9999999999999D", 0, "-9999999999999"), ("7C", 0, "7"), ("000000", 2, ""), ("404040", 2, ""),
    ("12A4C0", 2, "X'12a4c0'"), ("012345", 2, "X'012345'"), ("1B", 3, "-0.001"), ("5A", 0, "5"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "decimals", "number"), PACKED)
def test_a_packed_decimal_is_a_number_or_told_as_its_bytes(data, decimals, number):
    data = data.rjust(len(data) + len(data) % 2, "0")
    assert unpacked(bytes.fromhex(data), decimals) == number


ZONED = [
    (b"00123D", 2, "12.34"), (b"00123M", 2, "-12.34"), (b"0000{", 2, "0.00"), (b"1}", 0, "-10"),
    (b"42", 0, "42"), (b"12t", 1, "-12.4"), (b"F", 0, "6"), (b"R", 3, "-0.009"), (b"   ", 2, ""),
    (bytes.fromhex("F1F2C3"), 1, "12.3"), (bytes.fromhex("F1F2D3"), 1, "-12.3"),
    (bytes.fromhex("F1F2F3"), 0, "123"), (bytes.fromhex("D0"), 0, "0"), (bytes(3), 2, ""),
    (b"12 3", 0, "X'31322033'"), (b"1A2", 0, "X'314132'"), (b"12Z", 0, "X'31325a'"),
]  # fmt: skip


@pytest.mark.parametrize(("data", "decimals", "number"), ZONED)
def test_a_zoned_decimal_is_a_number_or_told_as_its_bytes(data, decimals, number):
    assert unzoned(data, decimals) == number


def test_packed_and_zoned_decimals_read_amid_ebcdic_text_and_bad_ones_are_rejected(bench):
    bench.source(
        {
            "feed": "o",
            "files": "o.txt",
            "format": "fixed_width",
            "encoding": "cp297",
            "decimal": ",",
            "record_length": 26,
            "fields": [
                {"name": "Ticket", "start": 1, "length": 4},
                {"name": "Montant", "start": 5, "length": 4, "packed": True, "decimals": 2},
                {"name": "Date", "start": 9, "length": 5, "packed": True},
                {"name": "Client", "start": 14, "length": 9},
                {"name": "Taxe", "start": 23, "length": 4, "zoned": True, "decimals": 2},
            ],
            "entities": {
                "orders": {
                    "columns": {
                        "order_id": "Ticket",
                        "ordered_at": {"column": "Date", "formats": ["%Y%m%d"]},
                        "gross_amount": "Montant",
                        "contact_id": "Client",
                        "tax_amount": "Taxe",
                    }
                }
            },
        },
        reject_limit=0.5,
    )
    register_codecs()

    def record(number, amount):
        day = bytes.fromhex("020260131F"[-10:])
        return (
            f"T{number:03}".encode("cp297")
            + bytes.fromhex(amount)
            + day
            + "Zoé".ljust(9).encode("cp297")
            + bytes.fromhex("F0F1F2D3")
        )

    amounts = ["0012345C", "0000050D", "00000000", "0A15250C", "1525150F"]
    report = bench.ingest_one("o.txt", b"".join(map(record, range(5), amounts)))
    assert (report.records, report.accepted) == (5, 4)
    assert bench.ask(
        "select order_id, gross_amount::varchar, ordered_at::date::varchar, contact_id,"
        " tax_amount::varchar"
        " from orders order by 1"
    ) == [
        ("T000", "123.4500", "2026-01-31", "Zoé", "-1.2300"),
        ("T001", "-0.5000", "2026-01-31", "Zoé", "-1.2300"),
        ("T002", None, "2026-01-31", "Zoé", "-1.2300"),
        ("T004", "15251.5000", "2026-01-31", "Zoé", "-1.2300"),
    ]
    assert bench.ask("select line, column_name, value from rejected_rows") == [
        (4, "gross_amount", "X'0a15250c'")
    ]
