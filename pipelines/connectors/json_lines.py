"""JSON lines: one object a line; columns are paths such as ``$.customer.email``.

The text is read line by line, so that each line is accounted for: an object, blank, or rejected.
With ``explode`` an entity has a row per element of a list, whose paths start with ``@``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import replace
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
    QuarantineError,
    Relation,
    RelationColumn,
)
from pipelines.connectors.inspection import LINE_ENDS, Inspection, inspect_text, plain_path
from pipelines.connectors.quoting import literal, literals
from pipelines.connectors.tolerant import physical_lines

LINES_TABLE = "_json_lines"
_SIMPLE_PATH = re.compile(r"\$(\.([A-Za-z_][A-Za-z0-9_ \-]*|\"[^\"]+\"))+")
_KEY = re.compile(r"\.(?:\"([^\"]+)\"|([^.\"]+))")


def extract_json_lines(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, feed: Feed, temp_dir: Path
) -> Extract:
    """Read a file of JSON lines.

    Raises QuarantineError for an empty file, a wrong encoding, and a last line that breaks off.
    """
    assert delivery.path is not None  # noqa: S101
    connection.execute(READER_REJECTS_DDL)
    copy_path = temp_dir / f"{delivery.file_id}.txt"
    found = inspect_text(delivery.path, delivery.name, feed.feed, feed.encoding, copy_path)
    found = replace(found, text_path=plain_path(found.text_path, temp_dir, delivery.file_id))
    is_plain = found.is_uniform and not (found.has_nul or found.is_damaged or found.has_mark)
    if not (is_plain and _read_lines(connection, found)):
        _read_lines_slowly(connection, found)
    file_id = delivery.file_id
    connection.execute(
        f"insert into {READER_REJECTS_TABLE} select {file_id}, _line, coalesce(_refused,"
        f" 'malformed_row'), case when _refused is null then 'not a JSON object' end, line"
        f" from {LINES_TABLE} where not _is_object"
    )
    connection.execute(
        f"create or replace temp table {EXTRACT_TABLE} as select _line, line from {LINES_TABLE}"
        " where _is_object"
    )
    records, last = connection.execute(
        f"select count(*), max(_line) from {LINES_TABLE}"
    ).fetchall()[0]
    bad = connection.execute(
        f"select 1 from {READER_REJECTS_TABLE} where line = ? and reason = 'malformed_row'", [last]
    ).fetchall()
    if bad and last == found.lines and not found.ends_with_line_end:
        raise QuarantineError(
            "truncated_file",
            "the file breaks off in its last line, which is no JSON object and has no end",
            where=f"{delivery.name} line {last}",
            line=last,
            remedy="transfer it again, whole",
        )
    return Extract(
        records={file_id: int(records)},
        relation=lambda mapping: _relation(mapping, file_id),
        dialects={file_id: {"format": "json_lines", "encoding": found.encoding}},
    )


def _checked_lines(origin: str, line: str, refused: str) -> str:
    """Lines that are not blank, each with whether it is a JSON object."""
    return (
        f"create or replace temp table {LINES_TABLE} as select {line} as _line, line,"
        f" {refused}::varchar as _refused, {refused} is null and case when json_valid(line)"
        f" then json_type(line) = 'OBJECT' else false end as _is_object"
        f" from {origin} where trim(line, ' ' || chr(9)) <> ''"
    )


def _read_lines(connection: duckdb.DuckDBPyConnection, found: Inspection) -> bool:
    """Read the lines with DuckDB; false when it does not give back every one."""
    line_end = LINE_ENDS[found.line_end]
    connection.execute("drop table if exists _reject_errors")
    connection.execute("drop table if exists _reject_scans")
    try:
        connection.execute(
            f"create or replace temp table {EXTRACT_TABLE} as select * from read_csv("
            f"[{literal(str(found.text_path))}], auto_detect = false, header = false,"
            " columns = {'line': 'VARCHAR'}, delim = chr(7), quote = '', escape = '',"
            f" new_line = '{line_end}', strict_mode = false, store_rejects = true,"
            " rejects_limit = 100, rejects_table = '_reject_errors',"
            " rejects_scan = '_reject_scans')"
        )
    except (duckdb.InvalidInputException, duckdb.ConversionException):
        return False
    count = connection.execute(f"select count(*) from {EXTRACT_TABLE}").fetchall()[0][0]
    refused = connection.execute("select 1 from _reject_errors limit 1").fetchall()
    if refused or count != found.lines:
        return False
    connection.execute(_checked_lines(EXTRACT_TABLE, "rowid + 1", "null"))
    return True


def _read_lines_slowly(connection: duckdb.DuckDBPyConnection, found: Inspection) -> None:
    """Read the lines one by one, for files that DuckDB's reader does not give back whole."""
    connection.execute(
        f"create or replace temp table {EXTRACT_TABLE} (_line bigint, line varchar, why varchar)"
    )
    for lines in physical_lines(found.text_path, found.line_end):
        batch = pa.table(
            {
                "_line": pa.array([line.number for line in lines], pa.int64()),
                "line": pa.array([line.text for line in lines], pa.string()),
                "why": pa.array([line.refused for line in lines], pa.string()),
            }
        )
        connection.register("_line_batch", batch)
        connection.execute(f"insert into {EXTRACT_TABLE} select * from _line_batch")
        connection.unregister("_line_batch")
    connection.execute(_checked_lines(EXTRACT_TABLE, "_line", "why"))


def _path(column: str) -> str:
    """A column of the mapping as a JSON path; a bare name is a key of the object."""
    if column.startswith("$"):
        return column
    if column.startswith("@"):
        return "$" + column[1:]
    return f'$."{column}"'


def _relation(mapping: EntityMapping, file_id: int) -> Relation:
    names: list[str] = []
    for mapped in mapping.columns.values():
        names += mapped.read_columns
    if mapping.where:
        names.append(mapping.where.column)
    names = list(dict.fromkeys(names))
    of_element = [name for name in names if name.startswith("@")]
    of_line = [name for name in names if not name.startswith("@")]
    rows = f"(select {file_id} as _file_id, _line, line from {EXTRACT_TABLE})"
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
        leftover=_leftover(mapping.explode),
        fault=fault,
    )


def _extracted(value: str, names: Sequence[str], alias: str) -> str:
    if not names:
        return f"null as {alias}"
    return f"json_extract_string({value}, [{literals(map(_path, names))}]) as {alias}"


def _leftover(exploded: str | None) -> Leftover:
    """What the mappings leave of a line, of an element, or of both under one another."""

    def leftover(mapped: set[str], is_first: bool) -> str:
        of_line = _emptied("line", [_path(name) for name in mapped if name[:1] != "@"])
        of_element = _emptied("element", [_path(name) for name in mapped if name[:1] == "@"])
        match is_first, exploded is not None:
            case True, True:
                kept = f"json_merge_patch({of_line}, {of_element})"
            case True, False:
                kept = of_line
            case False, True:
                kept = of_element
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
