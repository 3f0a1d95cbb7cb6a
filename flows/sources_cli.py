"""``cohorte sources``: list, add, check, rejects; main mounts it."""

from __future__ import annotations

import csv
import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cohorte.clock import now
from cohorte.contracts import contracts
from cohorte.errors import NotFoundError, SourceError
from cohorte.sources import Source
from cohorte.warehouse import connect_reader, writer_lock
from cohorte.workspace import Workspace, open_workspace

if TYPE_CHECKING:
    from pipelines.assistant import Look, Suggestion
    from pipelines.ingest import IngestReport, Rehearsal

app = typer.Typer(no_args_is_help=True, help="Where the data comes from, and how it reads.")
out = Console()
err = Console(stderr=True)

PREVIEW_ROWS = 5
PREVIEW_COLUMNS = 8
REJECTS_SHOWN = 10
NAMES_SHOWN = 5

WorkspaceOption = Annotated[
    Path | None, typer.Option("--workspace", "-w", help="The workspace's folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


@app.command("list")
def list_sources(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """The sources, what each has brought, and what still stands by an earlier mapping."""
    rows = summaries(open_workspace(workspace))
    if as_json:
        typer.echo(json.dumps(rows, default=str, indent=2))
        return
    table = Table(*(name.replace("_", " ") for name in rows[0]) if rows else [], box=None)
    for row in rows:
        table.add_row(*(escape("" if value is None else str(value)) for value in row.values()))
    out.print(table)


def summaries(workspace: Workspace) -> list[dict[str, Any]]:
    """One row a feed: its files, records, rejects, quarantined files, and the last delivery."""
    from pipelines.ingest import mapping_hash

    loaded: dict[tuple[str, str], tuple[Any, ...]] = {}
    old: dict[tuple[str, str, str], int] = {}
    if workspace.raw_path.is_file():
        with closing(connect_reader(workspace.raw_path)) as raw:
            for source, feed, *figures in raw.execute(
                "select source, feed, count(*), sum(records), sum(accepted), sum(rejected),"
                " count(*) filter (status = 'quarantined'), max(loaded_at)"
                " from files group by 1, 2"
            ).fetchall():
                loaded[source, feed] = tuple(figures)
            for source, feed, mapping, count in raw.execute(
                "select source, feed, coalesce(dialect ->> '$.mapping', ''), count(*) from files"
                " where status = 'loaded' group by all"
            ).fetchall():
                old[source, feed, mapping] = count
    rows = []
    for source in workspace.sources():
        for feed in source.feeds:
            figures = list(loaded.get((source.source, feed.feed), (0, 0, 0, 0, 0, None)))
            current = mapping_hash(feed, source, workspace.settings)
            earlier = sum(
                count
                for (name, of_feed, mapping), count in old.items()
                if (name, of_feed) == (source.source, feed.feed) and mapping != current
            )
            rows.append(
                {
                    "source": source.source,
                    "feed": feed.feed,
                    "format": feed.format,
                    "files": figures[0],
                    "records": figures[1],
                    "accepted": figures[2],
                    "rejected": figures[3],
                    "quarantined": figures[4],
                    "earlier_mapping": earlier,
                    "last_delivery": figures[5],
                }
            )
    return rows


@app.command()
def add(
    files: Annotated[list[Path], typer.Argument(help="Files of one source.")],
    workspace: WorkspaceOption = None,
    name: Annotated[str | None, typer.Option(help="The source's name.")] = None,
    title: Annotated[str, typer.Option(help="What people call it.")] = "",
    entity: Annotated[str | None, typer.Option(help="What its rows are, if you know.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take every suggestion.")] = False,
) -> None:
    """Look at files, suggest how they map, write the source's YAML, and try it."""
    from pipelines.assistant import (
        draft_source,
        feed_name_of,
        look_at,
        parsed_source,
        source_yaml,
        write_source,
    )
    from pipelines.ingest import rehearse

    opened = open_workspace(workspace)
    _known_entity(entity)
    chosen: list[tuple[Look, list[Suggestion]]] = []
    for path in files:
        for look in look_at(path, opened, entity):
            _show_look(look)
            suggestions = look.suggestions if yes else _asked(look, opened)
            if suggestions:
                chosen.append((look, suggestions))
            elif yes and look.sample.sheet is None:
                raise SourceError(
                    "no entity has all the columns it requires among these",
                    where=path.name,
                    remedy="run without --yes to map them yourself, or pass --entity",
                )
    if not chosen:
        raise SourceError("nothing is mapped", remedy="name an entity for one of the files")
    source_name = name or feed_name_of(files[0].name)
    text = source_yaml(draft_source(opened, chosen, source_name, title))
    source = parsed_source(text, source_name)
    out.print(f"\n[bold]sources/{source_name}.yml[/]")
    out.print(text, markup=False, highlight=False)
    tried = rehearse(opened, source, now=now())
    _show_rehearsal(tried)
    refused = [file for file in tried.report.files if file.status == "quarantined"]
    if refused and yes:
        raise SourceError(
            f"the suggestions do not suffice: {refused[0].messages[-1]}",
            where=source_name,
            remedy="nothing is written; run without --yes, or write the source by hand",
        )
    if not yes and not typer.confirm("Write it?", default=True):
        raise typer.Exit(1)
    path = write_source(opened, source_name, text)
    out.print(f"Written: {path}. Next: cohorte run -w {opened.root}", markup=False)


@app.command()
def check(
    source: Annotated[str, typer.Argument(help="A source of the workspace.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Read a source as a run would, show rows, rejects and columns left out; write nothing."""
    from pipelines.ingest import rehearse

    opened = open_workspace(workspace)
    found = _source(opened, source)
    tried = rehearse(opened, found, now=now())
    _show_rehearsal(tried)
    _show_unmapped(opened, found)
    if any(file.status == "quarantined" for file in tried.report.files):
        raise typer.Exit(5)


@app.command("map")
def map_left_out(
    source: Annotated[str, typer.Argument(help="A source of the workspace.")],
    workspace: WorkspaceOption = None,
    yes: Annotated[bool, typer.Option("--yes", help="Take every suggestion.")] = False,
) -> None:
    """Map columns that a source leaves out, such as those that came since it was written."""
    from pipelines.assistant import map_columns, propose_columns, write_source

    opened = open_workspace(workspace)
    found = _source(opened, source)
    added = []
    for one in propose_columns(opened, found):
        target = one.target
        if not yes:
            shown = ", ".join(one.profile.samples[:3])
            asked = f"{one.feed}: what is {one.column} ({shown})? (- to leave it out)"
            target = typer.prompt(asked, default=target or "-")
        if target and target != "-":
            added.append(one.addition(_known_target(target)))
    if not added:
        out.print("Nothing to map.")
        return
    text = map_columns(opened, found, added)
    for addition in added:
        out.print(f"{addition.entity}.{addition.target}: {addition.mapped}", markup=False)
    if yes or typer.confirm("Write it?", default=True):
        path = write_source(opened, source, text, replace=True)
        out.print(f"Written: {path}. The next run reads the files again.", markup=False)


@app.command()
def addresses(
    workspace: WorkspaceOption = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many addresses.")] = 10_000,
    yes: Annotated[bool, typer.Option("--yes", help="Send without asking.")] = False,
) -> None:
    """Ask the declared address service about postal addresses that it was not asked about."""
    from pipelines.addresses import check_addresses, pending

    opened = open_workspace(workspace)
    service = opened.settings.address_service
    if service is not None and not yes:
        with writer_lock(opened, "addresses", now()):
            waiting = len(pending(opened, service.countries, limit))
        asked = f"Send {waiting:,} addresses, without names, to {urlsplit(service.url).hostname}?"
        if not typer.confirm(asked, default=False):
            raise typer.Exit(1)
    counts = check_addresses(opened, now=now, limit=limit)
    found = ", ".join(f"{count:,} {verdict}" for verdict, count in sorted(counts.items()))
    out.print(f"{found or 'No address was asked about'}. The next run shows it.", highlight=False)


@app.command()
def rejects(
    source: Annotated[str | None, typer.Argument(help="A source; all when absent.")] = None,
    workspace: WorkspaceOption = None,
    reason: Annotated[str | None, typer.Option(help="One reason alone.")] = None,
    limit: Annotated[int, typer.Option(min=1)] = 100,
    export: Annotated[
        Path | None, typer.Option(help="Write all of them to this CSV instead.")
    ] = None,
    replay: Annotated[
        bool, typer.Option("--replay", help="Read again what a mended mapping changes.")
    ] = False,
) -> None:
    """The rejected rows: list, export, or read again after the mapping was mended."""
    opened = open_workspace(workspace)
    if source is not None:
        _source(opened, source)
    if replay:
        _show_report(replayed(opened, source))
        for line in left_standing(opened, source):
            out.print(line, markup=False, highlight=False)
        return
    names, rows = rejected_rows(opened, source, reason, None if export else limit)
    if export is None:
        table = Table(*names, box=None)
        for row in rows:
            table.add_row(*(escape("" if value is None else str(value)[:120]) for value in row))
        out.print(table)
        return
    with export.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(names)
        writer.writerows([_safe_cell(value) for value in row] for row in rows)
    err.print(f"{len(rows):,} rejected rows are in {export}", markup=False)


def rejected_rows(
    workspace: Workspace, source: str | None, reason: str | None = None, limit: int | None = 100
) -> tuple[list[str], list[tuple[Any, ...]]]:
    """Rejected rows with their file, the newest delivery first."""
    with closing(connect_reader(workspace.raw_path)) as raw:
        found = raw.execute(
            "select r.source, r.feed, f.name as file, r.line, r.entity, r.column_name, r.reason,"
            " r.value, r.row_text from rejected_rows r left join files f using (file_id)"
            " where ($source is null or r.source = $source)"
            " and ($reason is null or r.reason = $reason)"
            " order by r.file_id desc, r.line limit $limit",
            {"source": source, "reason": reason, "limit": limit or sys.maxsize},
        )
        return [column[0] for column in found.description or []], found.fetchall()


def replayed(workspace: Workspace, source: str | None) -> IngestReport:
    """Read again what was loaded or refused under a mapping that has changed since."""
    from pipelines.ingest import ingest

    moment = now()
    with writer_lock(workspace, "replay", moment):
        return ingest(workspace, now=moment, only_sources=None if source is None else [source])


def left_standing(workspace: Workspace, source: str | None) -> list[str]:
    """What a replay could not read whole, a line a feed.

    Of a file that is no longer there only rejected rows can be read again; one that was put aside
    whole left no row, and has to be delivered again.
    """
    from pipelines.ingest import mapping_hash

    told = []
    with closing(connect_reader(workspace.raw_path)) as raw:
        for declared in workspace.sources():
            for feed in declared.feeds:
                current = mapping_hash(feed, declared, workspace.settings)
                stale = raw.execute(
                    "select name, status from files where source = ? and feed = ?"
                    " and status in ('loaded', 'quarantined') and content_hash is not null"
                    " and coalesce(dialect ->> '$.mapping', '') <> ? order by file_id desc",
                    [declared.source, feed.feed, current],
                ).fetchall()
                if not stale or source not in (None, declared.source):
                    continue
                names = ", ".join(name for name, _ in stale[:NAMES_SHOWN])
                more = f" and {len(stale) - NAMES_SHOWN:,} more" if len(stale) > NAMES_SHOWN else ""
                aside = sum(status == "quarantined" for _, status in stale)
                told.append(
                    f"{declared.source} {feed.feed}: {len(stale):,} files stand by an earlier"
                    f" mapping, {aside:,} of them put aside whole, as they are no longer there or"
                    f" do not fit the new one: {names}{more}; deliver them again to read them whole"
                )
    return told


def _safe_cell(value: Any) -> Any:
    """A cell that a spreadsheet does not take for a formula."""
    text = str(value) if isinstance(value, str) else value
    return (
        f"'{text}"
        if isinstance(text, str) and text.startswith(("=", "+", "-", "@", "\t"))
        else text
    )


def _source(workspace: Workspace, name: str) -> Source:
    for source in workspace.sources():
        if source.source == name:
            return source
    names = ", ".join(source.source for source in workspace.sources()) or "none"
    raise NotFoundError(f'there is no source "{name}"', remedy=f"the sources are {names}")


def _known_entity(entity: str | None) -> None:
    if entity is not None and entity not in contracts():
        raise NotFoundError(
            f'there is no entity "{entity}"', remedy=f"they are {', '.join(contracts())}"
        )


def _known_target(target: str) -> str:
    entity, _, name = target.partition(".")
    _known_entity(entity)
    if name not in contracts()[entity].column_names:
        raise NotFoundError(
            f'{entity} has no column "{name}"',
            remedy=f"they are {', '.join(contracts()[entity].column_names)}",
        )
    return target


def _show_look(look: Look) -> None:
    """What was found out about a file, and the profile of its columns."""
    sample = look.sample
    title = sample.path.name + (f" · {sample.sheet}" if sample.sheet else "")
    found = ", ".join(
        f"{guess.name} {guess.value!r} ({guess.sure:.0%})" for guess in sample.guesses
    )
    out.print(f"\n[bold]{escape(title)}[/] {escape(sample.format)}: {escape(found)}")
    table = Table(
        "column", "type", "filled", "distinct", "looks like", "samples", "maps to", box=None
    )
    targets: dict[str, list[str]] = {}
    for suggestion in look.suggestions:
        for match in suggestion.matches.values():
            doubt = "?" if match.is_doubtful else ""
            for column in (
                (match.mapped or {}).get("columns", [match.column])
                if isinstance(match.mapped, dict)
                else [match.column]
            ):
                if column:
                    targets.setdefault(column, []).append(
                        f"{suggestion.entity}.{match.target}{doubt}"
                    )
    for profile in look.profiles.values():
        kind = f"{profile.kind} {' '.join(profile.formats)}".strip()
        table.add_row(
            escape(profile.name),
            escape(kind + (" or month first?" if profile.is_ambiguous else "")),
            f"{profile.filled:.0%}",
            f"{profile.distinct:,}",
            profile.pattern or "",
            escape(", ".join(profile.samples[:3])[:50]),
            escape(", ".join(targets.get(profile.name, []))),
        )
    out.print(table)


def _asked(look: Look, workspace: Workspace) -> list[Suggestion]:
    """The suggestion as a person corrects it: the entity, and each column that is in doubt."""
    from pipelines.assistant import chosen_match, suggest_together

    first = look.suggestions[0].entity if look.suggestions else ""
    entity = typer.prompt("What are its rows? (- to leave it out)", default=first or "-")
    if entity == "-":
        return []
    _known_entity(entity)
    suggestions = look.suggestions
    if entity != first:
        suggestions = suggest_together(look.sample, look.profiles, look.known, entity)
    if not suggestions:
        from pipelines.assistant import Suggestion

        suggestions = [Suggestion(entity, {}, list(contracts()[entity].required))]
    main = suggestions[0]
    wanted = [
        *main.missing,
        *(name for name, match in main.matches.items() if match.is_doubtful),
    ]
    for target in wanted:
        match = main.matches.get(target)
        usual = match.column if match and match.column else "-"
        answer = typer.prompt(f"Which column is {entity}.{target}? (- for none)", default=usual)
        if answer == "-":
            main.matches.pop(target, None)
        elif answer != usual:
            if answer not in look.profiles:
                raise NotFoundError(f'there is no column "{answer}"', where=look.sample.path.name)
            profile = look.profiles[answer]
            main.matches[target] = chosen_match(entity, target, answer, profile)
    return suggestions


def _show_rehearsal(tried: Rehearsal) -> None:
    """The first rows as they will be read, accepted and rejected with reasons."""
    for preview in tried.previews:
        shown = preview.columns[:PREVIEW_COLUMNS]
        table = Table(*shown, title=f"{preview.entity}: {preview.count:,} rows", box=None)
        for row in preview.rows[:PREVIEW_ROWS]:
            table.add_row(*(escape("" if v is None else str(v)[:30]) for v in row[: len(shown)]))
        out.print(table)
    if tried.rejected:
        table = Table("file", "line", "column", "reason", "value", title="rejected", box=None)
        for refused in tried.rejected[:REJECTS_SHOWN]:
            place = ".".join(filter(None, [refused.entity, refused.column]))
            table.add_row(
                *(
                    escape(str(v or ""))
                    for v in (refused.file, refused.line, place, refused.reason, refused.value)
                )
            )
        out.print(table)
    _show_report(tried.report)


def _show_report(report: IngestReport) -> None:
    replays = sum(file.is_replay for file in report.files)
    out.print(
        f"{len(report.files):,} deliveries: {report.records:,} records, {report.accepted:,}"
        f" accepted, {report.rejected:,} rejected, {report.count('quarantined'):,} files put aside"
        + (f", {replays:,} read again" if replays else ""),
        highlight=False,
    )
    for message in report.messages[:REJECTS_SHOWN]:
        out.print(message, markup=False, highlight=False)


def _show_unmapped(workspace: Workspace, source: Source) -> None:
    """Columns of the last delivery that nothing maps, and what they may be."""
    from pipelines.assistant import propose_columns

    for one in propose_columns(workspace, source):
        maybe = f": may be {one.target}" if one.target else ""
        out.print(f"{one.feed}: {one.column} is not mapped{maybe}", markup=False, highlight=False)
