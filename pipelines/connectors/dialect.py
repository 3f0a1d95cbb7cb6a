"""The dialect of a delimited text: declared where declared, else the one the header bears out.

A delimiter is judged by how many of the columns that the mapping reads it finds in the header,
then by how many of the first rows have as many fields as the header.
"""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import Any

from cohorte.said import said
from cohorte.sources import Feed
from pipelines.connectors.extract import QuarantineError
from pipelines.connectors.inspection import Inspection

DELIMITERS = (",", ";", "\t", "|")
HEAD_BYTES = 1 << 18
SAMPLE_ROWS = 50


@dataclass(frozen=True)
class Dialect:
    """How a delimited text reads. ``skip`` counts the physical lines before the first record."""

    encoding: str
    delimiter: str
    quote: str
    line_end: str
    skip: int
    has_header: bool
    names: tuple[str, ...]

    def as_json(self) -> dict[str, Any]:
        return {
            "encoding": self.encoding,
            "delimiter": self.delimiter,
            "quote": self.quote,
            "line_end": self.line_end,
            "skip": self.skip,
            "columns": list(self.names),
        }


def mapped_columns(feed: Feed) -> set[str]:
    """The file's columns and exploded lists that a feed's mappings read."""
    names = {
        column
        for mapping in feed.entities.values()
        for mapped in mapping.columns.values()
        for column in mapped.read_columns
    }
    names |= {mapping.where.column for mapping in feed.entities.values() if mapping.where}
    return names | {mapping.explode for mapping in feed.entities.values() if mapping.explode}


def find_dialect(inspection: Inspection, feed: Feed, name: str) -> Dialect:
    """The dialect of one file.

    Raises QuarantineError when the file ends before its header row.
    """
    with inspection.text_path.open("rb") as file:
        head = file.read(HEAD_BYTES).decode("utf-8-sig", errors="replace")
    if inspection.line_end == "\r":
        head = head.replace("\r", "\n")
    before = feed.header_row - 1
    for _ in range(before):
        head = head.partition("\n")[2]
    if not head.strip():
        raise QuarantineError(
            "empty_file",
            said("the file has no header") if feed.header else said("the file has no rows"),
            where=name,
            remedy=said("export it again"),
        )
    wanted = mapped_columns(feed)
    best: tuple[tuple[int, int, int], str, list[str], int] | None = None
    for delimiter in [feed.delimiter] if feed.delimiter else DELIMITERS:
        rows, header_lines = _sample(head, delimiter, feed.quote)
        if not rows:
            continue
        first = rows[0]
        expected = len(first) if feed.header else len(feed.columns or [])
        found = len(wanted & {field.strip() for field in first}) if feed.header else 0
        alike = sum(len(row) == expected for row in rows)
        score = (found, alike if len(first) > 1 else 0, len(first))
        if best is None or score > best[0]:
            best = (score, delimiter, first, header_lines)
    if best is None:
        raise QuarantineError(
            "malformed_header",
            said("the header does not read; a quote may be open"),
            where=f"{name} line {feed.header_row}",
            line=feed.header_row,
            remedy=said("export it again, or declare delimiter and quote of the feed"),
        )
    _, delimiter, first, header_lines = best
    if feed.header:
        names = tuple(
            field.strip() or f"column_{place}" for place, field in enumerate(first, start=1)
        )
    else:
        names, header_lines = tuple(feed.columns or []), 0
    return Dialect(
        encoding=inspection.encoding,
        delimiter=delimiter,
        quote=feed.quote,
        line_end=inspection.line_end,
        skip=before + header_lines,
        has_header=feed.header,
        names=names,
    )


def _sample(head: str, delimiter: str, quote: str) -> tuple[list[list[str]], int]:
    """The first rows under a delimiter, and the physical lines that the first one takes."""
    reader = csv.reader(
        io.StringIO(head, newline=""),
        delimiter=delimiter,
        quotechar=quote or None,
        quoting=csv.QUOTE_MINIMAL if quote else csv.QUOTE_NONE,
    )
    rows: list[list[str]] = []
    header_lines = 1
    try:
        for row in reader:
            if not rows:
                header_lines = reader.line_num
            if row:
                rows.append(row)
            if len(rows) >= SAMPLE_ROWS:
                break
    except csv.Error:
        pass
    return rows, header_lines
