"""JSON lines: one object a line; columns are paths such as ``$.customer.email``.

The text is read line by line, so that each line is accounted for: an object, blank, or rejected.
With ``explode`` an entity has a row per element of a list, whose paths start with ``@``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cohorte.sources import EntityMapping, Feed
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    READER_REJECTS_DDL,
    READER_REJECTS_TABLE,
    Delivery,
    Extract,
    Leftover,
    Prepared,
    QuarantineError,
    Relation,
    RelationColumn,
    place_of,
)
from pipelines.connectors.inspection import LINE_ENDS, Inspection, inspect_text
from pipelines.connectors.quoting import literal, literals
from pipelines.connectors.tolerant import physical_lines

LINES_TABLE = "_json_lines"
LINES_DDL = f"""
create or replace temp table {LINES_TABLE} (
    _file_id integer, _line bigint, line varchar, _refused varchar, _is_object boolean
)
"""
_SIMPLE_PATH = re.compile(r"\$(\.([A-Za-z_][A-Za-z0-9_ \-]*|\"[^\"]+\"))+")
_KEY = re.compile(r"\.(?:\"([^\"]+)\"|([^.\"]+))")


@dataclass(frozen=True)
class PreparedLines(Prepared):
    """A file of JSON lines that was inspected; the key is its line end."""

    inspection: Inspection

    @property
    def is_plain(self) -> bool:
        """Whether DuckDB's reader may try it: one kind of line end, clean bytes."""
        found = self.inspection
        return found.is_uniform and not (found.has_nul or found.is_damaged or found.has_mark)


def prepare(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, feed: Feed, temp_dir: Path
) -> PreparedLines:
    """Inspect a file; QuarantineError when it is empty or its encoding does not hold."""
    found = inspect_text(delivery, feed, temp_dir)
    return PreparedLines(delivery, found.line_end, found.size, found)


def read(connection: duckdb.DuckDBPyConnection, feed: Feed, group: Sequence[Prepared]) -> Extract:
    """Read files of JSON lines; those whose last line breaks off are refused."""
    files = [file for file in group if isinstance(file, PreparedLines)]
    connection.execute(READER_REJECTS_DDL)
    connection.execute(LINES_DDL)
    whole = _read_fast(connection, [file for file in files if file.is_plain])
    _read_slowly(connection, [file for file in files if file.delivery.file_id not in whole])
    refused = _broken_off(connection, files)
    for file_id in refused:
        connection.execute(f"delete from {LINES_TABLE} where _file_id = {file_id}")
    connection.execute(
        f"insert into {READER_REJECTS_TABLE} select _file_id, _line, coalesce(_refused,"
        f" 'malformed_row'), case when _refused is null then 'not a JSON object' end, line"
        f" from {LINES_TABLE} where not _is_object"
    )
    connection.execute(
        f"create or replace temp table {EXTRACT_TABLE} as select _file_id, _line, line"
        f" from {LINES_TABLE} where _is_object"
    )
    counts = dict(
        connection.execute(f"select _file_id, count(*) from {LINES_TABLE} group by 1").fetchall()
    )
    connection.execute(f"drop table {LINES_TABLE}")
    ids = [file.delivery.file_id for file in files]
    return Extract(
        records={file_id: counts.get(file_id, 0) for file_id in ids if file_id not in refused},
        relation=_relation,
        dialects={
            file.delivery.file_id: {"format": "json_lines", "encoding": file.inspection.encoding}
            for file in files
        },
        refused=refused,
    )


def _keep_lines(
    connection: duckdb.DuckDBPyConnection, origin: str, file_id: str, line: str, refused: str
) -> None:
    """Lines that are not blank, each with whether it is a JSON object."""
    connection.execute(
        f"insert into {LINES_TABLE} select {file_id}, {line}, line, {refused}, {refused} is null"
        " and case when json_valid(line) then json_type(line) = 'OBJECT' else false end"
        f" from {origin} where trim(line, ' ' || chr(9)) <> ''"
    )


def _read_fast(connection: duckdb.DuckDBPyConnection, files: Sequence[PreparedLines]) -> set[int]:
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
            f"(from {EXTRACT_TABLE} select *, rowid as _row"
            f" where _file_index in ({', '.join(map(str, whole))}))",
            place_of(ids, "_file_index"),
            f"_row + {place_of([1 - row for row in first], '_file_index')}",
            "null",
        )
    return {files[index].delivery.file_id for index in whole}


def _read_slowly(connection: duckdb.DuckDBPyConnection, files: Sequence[PreparedLines]) -> None:
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
            _keep_lines(connection, "_line_batch", f"{file.delivery.file_id}", "_row", "why")
            connection.unregister("_line_batch")


def _broken_off(
    connection: duckdb.DuckDBPyConnection, files: Sequence[PreparedLines]
) -> dict[int, QuarantineError]:
    """Files whose last line has no end and is no object."""
    open_ended = {
        file.delivery.file_id: file for file in files if not file.inspection.ends_with_line_end
    }
    if not open_ended:
        return {}
    refused: dict[int, QuarantineError] = {}
    for file_id, last in connection.execute(
        f"select _file_id, _line from {LINES_TABLE} where not _is_object and _refused is null"
        f" and _file_id in ({', '.join(map(str, open_ended))})"
    ).fetchall():
        file = open_ended[file_id]
        if last == file.inspection.lines:
            refused[file_id] = QuarantineError(
                "truncated_file",
                "the file breaks off in its last line, which is no JSON object and has no end",
                where=f"{file.delivery.name} line {last}",
                line=last,
                remedy="transfer it again, whole",
            )
    return refused


def _path(column: str) -> str:
    """A column of the mapping as a JSON path; a bare name is a key of the object."""
    if column.startswith("$"):
        return column
    if column.startswith("@"):
        return "$" + column[1:]
    return f'$."{column}"'


def _relation(mapping: EntityMapping) -> Relation:
    names: list[str] = []
    for mapped in mapping.columns.values():
        names += mapped.read_columns
    if mapping.where:
        names.append(mapping.where.column)
    names = list(dict.fromkeys(names))
    of_element = [name for name in names if name.startswith("@")]
    of_line = [name for name in names if not name.startswith("@")]
    rows = EXTRACT_TABLE
    fault = None
    parts = [_extracted("line", of_line, "_fields")]
    if mapping.explode is not None:
        path = literal(_path(mapping.explode))
        elements = literal(_path(mapping.explode) + "[*]")
        kind = f"json_type(line, {path})"
        rows = (
            f"(select *, unnest(case {kind} when 'ARRAY' then json_extract(line, {elements})"
            f" when 'NULL' then [] else case when {kind} is null then [] else [null] end end)"
            f" as element, {kind} not in ('ARRAY', 'NULL') as _is_no_list from {rows})"
        )
        fault = ("_is_no_list", "not_a_list")
        parts.append(_extracted("element", of_element, "_parts"))
    elif of_element:
        raise QuarantineError(
            "wrong_mapping",
            f"{of_element[0]} stands for an element, and nothing is exploded",
            where="explode",
            remedy="declare explode: $.path.to.the.list",
        )
    fields = [f"_fields[{place}] as c{place}" for place in range(1, len(of_line) + 1)]
    fields += [f"_parts[{place}] as e{place}" for place in range(1, len(of_element) + 1)]
    columns = {name: RelationColumn(f"c{place}") for place, name in enumerate(of_line, start=1)} | {
        name: RelationColumn(f"e{place}") for place, name in enumerate(of_element, start=1)
    }
    kept = "_file_id, _line, line" + (", element, _is_no_list" if fault else "")
    fielded = f"(select *, {', '.join(parts)} from {rows})"
    return Relation(
        sql=f"(select {', '.join([kept, *fields])} from {fielded})",
        columns=columns,
        row_text="line",
        leftover=_leftover(mapping.explode, of_element),
        fault=fault,
    )


def _extracted(value: str, names: Sequence[str], alias: str) -> str:
    if not names:
        return f"null as {alias}"
    return f"json_extract_string({value}, [{literals(map(_path, names))}]) as {alias}"


def _leftover(exploded: str | None, of_element: Sequence[str]) -> Leftover:
    """What the mappings leave of a line, of an element, or of both under one another."""

    def leftover(mapped: set[str], is_first: bool) -> str:
        line = _emptied("line", [_path(name) for name in mapped if name[:1] != "@"])
        element = _emptied("element", [_path(name) for name in of_element])
        match is_first, exploded is not None:
            case True, True:
                kept = f"json_merge_patch({line}, {element})"
            case True, False:
                kept = line
            case False, True:
                kept = element
            case _:
                return "null::varchar"
        return f"nullif({kept}::varchar, '{{}}')"

    return leftover


def _emptied(value: str, paths: Sequence[str]) -> str:
    """A JSON object without some of its paths, by a merge patch that nulls them."""
    patch: dict[str, Any] = {}
    for path in sorted(paths):
        if not _SIMPLE_PATH.fullmatch(path):
            continue
        keys = [quoted or bare for quoted, bare in _KEY.findall(path)]
        level = patch
        for key in keys[:-1]:
            below = level.setdefault(key, {})
            if below is None:
                break
            level = below
        else:
            level[keys[-1]] = None
    return f"json_merge_patch({value}, {literal(json.dumps(patch, ensure_ascii=False))})"
