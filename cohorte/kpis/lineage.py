"""From a KPI back to what was delivered: the tables it reads, what they are made of, and so on.

What a dbt model is made of is written down by ``make docs`` from dbt's manifest.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Literal

import sqlglot
from sqlglot import exp

from cohorte.kpis.definitions import MEASURES, fact_sql, kpi

FILE = Path(__file__).with_name("lineage.json")

Kind = Literal["delivered", "computed", "between", "mart", "kpi"]
"""``delivered``: the rows of an entity, typed; ``computed``: made by Python from those."""

_SIDE = frozenset({"customer_profiles", "customers"})
"""Read beside nearly every fact, for who is meant; what they are made of is not followed."""
_OF_THE_RUN = frozenset({"version_info"})
_RAW, _STAGED = "raw.", "stg_"


@dataclass(frozen=True)
class Node:
    """A table, or the KPI (``kpi.orders``). `step`: so many steps at most from what came."""

    name: str
    kind: Kind
    step: int
    parents: tuple[str, ...]


@cache
def _made_of() -> dict[str, list[str]]:
    found: dict[str, list[str]] = json.loads(FILE.read_text(encoding="utf-8"))
    return found


def tables_of(kpi_id: str) -> list[str]:
    """The published tables that a KPI is computed from."""
    query = sqlglot.parse_one(fact_sql(MEASURES[kpi(kpi_id).kpi_id].fact), dialect="duckdb")
    own = {each.alias for each in query.find_all(exp.CTE)}
    return sorted({each.name for each in query.find_all(exp.Table)} - own - _OF_THE_RUN)


def lineage(kpi_id: str) -> list[Node]:
    """The KPI and all it comes from, what was delivered first. Rows staged are those delivered."""
    read = tables_of(kpi_id)
    only_side = set(read) <= _SIDE
    found: dict[str, Node] = {}

    def follow(name: str) -> int:
        if name not in found:
            stops = name in _SIDE and not only_side
            parents = () if stops else _parents(name)
            step = 1 + max(map(follow, parents), default=-1)
            found[name] = Node(name, _kind(name), step, parents)
        return found[name].step

    last = max(map(follow, read), default=0)
    nodes = [*found.values(), Node(f"kpi.{kpi_id}", "kpi", last + 1, tuple(read))]
    return sorted(nodes, key=lambda node: (node.step, node.name))


def _parents(name: str) -> tuple[str, ...]:
    found: set[str] = set()
    for each in _made_of().get(name, ()):
        found |= set(_parents(each)) if each.startswith(_STAGED) else {each}
    return tuple(sorted(found - _BOOKKEEPING))


_BOOKKEEPING = frozenset({"raw.snapshots", "built.customer_numbers"})
"""What tells which rows delivered are the latest, and by which number a customer goes."""


def _kind(name: str) -> Kind:
    if name.startswith(_RAW):
        return "delivered"
    if "." in name:
        return "computed"
    return "between" if name.startswith("int_") else "mart"
