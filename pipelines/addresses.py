"""Postal addresses asked of a certified service, outside of any run, each once.

Off unless ``address_service`` is declared: only then do addresses leave, without names, to the
declared host alone. Verdicts are kept in raw by a hash of the address; runs read them there and
wait for nobody.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Literal, Protocol, get_args

import duckdb
import httpx
from filelock import FileLock, Timeout

from cohorte.errors import LockedError, NotFoundError, SettingsError, SourceError
from cohorte.said import said
from cohorte.settings import AddressServiceSettings
from cohorte.warehouse import connect_raw, connect_work, writer_lock
from cohorte.workspace import Workspace
from cohorte.yamlfile import resolve_environment
from pipelines.connectors.rest import Pace, ask

Verdict = Literal["deliverable", "undeliverable", "uncertain"]
PATIENCE_SECONDS = 600.0


@dataclass(frozen=True)
class Address:
    """A postal address as it is sent: nothing of whose it is. ``id`` is its hash."""

    id: str
    address_line: str
    postcode: str | None
    city: str | None
    country_code: str


@dataclass(frozen=True)
class Answer:
    """What a service says of one address, and why in its words."""

    id: str
    verdict: Verdict
    reason: str | None = None


class AddressService(Protocol):
    """Whoever can say whether mail reaches an address."""

    name: str

    def check(self, addresses: Sequence[Address]) -> list[Answer]:
        """An answer for each address that the service knows to judge; others may lack."""


class HttpAddressService:
    """A service behind HTTP: addresses are posted as JSON in batches, verdicts come back.

    It gets ``{"addresses": [{"id", "address_line", "postcode", "city", "country_code"}]}`` and
    answers ``{"verdicts": [{"id", "verdict", "reason"}]}``. A redirection is not followed.
    """

    def __init__(self, settings: AddressServiceSettings) -> None:
        self.name = settings.name
        self.settings = settings
        self._pace = Pace(settings.requests_per_minute)

    def check(self, addresses: Sequence[Address]) -> list[Answer]:
        """Raises SourceError when the service does not answer, or not as agreed."""
        settings = self.settings
        headers = {}
        if settings.token is not None:
            token = resolve_environment(settings.token, "cohorte.yml key address_service.token")
            headers["Authorization"] = f"Bearer {token}"
        body = {"addresses": [asdict(address) for address in addresses]}
        with httpx.Client(headers=headers, timeout=settings.timeout_seconds) as client:
            answer = ask(
                lambda: client.post(settings.url, json=body, follow_redirects=False),
                self._pace,
                settings.retries,
                f"address service {self.name}",
            )
        asked = {address.id for address in addresses}
        try:
            found = [
                Answer(str(one["id"]), one["verdict"], one.get("reason"))
                for one in answer.json()["verdicts"]
            ]
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self._wrong(said("its answer is not of the agreed form")) from None
        for one in found:
            if one.id not in asked or one.verdict not in get_args(Verdict):
                raise self._wrong(said("it answers what it was not asked, or an unknown verdict"))
        return found

    def _wrong(self, message: str) -> SourceError:
        return SourceError(
            message,
            where=f"address service {self.name}",
            remedy=said("see docs/sources.md, Addresses, for the form"),
        )


class ReferenceService:
    """The places that the workspace has loaded, asked as a service is: the reference of one."""

    name = "places"

    def __init__(self, connection: duckdb.DuckDBPyConnection) -> None:
        self._known = {
            str(postcode)
            for (postcode,) in connection.execute("select distinct postcode from places").fetchall()
        }

    def check(self, addresses: Sequence[Address]) -> list[Answer]:
        """Deliverable where the postal code is known and the line has a number."""
        return [self._answer(address) for address in addresses]

    def _answer(self, address: Address) -> Answer:
        if address.postcode not in self._known:
            return Answer(address.id, "undeliverable", "unknown postal code")
        if not any(character.isdigit() for character in address.address_line):
            return Answer(address.id, "uncertain", "no number in the street")
        return Answer(address.id, "deliverable")


PENDING = """
select distinct on (addresses.address_hash)
    addresses.address_hash, contacts.address_line, contacts.postcode, contacts.city,
    contacts.country_code
from intermediate.int_contacts__addresses as addresses
inner join staging.stg_contacts as contacts
    on addresses.source = contacts.source and addresses.contact_id = contacts.contact_id
where addresses.has_address
    and addresses.address_problem is null
    and list_contains($countries, contacts.country_code)
    and addresses.address_hash not in (select address_hash from raw.address_verdicts)
order by addresses.address_hash
limit $limit
"""


def pending(workspace: Workspace, countries: Sequence[str], limit: int) -> list[Address]:
    """Addresses of the last run that no service was asked about, none of which lacks a part.

    Raises NotFoundError before the first run.
    """
    with closing(connect_raw(workspace)):
        pass
    if not workspace.work_path.is_file():
        raise NotFoundError(said("no run has built the addresses yet"), remedy=said("cohorte run"))
    with closing(connect_work(workspace)) as work:
        try:
            rows = work.execute(PENDING, {"countries": list(countries), "limit": limit}).fetchall()
        except duckdb.CatalogException:
            raise NotFoundError(
                said("no run has built the addresses yet"), remedy=said("cohorte run")
            ) from None
    return [Address(*row) for row in rows]


def check_addresses(
    workspace: Workspace,
    *,
    now: Callable[[], datetime],
    service: AddressService | None = None,
    limit: int = 10_000,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, int]:
    """Ask the declared service about addresses it was not asked about; verdicts by how many.

    Each batch is kept as soon as it is answered, so none is sent again. Raises SettingsError when
    no service is declared, LockedError while another process asks.
    """
    settings = workspace.settings.address_service
    if settings is None:
        raise SettingsError(
            said("no address service is declared, so no address leaves"),
            where="cohorte.yml",
            remedy=said("declare address_service"),
        )
    service = service or HttpAddressService(settings)
    lock = FileLock(workspace.lock_path.with_name("addresses.lock"))
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise LockedError(
            said("another process is asking about addresses"), remedy=said("wait for it to end")
        ) from None
    counts: dict[str, int] = {}
    try:
        with writer_lock(workspace, "addresses", now(), PATIENCE_SECONDS):
            waiting = pending(workspace, settings.countries, limit)
        for first in range(0, len(waiting), settings.batch):
            batch = waiting[first : first + settings.batch]
            answers = service.check(batch)
            answered = {one.id for one in answers}
            answers += [
                Answer(one.id, "uncertain", "no answer") for one in batch if one.id not in answered
            ]
            with writer_lock(workspace, "addresses", now(), PATIENCE_SECONDS):
                _keep(workspace, answers, service.name, now())
            for one in answers:
                counts[one.verdict] = counts.get(one.verdict, 0) + 1
            if progress is not None:
                progress(min(first + settings.batch, len(waiting)), len(waiting))
    finally:
        lock.release()
    return counts


def _keep(workspace: Workspace, answers: Sequence[Answer], service: str, at: datetime) -> None:
    if not answers:
        return
    moment = at.astimezone(UTC).replace(tzinfo=None)
    with closing(connect_raw(workspace)) as raw:
        raw.executemany(
            "insert into address_verdicts values (?, ?, ?, ?, ?)",
            [[one.id, one.verdict, one.reason, service, moment] for one in answers],
        )
