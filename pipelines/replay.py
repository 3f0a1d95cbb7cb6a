"""Rejected rows of files that are no longer there, read again from raw by a mended mapping.

Raw keeps a rejected row as it came, so it can be read again without its file. What entered before
stays as the earlier mapping read it: a file's accepted rows are not kept as they came. A row that
still does not fit, that was cut because it was too long, or that the mapping now leaves out stays
rejected; none is lost.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import duckdb
import pyarrow as pa

from cohorte.settings import WorkspaceSettings
from cohorte.sources import Feed, Source
from pipelines.check import project_feed
from pipelines.connectors import json_lines
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    READER_REJECTS_DDL,
    WORK_TABLES,
    Extract,
    Relation,
    checked_columns,
    json_leftover,
    positional,
    too_long,
    whole_rows,
)
from pipelines.connectors.packed import text_places
from pipelines.connectors.tolerant import split_record
from pipelines.load import ROW_TEXT_CHARACTERS, FileRow, Snapshots, Typed, load_replayed, type_rows

JSON_FORMATS = ("json", "json_lines")


@dataclass(frozen=True)
class Replayed:
    """A delivery whose rejected records were tried again: how many, and how many entered."""

    file: FileRow
    tried: int
    entered: int


@dataclass(frozen=True)
class _Kept:
    """A rejected record as raw keeps it; ``is_read`` when only an entity refused it."""

    line: int
    text: str
    is_read: bool


def replay_rejected(
    connection: duckdb.DuckDBPyConnection,
    feed: Feed,
    source: Source,
    settings: WorkspaceSettings,
    mapping: str,
    present: Collection[str],
) -> Iterator[Replayed]:
    """Try the rejected rows of the feed's deliveries under the mapping of today.

    Left alone are contents still ``present``, which are read whole, and deliveries whose rejected
    rows were read under this ``mapping`` already.
    """
    names = [field.name for field in fields(FileRow)]
    for row in connection.execute(
        f"select {', '.join(names)} from files where source = ? and feed = ?"
        " and status = 'loaded' and rejected > 0 and content_hash is not null"
        " and coalesce(dialect ->> '$.replayed', dialect ->> '$.mapping', '') <> ?"
        " order by file_id",
        [source.source, feed.feed, mapping],
    ).fetchall():
        file = FileRow(**dict(zip(names, row, strict=True)))
        file.dialect = json.loads(row[-1])
        if file.content_hash not in present:
            yield _replay(connection, file, feed, source, settings, mapping)


def _replay(
    connection: duckdb.DuckDBPyConnection,
    file: FileRow,
    feed: Feed,
    source: Source,
    settings: WorkspaceSettings,
    mapping: str,
) -> Replayed:
    before = file.rejected
    kept = [
        _Kept(*row)
        for row in connection.execute(
            "select line, any_value(row_text), bool_and(entity is not null) from rejected_rows"
            f" where file_id = ? and length(row_text) < {ROW_TEXT_CHARACTERS}"
            " group by line order by line",
            [file.file_id],
        ).fetchall()
    ]
    file.dialect["replayed"] = mapping
    connection.execute(READER_REJECTS_DDL)
    projections = project_feed(feed, source, settings, _extract(connection, file, feed, kept))
    every = type_rows(connection, [replace(one, is_distinct=False) for one in projections])
    typed = [Typed(one, rows.table) for one, rows in zip(projections, every, strict=True)]
    load_replayed(connection, file, typed, Snapshots.of_feed(feed, [file]))
    for table in WORK_TABLES:
        connection.execute(f"drop table if exists {table}")
    return Replayed(file, before, before - file.rejected)


def _extract(
    connection: duckdb.DuckDBPyConnection, file: FileRow, feed: Feed, kept: Sequence[_Kept]
) -> Extract:
    """The rejected records as the feed's reader would have handed them over."""
    if feed.format in JSON_FORMATS:
        objects = [one for one in kept if one.is_read]
        _write(connection, file.file_id, ["line"], objects, [[one.text] for one in objects])
        return Extract(records={file.file_id: len(objects)}, relation=json_lines.relation)
    names: list[str] = file.dialect.get("columns") or []
    checked_columns(names, feed, file.name, None)
    columns = positional(names)
    rows = [(one, read) for one in kept if (read := _fields(one, file.dialect, names, feed))]
    _write(
        connection,
        file.file_id,
        ["row_text", *(f"c{place}" for place in range(len(names)))],
        [one for one, _ in rows],
        [[one.text, *read] for one, read in rows],
    )
    relation = Relation(
        sql=EXTRACT_TABLE,
        columns=columns,
        row_text="row_text",
        leftover=json_leftover(columns),
        fault=too_long(columns),
    )
    return Extract(records={file.file_id: len(rows)}, relation=whole_rows(relation))


def _fields(
    one: _Kept, dialect: dict[str, Any], names: Sequence[str], feed: Feed
) -> list[str | None] | None:
    """The values of a record, by the file's columns; none when it cannot be read as one."""
    if feed.format == "delimited":
        quote = dialect["quote"] if one.is_read else feed.quote
        found = split_record(one.text, feed.delimiter or dialect["delimiter"], quote)
        return found if found is not None and len(found) == len(names) else None
    if feed.format == "fixed_width":
        places = text_places(feed)
        cut = [one.text[start - 1 : start - 1 + length].strip() for start, length in places]
        return [field or None for field in cut] if one.is_read else None
    values = json.loads(one.text)
    texts = [values.get(name) for name in names]
    return [text if text is None or isinstance(text, str) else json.dumps(text) for text in texts]


def _write(
    connection: duckdb.DuckDBPyConnection,
    file_id: int,
    names: Sequence[str],
    kept: Sequence[_Kept],
    rows: Sequence[Sequence[str | None]],
) -> None:
    columns = list(zip(*rows, strict=True)) or [()] * len(names)
    batch = pa.table(
        [
            pa.array([file_id] * len(kept), pa.int32()),
            pa.array([one.line for one in kept], pa.int64()),
            *(pa.array(column, pa.string()) for column in columns),
        ],
        names=["_file_id", "_line", *names],
    )
    connection.register("_kept_rows", batch)
    connection.execute(f"create or replace temp table {EXTRACT_TABLE} as from _kept_rows")
    connection.unregister("_kept_rows")
