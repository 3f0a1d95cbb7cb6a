"""Fixed-width text: every field by its place in the line, blanks around it dropped.

A line may stop short within its last field, as when blanks at the end were cut; one that stops
before it, or goes on after the last, is rejected. EBCDIC extracts without line ends read by
``record_length``, packed (COMP-3) and zoned decimals in them too.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import duckdb

from cohorte.said import said
from cohorte.sources import Feed
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    Delivery,
    Extract,
    Prepared,
    Relation,
    checked_columns,
    json_leftover,
    positional,
    too_long,
    whole_rows,
)
from pipelines.connectors.inspection import inspect_text
from pipelines.connectors.lines import LineRule, PreparedLines, read_lines
from pipelines.connectors.packed import text_places


def prepare(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, feed: Feed, temp_dir: Path
) -> PreparedLines:
    """Inspect a file; QuarantineError when it is empty, cut, or a mapped field is not declared."""
    checked_columns([field.name for field in feed.fields or []], feed, delivery.name, None)
    found = inspect_text(delivery, feed, temp_dir)
    return PreparedLines(delivery, found.line_end, found.size, found)


def read(connection: duckdb.DuckDBPyConnection, feed: Feed, group: Sequence[Prepared]) -> Extract:
    """Read files of one line end; those whose last line breaks off are refused."""
    files = [file for file in group if isinstance(file, PreparedLines)]
    fields = feed.fields or []
    places = text_places(feed)
    width = max(start + length - 1 for start, length in places)
    shortest = max(start for start, _ in places)
    rule = LineRule(
        f"(length(line) >= {shortest} and length(rtrim(line)) <= {width})",
        said("not of {shortest} to {width} characters", shortest=shortest, width=width),
    )
    skip = feed.header_row if feed.header and feed.header_row > 1 else 0
    records, refused = read_lines(connection, files, rule, skip=skip)
    columns = positional([field.name for field in fields])
    cut = ", ".join(
        f"nullif(trim(substr(line, {start}, {length})), '') as {column.sql}"
        for (start, length), column in zip(places, columns.values(), strict=True)
    )
    relation = Relation(
        sql=f"(select _file_id, _line, line, {cut} from {EXTRACT_TABLE})",
        columns=columns,
        row_text="line",
        leftover=json_leftover(columns),
        fault=too_long(columns),
    )
    return Extract(
        records=records,
        relation=whole_rows(relation),
        dialects={
            file.delivery.file_id: {
                "format": "fixed_width",
                "encoding": file.inspection.encoding,
                "columns": list(columns),
            }
            for file in files
        },
        refused=refused,
    )
