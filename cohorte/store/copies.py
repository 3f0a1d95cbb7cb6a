"""Copies of the application store: whole, in one SQLite file, whatever database holds it.

A copy of an SQLite store is taken by SQLite itself, page by page, while others write; the tables
of another database are read in one transaction and written to a file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, create_engine, delete, event, insert, select, text
from sqlalchemy.engine import make_url

from cohorte.errors import SettingsError
from cohorte.store.migrations import HEAD
from cohorte.store.store import open_store, with_driver
from cohorte.store.tables import Base

BATCH_ROWS = 5_000


def sqlite_file(url: str) -> Path | None:
    """The file of an SQLite store; none for another database."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite" or parsed.database in (None, "", ":memory:"):
        return None
    return Path(str(parsed.database))


def problem_of(path: Path) -> str | None:
    """What is wrong with an SQLite file, by its own check of every page; none when it is whole."""
    try:
        with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True, timeout=20)) as database:
            told = database.execute("pragma quick_check(1)").fetchall()
    except sqlite3.OperationalError as error:
        return None if "locked" in str(error) else str(error)
    except sqlite3.DatabaseError as error:
        return str(error)
    return None if told == [("ok",)] else str(told[0][0])


def copy_store(url: str, target: Path) -> None:
    """Write the store to a new SQLite file at ``target``, replacing one that is there."""
    draft = target.with_name(f".{target.name}.draft")
    draft.unlink(missing_ok=True)
    draft.parent.mkdir(parents=True, exist_ok=True)
    source = sqlite_file(url)
    if source is not None:
        with (
            closing(sqlite3.connect(f"file:{source}?mode=ro", uri=True, timeout=20)) as origin,
            closing(sqlite3.connect(draft)) as copy,
        ):
            origin.backup(copy)
            copy.execute("pragma journal_mode = delete")
    else:
        open_store(url).close()
        open_store(f"sqlite:///{draft}").close()
        with _engine(url) as origin_engine, _engine(f"sqlite:///{draft}") as copy_engine:
            _copy_tables(origin_engine, copy_engine)
        with closing(sqlite3.connect(draft)) as copy:
            copy.execute("pragma journal_mode = delete")
    draft.replace(target)


def load_store(copy: Path, url: str) -> None:
    """Make the store at ``url`` what the copy holds; SettingsError when that store is not empty."""
    target = sqlite_file(url)
    if target is not None:
        if target.exists():
            raise SettingsError(
                "there is a store already", where=target.name, remedy="choose an empty folder"
            )
        target.parent.mkdir(parents=True, exist_ok=True)
        with (
            closing(sqlite3.connect(f"file:{copy}?mode=ro", uri=True)) as origin,
            closing(sqlite3.connect(target)) as restored,
        ):
            origin.backup(restored)
        open_store(url).close()
        return
    open_store(url).close()
    with _engine(f"sqlite:///{copy}") as origin_engine, _engine(url) as target_engine:
        with target_engine.connect() as connection:
            if any(
                connection.execute(select(table).limit(1)).first() is not None
                for table in Base.metadata.sorted_tables
            ):
                raise SettingsError(
                    "the store is not empty", where="store_url", remedy="give an empty database"
                )
        _copy_tables(origin_engine, target_engine)


@contextmanager
def _engine(url: str) -> Iterator[Engine]:
    engine = create_engine(with_driver(url))
    if engine.dialect.name == "sqlite":

        @event.listens_for(engine, "connect")
        def _plain(connection: sqlite3.Connection, _record: object) -> None:
            connection.execute("pragma foreign_keys = off")

    try:
        yield engine
    finally:
        engine.dispose()


def _copy_tables(source: Engine, target: Engine) -> None:
    with source.connect() as origin, target.begin() as copy:
        found = origin.execute(text("select version_num from alembic_version")).scalar()
        if found != HEAD:
            raise SettingsError(
                f"the store is of schema {found}, this program's is {HEAD}",
                where="store",
                remedy="use the Cohorte that made it",
            )
        for table in Base.metadata.sorted_tables:
            copy.execute(delete(table))
            rows = origin.execution_options(stream_results=True).execute(select(table))
            for batch in rows.mappings().partitions(BATCH_ROWS):
                copy.execute(insert(table), [dict(row) for row in batch])
            _move_counter(copy, table.name, [column.name for column in table.primary_key])


def _move_counter(connection: Connection, table: str, key: list[str]) -> None:
    """PostgreSQL counts ids apart from the rows: go on after the last one."""
    if connection.dialect.name != "postgresql" or len(key) != 1:
        return
    sequence = connection.execute(
        text("select pg_get_serial_sequence(:table, :key)"), {"table": table, "key": key[0]}
    ).scalar()
    if sequence:
        connection.execute(
            text(
                f'select setval(:sequence, coalesce(max("{key[0]}"), 0) + 1, false) from "{table}"'
            ),
            {"sequence": sequence},
        )
