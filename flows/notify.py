"""Where alerts go: the log always, a webhook and a mailbox when the workspace names them."""

from __future__ import annotations

import smtplib
import ssl
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from urllib.parse import urlsplit

from cohorte.errors import CohorteError, SettingsError
from cohorte.logs import logger
from cohorte.settings import MailSettings
from cohorte.workspace import SETTINGS_FILE, Workspace
from cohorte.yamlfile import resolve_environment

PATIENCE_SECONDS = 10
PAUSES_SECONDS = (1.0, 5.0)
"""Between attempts: a network or a mail server is often there again a moment later."""


@dataclass(frozen=True)
class Message:
    """One thing to tell: a problem that began, or that ended."""

    company: str
    problem: str
    kind: str
    detail: str
    run_id: str | None
    began_at: datetime
    ended_at: datetime | None = None

    @property
    def is_over(self) -> bool:
        return self.ended_at is not None

    @property
    def title(self) -> str:
        return f"[{self.company}] {'ended' if self.is_over else 'problem'}: {self.problem}"

    @property
    def text(self) -> str:
        lines = [self.detail, f"since {self.began_at:%Y-%m-%d %H:%M} UTC"]
        if self.ended_at is not None:
            lines.append(f"ended {self.ended_at:%Y-%m-%d %H:%M} UTC")
        return "\n".join(lines)

    def as_json(self) -> dict[str, str | None]:
        return {
            "company": self.company,
            "status": "ended" if self.is_over else "began",
            "problem": self.problem,
            "kind": self.kind,
            "text": f"{self.title}\n{self.text}",
            "detail": self.detail,
            "run_id": self.run_id,
            "began_at": self.began_at.isoformat(),
            "ended_at": self.ended_at.isoformat() if self.ended_at else None,
        }


def send(workspace: Workspace, message: Message) -> None:
    """Tell a message everywhere; a place that cannot be reached is logged."""
    level = logger().info if message.is_over else logger().error
    level(
        "alert ended" if message.is_over else "alert",
        extra={"problem": message.problem, "reason": message.detail},
    )
    alerts = workspace.settings.alerts
    if alerts.webhook is not None:
        webhook = alerts.webhook
        _try("webhook", lambda: post(webhook, alerts.webhook_hosts, message))
    if alerts.mail is not None:
        mail = alerts.mail
        _try("mail", lambda: post_mail(mail, message))


def _try(channel: str, tell: Callable[[], None]) -> None:
    for pause in (*PAUSES_SECONDS, None):
        try:
            tell()
        except SettingsError as error:
            logger().error("alert not sent", extra={"channel": channel, "reason": error.message})
            return
        except (OSError, CohorteError, smtplib.SMTPException) as error:
            if pause is None:
                reason = type(error).__name__
                logger().error("alert not sent", extra={"channel": channel, "reason": reason})
                return
            time.sleep(pause)
        else:
            return


def post(declared: str, hosts: list[str], message: Message) -> None:
    """Send a message as JSON to a webhook, ``text`` being what chat programs show.

    Raises SettingsError for a host that is not among ``hosts``, CohorteError when the answer is
    not a success. Redirections are not followed.
    """
    import httpx

    url = resolve_environment(declared, f"{SETTINGS_FILE} key alerts.webhook")
    parts = urlsplit(url)
    if parts.scheme not in ("https", "http") or parts.hostname not in hosts:
        raise SettingsError(
            f'the webhook\'s host "{parts.hostname}" is not allowed',
            where=f"{SETTINGS_FILE} key alerts.webhook_hosts",
            remedy="add it there",
        )
    try:
        answer = httpx.post(
            url, json=message.as_json(), timeout=PATIENCE_SECONDS, follow_redirects=False
        )
    except httpx.HTTPError as error:
        raise CohorteError(f"the webhook does not answer: {type(error).__name__}") from error
    if not answer.is_success:
        raise CohorteError(f"the webhook answered {answer.status_code}")


def post_mail(mail: MailSettings, message: Message) -> None:
    """Send a message by e-mail."""
    letter = EmailMessage()
    letter["Subject"], letter["From"], letter["To"] = message.title, mail.sender, ", ".join(mail.to)
    letter.set_content(message.text)
    deliver(mail, letter)


def deliver(mail: MailSettings, letter: EmailMessage) -> None:
    """Hand a letter to the mail server."""
    context = ssl.create_default_context()
    server: smtplib.SMTP
    if mail.encryption == "tls":
        server = smtplib.SMTP_SSL(mail.host, mail.port, timeout=PATIENCE_SECONDS, context=context)
    else:
        server = smtplib.SMTP(mail.host, mail.port, timeout=PATIENCE_SECONDS)
    with server:
        if mail.encryption == "starttls":
            server.starttls(context=context)
        if mail.user is not None and mail.password is not None:
            where = f"{SETTINGS_FILE} key alerts.mail.password"
            server.login(mail.user, resolve_environment(mail.password, where))
        server.send_message(letter)
