"""Audiences: the members of a segment who may be contacted, and the files made of them.

Someone may be contacted on a channel when their primary contact point is valid and its latest
statement for the purpose grants it. Absence of consent means no; internal records are never
contacted. The flags `is_contactable_*` of the profiles say the same for the workspace's purpose.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, get_args

import polars as pl
from sqlglot import exp

from cohorte.errors import SettingsError
from cohorte.i18n import Language, language_of
from cohorte.said import said
from cohorte.segments.compile import DIALECT, POINT_CHANNEL, column, profile_select
from cohorte.segments.library import Segment
from cohorte.segments.population import Population
from cohorte.segments.rules import Node
from cohorte.store import Export, Store
from cohorte.workspace import Workspace

Channel = Literal["email", "sms", "phone", "post"]
CHANNELS: tuple[Channel, ...] = get_args(Channel)

Verdict = Literal[
    "contactable", "internal", "no_address", "invalid_address", "refused", "no_consent"
]
VERDICTS: tuple[Verdict, ...] = get_args(Verdict)

FileFormat = Literal["csv", "xlsx", "parquet"]
FILE_FORMATS: tuple[FileFormat, ...] = get_args(FileFormat)
SHEET_ROWS = 1_048_576
PEOPLE_DIR = ".people"
PEOPLE_DAYS = 400
"""How long it is kept who was in an exported file: longer than exports are compared."""

_FORMULA = r"^[=+\-@\t\r\n＝＋－＠]"

# One row per member: their primary contact point on the channel and whether it may be used.
_REACH = """
    select
        profiles.customer_id,
        any_value(points.contact_point) as contact_point,
        case
            when bool_or(coalesce(profiles.is_internal, false)) then 'internal'
            when count(points.contact_point) = 0 then 'no_address'
            when not bool_or(points.is_valid) then 'invalid_address'
            when bool_or(consents.is_granted is false) then 'refused'
            when bool_or(consents.is_granted) then 'contactable'
            else 'no_consent'
        end as verdict
    from {relation} as profiles
    left join {prefix}contact_points as points
        on points.customer_id = profiles.customer_id
        and points.channel = $point_channel
        and points.is_primary
    left join {prefix}consents as consents
        on consents.customer_id = points.customer_id
        and consents.contact_point = points.contact_point
        and consents.channel = $channel
        and consents.purpose = $purpose
    where {met}
    group by profiles.customer_id
"""


@dataclass(frozen=True)
class Audience:
    """The members of a segment by whether they may be contacted on a channel for a purpose.

    `people` has one row per contactable member: customer_id, contact_point, and the columns asked
    for. `removed` counts the other members by the reason.
    """

    channel: Channel
    purpose: str
    members_count: int
    removed: dict[Verdict, int]
    people: pl.DataFrame

    @property
    def contactable_count(self) -> int:
        return self.people.height


def audience(
    population: Population,
    rule: Node,
    channel: Channel,
    purpose: str,
    columns: Sequence[str] = (),
) -> Audience:
    """The members who may be contacted, by customer_id.

    SettingsError for an unknown channel, and for a column that the catalogue does not have.
    """
    if channel not in CHANNELS:
        raise SettingsError(
            said('there is no channel "{channel}"', channel=channel),
            remedy=said("choose of {names}", names=", ".join(CHANNELS)),
        )
    compiler = population.compiler()
    met = compiler.condition(population.plain(rule))
    names = ["customer_id", *(name for name in columns if name != "customer_id")]
    chosen = [column(population.catalogue[name].name) for name in names]
    reach_columns = [exp.column(name, table="reach") for name in ("contact_point", "verdict")]
    select = profile_select([*chosen, *reach_columns], population.relation)
    select = select.join(
        "reach", on=exp.column("customer_id", table="reach").eq(column("customer_id"))
    ).order_by(column("customer_id"))
    sql = f"with reach as ({_reach_sql(population.relation, met)}) {select.sql(DIALECT)}"
    parameters = {
        **compiler.binder.parameters,
        "channel": channel,
        "point_channel": POINT_CHANNEL[channel],
        "purpose": purpose,
    }
    with population.limited():
        found: pl.DataFrame = population.con.sql(sql, params=parameters).pl()
    contactable = found.filter(pl.col("verdict") == "contactable").drop("verdict")
    removed: dict[Verdict, int] = {
        verdict: found.filter(pl.col("verdict") == verdict).height
        for verdict in VERDICTS
        if verdict != "contactable"
    }
    return Audience(channel, purpose, found.height, removed, contactable)


def _reach_sql(relation: str, met: exp.Expr) -> str:
    prefix, dot, _ = relation.rpartition(".")
    table = exp.to_table(relation, dialect=DIALECT).sql(DIALECT)
    return _REACH.format(relation=table, prefix=f"{prefix}{dot}", met=met.sql(DIALECT))


def export_audience(
    workspace: Workspace,
    store: Store,
    population: Population,
    segment: Segment,
    channel: Channel,
    purpose: str,
    *,
    who: str,
    at: datetime,
    columns: Sequence[str] = (),
    file_format: FileFormat = "csv",
    version: str | None = None,
    language: str | None = None,
) -> tuple[Path, Export]:
    """Write the segment's audience to a new file of the workspace's exports, and log it.

    One row per contactable member: customer_id, contact_point, then `columns`. CSV is UTF-8 with
    BOM; in French, semicolons and decimal commas, as spreadsheets there expect. No cell of CSV or
    XLSX can be read as a formula. No file is left that the log does not hold. SettingsError as for
    `audience`, and for more people than a sheet has rows.
    """
    reached = audience(population, segment.rule, channel, purpose, columns)
    table = reached.people.select("customer_id", "contact_point", *_beside(columns))
    chosen = language_of(language or workspace.settings.language)
    workspace.exports_dir.mkdir(parents=True, exist_ok=True)
    path = _new_path(workspace.exports_dir, segment, channel, at, file_format)
    draft = path.with_suffix(".part")
    try:
        match file_format:
            case "csv":
                write_csv(table, draft, chosen)
            case "xlsx":
                write_xlsx(table, draft)
            case "parquet":
                table.write_parquet(draft)
        _remember_people(path, table)
        export = store.log_export(
            who=who,
            segment_id=segment.segment_id,
            segment_name=segment.name(chosen),
            rows_count=table.height,
            purpose=purpose,
            channel=channel,
            columns=table.columns,
            file_name=path.name,
            version=version,
            at=at,
        )
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)
    return path, export


def _beside(columns: Sequence[str]) -> list[str]:
    return [name for name in dict.fromkeys(columns) if name != "customer_id"]


def _people_path(path: Path) -> Path:
    """Who was in an exported file: ids alone, kept beside the exports."""
    return path.parent / PEOPLE_DIR / f"{path.name}.parquet"


def _remember_people(path: Path, table: pl.DataFrame) -> None:
    kept = _people_path(path)
    kept.parent.mkdir(exist_ok=True)
    table.select("customer_id").write_parquet(kept)


@dataclass(frozen=True)
class Preflight:
    """What to know before a file leaves.

    `last` is the segment's export before on this channel, if any; `entered` and `gone` compare with
    who was in it, None when that is no longer known. `lately` are other segments' exports of the
    last days that hold some of the same people, with how many.
    """

    reached: Audience
    last: Export | None
    entered: int | None
    gone: int | None
    lately: list[tuple[Export, int]]


def preflight(
    workspace: Workspace,
    store: Store,
    reached: Audience,
    segment: Segment,
    at: datetime,
    days: int = 30,
) -> Preflight:
    """Who would be in a file of an audience, beside the files that left before."""
    people = set(reached.people["customer_id"])
    exports = store.list_exports(limit=1000)
    last = next(
        (
            each
            for each in exports
            if each.segment_id == segment.segment_id and each.channel == reached.channel
        ),
        None,
    )
    before = None if last is None else _people_of(workspace, last)
    lately = []
    for export in exports:
        if export.segment_id == segment.segment_id or at - export.exported_at > timedelta(days):
            continue
        shared = len(people & (_people_of(workspace, export) or set()))
        if shared:
            lately.append((export, shared))
    return Preflight(
        reached,
        last,
        None if before is None else len(people - before),
        None if before is None else len(before - people),
        lately,
    )


def _people_of(workspace: Workspace, export: Export) -> set[str] | None:
    path = _people_path(workspace.exports_dir / Path(export.file_name).name)
    return set(pl.read_parquet(path)["customer_id"]) if path.is_file() else None


def write_xlsx(table: pl.DataFrame, path: Path) -> None:
    """Write a sheet whose texts are texts: no formula, no link, and phones keep their digits."""
    from xlsxwriter import Workbook

    if table.height >= SHEET_ROWS:
        raise SettingsError(
            said("{count:,} people do not fit on a sheet", count=table.height),
            remedy=said("export as csv or parquet"),
        )
    plain = {"strings_to_formulas": False, "strings_to_urls": False, "strings_to_numbers": False}
    with Workbook(str(path), plain) as book:
        table.write_excel(book, worksheet="people", autofit=table.height <= 10_000)


def write_csv(table: pl.DataFrame, path: Path, language: Language) -> None:
    """Write a table that any spreadsheet opens and none executes."""
    formula_safe(table).write_csv(
        path,
        include_bom=True,
        separator=";" if language == "fr" else ",",
        decimal_comma=language == "fr",
        datetime_format="%Y-%m-%d %H:%M:%S",
    )


def formula_safe(table: pl.DataFrame) -> pl.DataFrame:
    """The table with an apostrophe before any text that a spreadsheet would take for a formula.

    Phone numbers start with +, so they come out as text and keep all their digits.
    """
    return table.with_columns(
        pl.when(pl.col(name).cast(pl.String).str.contains(_FORMULA))
        .then(pl.lit("'") + pl.col(name).cast(pl.String))
        .otherwise(pl.col(name).cast(pl.String))
        .alias(name)
        for name, kind in table.schema.items()
        if not (kind.is_numeric() or kind.is_temporal() or kind == pl.Boolean)
    )


def _new_path(
    folder: Path, segment: Segment, channel: Channel, at: datetime, file_format: FileFormat
) -> Path:
    ascii_id = unicodedata.normalize("NFKD", segment.segment_id).encode("ascii", "ignore").decode()
    stem = re.sub(r"[^A-Za-z0-9]+", "-", ascii_id).strip("-") or "segment"
    stem = f"{stem}_{channel}_{at.astimezone(UTC):%Y%m%dT%H%M%SZ}"
    path, number = folder / f"{stem}.{file_format}", 1
    while path.exists():
        number += 1
        path = folder / f"{stem}-{number}.{file_format}"
    return path
