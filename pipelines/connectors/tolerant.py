"""A parser of delimited text that accounts for every line, for files the fast reader loses.

Each physical line is blank, part of a record, or rejected. A quoted field may span lines; where
the record it opens does not close within bounds with the right number of fields, its first line
alone is rejected and reading goes on with the next, so that one open quote costs one line.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from pipelines.connectors.dialect import Dialect

RECORD_MAXIMUM_LINES = 1000
RECORD_MAXIMUM_CHARACTERS = 1 << 20
BATCH_RECORDS = 20_000


@dataclass
class Rejected:
    """A line that is no record, with what is wrong in words."""

    line: int
    reason: str
    value: str
    row_text: str


@dataclass
class Batch:
    """Records and rejected lines, in the order of the file. ``lines`` holds where each starts."""

    rows: list[list[str | None]] = field(default_factory=list)
    lines: list[int] = field(default_factory=list)
    rejected: list[Rejected] = field(default_factory=list)


def split_record(text: str, delimiter: str, quote: str) -> list[str | None] | None:
    """The fields of one record, empty ones as none; none when a quote is open or misplaced."""
    if not quote or quote not in text:
        return [field or None for field in text.split(delimiter)]
    fields: list[str | None] = []
    position, length = 0, len(text)
    while True:
        if text.startswith(quote, position):
            parts = []
            position += 1
            while True:
                end = text.find(quote, position)
                if end < 0:
                    return None
                parts.append(text[position:end])
                position = end + 1
                if not text.startswith(quote, position):
                    break
                parts.append(quote)
                position += 1
            fields.append("".join(parts) or None)
            if position < length and not text.startswith(delimiter, position):
                return None
        else:
            end = text.find(delimiter, position)
            end = length if end < 0 else end
            fields.append(text[position:end] or None)
            position = end
        if position >= length:
            return fields
        position += len(delimiter)


@dataclass(frozen=True)
class Line:
    """A physical line without its end; ``refused`` says why it cannot be read, if it cannot."""

    number: int
    text: str
    refused: str | None


def physical_lines(path: Path, line_end: str) -> Iterator[list[Line]]:
    """Every line of a UTF-8 text, in batches; bytes that are not UTF-8 are replaced."""
    batch: list[Line] = []
    with path.open(encoding="utf-8", errors="surrogateescape", newline=line_end[-1:]) as file:
        for number, raw in enumerate(file, start=1):
            text = _stripped(raw.removeprefix("\ufeff") if number == 1 else raw)
            refused = None
            if not _is_clean(text):
                refused = "wrong_encoding"
                text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            elif "\0" in text:
                refused = "nul_byte"
            batch.append(Line(number, text, refused))
            if len(batch) >= BATCH_RECORDS:
                yield batch
                batch = []
    yield batch


def read_tolerantly(path: Path, dialect: Dialect) -> Iterator[Batch]:
    """Every record of a UTF-8 text and every line that is none, in batches."""
    end = dialect.line_end[-1:]
    expected = len(dialect.names)
    delimiter, quote = dialect.delimiter, dialect.quote
    batch = Batch()
    with path.open(encoding="utf-8", errors="surrogateescape", newline=end) as file:
        waiting: list[str] = []
        number = 0

        def next_line() -> str | None:
            return waiting.pop() if waiting else file.readline() or None

        def reject(line: str, reason: str, value: str) -> None:
            text = line.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
            batch.rejected.append(Rejected(number, reason, value, text))

        for _ in range(dialect.skip):
            if next_line() is not None:
                number += 1
        if number == 0 and (first := next_line()) is not None:
            waiting.append(first.removeprefix("\ufeff"))
        while (raw := next_line()) is not None:
            number += 1
            line = _stripped(raw)
            if not line.strip():
                continue
            if "\0" in line:
                reject(line, "nul_byte", "the line holds a NUL byte")
                continue
            if not _is_clean(line):
                reject(line, "wrong_encoding", "the line is not UTF-8")
                continue
            fields = split_record(line, delimiter, quote)
            if fields is not None and len(fields) == expected:
                batch.rows.append(fields)
                batch.lines.append(number)
            elif fields is None and line.count(quote) % 2:
                taken: list[str] = []
                size = len(raw)
                while len(taken) < RECORD_MAXIMUM_LINES and size < RECORD_MAXIMUM_CHARACTERS:
                    following = next_line()
                    if following is None:
                        break
                    taken.append(following)
                    size += len(following)
                    if following.count(quote) % 2:
                        break
                record = _stripped(raw + "".join(taken))
                fields = None
                if taken and "\0" not in record and _is_clean(record):
                    fields = split_record(record, delimiter, quote)
                if fields is not None and len(fields) == expected:
                    batch.rows.append(fields)
                    batch.lines.append(number)
                    number += len(taken)
                else:
                    reject(line, "malformed_row", "a quote is open or misplaced")
                    waiting.extend(reversed(taken))
            elif fields is None:
                reject(line, "malformed_row", "a quote is open or misplaced")
            else:
                reject(line, "malformed_row", f"{len(fields)} fields instead of {expected}")
            if len(batch.rows) >= BATCH_RECORDS or len(batch.rejected) >= BATCH_RECORDS:
                yield batch
                batch = Batch()
    yield batch


def _stripped(line: str) -> str:
    if line.endswith("\r\n"):
        return line[:-2]
    return line[:-1] if line.endswith(("\n", "\r")) else line


def _is_clean(text: str) -> bool:
    return text.isascii() or not any("\udc80" <= c <= "\udcff" for c in text)
