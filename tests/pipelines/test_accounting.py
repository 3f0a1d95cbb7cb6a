"""Nothing vanishes: whatever is done to a file, records = accepted + rejected, line by line."""

from __future__ import annotations

import itertools
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.connectors.dialect import Dialect
from pipelines.connectors.tolerant import read_tolerantly, split_record
from pipelines.ingest import FileReport
from tests.pipelines.workbench import Bench, order_feed

RUNNING = itertools.count()
QUOTED = ('"', '""')
HEADER = b"Ticket,Date,Montant,Client\n"
SCRAPS = [b'"', b'""', b",", b"\n", b"\r", b"\r\n", b"\0", b"\xff", b"\xc3\xa9", b" ", b"x", b"\\"]


def clean_line(number: int) -> bytes:
    return f'T{number},2026-01-01,{number}.5,"Zoé, {number}"\n'.encode()


@st.composite
def mutated_files(draw: st.DrawFn) -> bytes:
    """A good file with some bytes put in, some taken out, some lines doubled or cut."""
    body = bytearray(b"".join(clean_line(n) for n in range(draw(st.integers(1, 30)))))
    for _ in range(draw(st.integers(0, 6))):
        at = draw(st.integers(0, len(body)))
        match draw(st.sampled_from(["put", "take", "double"])):
            case "put":
                body[at:at] = draw(st.sampled_from(SCRAPS))
            case "take":
                del body[at : at + draw(st.integers(1, 20))]
            case "double":
                body[at:at] = body[at : at + draw(st.integers(1, 60))]
    return HEADER + bytes(body)


@pytest.fixture(scope="module")
def shared_bench() -> Bench:
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder) / "company")
        bench.source(order_feed(), reject_limit=1)
        yield bench


def lines_told(bench: Bench, name: str) -> list[int]:
    """Lines that a file's accepted and rejected rows say they start on."""
    file_id = f"(select max(file_id) from files where name = '{name}')"
    return [
        line
        for (line,) in bench.ask(
            f"select _line from orders where _file_id = {file_id} union all"
            f" select distinct line from rejected_rows where file_id = {file_id} order by 1"
        )
    ]


@settings(max_examples=6, deadline=None, suppress_health_check=list(HealthCheck))
@given(contents=st.lists(mutated_files(), min_size=5, max_size=15, unique=True))
@example(
    contents=[
        HEADER + b'"\n' + clean_line(1) * 3,
        HEADER + b'T1,2026-01-01,1,"a\nb"\n"\n\n' + clean_line(1),
        HEADER + b"\r".join([b"T1,2026-01-01,1,a", b"T2,2026-01-01,1,b"]) + b"\n",
        HEADER + b'T1,2026-01-01,1,"' + b"\n" * 2000 + b'"\n' + clean_line(2),
    ]
)
def test_every_line_is_accepted_rejected_blank_or_within_a_record(shared_bench, contents):
    bench = shared_bench
    for path in bench.inbox.iterdir():
        path.unlink()
    names = {f"orders_{n}.csv": content for n, content in enumerate(contents)}
    for name, content in names.items():
        bench.deliver(name, content)
    reports = bench.ingest().files
    assert {report.name for report in reports} == set(names)
    for report in reports:
        assert report.records == report.accepted + report.rejected
        if report.status == "quarantined":
            assert report.accepted == 0
            assert report.messages
        elif report.status != "known":
            assert_lines_are_told(names[report.name], lines_told(bench, report.name), report)


def assert_lines_are_told(content: bytes, told: list[int], report: FileReport) -> None:
    assert len(told) == len(set(told)) == report.records
    physical = content.decode("utf-8", "replace").split("\n")
    silent = [
        number
        for number, line in enumerate(physical, start=1)
        if number > 1 and line.strip() and number not in told
    ]
    starts = [line for line in told if '"' in physical[line - 1]]
    assert all(any(start < number for start in starts) for number in silent)


@settings(max_examples=5, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cells=st.lists(
        st.text(st.sampled_from('ab,;"\n é'), max_size=8).filter(lambda cell: cell.strip(" \n")),
        min_size=1,
        max_size=40,
        unique=True,
    )
)
def test_the_tolerant_parser_reads_good_files_as_the_fast_one_does(shared_bench, cells):
    """A blank line at the end sends a file to the tolerant parser."""
    bench = shared_bench
    for path in bench.inbox.iterdir():
        path.unlink()
    rows = [f'T{n},2026-01-01,{n},"{cell.replace(*QUOTED)}"\n' for n, cell in enumerate(cells)]
    content = f"{HEADER.decode()}S,2026-01-01,{next(RUNNING)},x\n{''.join(rows)}"
    answers = []
    bench.deliver("orders_fast.csv", content)
    bench.deliver("orders_tolerant.csv", content + "\n")
    assert [report.status for report in bench.ingest().files] == ["loaded", "loaded"]
    for reader in ("fast", "tolerant"):
        file = f"(select max(file_id) from files where name = 'orders_{reader}.csv')"
        assert bench.ask(f"select dialect ->> '$.reader' from files where file_id = {file}") == [
            (reader,)
        ]
        columns = "order_id, contact_id, gross_amount, _line, _row_hash"
        answers.append(
            bench.ask(f"select {columns} from orders where _file_id = {file} order by _line")
        )
    assert answers[0] == answers[1]
    assert [row[1] for row in answers[0][1:]] == cells


@pytest.mark.parametrize(
    ("text", "fields"),
    [
        ("a,b", ["a", "b"]),
        ("a,", ["a", None]),
        (",", [None, None]),
        ('"a,b",c', ["a,b", "c"]),
        ('"a""b",c', ['a"b', "c"]),
        ('"",""', [None, None]),
        ('a"b,c', ['a"b', "c"]),
        ('"a"b,c', None),
        ('"a,c', None),
        ('"a",', ["a", None]),
        ('"a"', ["a"]),
        ("", [None]),
    ],
)
def test_a_record_splits_into_fields(text, fields):
    assert split_record(text, ",", '"') == fields


def test_a_million_characters_of_open_quotes_do_not_take_for_ever(tmp_path):
    path = tmp_path / "quotes.csv"
    path.write_text("a,b\n" + 'x,"y\nz,w\n' * 20_000, encoding="utf-8")
    dialect = Dialect("utf-8", ",", '"', "\n", 1, True, ("a", "b"))
    batches = list(read_tolerantly(path, dialect))
    accounted = sum(len(batch.lines) + len(batch.rejected) for batch in batches)
    assert 20_000 <= accounted <= 40_000
