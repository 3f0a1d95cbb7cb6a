"""What other settings of identity would change, before anything does.

The pass is the real one, on a copy of the map of ids in memory: what it predicts is what a run
with those settings does. Nothing is written.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import duckdb

from cohorte.errors import NotFoundError
from cohorte.settings import IdentitySettings
from cohorte.workspace import Workspace
from models.identity.resolution import (
    Decision,
    FullLimits,
    ResolutionReport,
    map_path,
    quoted,
    resolve_fully,
    staged_contacts,
)
from models.identity.stable_ids import MAP_DDL

__all__ = ["Simulation", "simulate"]

_FIGURES = """
    select count(distinct customer_id) as customers,
        count(distinct case when orders_count > 0 then customer_id end) as buyers,
        count(distinct case when orders_count > 1 then customer_id end) as repeat_buyers,
        max(records) as largest_customer_records
    from (
        select map.customer_id, count(distinct (map.source, map.contact_id)) as records,
            count(distinct (placed.source, placed.order_id)) as orders_count
        from {map} as map left join {placed} as placed using (source, contact_id)
        group by map.customer_id
    )
"""


@dataclass(frozen=True)
class Simulation:
    """What a run with other settings would do, beside the state of today.

    ``figures`` are pairs of before and after by name; ``segments`` the size of each segment, taking
    for its members the customers that theirs would become. A sample of a merge or a split is the
    customer's records as (customer before, customer after, source, record id, name, e-mail).
    """

    verdict: str
    figures: dict[str, tuple[int, int]]
    segments: dict[str, tuple[int, int]]
    records_moved: int
    merges: int
    splits: int
    merge_samples: list[list[tuple[Any, ...]]]
    split_samples: list[list[tuple[Any, ...]]]
    report: ResolutionReport


def simulate(
    workspace: Workspace,
    settings: IdentitySettings,
    *,
    now: datetime,
    decisions: Sequence[Decision] = (),
    samples: int = 5,
) -> Simulation:
    """Run the identity step as ``settings`` say on a copy, and compare with the last run.

    Raises NotFoundError when no run has made customers yet.
    """
    kept = map_path(workspace)
    if not kept.exists():
        raise NotFoundError("no customers are identified yet", remedy="cohorte run")
    trained = workspace.artifacts_dir / "identity"
    with (
        staged_contacts(workspace) as con,
        tempfile.TemporaryDirectory(dir=workspace.temp_dir) as name,
    ):
        folder = Path(name) / "identity"
        if trained.is_dir():
            shutil.copytree(trained, folder)
        _copy_map(con, kept)
        con.execute(f"attach '{quoted(workspace.raw_path)}' as raw (read_only)")
        report = resolve_fully(
            con,
            folder=folder,
            now=now,
            decisions=decisions,
            method=settings.method,
            unique_sources=frozenset(settings.unique_sources),
            limits=FullLimits.of_settings(settings, accept_changes=True),
        )
        return _compared(con, report, samples)


def _copy_map(con: duckdb.DuckDBPyConnection, path: Path) -> None:
    con.execute("attach ':memory:' as map")
    con.execute(MAP_DDL.format(map="map"))
    con.execute(f"attach '{quoted(path)}' as kept (read_only)")
    for table in ("customer_ids", "identity_map", "customer_events"):
        con.execute(f"insert into map.{table} by name from kept.{table}")
    con.execute("detach kept")
    con.execute("""
        create table before as
        select source, contact_id, customer_id from map.identity_map where valid_to is null
    """)


def _compared(con: duckdb.DuckDBPyConnection, report: ResolutionReport, samples: int) -> Simulation:
    con.execute("""
        create table moved as
        select before.customer_id as old, after.customer_id as new, source, contact_id
        from before join identity_current as after using (source, contact_id)
    """)
    moved = con.execute("select count(*) from moved where old <> new").fetchall()[0][0]
    figures = {}
    placed = "work.staging.stg_orders"
    if not _exists(con, "staging", "stg_orders"):
        con.execute("create table no_orders (source varchar, contact_id varchar, order_id varchar)")
        placed = "no_orders"
    names: list[str] = []
    values = []
    for table in ("before", "identity_current"):
        found = con.execute(_FIGURES.format(map=table, placed=placed))
        names = [column[0] for column in found.description]
        values.append(found.fetchall()[0])
    for name, old, new in zip(names, *values, strict=True):
        figures[name] = (int(old or 0), int(new or 0))
    segments = {}
    if _exists(con, "segments", "segment_memberships"):
        segments = {
            segment: (int(old), int(new))
            for segment, old, new in con.execute("""
                select segment_id, count(distinct old), count(distinct new)
                from work.segments.segment_memberships as members
                join moved on moved.old = members.customer_id
                group by 1 order by 1
            """).fetchall()
        }
    merged, split = (_changed(con, one, other) for one, other in (("new", "old"), ("old", "new")))
    return Simulation(
        verdict=report.verdict,
        figures=figures,
        segments=segments,
        records_moved=int(moved),
        merges=len(merged),
        splits=len(split),
        merge_samples=[_records(con, "new", customer) for customer in merged[:samples]],
        split_samples=[_records(con, "old", customer) for customer in split[:samples]],
        report=report,
    )


def _exists(con: duckdb.DuckDBPyConnection, schema: str, table: str) -> bool:
    return bool(
        con.execute(
            "select 1 from duckdb_tables() where database_name = 'work' and schema_name = ?"
            " and table_name = ?"
            " union all select 1 from duckdb_views() where database_name = 'work'"
            " and schema_name = ? and view_name = ?",
            [schema, table, schema, table],
        ).fetchall()
    )


def _changed(con: duckdb.DuckDBPyConnection, one: str, other: str) -> list[str]:
    """Customers of one side whose records are several customers on the other, in a fixed order."""
    return [
        row[0]
        for row in con.execute(
            f"select {one} from moved group by {one} having count(distinct {other}) > 1"
            f" order by hash({one})"
        ).fetchall()
    ]


def _records(con: duckdb.DuckDBPyConnection, side: str, customer: str) -> list[tuple[Any, ...]]:
    return con.execute(
        f"select old, new, source, contact_id, full_name, email from moved"
        f" join staging.stg_contacts using (source, contact_id) where {side} = ?"
        " order by old, new, source, contact_id limit 20",
        [customer],
    ).fetchall()
