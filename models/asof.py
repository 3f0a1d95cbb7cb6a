"""The features of customers as they were known on a day, by the SQL of the features mart itself.

The mart's SQL is rendered once for a day that no fact bears; that day is then replaced by the one
asked for. So training, back-tests and today read the same SQL, and a test holds a rendering for a
day equal to the replacement.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import duckdb

from cohorte.errors import CohorteError, SettingsError
from cohorte.said import said
from cohorte.segments import (
    Contactable,
    Node,
    Population,
    Reference,
    Top,
    leaves,
    load_catalogue,
    members,
)
from cohorte.segments.catalogue import ACTIVITIES
from cohorte.segments.past import FACTS, LATE_FACTS

__all__ = ["MARK", "CustomersAt", "RenderFeatures", "population_of", "write_members"]

MARK = date(1, 2, 3)
"""The day that stands for any other in a rendering."""

STANDING = (
    "birth_date", "gender", "language", "company_name", "account_id", "postcode", "city",
    "region", "country_code", "latitude", "longitude", "is_internal", "sources",
    "first_seen_at", "created_date",
)  # fmt: skip
"""What people are is as known now, whatever the day: rules may test it, scores do not use it."""

LATE = f"segments.{LATE_FACTS}"
_LATE_OF_A_DAY = f"""
    select entity, source, record_id from {LATE} as late
    semi join (from {LATE} where record_id is null and loaded_date <= $day) as begun
        on late.entity = begun.entity and late.source = begun.source
    where record_id is not null and loaded_date > $day
"""
"""What had not been delivered by a day. The history that a source brings when it first delivers
counts by the days it bears; from then on a fact counts from the day of its delivery."""

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
    _made: list[tuple[str, str]] = field(default_factory=list)
    """Tables and views made, in the order of their making."""

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

    def relation(self, day: date, *, known_then: bool = True) -> str:
        """The name of the table of a day, told from what had been delivered by its end.

        Without ``known_then`` from all that bears the day or an earlier one, whenever it came.
        """
        late = known_then and self._came_late(day)
        name = f"customers_{'then' if late else 'at'}_{day:%Y%m%d}"
        if ("table", name) not in self._made:
            sql = self.sql.replace(_literal(MARK), _literal(day))
            if MARK.isoformat() in sql:
                raise CohorteError("the SQL of the features holds the day in another form")
            for table in FACTS if late else ():
                if f'"marts"."{table}"' in sql:
                    there = self._in_time(table, day)
                    sql = re.sub(rf'("\w+"\.)?"marts"\."{table}"', there, sql)
            self._make(
                name,
                f"""
                select features.*
                from ({sql}) as features
                inner join marts.customers as customers
                    on features.customer_id = customers.customer_id
                where customers.created_date <= {_literal(day)}
                    or features.first_order_date is not null
                    or features.last_interaction_at is not null
                """,
            )
        return name

    def population(self, day: date, *, known_then: bool = True) -> Population:
        """The customers as rules may ask of them on a day past."""
        relation = self.relation(day, known_then=known_then)
        late = known_then and self._came_late(day) and _columns(self.con, f"marts.{ACTIVITIES}")
        activities = self._in_time(ACTIVITIES, day) if late else f"marts.{ACTIVITIES}"
        return population_of(self.con, relation, day, self.time_zone, activities)

    def mark_members(self, day: date, rule: Node, table: str, *, known_then: bool = True) -> int:
        """Write the customers who met a rule on a day into a temporary table; their number.

        SettingsError when the rule tests what is not known of days past.
        """
        return write_members(self.population(day, known_then=known_then), rule, table)

    def close(self) -> None:
        for kind, name in reversed(self._made):
            self.con.execute(f"drop view if exists people_{name}")
            self.con.execute(f"drop {kind} if exists {name}")
        self._made.clear()

    def _came_late(self, day: date) -> bool:
        """Whether anything was delivered after a day by a source that had delivered by then."""
        if not _columns(self.con, LATE):
            return False
        return bool(self.con.execute(f"{_LATE_OF_A_DAY} limit 1", {"day": day}).fetchall())

    def _in_time(self, table: str, day: date) -> str:
        """The name of a view of the facts that had been delivered by a day."""
        late, name = f"late_{day:%Y%m%d}", f"{table}_then_{day:%Y%m%d}"
        entity, record = FACTS[table]
        if ("table", late) not in self._made:
            self._make(late, _LATE_OF_A_DAY, {"day": day})
        if ("view", name) not in self._made:
            self.con.execute(f"""
                create or replace temp view {name} as
                select facts.* from marts.{table} as facts
                anti join {late} as late on facts.source = late.source
                    and {entity} = late.entity and {record} = late.record_id
            """)
            self._made.append(("view", name))
        return name

    def _make(self, name: str, select: str, named: dict[str, date] | None = None) -> None:
        self.con.execute(f"create or replace temp table {name} as {select}", named or {})
        self._made.append(("table", name))


def population_of(
    con: duckdb.DuckDBPyConnection,
    features: str,
    day: date,
    time_zone: str,
    activities: str = f"marts.{ACTIVITIES}",
) -> Population:
    """Whom a rule may ask of on a day: features as of it, what people are, what they did by then.

    ``features`` and ``activities`` are names that the program states. Made of views of the
    connection alone.
    """
    relation = f"people_{features.rpartition('.')[2]}"
    known, told = (_columns(con, each) for each in (features, "marts.customers"))
    standing = [f", customers.{name}" for name in STANDING if name in told and name not in known]
    con.execute(f"""
        create or replace temp view {relation} as
        select features.*{"".join(standing)}
        from {features} as features
        inner join marts.customers as customers on features.customer_id = customers.customer_id
    """)
    if "customer_number" in known and _columns(con, activities):
        con.execute(f"create or replace temp view {ACTIVITIES} as from {activities}")
    catalogue = load_catalogue(con, relation, time_zone=time_zone)
    return Population(con, catalogue, day, relation)


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> set[str]:
    """The columns of a relation; none where it is not there."""
    try:
        found = con.sql(f"select column_name from (describe {relation})").fetchall()
    except duckdb.CatalogException:
        return set()
    return {name for (name,) in found}


def write_members(population: Population, rule: Node, table: str) -> int:
    """Write the members of a rule into a temporary table; their number."""
    _refuse_what_has_no_past(rule)
    con, found = population.con, members(population, rule)
    con.register("_members", found.to_arrow())
    con.execute(f"create or replace temp table {table} as select customer_id from _members")
    con.unregister("_members")
    return found.height


def _refuse_what_has_no_past(rule: Node) -> None:
    for leaf in leaves(rule):
        if isinstance(leaf, Contactable) or (isinstance(leaf, Reference) and leaf.change):
            raise SettingsError(
                said("consents of days past cannot be told")
                if isinstance(leaf, Contactable)
                else said("who entered or left on days past cannot be told"),
                remedy=said("take that test out of the question"),
            )
        if isinstance(leaf, Top) and leaf.among is not None:
            _refuse_what_has_no_past(leaf.among)
