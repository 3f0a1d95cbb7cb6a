"""Delimited text, by DuckDB's reader where it provably loses nothing, else by the tolerant parser.

DuckDB's reader is told the whole dialect and reads every column as text. Its answer stands only
when it refused nothing and the file's physical lines are all accounted for: one a record, or as
many more as its fields hold line ends. Anything else is read again, line by line.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb
import pyarrow as pa

from cohorte.sources import Feed
from pipelines.connectors.dialect import Dialect, find_dialect
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    READER_REJECTS_DDL,
    READER_REJECTS_TABLE,
    Delivery,
    Extract,
    QuarantineError,
    Relation,
    checked_columns,
    json_leftover,
    positional,
    whole_rows,
)
from pipelines.connectors.inspection import LINE_ENDS, Inspection, inspect_text, plain_path
from pipelines.connectors.quoting import literal
from pipelines.connectors.tolerant import RECORD_MAXIMUM_LINES, Batch, read_tolerantly

BATCH_BYTES = 64_000_000
BATCH_FILES = 400


@dataclass(frozen=True)
class PreparedText:
    """A delimited file that was inspected and whose header fits the feed."""

    delivery: Delivery
    inspection: Inspection
    dialect: Dialect
    warnings: tuple[str, ...]

    @property
    def can_share(self) -> bool:
        """Whether it may be read together with others of the same dialect."""
        found = self.inspection
        return found.is_uniform and not (found.has_nul or found.is_damaged or found.has_mark)


def prepare_text(delivery: Delivery, feed: Feed, temp_dir: Path) -> PreparedText:
    """Inspect a file and find its dialect; QuarantineError when it cannot be what was declared."""
    assert delivery.path is not None  # noqa: S101
    copy_path = temp_dir / f"{delivery.file_id}.txt"
    inspection = inspect_text(delivery.path, delivery.name, feed.feed, feed.encoding, copy_path)
    text_path = plain_path(inspection.text_path, temp_dir, delivery.file_id)
    inspection = replace(inspection, text_path=text_path)
    dialect = find_dialect(inspection, feed, delivery.name)
    line = feed.header_row if feed.header else None
    warnings = checked_columns(dialect.names, feed, delivery.name, line)
    return PreparedText(delivery, inspection, dialect, tuple(warnings))


def fits(group: Sequence[PreparedText], text: PreparedText) -> bool:
    """Whether a file can be read together with a group: the same dialect, within bounds."""
    return (
        text.can_share
        and group[-1].can_share
        and group[-1].dialect == text.dialect
        and len(text.dialect.names) > 1
        and len(group) < BATCH_FILES
        and sum(one.inspection.size for one in group) + text.inspection.size <= BATCH_BYTES
    )


def extract_text(
    connection: duckdb.DuckDBPyConnection, group: Sequence[PreparedText]
) -> tuple[Extract, list[PreparedText]]:
    """Read a group of files of one dialect; the files that must be read alone are returned.

    When some are, the extract is void: read the others again without them.
    """
    connection.execute(READER_REJECTS_DDL)
    if len(group) == 1:
        return _extract_one(connection, group[0]), []
    return _extract_several(connection, group)


def _extract_one(connection: duckdb.DuckDBPyConnection, text: PreparedText) -> Extract:
    found, file_id = text.inspection, text.delivery.file_id
    is_plain = found.is_uniform and not (found.has_nul or found.is_damaged)
    if is_plain and len(text.dialect.names) > 1:
        lines = found.lines - text.dialect.skip
        loaded = _read(connection, [text])
        if loaded == lines:
            return _extract([text], f"{file_id}", f"rowid + {text.dialect.skip + 1}", {0: loaded})
        if loaded is not None and _number_lines(connection, text, lines):
            return _extract([text], f"{file_id}", "_line", {0: loaded})
    records = _read_slowly(connection, text)
    return _extract([text], f"{file_id}", "_line", {0: records}, tolerant=True)


def _extract_several(
    connection: duckdb.DuckDBPyConnection, group: Sequence[PreparedText]
) -> tuple[Extract, list[PreparedText]]:
    loaded = _read(connection, group)
    if loaded is None:
        return Extract({}, _no_rows), list(group)
    found = dict.fromkeys(range(len(group)), (0, 0, 0))
    for index, first, last, count in connection.execute(
        f"select _file_index, min(rowid), max(rowid), count(*) from {EXTRACT_TABLE} group by all"
    ).fetchall():
        found[index] = (first, last, count)
    alone = [
        text
        for index, text in enumerate(group)
        if found[index][2] != text.inspection.lines - text.dialect.skip
        or (found[index][2] and found[index][1] - found[index][0] + 1 != found[index][2])
    ]
    if alone:
        return Extract({}, _no_rows), alone
    connection.execute(
        "create or replace temp table _extract_files"
        " (_file_index integer, _file_id integer, _first bigint)"
    )
    connection.executemany(
        "insert into _extract_files values (?, ?, ?)",
        [(index, text.delivery.file_id, found[index][0]) for index, text in enumerate(group)],
    )
    return _extract(
        group,
        "_file_id",
        f"{EXTRACT_TABLE}.rowid - _first + {group[0].dialect.skip + 1}",
        {index: count for index, (_, _, count) in found.items()},
        f"{EXTRACT_TABLE} join _extract_files using (_file_index)",
    ), []


def _no_rows(mapping: object) -> Relation:
    raise AssertionError("the extract is void")


def _extract(
    group: Sequence[PreparedText],
    file_id: str,
    line: str,
    records: dict[int, int],
    table: str = EXTRACT_TABLE,
    *,
    tolerant: bool = False,
) -> Extract:
    dialect = group[0].dialect
    columns = positional(dialect.names)
    fields = ", ".join(column.sql for column in columns.values())
    relation = Relation(
        sql=f"(select {file_id} as _file_id, {line} as _line, {fields} from {table})",
        columns=columns,
        row_text=_row_text(dialect, [column.sql for column in columns.values()]),
        leftover=json_leftover(columns),
    )
    reader = "tolerant" if tolerant else "fast"
    return Extract(
        records={group[index].delivery.file_id: count for index, count in records.items()},
        relation=whole_rows(relation),
        dialects={
            text.delivery.file_id: text.dialect.as_json() | {"reader": reader} for text in group
        },
        messages={text.delivery.file_id: list(text.warnings) for text in group},
    )


def _row_text(dialect: Dialect, columns: Sequence[str]) -> str:
    """The row written again in the file's dialect."""
    delimiter, quote = literal(dialect.delimiter), literal(dialect.quote)
    fields = []
    for column in columns:
        if not dialect.quote:
            fields.append(f"coalesce({column}, '')")
            continue
        fields.append(
            f"case when contains({column}, {delimiter}) or contains({column}, {quote})"
            f" or contains({column}, chr(10)) then {quote} ||"
            f" replace({column}, {quote}, {literal(dialect.quote * 2)}) || {quote}"
            f" else coalesce({column}, '') end"
        )
    return f" || {delimiter} || ".join(fields)


def _read(connection: duckdb.DuckDBPyConnection, group: Sequence[PreparedText]) -> int | None:
    """Rows that DuckDB's reader loads into the extract table; none when it refused any."""
    dialect = group[0].dialect
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(dialect.names)))
    paths = ", ".join(literal(str(text.inspection.text_path)) for text in group)
    header = dialect.has_header and dialect.skip > 0
    line_end = LINE_ENDS[dialect.line_end]
    index = "file_index::integer as _file_index, " if len(group) > 1 else ""
    connection.execute("drop table if exists _reject_errors")
    connection.execute("drop table if exists _reject_scans")
    query = (
        f"create or replace temp table {EXTRACT_TABLE} as select {index}* from read_csv([{paths}],"
        f" auto_detect = false, columns = {{{columns}}}, header = {literal(header)},"
        f" skip = {dialect.skip - header}, delim = {literal(dialect.delimiter)},"
        f" quote = {literal(dialect.quote)}, escape = {literal(dialect.quote)},"
        f" new_line = '{line_end}', strict_mode = true, store_rejects = true, rejects_limit = 100,"
        f" rejects_table = '_reject_errors', rejects_scan = '_reject_scans')"
    )
    try:
        connection.execute(query)
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        return None
    if connection.execute("select 1 from _reject_errors limit 1").fetchall():
        return None
    return int(connection.execute(f"select count(*) from {EXTRACT_TABLE}").fetchall()[0][0])


def _number_lines(connection: duckdb.DuckDBPyConnection, text: PreparedText, lines: int) -> bool:
    """Number records whose fields hold line ends; false when that does not explain the lines."""
    end = "chr(13)" if text.dialect.line_end == "\r" else "chr(10)"
    spans = " + ".join(
        f"coalesce(length(c{place}) - length(replace(c{place}, {end}, '')), 0)"
        for place in range(len(text.dialect.names))
    )
    connection.execute(
        f"create or replace temp table _spans as select rowid as _row, {spans} as _more"
        f" from {EXTRACT_TABLE}"
    )
    total, longest = connection.execute(
        "select count(*) + coalesce(sum(_more), 0), coalesce(max(_more), 0) from _spans"
    ).fetchall()[0]
    if total != lines or longest >= RECORD_MAXIMUM_LINES:
        return False
    first = text.dialect.skip + 1
    connection.execute(
        f"create or replace temp table {EXTRACT_TABLE} as"
        f" select {EXTRACT_TABLE}.*, (_row + {first} + coalesce(_before, 0))::bigint as _line"
        f" from {EXTRACT_TABLE} join (select _row, sum(_more) over (order by _row rows between"
        f" unbounded preceding and 1 preceding) as _before from _spans)"
        f" on {EXTRACT_TABLE}.rowid = _row order by _row"
    )
    connection.execute("drop table _spans")
    return True


def _read_slowly(connection: duckdb.DuckDBPyConnection, text: PreparedText) -> int:
    """Read by the tolerant parser; the number of records and rejected lines.

    Raises QuarantineError when the file breaks off in its last line.
    """
    file_id, places = text.delivery.file_id, range(len(text.dialect.names))
    columns = ", ".join(f"c{place} varchar" for place in places)
    connection.execute(f"create or replace temp table {EXTRACT_TABLE} (_line bigint, {columns})")
    records = 0
    last_line = last_rejected = 0
    for batch in read_tolerantly(text.inspection.text_path, text.dialect):
        records += len(batch.lines) + len(batch.rejected)
        last_line = max(last_line, *batch.lines[-1:], 0)
        last_rejected = max(last_rejected, *(one.line for one in batch.rejected[-1:]), 0)
        _insert(connection, batch, file_id, len(places))
        if batch.rejected and not text.inspection.ends_with_line_end:
            final = batch.rejected[-1]
            is_short = final.reason == "malformed_row"
            if final.line == text.inspection.lines and is_short:
                raise QuarantineError(
                    "truncated_file",
                    f"the file breaks off: {final.value} in its last line, which has no end",
                    where=f"{text.delivery.name} line {final.line}",
                    line=final.line,
                    remedy="transfer it again, whole",
                )
    return records


def _insert(connection: duckdb.DuckDBPyConnection, batch: Batch, file_id: int, width: int) -> None:
    if batch.rows:
        values = [pa.array(batch.lines, pa.int64())]
        values += [pa.array(column, pa.string()) for column in zip(*batch.rows, strict=True)]
        names = ["_line", *(f"c{place}" for place in range(width))]
        connection.register("_tolerant_batch", pa.table(values, names=names))
        connection.execute(f"insert into {EXTRACT_TABLE} select * from _tolerant_batch")
        connection.unregister("_tolerant_batch")
    if batch.rejected:
        refused = pa.table(
            {
                "line": pa.array([one.line for one in batch.rejected], pa.int64()),
                "reason": pa.array([one.reason for one in batch.rejected], pa.string()),
                "value": pa.array([one.value for one in batch.rejected], pa.string()),
                "row_text": pa.array([one.row_text for one in batch.rejected], pa.string()),
            }
        )
        connection.register("_tolerant_rejects", refused)
        connection.execute(
            f"insert into {READER_REJECTS_TABLE} select {file_id}, * from _tolerant_rejects"
        )
        connection.unregister("_tolerant_rejects")
