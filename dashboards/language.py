"""The language of the page, and the one way its figures are written.

The language is the one chosen in the top bar, which the address keeps (`?lang=fr`); without a
choice it is the browser's, and the company's own when the browser speaks neither.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import streamlit as st
from babel import dates, numbers
from babel.lists import format_list

from cohorte import i18n
from cohorte.clock import now
from cohorte.i18n import LANGUAGES, Language, language_of
from cohorte.said import told

KEY = "lang"
DATES = "DD/MM/YYYY"
"""How days are typed, in both languages: the day first, as they are written."""
_LOCALES = {"en": "en_GB", "fr": "fr_FR"}


def inside(name: str) -> str:
    """A name as it stands within a sentence: a small first letter, unless it begins a set of
    initials."""
    return name if name[:2].isupper() else name[:1].lower() + name[1:]


def preferred(browser_locale: str | None, company_language: str | None) -> Language:
    """The language before anyone chose: the browser's when we speak it, else the company's."""
    code = (browser_locale or "").replace("_", "-").split("-")[0].lower()
    if code in LANGUAGES:
        return language_of(code)
    return language_of(company_language)


@dataclass(frozen=True)
class Words:
    """Texts and figures of one language, for one company's currency and time zone."""

    code: Language
    currency: str = "EUR"
    time_zone: str = "UTC"

    def __call__(self, message: str, **values: object) -> str:
        return i18n.translator(self.code)(message, **values)

    def ngettext(self, singular: str, plural: str, count: int, **values: object) -> str:
        return i18n.translator(self.code).ngettext(singular, plural, count, **values)

    def pgettext(self, context: str, message: str, **values: object) -> str:
        return i18n.translator(self.code).pgettext(context, message, **values)

    def told(self, text: str) -> str:
        """An error or a message of the pipeline, in the reader's language where it has one."""
        return told(text, i18n.translator(self.code))

    @property
    def locale(self) -> str:
        return _LOCALES[self.code]

    def number(self, value: i18n.Number | None, decimals: int = 0) -> str:
        return _minus(i18n.format_number(value, self.code, decimals))

    def money(self, value: i18n.Number | None, decimals: int | None = None) -> str:
        """An amount in the reporting currency; without decimals from 1,000 up."""
        if decimals is None and value is not None and abs(value) >= 1000:
            decimals = 0
        return _minus(i18n.format_money(value, self.currency, self.code, decimals))

    def short_money(self, value: i18n.Number | None) -> str:
        """An amount for an axis or a tile: 1.2M with its currency."""
        if value is None or abs(value) < 10_000:
            return _minus(i18n.format_money(value, self.currency, self.code, 0))
        return _minus(
            str(
                numbers.format_compact_currency(
                    value, self.currency, locale=self.locale, fraction_digits=1
                )
            )
        )

    def tile_money(self, value: i18n.Number | None) -> str:
        """An amount for a headline: in full below a million."""
        if value is not None and abs(value) >= 1_000_000:
            return self.short_money(value)
        return self.money(value)

    def short_number(self, value: i18n.Number) -> str:
        """A count for an axis or a tile."""
        if abs(value) < 10_000:
            return i18n.format_number(value, self.code)
        return i18n.format_compact(value, self.code)

    def percent(self, share: i18n.Number | None, decimals: int = 1) -> str:
        return _minus(i18n.format_percent(share, self.code, decimals))

    def share(self, part: i18n.Number | None, whole: i18n.Number | None) -> str:
        """A part of a whole in whole percents; "< 1 %" for what is little but there."""
        if part is None or not whole:
            return self.percent(None)
        ratio = float(part) / float(whole)
        if 0 < ratio < 0.005:
            return "< " + self.percent(0.01, 0)
        return self.percent(0.0 if abs(ratio) < 0.005 else ratio, 0)

    def change(self, ratio: i18n.Number | None) -> str:
        """A change with its sign; whole percents from 10 % up."""
        if ratio is not None and abs(ratio) < 0.0005:
            return self.percent(0, 0)
        return _minus(i18n.format_change(ratio, self.code, decimals=_decimals(ratio)))

    def magnitude(self, ratio: i18n.Number) -> str:
        """The size of a change, without its sign."""
        return self.percent(abs(ratio), _decimals(ratio))

    def figure(self, value: i18n.Number | None, unit: str, *, short: bool = False) -> str:
        """A KPI's figure in its unit; `short` for axes and tiles."""
        if value is None:
            return self.number(None)
        match unit:
            case "money":
                return self.short_money(value) if short else self.tile_money(value)
            case "percent":
                return self.percent(value, 0 if short else 1)
            case "hours":
                return self.hours(value)
            case "points" | "number":
                return self.number(value, 0 if short and abs(value) >= 10 else 1)
        return self.short_number(value) if short else self.number(value)

    def hours(self, value: i18n.Number | None) -> str:
        """A length of time: hours, or days from two days up."""
        if value is None:
            return self.number(None)
        if abs(value) < 48:
            return _minus(f"{self.number(value, 0 if value == int(value) else 1)}\u00a0h")
        return self.days(float(value) / 24)

    def difference(self, value: i18n.Number | None, unit: str) -> str:
        """How far one figure is from another, with its sign."""
        if value is None:
            return self.number(None)
        if unit == "percent":
            return _minus(i18n.format_change(value, self.code, "points"))
        sign = "+" if value > 0 else "\u2212" if value < 0 else ""
        return f"{sign}{self.figure(abs(value), unit)}"

    def bucket(self, day: date, grain: str, *, axis: bool = False) -> str:
        """The name of a day, week, month, quarter or year that begins on a day."""
        _ = self
        match grain:
            case "year":
                return str(day.year)
            case "quarter":
                return str(dates.format_date(day, "QQQ yyyy", locale=self.locale))
            case "month":
                return (
                    str(dates.format_date(day, "LLL yyyy", locale=self.locale))
                    if axis
                    else self.month(day)
                )
            case "week":
                return self.day_month(day) if axis else _("week of {day}", day=self.day(day))
        return self.day_month(day) if axis else self.day(day)

    def day(self, day: date | None, length: i18n.DateLength = "medium") -> str:
        return i18n.format_date(day, self.code, length)

    def at(self, instant: datetime | None) -> str:
        return i18n.format_datetime(instant, self.code, self.time_zone)

    def local(self, instant: datetime) -> datetime:
        """A UTC instant on the company's clock."""
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        return aware.astimezone(ZoneInfo(self.time_zone))

    def clock(self, instant: datetime) -> str:
        return str(dates.format_time(self.local(instant), "HH:mm", locale=self.locale))

    def month(self, day: date) -> str:
        """October 2026."""
        return i18n.format_month(day, self.code)

    def short_month(self, day: date) -> str:
        """Oct."""
        return str(dates.format_date(day, "LLL", locale=self.locale))

    def day_month(self, day: date) -> str:
        """14 Oct."""
        return str(dates.format_date(day, "d MMM", locale=self.locale))

    def ago(self, instant: datetime | None) -> str:
        """How long ago an instant was: 3 hours ago."""
        if instant is None:
            return self.day(None)
        aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
        return str(
            dates.format_timedelta(
                aware - now(), add_direction=True, threshold=1.2, locale=self.locale
            )
        )

    def days(self, count: float | Decimal | None) -> str:
        """A number of days in words."""
        if count is None:
            return self.day(None)
        whole = round(count)
        return self.ngettext("{count} day", "{count} days", whole)

    def list(self, items: Iterable[str]) -> str:
        """a, b and c."""
        return str(format_list(list(items), locale=self.locale))


def _decimals(ratio: i18n.Number | None) -> int:
    return 0 if ratio is not None and round(abs(ratio), 3) >= 0.1 else 1


def _minus(figure: str) -> str:
    return figure.replace("-", "\u2212")


_WORDS = "_words"


def use(code: Language, currency: str, time_zone: str) -> Words:
    """Speak `code` for the rest of this rerun."""
    words = Words(code, currency, time_zone)
    st.session_state[_WORDS] = words
    return words


def words() -> Words:
    """The language of this rerun; English before the frame chose one."""
    found = st.session_state.get(_WORDS)
    return found if isinstance(found, Words) else Words("en")
