"""Parquet: typed columns, the line is the row's place in the file, from one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import duckdb

from cohorte.sources import Feed
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    READER_REJECTS_DDL,
    Delivery,
    Extract,
    Prepared,
    Relation,
    RelationColumn,
    checked_columns,
    json_leftover,
    json_row_text,
    place_of,
    too_long,
    whole_rows,
)
from pipelines.connectors.inspection import plain_path
from pipelines.connectors.quoting import identifier, literal, literals


@dataclass(frozen=True)
class PreparedParquet(Prepared):
    """A Parquet file; the key is its columns and their types."""

    path: Path
    columns: tuple[tuple[str, str], ...]
    warnings: tuple[str, ...]


def prepare(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, feed: Feed, temp_dir: Path
) -> PreparedParquet:
    """Read the file's columns. Raises duckdb.Error when it is no Parquet, or is cut."""
    path = plain_path(delivery.whole_path, temp_dir, delivery.file_id)
    columns = tuple(
        (name, kind)
        for name, kind, *_ in connection.execute(
            f"describe select * from read_parquet([{literal(str(path))}])"
        ).fetchall()
    )
    warnings = checked_columns([name for name, _ in columns], feed, delivery.name, None)
    size = delivery.whole_path.stat().st_size
    return PreparedParquet(delivery, columns, size, path, columns, tuple(warnings))


def read(connection: duckdb.DuckDBPyConnection, feed: Feed, group: Sequence[Prepared]) -> Extract:
    """Read files of the same columns. Raises duckdb.Error when one of them is damaged."""
    files = [file for file in group if isinstance(file, PreparedParquet)]
    connection.execute(READER_REJECTS_DDL)
    names = [name for name, _ in files[0].columns]
    selected = ", ".join(f"{identifier(name)} as c{place}" for place, name in enumerate(names))
    ids = [file.delivery.file_id for file in files]
    connection.execute(
        f"create or replace temp table {EXTRACT_TABLE} as select"
        f" {place_of(ids, 'file_index::integer')}::integer as _file_id,"
        f" file_row_number + 1 as _line, {selected}"
        f" from read_parquet([{literals(str(file.path) for file in files)}])"
    )
    records = dict.fromkeys(ids, 0)
    records |= dict(
        connection.execute(f"select _file_id, count(*) from {EXTRACT_TABLE} group by 1").fetchall()
    )
    columns = {
        name: RelationColumn(f'"c{place}"', kind)
        for place, (name, kind) in enumerate(files[0].columns)
    }
    fields = ", ".join(column.sql for column in columns.values())
    relation = Relation(
        sql=f"(select _file_id, _line, {fields} from {EXTRACT_TABLE})",
        columns=columns,
        row_text=json_row_text(columns),
        leftover=json_leftover(columns),
        fault=too_long(columns),
    )
    return Extract(
        records=records,
        relation=whole_rows(relation),
        dialects={file_id: {"format": "parquet", "columns": names} for file_id in ids},
        messages={file.delivery.file_id: list(file.warnings) for file in files},
    )
