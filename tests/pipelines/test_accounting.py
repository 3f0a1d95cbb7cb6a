"""Nothing vanishes: whatever is done to a file, records = accepted + rejected, line by line."""

from __future__ import annotations

import random
import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pipelines.connectors.dialect import Dialect
from pipelines.connectors.tolerant import read_tolerantly, split_record
from tests.pipelines.workbench import Bench, order_feed

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
    return [
        line
        for (line,) in bench.ask(
            "select _line from orders join files on file_id = _file_id where name = $$"
            f"{name}$$ union all select distinct line from rejected_rows join files using (file_id)"
            f" where name = $${name}$$ order by 1"
        )
    ]


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(content=mutated_files())
@example(content=HEADER + b'"\n' + clean_line(1) * 3)
@example(content=HEADER + b'T1,2026-01-01,1,"a\nb"\n"\n\n' + clean_line(1))
@example(content=HEADER + b"\r".join([b"T1,2026-01-01,1,a", b"T2,2026-01-01,1,b"]) + b"\n")
def test_every_line_is_accepted_rejected_blank_or_within_a_record(shared_bench, content):
    bench = shared_bench
    name = f"orders_{abs(hash(content))}.csv"
    path = bench.deliver(name, content)
    report = next((file for file in bench.ingest().files if file.name == name), None)
    path.unlink()
    assert report is not None
    if report.status == "known":
        return
    assert report.records == report.accepted + report.rejected
    if report.status == "quarantined":
        assert report.accepted == 0
        assert report.messages
        return
    told = lines_told(bench, name)
    assert len(told) == len(set(told)) == report.records
    physical = content.decode("utf-8", "replace").split("\n")
    silent = [
        number
        for number, line in enumerate(physical, start=1)
        if number > 1 and line.strip() and number not in told
    ]
    starts = [line for line in told if '"' in physical[line - 1]]
    assert all(any(start < number for start in starts) for number in silent)


def fast_and_tolerant(bench: Bench, content: bytes) -> list[list[tuple[object, ...]]]:
    answers = []
    for mark in (b"", b"\n"):
        path = bench.deliver("orders.csv", content + mark)
        bench.ingest()
        path.unlink()
        answers.append(
            bench.ask(
                "select order_id, contact_id, gross_amount, _line, _row_hash from orders"
                " where _file_id = (select max(file_id) from files) order by _line"
            )
        )
    assert bench.ask(
        "select dialect ->> '$.reader' from files order by file_id desc limit 2"
    ) == [("tolerant",), ("fast",)]
    return answers


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    cells=st.lists(
        st.text(st.sampled_from('ab,;"\n é'), max_size=8).filter(lambda cell: cell.strip(" \n")),
        min_size=1,
        max_size=12,
        unique=True,
    )
)
def test_the_tolerant_parser_reads_good_files_as_the_fast_one_does(shared_bench, cells):
    rows = [
        f'T{n},2026-01-01,{n},"{cell.replace(chr(34), chr(34) * 2)}"\n'
        for n, cell in enumerate(cells)
    ]
    seed = random.Random(str(cells)).random()
    content = f"{HEADER.decode()}S,2026-01-01,{seed:.4f},x\n{''.join(rows)}"
    fast, tolerant = fast_and_tolerant(shared_bench, content.encode())
    assert fast == tolerant
    assert [row[1] for row in fast[1:]] == cells


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
