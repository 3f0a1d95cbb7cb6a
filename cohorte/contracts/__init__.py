"""The contracts: which columns each entity has, in one place.

The import mappings, the tables of the raw database, dbt's sources and the documentation are all
checked against these.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Literal

import yaml

ColumnType = Literal["text", "integer", "decimal", "rate", "boolean", "timestamp", "date"]

DUCKDB_TYPES: dict[ColumnType, str] = {
    "text": "VARCHAR",
    "integer": "BIGINT",
    "decimal": "DECIMAL(18,4)",
    "rate": "DECIMAL(18,8)",
    "boolean": "BOOLEAN",
    "timestamp": "TIMESTAMP",
    "date": "DATE",
}

LINEAGE_COLUMNS: dict[str, str] = {
    "_source": "VARCHAR",
    "_file_id": "INTEGER",
    "_line": "BIGINT",
    "_loaded_at": "TIMESTAMP",
    "_row_hash": "UBIGINT",
    "_occurrence": "INTEGER",
    "_version": "TIMESTAMP",
    "_extra": "VARCHAR",
}


@dataclass(frozen=True)
class ContractColumn:
    """One column of an entity."""

    name: str
    type: ColumnType
    required: bool
    description: str

    @property
    def duckdb_type(self) -> str:
        return DUCKDB_TYPES[self.type]


@dataclass(frozen=True)
class Contract:
    """One entity: its grain, its key within a source, its columns in order.

    An empty key, or an optional key that a source does not map, means rows without an id of
    their own: the same row counts as often as in the delivery that holds it most often.
    """

    entity: str
    title: dict[str, str]
    grain: str
    key: tuple[str, ...]
    key_optional: bool
    columns: tuple[ContractColumn, ...]

    @property
    def column_names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    @property
    def required(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns if column.required)

    def column(self, name: str) -> ContractColumn:
        """The column of that name; KeyError when the entity has none."""
        for column in self.columns:
            if column.name == name:
                return column
        raise KeyError(name)

    def raw_ddl(self, schema: str = "main") -> str:
        """``create table if not exists`` for the entity's table in the raw database."""
        columns = [f'"{column.name}" {column.duckdb_type}' for column in self.columns]
        columns += [f'"{name}" {kind}' for name, kind in LINEAGE_COLUMNS.items()]
        return f'create table if not exists "{schema}"."{self.entity}" ({", ".join(columns)})'


def _column(name: str, declared: list[str]) -> ContractColumn:
    kind, description = declared
    required = kind.endswith("!")
    bare: ColumnType = kind.rstrip("!")  # type: ignore[assignment]
    if bare not in DUCKDB_TYPES:
        raise ValueError(f"entities.yml: column {name} has unknown type {kind}")
    return ContractColumn(name, bare, required, description)


@cache
def contracts() -> dict[str, Contract]:
    """Every contract by entity, in the order of ``entities.yml``."""
    text = resources.files(__package__).joinpath("entities.yml").read_text(encoding="utf-8")
    return {
        entity: Contract(
            entity=entity,
            title=declared["title"],
            grain=declared["grain"],
            key=tuple(declared["key"]),
            key_optional=declared.get("key_optional", False),
            columns=tuple(_column(name, line) for name, line in declared["columns"].items()),
        )
        for entity, declared in yaml.load(text, yaml.CSafeLoader).items()
    }


def contract(entity: str) -> Contract:
    """The contract of one entity; KeyError when there is none."""
    return contracts()[entity]
