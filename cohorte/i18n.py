"""Texts and figures in the reader's language.

English is the language of the sources: a text stands in the code as ``_("Customers")`` and is its
own key. French is in ``locale/fr/<package>.po``, one file per package, read as it is when first
asked for: no compiled file to build, commit or forget.
``python -m cohorte.i18n [PACKAGE ...]`` brings the catalogues up to the sources; a test fails while
a text lacks its translation.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from babel import Locale, dates, lists, numbers
from babel.messages.catalog import Catalog
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po, write_po

Number = int | float | Decimal
Language = Literal["en", "fr"]

LANGUAGES: tuple[Language, ...] = ("en", "fr")
SOURCE_LANGUAGE: Language = "en"
TRANSLATED_PACKAGES = ("cohorte", "dashboards", "flows", "models", "pipelines")

_LOCALE_DIR = Path(__file__).resolve().parent / "locale"
_LOCALES = {"en": Locale("en", "GB"), "fr": Locale("fr", "FR")}
_KEYWORDS = {"_": None, "N_": None, "said": None, "ngettext": (1, 2), "pgettext": ((1, "c"), 2)}
_MISSING = "–"


class Translator:
    """The texts of one language. Call it with an English text; values fill ``{names}``.

    A text without translation stays English.
    """

    def __init__(self, language: str) -> None:
        self.language = language_of(language)
        self._catalog = _merged_catalog(self.language)

    def __call__(self, message: str, **values: object) -> str:
        return _filled(self._find(message) or message, values)

    def ngettext(self, singular: str, plural: str, count: int, **values: object) -> str:
        """The form for a count; ``{count}`` is filled in the language's way."""
        values = {"count": format_number(count, self.language), **values}
        forms = None if self._catalog is None else self._catalog.get(singular)
        if forms is not None and isinstance(forms.string, tuple | list) and all(forms.string):
            return _filled(forms.string[_plural_form(self.language, count)], values)
        return _filled(singular if count == 1 else plural, values)

    def pgettext(self, context: str, message: str, **values: object) -> str:
        """A text that means different things in different places, told apart by context."""
        return _filled(self._find(message, context) or message, values)

    def _find(self, message: str, context: str | None = None) -> str | None:
        if self._catalog is None or not message:
            return None
        found = self._catalog.get(message, context)
        return found.string if found is not None and isinstance(found.string, str) else None


def N_(message: str) -> str:  # noqa: N802
    """Mark a text for the catalogues where it is declared, to be translated where it is shown."""
    return message


@cache
def translator(language: str) -> Translator:
    """The texts of a language; English when it has no catalogue."""
    return Translator(language)


def language_of(asked: str | None) -> Language:
    """The language to answer in for a code such as ``fr-CA``; English when it is not ours."""
    code = (asked or "").replace("_", "-").split("-")[0].lower()
    return "fr" if code == "fr" else SOURCE_LANGUAGE


def not_available(language: str) -> str:
    """What stands for a figure that has no value, such as a ratio over nothing."""
    return "n/d" if language_of(language) == "fr" else "n/a"


def format_number(value: Number | None, language: str, decimals: int = 0) -> str:
    """A number with exactly ``decimals`` decimals, rounded half to even."""
    if value is None or _is_nan(value):
        return not_available(language)
    value = _no_minus_zero(value, decimals)
    return str(
        numbers.format_decimal(value, _decimals("#,##0", decimals), locale=_locale(language))
    )


def _no_minus_zero(value: Number, decimals: int) -> Number:
    """What rounds to nothing is 0, not -0."""
    return 0 if round(value, decimals) == 0 else value


def format_compact(value: Number | None, language: str) -> str:
    """A large number in short, such as 1.2M, for axes and tiles."""
    if value is None or _is_nan(value):
        return not_available(language)
    return str(
        numbers.format_compact_decimal(
            value, format_type="short", locale=_locale(language), fraction_digits=1
        )
    )


def format_money(
    value: Number | None, currency: str, language: str, decimals: int | None = None
) -> str:
    """An amount with its currency; ``decimals`` defaults to the currency's own."""
    if value is None or _is_nan(value):
        return not_available(language)
    locale = _locale(language)
    if decimals is None:
        return str(numbers.format_currency(value, currency, locale=locale))
    value = _no_minus_zero(value, decimals)
    pattern = _decimals("#,##0", decimals)
    pattern = f"{pattern}\u00a0¤" if locale.language == "fr" else f"¤{pattern}"
    return str(
        numbers.format_currency(value, currency, pattern, locale=locale, currency_digits=False)
    )


def format_percent(share: Number | None, language: str, decimals: int = 1) -> str:
    """A share (0.123 is 12.3 %)."""
    if share is None or _is_nan(share):
        return not_available(language)
    share = _no_minus_zero(share, decimals + 2)
    pattern = _decimals("#,##0", decimals) + _percent_sign(language)
    return str(numbers.format_percent(share, pattern, locale=_locale(language)))


def format_change(
    change: Number | None,
    language: str,
    unit: Literal["ratio", "points", "number"] = "ratio",
    decimals: int = 1,
) -> str:
    """A change with its sign: a ratio (0.05 is +5.0 %), points of percentage, or a number."""
    if change is None or _is_nan(change):
        return not_available(language)
    plain = _decimals("#,##0", decimals)
    locale = _locale(language)
    if unit == "number":
        return str(numbers.format_decimal(change, f"+{plain};-{plain}", locale=locale))
    if unit == "points":
        points = Decimal(str(change)) * 100
        return str(numbers.format_decimal(points, f"+{plain};-{plain}", locale=locale)) + (
            "\u00a0pt" if abs(points) < 2 else "\u00a0pts"
        )
    plain += _percent_sign(language)
    return str(numbers.format_percent(change, f"+{plain};-{plain}", locale=locale))


DateLength = Literal["short", "medium", "long", "full"]


def format_date(day: date | None, language: str, length: DateLength = "medium") -> str:
    """A day, which has no time zone."""
    if day is None:
        return _MISSING
    text = str(dates.format_date(day, length, locale=_locale(language)))
    if language_of(language) == "fr" and length in ("medium", "long", "full"):
        return re.sub(r"(?<!\d)1 (?=\D)", "1er ", text, count=1)
    return text


def format_month(day: date | None, language: str) -> str:
    """The month of a day, such as October 2026."""
    if day is None:
        return _MISSING
    return str(dates.format_skeleton("yMMMM", day, locale=_locale(language)))


def format_datetime(
    instant: datetime | None, language: str, time_zone: str, length: DateLength = "medium"
) -> str:
    """An instant as the clock of the time zone shows it; a naive one is UTC. No seconds."""
    if instant is None:
        return _MISSING
    aware = instant if instant.tzinfo else instant.replace(tzinfo=UTC)
    local = aware.astimezone(ZoneInfo(time_zone))
    clock = dates.format_time(local, "HH:mm", locale=_locale(language))
    return f"{format_date(local.date(), language, length)}, {clock}"


def format_enumeration(items: Sequence[str], language: str, *, either: bool = False) -> str:
    """a, b and c; with `either`, a, b or c."""
    style: Literal["or", "standard"] = "or" if either else "standard"
    return str(lists.format_list(items, style=style, locale=_locale(language)))


def _locale(language: str) -> Locale:
    return _LOCALES[language_of(language)]


def _decimals(pattern: str, decimals: int) -> str:
    return f"{pattern}.{'0' * decimals}" if decimals else pattern


def _percent_sign(language: str) -> str:
    return "\u202f%" if language_of(language) == "fr" else "%"


def _is_nan(value: Number) -> bool:
    return math.isnan(value)


def _filled(text: str, values: dict[str, object]) -> str:
    return text.format(**values) if values else text


def _plural_form(language: Language, count: int) -> int:
    return int(abs(count) > 1) if language == "fr" else int(count != 1)


@cache
def _merged_catalog(language: Language) -> Catalog | None:
    if language == SOURCE_LANGUAGE:
        return None
    merged = Catalog(locale=language)
    for package in TRANSLATED_PACKAGES:
        for message in read_catalog(language, package):
            if message.id:
                merged[message.id] = message
    return merged


def catalog_path(language: str, package: str) -> Path:
    """Where a package's translations are kept."""
    return _LOCALE_DIR / language / f"{package}.po"


def read_catalog(language: str, package: str) -> Catalog:
    """A package's translations; empty when there is no file yet."""
    path = catalog_path(language, package)
    if not path.is_file():
        return Catalog(locale=language)
    return read_po(BytesIO(path.read_bytes()), locale=language)


def source_messages(package_dir: Path) -> Iterator[tuple[str | tuple[str, ...], str | None, str]]:
    """The texts a package marks for translation: text (or forms), context, and file name."""
    for name, _line, message, _comments, context in extract_from_dir(
        str(package_dir),
        method_map=[("**.py", "python")],
        keywords=_KEYWORDS,
        strip_comment_tags=True,
    ):
        yield message, context, str(name)


def update_catalog(language: str, package: str, package_dir: Path) -> int:
    """Add the package's new texts to its catalogue and drop those gone; count the untranslated."""
    template = Catalog(project="Cohorte")
    for message, context, _name in source_messages(package_dir):
        template.add(message, context=context)
    catalog = read_catalog(language, package)
    catalog.update(template, no_fuzzy_matching=True)
    catalog.obsolete.clear()
    path = catalog_path(language, package)
    path.parent.mkdir(parents=True, exist_ok=True)
    buffer = BytesIO()
    write_po(buffer, catalog, width=98, sort_output=True, omit_header=False, no_location=True)
    text = re.sub(
        r'^"(Project-Id-Version|POT-Creation-Date|PO-Revision-Date|Last-Translator|Language-Team|Generated-By'
        r"|Report-Msgid-Bugs-To)[^\n]*\n",
        "",
        buffer.getvalue().decode(),
        flags=re.MULTILINE,
    )
    text = text[text.index('msgid ""') :]
    path.write_text(text, encoding="utf-8")
    return sum(1 for message in catalog if message.id and not is_translated(message.string))


def is_translated(string: object) -> bool:
    """Whether a catalogue's entry holds its translation, in every form it needs."""
    return bool(string) and (isinstance(string, str) or (isinstance(string, tuple) and all(string)))


def main(packages: Sequence[str] = TRANSLATED_PACKAGES) -> None:
    """Bring the packages' catalogues up to the sources and say what is left to translate."""
    root = Path(__file__).resolve().parent.parent
    for language in LANGUAGES:
        if language == SOURCE_LANGUAGE:
            continue
        for package in packages:
            left = update_catalog(language, package, root / package)
            print(f"{catalog_path(language, package).name} ({language}): {left} to translate")


if __name__ == "__main__":
    main(sys.argv[1:] or TRANSLATED_PACKAGES)
