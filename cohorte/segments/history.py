"""Segments over time: how many there were after each run, and who was in by the run of a day."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date

import duckdb
import polars as pl

_IN_ORDER = "cast(substr(version, 2) as bigint)"


@dataclass(frozen=True)
class SizePoint:
    """A segment after a run that changed it."""

    version: str
    as_of: date
    entered: int
    left: int
    customers_count: int


def size_history(con: duckdb.DuckDBPyConnection) -> dict[str, list[SizePoint]]:
    """The sizes of every segment over the runs that changed it, oldest first, by segment id."""
    try:
        rows = con.execute(
            f"""
            select
                segment_id, version, as_of, entered, gone,
                sum(entered - gone) over (
                    partition by segment_id order by {_IN_ORDER}
                )::bigint
            from (
                select
                    segment_id, version, as_of, count_if(change = 'entered') as entered,
                    count_if(change = 'left') as gone
                from segment_history group by all
            )
            order by segment_id, {_IN_ORDER}
            """
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    found: dict[str, list[SizePoint]] = {}
    for segment_id, *point in rows:
        found.setdefault(segment_id, []).append(SizePoint(*point))
    return found


def changes_since(con: duckdb.DuckDBPyConnection, day: date) -> dict[str, tuple[int, int]]:
    """How many entered and left each segment by the runs that looked from a day after `day`."""
    try:
        rows = con.execute(
            "select segment_id, count_if(change = 'entered'), count_if(change = 'left')"
            " from segment_history where as_of > $day group by segment_id",
            {"day": day},
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {segment_id: (entered, gone) for segment_id, entered, gone in rows}


def members_on(con: duckdb.DuckDBPyConnection, segment_id: str, day: date) -> pl.DataFrame:
    """Who was in a segment by the last run that looked from that day or before: `customer_id`.

    As the run found it then, whatever has become known since.
    """
    found: pl.DataFrame = con.sql(
        f"""
        select customer_id from (
            select customer_id, arg_max(change, {_IN_ORDER}) as last_change
            from segment_history
            where segment_id = $segment_id and as_of <= $day
            group by customer_id
        )
        where last_change = 'entered' order by customer_id
        """,
        params={"segment_id": segment_id, "day": day},
    ).pl()
    return found
