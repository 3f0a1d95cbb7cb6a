"""What a run keeps of the segments: who is in each, how many, and who entered or left."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

import duckdb
import polars as pl
import pyarrow as pa

from cohorte.errors import CohorteError
from cohorte.logs import logger
from cohorte.segments.catalogue import load_catalogue
from cohorte.segments.compile import HISTORY
from cohorte.segments.library import Segment
from cohorte.segments.population import Population, customers_meeting, member_query

_TABLES = {
    "segment_memberships": "segment_id varchar, customer_id varchar",
    "segment_sizes": (
        "segment_id varchar, segment_name varchar, customers_count bigint, as_of date"
    ),
    "segment_changes": "segment_id varchar, customer_id varchar, change varchar, version varchar",
    HISTORY: (
        "segment_id varchar, customer_id varchar, change varchar, version varchar, as_of date"
    ),
}
_PREVIOUS = "previous_memberships"
_FOUND = "members_found"


RUN_LIMIT_SECONDS = 600.0


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
    history: str | None = None,
    version: str | None = None,
    time_zone: str = "UTC",
    language: str = "en",
    relation: str = "marts.customer_profiles",
) -> Evaluation:
    """Fill `segments.segment_memberships`, `segment_sizes`, `segment_changes` and `_history` anew.

    The history is the one of the relation `history` and this run's changes; without one it begins
    with everyone who is in. Changes are against the memberships `previous` (columns segment_id,
    customer_id; the name of a relation or a frame); without them everyone has entered. A segment
    that is new enters whole, one that is gone leaves no changes. A segment whose rule does not fit
    the profiles is left out and named in the result's `problems`, and the others go on.
    """
    con.execute("create schema if not exists segments")
    for table, columns in _TABLES.items():
        con.execute(f"create or replace table segments.{table} ({columns})")
    if history is not None:
        con.execute(f"insert into segments.{HISTORY} select * from {history}")
    catalogue = load_catalogue(con, relation, time_zone=time_zone)
    rules = {segment.segment_id: segment.rule for segment in segments}
    population = Population(
        con, catalogue, as_of, relation, segments=rules, limit_seconds=RUN_LIMIT_SECONDS
    )
    evaluation = Evaluation()
    numbered = _numbered(population)
    for segment in segments:
        try:
            size = _write_members(population, segment, numbered)
        except CohorteError as error:
            evaluation.problems[segment.segment_id] = error.said
            logger().warning(
                "segment left out", extra={"segment": segment.segment_id, "reason": error.message}
            )
            continue
        con.execute(
            "insert into segments.segment_sizes values (?, ?, ?, ?)",
            [segment.segment_id, segment.name(language), size, as_of],
        )
        evaluation[segment.segment_id] = size
    _write_changes(con, previous, version)
    _write_history(con, as_of, version, anew=history is None)
    return evaluation


def _numbered(population: Population) -> pa.Table | None:
    """Everyone's id and number, by id; None where customers have no numbers."""
    if not population.catalogue.is_numbered:
        return None
    return population.con.sql(
        f"select customer_id, customer_number from {population.relation} order by customer_id"
    ).to_arrow_table()


def _write_members(population: Population, segment: Segment, numbered: pa.Table | None) -> int:
    """Write who meets the rule, by id; how many they are."""
    con, named = population.con, {"segment_id": segment.segment_id}
    if numbered is None:
        query = member_query(population, segment.rule)
        con.execute(
            "insert into segments.segment_memberships"
            f" select $segment_id, customer_id from ({query.sql}) order by customer_id",
            {**query.parameters, **named},
        )
        return int(
            con.execute(
                "select count(*) from segments.segment_memberships where segment_id = $segment_id",
                named,
            ).fetchall()[0][0]
        )
    flags = customers_meeting(population, segment.rule).flags()
    found = numbered.filter(pa.array(flags[numbered["customer_number"].to_numpy()]))
    con.register(_FOUND, found)
    con.execute(
        f"insert into segments.segment_memberships select $segment_id, customer_id from {_FOUND}",
        named,
    )
    con.unregister(_FOUND)
    return len(found)


def _write_history(
    con: duckdb.DuckDBPyConnection, as_of: date, version: str | None, *, anew: bool
) -> None:
    changes = (
        "select segment_id, customer_id, 'entered' as change from segments.segment_memberships"
        if anew
        else "select segment_id, customer_id, change from segments.segment_changes"
    )
    con.execute(
        f"insert into segments.{HISTORY} select *, $version, $as_of::date from ({changes})",
        {"version": version, "as_of": as_of},
    )


def _write_changes(
    con: duckdb.DuckDBPyConnection,
    previous: str | pa.Table | pl.DataFrame | None,
    version: str | None,
) -> None:
    if previous is None:
        con.execute(
            "insert into segments.segment_changes select segment_id, customer_id, 'entered',"
            " $version from segments.segment_memberships",
            {"version": version},
        )
        return
    before = previous if isinstance(previous, str) else _PREVIOUS
    if not isinstance(previous, str):
        con.register(_PREVIOUS, previous)
    con.execute(
        f"""
        insert into segments.segment_changes
        with now_in as (select segment_id, customer_id from segments.segment_memberships),
        was_in as (
            select segment_id, customer_id from {before}
            where segment_id in (select segment_id from segments.segment_sizes)
        )
        select segment_id, customer_id, 'entered', $version
        from now_in anti join was_in using (segment_id, customer_id)
        union all
        select segment_id, customer_id, 'left', $version
        from was_in anti join now_in using (segment_id, customer_id)
        order by 1, 3, 2
        """,
        {"version": version},
    )
    if not isinstance(previous, str):
        con.unregister(_PREVIOUS)
