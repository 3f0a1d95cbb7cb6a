"""Delimited text, by DuckDB's reader where it provably loses nothing, else by the tolerant parser.

DuckDB's reader is told the whole dialect and reads every column as text. Its answer stands only
when it accounts for every physical line of the file: one a record, and one more for each line end
within a field. Any other file is read again, line by line.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb
import pyarrow as pa

from cohorte.said import said
from cohorte.sources import Feed
from pipelines.connectors.dialect import Dialect, find_dialect
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    READER_REJECTS_DDL,
    READER_REJECTS_TABLE,
    TOLERANT_TABLE,
    Delivery,
    Extract,
    Prepared,
    QuarantineError,
    Relation,
    checked_columns,
    json_leftover,
    place_of,
    positional,
    too_long,
    whole_rows,
)
from pipelines.connectors.inspection import LINE_ENDS, Inspection, inspect_text
from pipelines.connectors.quoting import literal, literals
from pipelines.connectors.tolerant import RECORD_MAXIMUM_LINES, Batch, read_tolerantly


@dataclass(frozen=True)
class PreparedText(Prepared):
    """A delimited file that was inspected; the key is its dialect."""

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


def prepare(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, feed: Feed, temp_dir: Path
) -> PreparedText:
    """Inspect a file and find its dialect; QuarantineError when it cannot be what was declared."""
    inspection = inspect_text(delivery, feed, temp_dir)
    dialect = find_dialect(inspection, feed, delivery.name)
    line = feed.header_row if feed.header else None
    warnings = checked_columns(dialect.names, feed, delivery.name, line)
    return PreparedText(delivery, dialect, inspection.size, inspection, dialect, tuple(warnings))


def read(connection: duckdb.DuckDBPyConnection, feed: Feed, group: Sequence[Prepared]) -> Extract:
    """Read files of one dialect: with DuckDB where it reads them whole, else tolerantly.

    Files that break off in their last line are refused.
    """
    texts = [text for text in group if isinstance(text, PreparedText)]
    dialect = texts[0].dialect
    columns = positional(dialect.names)
    fields = [column.sql for column in columns.values()]
    connection.execute(READER_REJECTS_DDL)
    queries: list[str] = []
    records = _read_fast(connection, [text for text in texts if text.is_plain], queries)
    fast = set(records)
    others = [text for text in texts if text.delivery.file_id not in fast]
    refused = _read_tolerantly(connection, others, records) if others else {}
    if others:
        queries.append(f"select _file_id, _line, {{fields}} from {TOLERANT_TABLE}")
    rows = " union all ".join(query.format(fields=", ".join(fields)) for query in queries)
    relation = Relation(
        sql=f"({rows})",
        columns=columns,
        row_text=_row_text(dialect, fields),
        leftover=json_leftover(columns),
        fault=too_long(columns),
    )
    return Extract(
        records=records,
        relation=whole_rows(relation),
        dialects={
            file_id: dialect.as_json() | {"reader": "fast" if file_id in fast else "tolerant"}
            for file_id in records
        },
        messages={text.delivery.file_id: list(text.warnings) for text in texts},
        refused=refused,
    )


def _read_fast(
    connection: duckdb.DuckDBPyConnection, texts: Sequence[PreparedText], queries: list[str]
) -> dict[int, int]:
    """Records of the files that DuckDB's reader provably reads whole; a query of their rows."""
    if not texts or not _load(connection, texts):
        return {}
    first, count = [0] * len(texts), [0] * len(texts)
    torn: set[int] = set()
    for index, low, high, rows in connection.execute(
        f"select _file_index, min(rowid), max(rowid), count(*) from {EXTRACT_TABLE} group by all"
    ).fetchall():
        first[index], count[index] = low, rows
        if high - low + 1 != rows:
            torn.add(index)
    uneven = [index for index, text in enumerate(texts) if count[index] != text.records]
    numbered = _number_lines(connection, texts, uneven) if uneven else set()
    whole = sorted(({*range(len(texts))} - {*uneven} | numbered) - torn)
    if not whole:
        return {}
    ids = [text.delivery.file_id for text in texts]
    first_lines = [texts[0].dialect.skip + 1 - row for row in first]
    line = f"{EXTRACT_TABLE}.rowid + {place_of(first_lines, '_file_index')}"
    table = EXTRACT_TABLE
    if numbered:
        table += f" left join _spans on {EXTRACT_TABLE}.rowid = _row"
        line = f"coalesce(_start, {line})"
    where = "" if len(whole) == len(texts) else f" where _file_index in ({_listed(whole)})"
    queries.append(
        f"select {place_of(ids, '_file_index')}::integer as _file_id, ({line})::bigint as _line,"
        f" {{fields}} from {table}{where}"
    )
    return {ids[index]: count[index] for index in whole}


def _listed(numbers: Iterable[int]) -> str:
    return ", ".join(map(str, numbers))


def _read_tolerantly(
    connection: duckdb.DuckDBPyConnection,
    texts: Sequence[PreparedText],
    records: dict[int, int],
) -> dict[int, QuarantineError]:
    """Read files with the tolerant parser, counting their records; gives those that break off."""
    columns = ", ".join(f"c{place} varchar" for place in range(len(texts[0].dialect.names)))
    connection.execute(
        f"create or replace temp table {TOLERANT_TABLE} (_file_id integer, _line bigint, {columns})"
    )
    refused: dict[int, QuarantineError] = {}
    for text in texts:
        file_id = text.delivery.file_id
        try:
            records[file_id] = _parse(connection, text)
        except QuarantineError as error:
            refused[file_id] = error
            for table in (TOLERANT_TABLE, READER_REJECTS_TABLE):
                connection.execute(f"delete from {table} where _file_id = {file_id}")
    return refused


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
    return f"concat_ws({delimiter}, {', '.join(fields)})"


def _load(connection: duckdb.DuckDBPyConnection, texts: Sequence[PreparedText]) -> bool:
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
        f" escape = {literal(dialect.quote)},{_new_line(dialect)}"
        " strict_mode = true, ignore_errors = true)"
    )
    try:
        connection.execute(query)
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        return False
    return True


def _new_line(dialect: Dialect) -> str:
    """The reader's option; told of CR LF, DuckDB 2.0 reads nothing, and untold it finds it."""
    if dialect.line_end == "\r\n":
        return ""
    return f" new_line = '{LINE_ENDS[dialect.line_end]}',"


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
        f" ({_listed(uneven)})"
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


def _parse(connection: duckdb.DuckDBPyConnection, text: PreparedText) -> int:
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
                said(
                    "the file breaks off: {value} in its last line, which has no end",
                    value=last.value,
                ),
                where=f"{text.delivery.name} line {last.line}",
                line=last.line,
                remedy=said("transfer it again, whole"),
            )
    return records


def _insert(connection: duckdb.DuckDBPyConnection, batch: Batch, file_id: int, width: int) -> None:
    if batch.rows:
        values = [pa.array(batch.lines, pa.int64())]
        values += [pa.array(column, pa.string()) for column in zip(*batch.rows, strict=True)]
        names = ["_line", *(f"c{place}" for place in range(width))]
        connection.register("_tolerant_batch", pa.table(values, names=names))
        connection.execute(f"insert into {TOLERANT_TABLE} select {file_id}, * from _tolerant_batch")
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
