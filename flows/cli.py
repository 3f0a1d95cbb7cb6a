"""The command line, ``cohorte``.

Exit codes: 0 done; 1 an error; 2 a setting or an argument is wrong; 3 not found; 4 another run
holds the workspace; 5 a source does not read; 6 a gate did not pass.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from datetime import date, datetime
from decimal import Decimal
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from cohorte import __version__
from cohorte.clock import now as clock_now
from cohorte.errors import CohorteError, SettingsError
from cohorte.warehouse import (
    VersionInfo,
    list_versions,
    open_served,
    served_version,
    set_served,
    writer_lock,
)
from cohorte.workspace import Workspace, make_workspace, open_workspace, templates
from flows import (
    identity_cli,
    operations_cli,
    report_cli,
    scores_cli,
    segments_cli,
    sources_cli,
)
from flows.run import RunOptions, RunReport, execute, new_context
from flows.stations import STATIONS

app = typer.Typer(
    name="cohorte",
    help="A marketing CRM built on your own data: from a company's files to a screen.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
app.add_typer(identity_cli.app, name="identity")
app.add_typer(sources_cli.app, name="sources")
app.add_typer(segments_cli.app, name="segments")
app.add_typer(report_cli.app, name="report")
app.add_typer(operations_cli.app)
app.add_typer(scores_cli.app)
out = Console()
err = Console(stderr=True)

QUERY_SECONDS = 60
TABLE_ROWS = 200
MESSAGES = 8

WorkspaceOption = Annotated[
    Path | None,
    typer.Option(
        "-w",
        "--workspace",
        help="The workspace's folder; else $COHORTE_WORKSPACE, else the current folder.",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON for a program.")]


class OutputFormat(StrEnum):
    table = "table"
    csv = "csv"
    json = "json"


class RunKind(StrEnum):
    refresh = "refresh"
    ingest = "ingest"
    score = "score"
    retrain = "retrain"


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[bool, typer.Option("--version", help="Print the version and stop.")] = False,
) -> None:
    if version:
        typer.echo(__version__)
        raise typer.Exit


@app.command()
def init(
    workspace: Annotated[Path, typer.Argument(help="The folder to make.")],
    template: Annotated[
        str, typer.Option(help="What to start from: blank, demo, olist, online_retail.")
    ] = "blank",
    source_dir: Annotated[
        Path | None, typer.Option(help="Where the company's files are (olist, online_retail).")
    ] = None,
    customers: Annotated[
        int, typer.Option(min=1, max=20_000_000, help="How many people the demo company has.")
    ] = 20_000,
    seed: Annotated[int, typer.Option(min=0, help="The demo company's seed.")] = 7,
) -> None:
    """Make a workspace from a template. Safe to repeat: what is there stays."""
    if template not in templates():
        raise SettingsError(
            f'there is no template "{template}"', remedy=f"choose of {', '.join(templates())}"
        )
    made = make_workspace(workspace, template, source_dir)
    if template == "demo":
        _generate(made, customers, seed)
    out.print(f"Workspace of {made.settings.company} at {workspace}", markup=False)
    out.print(f"Next: cohorte run -w {workspace}", markup=False)


def _generate(workspace: Workspace, customers: int, seed: int) -> None:
    """The demo company's sources, unless they are there already for these numbers."""
    from pipelines.demo import generate

    mark = workspace.root / "inbox" / ".demo.json"
    wanted = {"customers": customers, "seed": seed}
    if mark.is_file():
        if json.loads(mark.read_text(encoding="utf-8")) == wanted:
            return
        raise SettingsError(
            "the workspace holds a demo company of other numbers",
            where=str(workspace.root),
            remedy="choose another folder, or remove this one",
        )
    with _progress() as progress:
        bar = progress.add_task("inventing the company", total=None)
        generate(
            workspace.root,
            customers=customers,
            seed=seed,
            progress=lambda what, done, total: progress.update(
                bar, description=what, completed=done, total=total
            ),
        )
    mark.write_text(json.dumps(wanted), encoding="utf-8")


@app.command()
def run(
    workspace: WorkspaceOption = None,
    only: Annotated[
        str | None, typer.Option(help=f"One station alone: {', '.join(STATIONS)}.")
    ] = None,
    full_refresh: Annotated[
        bool, typer.Option("--full-refresh", help="Rebuild everything from what was loaded.")
    ] = False,
    as_of: Annotated[
        datetime | None, typer.Option(formats=["%Y-%m-%d"], help="The day to look from.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the sources; write nothing.")
    ] = False,
    plain: Annotated[
        bool, typer.Option("--plain", help="Without a Prefect server: the same stations.")
    ] = False,
    kind: Annotated[
        RunKind, typer.Option(help="ingest: take in only; score, retrain: from what is taken in.")
    ] = RunKind.refresh,
    source: Annotated[list[str] | None, typer.Option(help="Take in this source alone.")] = None,
    patience: Annotated[
        float, typer.Option(min=0, help="Seconds to wait for another run to end.")
    ] = 0,
    as_json: JsonOption = False,
) -> None:
    """Run the pipeline: from the sources to a published version."""
    opened = open_workspace(workspace)
    options = RunOptions(
        only,
        full_refresh,
        as_of.date() if as_of else None,
        dry_run,
        kind.value,
        tuple(source or ()),
        patience,
    )
    with _progress() as progress:
        bar = progress.add_task("starting", total=None)

        def show(what: str, done: int, total: int) -> None:
            progress.update(bar, description=what, completed=done, total=total or None)

        context = new_context(opened, options, clock_now(), progress=show)
        report = execute(context, options) if plain else _in_prefect(context, options)
    if as_json:
        typer.echo(json.dumps(report.as_json(), default=str, indent=2))
    else:
        _print_report(report, opened.settings.currency)
    if report.error is not None:
        raise report.error


def _in_prefect(context: Any, options: RunOptions) -> RunReport:
    """The run as a flow; when the server cannot start, the same run without it."""
    from flows.prefect_flow import run_in_prefect

    try:
        return run_in_prefect(context, options)
    except CohorteError:
        raise
    except Exception as error:
        if context.started:
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        err.print(f"Prefect's server could not start ({reason}); running without it.", markup=False)
        return execute(context, options)


@app.command()
def status(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """What is served, how fresh it is, and how the last run ended."""
    from cohorte.store import open_store

    opened = open_workspace(workspace)
    info = served_version(opened)
    runs = open_store(opened.store_url).list_runs(limit=1)
    last = runs[0] if runs else None
    told = {
        "company": opened.settings.company,
        "version": info.version if info else None,
        "as_of": info.as_of.isoformat() if info else None,
        "published_at": info.published_at.isoformat() if info else None,
        "key_figures": info.key_figures if info else {},
        "last_run": last.run_id if last else None,
        "last_run_status": last.status if last else None,
        "last_run_message": last.message if last else None,
    }
    if as_json:
        typer.echo(json.dumps(told, indent=2))
        return
    table = Table(show_header=False, box=None)
    for name, value in told.items():
        if name != "key_figures":
            table.add_row(name.replace("_", " "), _cell(value))
    out.print(table)
    if info is not None:
        _print_figures(info.key_figures, opened.settings.currency)


@app.command()
def versions(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """The versions kept, newest first, and which one is served."""
    opened = open_workspace(workspace)
    served = served_version(opened)
    found = list_versions(opened)
    if as_json:
        rows = [
            info.model_dump(mode="json") | {"served": _is_served(info, served)} for info in found
        ]
        typer.echo(json.dumps(rows, indent=2))
        return
    table = Table("version", "as of", "published", "customers", "size", "served", box=None)
    for info in found:
        table.add_row(
            info.version,
            info.as_of.isoformat(),
            f"{info.published_at:%Y-%m-%d %H:%M} UTC",
            info.key_figures.get("customers", ""),
            f"{info.bytes / 1e6:.1f} MB",
            "served" if _is_served(info, served) else "",
        )
    out.print(table)


def _is_served(info: VersionInfo, served: VersionInfo | None) -> bool:
    return served is not None and served.version == info.version


@app.command()
def rollback(
    version: Annotated[str, typer.Argument(help="The version to serve, such as v3.")],
    workspace: WorkspaceOption = None,
) -> None:
    """Serve a version kept; screens follow at their next look."""
    opened = open_workspace(workspace)
    now = clock_now()
    with writer_lock(opened, f"rollback to {version}", now):
        info = set_served(opened, version)
    out.print(f"Serving {info.version}, as of {info.as_of}", markup=False)


@app.command()
def serve(
    workspace: WorkspaceOption = None,
    port: Annotated[int, typer.Option(min=1, max=65535)] = 8501,
    address: Annotated[str, typer.Option(help="127.0.0.1: this machine alone.")] = "127.0.0.1",
) -> None:
    """Serve the screens, and print their address."""
    opened = open_workspace(workspace)
    company = opened.settings.company
    err.print(f"{company} is at http://{address}:{port} (Ctrl+C stops it)", markup=False)
    command = [sys.executable, "-m", "dashboards.serve", str(opened.root)]
    with suppress(KeyboardInterrupt):
        ended = subprocess.run([*command, "--port", str(port), "--address", address], check=False)
        raise typer.Exit(ended.returncode)


@app.command()
def schedule(workspace: WorkspaceOption = None) -> None:
    """Run the pipeline when the workspace's schedule says so, until stopped."""
    from flows.prefect_flow import scheduling_server

    opened = open_workspace(workspace)
    with scheduling_server(opened) as address:
        for name, timing in opened.settings.schedule.timings().items():
            if timing.is_set:
                when = timing.cron or f"every {timing.every}"
                err.print(f"{name}: {when}", markup=False, highlight=False)
        err.print(f"Prefect answers at {address} (Ctrl+C stops it)", markup=False)
        from flows.schedule import serve_schedule

        serve_schedule(opened)


@app.command()
def doctor(workspace: WorkspaceOption = None, as_json: JsonOption = False) -> None:
    """Check the machine, the workspace and the databases, each with a remedy."""
    from flows.doctor import examine

    try:
        opened: Workspace | None = open_workspace(workspace)
    except CohorteError:
        if workspace is not None:
            raise
        opened = None
    findings = examine(opened)
    if as_json:
        typer.echo(json.dumps([vars(finding) for finding in findings], indent=2))
    else:
        table = Table("check", "status", "detail", "remedy", box=None)
        colours = {"ok": "green", "warning": "yellow", "problem": "red"}
        for finding in findings:
            table.add_row(
                finding.check,
                f"[{colours[finding.status]}]{finding.status}[/]",
                _cell(finding.detail),
                _cell(finding.remedy),
            )
        out.print(table)
    if any(finding.status == "problem" for finding in findings):
        raise typer.Exit(1)


@app.command()
def query(
    sql: Annotated[str, typer.Argument(help="A query, such as: select count(*) from orders")],
    workspace: WorkspaceOption = None,
    output: Annotated[OutputFormat, typer.Option("--format", help="How to print.")] = (
        OutputFormat.table
    ),
    as_json: JsonOption = False,
    seconds: Annotated[int, typer.Option(min=1, help="Give up after so long.")] = QUERY_SECONDS,
) -> None:
    """Ask the published version; it can be read, never written."""
    import duckdb

    _, connection = open_served(open_workspace(workspace))
    timer = threading.Timer(seconds, connection.interrupt)
    timer.daemon = True
    timer.start()
    with closing(connection):
        try:
            found = connection.execute(sql)
            names = [column[0] for column in found.description or []]
            if as_json or output is OutputFormat.json:
                rows = [dict(zip(names, row, strict=True)) for row in found.fetchall()]
                typer.echo(json.dumps(rows, default=_plain, ensure_ascii=False))
            elif output is OutputFormat.csv:
                writer = csv.writer(sys.stdout, lineterminator="\n")
                writer.writerow(names)
                while batch := found.fetchmany(10_000):
                    writer.writerows(batch)
            else:
                _print_rows(names, found.fetchmany(TABLE_ROWS + 1))
        except duckdb.InterruptException:
            raise CohorteError(
                f"the query took more than {seconds} s", remedy="narrow it, or pass --seconds"
            ) from None
        except duckdb.Error as error:
            raise SettingsError(str(error), where="query", remedy="correct the SQL") from None
        finally:
            timer.cancel()


def _print_rows(names: list[str], rows: list[tuple[Any, ...]]) -> None:
    table = Table(*names, box=None)
    for row in rows[:TABLE_ROWS]:
        table.add_row(*(_cell(value) for value in row))
    out.print(table)
    if len(rows) > TABLE_ROWS:
        err.print(f"The first {TABLE_ROWS} rows; --format csv prints them all.", markup=False)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, (Decimal, date, datetime)) else repr(value)


def _cell(value: object) -> str:
    """A value as a table shows it: customers' text is never markup."""
    from rich.markup import escape

    return "" if value is None else escape(str(value))


def _print_report(report: RunReport, currency: str) -> None:
    table = Table(box=None)
    table.add_column("station")
    for name in ("rows in", "accepted", "rejected", "out", "seconds"):
        table.add_column(name, justify="right")
    for station in report.stations:
        table.add_row(
            station.station,
            f"{station.rows_in:,}",
            f"{station.accepted:,}",
            f"{station.rejected:,}",
            f"{station.rows_out:,}",
            f"{station.seconds:.1f}",
        )
    out.print(table)
    told = [
        f"{station.station}: {message}"
        for station in report.stations
        for message in station.messages
        if message
    ]
    for line in told[:MESSAGES]:
        out.print(line, markup=False, highlight=False)
    if len(told) > MESSAGES:
        out.print(
            f"... and {len(told) - MESSAGES} more: the screen Data has them all", markup=False
        )
    if report.version is not None:
        is_new = report.version.run_id == report.run_id
        done = "Published" if is_new else "Nothing is new: still serving"
        out.print(f"\n{done} {report.version.version}, as of {report.as_of}", markup=False)
        _print_figures(report.version.key_figures, currency)


def _print_figures(figures: dict[str, str], currency: str) -> None:
    table = Table(show_header=False, box=None)
    table.add_column()
    table.add_column(justify="right")
    for name, value in figures.items():
        amount = Decimal(value)
        is_money = name == "net_revenue"
        shown = f"{amount:,.2f} {currency}" if is_money else f"{amount:,}"
        table.add_row(name.replace("_", " "), shown)
    out.print(table)


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on a terminal, nothing elsewhere."""
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        TimeElapsedColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as progress:
        yield progress


def main() -> None:
    """The entry point: errors are one line with a remedy and a stable exit code."""
    try:
        app()
    except CohorteError as error:
        err.print(f"cohorte: {error}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(error.exit_code)
    except Exception as error:
        if os.environ.get("COHORTE_DEBUG"):
            raise
        told = f"cohorte: an error that should not be: {type(error).__name__}: {error}"
        remedy = "run again with COHORTE_DEBUG=1 to see where, and report it"
        err.print(f"{told}; {remedy}", style="red", markup=False, highlight=False, soft_wrap=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
