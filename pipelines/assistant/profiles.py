"""The profile of a column: its type, how full it is, how varied, and the pattern of its values."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from pipelines.assistant.sample import Sample
from pipelines.check import FALSE_WORDS, TRUE_WORDS

Kind = Literal["text", "integer", "decimal", "date", "timestamp", "boolean", "empty"]
NULLS = frozenset({"", "null", "none", "n/a", "na", "nan", "-", "#n/a", "#n/d", "nd"})
ENOUGH = 0.95
SHOWN = 5
DATES = ("%Y-%m-%d", "%d/%m/%Y", "%m/%d/%Y", "%d-%m-%Y", "%d.%m.%Y", "%Y/%m/%d", "%Y%m%d",
         "%d/%m/%y", "%m/%d/%y", "%d %b %Y", "%d %B %Y")  # fmt: skip
TIMES = ("%H:%M:%S", "%H:%M", "%H:%M:%S.%f", "%Hh%M", "%I:%M %p", "%I:%M:%S %p")
ISO = re.compile(
    r"\d{4}-\d\d-\d\d(?:(?P<time>[ T]\d\d:\d\d(?::\d\d(?:\.\d+)?)?)(?:Z|[+-]\d\d:?\d\d)?)?"
)
INTEGER = re.compile(r"[+-]?\d{1,18}")
DECIMAL_POINT = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")
DECIMAL_COMMA = re.compile(r"[+-]?\d+(,\d+)?")
GROUPED = re.compile(r"[+-]?\d{1,3}(?:([  \u00a0\u202f.,'’])\d{3})+(?:([.,])\d+)?")
PATTERNS = {
    "email": re.compile(r"[^@\s,;]+@[^@\s,;]+\.[A-Za-z]{2,}"),
    "phone": re.compile(
        r"(?:\+|00)\d[\d .()/-]{6,18}|0\d(?:[ .-]?\d\d){4}|\(\d{2,4}\) ?\d[\d .-]{4,12}"
    ),
    "url": re.compile(r"(?:https?://|www\.)\S+|/[\w./-]+"),
    "currency": re.compile(r"EUR|USD|GBP|CHF|CAD|BRL|JPY|MAD|TND|XOF|AUD|SEK|DKK|NOK|PLN|CZK"),
    "country": re.compile(r"[A-Z]{2}"),
    "siren": re.compile(r"\d{3} ?\d{3} ?\d{3}(?: ?\d{5})?"),
    "postcode": re.compile(r"\d{5}|\d{4}|[A-Z]{1,2}\d[A-Z\d]? \d[A-Z]{2}|\d{5}-\d{3,4}"),
    "salutation": re.compile(r"(?i)mme|m\.?|mr\.?|mlle|madame|monsieur|mrs\.?|ms\.?|dr\.?"),
    "uuid": re.compile(r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}|[0-9a-f]{32}"),
}  # fmt: skip


@dataclass(frozen=True)
class Profile:
    """One column of a sample.

    ``filled`` is the share of rows with a value, ``distinct`` counts different values, ``fits`` is
    the share of values that fit the type. ``formats`` are those that read a date or time, empty
    for ISO; ``is_ambiguous`` when day and month could change places.
    """

    name: str
    kind: Kind
    rows: int
    filled: float
    distinct: int
    fits: float
    samples: tuple[str, ...]
    pattern: str | None = None
    formats: tuple[str, ...] = ()
    is_ambiguous: bool = False
    decimal: str = "."
    thousands: str | None = None
    common: tuple[str, ...] = ()

    @property
    def is_unique(self) -> bool:
        return self.distinct >= 0.999 * self.rows * self.filled > 1


def profile_columns(sample: Sample, *, month_first: bool = False) -> dict[str, Profile]:
    """The profiles of all columns, those of lists within the rows included."""
    names = [*sample.columns, *(name for inner in sample.lists.values() for name in inner)]
    return {name: profile(name, sample.values(name), month_first=month_first) for name in names}


def profile(name: str, values: Sequence[str | None], *, month_first: bool = False) -> Profile:
    """The profile of one column's values."""
    known = [v.strip() for v in values if v is not None and v.strip().lower() not in NULLS]
    counts = Counter(known)
    kind, fits, details = _kind(list(counts), counts, month_first)
    return Profile(
        name=name,
        kind=kind,
        rows=len(values),
        filled=len(known) / len(values) if values else 0.0,
        distinct=len(counts),
        fits=fits,
        samples=tuple(value[:60] for value in list(counts)[:SHOWN]),
        pattern=_pattern(counts, len(known)) if kind not in ("date", "timestamp") else None,
        common=tuple(value for value, _ in counts.most_common(30)) if len(counts) <= 30 else (),
        **details,
    )


def _kind(
    values: list[str], counts: Counter[str], month_first: bool
) -> tuple[Kind, float, dict[str, Any]]:
    total = sum(counts.values())
    if not total:
        return "empty", 1.0, {}

    def share(fits: Callable[[str], object]) -> float:
        return sum(counts[value] for value in values if fits(value)) / total

    iso = share(ISO.fullmatch)
    if iso >= ENOUGH:
        with_time = any(":" in value for value in values)
        return ("timestamp" if with_time else "date"), iso, {}
    dated = _date(values, counts, total, month_first)
    if dated is not None:
        return dated
    words = {value.lower() for value in values}
    if words <= {*TRUE_WORDS, *FALSE_WORDS} and len(words) == 2 and words != {"m", "f"}:
        return "boolean", 1.0, {}
    if any(value[:1] == "0" and len(value) > 1 and value.isdigit() for value in values):
        return "text", 1.0, {}
    if (fits := share(INTEGER.fullmatch)) >= ENOUGH:
        return "integer", fits, {}
    if (fits := share(DECIMAL_POINT.fullmatch)) >= ENOUGH:
        return "decimal", fits, {}
    if (fits := share(DECIMAL_COMMA.fullmatch)) >= ENOUGH:
        return "decimal", fits, {"decimal": ","}
    grouped = [match for value in values if (match := GROUPED.fullmatch(value))]
    if grouped:
        marks = Counter(match.group(1) for match in grouped)
        thousands = marks.most_common(1)[0][0]
        ends = [match.group(2) for match in grouped if match.group(2)]
        decimal = ends[0] if ends else ("," if thousands != "," else ".")
        plain = DECIMAL_COMMA if decimal == "," else DECIMAL_POINT
        fits = share(lambda value: GROUPED.fullmatch(value) or plain.fullmatch(value))
        if fits >= ENOUGH and thousands != decimal:
            thousands = " " if thousands in "\u00a0\u202f" else thousands
            return "decimal", fits, {"decimal": decimal, "thousands": thousands}
    return "text", 1.0, {}


def _date(
    values: list[str], counts: Counter[str], total: int, month_first: bool
) -> tuple[Kind, float, dict[str, Any]] | None:
    """A date or a time in one of the usual formats, where nearly all values fit one."""
    probe = values[:500]
    first = probe[0]
    if not first[:1].isdigit() or not (len(first) == 8 or any(c in first for c in "/-. ")):
        return None
    fitting: list[tuple[float, str]] = []
    separators = ("", " ", "T") if any(":" in value or "h" in value for value in probe) else ("",)
    for day in DATES:
        for separator in separators:
            for time in TIMES if separator else ("",):
                form = f"{day}{separator}{time}"
                if not sum(_fits(value, form) for value in probe[:10]):
                    continue
                good = sum(counts[value] for value in probe if _fits(value, form))
                share = good / max(1, sum(counts[value] for value in probe))
                if share >= ENOUGH:
                    fitting.append((share, form))
    if not fitting:
        return None
    best = max(share for share, _ in fitting)
    forms = [form for share, form in fitting if share >= best - 0.001]
    swapped = {form for form in forms if form.startswith("%m")}
    is_ambiguous = bool(swapped) and any(form.startswith("%d") for form in forms)
    chosen = next(
        (form for form in forms if form.startswith("%m") == (month_first and is_ambiguous)),
        forms[0],
    )
    kind: Kind = "timestamp" if "%H" in chosen or "%I" in chosen else "date"
    formats = () if chosen == "%Y-%m-%d" else (chosen,)
    return kind, best, {"formats": formats, "is_ambiguous": is_ambiguous}


def _fits(value: str, form: str) -> bool:
    try:
        found = datetime.strptime(value, form)  # noqa: DTZ007
    except ValueError:
        return False
    return 1850 <= found.year <= 2100


def _pattern(counts: Counter[str], total: int) -> str | None:
    if not total:
        return None
    for name, pattern in PATTERNS.items():
        fits = sum(count for value, count in counts.items() if pattern.fullmatch(value))
        if fits >= (0.7 if name in ("email", "phone") else 0.9) * total:
            return name
    return None
