"""Pages as files and as letters: what the screens show, for those who do not open them."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from email.message import EmailMessage
from pathlib import Path

from cohorte.clock import now
from cohorte.errors import CohorteError, NotFoundError, SettingsError
from cohorte.i18n import format_date
from cohorte.logs import logger
from cohorte.settings import ReportSettings
from cohorte.store import open_store
from cohorte.warehouse import served_version
from cohorte.workspace import SETTINGS_FILE, Workspace
from flows.notify import deliver

SECONDS = 600
ATTACHED = {
    "en": "The report is attached. The figures are those of {day}.",
    "fr": "Le rapport est joint. Les chiffres sont ceux du {day}.",
}
KINDS = {"pdf": ("application", "pdf"), "html": ("text", "html")}


def make_report(workspace: Workspace, page: str, out: Path, language: str | None = None) -> None:
    """Write a page to a file, PDF or HTML by its ending; in a process of its own.

    Raises CohorteError with what the page said when it could not be made.
    """
    command = [sys.executable, "-m", "dashboards.report", str(workspace.root), page, str(out)]
    if language is not None:
        command += ["--language", language]
    made = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    if made.returncode or not out.is_file():
        said = made.stderr.strip().splitlines()
        raise CohorteError(
            f'no report of "{page}": {said[-1] if said else f"code {made.returncode}"}'
        )


def send_reports(workspace: Workspace, names: Sequence[str] = ()) -> list[str]:
    """Send the declared reports, or those named, and return the names of those sent.

    One that cannot be made or sent is logged, and the others go. SettingsError without a mail
    server, NotFoundError for a name that is not declared.
    """
    settings = workspace.settings
    declared = {report.name: report for report in settings.reports}
    for name in names:
        if name not in declared:
            raise NotFoundError(
                f'no report "{name}" is declared', remedy=f"add it to reports in {SETTINGS_FILE}"
            )
    wanted = [declared[name] for name in names] if names else list(declared.values())
    if wanted and settings.alerts.mail is None:
        raise SettingsError(
            "no mail server is named",
            where=f"{SETTINGS_FILE} key alerts.mail",
            remedy="state host, sender and to",
        )
    return [report.name for report in wanted if _send(workspace, report)]


def _send(workspace: Workspace, report: ReportSettings) -> bool:
    mail, served = workspace.settings.alerts.mail, served_version(workspace)
    if mail is None or served is None:
        return False
    language = report.language or workspace.settings.language
    day = format_date(served.as_of, language, "long")
    ending = f"{report.name}-{served.as_of.isoformat()}.{report.format}"
    try:
        with tempfile.TemporaryDirectory() as folder:
            out = Path(folder) / ending
            make_report(workspace, report.page, out, language)
            letter = EmailMessage()
            letter["Subject"] = (
                f"{workspace.settings.company}: {report.name.replace('_', ' ')}, {day}"
            )
            letter["From"], letter["To"] = mail.sender, ", ".join(report.to)
            letter.set_content(
                ATTACHED[language].format(day=day)
                + f"\n\n{workspace.settings.screens_url}/{report.page}\n"
            )
            kind, sub_kind = KINDS[report.format]
            letter.add_attachment(
                out.read_bytes(), maintype=kind, subtype=sub_kind, filename=ending
            )
            deliver(mail, letter)
    except (OSError, CohorteError, subprocess.SubprocessError) as error:
        logger().error("report not sent", extra={"report": report.name, "reason": str(error)})
        return False
    with open_store(workspace.store_url) as store:
        detail = {"page": report.page, "format": report.format, "to": len(report.to)}
        store.audit("report.sent", "report", report.name, who="schedule", at=now(), detail=detail)
    return True
