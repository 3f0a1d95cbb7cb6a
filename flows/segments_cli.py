"""``cohorte segments``: who is in which segment, why, and how segments move; main mounts it."""

from __future__ import annotations

import getpass
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cohorte.clock import now
from cohorte.errors import NotFoundError, SettingsError
from cohorte.segments import (
    Channel,
    FileFormat,
    Node,
    Population,
    Reason,
    Segment,
    all_segments,
    audience,
    change_in_words,
    count,
    describe,
    export_audience,
    find_segment,
    impact,
    members,
    members_on,
    open_population,
    overlap,
    population_on,
    preflight,
    rule_json,
    size_history,
    smallest_change,
    tally,
    why,
)
from cohorte.segments.library import (
    SegmentFile,
    definition_changes,
    file_name,
    segment_yaml,
    stored_segment,
    with_library,
)
from cohorte.store import Store, open_store
from cohorte.warehouse import VersionInfo, open_served
from cohorte.workspace import Workspace, open_workspace
from cohorte.yamlfile import read_yaml

app = typer.Typer(no_args_is_help=True, help="Segments: who is in, why, and how they move.")
out = Console()

WorkspaceOption = Annotated[
    Path | None, typer.Option("--workspace", "-w", help="The workspace's folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help="A segment's id or name.")]
WhichArgument = Annotated[
    str, typer.Argument(metavar="FILE-or-NAME", help="A YAML file, or a segment's id or name.")
]
AsOfOption = Annotated[
    datetime | None, typer.Option(formats=["%Y-%m-%d"], help="As it was on that day.")
]
KnownByOption = Annotated[
    datetime | None,
    typer.Option(
        formats=["%Y-%m-%d"], help="Without the facts that were delivered later than that day."
    ),
]


@dataclass
class _Desk:
    """What a command works with."""

    workspace: Workspace
    store: Store
    info: VersionInfo
    population: Population
    segments: list[Segment]

    def segment(self, wanted: str) -> Segment:
        """A segment by file, id, name, or name@version for an earlier definition."""
        path = Path(wanted)
        if path.suffix in (".yml", ".yaml"):
            return _of_file(path)
        name, at, version = wanted.rpartition("@")
        if not at or not version.isdigit():
            return find_segment(self.workspace, self.store, wanted)
        segment = find_segment(self.workspace, self.store, name)
        for definition in self.store.segment_definitions(segment.segment_id):
            if definition.rule_version == int(version):
                row = self.store.segment(segment.segment_id)
                row.rule, row.rule_version = definition.rule, definition.rule_version
                return stored_segment(row)
        raise NotFoundError(
            f'"{name}" has no version {version}', remedy=f'see cohorte segments show "{name}"'
        )

    def people(self, as_of: datetime | None, known_by: datetime | None) -> Population:
        """The customers of the version served, or as they stood on a day of the past."""
        if as_of is None and known_by is None:
            return self.population
        day = as_of.date() if as_of else self.population.as_of
        return population_on(self.population, day, known_by.date() if known_by else None)

    def describe(self, rule: Node) -> str:
        language = self.workspace.settings.language
        return describe(rule, language, self.population.catalogue, self.population.as_of)


@contextmanager
def _desk(folder: Path | None) -> Iterator[_Desk]:
    workspace = open_workspace(folder)
    info, connection = open_served(workspace)
    with connection, open_store(workspace.store_url) as store:
        segments = all_segments(workspace, store)
        population = with_library(open_population(connection), segments)
        yield _Desk(workspace, store, info, population, segments)


def _of_file(path: Path) -> Segment:
    stated = read_yaml(path, SegmentFile)
    return Segment(
        segment_id=stated.segment,
        names={str(code): text for code, text in stated.name.items()},
        rule=stated.rule,
        origin="file",
        descriptions={str(code): text for code, text in stated.description.items()},
        owner=stated.owner,
        tags=tuple(stated.tags),
    )


def _print_json(content: Any) -> None:
    typer.echo(json.dumps(content, indent=2, default=str, ensure_ascii=False))


@app.command("list")
def list_(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Every segment with its size in the version served."""
    with _desk(workspace) as desk:
        language = desk.workspace.settings.language
        rows = [
            {
                "segment": segment.segment_id,
                "name": segment.name(language),
                "customers": count(desk.population, segment.rule),
                "made_in": segment.origin,
                "owner": segment.owner or "",
                "tags": ", ".join(segment.tags),
            }
            for segment in desk.segments
        ]
    if as_json:
        _print_json(rows)
        return
    table = Table("segment", "name", "customers", "made in", "owner", "tags", box=None)
    for row in rows:
        table.add_row(*(escape(str(value)) for value in row.values()))
    out.print(table)


@app.command()
def show(
    name: WhichArgument, workspace: WorkspaceOption = None, as_json: JsonOption = False
) -> None:
    """A segment's sentence, size, history, definitions and YAML."""
    with _desk(workspace) as desk:
        segment = desk.segment(name)
        told = tally(desk.population, segment.rule)
        points = size_history(desk.population.con).get(segment.segment_id, [])
        definitions = (
            desk.store.segment_definitions(segment.segment_id) if segment.origin == "store" else []
        )
        if as_json:
            _print_json(
                {
                    "segment": segment.segment_id,
                    "names": dict(segment.names),
                    "sentence": desk.describe(segment.rule),
                    "customers": told.members,
                    "unknown": told.unknown,
                    "rule": rule_json(segment.rule),
                    "history": [vars(point) for point in points],
                    "definitions": [
                        {"version": d.rule_version, "author": d.author, "saved_at": d.saved_at}
                        for d in definitions
                    ],
                }
            )
            return
        typer.echo(desk.describe(segment.rule))
        typer.echo(f"{told.members:,} customers in {desk.info.version}")
        if told.unknown:
            typer.echo(
                f"for {told.unknown:,} a value is not known: {told.counted_in:,} of them are in"
            )
        for point in points[-10:]:
            typer.echo(
                f"{point.as_of} {point.version}: {point.customers_count:,}"
                f" (+{point.entered:,}, -{point.left:,})"
            )
        for definition in definitions:
            typer.echo(
                f"definition {definition.rule_version} by {definition.author},"
                f" {definition.saved_at:%Y-%m-%d %H:%M} UTC"
            )
        typer.echo("")
        typer.echo(segment_yaml(segment), nl=False)


@app.command("count")
def count_(
    which: WhichArgument,
    as_of: AsOfOption = None,
    known_by: KnownByOption = None,
    frozen: Annotated[
        bool, typer.Option(help="With --as-of: as the run of that time found it.")
    ] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """How many customers are in."""
    if frozen and (as_of is None or known_by is not None):
        raise SettingsError(
            "--frozen is what the run of a day found", remedy="give it with --as-of alone"
        )
    with _desk(workspace) as desk:
        segment = desk.segment(which)
        if frozen and as_of is not None:
            found = members_on(desk.population.con, segment.segment_id, as_of.date()).height
        else:
            found = count(desk.people(as_of, known_by), segment.rule)
        typer.echo(found)


@app.command("members")
def members_(
    name: WhichArgument,
    columns: Annotated[str, typer.Option(help="Fields, separated by commas.")] = "customer_id",
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 50,
    as_of: AsOfOption = None,
    known_by: KnownByOption = None,
    as_json: JsonOption = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Who is in, by customer id."""
    with _desk(workspace) as desk:
        wanted = [each.strip() for each in columns.split(",") if each.strip()]
        people = desk.people(as_of, known_by)
        found = members(people, desk.segment(name).rule, wanted, limit)
    if as_json:
        _print_json(found.to_dicts())
        return
    table = Table(*found.columns, box=None)
    for row in found.rows():
        table.add_row(*("" if value is None else escape(str(value)) for value in row))
    out.print(table)


@app.command("why")
def why_(
    name: WhichArgument,
    customer: Annotated[str, typer.Argument(help="The customer's id.")],
    as_of: AsOfOption = None,
    known_by: KnownByOption = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Why a customer is in or not: each part's verdict, value and source rows."""
    with _desk(workspace) as desk:
        language = desk.workspace.settings.language
        people = desk.people(as_of, known_by)
        reason = why(people, desk.segment(name).rule, customer, language)
        changes = [change_in_words(each, language) for each in smallest_change(reason)]
    if as_json:
        _print_json({"is_in": reason.is_met, "reason": _as_json(reason), "to_enter": changes})
        return
    typer.echo(f"{customer} is {'in' if reason.is_met else 'not in'}")
    _tell(reason, 0)
    if changes:
        typer.echo("The smallest change that would bring them in:")
        for change in changes:
            typer.echo(f"  {change}")


def _as_json(reason: Reason) -> dict[str, Any]:
    return {
        "is_met": reason.is_met,
        "said": reason.said,
        "value": reason.value,
        "is_known": reason.is_known,
        "rows_count": reason.rows_count,
        "rows": [vars(row) for row in reason.rows],
        "parts": [_as_json(part) for part in reason.parts],
    }


def _tell(reason: Reason, depth: int) -> None:
    value = f": {reason.value}" if reason.value else ""
    typer.echo(f"{'  ' * depth}{'✓' if reason.is_met else '✗'} {reason.said}{value}")
    for row in reason.rows[-5:]:
        amount = "" if row.amount is None else f", {row.amount:.2f}"
        record = f"{row.source}:{row.record_id}"
        typer.echo(f"{'  ' * depth}    {row.day} {row.kind} {record} {row.text}{amount}")
    for part in reason.parts:
        _tell(part, depth + 1)


@app.command()
def diff(
    one: WhichArgument,
    other: WhichArgument,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Two segments or definitions (NAME@2): how the rules differ, and who is in one alone."""
    with _desk(workspace) as desk:
        before, after = desk.segment(one), desk.segment(other)
        moved = impact(desk.population, before.rule, after.rule)
        lines = definition_changes(before.rule, after.rule)
        told = {
            "before": moved.before,
            "after": moved.after,
            "enter": moved.entered,
            "leave": moved.left,
            "lines": [f"{sign} {line}" for sign, line in lines],
        }
    if as_json:
        _print_json(told)
        return
    for sign, line in lines:
        typer.echo(f"{sign} {line}")
    typer.echo(
        f"{moved.before:,} customers become {moved.after:,}:"
        f" {moved.entered:,} enter, {moved.left:,} leave"
    )


@app.command("overlap")
def overlap_(
    names: Annotated[list[str], typer.Argument(metavar="NAME...", help="Up to ten segments.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """How segments overlap: every combination that someone is in."""
    with _desk(workspace) as desk:
        found = overlap(desk.population, {name: desk.segment(name).rule for name in names})
    if as_json:
        _print_json(
            {
                "sizes": found.sizes,
                "in_none": found.in_none,
                "combinations": [
                    {"segments": each.segments, "customers": each.customers_count}
                    for each in found.intersections
                ],
            }
        )
        return
    table = Table("in exactly", "customers", box=None)
    for each in found.intersections:
        table.add_row(escape(" + ".join(each.segments)), f"{each.customers_count:,}")
    table.add_row("none of them", f"{found.in_none:,}")
    out.print(table)


@app.command()
def pull(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="All, unless named.")
    ] = None,
    to: Annotated[Path, typer.Option(help="The folder to write to.")] = Path("segments"),
    workspace: WorkspaceOption = None,
) -> None:
    """Write segments made on screen as YAML files; files that are there stay."""
    with _desk(workspace) as desk:
        chosen = (
            [desk.segment(name) for name in names]
            if names
            else [segment for segment in desk.segments if segment.origin == "store"]
        )
    to.mkdir(parents=True, exist_ok=True)
    for segment in chosen:
        path = to / f"{file_name(segment.segment_id)}.yml"
        try:
            with path.open("x", encoding="utf-8") as file:
                file.write(segment_yaml(segment))
        except FileExistsError:
            raise SettingsError(
                "the file is there already", where=str(path), remedy="move it, or choose --to"
            ) from None
        typer.echo(str(path))


@app.command()
def push(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="YAML files.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Save YAML files as segments that the screen can edit; one of the same name is changed."""
    with _desk(workspace) as desk:
        language = desk.workspace.settings.language
        mine = {s.name(language): s for s in desk.segments if s.origin == "store"}
        for file in files:
            segment = _of_file(file)
            size = count(desk.population, segment.rule)
            there = mine.get(segment.name(language))
            saved = desk.store.save_segment(
                segment.name(language),
                rule_json(segment.rule),
                author=getpass.getuser(),
                at=now(),
                segment_id=there.segment_id if there else None,
                description=segment.description(language),
                tags=segment.tags,
            )
            typer.echo(f"{saved.segment_id}: definition {saved.rule_version}, {size:,} customers")


@app.command()
def export(
    name: NameArgument,
    channel: Annotated[str, typer.Option(help="email, sms, phone or post.")] = "email",
    purpose: Annotated[
        str | None, typer.Option(help="What the people are contacted for; consent is asked for it.")
    ] = None,
    columns: Annotated[str, typer.Option(help="More fields, separated by commas.")] = "",
    file_format: Annotated[str, typer.Option("--format", help="csv, xlsx or parquet.")] = "csv",
    check: Annotated[bool, typer.Option("--check", help="Only tell; write nothing.")] = False,
    workspace: WorkspaceOption = None,
) -> None:
    """Write the members who may be contacted to a file, and log it."""
    with _desk(workspace) as desk:
        segment = desk.segment(name)
        chosen = _one_of(channel, Channel, "channel")
        asked = purpose or desk.workspace.settings.consent_purpose
        moment = now()
        reached = audience(desk.population, segment.rule, chosen, asked)
        before = preflight(desk.workspace, desk.store, reached, segment, moment)
        typer.echo(
            f"{reached.members_count:,} customers, {reached.contactable_count:,} may be contacted"
        )
        for verdict, number in reached.removed.items():
            if number:
                typer.echo(f"  left out, {verdict.replace('_', ' ')}: {number:,}")
        if before.last is not None and before.entered is not None:
            typer.echo(
                f"  since the export of {before.last.exported_at:%Y-%m-%d}:"
                f" {before.entered:,} more, {before.gone:,} fewer"
            )
        for other, number in before.lately:
            typer.echo(f'  {number:,} were in "{other.segment_name}", {other.exported_at:%Y-%m-%d}')
        if check:
            return
        path, entry = export_audience(
            desk.workspace,
            desk.store,
            desk.population,
            segment,
            chosen,
            asked,
            who=getpass.getuser(),
            at=moment,
            columns=[each.strip() for each in columns.split(",") if each.strip()],
            file_format=_one_of(file_format, FileFormat, "format"),
            version=desk.info.version,
        )
        typer.echo(f"{path} ({entry.rows_count:,} rows)")


def _one_of(value: str, choices: Any, what: str) -> Any:
    allowed = choices.__args__
    if value not in allowed:
        raise SettingsError(
            f'there is no {what} "{value}"', remedy=f"choose of {', '.join(allowed)}"
        )
    return value
