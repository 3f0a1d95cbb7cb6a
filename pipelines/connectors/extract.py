"""What every connector hands over: rows in a temporary table, and what its reader refused."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import duckdb

from cohorte.contracts import contract
from cohorte.errors import SourceError
from cohorte.said import said
from cohorte.sources import EntityMapping, Feed
from pipelines.connectors.quoting import identifier, literal

MAXIMUM_COLUMNS = 500
MAXIMUM_FIELD_BYTES = 64 * 1024
EXTRACT_TABLE = "_extract"
READER_REJECTS_TABLE = "_reader_rejects"

TOLERANT_TABLE = "_tolerant"
WORK_TABLES = (EXTRACT_TABLE, TOLERANT_TABLE, READER_REJECTS_TABLE)

READER_REJECTS_DDL = f"""
create or replace temp table {READER_REJECTS_TABLE} (
    _file_id integer, line bigint, reason varchar, value varchar, row_text varchar
)
"""


class QuarantineError(SourceError):
    """A delivery of which nothing may enter.

    ``code`` names the reason for programs, ``line`` and ``column_name`` the place where known.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        remedy: str,
        where: str = "",
        line: int | None = None,
        column_name: str | None = None,
    ) -> None:
        super().__init__(message, remedy=remedy, where=where)
        self.code = code
        self.line = line
        self.column_name = column_name


@dataclass(frozen=True)
class Delivery:
    """One file or query result that is new: its number, its name, where its bytes lie.

    ``since`` is the largest value known of a feed's incremental column.
    """

    file_id: int
    name: str
    path: Path | None = None
    since: str | None = None

    @property
    def whole_path(self) -> Path:
        """The path of a delivery that is a file."""
        if self.path is None:
            raise TypeError(f"{self.name} is no file")
        return self.path


@dataclass(frozen=True)
class Prepared:
    """A delivery that was looked at. Those of one ``key`` may be read together; size in bytes."""

    delivery: Delivery
    key: Hashable
    size: int


@dataclass(frozen=True)
class RelationColumn:
    """A column of the file in the temporary table."""

    sql: str
    type: str = "VARCHAR"


Leftover = Callable[[set[str], bool], str]


@dataclass(frozen=True)
class Relation:
    """Rows as they came: a ``from`` item with ``_file_id``, ``_line`` and the columns.

    ``row_text`` and ``leftover`` give expressions: the row as it came, and, as JSON, the columns
    outside a set of mapped ones, for the feed's first entity or for another. ``fault`` is a
    condition under which the row itself is refused, with its reason.
    """

    sql: str
    columns: Mapping[str, RelationColumn]
    row_text: str
    leftover: Leftover
    fault: tuple[str, str] | None = None


@dataclass
class Extract:
    """What was read of some deliveries of one feed.

    ``records`` counts what each holds by file id, the reader's rejects included; those are in the
    table READER_REJECTS_TABLE. ``dialects`` says how each was read. ``refused`` are deliveries of
    which nothing may enter. ``content_hash`` is given where only the rows tell the content, as
    with a query.
    """

    records: dict[int, int]
    relation: Callable[[EntityMapping], Relation]
    dialects: dict[int, dict[str, Any]] = field(default_factory=dict)
    messages: dict[int, list[str]] = field(default_factory=dict)
    refused: dict[int, QuarantineError] = field(default_factory=dict)
    content_hash: str | None = None


class Connector(Protocol):
    """How the deliveries of one format are read."""

    def prepare(
        self,
        connection: duckdb.DuckDBPyConnection,
        delivery: Delivery,
        feed: Feed,
        temp_dir: Path,
    ) -> Prepared:
        """Look at a delivery; QuarantineError when it cannot be what the feed declares."""

    def read(
        self, connection: duckdb.DuckDBPyConnection, feed: Feed, group: Sequence[Prepared]
    ) -> Extract:
        """Read deliveries of one key; QuarantineError or duckdb.Error when one does not read."""


def whole_rows(relation: Relation) -> Callable[[EntityMapping], Relation]:
    """The same rows for every entity: all formats but nested ones."""

    def rows(mapping: EntityMapping) -> Relation:
        return relation

    return rows


def json_leftover(columns: Mapping[str, RelationColumn]) -> Leftover:
    """Columns nobody mapped, as a JSON object by their names in the file."""

    def leftover(mapped: set[str], is_first: bool) -> str:
        pairs = [
            f"{literal(name)}, {column.sql}"
            for name, column in columns.items()
            if is_first and name not in mapped
        ]
        return f"json_object({', '.join(pairs)})::varchar" if pairs else "null::varchar"

    return leftover


def too_long(columns: Mapping[str, RelationColumn]) -> tuple[str, str] | None:
    """The fault of a row in which a text is longer than any field may be."""
    lengths = [f"strlen({column.sql})" for column in columns.values() if column.type == "VARCHAR"]
    if not lengths:
        return None
    longest = f"greatest({', '.join(lengths)})" if len(lengths) > 1 else lengths[0]
    return f"coalesce({longest}, 0) > {MAXIMUM_FIELD_BYTES}", "field_too_long"


def json_row_text(columns: Mapping[str, RelationColumn]) -> str:
    """The whole row as JSON, for formats without a text of their own."""
    pairs = ", ".join(f"{literal(name)}, {column.sql}" for name, column in columns.items())
    return f"json_object({pairs})::varchar"


def place_of(values: Sequence[int], index: str) -> str:
    """The value at a place counted from nought, as an expression."""
    if len(values) == 1:
        return f"{values[0]}"
    return f"[{', '.join(map(str, values))}][{index} + 1]"


def positional(names: Sequence[str]) -> dict[str, RelationColumn]:
    """Names of the file to columns ``c0``, ``c1``, ...: a file's names are never identifiers."""
    return {name: RelationColumn(identifier(f"c{place}")) for place, name in enumerate(names)}


def checked_columns(names: Sequence[str], feed: Feed, where: str, line: int | None) -> list[str]:
    """Warnings about the columns a file has against those the feed maps.

    Raises QuarantineError when a name stands twice, or when a column that fills a required
    contract column, or that a ``where`` reads, is absent.
    """
    if len(names) > MAXIMUM_COLUMNS:
        raise QuarantineError(
            "too_many_columns",
            said(
                "the file has {count:,} columns, over {maximum_columns}",
                count=len(names),
                maximum_columns=MAXIMUM_COLUMNS,
            ),
            where=where,
            remedy=said("export those that are needed; its delimiter may also be another"),
        )
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise QuarantineError(
                "duplicated_header",
                said('the column "{name}" stands twice in the header', name=name),
                where=where if line is None else f"{where} line {line}",
                line=line,
                column_name=name,
                remedy=said("rename one of them in the export"),
            )
        seen.add(name)
    warnings: list[str] = []
    for entity, mapping in feed.entities.items():
        known = contract(entity)
        for target, mapped in mapping.columns.items():
            for column in mapped.read_columns:
                if column in seen or column.startswith(("$", "@")):
                    continue
                if known.column(target).required and mapped.column is not None:
                    raise _missing(column, f"{entity}.{target}", names, feed, where, line)
                warning = said(
                    '{name}: no column "{column}"; {target} stays empty',
                    name=where,
                    column=column,
                    target=f"{entity}.{target}",
                )
                if warning not in warnings:
                    warnings.append(warning)
        if mapping.where and mapping.where.column not in seen:
            raise _missing(mapping.where.column, f"where of {entity}", names, feed, where, line)
    return warnings


def _missing(
    column: str, target: str, names: Sequence[str], feed: Feed, where: str, line: int | None
) -> QuarantineError:
    near = difflib.get_close_matches(column, names, 1, 0.6)
    hint = said('is it "{name}"? ', name=near[0]) if near else ""
    return QuarantineError(
        "missing_column",
        said(
            'no column "{column}", which {target} needs; the file has {value}',
            column=column,
            target=target,
            value=", ".join(names)[:300],
        ),
        where=where if line is None else f"{where} line {line}",
        line=line,
        column_name=column,
        remedy=said(
            '{hint}correct the export, or the mapping of feed "{feed}"', hint=hint, feed=feed.feed
        ),
    )
