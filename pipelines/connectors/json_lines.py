"""JSON: one object a line, or a document that holds a list of them; columns are paths.

A column is a path such as ``$.customer.email``. Each line, or each element of the list, is
accounted for: an object, blank, or rejected. With ``explode`` an entity has a row per element of a
list, whose paths start with ``@``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Sequence
from functools import reduce
from pathlib import Path
from typing import Any

import duckdb

from cohorte.said import said
from cohorte.sources import EntityMapping, Feed
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    MAXIMUM_COLUMNS,
    MAXIMUM_FIELD_BYTES,
    Delivery,
    Extract,
    Leftover,
    Prepared,
    QuarantineError,
    Relation,
    RelationColumn,
)
from pipelines.connectors.inspection import Inspection, inspect_text
from pipelines.connectors.lines import LineRule, PreparedLines, read_lines
from pipelines.connectors.quoting import literal, literals

DOCUMENT_MAXIMUM_BYTES = 500_000_000
OBJECTS = LineRule(
    "case when json_valid(line) then json_type(line) = 'OBJECT' else false end",
    said("not a JSON object"),
)
_SIMPLE_PATH = re.compile(r"\$(\.([A-Za-z_][A-Za-z0-9_ \-]*|\"[^\"]+\"))+")
_KEY = re.compile(r"\.(?:\"([^\"]+)\"|([^.\"]+))")


def prepare(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, feed: Feed, temp_dir: Path
) -> PreparedLines:
    """Inspect a file; QuarantineError when it is empty, or is no text or document of JSON."""
    found = inspect_text(delivery, feed, temp_dir)
    if feed.format == "json":
        records = _records(found, feed, delivery.name)
        return prepare_records(delivery, records, temp_dir, found.encoding)
    return PreparedLines(delivery, found.line_end, found.size, found)


def prepare_records(
    delivery: Delivery, records: Iterable[Any], temp_dir: Path, encoding: str = "utf-8"
) -> PreparedLines:
    """Records already parsed, as lines of a file of their own; the line is the record's place."""
    path = temp_dir / f"{delivery.file_id}.lines"
    count = 0
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for record in records:
            file.write(json.dumps(record, ensure_ascii=False))
            file.write("\n")
            count += 1
    size = path.stat().st_size
    lines = Inspection(
        text_path=path,
        encoding=encoding,
        lines=count,
        line_end="\n",
        is_uniform=True,
        has_nul=False,
        has_mark=False,
        is_damaged=False,
        ends_with_line_end=True,
        size=size,
    )
    return PreparedLines(delivery, "\n", size, lines)


def _records(found: Inspection, feed: Feed, name: str) -> list[Any]:
    """The list of a document: the document itself, or what lies at ``records``."""
    if found.size > DOCUMENT_MAXIMUM_BYTES:
        raise QuarantineError(
            "document_too_large",
            said(
                "a JSON document of {size:,} bytes is over {document_maximum_bytes:,}",
                size=found.size,
                document_maximum_bytes=DOCUMENT_MAXIMUM_BYTES,
            ),
            where=name,
            remedy=said("export it as JSON lines, one object a line"),
        )
    text = found.text_path.read_text(encoding="utf-8-sig", errors="replace")
    try:
        document = json.loads(text, parse_float=str)
    except json.JSONDecodeError as error:
        raise QuarantineError(
            "unreadable_file",
            said("it is no JSON document: {msg}", msg=error.msg),
            where=f"{name} line {error.lineno}",
            line=error.lineno,
            remedy=said("transfer it again, or declare format: json_lines"),
        ) from None
    except RecursionError:
        raise QuarantineError(
            "unreadable_file",
            said("it nests deeper than any record"),
            where=name,
            remedy=said("export it again"),
        ) from None
    records = value_at(document, feed.records)
    if not isinstance(records, list):
        raise QuarantineError(
            "missing_records",
            said("there is no list at {records}", records=feed.records or "$"),
            where=name,
            remedy=said('correct records of feed "{feed}", such as $.data', feed=feed.feed),
        )
    return records


def value_at(document: Any, path: str | None) -> Any:
    """What lies at a path such as ``$.data.items`` of a parsed document; none when nothing does."""
    value = document
    for quoted, bare in _KEY.findall((path or "$").removeprefix("$")):
        value = value.get(quoted or bare) if isinstance(value, dict) else None
    return value


def read(connection: duckdb.DuckDBPyConnection, feed: Feed, group: Sequence[Prepared]) -> Extract:
    """Read files of JSON lines; those whose last line breaks off are refused."""
    files = [file for file in group if isinstance(file, PreparedLines)]
    records, refused = read_lines(connection, files, OBJECTS)
    found = _columns_found(connection, feed)
    return Extract(
        records=records,
        relation=relation,
        dialects={
            file.delivery.file_id: {
                "format": feed.format,
                "encoding": file.inspection.encoding,
                "columns": found.get(file.delivery.file_id, []),
            }
            for file in files
        },
        refused=refused,
    )


def _columns_found(connection: duckdb.DuckDBPyConnection, feed: Feed) -> dict[int, list[str]]:
    """The keys of the objects that the mapping reads from, as paths, by file.

    Those are the record itself, the elements of an exploded list, and what holds a mapped path.
    """
    spelled: dict[str, str] = {}
    holders: dict[str, str] = {"$": "$"}
    for mapping in feed.entities.values():
        elements = f"{_path(mapping.explode)}[*]" if mapping.explode else "$"
        if mapping.explode:
            holders[elements] = "@"
            spelled[_path(mapping.explode)] = mapping.explode
        for name in _names_read(mapping):
            root, shown = (elements, "@") if name.startswith("@") else ("$", "$")
            keys = [quoted or bare for quoted, bare in _KEY.findall(_path(name))]
            for depth in range(len(keys)):
                holders.setdefault(_joined(root, keys[:depth]), _joined(shown, keys[:depth]))
            spelled[_joined(root, keys)] = name
    parts = " union all ".join(
        f"select _file_id, {place} as place, unnest({_keys_at(path)}) as key from {EXTRACT_TABLE}"
        for place, path in enumerate(holders)
    )
    columns: dict[int, dict[str, None]] = {}
    paths = list(holders)
    for file_id, place, key in connection.execute(
        f"select distinct * from ({parts}) order by all"
    ).fetchall():
        path = _joined(paths[place], [key])
        if path in spelled or path not in holders:
            of_file = columns.setdefault(file_id, {})
            if len(of_file) < MAXIMUM_COLUMNS:
                of_file[spelled.get(path, _joined(holders[paths[place]], [key]))] = None
    return {file_id: list(names) for file_id, names in columns.items()}


def _keys_at(path: str) -> str:
    keys = f"json_keys(line, {literal(path)})"
    return f"flatten({keys})" if "[*]" in path else keys


def path_below(place: str, key: str) -> str:
    """The path of a key below another path, as a mapping writes it."""
    is_bare = key.isidentifier() or "[" in key
    return f"{place}.{key}" if is_bare else f'{place}."{key}"'


def _joined(root: str, keys: Sequence[str]) -> str:
    return reduce(path_below, keys, root)


def _path(column: str) -> str:
    """A column of the mapping as a JSON path; a bare name is a key of the object."""
    if column.startswith("$"):
        return column
    if column.startswith("@"):
        return "$" + column[1:]
    return f'$."{column}"'


def _names_read(mapping: EntityMapping) -> list[str]:
    names = [name for mapped in mapping.columns.values() for name in mapped.read_columns]
    if mapping.where:
        names.append(mapping.where.column)
    return list(dict.fromkeys(names))


def relation(mapping: EntityMapping) -> Relation:
    """The lines of the extract table as rows of an entity."""
    names = _names_read(mapping)
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
            said("{value} stands for an element, and nothing is exploded", value=of_element[0]),
            where="explode",
            remedy=said("declare explode: $.path.to.the.list"),
        )
    fields = [f"_fields[{place}] as c{place}" for place in range(1, len(of_line) + 1)]
    fields += [f"_parts[{place}] as e{place}" for place in range(1, len(of_element) + 1)]
    columns = {name: RelationColumn(f"c{place}") for place, name in enumerate(of_line, start=1)} | {
        name: RelationColumn(f"e{place}") for place, name in enumerate(of_element, start=1)
    }
    kept = "_file_id, _line, line" + (", element, _is_no_list" if fault else "")
    if fault is None and columns:
        lengths = ", ".join(f"strlen({column.sql})" for column in columns.values())
        fault = (f"list_max([{lengths}]) > {MAXIMUM_FIELD_BYTES}", "field_too_long")
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
