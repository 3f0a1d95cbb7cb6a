"""The fields that a rule may test: the columns of `customer_profiles`, with their names in words.

The only identifiers that compiled SQL ever holds are those found here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal

import duckdb
from pydantic import BaseModel, ConfigDict

from cohorte.errors import SettingsError
from cohorte.i18n import language_of
from cohorte.segments.rules import Clause, Node, Operator, clauses
from cohorte.yamlfile import read_yaml

FieldType = Literal["text", "integer", "number", "boolean", "date", "timestamp", "list"]
Unit = Literal["money", "days", "share", "score", "year"]

PROFILES = "customer_profiles"

_ORDERED: tuple[Operator, ...] = (
    "equals",
    "not_equals",
    "in",
    "not_in",
    "greater",
    "greater_or_equal",
    "less",
    "less_or_equal",
    "between",
)
_KNOWN: tuple[Operator, ...] = ("is_known", "is_unknown")
OPERATORS_OF: dict[FieldType, tuple[Operator, ...]] = {
    "text": ("equals", "not_equals", "in", "not_in", "contains", "starts_with", *_KNOWN),
    "integer": (*_ORDERED, *_KNOWN),
    "number": (*_ORDERED, *_KNOWN),
    "boolean": ("equals", "not_equals", *_KNOWN),
    "date": (*_ORDERED, "within_days", "more_than_days_ago", *_KNOWN),
    "timestamp": (*_ORDERED, "within_days", "more_than_days_ago", *_KNOWN),
    "list": ("contains", "in", "not_in", *_KNOWN),
}


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _DeclaredField(_Declared):
    group: str = "other"
    label: dict[str, str] = {}
    phrase: dict[str, str] = {}
    when_true: dict[str, str] = {}
    when_false: dict[str, str] = {}
    type: Literal["list"] | None = None
    unit: Unit | None = None
    choices: dict[str, dict[str, str]] = {}
    hidden: bool = False


class _FieldsFile(_Declared):
    groups: dict[str, dict[str, str]]
    fields: dict[str, _DeclaredField]


@dataclass(frozen=True)
class ProfileField:
    """A column of `customer_profiles` that a rule may test."""

    name: str
    type: FieldType
    database_type: str
    group: str = "other"
    labels: Mapping[str, str] = field(default_factory=dict)
    phrases: Mapping[str, str] = field(default_factory=dict)
    when_true: Mapping[str, str] = field(default_factory=dict)
    when_false: Mapping[str, str] = field(default_factory=dict)
    unit: Unit | None = None
    choices: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    @property
    def operators(self) -> tuple[Operator, ...]:
        return OPERATORS_OF[self.type]

    def label(self, language: str) -> str:
        """The name on screen."""
        own = self.name.replace("_", " ").capitalize()
        return self.labels.get(language_of(language)) or self.labels.get("en") or own

    def phrase(self, language: str) -> str:
        """The noun that sentences use, with its article in French."""
        code = language_of(language)
        if code in self.phrases:
            return self.phrases[code]
        return f"la valeur « {self.label(code)} »" if code == "fr" else self.label(code).lower()

    def choice(self, value: str, language: str) -> str:
        """What one of its values is called."""
        names = self.choices.get(value, {})
        return names.get(language_of(language)) or names.get("en") or value


@dataclass(frozen=True)
class Catalogue:
    """The fields by name, and what compiling and describing a rule needs to know beside them."""

    fields: Mapping[str, ProfileField]
    time_zone: str = "UTC"
    currency: str = "EUR"

    def __iter__(self) -> Iterator[ProfileField]:
        return iter(self.fields.values())

    def __getitem__(self, name: str) -> ProfileField:
        """The field; SettingsError when the profile has none of that name."""
        try:
            return self.fields[name]
        except KeyError:
            raise SettingsError(
                f'customers have no field "{name}"', remedy="choose one of the catalogue"
            ) from None

    def groups(self) -> dict[str, list[ProfileField]]:
        """The fields by group, in the order in which screens show them."""
        order = list(_declared().groups)
        found: dict[str, list[ProfileField]] = {}
        for name in order:
            members = [each for each in self if each.group == name]
            if members:
                found[name] = members
        return found

    def group_label(self, group: str, language: str) -> str:
        """The name of a group on screen."""
        return _declared().groups[group][language_of(language)]

    def check(self, rule: Node) -> None:
        """SettingsError when the rule tests a field that is not there, or in a way it cannot be."""
        for clause in clauses(rule):
            self.check_clause(clause)

    def check_clause(self, clause: Clause) -> ProfileField:
        """The clause's field; SettingsError as for `check`."""
        tested = self[clause.field]
        if clause.op not in tested.operators:
            raise SettingsError(
                f'the field "{clause.field}" cannot be tested by {clause.op}',
                remedy=f"use one of {', '.join(tested.operators)}",
            )
        return tested


@cache
def _declared() -> _FieldsFile:
    return read_yaml(Path(__file__).with_name("fields.yml"), _FieldsFile)


def field_type(database_type: str) -> FieldType | None:
    """The kind of test that a column's type allows; None when no rule can test it."""
    name = database_type.upper().split("(")[0]
    if name in ("VARCHAR", "TEXT") or name.startswith("ENUM"):
        return "text"
    if name in ("TINYINT", "SMALLINT", "INTEGER", "BIGINT", "UTINYINT", "USMALLINT", "UINTEGER"):
        return "integer"
    if name in ("DECIMAL", "DOUBLE", "FLOAT", "HUGEINT", "UBIGINT"):
        return "number"
    if name == "BOOLEAN":
        return "boolean"
    if name == "DATE":
        return "date"
    return "timestamp" if name == "TIMESTAMP" else None


def build_catalogue(
    columns: Mapping[str, str], *, time_zone: str = "UTC", currency: str = "EUR"
) -> Catalogue:
    """The catalogue for columns given with their database types."""
    declared = _declared().fields
    fields: dict[str, ProfileField] = {}
    order = {name: position for position, name in enumerate(declared)}
    for name in sorted(columns, key=lambda name: (order.get(name, len(order)), name)):
        kind = field_type(columns[name])
        about = declared.get(name, _DeclaredField())
        if kind is None or about.hidden:
            continue
        fields[name] = ProfileField(
            name=name,
            type="list" if about.type == "list" and kind == "text" else kind,
            database_type=columns[name],
            group=about.group,
            labels=about.label,
            phrases=about.phrase,
            when_true=about.when_true,
            when_false=about.when_false,
            unit=about.unit,
            choices=about.choices,
        )
    return Catalogue(fields, time_zone=time_zone, currency=currency)


def load_catalogue(
    con: duckdb.DuckDBPyConnection,
    relation: str = PROFILES,
    *,
    time_zone: str = "UTC",
    currency: str = "EUR",
) -> Catalogue:
    """The catalogue of the profiles in a database; names of RFM segments come from its marts.

    `relation` is a name that the program states, never one that a person typed.
    """
    columns = dict(
        con.sql(f"select column_name, column_type from (describe {relation})").fetchall()
    )
    catalogue = build_catalogue(columns, time_zone=time_zone, currency=currency)
    prefix = relation.rpartition(".")[0]
    names = _rfm_names(con, f"{prefix}.rfm_segments" if prefix else "rfm_segments")
    if not names or "rfm_segment" not in catalogue.fields:
        return catalogue
    segment = catalogue["rfm_segment"]
    named = replace(segment, choices={**names, **segment.choices})
    return replace(catalogue, fields={**catalogue.fields, "rfm_segment": named})


def _rfm_names(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, dict[str, str]]:
    try:
        rows = con.sql(
            f"select rfm_segment, any_value(name_en), any_value(name_fr), min(sort_order)"
            f" from {relation} group by rfm_segment order by 4, 1"
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {segment: {"en": english, "fr": french} for segment, english, french, _ in rows}


def version_context(con: duckdb.DuckDBPyConnection) -> tuple[date, str, str]:
    """The published version's as_of day, time zone and currency."""
    row: dict[str, Any] = con.sql("select * from version_info").pl().row(0, named=True)
    return row["as_of"], str(row.get("time_zone") or "UTC"), str(row.get("currency") or "EUR")
