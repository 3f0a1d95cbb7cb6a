"""The workspace's settings, from ``cohorte.yml``."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from itertools import islice
from typing import Annotated, Any, Literal, Self, get_args
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from cohorte.errors import SettingsError
from cohorte.said import said

CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]

INTERVAL = re.compile(r"^(\d{1,6})([mhd])$")
UNITS = {"m": "minutes", "h": "hours", "d": "days"}


class Declared(BaseModel):
    """A part of a file that people write: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def checked_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(said('"{name}" is no IANA time zone, such as Europe/Paris', name=name))
    return name


class RfmSettings(Declared):
    """How far back frequency and monetary value look, in days."""

    window_days: int = Field(default=730, ge=1, le=36_500)


class LeadScoringSettings(Declared):
    """How soon after it came in a lead must convert to count as converted, in days."""

    horizon_days: int = Field(default=90, ge=1, le=3_650)


GoldenField = Literal[
    "name", "email", "phone", "address", "birth_date", "gender", "language", "company"
]
SurvivorshipRule = Literal["most_trusted", "most_recent", "most_complete", "most_frequent"]
Comparison = Literal[
    "given", "family", "birth_date", "email", "phone", "postcode", "address", "city", "occupation",
]  # fmt: skip
ExactKey = Literal["person_id", "external_id", "loyalty_number", "email", "phone"]


class IdentityGates(Declared):
    """What stops a run whose data changed identity wildly; the served version stays.

    Shares are of the customers of the last run, and hold from ``min_customers`` of them: those
    merged into others or gone (``max_retired_share``), and those that known customers would be
    taken apart into (``max_customers_change``); customers of new records are growth. When the
    settings of identity or the trained model changed too, the change is taken as meant.
    """

    max_retired_share: float = Field(default=0.05, ge=0, le=1)
    max_customers_change: float = Field(default=0.5, ge=0)
    max_records_of_customer: int = Field(default=500, ge=2)
    min_customers: int = Field(default=1000, ge=0)


class IdentitySettings(Declared):
    """How records become customers.

    ``exact`` links by shared keys alone; ``full`` adds probable links where there is enough data
    to learn them. ``unique_sources`` are those that say no person has two of their records.
    ``exact_keys`` are the keys that link by themselves; a value of one that more than
    ``max_names_per_value`` names share links nobody. ``survivorship`` says per field which record
    a customer's value is taken from; the most trusted one unless stated. ``false_merge_cost`` is
    how many missed links one false merge costs: two records are joined when they are one person
    with odds of that much. Pairs below, down to ``review_probability``, wait for a person.
    ``comparison_weights`` makes what a comparison says count for less or more than was learned; 0
    leaves it out.
    """

    method: Literal["exact", "full"] = "full"
    unique_sources: tuple[Name, ...] = ()
    exact_keys: tuple[ExactKey, ...] = get_args(ExactKey)
    max_names_per_value: int = Field(default=8, ge=1, le=1000)
    survivorship: dict[GoldenField, SurvivorshipRule] = {}
    false_merge_cost: float = Field(default=19.0, ge=1, le=10_000)
    review_probability: float = Field(default=0.5, gt=0, lt=1)
    comparison_weights: dict[Comparison, Annotated[float, Field(ge=0, le=3)]] = {}
    gates: IdentityGates = IdentityGates()


class ValueScoringSettings(Declared):
    """How far ahead orders and spend of customers are expected, in days."""

    horizon_days: int = Field(default=91, ge=7, le=731)


class Timing(Declared):
    """When something runs by itself: a cron line in a time zone, or every so often."""

    cron: str | None = None
    every: timedelta | None = Field(default=None, ge=timedelta(minutes=1))
    time_zone: str | None = None

    @field_validator("every", mode="before")
    @classmethod
    def _in_words(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        match = INTERVAL.match(value)
        if match is None:
            raise ValueError(said('"{value}" is no interval, such as 15m, 6h or 2d', value=value))
        return timedelta(**{UNITS[match[2]]: int(match[1])})

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return value if value is None else checked_time_zone(value)

    @field_validator("cron")
    @classmethod
    def _reads(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                if len(value.split()) != 5:
                    raise CronSimError
                CronSim(value, datetime(2026, 1, 1, tzinfo=UTC))
            except CronSimError:
                raise ValueError(
                    said(
                        '"{value}" is no cron line of five fields, such as "0 5 * * *"', value=value
                    )
                ) from None
        return value

    @model_validator(mode="after")
    def _one_of_both(self) -> Self:
        if self.cron is not None and self.every is not None:
            raise ValueError(said("state cron or every, not both"))
        return self

    @property
    def is_set(self) -> bool:
        return self.cron is not None or self.every is not None

    def next_times(self, after: datetime, time_zone: str, count: int = 1) -> list[datetime]:
        """The next moments of a cron line, in UTC; none for an interval, which counts from the
        start of the schedule."""
        if self.cron is None:
            return []
        zone = ZoneInfo(self.time_zone or time_zone)
        found = islice(CronSim(self.cron, after.astimezone(zone)), count)
        return [moment.astimezone(UTC) for moment in found]


class ScheduleSettings(Timing):
    """When the pipeline runs by itself; the time zone is the workspace's unless stated.

    ``cron`` or ``every`` is of the refresh, from the sources to a published version. The others
    have their own; without one they run by hand only.
    """

    cron: str | None = "0 5 * * *"
    retrain: Timing = Timing()
    score: Timing = Timing()
    quality: Timing = Timing(every=timedelta(hours=1))
    housekeeping: Timing = Timing(cron="0 3 * * 0")
    reports: Timing = Timing()
    station_minutes: int = Field(default=240, ge=1, le=10_080)

    @model_validator(mode="before")
    @classmethod
    def _interval_instead(cls, value: Any) -> Any:
        return {"cron": None} | value if isinstance(value, dict) and "every" in value else value

    def timings(self) -> dict[str, Timing]:
        """Each deployment with its timing."""
        refresh = Timing(cron=self.cron, every=self.every, time_zone=self.time_zone)
        return {
            "refresh": refresh,
            "retrain": self.retrain,
            "score": self.score,
            "quality": self.quality,
            "housekeeping": self.housekeeping,
            "reports": self.reports,
        }


class MailSettings(Declared):
    """Where alerts are sent by e-mail. The password comes from the environment: ``${NAME}``."""

    host: str
    port: int = Field(default=587, ge=1, le=65_535)
    sender: str
    to: list[str] = Field(min_length=1)
    user: str | None = None
    password: str | None = Field(default=None, pattern=r"^\$\{[A-Z_][A-Z0-9_]*\}$")
    encryption: Literal["starttls", "tls", "none"] = "starttls"


class AlertSettings(Declared):
    """What counts as a problem of a run, and who is told beside the log.

    ``webhook`` gets each alert as JSON; its host must be in ``webhook_hosts``. ``stale_days``
    is how long a source may bring nothing, ``drift`` the population stability index, and
    ``volume`` the factor between a delivery and the median of those before, that are let pass.
    """

    webhook: str | None = None
    webhook_hosts: list[str] = []
    mail: MailSettings | None = None
    stale_days: float = Field(default=3, gt=0)
    drift: float = Field(default=0.25, gt=0)
    volume: float = Field(default=4, gt=1)


class ReportSettings(Declared):
    """A page sent by e-mail when ``schedule.reports`` says so, through ``alerts.mail``'s server.

    ``page`` is what stands after the screens' address, such as ``retention?as=count``.
    """

    name: Name
    page: str = Field(default="overview", pattern=r"^[a-z_]+(\?[^\s#]*)?$")
    format: Literal["pdf", "html"] = "pdf"
    language: Literal["en", "fr"] | None = None
    to: list[str] = Field(min_length=1)


class RetentionSettings(Declared):
    """What housekeeping removes, in days; what is not stated stays.

    ``events`` counts from the moment of the event, by entity; ``superseded`` from the delivery
    of a state of a record that a later one replaced.
    """

    rejected_rows: int | None = Field(default=None, ge=1)
    superseded: int | None = Field(default=None, ge=1)
    events: dict[Literal["web_events", "email_events"], int] = {}
    exports: int | None = Field(default=None, ge=1)
    orchestration: int = Field(default=90, ge=1)


class AddressServiceSettings(Declared):
    """A certified service that says whether postal addresses can be delivered to.

    ``url`` must be of one of the ``hosts`` and is asked over HTTPS, but for this machine itself;
    ``token`` comes from the environment, as ``${NAME}``. Only addresses of ``countries`` are sent.
    """

    name: Name
    url: str
    hosts: list[str] = Field(min_length=1)
    token: str | None = Field(default=None, pattern=r"^\$\{[A-Za-z_][A-Za-z0-9_]*\}$")
    countries: list[CountryCode] = Field(default=["FR"], min_length=1)
    batch: int = Field(default=100, ge=1, le=10_000)
    requests_per_minute: float = Field(default=60, gt=0)
    retries: int = Field(default=3, ge=0, le=20)
    timeout_seconds: float = Field(default=30, gt=0)

    @model_validator(mode="after")
    def _host_is_allowed(self) -> AddressServiceSettings:
        address = urlsplit(self.url)
        if address.hostname not in self.hosts:
            raise ValueError(
                said('url is of host "{host}", which hosts does not name', host=address.hostname)
            )
        is_local = address.hostname in ("127.0.0.1", "localhost")
        if address.scheme != "https" and not (is_local and address.scheme == "http"):
            raise ValueError(said("url must begin with https://"))
        return self


class WorkspaceSettings(Declared):
    """One company's choices.

    ``as_of`` pins the day that the pipeline looks from, for data that stopped; without it the
    day is today in the workspace's time zone. ``reject_limit`` is a share of a file's records. A
    file written to within ``settle_seconds`` is watched for so long before it is taken.
    """

    company: str = Field(min_length=1, max_length=200)
    language: Literal["en", "fr"] = "en"
    currency: CurrencyCode = "EUR"
    time_zone: str = "Europe/Paris"
    country_code: CountryCode = "FR"
    as_of: date | None = None
    lapse_days: int = Field(default=365, ge=1, le=36_500)
    rfm: RfmSettings = RfmSettings()
    lead_scoring: LeadScoringSettings = LeadScoringSettings()
    value_scoring: ValueScoringSettings = ValueScoringSettings()
    identity: IdentitySettings = IdentitySettings()
    settle_seconds: float = Field(default=2.0, ge=0, le=600)
    memory_limit: str = Field(default="2GB", pattern=r"^\d+(\.\d+)?(MB|GB|MiB|GiB)$")
    threads: int = Field(default=2, ge=1, le=256)
    reject_limit: float = Field(default=0.05, ge=0, le=1)
    keep_versions: int = Field(default=5, ge=1, le=1000)
    schedule: ScheduleSettings = ScheduleSettings()
    alerts: AlertSettings = AlertSettings()
    retention: RetentionSettings = RetentionSettings()
    reports: list[ReportSettings] = []
    address_service: AddressServiceSettings | None = None
    screens_url: str = Field(default="http://127.0.0.1:8501", pattern=r"^https?://\S+[^/\s]$")
    inbox: str = "inbox"
    store_url: str | None = None
    consent_purpose: str = "marketing"

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str) -> str:
        return checked_time_zone(value)

    def as_of_on(self, now: datetime, asked: date | None = None) -> date:
        """The day to look from: the one asked for, else the pinned one, else today.

        Raises SettingsError when ``now`` carries no time zone.
        """
        if now.tzinfo is None:
            raise SettingsError("the current time carries no time zone", remedy="pass an aware one")
        return asked or self.as_of or now.astimezone(ZoneInfo(self.time_zone)).date()
