"""Who meets a rule: counts, members, samples, sizes and the values that a field takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import polars as pl
from sqlglot import exp

from cohorte.segments.catalogue import PROFILES, Catalogue, load_catalogue, version_context
from cohorte.segments.compile import (
    DIALECT,
    Binder,
    Query,
    column,
    compile_rule,
    condition,
    profile_select,
)
from cohorte.segments.rules import Node

SIZES_AT_ONCE = 50


@dataclass(frozen=True)
class Population:
    """The customers of a database as seen from its `as_of` day. One per thread: `con` is."""

    con: duckdb.DuckDBPyConnection
    catalogue: Catalogue
    as_of: date
    relation: str = PROFILES


def open_population(con: duckdb.DuckDBPyConnection) -> Population:
    """The population of a published version."""
    as_of, time_zone, currency = version_context(con)
    catalogue = load_catalogue(con, time_zone=time_zone, currency=currency)
    return Population(con, catalogue, as_of)


def count(population: Population, rule: Node) -> int:
    """How many customers meet the rule."""
    return sizes(population, {"": rule})[""]


def sizes(population: Population, rules: Mapping[str, Node]) -> dict[str, int]:
    """How many customers meet each rule, counted together."""
    found: dict[str, int] = {}
    names = list(rules)
    for start in range(0, len(names), SIZES_AT_ONCE):
        batch = names[start : start + SIZES_AT_ONCE]
        binder = Binder()
        counts = [
            _count_where(
                condition(rules[name], population.catalogue, population.as_of, binder)
            ).as_(f"size_{position}")
            for position, name in enumerate(batch)
        ]
        sql = profile_select(counts, population.relation).sql(DIALECT)
        row = population.con.execute(sql, binder.parameters).fetchall()[0]
        found.update({name: int(size) for name, size in zip(batch, row, strict=True)})
    return found


def _count_where(met: exp.Expr) -> exp.Expr:
    """Zero, unlike DuckDB's count_if, where there is no row."""
    return exp.Count(this=exp.Case().when(met, exp.Literal.number(1)))


def total(population: Population) -> int:
    """How many customers there are."""
    sql = profile_select([exp.Count(this=exp.Star())], population.relation).sql(DIALECT)
    return int(population.con.execute(sql).fetchall()[0][0])


def members(
    population: Population,
    rule: Node,
    columns: Sequence[str] = ("customer_id",),
    limit: int | None = None,
    offset: int = 0,
) -> pl.DataFrame:
    """The customers who meet the rule, by customer_id, with the fields asked for.

    SettingsError for a field that the catalogue does not have.
    """
    binder = Binder()
    select = _fields(population, columns)
    select = select.where(condition(rule, population.catalogue, population.as_of, binder))
    select = select.order_by(column("customer_id"))
    if limit is not None:
        select = select.limit(limit).offset(offset)
    return _frame(population, select, binder)


def sample(
    population: Population,
    rule: Node,
    columns: Sequence[str] = ("customer_id",),
    size: int = 20,
    seed: int = 0,
) -> pl.DataFrame:
    """A random few of the customers who meet the rule; the same ones for the same seed."""
    binder = Binder()
    drawn = exp.func(
        "md5", exp.func("concat", column("customer_id"), binder.bind(str(seed)), dialect=DIALECT)
    )
    select = _fields(population, columns)
    select = select.where(condition(rule, population.catalogue, population.as_of, binder))
    select = select.order_by(drawn, column("customer_id")).limit(size)
    return _frame(population, select, binder)


def value_counts(
    population: Population,
    name: str,
    rule: Node | None = None,
    search: str = "",
    limit: int = 100,
) -> pl.DataFrame:
    """The values that a field takes and how many customers have each, the commonest first.

    Columns `value` and `customers_count`; unknown is a value, null. `rule` restricts who is
    counted, `search` the values, by a part of their text whatever its case and accents.
    """
    binder = Binder()
    value = column(population.catalogue[name].name)
    select = profile_select(
        [value.as_("value"), exp.Count(this=exp.Star()).as_("customers_count")],
        population.relation,
    )
    if rule is not None:
        select = select.where(condition(rule, population.catalogue, population.as_of, binder))
    if search:
        text = exp.cast(value.copy(), "varchar")
        select = select.where(
            exp.func(
                "contains",
                exp.func("lower", exp.func("strip_accents", text)),
                exp.func("lower", exp.func("strip_accents", binder.bind(search))),
            )
        )
    select = select.group_by(value.copy())
    select = select.order_by(exp.column("customers_count").desc(), exp.column("value")).limit(limit)
    return _frame(population, select, binder)


def member_query(population: Population, rule: Node) -> Query:
    """The compiled rule over the population's relation."""
    return compile_rule(rule, population.catalogue, population.as_of, population.relation)


def _frame(population: Population, select: exp.Select, binder: Binder) -> pl.DataFrame:
    frame: pl.DataFrame = population.con.sql(select.sql(DIALECT), params=binder.parameters).pl()
    return frame


def _fields(population: Population, columns: Sequence[str]) -> exp.Select:
    chosen = [column(population.catalogue[name].name) for name in columns]
    return profile_select(chosen, population.relation)
