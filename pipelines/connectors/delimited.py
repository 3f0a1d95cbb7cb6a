"""Delimited text, by DuckDB's reader where it provably loses nothing, else by the tolerant parser.

DuckDB's reader is told the whole dialect and reads every column as text. Its answer stands only
when it accounts for every physical line of the file: one a record, and one more for each line end
within a field. Any other file is read again, line by line.
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
from pipelines.connectors.quoting import literal, literals
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
    def is_plain(self) -> bool:
        """Whether DuckDB's reader may try it: several columns, one kind of line end, clean bytes.

        In a file of one column it takes a blank line for a row.
        """
        found = self.inspection
        is_clean = found.is_uniform and not (found.has_nul or found.is_damaged)
        return is_clean and len(self.dialect.names) > 1

    @property
    def records(self) -> int:
        """Physical lines after the header: records, if none is blank and each takes one line."""
        return self.inspection.lines - self.dialect.skip


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
    """Whether a file of the dialect of a group can be read together with it, within bounds."""
    return (
        len(group) < BATCH_FILES
        and sum(one.inspection.size for one in group) + text.inspection.size <= BATCH_BYTES
    )


def extract_text(
    connection: duckdb.DuckDBPyConnection, group: Sequence[PreparedText]
) -> tuple[Extract | None, list[PreparedText]]:
    """Read files of one dialect with DuckDB's reader.

    Gives the extract of those it provably reads whole, if any, and the files it does not.
    """
    connection.execute(READER_REJECTS_DDL)
    plain = [text for text in group if text.is_plain]
    if not plain or not _read(connection, plain):
        return None, list(group)
    found = dict.fromkeys(range(len(plain)), (0, 0))
    for index, first, count in connection.execute(
        f"select _file_index, min(rowid), count(*) from {EXTRACT_TABLE} group by all"
    ).fetchall():
        found[index] = (first, count)
    uneven = [index for index, text in enumerate(plain) if found[index][1] != text.records]
    numbered = _number_lines(connection, plain, uneven) if uneven else set()
    whole = [index for index in range(len(plain)) if index not in uneven or index in numbered]
    if not whole:
        return None, list(group)
    table = EXTRACT_TABLE
    first_line = plain[0].dialect.skip + 1
    if len(plain) == 1:
        file_id, line = f"{plain[0].delivery.file_id}", f"{EXTRACT_TABLE}.rowid + {first_line}"
    else:
        connection.execute(
            "create or replace temp table _extract_files"
            " (_file_index integer, _file_id integer, _first bigint)"
        )
        connection.executemany(
            "insert into _extract_files values (?, ?, ?)",
            [(index, plain[index].delivery.file_id, found[index][0]) for index in whole],
        )
        table += " join _extract_files using (_file_index)"
        file_id, line = "_file_id", f"{EXTRACT_TABLE}.rowid - _first + {first_line}"
    if numbered:
        table += f" left join _spans on {EXTRACT_TABLE}.rowid = _row"
        line = f"coalesce(_start, {line})"
    extract = _extract(
        [plain[index] for index in whole],
        f"select {file_id} as _file_id, ({line})::bigint as _line, {{fields}} from {table}",
        {plain[index].delivery.file_id: found[index][1] for index in whole},
        "fast",
    )
    read = {plain[index].delivery.file_id for index in whole}
    return extract, [text for text in group if text.delivery.file_id not in read]


def extract_tolerantly(
    connection: duckdb.DuckDBPyConnection, group: Sequence[PreparedText]
) -> tuple[Extract, dict[int, QuarantineError]]:
    """Read files of one dialect with the tolerant parser.

    Gives the extract, and by file id what is wrong with files that break off, of which nothing
    is in the extract.
    """
    columns = ", ".join(f"c{place} varchar" for place in range(len(group[0].dialect.names)))
    connection.execute(READER_REJECTS_DDL)
    connection.execute(
        f"create or replace temp table {EXTRACT_TABLE} (_file_id integer, _line bigint, {columns})"
    )
    records: dict[int, int] = {}
    broken: dict[int, QuarantineError] = {}
    for text in group:
        file_id = text.delivery.file_id
        try:
            records[file_id] = _read_tolerantly(connection, text)
        except QuarantineError as error:
            broken[file_id] = error
            for table in (EXTRACT_TABLE, READER_REJECTS_TABLE):
                connection.execute(f"delete from {table} where _file_id = {file_id}")
    read = [text for text in group if text.delivery.file_id in records]
    query = f"select _file_id, _line, {{fields}} from {EXTRACT_TABLE}"
    return _extract(read or group, query, records, "tolerant"), broken


def _extract(
    texts: Sequence[PreparedText], query: str, records: dict[int, int], reader: str
) -> Extract:
    dialect = texts[0].dialect
    columns = positional(dialect.names)
    fields = [column.sql for column in columns.values()]
    relation = Relation(
        sql=f"({query.format(fields=', '.join(fields))})",
        columns=columns,
        row_text=_row_text(dialect, fields),
        leftover=json_leftover(columns),
    )
    return Extract(
        records=records,
        relation=whole_rows(relation),
        dialects={
            text.delivery.file_id: text.dialect.as_json() | {"reader": reader} for text in texts
        },
        messages={text.delivery.file_id: list(text.warnings) for text in texts},
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


def _read(connection: duckdb.DuckDBPyConnection, texts: Sequence[PreparedText]) -> bool:
    """Load what DuckDB's reader takes into the extract table; false when it takes nothing.

    Rows it refuses are left out without a word: the caller counts.
    """
    dialect = texts[0].dialect
    columns = ", ".join(f"'c{place}': 'VARCHAR'" for place in range(len(dialect.names)))
    paths = literals(str(text.inspection.text_path) for text in texts)
    header = dialect.has_header and dialect.skip > 0
    index = "file_index::integer" if len(texts) > 1 else "0::integer"
    query = (
        f"create or replace temp table {EXTRACT_TABLE} as select {index} as _file_index, *"
        f" from read_csv([{paths}], auto_detect = false, columns = {{{columns}}},"
        f" header = {literal(header)}, skip = {dialect.skip - header},"
        f" delim = {literal(dialect.delimiter)}, quote = {literal(dialect.quote)},"
        f" escape = {literal(dialect.quote)}, new_line = '{LINE_ENDS[dialect.line_end]}',"
        " strict_mode = true, ignore_errors = true)"
    )
    try:
        connection.execute(query)
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        return False
    return True


def _number_lines(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[PreparedText], uneven: Sequence[int]
) -> set[int]:
    """Number the records of files with line ends within fields, in the table ``_spans``.

    Gives the places of those files whose every line is so accounted for.
    """
    dialect = texts[0].dialect
    end = "chr(13)" if dialect.line_end == "\r" else "chr(10)"
    more = " + ".join(
        f"coalesce(length(c{place}) - length(replace(c{place}, {end}, '')), 0)"
        for place in range(len(dialect.names))
    )
    connection.execute(
        "create or replace temp table _spans as select _file_index, rowid as _row,"
        f" {more} as _more from {EXTRACT_TABLE} where _file_index in"
        f" ({', '.join(map(str, uneven))})"
    )
    lines = connection.execute(
        "select _file_index, count(*) + sum(_more), max(_more) from _spans group by all"
    ).fetchall()
    whole = {
        index
        for index, total, longest in lines
        if total == texts[index].records and longest < RECORD_MAXIMUM_LINES
    }
    connection.execute(
        "create or replace temp table _spans as select _row,"
        f" {dialect.skip} + row_number() over earlier + coalesce(sum(_more) over earlier, 0)"
        " - coalesce(_more, 0) as _start from _spans"
        " window earlier as (partition by _file_index order by _row)"
    )
    return whole


def _read_tolerantly(connection: duckdb.DuckDBPyConnection, text: PreparedText) -> int:
    """Add a file's records to the extract table; how many there are, rejected lines included.

    Raises QuarantineError when the file breaks off in its last line.
    """
    file_id, records = text.delivery.file_id, 0
    for batch in read_tolerantly(text.inspection.text_path, text.dialect):
        records += len(batch.lines) + len(batch.rejected)
        _insert(connection, batch, file_id, len(text.dialect.names))
        last = batch.rejected[-1] if batch.rejected else None
        if (
            last is not None
            and last.line == text.inspection.lines
            and last.reason == "malformed_row"
            and not text.inspection.ends_with_line_end
        ):
            raise QuarantineError(
                "truncated_file",
                f"the file breaks off: {last.value} in its last line, which has no end",
                where=f"{text.delivery.name} line {last.line}",
                line=last.line,
                remedy="transfer it again, whole",
            )
    return records


def _insert(connection: duckdb.DuckDBPyConnection, batch: Batch, file_id: int, width: int) -> None:
    if batch.rows:
        values = [pa.array(batch.lines, pa.int64())]
        values += [pa.array(column, pa.string()) for column in zip(*batch.rows, strict=True)]
        names = ["_line", *(f"c{place}" for place in range(width))]
        connection.register("_tolerant_batch", pa.table(values, names=names))
        connection.execute(f"insert into {EXTRACT_TABLE} select {file_id}, * from _tolerant_batch")
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
