"""The months the company lives through, and how its days and hours differ.

Days are day numbers (days since 1970-01-01), times are seconds of the day on the wall clock in
Paris.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
import polars as pl

from pipelines.demo.randomness import Generator, Numbers, weighted

EPOCH = date(1970, 1, 1)
HISTORY_MONTHS = 36
FUTURE_DAYS = 365
TIME_ZONE = "Europe/Paris"


def day_number(day: date) -> int:
    return (day - EPOCH).days


def as_date(number: int) -> date:
    return EPOCH + timedelta(days=int(number))


@dataclass(frozen=True)
class Span:
    """A calendar month, or the part of one before or after the last day; half-open."""

    start: date
    end: date
    is_future: bool

    @property
    def first_day(self) -> int:
        return day_number(self.start)

    @property
    def days(self) -> int:
        return (self.end - self.start).days

    @property
    def share_of_month(self) -> float:
        return self.days / 30.4

    @property
    def label(self) -> str:
        return f"{self.start:%Y-%m}"

    @property
    def quarter(self) -> str:
        return f"{self.start.year}-T{(self.start.month + 2) // 3}"


def _next_month(day: date) -> date:
    return date(day.year + day.month // 12, day.month % 12 + 1, 1)


def spans(until: date) -> list[Span]:
    """36 calendar months, the last cut after ``until``, then a year that nobody has seen yet."""
    start = until.replace(day=1)
    for _ in range(HISTORY_MONTHS - 1):
        start = (start - timedelta(days=1)).replace(day=1)
    today, horizon = until + timedelta(days=1), until + timedelta(days=1 + FUTURE_DAYS)
    found = []
    while start < horizon:
        limit = today if start < today else horizon
        end = min(_next_month(start), limit)
        found.append(Span(start, end, start >= today))
        start = end
    return found


def _nth_weekday(year: int, month: int, weekday: int, nth: int) -> date:
    first = date(year, month, 1)
    return first + timedelta(days=(weekday - first.weekday()) % 7 + 7 * (nth - 1))


def _last_weekday(year: int, month: int, weekday: int) -> date:
    last = _next_month(date(year, month, 1)) - timedelta(days=1)
    return last - timedelta(days=(last.weekday() - weekday) % 7)


def sale_periods(year: int) -> list[tuple[date, date]]:
    """The two legal sales of four weeks and the week of Black Friday; half-open."""
    winter = _nth_weekday(year, 1, 2, 2)
    summer = _last_weekday(year, 6, 2)
    friday = _nth_weekday(year, 11, 4, 4)
    return [
        (winter, winter + timedelta(days=28)),
        (summer, summer + timedelta(days=28)),
        (friday - timedelta(days=4), friday + timedelta(days=4)),
    ]


def is_sale(days: Numbers) -> Numbers:
    """Whether each day number lies in a sale period."""
    found = np.zeros(len(days), dtype=np.bool_)
    if len(days):
        for year in range(as_date(days.min()).year, as_date(days.max()).year + 1):
            for start, end in sale_periods(year):
                found |= (days >= day_number(start)) & (days < day_number(end))
    return found


def day_weights(span: Span, *, web: bool) -> Numbers:
    """How busy each day of the span is, for shops (closed most Sundays) or for the web shop."""
    days = [span.start + timedelta(days=n) for n in range(span.days)]
    week = [1.15, 0.95, 0.95, 0.95, 0.9, 0.85, 1.35] if web else [0.55, 0.8, 1.0, 0.9, 1.15, 2.1, 0]
    weights = np.array([week[day.weekday()] for day in days])
    mothers = _last_weekday(span.start.year, 5, 6)
    for n, day in enumerate(days):
        if day.month == 12 and day.day <= 24:
            weights[n] *= 1.0 + day.day / 16
            if not web and day.weekday() == 6:
                weights[n] = 0.9
        if web and day.month == 12 and 19 <= day.day <= 24:
            weights[n] *= 0.25
        if 0 <= (mothers - day).days <= 9:
            weights[n] *= 1.7
        if day.month == 2 and 8 <= day.day <= 14:
            weights[n] *= 1.4
        if not web and (day.month, day.day) in ((1, 1), (5, 1), (7, 14), (11, 11), (12, 25)):
            weights[n] = 0.0
        if any(start <= day < end for start, end in sale_periods(day.year)):
            opening = min((day - s).days for s, e in sale_periods(day.year) if s <= day < e)
            weights[n] *= 2.4 if opening < 4 else 1.35
    return weights if weights.sum() > 0 else np.ones(len(days))


_SHOP_HOURS = np.array([0.6, 1.1, 0.8, 0.5, 0.9, 1.1, 1.3, 1.5, 1.3, 0.5])
_WEB_EVENING = [1.0, 1.1, 1.3, 1.8, 2.2, 1.7, 0.9]
_WEB_DAY = [0.4, 0.7, 0.9, 1.0, 1.0, 1.2, 1.2, 1.0, 0.9, 0.9]
_WEB_HOURS = np.array([0.5, 0, 0, 0, 0, 0, 0, *_WEB_DAY, *_WEB_EVENING])


def draw_seconds(rng: Generator, count: int, *, web: bool) -> Numbers:
    """Times of day: shops from 10 to 19 h with two rushes, the web mostly in the evening."""
    hours = weighted(rng, _WEB_HOURS if web else _SHOP_HOURS, count) + (0 if web else 10)
    return hours * 3600 + rng.integers(0, 3600, count)


def local_time(days: Numbers, seconds: Numbers) -> pl.Series:
    """Wall-clock time without a zone."""
    moments = np.asarray(days, dtype=np.int64) * 86_400 + seconds
    return pl.Series((moments * 1_000_000).view("datetime64[us]"))


def in_zone(local: pl.Expr) -> pl.Expr:
    """Wall-clock time as a moment in Paris; the earlier of the two in the hour that returns."""
    return local.dt.replace_time_zone(TIME_ZONE, ambiguous="earliest", non_existent="null")


def iso_with_zone(local: pl.Expr) -> pl.Expr:
    """``2026-03-04T18:22:11+01:00``."""
    return in_zone(local).dt.strftime("%Y-%m-%dT%H:%M:%S%:z")


def utc(local: pl.Expr) -> pl.Expr:
    """Wall-clock time as a UTC timestamp."""
    return in_zone(local).dt.convert_time_zone("UTC")


def euros(cents: pl.Series | Numbers) -> pl.Series:
    """Cents as the nearest decimal: polars multiplies by 0.01, which is off in the last digit."""
    return pl.Series(np.asarray(cents) / 100)
