"""What a rule may ask of: the columns of `customer_profiles`, and what customers do.

Fields and behaviours come with their names in words.

The only identifiers that compiled SQL ever holds are those found here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import date
from functools import cache
from pathlib import Path
from typing import Any, Literal, TypeVar

import duckdb
from pydantic import BaseModel, ConfigDict

from cohorte.errors import SettingsError
from cohorte.i18n import language_of
from cohorte.said import said
from cohorte.segments.attributes import CUSTOM, CUSTOM_ATTRIBUTES
from cohorte.segments.rules import Clause, Operator
from cohorte.segments.score_days import SCORE_DAYS
from cohorte.yamlfile import read_yaml

FieldType = Literal["text", "integer", "number", "boolean", "date", "timestamp", "list"]
Unit = Literal["money", "days", "share", "score", "year"]
Named = TypeVar("Named")

PROFILES = "customer_profiles"
ACTIVITIES = "activities"
PROPENSITY = "propensity_"
"""Begins the columns of scores that a workspace's own questions gave."""

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
_RELATIVE: tuple[Operator, ...] = ("within_days", "more_than_days_ago", "anniversary_in_days")
OPERATORS_OF: dict[FieldType, tuple[Operator, ...]] = {
    "text": ("equals", "not_equals", "in", "not_in", "contains", "starts_with", *_KNOWN),
    "integer": (*_ORDERED, *_KNOWN),
    "number": (*_ORDERED, *_KNOWN),
    "boolean": ("equals", "not_equals", *_KNOWN),
    "date": (*_ORDERED, *_RELATIVE, *_KNOWN),
    "timestamp": (*_ORDERED, *_RELATIVE, *_KNOWN),
    "list": ("contains", "in", "not_in", *_KNOWN),
}


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class RowsBehind(_Declared):
    """The things done that a value comes from; of the last days alone when stated."""

    did: tuple[str, ...]
    last_days: int | None = None


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
    rows: RowsBehind | None = None
    source: str | None = None


class _FieldsFile(_Declared):
    groups: dict[str, dict[str, str]]
    fields: dict[str, _DeclaredField]


class _ActivityField(_Declared):
    column: str
    unit: Unit | None = None
    label: dict[str, str]
    phrase: dict[str, str]
    of: dict[str, str] = {}


class _DeclaredBehaviour(_Declared):
    kinds: list[str]
    label: dict[str, str]
    did: dict[str, str]
    did_not: dict[str, str]
    things: dict[str, str]
    first: dict[str, str]
    last: dict[str, str]
    fields: list[str] = []
    measures: list[str] = []


class _BehavioursFile(_Declared):
    fields: dict[str, _ActivityField]
    behaviours: dict[str, _DeclaredBehaviour]


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
    column: str = ""
    of: Mapping[str, str] = field(default_factory=dict)
    rows: RowsBehind | None = None
    source: str | None = None

    @property
    def column_name(self) -> str:
        """The column that holds it, which has its name unless declared otherwise."""
        return self.column or self.name

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
class ActivityKind:
    """Something that customers do: rows of `activities` of some kinds, and what they hold."""

    name: str
    kinds: tuple[str, ...]
    fields: Mapping[str, ProfileField]
    measures: tuple[str, ...]
    words: Mapping[str, Mapping[str, str]]

    def say(self, what: str, language: str) -> str:
        """One of its phrases: label, did, did_not, things, first, last."""
        return self.words[what][language_of(language)]

    def __getitem__(self, name: str) -> ProfileField:
        """A field of the thing done; SettingsError when it has none of that name."""
        try:
            return self.fields[name]
        except KeyError:
            raise SettingsError(
                said('"{what}" has no field "{field}"', what=self.name, field=name),
                remedy=said("use one of {names}", names=", ".join(self.fields)),
            ) from None


@dataclass(frozen=True)
class Catalogue:
    """The fields and behaviours by name, and what else compiling and describing needs to know."""

    fields: Mapping[str, ProfileField]
    time_zone: str = "UTC"
    currency: str = "EUR"
    behaviours: Mapping[str, ActivityKind] = field(default_factory=dict)
    segment_names: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    is_numbered: bool = False
    moved_fields: Mapping[str, ProfileField] = field(default_factory=dict)

    def __iter__(self) -> Iterator[ProfileField]:
        return iter(self.fields.values())

    def __getitem__(self, name: str) -> ProfileField:
        """The field; SettingsError when the profile has none of that name."""
        try:
            return self.fields[name]
        except KeyError:
            raise SettingsError(
                said('customers have no field "{field}"', field=name),
                remedy=said("choose one of the catalogue"),
            ) from None

    def behaviour(self, name: str) -> ActivityKind:
        """What customers do under that name; SettingsError when nothing has it."""
        return _found(
            self.behaviours,
            name,
            f'there is no behaviour "{name}"',
            "run the pipeline: the version served knows no activities yet",
        )

    def moving(self, name: str) -> ProfileField:
        """A score that earlier days are known of; SettingsError when it is none."""
        return _found(
            self.moved_fields,
            name,
            f'earlier values of "{name}" are not kept',
            "run the pipeline: the version served knows no scores of earlier days yet",
        )

    def segment_name(self, segment_id: str, language: str) -> str:
        """What another segment is called; its id when it is not known."""
        names = self.segment_names.get(segment_id, {})
        return names.get(language_of(language)) or next(iter(names.values()), segment_id)

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

    def check_clause(self, clause: Clause, within: ActivityKind | None = None) -> ProfileField:
        """The clause's field; SettingsError when it is not there or cannot be tested so."""
        tested = self[clause.field] if within is None else within[clause.field]
        if clause.op not in tested.operators:
            raise SettingsError(
                said(
                    'the field "{field}" cannot be tested by {op}', field=clause.field, op=clause.op
                ),
                remedy=said("use one of {names}", names=", ".join(tested.operators)),
            )
        return tested

    def ranked(self, name: str) -> ProfileField:
        """A field that customers can be ranked by; SettingsError when it is none."""
        by = self[name]
        if by.type not in ("integer", "number", "date", "timestamp"):
            raise SettingsError(
                said('customers cannot be ranked by "{field}"', field=name),
                remedy=said("use a number or a date"),
            )
        return by


@cache
def _declared() -> _FieldsFile:
    return read_yaml(Path(__file__).with_name("fields.yml"), _FieldsFile)


@cache
def _declared_behaviours() -> _BehavioursFile:
    return read_yaml(Path(__file__).with_name("behaviours.yml"), _BehavioursFile)


def build_behaviours(columns: Mapping[str, str]) -> dict[str, ActivityKind]:
    """The behaviours that `activities` of these columns can tell of."""
    declared = _declared_behaviours()
    found = {}
    for name, about in declared.behaviours.items():
        words = ("label", "did", "did_not", "things", "first", "last")
        fields = {
            field_name: _activity_field(field_name, declared.fields[field_name], columns)
            for field_name in [*about.fields, *about.measures]
        }
        found[name] = ActivityKind(
            name,
            tuple(about.kinds),
            fields,
            tuple(about.measures),
            {word: getattr(about, word) for word in words},
        )
    return found


def _activity_field(name: str, about: _ActivityField, columns: Mapping[str, str]) -> ProfileField:
    database_type = columns[about.column]
    return ProfileField(
        name=name,
        type=field_type(database_type) or "text",
        database_type=database_type,
        labels=about.label,
        phrases=about.phrase,
        unit=about.unit,
        column=about.column,
        of=about.of,
    )


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
            rows=about.rows,
            source=about.source,
        )
    return Catalogue(
        fields, time_zone=time_zone, currency=currency, is_numbered="customer_number" in columns
    )


def _found(known: Mapping[str, Named], name: str, message: str, without: str) -> Named:
    """What has the name; SettingsError with the names there are, or what to do ``without`` any."""
    if name in known:
        return known[name]
    remedy = f"use one of {', '.join(known)}" if known else without
    raise SettingsError(message, remedy=remedy)


def sibling(relation: str, name: str) -> str:
    """Another table of the schema that a relation is in."""
    prefix, dot, _ = relation.rpartition(".")
    return f"{prefix}{dot}{name}"


def table_of_segments(relation: str, name: str) -> str:
    """A table of the segments, beside the profiles; in the work database it is in its schema."""
    return f"segments.{name}" if relation.startswith("marts.") else name


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
    columns = _columns(con, relation)
    catalogue = build_catalogue(columns, time_zone=time_zone, currency=currency)
    try:
        behaviours = build_behaviours(_columns(con, sibling(relation, ACTIVITIES)))
        catalogue = replace(catalogue, behaviours=behaviours)
    except duckdb.CatalogException:
        pass
    fields = dict(catalogue.fields)
    for name, names in (
        ("rfm_segment", _rfm_names(con, sibling(relation, "rfm_segments"))),
        ("cluster", _names(con, sibling(relation, "clusters"), "cluster")),
    ):
        if names and name in fields:
            fields[name] = replace(fields[name], choices={**names, **fields[name].choices})
    asked = _names(con, sibling(relation, "propensities"), "propensity")
    for name, about in fields.items():
        if name.startswith(PROPENSITY):
            fields[name] = _propensity(about, asked.get(name.removeprefix(PROPENSITY), {}))
    own = _names(con, table_of_segments(relation, CUSTOM_ATTRIBUTES), "attribute")
    for name, about in fields.items():
        if name.startswith(CUSTOM) and (labels := own.get(name.removeprefix(CUSTOM))):
            fields[name] = replace(about, group="custom", labels=labels)
    return replace(catalogue, fields=fields, moved_fields=_moved_fields(con, relation, fields))


def _moved_fields(
    con: duckdb.DuckDBPyConnection, relation: str, fields: Mapping[str, ProfileField]
) -> dict[str, ProfileField]:
    """The scores that earlier days are known of, called as the profile's."""
    try:
        columns = _columns(con, table_of_segments(relation, SCORE_DAYS))
    except duckdb.CatalogException:
        return {}
    columns.pop("as_of")
    return {name: fields.get(name, own) for name, own in build_catalogue(columns).fields.items()}


def _propensity(about: ProfileField, names: Mapping[str, str]) -> ProfileField:
    """The field of a score that a workspace's own question gave, called as the question is."""
    labels = dict(names) or {"en": about.label("en"), "fr": about.label("fr")}
    phrases = {
        code: pattern.format(name=labels.get(code) or next(iter(labels.values())))
        for code, pattern in {"en": "probability of “{name}”", "fr": "le score « {name} »"}.items()
    }
    return replace(about, group="score", unit="share", labels=labels, phrases=phrases)


def _columns(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, str]:
    return dict(con.sql(f"select column_name, column_type from (describe {relation})").fetchall())


def _rfm_names(con: duckdb.DuckDBPyConnection, relation: str) -> dict[str, dict[str, str]]:
    try:
        rows = con.sql(
            f"select rfm_segment, any_value(name_en), any_value(name_fr), min(sort_order)"
            f" from {relation} group by rfm_segment order by 4, 1"
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {segment: {"en": english, "fr": french} for segment, english, french, _ in rows}


def _names(con: duckdb.DuckDBPyConnection, relation: str, key: str) -> dict[str, dict[str, str]]:
    """Names in both languages by key; none where the table is not there."""
    try:
        rows = con.sql(
            f"select {key}, arg_max(name_en, as_of), arg_max(name_fr, as_of)"
            f" from {relation} group by {key} order by {key}"
        ).fetchall()
    except duckdb.CatalogException:
        return {}
    return {name: {"en": english, "fr": french} for name, english, french in rows}


def version_context(con: duckdb.DuckDBPyConnection) -> tuple[date, str, str]:
    """The published version's as_of day, time zone and currency."""
    row: dict[str, Any] = con.sql("select * from version_info").pl().row(0, named=True)
    return row["as_of"], str(row.get("time_zone") or "UTC"), str(row.get("currency") or "EUR")
