"""What a run keeps of the segments: who is in each, how many, and who entered or left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb
import polars as pl
import pyarrow as pa

from cohorte.errors import SettingsError
from cohorte.logs import logger
from cohorte.segments.catalogue import load_catalogue
from cohorte.segments.library import Segment
from cohorte.segments.population import Population, member_query

_TABLES = {
    "segment_memberships": "segment_id varchar, customer_id varchar",
    "segment_sizes": (
        "segment_id varchar, segment_name varchar, customers_count bigint, as_of date"
    ),
    "segment_changes": "segment_id varchar, customer_id varchar, change varchar, version varchar",
}
_PREVIOUS = "previous_memberships"


class Evaluation(dict[str, int]):
    """The size of each segment by id; `problems` says why a segment could not be evaluated."""

    def __init__(self) -> None:
        super().__init__()
        self.problems: dict[str, str] = {}


def evaluate_memberships(
    con: duckdb.DuckDBPyConnection,
    segments: Sequence[Segment],
    *,
    as_of: date,
    previous: str | pa.Table | pl.DataFrame | None = None,
    version: str | None = None,
    time_zone: str = "UTC",
    language: str = "en",
    relation: str = "marts.customer_profiles",
) -> Evaluation:
    """Fill `segments.segment_memberships`, `segment_sizes` and `segment_changes` anew.

    Changes are against the memberships `previous` (columns segment_id, customer_id; the name of a
    relation or a frame); without them everyone has entered. A segment that is new enters whole, one
    that is gone leaves no changes. A segment whose rule does not fit the profiles is left out and
    named in the result's `problems`, and the others go on.
    """
    con.execute("create schema if not exists segments")
    for table, columns in _TABLES.items():
        con.execute(f"create or replace table segments.{table} ({columns})")
    catalogue = load_catalogue(con, relation, time_zone=time_zone)
    population = Population(con, catalogue, as_of, relation)
    evaluation = Evaluation()
    for segment in segments:
        try:
            query = member_query(population, segment.rule)
        except SettingsError as error:
            evaluation.problems[segment.segment_id] = str(error)
            logger().warning(
                "segment left out", extra={"segment": segment.segment_id, "reason": error.message}
            )
            continue
        named = {**query.parameters, "segment_id": segment.segment_id}
        con.execute(
            "insert into segments.segment_memberships"
            f" select $segment_id, customer_id from ({query.sql}) order by customer_id",
            named,
        )
        size = con.execute(
            "select count(*) from segments.segment_memberships where segment_id = $segment_id",
            {"segment_id": segment.segment_id},
        ).fetchall()[0][0]
        con.execute(
            "insert into segments.segment_sizes values (?, ?, ?, ?)",
            [segment.segment_id, segment.name(language), size, as_of],
        )
        evaluation[segment.segment_id] = int(size)
    _write_changes(con, previous, version)
    return evaluation


def _write_changes(
    con: duckdb.DuckDBPyConnection,
    previous: str | pa.Table | pl.DataFrame | None,
    version: str | None,
) -> None:
    before = "(select null::varchar as segment_id, null::varchar as customer_id where false)"
    if isinstance(previous, str):
        before = previous
    elif previous is not None:
        con.register(_PREVIOUS, previous)
        before = _PREVIOUS
    con.execute(
        f"""
        insert into segments.segment_changes
        with now_in as (select segment_id, customer_id from segments.segment_memberships),
        was_in as (
            select segment_id, customer_id from {before}
            where segment_id in (select segment_id from segments.segment_sizes)
        )
        select segment_id, customer_id, 'entered', $version
        from (select * from now_in except select * from was_in)
        union all
        select segment_id, customer_id, 'left', $version
        from (select * from was_in except select * from now_in)
        order by 1, 3, 2
        """,
        {"version": version},
    )
    if previous is not None and not isinstance(previous, str):
        con.unregister(_PREVIOUS)
