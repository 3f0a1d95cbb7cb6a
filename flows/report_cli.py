"""Pages as files and letters from the command line: ``cohorte report``."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from cohorte.errors import CohorteError
from cohorte.workspace import open_workspace

app = typer.Typer(help="A page as a PDF or as one HTML file; by e-mail too.", no_args_is_help=True)
out = Console()

WorkspaceOption = Annotated[
    Path | None, typer.Option("-w", "--workspace", help="The workspace's folder.")
]


class Languages(StrEnum):
    en = "en"
    fr = "fr"


@app.command()
def make(
    page: Annotated[str, typer.Argument(help="The page, as its address: retention?as=count.")],
    target: Annotated[Path, typer.Argument(help="The file: .pdf or .html.")],
    language: Annotated[Languages | None, typer.Option(help="The company's unless stated.")] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Write a page to a file that reads without us."""
    from flows.reports import make_report

    make_report(open_workspace(workspace), page, target.resolve(), language)
    out.print(f"{page}: {target}", markup=False, highlight=False)


@app.command()
def send(
    names: Annotated[
        list[str] | None, typer.Argument(help="Which; all when none is named.")
    ] = None,
    workspace: WorkspaceOption = None,
) -> None:
    """Send the reports that cohorte.yml declares, by the mail server it names."""
    from flows.reports import send_reports

    opened = open_workspace(workspace)
    sent = send_reports(opened, names or [])
    wanted = names or [report.name for report in opened.settings.reports]
    for name in sent:
        out.print(f"sent: {name}", markup=False, highlight=False)
    if len(sent) < len(wanted):
        raise CohorteError(
            f"{len(wanted) - len(sent)} of {len(wanted)} reports were not sent",
            remedy="the log of the workspace says why",
        )
