"""Segments over time: how many there were, who was in on a day, and customers as they were then."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import date

import duckdb
import polars as pl

from cohorte.segments.catalogue import sibling
from cohorte.segments.population import Population
from cohorte.segments.rules import AllOf, Clause, Node

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


# Fields of the profile that activities alone tell, as they stood on a day: `$day` is that day.
_ON_A_DAY: Mapping[str, str] = {
    "age": "date_sub('year', profiles.birth_date, $day)",
    "days_since_first_seen": "$day - profiles.created_date",
    "first_order_date": "did.first_order_date",
    "last_order_date": "did.last_order_date",
    "days_since_first_order": "$day - did.first_order_date",
    "days_since_last_order": "$day - did.last_order_date",
    "lifetime_orders_count": "coalesce(did.orders, 0)",
    "orders_count_90d": "coalesce(did.orders_90, 0)",
    "orders_count_365d": "coalesce(did.orders_365, 0)",
    "emails_opened_90d": "coalesce(did.opened_90, 0)",
    "emails_clicked_90d": "coalesce(did.clicked_90, 0)",
    "web_visits_90d": "coalesce(did.visits_90, 0)",
    "tickets_count_365d": "coalesce(did.tickets_365, 0)",
    "last_nps_score": "did.last_nps_score",
    "has_abandoned_cart_30d": "coalesce(did.carts_30, 0) > 0",
}
_STANDING = (
    "customer_id", "full_name", "first_name", "last_name", "email", "phone",
    "birth_date", "gender", "language", "company_name", "account_id", "account_industry",
    "postcode", "city", "region", "department_code", "country_code", "latitude", "longitude",
    "is_internal", "sources", "first_seen_at", "created_date", "party",
)  # fmt: skip
_DID = """
    select
        customer_number,
        min(activity_date) filter (kind = 'order') as first_order_date,
        max(activity_date) filter (kind = 'order') as last_order_date,
        count(*) filter (kind = 'order') as orders,
        count(*) filter (kind = 'order' and activity_date > $day - 90) as orders_90,
        count(*) filter (kind = 'order' and activity_date > $day - 365) as orders_365,
        count(*) filter (kind = 'email_opened' and activity_date > $day - 90) as opened_90,
        count(*) filter (kind = 'email_clicked' and activity_date > $day - 90) as clicked_90,
        count(*) filter (kind = 'web_visit' and activity_date > $day - 90) as visits_90,
        count(*) filter (kind = 'ticket' and activity_date > $day - 365) as tickets_365,
        count(*) filter (kind = 'cart_abandoned' and activity_date > $day - 30) as carts_30,
        arg_max(score, (occurred_at, -score)) filter (kind = 'survey' and category = 'nps')
            as last_nps_score
    from {activities} where activity_date <= $day group by customer_number
"""


def population_on(population: Population, day: date) -> Population:
    """The customers as they stood on an earlier day, from the facts dated by then.

    What people are (name, place, account) is as known now; what they did is counted anew; fields
    that activities alone do not tell (RFM, scores, consent) are not in its catalogue, so a rule
    that tests one is refused. Nobody known only later meets `known_on`.
    """
    relation = f"profiles_on_{day:%Y%m%d}"
    known = population.catalogue.fields
    standing = ["profiles.customer_number"]
    standing += [f'profiles."{name}"' for name in _STANDING if name in known]
    counted = [
        f'cast({sql} as {known[name].database_type}) as "{name}"'
        for name, sql in _ON_A_DAY.items()
        if name in known
    ]
    columns = ", ".join([*standing, *counted])
    with population.limited():
        population.con.execute(
            f"create or replace temp table {relation} as"
            f" with did as ({_DID.format(activities=sibling(population.relation, 'activities'))})"
            f" select {columns} from {population.relation} as profiles"
            " left join did on did.customer_number = profiles.customer_number",
            {"day": day},
        )
    fields = {name: field for name, field in known.items() if name in (*_STANDING, *_ON_A_DAY)}
    catalogue = replace(population.catalogue, fields=fields)
    return replace(population, catalogue=catalogue, as_of=day, relation=relation)


def known_on(rule: Node, day: date) -> Node:
    """The rule, for those alone who were known on that day."""
    return AllOf(
        all=[
            rule,
            Clause(field="created_date", op="less_or_equal", value=day.isoformat(), unknown=True),
        ]
    )
