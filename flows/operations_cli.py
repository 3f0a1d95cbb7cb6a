"""The commands that keep a workspace running: main mounts them beside its own."""

from __future__ import annotations

import json
from datetime import date, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from cohorte.clock import now as clock_now
from cohorte.store import open_store
from cohorte.workspace import open_workspace

app = typer.Typer()
out = Console()
err = Console(stderr=True)

WorkspaceOption = Annotated[
    Path | None, typer.Option("-w", "--workspace", help="The workspace's folder.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]
Day = Annotated[datetime, typer.Option(formats=["%Y-%m-%d"])]


@app.command()
def backup(
    target: Annotated[Path, typer.Argument(help="The file to write, such as company.tar.gz.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Keep the workspace in one file: settings, store, raw, ids, history, versions, artifacts."""
    from flows.backup import back_up

    manifest = back_up(open_workspace(workspace), target, clock_now())
    size = target.stat().st_size / 1e6
    told = f"{len(manifest['parts'])} files in {target}, {size:.1f} MB"
    out.print(told, markup=False, highlight=False)


@app.command()
def restore(
    source: Annotated[Path, typer.Argument(help="The file that cohorte backup wrote.")],
    folder: Annotated[Path, typer.Argument(help="An empty or new folder for the workspace.")],
) -> None:
    """Make the workspace of a backup again, every part checked first."""
    from flows.backup import restore as restore_backup

    made = restore_backup(source, folder)
    out.print(f"Workspace of {made.settings.company} at {folder}", markup=False)
    out.print(f"Next: cohorte run -w {folder} --full-refresh", markup=False)


@app.command()
def diff(
    before: Annotated[str, typer.Argument(help="A version kept, such as v3.")],
    after: Annotated[str, typer.Argument(help="Another, such as v4.")],
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """What changed between two versions: rows, KPIs, segments, and from which source."""
    from flows.diff import compare

    found = compare(open_workspace(workspace), before, after)
    if as_json:
        typer.echo(json.dumps(found.as_json(), indent=2))
        return
    if not found.tables_changed and not found.changes:
        out.print(f"{before} and {after} hold the same", markup=False)
        return
    table = Table("what", "name", box=None)
    for name in (before, after, "difference"):
        table.add_column(name, justify="right")
    for change in found.changes:
        table.add_row(
            change.what,
            escape(change.name),
            _figure(change.before),
            _figure(change.after),
            f"{change.difference:+,f}",
        )
    out.print(table)
    out.print(f"Tables whose rows differ: {', '.join(found.tables_changed)}", markup=False)


def _figure(value: Any) -> str:
    return "" if value is None else f"{value:,f}"


@app.command()
def housekeeping(workspace: WorkspaceOption = None) -> None:
    """Remove what the workspace does not keep: old versions, raw beyond its retention, logs."""
    from flows.housekeeping import keep_house

    done = keep_house(open_workspace(workspace), clock_now())
    out.print("\n".join(done) or "Nothing to remove", markup=False, highlight=False)


@app.command()
def backfill(
    since: Annotated[datetime, typer.Option(formats=["%Y-%m-%d"], help="The first day.")],
    until: Annotated[
        datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="The day after the last; today when absent."),
    ] = None,
    workspace: WorkspaceOption = None,
    as_json: JsonOption = False,
) -> None:
    """Scores and segment sizes at the ends of past months. Safe to repeat."""
    from flows.backfill import backfill as fill_back

    def show(month: str, done: int, total: int) -> None:
        err.print(f"{month} ({done + 1} of {total})", markup=False, highlight=False)

    filled = fill_back(
        open_workspace(workspace),
        since=since.date(),
        until=_day(until),
        now=clock_now(),
        progress=show,
    )
    if as_json:
        rows = [vars(one) | {"as_of": one.as_of.isoformat()} for one in filled]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("as of", "leads scored", "customers scored", "segments", box=None)
    for one in filled:
        sizes = ", ".join(f"{name} {size:,}" for name, size in one.segments.items())
        table.add_row(one.as_of.isoformat(), f"{one.leads:,}", f"{one.customers:,}", escape(sizes))
    out.print(table)
    out.print("The next run publishes them.", markup=False)


def _day(moment: datetime | None) -> date | None:
    return moment.date() if moment else None


@app.command()
def runs(
    workspace: WorkspaceOption = None,
    limit: Annotated[int, typer.Option(min=1, help="How many.")] = 20,
    as_json: JsonOption = False,
) -> None:
    """The latest runs: when, what kind, how they ended, and what they said."""
    with open_store(open_workspace(workspace).store_url) as store:
        found = store.list_runs(limit)
    if as_json:
        rows = [
            {
                "run_id": run.run_id,
                "kind": run.kind,
                "status": run.status,
                "started_at": run.started_at.isoformat(),
                "ended_at": run.ended_at.isoformat() if run.ended_at else None,
                "version": run.version,
                "message": run.message,
                "stations": run.stations,
            }
            for run in found
        ]
        typer.echo(json.dumps(rows, indent=2, default=str))
        return
    table = Table("run", "kind", "began", "status", "seconds", "version", "said", box=None)
    for run in found:
        seconds = "" if run.ended_at is None else f"{(run.ended_at - run.started_at).seconds}"
        began = f"{run.started_at:%Y-%m-%d %H:%M} UTC"
        said = escape(run.message)
        table.add_row(run.run_id, run.kind, began, run.status, seconds, run.version or "", said)
    out.print(table)


@app.command()
def alerts(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Look for problems now, and list those that are open. Exit code 1 when there are any."""
    from cohorte.logs import log_to
    from flows.alerts import check

    opened = open_workspace(workspace)
    log_to(opened.logs_dir)
    check(opened, clock_now())
    with open_store(opened.store_url) as store:
        found = store.list_alerts(only_open=True)
    if as_json:
        rows = [
            {
                "problem": alert.problem,
                "detail": alert.detail,
                "began_at": alert.began_at.isoformat(),
                "run_id": alert.run_id,
            }
            for alert in found
        ]
        typer.echo(json.dumps(rows, indent=2))
    elif found:
        table = Table("problem", "since", "detail", box=None)
        for alert in found:
            since = f"{alert.began_at:%Y-%m-%d %H:%M} UTC"
            table.add_row(escape(alert.problem), since, escape(alert.detail))
        out.print(table)
    else:
        out.print("No problem is open")
    if found:
        raise typer.Exit(1)


@app.command()
def deploy(
    work_pool: Annotated[str, typer.Argument(help="The work pool whose workers run it.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Hand the workspace's schedule to a Prefect server, named by PREFECT_API_URL."""
    from cohorte.errors import SettingsError
    from flows.prefect_flow import set_up_prefect

    opened = open_workspace(workspace)
    set_up_prefect(opened)
    from prefect.settings import PREFECT_API_URL

    if not PREFECT_API_URL.value():
        raise SettingsError(
            "no Prefect server is named",
            remedy="export PREFECT_API_URL=http://server:4200/api",
        )
    from flows.schedule import deploy_schedule

    for name in deploy_schedule(opened, work_pool):
        out.print(name, markup=False, highlight=False)
