"""Text read line by line, each accounted for: by DuckDB where it gives every line back.

JSON lines and fixed-width text read so. What a line must be is told as an SQL condition.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import duckdb
import pyarrow as pa

from cohorte.said import said
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    READER_REJECTS_DDL,
    READER_REJECTS_TABLE,
    Prepared,
    QuarantineError,
    place_of,
)
from pipelines.connectors.inspection import LINE_ENDS, Inspection
from pipelines.connectors.quoting import literal, literals
from pipelines.connectors.tolerant import physical_lines

LINES_TABLE = "_lines"
LINES_DDL = f"""
create or replace temp table {LINES_TABLE} (
    _file_id integer, _line bigint, line varchar, _refused varchar, _is_record boolean
)
"""


@dataclass(frozen=True)
class PreparedLines(Prepared):
    """A file of lines that was inspected; the key is its line end."""

    inspection: Inspection

    @property
    def is_plain(self) -> bool:
        """Whether DuckDB's reader may try it: one kind of line end, clean bytes."""
        found = self.inspection
        return found.is_uniform and not (found.has_nul or found.is_damaged or found.has_mark)


@dataclass(frozen=True)
class LineRule:
    """What a line must be, as SQL over ``line``, and what is said of one that is not."""

    is_record: str
    otherwise: str


def read_lines(
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[PreparedLines],
    rule: LineRule,
    *,
    skip: int = 0,
) -> tuple[dict[int, int], dict[int, QuarantineError]]:
    """Lines that are records go to the extract table, others to the reader's rejects.

    Gives how many lines that are not blank each file has after the first ``skip``, and the files
    that break off in their last line.
    """
    connection.execute(READER_REJECTS_DDL)
    connection.execute(LINES_DDL)
    whole = _read_fast(connection, [file for file in files if file.is_plain], rule)
    _read_slowly(connection, [file for file in files if file.delivery.file_id not in whole], rule)
    if skip:
        connection.execute(f"delete from {LINES_TABLE} where _line <= {skip}")
    refused = _broken_off(connection, files, rule)
    for file_id in refused:
        connection.execute(f"delete from {LINES_TABLE} where _file_id = {file_id}")
    connection.execute(
        f"insert into {READER_REJECTS_TABLE} select _file_id, _line, coalesce(_refused,"
        f" 'malformed_row'), case when _refused is null then {literal(rule.otherwise)} end, line"
        f" from {LINES_TABLE} where not _is_record"
    )
    connection.execute(
        f"create or replace temp table {EXTRACT_TABLE} as select _file_id, _line, line"
        f" from {LINES_TABLE} where _is_record"
    )
    counts = dict(
        connection.execute(f"select _file_id, count(*) from {LINES_TABLE} group by 1").fetchall()
    )
    connection.execute(f"drop table {LINES_TABLE}")
    ids = [file.delivery.file_id for file in files]
    return {file_id: counts.get(file_id, 0) for file_id in ids if file_id not in refused}, refused


def _keep_lines(
    connection: duckdb.DuckDBPyConnection,
    rule: LineRule,
    origin: str,
    file_id: str,
    line: str,
    refused: str,
) -> None:
    """Lines that are not blank, each with whether it is a record."""
    connection.execute(
        f"insert into {LINES_TABLE} select {file_id}, {line}, line, {refused}, {refused} is null"
        f" and {rule.is_record} from {origin} where trim(line, ' ' || chr(9)) <> ''"
    )


def _read_fast(
    connection: duckdb.DuckDBPyConnection, files: Sequence[PreparedLines], rule: LineRule
) -> set[int]:
    """Read lines with DuckDB; gives the ids of files of which it gives back every line."""
    if not files:
        return set()
    paths = literals(str(file.inspection.text_path) for file in files)
    try:
        connection.execute(
            f"create or replace temp table {EXTRACT_TABLE} as select file_index::integer as"
            f" _file_index, line from read_csv([{paths}], auto_detect = false, header = false,"
            " columns = {'line': 'VARCHAR'}, delim = chr(7), quote = '', escape = '',"
            f" new_line = '{LINE_ENDS[files[0].inspection.line_end]}', strict_mode = false,"
            " ignore_errors = true)"
        )
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        return set()
    first, whole = [0] * len(files), []
    for index, low, high, count in connection.execute(
        f"select _file_index, min(rowid), max(rowid), count(*) from {EXTRACT_TABLE} group by all"
    ).fetchall():
        first[index] = low
        if high - low + 1 == count == files[index].inspection.lines:
            whole.append(index)
    if whole:
        ids = [file.delivery.file_id for file in files]
        _keep_lines(
            connection,
            rule,
            f"(from {EXTRACT_TABLE} select *, rowid as _row"
            f" where _file_index in ({', '.join(map(str, whole))}))",
            place_of(ids, "_file_index"),
            f"_row + {place_of([1 - row for row in first], '_file_index')}",
            "null",
        )
    return {files[index].delivery.file_id for index in whole}


def _read_slowly(
    connection: duckdb.DuckDBPyConnection, files: Sequence[PreparedLines], rule: LineRule
) -> None:
    """Read the lines one by one, of files that DuckDB's reader does not give back whole."""
    for file in files:
        for lines in physical_lines(file.inspection.text_path, file.inspection.line_end):
            batch = pa.table(
                {
                    "_row": pa.array([line.number for line in lines], pa.int64()),
                    "line": pa.array([line.text for line in lines], pa.string()),
                    "why": pa.array([line.refused for line in lines], pa.string()),
                }
            )
            connection.register("_line_batch", batch)
            _keep_lines(connection, rule, "_line_batch", f"{file.delivery.file_id}", "_row", "why")
            connection.unregister("_line_batch")


def _broken_off(
    connection: duckdb.DuckDBPyConnection, files: Sequence[PreparedLines], rule: LineRule
) -> dict[int, QuarantineError]:
    """Files whose last line has no end and is no record."""
    open_ended = {
        file.delivery.file_id: file for file in files if not file.inspection.ends_with_line_end
    }
    if not open_ended:
        return {}
    refused: dict[int, QuarantineError] = {}
    for file_id, last in connection.execute(
        f"select _file_id, _line from {LINES_TABLE} where not _is_record and _refused is null"
        f" and _file_id in ({', '.join(map(str, open_ended))})"
    ).fetchall():
        file = open_ended[file_id]
        if last == file.inspection.lines:
            refused[file_id] = QuarantineError(
                "truncated_file",
                said(
                    "the file breaks off in its last line, which is {otherwise} and has no end",
                    otherwise=rule.otherwise,
                ),
                where=f"{file.delivery.name} line {last}",
                line=last,
                remedy=said("transfer it again, whole"),
            )
    return refused
