"""What stands in the build database, and what it was made of: so that a run does what is new.

A node of dbt (a table, a view, a test) has a *key*: its compiled SQL with the content of all that
it reads. It stands when it was built, or passed, under the same key. The content of a table is a
hash of its rows, so what comes out as it was leaves alone whatever reads it. A station stands when
what it reads is as it was when it last ended well.

What says that something stands lies beside it, in the same database: it is taken away before the
thing is touched and written when it is whole, so a run killed in between does it again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import duckdb

from cohorte.paths import dbt_dir
from cohorte.warehouse import TableInfo, transaction

DDL = """
create schema if not exists built;
create table if not exists built.nodes (
    node varchar, station varchar, key varchar, content varchar, rows_count bigint, sql varchar
);
create table if not exists built.stations (
    station varchar, reads varchar, leaves varchar, content varchar, result varchar
);
create table if not exists built.by (code varchar);
"""

LINEAGE = ("_file_id", "_line", "_loaded_at", "_row_hash", "_occurrence", "_version")
"""Columns that tell any two states of a raw table apart: rows of it are not altered otherwise."""

MOST_FREE = 1 / 3
"""Tables replaced in place leave holes: a file of more holes than this is begun anew."""


def digest(*parts: Any) -> str:
    """One text for what JSON, or else `str`, can tell apart."""
    told = json.dumps(parts, sort_keys=True, default=str)
    return hashlib.sha256(told.encode()).hexdigest()


@cache
def code_digest() -> str:
    """Of the code that builds, and of the libraries that run it: after an upgrade nothing stands.

    The dbt project is left out, each of its models stands or falls by its own SQL.
    """
    from importlib.metadata import version

    root = Path(__file__).resolve().parent.parent
    code = hashlib.sha256()
    for package in ("cohorte", "pipelines", "models", "flows"):
        for path in sorted((root / package).rglob("*.py")):
            code.update(path.read_bytes())
    return digest(code.hexdigest(), [version(name) for name in ("duckdb", "dbt-core", "polars")])


def project_digest() -> str:
    """Of the dbt project."""
    root = dbt_dir()
    paths = [path for path in root.rglob("*") if path.suffix in (".sql", ".yml", ".csv")]
    return digest([(path.relative_to(root), path.read_text("utf-8")) for path in sorted(paths)])


def files_digest(root: Path, paths: Iterable[Path]) -> str:
    """Of files as the system tells them apart: name under the root, size, time of last change."""
    found = []
    for path in sorted(paths):
        with suppress(FileNotFoundError):
            stat = path.stat()
            found.append((str(path.relative_to(root)), stat.st_size, stat.st_mtime_ns))
    return digest(found)


def table_hash(connection: duckdb.DuckDBPyConnection, table: str) -> TableInfo:
    """Rows of a table and a hash of them, the same for any order of the rows."""
    rows, total = connection.execute(
        f"select count(*), coalesce(sum(hash(columns_row)), 0) from {table} as columns_row"
    ).fetchall()[0]
    return sum_of_hashes(rows, total)


def sum_of_hashes(rows: int, total: int) -> TableInfo:
    """So many rows whose hashes have this sum."""
    return TableInfo(rows=rows, hash=format(int(total) % 2**128, "032x"))


NUMBER = "customer_number"
"""Tells customers apart within one version and is no content of a table: see decision 205."""


def content_hash(connection: duckdb.DuckDBPyConnection, table: str) -> TableInfo:
    """Rows of a table and a hash of what they tell: of all columns but customers' numbers.

    Numbers hang on the runs before. So tables of one content may hold other numbers: what must
    know that, such as who leaves a table as it stands, looks at ``built.customer_numbers`` too.
    """
    return table_hash(connection, f"(select columns(lambda c: c <> '{NUMBER}') from {table})")


def schema_digest(connection: duckdb.DuckDBPyConnection, schema: str) -> str:
    """Of all rows of a schema's tables, but of those that are laid there to be published."""
    names = connection.execute(
        "select table_name from duckdb_tables() where database_name = current_database()"
        " and schema_name = ? and not ends_with(table_name, '_history') order by all",
        [schema],
    ).fetchall()
    return digest(
        [(name, table_hash(connection, f'{schema}."{name}"').model_dump()) for (name,) in names]
    )


def begun_by(connection: duckdb.DuckDBPyConnection, code: str) -> bool:
    """Whether a build database was made by this code, and is worth going on with."""
    try:
        if connection.execute("select code from built.by").fetchall() != [(code,)]:
            return False
    except duckdb.CatalogException:
        return False
    ((total, free),) = connection.execute(
        "select total_blocks, free_blocks from pragma_database_size()"
        " where database_name = current_database()"
    ).fetchall()
    return bool(free <= total * MOST_FREE)


def begin(connection: duckdb.DuckDBPyConnection, code: str) -> None:
    """Note in an empty build database which code fills it."""
    connection.execute(DDL)
    connection.execute("insert into built.by values (?)", [code])


def forget_all(connection: duckdb.DuckDBPyConnection) -> None:
    """Let nothing stand, and nothing be brought up to date (see ``pipelines.touched``)."""
    connection.execute(DDL)
    for table in ("nodes", "stations", "by"):
        connection.execute(f"delete from built.{table}")
    for table in ("local", "base", "touched"):
        connection.execute(f"drop table if exists built.{table}")


@dataclass(frozen=True)
class StationNote:
    """A station that ended well: what it read, what it left, and what it told."""

    station: str
    reads: str
    leaves: str
    content: str
    result: str


def station_notes(connection: duckdb.DuckDBPyConnection) -> dict[str, StationNote]:
    connection.execute(DDL)
    rows = connection.execute("from built.stations").fetchall()
    return {note.station: note for note in (StationNote(*row) for row in rows)}


def forget_station(connection: duckdb.DuckDBPyConnection, station: str) -> None:
    connection.execute("delete from built.stations where station = ?", [station])


def note_station(connection: duckdb.DuckDBPyConnection, note: StationNote) -> None:
    with transaction(connection):
        forget_station(connection, note.station)
        connection.execute(
            "insert into built.stations values (?, ?, ?, ?, ?)",
            [note.station, note.reads, note.leaves, note.content, note.result],
        )


def nodes_digest(connection: duckdb.DuckDBPyConnection, station: str) -> str:
    """Of the content of all that dbt built in a station."""
    return digest(
        connection.execute(
            "select node, content from built.nodes where station = ? order by all", [station]
        ).fetchall()
    )


def contents_of(
    connection: duckdb.DuckDBPyConnection, models: Sequence[str]
) -> list[tuple[str, str]]:
    """What is noted of the content of some dbt models, by name."""
    return connection.execute(
        "select split_part(node, '.', 3), content from built.nodes"
        " where list_contains(?, split_part(node, '.', 3)) order by all",
        [list(models)],
    ).fetchall()


def contents(connection: duckdb.DuckDBPyConnection) -> dict[str, TableInfo]:
    """Rows and hash of the tables that stand, by the name of the dbt model."""
    connection.execute(DDL)
    rows = connection.execute(
        "select split_part(node, '.', 3), rows_count, content from built.nodes"
        " where rows_count is not null"
    ).fetchall()
    return {name: TableInfo(rows=count, hash=content) for name, count, content in rows}


def built_sql(connection: duckdb.DuckDBPyConnection, model: str) -> str:
    """The SQL by which a dbt model that stands was built; KeyError when none stands."""
    rows = connection.execute(
        "select sql from built.nodes where split_part(node, '.', 3) = ?", [model]
    ).fetchall()
    if not rows:
        raise KeyError(model)
    return str(rows[0][0])


class Standing:
    """The nodes of one selection of dbt, against what is noted of them.

    ``nodes`` are those selected, compiled; ``sources`` names the relations that dbt does not
    build. ``known`` keeps the contents of raw tables, which no build changes.
    """

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        nodes: Mapping[str, Any],
        sources: Mapping[str, Any],
        known: dict[str, str],
    ) -> None:
        self.connection = connection
        self._nodes = nodes
        self._sources = sources
        self._raw = known
        self._read: dict[str, str] = {}
        connection.execute(DDL)
        rows = connection.execute("select node, key, content from built.nodes").fetchall()
        self._keys = {node: key for node, key, _ in rows}
        self._contents: dict[str, str] = {node: content for node, _, content in rows}
        self._there = set(
            connection.execute(
                "select schema_name, table_name from duckdb_tables()"
                " where database_name = current_database()"
                " union all select schema_name, view_name from duckdb_views()"
                " where database_name = current_database() and not internal"
            ).fetchall()
        )

    def stale(self, again: Collection[str] = (), *, everything: bool = False) -> set[str]:
        """The nodes that do not stand, and all selected that read of them; ``again`` by name."""
        found: set[str] = set()
        for node in self.in_order():
            each = self._nodes[node]
            if (
                everything
                or each.name in again
                or found & set(each.depends_on_nodes)
                or (is_relation(each) and (each.schema, each.alias) not in self._there)
                or (key := self._key(each)) is None
                or self._keys.get(node) != key
            ):
                found.add(node)
        return found

    def forget(self, nodes: Collection[str]) -> None:
        """Take away what says that these stand."""
        self.connection.execute(
            "delete from built.nodes where list_contains(?, node)", [sorted(nodes)]
        )

    def note(
        self, nodes: Collection[str], station: str, known: Mapping[str, TableInfo] | None = None
    ) -> dict[str, TableInfo]:
        """Note that these were built, or passed; what tables hold, if ``known`` does not say it."""
        self._read.clear()
        tables = dict(known or {})
        rows: list[list[Any]] = []
        for node in self.in_order():
            if node not in nodes:
                continue
            each = self._nodes[node]
            key = self._key(each)
            if key is None:
                continue
            if not is_relation(each):
                rows.append([node, station, key, "", None, None])
                continue
            rows_count = None
            content = key
            if each.config.materialized != "view":
                if node not in tables:
                    name = f'"{each.schema}"."{each.alias}"'
                    tables[node] = content_hash(self.connection, name)
                rows_count, content = tables[node].rows, tables[node].hash
            self._contents[node] = content
            made = getattr(each, "compiled_code", None)
            rows.append([node, station, key, content, rows_count, made])
        if rows:
            with transaction(self.connection):
                self.forget(nodes)
                self.connection.executemany(
                    "insert into built.nodes values (?, ?, ?, ?, ?, ?)", rows
                )
        return tables

    def is_there(self, node: str) -> bool:
        """Whether the table or view of a node is in the database."""
        return (self._nodes[node].schema, self._nodes[node].alias) in self._there

    def raw_files(self, entity: str) -> list[tuple[int, int, str]]:
        """The files that a raw table has rows of: their ids, rows and a hash of these."""
        source = next(
            node
            for node, each in self._sources.items()
            if each.database == "raw" and each.name == entity
        )
        return [tuple(told) for told in json.loads(self._content(source) or "[]")]

    def content_of(self, model: str) -> str | None:
        """What is noted of the content of a model, by its name."""
        return next(
            (held for node, held in self._contents.items() if node.split(".")[2] == model), None
        )

    def look(self, relation: str) -> str:
        """A hash of the rows of a relation that dbt does not build."""
        return table_hash(self.connection, relation).model_dump_json()

    def drop_unknown(self, relations: Collection[tuple[str, str]]) -> None:
        """Drop what no node makes any more from the schemas that dbt builds."""
        schemas = {schema for schema, _ in relations}
        for schema, name in sorted(self._there - set(relations)):
            if schema in schemas:
                kind = self.connection.execute(
                    "select 'view' from duckdb_views() where database_name = current_database()"
                    " and schema_name = ? and view_name = ?",
                    [schema, name],
                ).fetchall()
                what = "view" if kind else "table"
                self.connection.execute(f'drop {what} "{schema}"."{name}"')

    def in_order(self) -> list[str]:
        """The nodes selected, each after those that it reads."""
        order: dict[str, None] = {}

        def put(node: str) -> None:
            if node in self._nodes and node not in order:
                for read in self._nodes[node].depends_on_nodes:
                    put(read)
                order[node] = None

        for node in self._nodes:
            put(node)
        return list(order)

    def _key(self, node: Any) -> str | None:
        """None when it reads something of which nothing is noted."""
        read = [(each, self._content(each)) for each in sorted(node.depends_on_nodes)]
        if any(content is None for _, content in read):
            return None
        made = getattr(node, "compiled_code", None) or node.checksum.checksum
        contract = getattr(node, "contract", None)
        return digest(
            made,
            node.config.materialized,
            contract.checksum if contract else None,
            read,
        )

    def _content(self, node: str) -> str | None:
        if node not in self._sources:
            return self._contents.get(node)
        known = self._raw if self._sources[node].database == "raw" else self._read
        if node not in known:
            known[node] = self._look(self._sources[node].relation_name)
        return known[node]

    def _look(self, relation: str) -> str:
        """What a source holds, in one text; of a raw table of records by file."""
        try:
            columns = [row[0] for row in self.connection.execute(f"describe {relation}").fetchall()]
        except duckdb.CatalogException:
            return "[]"
        if "_row_hash" not in columns:
            return self.look(relation)
        return json.dumps(
            self.connection.execute(
                "select _file_id, count(*), cast(sum(hash(lineage)) as varchar)"
                f" from (select {', '.join(LINEAGE)} from {relation}) as lineage"
                " group by _file_id order by _file_id"
            ).fetchall()
        )


def is_relation(node: Any) -> bool:
    """Whether a node makes a table or a view."""
    return node.resource_type in ("model", "seed")
