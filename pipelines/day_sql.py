"""The marts' own SQL, kept in every version, so that customers can be seen as of any past day.

dbt built it as of the day of the run. That day is replaced by one that no fact bears, and the
names of the build database's tables by those of a version.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import date

import duckdb
import sqlglot
from sqlglot import exp

from cohorte.segments.past import DAY_SQL, MARK
from pipelines.standing import built_sql

_PARTY = "(select customer_id, party = 'business' as is_business from customer_profiles)"
_NUMBERS = '(select customer_id, customer_number from "customer_profiles")'
_WITHOUT_A_DAY = ("rfm", "permissions")
"""What looks from a day only by the tables that it reads."""


Read = Callable[[str], str]
"""Gives the SQL by which a dbt model was built."""


def lay_day_sql(work: duckdb.DuckDBPyConnection, as_of: date) -> None:
    """Lay what looks from a day into the build database; nothing of what dbt did not build."""

    def read(model: str) -> str:
        sql = built_sql(work, model)
        sql = sql.replace('"work"."intermediate"."int_customers__golden_records"', _PARTY)
        sql = sql.replace('"work"."built"."customer_numbers"', _NUMBERS)
        return sql.replace('"work"."marts".', "")

    work.execute("create schema if not exists segments")
    work.execute(
        f"create or replace table segments.{DAY_SQL} (place integer, name varchar, sql varchar)"
    )
    made: dict[str, Callable[[Read], str]] = {
        "customer_features": lambda read: read("customer_features"),
        "rfm": lambda read: read("rfm"),
        "lifecycle": _lifecycle,
        "consents": lambda read: read("consents"),
        "permissions": _permissions,
    }
    for place, (name, make) in enumerate(made.items()):
        try:
            sql = make(read)
        except KeyError:
            return
        if f"'{as_of.isoformat()}'" not in sql and name not in _WITHOUT_A_DAY:
            return  # built for another day
        sql = sql.replace(f"'{as_of.isoformat()}'", f"'{MARK.isoformat()}'")
        work.execute(f"insert into segments.{DAY_SQL} values (?, ?, ?)", [place, name, sql])


def _lifecycle(read: Read) -> str:
    """The mart's own expression of the status, over the SQL of what customers did."""
    mart = sqlglot.parse_one(read("customers"), dialect="duckdb")
    named = mart.find_all(exp.Alias)
    status = next(each for each in named if each.alias == "lifecycle_status")
    for column in status.find_all(exp.Column):
        if column.name == "has_lead":
            column.replace(exp.func("coalesce", column.copy(), exp.false()))
    return (
        f"with activity as ({read('int_customers__activity')})"
        f" select customers.customer_id, {status.sql('duckdb')}"
        " from customers left join activity on customers.customer_id = activity.customer_id"
    )


def _permissions(read: Read) -> str:
    """The mart's own flags of who may be contacted."""
    mart = sqlglot.parse_one(read("customer_profiles"), dialect="duckdb")
    allowed = next(each for each in mart.find_all(exp.CTE) if each.alias == "permissions")
    flags = [
        each.sql("duckdb")
        for each in mart.find_all(exp.Alias)
        if each.alias.startswith("is_contactable_")
    ]
    return (
        f"with {allowed.sql('duckdb')}"
        f" select customers.customer_id, {', '.join(flags)}"
        " from customers left join permissions on customers.customer_id = permissions.customer_id"
    )
