"""Dialects declared or detected: encodings, delimiters, line ends, numbers, dates, headers."""

from __future__ import annotations

import gzip
import itertools
import json
from decimal import Decimal
from typing import Any

import pytest

from tests.pipelines.workbench import Bench, instant, order_feed

ROWS = [
    ("T1", "2026-01-01", "1.50", "Zoé"),
    ("T2", "2026-01-02", "2", "a;b,c|d"),
    ("T3", "2026-01-03", "", 'say "no"'),
    ("T4", "2026-01-04", "-4.25", "Ærø\u00a0€"),
]
READ = [
    ("T1", instant("2026-01-01 00:00:00"), Decimal("1.5"), "Zoé"),
    ("T2", instant("2026-01-02 00:00:00"), Decimal(2), "a;b,c|d"),
    ("T3", instant("2026-01-03 00:00:00"), None, 'say "no"'),
    ("T4", instant("2026-01-04 00:00:00"), Decimal("-4.25"), "Ærø\u00a0€"),
]
ANSWER = "select order_id, ordered_at, gross_amount, contact_id from orders order by _line"


def written(delimiter: str = ",", end: str = "\n", rows: list[tuple[str, ...]] = ROWS) -> str:
    lines = [delimiter.join(("Ticket", "Date", "Montant", "Client"))]
    lines += [delimiter.join('"' + f.replace('"', '""') + '"' for f in row) for row in rows]
    return end.join(lines) + end


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "cp1252", "utf-16"])
def test_a_dialect_is_detected(bench, encoding):
    bench.orders()
    dialects = list(itertools.product([",", ";", "\t", "|"], ["\n", "\r\n", "\r"]))
    for number, (delimiter, end) in enumerate(dialects):
        bench.deliver(f"orders_{number:02d}.csv", written(delimiter, end).encode(encoding))
    assert {(file.status, file.messages) for file in bench.ingest().files} == {("loaded", ())}
    for number, (delimiter, end) in enumerate(dialects):
        of_file = ANSWER.replace("orders order", f"orders where _file_id = {number + 1} order")
        assert bench.ask(of_file) == READ
        dialect = json.loads(
            bench.ask(f"select dialect from files where file_id = {number + 1}")[0][0]
        )
        found = (dialect["delimiter"], dialect["line_end"], dialect["encoding"])
        assert found == (delimiter, end, encoding)
    assert bench.ask("select distinct _line from orders order by 1") == [(2,), (3,), (4,), (5,)]


@pytest.mark.parametrize("encoding", ["latin-1", "cp850", "iso8859-15"])
def test_a_declared_encoding_rules(bench, encoding):
    bench.orders(encoding=encoding)
    rows = [("T1", "2026-01-01", "1.50", "Zoé à Évry")]
    bench.ingest_one("orders.csv", written(rows=rows).encode(encoding))
    assert bench.ask("select contact_id from orders") == [("Zoé à Évry",)]


def test_a_declared_delimiter_and_quote_rule(bench):
    bench.orders(delimiter="~", quote="'")
    bench.ingest_one("orders.csv", "Ticket~Date~Montant~Client\nT1~2026-01-01~1~'a~b''c'\n")
    assert bench.ask("select contact_id from orders") == [("a~b'c",)]


def test_without_quotes_every_character_counts(bench):
    bench.orders(quote="")
    bench.ingest_one("orders.csv", 'Ticket,Date,Montant,Client\nT1,2026-01-01,1,5" disk\n')
    assert bench.ask("select contact_id from orders") == [('5" disk',)]


def test_a_compressed_file_reads_as_the_plain_one(bench):
    bench.orders("orders.csv.gz")
    bench.ingest_one("orders.csv.gz", gzip.compress(written(";").encode("cp1252")))
    assert bench.ask(ANSWER) == READ


def test_fields_with_line_ends_keep_the_line_they_start_on(bench):
    bench.orders()
    text = 'Ticket,Date,Montant,Client\nT1,2026-01-01,1,"a\nb\n\nc"\nT2,2026-01-02,2,x\n'
    report = bench.ingest_one("orders.csv", text)
    assert report.records == 2
    assert bench.ask("select order_id, _line, contact_id from orders order by 2") == [
        ("T1", 2, "a\nb\n\nc"),
        ("T2", 6, "x"),
    ]
    assert bench.ask("select dialect ->> '$.reader' from files") == [("fast",)]


def test_blank_lines_are_no_records_and_lines_stay_true(bench):
    bench.orders()
    text = 'Ticket,Date,Montant,Client\n\nT1,2026-01-01,1,"a\nb"\n \nT2,2026-01-02,2,x\n\n'
    report = bench.ingest_one("orders.csv", text)
    assert (report.records, report.accepted) == (2, 2)
    assert bench.ask("select order_id, _line from orders order by 2") == [("T1", 3), ("T2", 6)]
    assert bench.ask("select dialect ->> '$.reader' from files") == [("tolerant",)]


def test_line_ends_of_several_kinds_in_one_file_read(bench):
    bench.orders()
    text = "Ticket,Date,Montant,Client\r\nT1,2026-01-01,1,a\nT2,2026-01-02,2,b\r\n"
    bench.ingest_one("orders.csv", text)
    assert bench.ask("select order_id, contact_id, _line from orders order by 3") == [
        ("T1", "a", 2),
        ("T2", "b", 3),
    ]


def test_a_header_further_down_and_a_header_of_two_lines(bench):
    bench.orders(header_row=3)
    text = 'Export of the tills;;;\n;;;\nTicket;Date;Montant;"Client\n(id)"\nT1;2026-01-01;1;a\n'
    bench.ingest_one("orders.csv", text)
    assert bench.ask("select order_id, _line from orders") == [("T1", 5)]
    assert json.loads(bench.ask("select _extra from orders")[0][0]) == {"Client\n(id)": "a"}


def test_a_file_without_header_takes_the_declared_names(bench):
    bench.orders(header=False, columns=["Ticket", "Date", "Montant", "Client"])
    bench.ingest_one("orders.csv", "T1|2026-01-01|1|a\nT2|2026-01-02|2|b\n")
    assert bench.ask("select order_id, contact_id, _line from orders order by 3") == [
        ("T1", "a", 1),
        ("T2", "b", 2),
    ]


def test_a_file_of_one_column_reads(bench):
    entities = {
        "orders": {"columns": {"order_id": "Ticket", "ordered_at": {"constant": "2026-01-01"}}}
    }
    bench.source({"feed": "orders", "files": "orders.csv", "entities": entities})
    bench.ingest_one("orders.csv", "Ticket\nT1\n\nT2\n")
    assert bench.ask("select order_id, _line from orders order by 2") == [("T1", 2), ("T2", 4)]


NUMBERS = [
    ({}, "1234.5", "1234.5"),
    ({}, " 12 ", "12"),
    ({}, "+.5", "0.5"),
    ({}, "1e3", "1000"),
    ({}, "1 234.5", None),
    ({}, "1,234.5", None),
    ({"decimal": ","}, "1234,5", "1234.5"),
    ({"decimal": ","}, "-0,05", "-0.05"),
    ({"decimal": ","}, "1234", "1234"),
    ({"decimal": ","}, "1.234,5", None),
    ({"decimal": ","}, "1234.5", None),
    ({"decimal": ",", "thousands": "."}, "1.234.567,5", "1234567.5"),
    ({"decimal": ",", "thousands": "."}, "1.2,5", None),
    ({"decimal": ",", "thousands": "."}, "12.5", None),
    ({"decimal": ",", "thousands": " "}, "1 234,5", "1234.5"),
    ({"decimal": ",", "thousands": " "}, "1\u202f234,5", "1234.5"),
    ({"decimal": ",", "thousands": " "}, "-12\u00a0345\u00a0678", "-12345678"),
    ({"decimal": ",", "thousands": " "}, "1 23,5", None),
    ({"thousands": ","}, "1,234.50", "1234.5"),
    ({"thousands": ","}, "1,5", None),
    ({"thousands": "'"}, "1'234.50", "1234.5"),
    ({}, "99999999999999.9999", "99999999999999.9999"),
    ({}, "999999999999999.9", None),
]


def test_numbers_read_as_declared_or_are_rejected(bench):
    found = read_each(bench, "gross_amount", [(keys, text) for keys, text, _ in NUMBERS])
    for (keys, text, amount), value in zip(NUMBERS, found, strict=True):
        assert value == ("not_a_number" if amount is None else Decimal(amount)), (keys, text)


TIMES = [
    ({}, "2026-07-05", instant("2026-07-04 22:00:00")),
    ({}, "2026-07-05 10:30:00", instant("2026-07-05 08:30:00")),
    ({}, "2026-01-05T10:30", instant("2026-01-05 09:30:00")),
    ({}, "2026-07-05T10:30:00Z", instant("2026-07-05 10:30:00")),
    ({}, "2026-07-05 10:30:00+05:30", instant("2026-07-05 05:00:00")),
    ({}, "2026-07-05 10:30:00.5-0200", instant("2026-07-05 12:30:00.500000")),
    ({}, "2026-07-05 10:30:00 America/New_York", instant("2026-07-05 14:30:00")),
    ({}, "05/07/2026", None),
    ({}, "20260705", None),
    ({}, "0001-01-01", None),
    (
        {"timestamp_formats": ["%d/%m/%Y %H:%M"]},
        "05/07/2026 10:30",
        instant("2026-07-05 08:30:00"),
    ),
    ({"timestamp_formats": ["%d/%m/%Y %H:%M"]}, "2026-07-05 10:30", None),
    ({"date_formats": ["%d/%m/%Y"]}, "05/07/2026", instant("2026-07-04 22:00")),
    ({"date_formats": ["%d/%m/%Y"]}, "05/07/26", None),
    ({"date_formats": ["%d/%m/%Y"]}, "31/02/2026", None),
    (
        {"timestamp_formats": ["%Y%m%d", "%d.%m.%Y"]},
        "05.07.2026",
        instant("2026-07-04 22:00:00"),
    ),
    (
        {"timestamp_formats": ["%d/%m/%Y %H:%M%z"]},
        "05/07/2026 10:30+01",
        instant("2026-07-05 09:30:00"),
    ),
    ({"time_zone": "America/New_York"}, "2026-07-05 10:30", instant("2026-07-05 14:30:00")),
]


def test_times_are_taken_in_the_source_s_zone_to_utc(bench):
    cases = [({"time_zone": "Europe/Paris"} | keys, text) for keys, text, _ in TIMES]
    found = read_each(bench, "ordered_at", cases)
    for (keys, text, moment), value in zip(TIMES, found, strict=True):
        assert value == (moment or "not_a_timestamp"), (keys, text)


def read_each(bench: Bench, column: str, cases: list[tuple[dict[str, Any], str]]) -> list[Any]:
    """What a text becomes in a column under each declaration: a value, or why it is rejected."""
    feeds = []
    for number, (keys, text) in enumerate(cases):
        row = [f"T{number}", "2026-01-01", "1", "c"]
        row[1 if column == "ordered_at" else 2] = text
        bench.deliver(f"case_{number}.csv", written(";", rows=[tuple(row)]))
        feeds.append(order_feed(f"case_{number}.csv", **keys) | {"feed": f"case_{number}"})
    bench.source(*feeds, reject_limit=1)
    bench.ingest()
    values = dict(bench.ask(f"select order_id, {column} from orders"))
    reasons = dict(bench.ask("select feed, reason from rejected_rows"))
    texts = dict(bench.ask("select feed, value from rejected_rows"))
    assert all(
        texts[f"case_{n}"] == cases[n][1] for n in range(len(cases)) if f"T{n}" not in values
    )
    return [values.get(f"T{n}", reasons.get(f"case_{n}")) for n in range(len(cases))]


def test_a_mapping_s_own_formats_rule_over_the_feed_s(bench: Bench):
    entities = {
        "contracts": {
            "columns": {
                "contract_id": "n",
                "started_date": {"column": "d", "formats": ["%m-%d-%Y"]},
                "end_date": "e",
            }
        }
    }
    feed = {"feed": "contracts", "files": "c.csv", "entities": entities}
    bench.source(feed | {"date_formats": ["%d/%m/%Y"]})
    bench.ingest_one("c.csv", "n,d,e\n1,12-31-2026,31/12/2027\n")
    found = bench.ask("select started_date::varchar, end_date::varchar from contracts")
    assert found == [("2026-12-31", "2027-12-31")]
