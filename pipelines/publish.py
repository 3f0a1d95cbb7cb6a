"""Publish: the customer database as a new immutable file, complete or not at all.

The file begins as a copy of the version served and takes what differs, so that a version costs
what is new; or it begins empty, when that copy could hold what must be gone, or is worn.

The file is built aside, closed, checked, flushed to disk and renamed into ``versions/``; then
its description is written; then the pointer is replaced. A crash between any two of these leaves
the version served before, and what is left over is removed by the next publication.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp

from cohorte.errors import CohorteError
from cohorte.kpis import NOT_HELD, PreparedFact, Windows, facts_to_prepare, write_fact
from cohorte.warehouse import (
    RawNote,
    TableInfo,
    VersionInfo,
    connect_reader,
    served_version,
    set_served,
    sha256_of,
    sync_folder,
    version_number,
    version_path,
    write_atomically,
)
from cohorte.workspace import Workspace
from pipelines.differences import columns_of, write_differences
from pipelines.standing import (
    NUMBER,
    code_digest,
    content_hash,
    contents,
    digest,
    table_hash,
)

PUBLISHED_SCHEMAS = ("marts", "scores", "segments")

TOLD_OF_RUNS = frozenset(
    {
        "lead_score_history",
        "clusters",
        "consent_statements",
        "day_sql",
        "late_facts",
        "score_checks",
        "score_days",
        "score_history",
        "score_verdicts",
        "segment_changes",
        "segment_history",
        "segment_size_history",
        "source_columns",
        "source_deliveries",
        "source_quality",
        "source_rejected_rows",
        "source_rejects",
        "version_info",
    }
)
"""Tables that tell of deliveries and runs, not of customers: they are not hashed, because the
same content delivered in another order must give the same hashes."""

WIDENED = frozenset({"customer_profiles"})
"""Tables to which columns are added after dbt built them: what was noted of them is not all."""

BY_CUSTOMER = frozenset(
    {
        "carts",
        "consents",
        "contact_points",
        "customer_features",
        "customers",
        "identities",
        "interactions",
        "order_lines",
        "orders",
        "payments",
        "rfm",
    }
)
"""Tables that a customer's page asks one customer of: written in their order, so that it reads a
block and not the whole."""

ORDERED = {
    "activities": "kind, date_trunc('month', activity_date), category, activity_date",
    "customer_words": "word, customer_id",
    "search_keys": "kind, key, customer_id",
} | dict.fromkeys(BY_CUSTOMER, "customer_id")
"""The order in which a table is read, as its model brings it. In the build database rows that came
later lie behind the others."""

SORTED_ROWS = 2_000_000
"""So many rows, about, are brought into the order of their customers at once."""

MOST_REPLACED = 0.1
"""Rows written into a table since it was written whole, as a share of it: more would spoil its
order, in which screens and segments find their blocks, and leave too many deleted rows in it."""

MOST_FREE = 0.25
"""A file of more free blocks than this is not copied."""


@dataclass(frozen=True)
class Publication:
    """What a new version is of."""

    run_id: str
    as_of: date
    published_at: datetime


def publish(
    workspace: Workspace,
    work: duckdb.DuckDBPyConnection,
    publication: Publication,
    *,
    anew: bool = False,
) -> VersionInfo:
    """Write the marts, scores and memberships as the next version and serve it.

    ``work`` is the work database. ``anew``: nothing is taken over from the version served. Raises
    CohorteError when the file written does not read back as what was meant.
    """
    clear_leftovers(workspace)
    version = next_version(workspace)
    draft = workspace.build_dir / f"{version}.duckdb"
    written = _write(
        workspace, work, draft, version, publication, None if anew else _base(workspace, work)
    )
    if draft.with_name(f"{draft.name}.wal").exists():
        raise CohorteError("a write-ahead log is left beside the new version", where=draft.name)
    key_figures = _verify(draft, written.tables)
    _flush(draft)
    info = VersionInfo(
        version=version,
        run_id=publication.run_id,
        as_of=publication.as_of,
        published_at=publication.published_at,
        sha256=sha256_of(draft),
        bytes=draft.stat().st_size,
        tables=written.tables,
        key_figures=key_figures,
        written_by=code_digest(),
        raw=_raw_note(work),
        replaced_rows=written.replaced_rows,
        facts=written.facts,
    )
    target = version_path(workspace, version)
    draft.replace(target)
    sync_folder(target.parent)
    write_atomically(target.with_suffix(".json"), info.model_dump_json(indent=2) + "\n")
    set_served(workspace, version)
    collect_versions(workspace)
    return info


def clear_leftovers(workspace: Workspace) -> None:
    """Remove what a publication that did not finish left: drafts, and versions never served."""
    shutil.rmtree(workspace.build_dir, ignore_errors=True)
    workspace.build_dir.mkdir(parents=True)
    described = {path.stem for path in workspace.versions_dir.glob("v*.json")}
    for path in workspace.versions_dir.glob("v*.duckdb"):
        if path.stem not in described:
            path.unlink()


def collect_versions(workspace: Workspace) -> list[str]:
    """Remove all but the newest versions kept and the one served; their names."""
    served = served_version(workspace)
    names = sorted(
        (path.stem for path in workspace.versions_dir.glob("v*.duckdb")),
        key=version_number,
        reverse=True,
    )
    removed = [
        name
        for name in names[workspace.settings.keep_versions :]
        if served is None or name != served.version
    ]
    for name in removed:
        path = version_path(workspace, name)
        path.with_suffix(".json").unlink(missing_ok=True)
        with suppress(
            PermissionError
        ):  # Windows keeps what a reader holds; the next run removes it
            path.unlink()
    return removed


def next_version(workspace: Workspace) -> str:
    """The name that the next publication will take."""
    numbers = [version_number(path.stem) for path in workspace.versions_dir.glob("v*.json")]
    return f"v{max(numbers, default=0) + 1}"


def _base(workspace: Workspace, work: duckdb.DuckDBPyConnection) -> VersionInfo | None:
    """The served version, when the next may begin as a copy of it.

    Deleted rows stay in a DuckDB file until it is written anew. So where raw lacks a row that it
    held when that version was published (somebody was erased, a file taken out), none may.
    """
    served = served_version(workspace)
    if served is None or served.raw is None or served.written_by != code_digest():
        return None
    return served if _raw_note(work, served.raw.newest_file) == served.raw else None


def _raw_note(work: duckdb.DuckDBPyConnection, newest_file: int | None = None) -> RawNote:
    """What raw holds, or held of its files up to one."""
    tables = work.execute(
        "select table_name from duckdb_columns() where database_name = 'raw'"
        " and (column_name = '_row_hash' or (table_name, column_name) = ('rejected_rows', 'line'))"
        " order by all"
    ).fetchall()
    rows = " union all ".join(
        f"select file_id, '{table}', line from raw.{table}"
        if table == "rejected_rows"
        else f"select _file_id as file_id, '{table}', _row_hash from raw.{table}"
        for (table,) in tables
    )
    if not rows:
        return RawNote(newest_file=0, digest="")
    if newest_file is None:
        [(newest_file,)] = work.execute(
            f"select coalesce(max(file_id), 0) from ({rows})"
        ).fetchall()
    held = table_hash(work, f"(from ({rows}) where file_id <= {newest_file})")
    return RawNote(newest_file=newest_file, digest=digest(held.model_dump()))


@dataclass
class _Draft:
    """A version being written: attached to the build database as ``published``.

    ``base`` is the version whose copy it began as; none when it began empty.
    """

    work: duckdb.DuckDBPyConnection
    base: VersionInfo | None
    tables: dict[str, TableInfo] = field(default_factory=dict)
    replaced_rows: dict[str, int] = field(default_factory=dict)
    facts: dict[str, str] = field(default_factory=dict)

    def was_written(self, name: str) -> bool:
        """Whether the base has a table."""
        return self.base is not None and name in self.base.replaced_rows

    def leave(self, name: str) -> None:
        """Let a table be as the base has it."""
        if self.base is not None:
            self.replaced_rows[name] = self.base.replaced_rows[name]

    def write(self, name: str, source: str, order: str = "") -> TableInfo | None:
        """Give a table the rows of another; all that it then holds, where that was read."""
        target = f'published."{name}"'
        if self.base is not None and self.was_written(name):
            replaced = self.base.replaced_rows[name]
            [(rows,)] = self.work.execute(f"select count(*) from {target}").fetchall()
            most = int(rows * MOST_REPLACED) - replaced
            written = write_differences(self.work, source, target, most=most, order=order)
            if written is not None:
                self.replaced_rows[name] = replaced + written.rows
                return written.info
        self.work.execute(f"drop table if exists {target}")
        if name in BY_CUSTOMER:
            _write_by_customer(self.work, source, target)
        else:
            ordered = f" order by {order}" if order and self.base else ""
            self.work.execute(f"create table {target} as from {source}{ordered}")
        self.replaced_rows[name] = 0
        return None

    def drop_others(self, but: Collection[str] = ()) -> None:
        """Drop the tables of the base that were neither written nor left."""
        for (name,) in self.work.execute(
            "select table_name from duckdb_tables() where database_name = 'published'"
        ).fetchall():
            if name not in self.replaced_rows and name not in but:
                self.work.execute(f'drop table published."{name}"')


def _write(
    workspace: Workspace,
    work: duckdb.DuckDBPyConnection,
    path: Path,
    version: str,
    publication: Publication,
    base: VersionInfo | None,
) -> _Draft:
    found = work.execute(
        "select table_schema, table_name from information_schema.tables"
        " where table_catalog = current_database() and table_schema in (select unnest(?))"
        " order by table_name",
        [list(PUBLISHED_SCHEMAS)],
    ).fetchall()
    views = _views_of_published(work)
    try:
        draft = _begin(workspace, work, path, base)
        known = {name: info for name, info in contents(work).items() if name not in WIDENED}
        for schema, name in found:
            if name not in views:
                noted = known.get(name) if schema == "marts" else None
                _write_table(draft, f'"{schema}"."{name}"', name, noted)
        draft.drop_others(but=draft.base.facts if draft.base else ())
        settings = workspace.settings
        work.execute(
            "create table published.version_info as select ?::varchar as version,"
            " ?::varchar as run_id, ?::date as as_of, ?::timestamp as published_at,"
            " ?::varchar as company, ?::varchar as currency, ?::varchar as time_zone,"
            " ?::varchar as language, ?::varchar as country_code",
            [
                version,
                publication.run_id,
                publication.as_of,
                publication.published_at.replace(tzinfo=None),
                settings.company,
                settings.currency,
                settings.time_zone,
                settings.language,
                settings.country_code,
            ],
        )
        work.execute("use published")
        for name, query in views.items():
            work.execute(f'create view published."{name}" as {query}')
        _write_facts(draft, Windows(rfm_days=settings.rfm.window_days))
        work.execute("use work")
        draft.drop_others(but=("version_info",))
        work.execute("checkpoint published")
    finally:
        work.execute("use work")
        work.execute("detach database if exists published")
    return draft


def _begin(
    workspace: Workspace,
    work: duckdb.DuckDBPyConnection,
    path: Path,
    base: VersionInfo | None,
) -> _Draft:
    """Attach the file of a draft: a copy of the base, without its views, else an empty one."""
    quoted = str(path).replace("'", "''")
    attach = f"attach '{quoted}' as published (storage_version 'v1.5.0')"
    if base is None:
        work.execute(attach)
        return _Draft(work, None)
    shutil.copyfile(version_path(workspace, base.version), path)
    work.execute(attach)
    [(total, free)] = work.execute(
        "select total_blocks, free_blocks from pragma_database_size()"
        " where database_name = 'published'"
    ).fetchall()
    if free > total * MOST_FREE:
        work.execute("detach published")
        path.unlink()
        return _begin(workspace, work, path, None)
    for (name,) in work.execute(
        "select view_name from duckdb_views() where database_name = 'published' and not internal"
    ).fetchall():
        work.execute(f'drop view published."{name}"')
    return _Draft(work, base)


def _write_table(draft: _Draft, source: str, name: str, noted: TableInfo | None) -> None:
    """Write a table of the build database; ``noted`` is what it is known to hold.

    Customers' numbers are no content, so a table that has them is looked at in any case.
    """
    work, target = draft.work, f'published."{name}"'
    columns = columns_of(work, source)
    is_numbered = NUMBER in dict(columns)
    if (
        draft.base is not None
        and noted is not None
        and noted == draft.base.tables.get(name)
        and not is_numbered
        and columns == columns_of(work, target)
    ):
        draft.leave(name)
        draft.tables[name] = noted
        return
    held = draft.write(name, source, ORDERED.get(name, ""))
    if name not in TOLD_OF_RUNS:
        if held is None or is_numbered:
            held = noted or content_hash(work, target)
        draft.tables[name] = held


def _write_facts(draft: _Draft, windows: Windows) -> None:
    """Write the facts of KPIs that read what is not as it was; ``published`` is in use.

    Those of a mart or column that the version does not have are left out.
    """
    work = draft.work
    for fact, key in _facts_and_keys(work, windows):
        if draft.base is not None and draft.base.facts.get(fact.table) == key:
            draft.leave(fact.table)
        elif not draft.was_written(fact.table):
            if not write_fact(work, fact):
                continue
            draft.replaced_rows[fact.table] = 0
        else:
            try:
                work.execute(f"create or replace temp table fact as {fact.sql}", fact.values)
            except NOT_HELD:
                continue
            draft.write(fact.table, "temp.fact", fact.order)
        draft.facts[fact.table] = key
    work.execute("drop table if exists temp.fact")


def _facts_and_keys(
    work: duckdb.DuckDBPyConnection, windows: Windows
) -> list[tuple[PreparedFact, str]]:
    """The facts to prepare, each with a digest of all that it is made of."""
    facts = facts_to_prepare(work, windows)
    read: dict[str, set[str]] = {}
    for fact in facts:
        for table, columns in fact.columns.items():
            read.setdefault(table, set()).update(columns)
    held = {}
    for table, all_read in read.items():
        named = ", ".join(f'"{name}"' for name in sorted(all_read))
        held[table] = named, table_hash(work, f'(select {named} from "{table}")').hash
    return [
        (fact, digest(fact.sql, fact.values, [(each, held[each]) for each in sorted(fact.columns)]))
        for fact in facts
    ]


def _write_by_customer(work: duckdb.DuckDBPyConnection, source: str, target: str) -> None:
    """Copy a table in the order of its customers, a range of them at a time.

    Sorted as a whole, the events of a million customers do not fit into the memory that a run has.
    """
    [(rows,)] = work.execute(f"select count(*) from {source}").fetchall()
    shares = [part / (rows // SORTED_ROWS + 1) for part in range(1, rows // SORTED_ROWS + 1)]
    edges: list[str | None] = []
    if shares:
        [(found,)] = work.execute(
            f"select quantile_disc(customer_id, ?::double[]) from {source} using sample 20000 rows",
            [shares],
        ).fetchall()
        edges = found or []
    work.execute(f"create table {target} as from {source} limit 0")
    for after, until in pairwise([None, *edges, None]):
        work.execute(
            f"insert into {target} from {source} where customer_id is not null"
            " and ($after::varchar is null or customer_id > $after)"
            " and ($until::varchar is null or customer_id <= $until)"
            " order by customer_id",
            {"after": after, "until": until},
        )
    work.execute(f"insert into {target} from {source} where customer_id is null")


def _views_of_published(work: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """The marts that are views of other published tables: they stay views, and cost no room.

    By name, their query on the published tables' bare names.
    """
    found = work.execute(
        "select view_name, sql from duckdb_views()"
        " where database_name = current_database() and schema_name in (select unnest(?))",
        [list(PUBLISHED_SCHEMAS)],
    ).fetchall()
    views = {}
    for name, sql in found:
        query = sqlglot.parse_one(sql, dialect="duckdb").expression
        tables = list(query.find_all(exp.Table))
        if all(table.db in PUBLISHED_SCHEMAS for table in tables):
            for table in tables:
                table.set("db", None)
                table.set("catalog", None)
            views[str(name)] = query.sql(dialect="duckdb")
    return views


def _verify(draft: Path, tables: Mapping[str, TableInfo]) -> dict[str, str]:
    """Read the file back as a screen would; its key figures."""
    connection = connect_reader(draft)
    try:
        for name, info in tables.items():
            found = connection.execute(f'select count(*) from "{name}"').fetchall()[0][0]
            if found != info.rows:
                raise CohorteError(
                    f"{name} reads back {found} rows of {info.rows}", where=draft.name
                )
        figures = connection.execute(
            """
            select
                (select count(*) from customers) as customers,
                (select count(*) from orders) as orders,
                (select count(*) from order_lines) as order_lines,
                (select coalesce(sum(value), 0) from kpi_daily where kpi_id = 'net_revenue')
                    as net_revenue,
                (select count(*) from leads) as leads
            """
        )
        names = [column[0] for column in figures.description]
        return {
            name: format(value, "f") if hasattr(value, "as_tuple") else str(value)
            for name, value in zip(names, figures.fetchall()[0], strict=True)
        }
    finally:
        connection.close()


def _flush(path: Path) -> None:
    descriptor = os.open(path, os.O_RDWR)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def published_hashes(info: VersionInfo) -> str:
    """The tables' hashes as one JSON text, to compare two versions."""
    return json.dumps({name: table.hash for name, table in sorted(info.tables.items())})
