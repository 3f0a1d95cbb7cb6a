"""Reports by e-mail, through a mail server on this machine."""

from __future__ import annotations

import email
import socket
from collections.abc import Iterator
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any

import pytest

from cohorte.errors import CohorteError, NotFoundError, SettingsError
from cohorte.store import open_store
from cohorte.workspace import Workspace
from flows.reports import make_report, send_reports
from tests.support.published import build_workspace

controller = pytest.importorskip("aiosmtpd.controller", reason="aiosmtpd is not installed")


class Mailbox:
    """What a mail server took in."""

    def __init__(self) -> None:
        self.letters: list[EmailMessage] = []

    async def handle_DATA(self, _server: Any, _session: Any, envelope: Any) -> str:  # noqa: N802
        letter = email.message_from_bytes(envelope.content, policy=default)
        assert isinstance(letter, EmailMessage)
        self.letters.append(letter)
        return "250 taken"


@pytest.fixture(scope="module")
def mailbox() -> Iterator[tuple[Mailbox, int]]:
    box = Mailbox()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = controller.Controller(box, hostname="127.0.0.1", port=port, ready_timeout=60)
    server.start()
    yield box, port
    server.stop()


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, mailbox: tuple[Mailbox, int]) -> Workspace:
    workspace = build_workspace(tmp_path_factory.mktemp("reports") / "company", customers=60)
    settings = workspace.root / "cohorte.yml"
    settings.write_text(
        settings.read_text(encoding="utf-8")
        + f"""
alerts:
  mail: {{host: 127.0.0.1, port: {mailbox[1]}, sender: cohorte@example.org, to: [it@example.org],
          encryption: none}}
reports:
  - {{name: weekly, page: "overview?period=30d", to: [ana@example.org, ben@example.org]}}
  - {{name: broken, page: nowhere, to: [ana@example.org]}}
""",
        encoding="utf-8",
    )
    return Workspace(workspace.root)


def test_declared_reports_are_sent_and_one_that_fails_stops_no_other(
    company: Workspace, mailbox: tuple[Mailbox, int]
) -> None:
    assert send_reports(company) == ["weekly"]
    (letter,) = mailbox[0].letters
    assert letter["To"] == "ana@example.org, ben@example.org"
    assert letter["Subject"] == "Maison Lumen: weekly, 31 octobre 2026"
    (attached,) = letter.iter_attachments()
    assert attached.get_filename() == "weekly-2026-10-31.pdf"
    assert attached.get_content().startswith(b"%PDF")
    with open_store(company.store_url) as store:
        assert "report.sent" in [entry.action for entry in store.list_audit()]


def test_a_page_is_one_html_file_in_the_language_asked_for(
    company: Workspace, tmp_path: Path
) -> None:
    out = tmp_path / "retention.html"
    make_report(company, "retention?as=count", out, "en")
    html = out.read_text(encoding="utf-8")
    assert '<html lang="en">' in html
    assert "<h1>Retention</h1>" in html
    assert "<svg" in html
    assert "<script" not in html


def test_what_cannot_be_reported_is_said(company: Workspace, tmp_path: Path) -> None:
    with pytest.raises(CohorteError, match='no page "nowhere"'):
        make_report(company, "nowhere", tmp_path / "x.pdf")
    with pytest.raises(NotFoundError, match='no report "monthly"'):
        send_reports(company, ["monthly"])
    without = tmp_path / "other"
    without.mkdir()
    (without / "cohorte.yml").write_text(
        "company: X\nreports: [{name: weekly, to: [ana@example.org]}]\n", encoding="utf-8"
    )
    with pytest.raises(SettingsError, match="no mail server"):
        send_reports(Workspace(without))
