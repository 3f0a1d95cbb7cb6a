"""Parquet: typed columns, the line is the row's place in the file, from one."""

from __future__ import annotations

import duckdb

from cohorte.sources import Feed
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    READER_REJECTS_DDL,
    Delivery,
    Extract,
    Relation,
    RelationColumn,
    checked_columns,
    json_leftover,
    json_row_text,
    whole_rows,
)
from pipelines.connectors.quoting import identifier, literal


def extract_parquet(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, feed: Feed
) -> Extract:
    """Read a Parquet file. Raises duckdb.Error when it is none, or is cut."""
    connection.execute(READER_REJECTS_DDL)
    path = literal(str(delivery.path))
    described = connection.execute(f"describe select * from read_parquet([{path}])").fetchall()
    names = [row[0] for row in described]
    warnings = checked_columns(names, feed, delivery.name, None)
    selected = ", ".join(f"{identifier(name)} as c{place}" for place, name in enumerate(names))
    connection.execute(
        f"create or replace temp table {EXTRACT_TABLE} as select {selected}"
        f" from read_parquet([{path}])"
    )
    count = connection.execute(f"select count(*) from {EXTRACT_TABLE}").fetchall()[0][0]
    columns = {row[0]: RelationColumn(f'"c{place}"', row[1]) for place, row in enumerate(described)}
    fields = ", ".join(column.sql for column in columns.values())
    relation = Relation(
        sql=f"(select {delivery.file_id} as _file_id, rowid + 1 as _line, {fields}"
        f" from {EXTRACT_TABLE})",
        columns=columns,
        row_text=json_row_text(columns),
        leftover=json_leftover(columns),
    )
    return Extract(
        records={delivery.file_id: int(count)},
        relation=whole_rows(relation),
        dialects={delivery.file_id: {"format": "parquet", "columns": names}},
        messages={delivery.file_id: warnings},
    )
