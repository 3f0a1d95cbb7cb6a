"""The features of customers as they were known on a day, by the SQL of the features mart itself.

The mart's SQL is rendered once for a day that no fact bears; that day is then replaced by the one
asked for. So training, back-tests and today read the same SQL, and a test holds a rendering for a
day equal to the replacement.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import duckdb

from cohorte.errors import CohorteError
from cohorte.segments import Catalogue, Node, Population, build_catalogue, members

__all__ = ["MARK", "CustomersAt", "RenderFeatures"]

MARK = date(1, 2, 3)
"""The day that stands for any other in a rendering."""

RenderFeatures = Callable[[date], str]
"""The SELECT of ``customer_features`` as of a day, over the marts of the work database."""


def _literal(day: date) -> str:
    return f"cast('{day.isoformat()}' as date)"


@dataclass
class CustomersAt:
    """Tables of customer features on days past, each made once in a work database.

    Customers who were not known on a day have no row in its table.

    Parameters
    ----------
    con
        The work database.
    sql
        ``customer_features`` rendered for ``MARK``.
    time_zone
        The workspace's.
    """

    con: duckdb.DuckDBPyConnection
    sql: str
    time_zone: str
    _made: set[date] = field(default_factory=set)

    def __post_init__(self) -> None:
        if _literal(MARK) not in self.sql:
            raise CohorteError(
                "the SQL of the features does not hang on the day looked from",
                remedy="render it for models.asof.MARK",
            )

    @property
    def digest(self) -> str:
        """Of the SQL, so that an artifact says which features it was learned on."""
        return hashlib.sha256(self.sql.encode()).hexdigest()

    def relation(self, day: date) -> str:
        """The name of the table of a day."""
        name = f"customers_at_{day:%Y%m%d}"
        if day not in self._made:
            sql = self.sql.replace(_literal(MARK), _literal(day))
            if MARK.isoformat() in sql:
                raise CohorteError("the SQL of the features holds the day in another form")
            self.con.execute(f"""
                create or replace temp table {name} as
                select features.*
                from ({sql}) as features
                inner join marts.customers as customers
                    on features.customer_id = customers.customer_id
                where customers.created_date <= {_literal(day)}
                    or features.first_order_date is not null
                    or features.last_interaction_at is not null
            """)
            self._made.add(day)
        return name

    def catalogue(self, day: date) -> Catalogue:
        """The fields that a rule may test on a day past."""
        return catalogue_of(self.con, self.relation(day), self.time_zone)

    def mark_members(self, day: date, rule: Node, table: str) -> int:
        """Write the customers who met a rule on a day into a temporary table; their number.

        SettingsError when the rule tests what is not known of days past.
        """
        population = Population(self.con, self.catalogue(day), day, self.relation(day))
        return write_members(self.con, population, rule, table)

    def close(self) -> None:
        for day in self._made:
            self.con.execute(f"drop table if exists customers_at_{day:%Y%m%d}")
        self._made.clear()


def catalogue_of(con: duckdb.DuckDBPyConnection, relation: str, time_zone: str) -> Catalogue:
    """The fields of a relation that rules may test."""
    rows = con.sql(f"select column_name, column_type from (describe {relation})").fetchall()
    return build_catalogue(dict(rows), time_zone=time_zone)


def write_members(
    con: duckdb.DuckDBPyConnection, population: Population, rule: Node, table: str
) -> int:
    """Write the members of a rule into a temporary table; their number."""
    found = members(population, rule)
    con.register("_members", found.to_arrow())
    con.execute(f"create or replace temp table {table} as select customer_id from _members")
    con.unregister("_members")
    return found.height
