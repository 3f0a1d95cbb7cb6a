"""Publish: the customer database as a new immutable file, complete or not at all.

The file is built aside, closed, checked, flushed to disk and renamed into ``versions/``; then
its description is written; then the pointer is replaced. A crash between any two of these leaves
the version served before, and what is left over is removed by the next publication.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import date, datetime
from itertools import pairwise
from pathlib import Path

import duckdb
import sqlglot
from sqlglot import exp

from cohorte.errors import CohorteError
from cohorte.kpis import Windows, prepare
from cohorte.warehouse import (
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
from pipelines.standing import content_hash, contents

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
        "payments",
        "rfm",
    }
)
"""Tables that a customer's page asks one customer of: written in their order, so that it reads a
block and not the whole."""

SORTED_ROWS = 2_000_000
"""So many rows, about, are brought into that order at once."""


@dataclass(frozen=True)
class Publication:
    """What a new version is of."""

    run_id: str
    as_of: date
    published_at: datetime


def publish(
    workspace: Workspace, work: duckdb.DuckDBPyConnection, publication: Publication
) -> VersionInfo:
    """Write the marts, scores and memberships as the next version and serve it.

    ``work`` is the work database. Raises CohorteError when the file written does not read back
    as what was meant.
    """
    clear_leftovers(workspace)
    version = next_version(workspace)
    draft = workspace.build_dir / f"{version}.duckdb"
    tables = _write(workspace, work, draft, version, publication)
    if draft.with_name(f"{draft.name}.wal").exists():
        raise CohorteError("a write-ahead log is left beside the new version", where=draft.name)
    key_figures = _verify(draft, tables)
    _flush(draft)
    info = VersionInfo(
        version=version,
        run_id=publication.run_id,
        as_of=publication.as_of,
        published_at=publication.published_at,
        sha256=sha256_of(draft),
        bytes=draft.stat().st_size,
        tables=tables,
        key_figures=key_figures,
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


def _write(
    workspace: Workspace,
    work: duckdb.DuckDBPyConnection,
    draft: Path,
    version: str,
    publication: Publication,
) -> dict[str, TableInfo]:
    found = work.execute(
        "select table_schema, table_name from information_schema.tables"
        " where table_catalog = current_database() and table_schema in (select unnest(?))"
        " order by table_name",
        [list(PUBLISHED_SCHEMAS)],
    ).fetchall()
    quoted = str(draft).replace("'", "''")
    work.execute(f"attach '{quoted}' as published (storage_version 'v1.5.0')")
    try:
        tables = {}
        views = _views_of_published(work)
        known = contents(work)
        for schema, name in found:
            if name in views:
                continue
            if name in BY_CUSTOMER:
                _write_by_customer(work, f'"{schema}"."{name}"', f'published."{name}"')
            else:
                work.execute(f'create table published."{name}" as from "{schema}"."{name}"')
            if name not in TOLD_OF_RUNS:
                is_known = schema == "marts" and name in known and name not in WIDENED
                tables[name] = (
                    known[name] if is_known else content_hash(work, f'published."{name}"')
                )
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
        prepare(work, Windows(rfm_days=settings.rfm.window_days))
        work.execute("use work")
        work.execute("checkpoint published")
    finally:
        work.execute("use work")
        work.execute("detach published")
    return tables


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
