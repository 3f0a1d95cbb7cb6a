"""Hostile and broken files, each with its stated verdict; and good files broken at random."""

# ruff: noqa: E501
from __future__ import annotations

import gzip
import io
import json
import random
import struct
import tempfile
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import polars as pl
import pytest

from pipelines.connectors import archive
from pipelines.ingest import FileReport
from tests.pipelines.workbench import ORDERS, Bench, order_feed

HEADER = b"Ticket,Date,Montant,Client\n"
ROWS = [b"T%d,2026-01-%02d,%d.5,C%d\n" % (n, n % 28 + 1, n, n) for n in range(40)]
GOOD = HEADER + b"".join(ROWS)
LONG = b"x" * (64 * 1024)


@dataclass(frozen=True)
class Case:
    """A file and what must become of it: its status, its code or reasons, its records."""

    name: str
    content: bytes
    status: str
    reasons: tuple[str, ...] = ()
    accepted: int = 0
    rejected: int = 0


def loaded(name: str, content: bytes, accepted: int = 40) -> Case:
    return Case(name, content, "loaded", (), accepted)


def some(name: str, content: bytes, *reasons: str, accepted: int = 40) -> Case:
    return Case(name, content, "loaded", reasons, accepted, len(reasons))


def refused(name: str, content: bytes, code: str) -> Case:
    return Case(name, content, "quarantined", (code,))


def line(text: bytes) -> bytes:
    return GOOD + text + b"\n"


def zipped(*members: tuple[str, bytes], level: int = 6) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=level) as packed:
        for name, content in members:
            packed.writestr(zipfile.ZipInfo(name), content, zipfile.ZIP_DEFLATED)
    return buffer.getvalue()


def locked_zip() -> bytes:
    """An archive whose flags say that it is encrypted."""
    data = bytearray(zipped(("a.csv", GOOD)))
    for mark, place in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.find(mark) + place] |= 1
    return bytes(data)


def lying_zip() -> bytes:
    """An archive whose member swells beyond the size that it states."""
    data = bytearray(zipped(("a.csv", b"x" * 30_000_000)))
    for mark, place in ((b"PK\x03\x04", 22), (b"PK\x01\x02", 24)):
        start = data.find(mark) + place
        data[start : start + 4] = struct.pack("<I", 100)
    return bytes(data)


def parquet() -> bytes:
    buffer = io.BytesIO()
    pl.DataFrame(
        {"Ticket": ["a"], "Date": ["2026-01-01"], "Montant": [1.5], "Client": ["c"]}
    ).write_parquet(buffer)
    return buffer.getvalue()


def objects(count: int = 40) -> bytes:
    rows = [
        {"Ticket": f"J{n}", "Date": "2026-01-01", "Montant": n, "Client": "c"} for n in range(count)
    ]
    return b"".join(json.dumps(row).encode() + b"\n" for row in rows)


def wide(columns: int) -> bytes:
    names = ["Ticket", "Date", "Montant", "Client", *(f"x{n}" for n in range(columns - 4))]
    row = ["T", "2026-01-01", "1", "C", *["1"] * (columns - 4)]
    return f"{','.join(names)}\n{','.join(row)}\n".encode()


CASES = [
    # Bytes
    refused("empty.csv", b"", "empty_file"),
    refused("blank_lines.csv", b"\n\n\n", "empty_file"),
    refused("only_a_mark.csv", b"\xef\xbb\xbf", "empty_file"),
    refused("zeros.csv", b"\0" * 5000, "missing_column"),
    refused("noise.csv", random.Random(1).randbytes(20_000), "wrong_encoding"),
    refused("picture.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20, "wrong_encoding"),
    refused("program.csv", b"\x7fELF\x02\x01\x01" + bytes(range(256)) * 20, "wrong_encoding"),
    refused("page.csv", b"<!DOCTYPE html><html><body>Session expired</body></html>\n" * 3, "missing_column"),
    refused("error.csv", b"ERROR 1045 (28000): Access denied for user\n", "missing_column"),
    refused("sql.csv", b"CREATE TABLE orders (id int);\nINSERT INTO orders VALUES (1);\n", "missing_column"),
    some("nul.csv", line(b"T99,2026-01-01,1,C\0"), "nul_byte"),
    some("nul_in_quotes.csv", line(b'T99,2026-01-01,1,"C\0"'), "nul_byte"),
    some("bad_utf8.csv", GOOD + "T98,2026-01-01,1,éééééééééééé\n".encode() + b"T99,2026-01-01,1,\xff\n", "wrong_encoding", accepted=41),
    some("surrogate.csv", GOOD + "T98,2026-01-01,1,éééééééééééééééééééééééééééééééé\n".encode() + b"T99,2026-01-01,1,\xed\xa0\x80\n", "wrong_encoding", accepted=41),
    loaded("cp1252.csv", GOOD.replace(b"C1\n", b"Zo\xe9\n")),
    loaded("utf16.csv", GOOD.decode().encode("utf-16")),
    loaded("utf16_be.csv", b"\xfe\xff" + GOOD.decode().encode("utf-16-be")),
    loaded("utf32.csv", GOOD.decode().encode("utf-32")),
    loaded("mark.csv", b"\xef\xbb\xbf" + GOOD),
    loaded("mac.csv", GOOD.replace(b"\n", b"\r")),
    loaded("windows.csv", GOOD.replace(b"\n", b"\r\n")),
    loaded("mixed_ends.csv", GOOD.replace(b"C3\n", b"C3\r\n").replace(b"C9\n", b"C9\r\n")),
    loaded("direction_marks.csv", line("T99,2026-01-01,1,\u202egnp.exe".encode()), 41),
    loaded("emoji.csv", line("T99,2026-01-01,1,👩‍👩‍👧‍👦 ﷽".encode()), 41),
    loaded("controls.csv", line(b"T99,2026-01-01,1,a\x1b[31mb\x07"), 41),
    # Lines and fields
    some("short.csv", line(b"T99,2026-01-01"), "malformed_row"),
    some("long_row.csv", line(b"T99,2026-01-01,1,C,D"), "malformed_row"),
    some("open_quote.csv", GOOD + b'T98,2026-01-01,1,"C\n' + b"T99,2026-01-01,1,C\n", "malformed_row", accepted=41),
    some("quote_within.csv", line(b'"T"99,2026-01-01,1,C'), "malformed_row"),
    some("field_of_64_kib_and_one.csv", line(b"T99,2026-01-01,1," + LONG + b"x"), "field_too_long"),
    loaded("field_of_64_kib.csv", line(b"T99,2026-01-01,1," + LONG), 41),
    some("quoted_megabyte.csv", line(b'T99,2026-01-01,1,"' + b"y\n" * 500 + LONG + b'"'), "field_too_long"),
    refused("line_of_20_mb.csv", HEADER + b"x" * 20_000_000 + b"\n", "line_too_long"),
    refused("no_line_end.csv", b"a" * 18_000_000, "line_too_long"),
    loaded("500_columns.csv", wide(500), 1),
    refused("501_columns.csv", wide(501), "too_many_columns"),
    refused("10000_columns.csv", wide(10_000), "too_many_columns"),
    refused("cut.csv", GOOD + b"T99,2026", "truncated_file"),
    refused("cut_in_quote.csv", GOOD + b'T99,2026-01-01,1,"C', "truncated_file"),
    loaded("no_last_end.csv", GOOD.rstrip(b"\n")),
    refused("no_header.csv", b"".join(ROWS), "missing_column"),
    refused("twice.csv", GOOD.replace(b"Montant", b"Ticket", 1), "duplicated_header"),
    refused("other_columns.csv", b"x;y\n1;2\n", "missing_column"),
    Case("header_only.csv", HEADER, "empty"),
    refused("half_wrong.csv", HEADER + b"".join(ROWS[:5]) + b"T,never,1,C\n" * 5, "not_a_timestamp"),
    loaded("formulas.csv", line(b"=cmd|' /C calc'!A0,2026-01-01,1,@SUM(1)"), 41),
    loaded("injection.csv", line(b"'; drop table orders; --,2026-01-01,1,C"), 41),
    loaded("markup.csv", line(b"<script>alert(1)</script>,2026-01-01,1,C"), 41),
    some("year_zero.csv", line(b"T99,0000-01-01,1,C"), "not_a_timestamp"),
    some("year_99999.csv", line(b"T99,99999-01-01,1,C"), "not_a_timestamp"),
    some("february_30.csv", line(b"T99,2026-02-30,1,C"), "not_a_timestamp"),
    some("huge_number.csv", line(b"T99,2026-01-01,99999999999999999999,C"), "not_a_number"),
    some("infinite.csv", line(b"T99,2026-01-01,inf,C"), "not_a_number"),
    some("no_id.csv", line(b",2026-01-01,1,C"), "missing_required"),
    # Names
    loaded("%2e%2e%2fpasswd.csv", GOOD.replace(b"T", b"n1") .replace(b"n1icket", b"Ticket")),
    loaded("CON.csv", GOOD.replace(b"C1\n", b"con\n")),
    loaded("new\nline.csv", GOOD.replace(b"C1\n", b"nl\n")),
    loaded("\u202egpj.csv", GOOD.replace(b"C1\n", b"rtl\n")),
    loaded("'quote\" --.csv", GOOD.replace(b"C1\n", b"q\n")),
    loaded("glob[1]*?.csv", GOOD.replace(b"C1\n", b"g\n")),
    loaded("n" * 251 + ".csv", GOOD.replace(b"C1\n", b"255\n")),
    # Archives
    loaded("good.csv.gz", gzip.compress(GOOD.replace(b"C1\n", b"gz\n"))),
    refused("cut.csv.gz", gzip.compress(GOOD)[:-30], "truncated_file"),
    refused("false.csv.gz", b"\x1f\x8b\x08\x00" + b"junk" * 100, "truncated_file"),
    refused("bomb.csv.gz", gzip.compress(b"x,y\n" * 8_000_000), "swollen_archive"),
    refused("nested.csv.gz", gzip.compress(gzip.compress(GOOD)), "nested_archive"),
    refused("zip_in.csv.gz", gzip.compress(zipped(("a.csv", GOOD))), "nested_archive"),
    refused("nothing.csv.gz", gzip.compress(b""), "empty_file"),
    refused("bomb.zip", zipped(("a.csv", b"x,y\n" * 8_000_000)), "swollen_archive"),
    refused("lying.zip", lying_zip(), "truncated_file"),
    refused("nested.zip", zipped(("a.zip", zipped(("b.csv", GOOD)))), "nested_archive"),
    refused("gz_in.zip", zipped(("a.csv.gz", gzip.compress(GOOD))), "nested_archive"),
    refused("up.zip", zipped(("../../x.csv", GOOD)), "unsafe_name"),
    refused("root.zip", zipped(("/etc/x.csv", GOOD)), "unsafe_name"),
    refused("drive.zip", zipped(("C:\\x.csv", GOOD)), "unsafe_name"),
    refused("locked.zip", locked_zip(), "locked_archive"),
    refused("nothing.zip", zipped(("folder/", b"")), "empty_file"),
    refused("cut.zip", zipped(("a.csv", GOOD))[:-40], "truncated_file"),
    refused("7z.zip", b"7z\xbc\xaf\x27\x1c" + b"x" * 100, "nested_archive"),
    # Other kinds
    refused("text.xlsx", GOOD, "unreadable_file"),
    refused("empty.xlsx", zipped(("[Content_Types].xml", b"<x/>")), "unreadable_file"),
    refused("text.parquet", GOOD, "unreadable_file"),
    refused("cut.parquet", parquet()[:-20], "unreadable_file"),
    refused("broken.parquet", parquet()[:40] + b"\xff" * 60 + parquet()[100:], "unreadable_file"),
    some("deep.jsonl", objects() + b'{"Ticket":' + b"[" * 5_000 + b"]" * 5_000 + b"}\n", "missing_required"),
    some("list.jsonl", objects() + b"[1,2]\n", "malformed_row"),
    some("field.jsonl", objects() + json.dumps({"Ticket": "x" * 70_000, "Date": "2026-01-01"}).encode() + b"\n", "field_too_long"),
    refused("cut.jsonl", objects() + b'{"Ticket": "', "truncated_file"),
    refused("deep.json", b"[" * 100_000, "unreadable_file"),
    refused("object.json", b'{"a": 1}', "missing_records"),
    some("mixed.json", b"[" + objects().replace(b"}\n", b"},") + b"7]", "malformed_row"),
]  # fmt: skip


@pytest.fixture(scope="module")
def verdicts() -> Iterator[dict[str, tuple[FileReport, list[str]]]]:
    """All of them taken in by one pass: what became of each, with the reasons in raw."""
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(archive, "FREE_BYTES", 1_000_000)
        bench = Bench(Path(folder) / "company")
        json_columns = {name: f"$.{column}" for name, column in ORDERS["orders"]["columns"].items()}
        as_json = {"entities": {"orders": {"columns": json_columns}}}
        bench.source(
            order_feed(["*.csv", "*.csv.gz", "*.zip"]),
            order_feed("*.xlsx", format="excel") | {"feed": "books"},
            order_feed("*.parquet", format="parquet") | {"feed": "parquet"},
            order_feed("*.jsonl", format="json_lines") | as_json | {"feed": "lines"},
            order_feed("*.json", format="json") | as_json | {"feed": "documents"},
            reject_limit=0.3,
        )
        for place, case in enumerate(CASES):
            content = case.content
            if case.status == "loaded" and case.name.endswith((".csv", ".jsonl")):
                content = content.replace(b"T0,", b"U%d," % place, 1)
            bench.deliver(case.name, content)
        reports = bench.ingest().files
        reasons: dict[str, list[str]] = {}
        for name, reason in bench.ask(
            "select name, rejected_rows.reason from rejected_rows join files using (file_id)"
            " order by file_id, line"
        ):
            reasons.setdefault(name, []).append(reason)
        assert bench.ask("select count(*) from orders") == [
            (sum(report.accepted for report in reports),)
        ]
        yield {report.name: (report, reasons.get(report.name, [])) for report in reports}


def shown(name: str) -> str:
    return name.replace("\n", "\\n").replace("\u202e", "\\u202e")


@pytest.mark.parametrize("case", CASES, ids=[repr(case.name)[:40] for case in CASES])
def test_a_hostile_file_has_its_verdict(verdicts, case):
    name = shown(case.name)
    found = [one for told, one in verdicts.items() if told == name or told.startswith(f"{name}/")]
    assert len(found) == 1
    report, reasons = found[0]
    assert report.status == case.status
    assert sorted(set(reasons)) == sorted(set(case.reasons))
    if case.status == "quarantined":
        assert report.accepted == 0
        assert report.messages
    else:
        assert (report.accepted, report.rejected) == (case.accepted, case.rejected)


def test_the_table_is_long_enough():
    assert len(CASES) >= 60
    assert len({case.name for case in CASES}) == len(CASES)


SCRAPS = [b'"', b'""', b"\n", b"\r\n", b"\r", b",", b"\0", b"\xff", b"\xc3", b";", b"\t", b"\xef\xbb\xbf",
          b"'", b"\\", b'","', b'"\n"', b"=", b"  ", b"\x1a", b"2026-01-01", b"\xe2\x80\xa8"]  # fmt: skip


def mutated(rng: random.Random) -> bytes:
    """A good file with a few bytes put in, taken out, doubled or moved."""
    rows = [
        b'T%d,2026-01-%02d,%d.25,"C%d ; \xc3\xa9"\n' % (n, n % 28 + 1, n, n)
        for n in range(rng.randint(1, 30))
    ]
    body = bytearray(b"".join(rows))
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(body) + 1)
        match rng.randrange(4):
            case 0:
                body[at:at] = rng.choice(SCRAPS)
            case 1:
                del body[at : at + rng.randint(1, 30)]
            case 2:
                body[at:at] = body[at : at + rng.randint(1, 80)]
            case 3:
                body[at : at + 1] = rng.randbytes(1)
    return HEADER + bytes(body)


def assert_mutations_are_accounted_for(bench: Bench, seed: int, count: int) -> None:
    rng = random.Random(seed)
    contents = dict.fromkeys(mutated(rng) for _ in range(count))
    for place, content in enumerate(contents):
        bench.deliver(f"orders_{seed}_{place:05}.csv", content)
    reports = [file for file in bench.ingest().files if file.name.startswith(f"orders_{seed}_")]
    assert len(reports) == len(contents)
    accounted = dict(
        bench.ask(
            "select name, count(distinct line) from (select name, _line as line from orders"
            " join files on file_id = _file_id union all select name, line from rejected_rows"
            " join files using (file_id) where files.status <> 'quarantined') group by 1"
        )
    )
    for report in reports:
        assert report.records == report.accepted + report.rejected
        if report.status == "quarantined":
            assert report.messages
        else:
            assert accounted.get(report.name, 0) == report.records


def test_files_broken_at_random_are_accounted_for_to_the_line(bench):
    bench.source(order_feed(), reject_limit=1)
    assert_mutations_are_accounted_for(bench, seed=3, count=400)


@pytest.mark.full
def test_thousands_of_files_broken_at_random_are_accounted_for_to_the_line(bench):
    bench.source(order_feed(), reject_limit=1)
    for seed in range(10, 20):
        assert_mutations_are_accounted_for(bench, seed, count=500)
