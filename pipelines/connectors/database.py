"""Databases by SQLAlchemy's URL: a table or a query, streamed in batches, every value as text.

The line is the row's place in the result. A result counts as new when its rows are, whatever
their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from cohorte.sources import Feed
from cohorte.yamlfile import resolve_environment
from pipelines.connectors.extract import (
    EXTRACT_TABLE,
    READER_REJECTS_DDL,
    Delivery,
    Extract,
    Prepared,
    QuarantineError,
    Relation,
    checked_columns,
    json_leftover,
    json_row_text,
    positional,
    whole_rows,
)

BATCH_ROWS = 20_000


def prepare(
    connection: duckdb.DuckDBPyConnection, delivery: Delivery, feed: Feed, temp_dir: Path
) -> Prepared:
    """Nothing to look at beforehand: each is read by itself."""
    return Prepared(delivery, delivery.file_id, 0)


def read(connection: duckdb.DuckDBPyConnection, feed: Feed, group: Sequence[Prepared]) -> Extract:
    """Read a table or a query.

    Raises SettingsError when the URL names an environment variable that is not set, and
    QuarantineError when the database cannot be reached or does not know what is asked.
    """
    (delivery,) = (one.delivery for one in group)
    connection.execute(READER_REJECTS_DDL)
    columns = positional([])
    warnings: list[str] = []
    for place, (names, batch) in enumerate(_batches(delivery, feed)):
        if place == 0:
            columns = positional(names)
            warnings = checked_columns(names, feed, delivery.name, None)
            declared = ", ".join(f"{column.sql} varchar" for column in columns.values())
            connection.execute(f"create or replace temp table {EXTRACT_TABLE} ({declared})")
        if batch.num_rows:
            connection.register("_query_batch", batch)
            connection.execute(f"insert into {EXTRACT_TABLE} select * from _query_batch")
            connection.unregister("_query_batch")
    fields = ", ".join(column.sql for column in columns.values())
    texts = ", ".join(f"coalesce({column.sql}, chr(0))" for column in columns.values())
    count, total = connection.execute(
        f"select count(*), coalesce(sum(md5_number_lower(concat_ws(chr(31), {texts}))), 0)"
        f" from {EXTRACT_TABLE}"
    ).fetchall()[0]
    described = "\x1f".join([*columns, str(count), str(total)])
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
        dialects={delivery.file_id: {"format": "database", "columns": list(columns)}},
        messages={delivery.file_id: warnings},
        content_hash=hashlib.sha256(described.encode()).hexdigest(),
    )


def _batches(delivery: Delivery, feed: Feed) -> Iterator[tuple[list[str], pa.Table]]:
    """Column names and rows, in batches; at least one batch, which may be without rows."""
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    address = resolve_environment(feed.url or "", f'feed "{feed.feed}" key url')
    try:
        url = sqlalchemy.make_url(address)
        if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
            raise QuarantineError(
                "missing_file",
                f"there is no database {url.database}",
                where=delivery.name,
                remedy=f'correct url of feed "{feed.feed}"',
            )
        engine = sqlalchemy.create_engine(url)
        with engine.connect().execution_options(stream_results=True) as source:
            result = source.execute(sqlalchemy.text(_query(engine, feed)))
            names = [str(name) for name in result.keys()]  # noqa: SIM118
            yield names, _table(names, [])
            for rows in result.partitions(BATCH_ROWS):
                yield names, _table(names, rows)
        engine.dispose()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise QuarantineError(
            "unreadable_database",
            f"the database does not answer: {reason}",
            where=delivery.name,
            remedy=f'correct url, table or query of feed "{feed.feed}", or start the database',
        ) from None


def _query(engine: Any, feed: Feed) -> str:
    if feed.query is not None:
        return feed.query
    quote = engine.dialect.identifier_preparer.quote_identifier
    return f"select * from {'.'.join(quote(part) for part in (feed.table or '').split('.'))}"


def _table(names: Sequence[str], rows: Sequence[Any]) -> pa.Table:
    places = [f"c{place}" for place in range(len(names))]
    if not rows:
        return pa.table([pa.array([], pa.string()) for _ in places], names=places)
    return pa.table([_texts(values) for values in zip(*rows, strict=True)], names=places)


def _texts(values: Sequence[Any]) -> pa.Array:
    """A column as texts; where its values are of several types, each by itself."""
    try:
        return pa.array(values).cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())
