"""Segments over time: how many there were, who was in on a day, and customers as they were then."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date

import duckdb
import polars as pl

from cohorte.segments.population import Population
from cohorte.segments.rules import AllOf, Clause, Node
from cohorte.segments.score_days import SCORE_DAYS

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


# Customers as they stood on a day. `$day` is that day.

DAY_SQL = "day_sql"
MARK = date(1, 2, 3)
"""Stands for the day in the SQL that a version keeps."""

_OF_THE_DAY: Mapping[str, str] = {
    "age": "date_sub('year', profiles.birth_date, $day)",
    "days_since_first_seen": "$day - profiles.created_date",
}
_STANDING = (
    "customer_id", "full_name", "first_name", "last_name", "email", "phone",
    "birth_date", "gender", "language", "company_name", "account_id", "account_industry",
    "postcode", "city", "region", "department_code", "country_code", "latitude", "longitude",
    "is_internal", "sources", "first_seen_at", "created_date", "party",
)  # fmt: skip
_SCORES = (
    "lead_conversion_probability", "expected_orders", "order_probability", "lapse_probability",
    "expected_value",
)  # fmt: skip


def population_on(population: Population, day: date) -> Population:
    """The customers as they stood on an earlier day, from the facts dated by then.

    What people are (name, place, account) is as known now. What they did is counted anew by the
    marts' own SQL as of that day: amounts, RFM, lifecycle. Scores are those that the last run by
    then gave, of the days that the version carries. What is known of today alone (consent) is not
    in its catalogue, so a rule that tests it is refused. Nobody known only later meets `known_on`.
    """
    relation, known = f"profiles_on_{day:%Y%m%d}", population.catalogue.fields
    con = population.con
    taken = {name: f'profiles."{name}"' for name in _STANDING}
    taken |= _OF_THE_DAY
    joins = []
    with population.limited():
        for name, sql in _day_sql(con, day):
            table = f"{name}_on_{day:%Y%m%d}"
            con.execute(f"create or replace temp table {table} as {sql}")
            joins.append(f" left join {table} as {name} using (customer_id)")
            columns = con.execute(f"select column_name from (describe {table})").fetchall()
            taken |= {of: f'{name}."{of}"' for (of,) in columns if of not in taken}
        if population.catalogue.moved_fields:
            joins.append(
                f" left join (from {SCORE_DAYS} where as_of = (select max(as_of) from {SCORE_DAYS}"
                " where as_of <= $day)) as scores"
                " on scores.customer_number = profiles.customer_number"
            )
            taken |= {name: f'scores."{name}"' for name in _SCORES}
        taken = {name: sql for name, sql in taken.items() if name in known}
        columns_ = ", ".join(
            f'cast({sql} as {known[name].database_type}) as "{name}"' for name, sql in taken.items()
        )
        select = (
            f"select profiles.customer_number, {columns_}"
            f" from {population.relation} as profiles{''.join(joins)}"
        )
        named = {"day": day} if "$day" in select else {}
        con.execute(f"create or replace temp table {relation} as {select}", named)
    fields = {name: field for name, field in known.items() if name in taken}
    catalogue = replace(population.catalogue, fields=fields)
    return replace(population, catalogue=catalogue, as_of=day, relation=relation)


def _day_sql(con: duckdb.DuckDBPyConnection, day: date) -> Iterator[tuple[str, str]]:
    """What the version counts anew for a day, each a name and a SELECT with a row a customer."""
    try:
        rows = con.execute(f"select name, sql from {DAY_SQL} order by place").fetchall()
    except duckdb.CatalogException:
        return
    for name, sql in rows:
        looked_from = sql.replace(f"'{MARK.isoformat()}'", f"'{day.isoformat()}'")
        yield (
            name,
            re.sub(
                r'\bfrom "?customer_features\b"?',
                f"from customer_features_on_{day:%Y%m%d}",
                looked_from,
            ),
        )


def known_on(rule: Node, day: date) -> Node:
    """The rule, for those alone who were known on that day."""
    return AllOf(
        all=[
            rule,
            Clause(field="created_date", op="less_or_equal", value=day.isoformat(), unknown=True),
        ]
    )
