"""The sources of a workspace: where each comes from, how it reads, how it maps to entities."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator, model_validator

from cohorte.contracts import contracts
from cohorte.said import said
from cohorte.settings import CurrencyCode, Declared, Name, Timing, checked_time_zone
from cohorte.yamlfile import check_file_name, read_yaml

Transform = Literal["lower", "upper", "trim", "digits", "integer"]
Mode = Literal["append", "upsert", "snapshot"]
KnownAt = Literal["creation", "contact", "close"]
Format = Literal[
    "delimited", "fixed_width", "excel", "json", "json_lines", "parquet", "database", "rest"
]


class Mapped(Declared):
    """How one contract column is filled: from a column, from several joined, or by a constant.

    ``values`` replaces what it names; what it does not name passes as it is, or is rejected when
    ``strict``. ``starts_with`` replaces by the beginning of the text, first match first. An empty
    value becomes ``default``. ``formats`` are strptime formats, tried in order, and ``excel`` for
    a spreadsheet's day number. ``split`` cuts the text, of which ``part``, from 1, is kept.
    """

    column: str | None = None
    columns: list[str] | None = None
    separator: str = " "
    constant: str | int | float | bool | None = None
    transform: Transform | None = None
    values: dict[str, str | int | float | bool | None] | None = None
    starts_with: dict[str, str] | None = None
    strict: bool = False
    default: str | int | float | bool | None = None
    formats: list[str] | None = None
    split: str | None = Field(default=None, min_length=1)
    part: int = Field(default=1, ge=1)

    @model_validator(mode="after")
    def _one_origin(self) -> Mapped:
        origins = (self.column, self.columns, self.constant)
        if sum(origin is not None for origin in origins) != 1:
            raise ValueError(said("state exactly one of column, columns, constant"))
        return self

    @property
    def read_columns(self) -> list[str]:
        """The file's columns that it reads."""
        return [self.column] if self.column is not None else list(self.columns or [])


class Where(Declared):
    """Which rows of a feed are of an entity; the others are left to the feed's other entities."""

    column: str
    is_in: list[str] | None = Field(default=None, alias="in")
    not_in: list[str] | None = None
    is_known: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Where:
        if sum(test is not None for test in (self.is_in, self.not_in, self.is_known)) != 1:
            raise ValueError(said("state exactly one of in, not_in, is_known"))
        return self


class EntityMapping(Declared):
    """How the rows of a feed become rows of one entity.

    ``mode`` says what a delivery is: ``append`` events, ``upsert`` new and changed records,
    ``snapshot`` all records, so that one which is absent is closed. ``version`` names the contract
    column that tells the latest row of a key; ``distinct`` loads equal rows of one file once;
    ``explode`` is the path of a list in JSON, one row an element. ``known_at`` says of a lead's
    fields when they are entered: when it comes in (``creation``), when sales ``contact`` it, or at
    its ``close``; only the first can tell beforehand what will become of it.
    """

    columns: dict[str, Mapped]
    mode: Mode | None = None
    version: str | None = None
    distinct: bool = False
    where: Where | None = None
    explode: str | None = None
    known_at: dict[str, KnownAt] = {}

    @field_validator("columns", mode="before")
    @classmethod
    def _short_form(cls, value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        return {
            name: {"column": mapped} if isinstance(mapped, str) else mapped
            for name, mapped in value.items()
        }


class FixedField(Declared):
    """A field of fixed-width text: its first character, counted from 1, and how many it has.

    A ``packed`` one is a packed decimal (COMP-3): bytes of two digits each, the last half a sign.
    A ``zoned`` one (DISPLAY) has a digit a byte, the sign punched over the last. ``decimals`` of
    the digits stand behind the point.
    """

    name: str
    start: int = Field(ge=1)
    length: int = Field(ge=1)
    packed: bool = False
    zoned: bool = False
    decimals: int = Field(default=0, ge=0)

    @property
    def is_number(self) -> bool:
        """Whether its bytes are a number, and no text."""
        return self.packed or self.zoned

    @model_validator(mode="after")
    def _decimals_are_of_numbers(self) -> FixedField:
        if self.packed and self.zoned:
            raise ValueError(said("a field is packed or zoned, not both"))
        if self.decimals and not self.is_number:
            raise ValueError(said("decimals are of packed and zoned fields"))
        return self


class Rest(Declared):
    """How an HTTP interface gives its records.

    ``paging`` asks for the next page by its number, by how many records came, by a cursor that
    the answer names at ``next_path``, or by the address in the answer (``next_path``, else its
    ``Link`` header). ``headers`` carry the token, as ``Authorization: Bearer ${SHOP_TOKEN}``.
    """

    headers: dict[str, str] = {}
    parameters: dict[str, str] = {}
    paging: Literal["none", "page", "offset", "cursor", "link"] = "none"
    page_parameter: str = "page"
    first_page: int = 1
    size_parameter: str | None = None
    page_size: int = Field(default=100, ge=1, le=10_000)
    next_path: str | None = None
    since_parameter: str | None = None
    requests_per_minute: float = Field(default=300, gt=0)
    retries: int = Field(default=5, ge=0, le=20)
    timeout_seconds: float = Field(default=60, gt=0)

    @model_validator(mode="after")
    def _next_is_named(self) -> Rest:
        if self.paging == "cursor" and self.next_path is None:
            raise ValueError(
                said("paging: cursor needs next_path, where the answer names the cursor")
            )
        return self


class Feed(Declared):
    """Files or a query of one shape. What is not declared of a text's dialect is detected.

    ``done_mark`` is the end of a name, such as ``.done``: a file counts once its name with that
    end lies beside it. ``incremental`` names a column of a database, or a path of a record of an
    HTTP interface, that only grows: what is at or above the largest one known is asked for.
    """

    feed: Name
    format: Format = "delimited"
    files: list[str] = []
    done_mark: str | None = Field(default=None, min_length=1)
    fields: list[FixedField] | None = None
    record_length: int | None = Field(default=None, ge=1)
    records: str | None = None
    incremental: str | None = None
    rest: Rest | None = None
    url: str | None = None
    table: str | None = None
    query: str | None = None
    encoding: str | None = None
    delimiter: str | None = Field(default=None, min_length=1, max_length=1)
    quote: str = Field(default='"', max_length=1)
    header: bool = True
    header_row: int = Field(default=1, ge=1)
    columns: list[str] | None = None
    sheet: str | None = None
    decimal: Literal[".", ","] = "."
    thousands: str | None = Field(default=None, min_length=1, max_length=1)
    date_formats: list[str] = []
    timestamp_formats: list[str] = []
    null_values: list[str] = ["", "NULL"]
    time_zone: str | None = None
    entities: dict[str, EntityMapping]

    @field_validator("files", mode="before")
    @classmethod
    def _one_or_several(cls, value: Any) -> Any:
        return [value] if isinstance(value, str) else value

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return value if value is None else checked_time_zone(value)

    @model_validator(mode="after")
    def _origin_and_contract(self) -> Feed:
        if self.format == "database":
            if not self.url or (self.table is None) == (self.query is None):
                raise ValueError(said("a database feed states url and exactly one of table, query"))
        elif self.format == "rest":
            if not self.url:
                raise ValueError(said("a rest feed states url"))
        elif not self.files:
            raise ValueError(said("state files, such as orders_*.csv"))
        if self.format == "fixed_width" and not self.fields:
            raise ValueError(said("fixed-width text needs fields: [{{name, start, length}}, ...]"))
        if self.record_length is None and any(field.is_number for field in self.fields or []):
            raise ValueError(
                said("packed and zoned fields need record_length: their bytes are no text")
            )
        if not self.header and not self.columns:
            raise ValueError(said("a file without header needs columns: [name, ...]"))
        known = contracts()
        for entity, mapping in self.entities.items():
            if entity not in known:
                raise ValueError(
                    said(
                        '"{entity}" is no entity; they are {known}',
                        entity=entity,
                        known=", ".join(known),
                    )
                )
            has_key = bool(known[entity].key) and all(
                name in mapping.columns for name in known[entity].key
            )
            if mapping.mode in ("upsert", "snapshot") and not has_key:
                needed = ", ".join(known[entity].key) or "a key, which it has not"
                raise ValueError(
                    said(
                        "{entity} with mode {mode} needs {needed}",
                        entity=entity,
                        mode=mapping.mode,
                        needed=needed,
                    )
                )
            if mapping.mode == "snapshot" and (self.incremental or mapping.explode):
                raise ValueError(
                    said(
                        "{entity} as a snapshot is neither incremental nor exploded", entity=entity
                    )
                )
            names = known[entity].column_names
            for name in (*mapping.columns, *([mapping.version] if mapping.version else [])):
                if name not in names:
                    raise ValueError(
                        said(
                            '"{name}" is no column of {entity}; its columns are {known}',
                            name=name,
                            entity=entity,
                            known=", ".join(names),
                        )
                    )
            if mapping.known_at and entity != "leads":
                raise ValueError(said("known_at is of leads; {entity} has none", entity=entity))
            for name in mapping.known_at:
                if name not in mapping.columns:
                    raise ValueError(
                        said('known_at names "{name}", which is not mapped', name=name)
                    )
            for name in known[entity].required:
                if name not in mapping.columns:
                    raise ValueError(
                        said("{entity} needs {name}, which is not mapped", entity=entity, name=name)
                    )
        return self

    @property
    def is_of_files(self) -> bool:
        """Whether its deliveries are files, not answers of another system."""
        return self.format not in ("database", "rest")


class Source(Declared):
    """One system that the company takes data from.

    ``trust`` orders sources when their values differ, the smallest first. ``folder`` may be
    absolute, relative to the workspace, or hold ``${NAME}``; the inbox when absent. ``schedule``
    takes the source in by itself, between the refreshes that publish; ``stale_days`` is how long
    it may bring nothing before that is a problem.
    """

    source: Name
    title: str = ""
    trust: int = Field(default=5, ge=1, le=9)
    time_zone: str | None = None
    currency_code: CurrencyCode | None = None
    country_code: str | None = None
    reject_limit: float | None = Field(default=None, ge=0, le=1)
    folder: str | None = None
    schedule: Timing = Timing()
    stale_days: float | None = Field(default=None, gt=0)
    feeds: list[Feed] = Field(min_length=1)

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return value if value is None else checked_time_zone(value)

    @model_validator(mode="after")
    def _distinct_feeds(self) -> Source:
        names = [feed.feed for feed in self.feeds]
        if len(set(names)) < len(names):
            raise ValueError(said("two feeds of the source have the same name"))
        return self


def read_source(path: Path) -> Source:
    """One source; SettingsError naming file, line, key and remedy when it does not read."""
    source = read_yaml(path, Source)
    check_file_name(path, "source", source.source)
    return source


def read_sources(folder: Path) -> list[Source]:
    """The sources of a workspace, by name."""
    return [read_source(path) for path in sorted(folder.glob("*.yml"))]
