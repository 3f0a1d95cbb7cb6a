"""The workspace's settings, from ``cohorte.yml``."""

from __future__ import annotations

from datetime import date, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo, available_timezones

from pydantic import BaseModel, ConfigDict, Field, field_validator

from cohorte.errors import SettingsError

CurrencyCode = Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
CountryCode = Annotated[str, Field(pattern=r"^[A-Z]{2}$")]
Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]{0,62}$")]


class Declared(BaseModel):
    """A part of a file that people write: unknown keys are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)


def checked_time_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f'"{name}" is no IANA time zone, such as Europe/Paris')
    return name


class RfmSettings(Declared):
    """How far back frequency and monetary value look, in days."""

    window_days: int = Field(default=730, ge=1, le=36_500)


class LeadScoringSettings(Declared):
    """How soon after it came in a lead must convert to count as converted, in days."""

    horizon_days: int = Field(default=90, ge=1, le=3_650)


class IdentitySettings(Declared):
    """How records become customers.

    ``exact`` links by shared keys alone; ``full`` adds probable links where there is enough data
    to learn them. ``unique_sources`` are those that say no person has two of their records.
    """

    method: Literal["exact", "full"] = "exact"
    unique_sources: tuple[Name, ...] = ()


class ValueScoringSettings(Declared):
    """How far ahead orders and spend of customers are expected, in days."""

    horizon_days: int = Field(default=91, ge=7, le=731)


class ScheduleSettings(Declared):
    """When the pipeline runs by itself; the time zone is the workspace's unless stated."""

    cron: str = "0 5 * * *"
    time_zone: str | None = None

    @field_validator("time_zone")
    @classmethod
    def _known(cls, value: str | None) -> str | None:
        return value if value is None else checked_time_zone(value)

    @field_validator("cron")
    @classmethod
    def _five_fields(cls, value: str) -> str:
        if len(value.split()) != 5:
            raise ValueError(f'"{value}" is no cron line of five fields, such as "0 5 * * *"')
        return value


class WorkspaceSettings(Declared):
    """One company's choices.

    ``as_of`` pins the day that the pipeline looks from, for data that stopped; without it the
    day is today in the workspace's time zone. ``reject_limit`` is a share of a file's records.
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
    memory_limit: str = Field(default="2GB", pattern=r"^\d+(\.\d+)?(MB|GB|MiB|GiB)$")
    threads: int = Field(default=2, ge=1, le=256)
    reject_limit: float = Field(default=0.05, ge=0, le=1)
    keep_versions: int = Field(default=5, ge=1, le=1000)
    schedule: ScheduleSettings = ScheduleSettings()
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
