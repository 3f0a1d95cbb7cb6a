"""Databases: a table or a query, streamed in batches of Arrow, never whole in memory.

PostgreSQL goes by ADBC, a DuckDB file by DuckDB itself, read-only, all others by SQLAlchemy. Of a
feed with an ``incremental`` column only what is at or above the largest value known is asked for:
at, because rows of the same moment may have come later. The line is the row's place in the result.
A result counts as new when its rows are, whatever their order.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import sqlglot
from sqlglot import exp

from cohorte.said import said
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
    too_long,
    whole_rows,
)

BATCH_ROWS = 20_000
DIALECTS = {"postgresql": "postgres", "mysql": "mysql", "mariadb": "mysql", "sqlite": "sqlite"}
DRIVERS = {"mysql": "mysql+pymysql", "mariadb": "mariadb+pymysql"}


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
    for place, batch in enumerate(_batches(delivery, feed)):
        if place == 0:
            names = batch.schema.names
            columns = positional(names)
            warnings = checked_columns(names, feed, delivery.name, None)
            declared = ", ".join(f"{column.sql} varchar" for column in columns.values())
            connection.execute(f"create or replace temp table {EXTRACT_TABLE} ({declared})")
        if batch.num_rows:
            connection.register("_query_batch", _texts(batch))
            connection.execute(f"insert into {EXTRACT_TABLE} select * from _query_batch")
            connection.unregister("_query_batch")
    fields = ", ".join(column.sql for column in columns.values())
    texts = ", ".join(f"coalesce({column.sql}, chr(0))" for column in columns.values())
    count, total = connection.execute(
        f"select count(*), coalesce(sum(md5_number_lower(concat_ws(chr(31), {texts}))), 0)"
        f" from {EXTRACT_TABLE}"
    ).fetchall()[0]
    described = "\x1f".join([*columns, str(count), str(total)])
    dialect: dict[str, Any] = {"format": "database", "columns": list(columns)}
    if feed.incremental:
        dialect["watermark"] = _watermark(connection, feed, columns, delivery)
    relation = Relation(
        sql=f"(select {delivery.file_id} as _file_id, rowid + 1 as _line, {fields}"
        f" from {EXTRACT_TABLE})",
        columns=columns,
        row_text=json_row_text(columns),
        leftover=json_leftover(columns),
        fault=too_long(columns),
    )
    return Extract(
        records={delivery.file_id: int(count)},
        relation=whole_rows(relation),
        dialects={delivery.file_id: dialect},
        messages={delivery.file_id: warnings},
        content_hash=hashlib.sha256(described.encode()).hexdigest(),
    )


def _watermark(
    connection: duckdb.DuckDBPyConnection, feed: Feed, columns: Any, delivery: Delivery
) -> str | None:
    """The largest value of the incremental column, or the one before when nothing came.

    Whole numbers compare as such, all else as text, as ISO times do.
    """
    column = columns.get(feed.incremental)
    if column is None:
        raise QuarantineError(
            "missing_column",
            said(
                'no column "{incremental}", which incremental names', incremental=feed.incremental
            ),
            where=delivery.name,
            remedy=said('correct incremental of feed "{feed}"', feed=feed.feed),
        )
    numbers, texts = connection.execute(
        f"select case when count(*) = count(try_cast({column.sql} as hugeint))"
        f" then max(try_cast({column.sql} as hugeint)) end, max({column.sql})"
        f" from {EXTRACT_TABLE} where {column.sql} is not null"
    ).fetchall()[0]
    found = numbers if numbers is not None else texts
    return delivery.since if found is None else str(found)


def _batches(delivery: Delivery, feed: Feed) -> Iterator[pa.RecordBatch]:
    """Rows in batches with their columns' names; at least one batch, which may be without rows."""
    import sqlalchemy
    from sqlalchemy.exc import ArgumentError

    address = resolve_environment(feed.url or "", f'feed "{feed.feed}" key url')
    try:
        url = sqlalchemy.make_url(address)
    except ArgumentError:
        raise _unreachable("the url does not read", delivery, feed) from None
    backend = url.get_backend_name()
    if backend in ("sqlite", "duckdb") and not Path(url.database or "").is_file():
        raise QuarantineError(
            "missing_file",
            said("there is no database {database}", database=url.database),
            where=delivery.name,
            remedy=said('correct url of feed "{feed}"', feed=feed.feed),
        )
    query = _query(feed, delivery, DIALECTS.get(backend, "duckdb"))
    if backend == "postgresql":
        yield from _by_adbc(url, query, delivery, feed)
    elif backend == "duckdb":
        yield from _by_duckdb(Path(url.database or ""), query, delivery, feed)
    else:
        driver = DRIVERS.get(url.drivername)
        yield from _by_sqlalchemy(
            url.set(drivername=driver) if driver else url, query, delivery, feed
        )


def _by_adbc(url: Any, query: str, delivery: Delivery, feed: Feed) -> Iterator[pa.RecordBatch]:
    import adbc_driver_postgresql.dbapi
    from adbc_driver_manager import Error

    address = url.set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with (
            closing(adbc_driver_postgresql.dbapi.connect(address)) as source,
            closing(source.cursor()) as opened,
        ):
            cursor: Any = opened
            cursor.execute("set transaction read only")
            cursor.execute("set local time zone 'UTC'")
            cursor.execute(query)
            reader = cursor.fetch_record_batch()
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)
            yield from reader
    except Error as error:
        raise _unreachable(str(error), delivery, feed) from None


def _by_duckdb(path: Path, query: str, delivery: Delivery, feed: Feed) -> Iterator[pa.RecordBatch]:
    """Read a DuckDB file by a connection that can read it and nothing else."""
    try:
        with duckdb.connect(
            str(path), read_only=True, config={"enable_external_access": False}
        ) as source:
            source.execute("set TimeZone = 'UTC'")
            answer: Any = source.sql(query)
            reader = answer.to_arrow_reader(BATCH_ROWS)
            yield pa.RecordBatch.from_pylist([], schema=reader.schema)
            yield from reader
    except duckdb.Error as error:
        raise _unreachable(str(error), delivery, feed) from None


def _by_sqlalchemy(
    url: Any, query: str, delivery: Delivery, feed: Feed
) -> Iterator[pa.RecordBatch]:
    import sqlalchemy
    from sqlalchemy.exc import SQLAlchemyError

    try:
        engine = sqlalchemy.create_engine(url)
        with engine.connect().execution_options(stream_results=True) as source:
            result = source.exec_driver_sql(query.replace("%", "%%") if _formats(engine) else query)
            names = [str(name) for name in result.keys()]  # noqa: SIM118
            yield _columnar(names, [])
            for rows in result.partitions(BATCH_ROWS):
                yield _columnar(names, rows)
        engine.dispose()
    except SQLAlchemyError as error:
        reason = str(getattr(error, "orig", None) or error).partition("\n")[0]
        raise _unreachable(reason, delivery, feed) from None
    except ImportError as error:
        raise QuarantineError(
            "missing_driver",
            said(
                "the driver of {get_backend_name} is not installed: {name}",
                get_backend_name=url.get_backend_name(),
                name=error.name,
            ),
            where=delivery.name,
            remedy=said("install it beside Cohorte"),
        ) from None


def _formats(engine: Any) -> bool:
    """Whether the driver takes a percent sign for a place of a value."""
    return engine.dialect.paramstyle in ("format", "pyformat")


def _unreachable(reason: str, delivery: Delivery, feed: Feed) -> QuarantineError:
    return QuarantineError(
        "unreadable_database",
        said("the database does not answer: {value}", value=reason.partition(chr(10))[0]),
        where=delivery.name,
        remedy=said(
            'correct url, table or query of feed "{feed}", or start the database', feed=feed.feed
        ),
    )


def _query(feed: Feed, delivery: Delivery, dialect: str) -> str:
    """What is asked: the table or the query, of it what is new where that is told by a column."""
    if feed.query is not None and not (feed.incremental and delivery.since):
        return feed.query
    asked: Any
    if feed.query is not None:
        parsed: Any = sqlglot.parse_one(feed.query, read=dialect)
        asked = exp.select("*").from_(parsed.subquery("asked"))
    else:
        parts = [exp.to_identifier(part, quoted=True) for part in (feed.table or "").split(".")]
        table = exp.Table(this=parts[-1], db=parts[-2] if len(parts) > 1 else None)
        asked = exp.select("*").from_(table)
    if feed.incremental and delivery.since is not None:
        since = (
            exp.Literal.number(delivery.since)
            if delivery.since.lstrip("-").isdigit()
            else exp.Literal.string(delivery.since)
        )
        column = exp.column(exp.to_identifier(feed.incremental, quoted=True))
        asked = asked.where(exp.GTE(this=column, expression=since))
    return str(asked.sql(dialect=dialect))


def _columnar(names: Sequence[str], rows: Sequence[Any]) -> pa.RecordBatch:
    if not rows:
        empty = [pa.array([], pa.string()) for _ in names]
        return pa.RecordBatch.from_arrays(empty, names=list(names))
    arrays = [_array(values) for values in zip(*rows, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, names=list(names))


def _array(values: Sequence[Any]) -> pa.Array:
    """A column as Arrow; where its values are of several types, each as text by itself."""
    try:
        return pa.array(values)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError, OverflowError):
        return pa.array([None if value is None else str(value) for value in values], pa.string())


def _texts(batch: pa.RecordBatch) -> pa.Table:
    """A batch with every column as text, by place: names of a database are never identifiers."""
    places = [f"c{place}" for place in range(batch.num_columns)]
    return pa.table([_as_texts(column) for column in batch.columns], names=places)


def _as_texts(column: pa.Array) -> pa.Array:
    if isinstance(column, pa.ExtensionArray):
        column = column.storage
    if pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type):
        return pa.array([None if v is None else v.hex() for v in column.to_pylist()], pa.string())
    try:
        return column.cast(pa.string())
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        return pa.array([None if v is None else str(v) for v in column.to_pylist()], pa.string())
