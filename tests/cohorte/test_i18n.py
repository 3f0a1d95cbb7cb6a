"""Texts are complete in both languages, and figures are written as each language writes them."""

from __future__ import annotations

import ast
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from string import Formatter

import pytest

from cohorte import i18n
from cohorte.i18n import (
    LANGUAGES,
    TRANSLATED_PACKAGES,
    format_change,
    format_compact,
    format_date,
    format_datetime,
    format_enumeration,
    format_money,
    format_month,
    format_number,
    format_percent,
    is_translated,
    language_of,
    read_catalog,
    source_messages,
    translator,
    update_catalog,
)

ROOT = Path(__file__).resolve().parents[2]


def _forms(text: str | tuple[str, ...] | list[str]) -> list[str]:
    return [text] if isinstance(text, str) else list(text)


def _names(text: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(text) if name is not None}


@pytest.mark.parametrize("package", TRANSLATED_PACKAGES)
def test_every_text_of_the_sources_is_in_the_french_catalogue_and_no_other(package: str) -> None:
    in_sources = {
        (_forms(message)[0], context) for message, context, _ in source_messages(ROOT / package)
    }
    in_catalogue = {
        (_forms(message.id)[0], message.context)
        for message in read_catalog("fr", package)
        if message.id
    }
    assert in_sources - in_catalogue == set(), f"run python -m cohorte.i18n {package}"
    assert in_catalogue - in_sources == set(), f"run python -m cohorte.i18n {package}"


@pytest.mark.parametrize("folder", ["cohorte/segments", "cohorte/kpis", "models/leads"])
def test_errors_that_reach_a_screen_can_be_told_in_french(folder: str) -> None:
    plain = [
        f"{path.name}:{call.lineno}"
        for path in (ROOT / folder).rglob("*.py")
        for call in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(call, ast.Call)
        and ast.unparse(call.func) in ("CohorteError", "SettingsError")
        for text in [
            *call.args[:1],
            *(each.value for each in call.keywords if each.arg == "remedy"),
        ]
        if isinstance(text, ast.JoinedStr | ast.Constant)
    ]
    assert plain == [], "say them by cohorte.said.said"


@pytest.mark.parametrize("package", TRANSLATED_PACKAGES)
def test_every_text_is_translated_with_the_same_values_to_fill_in(package: str) -> None:
    for message in read_catalog("fr", package):
        if not message.id:
            continue
        assert is_translated(message.string), f"no French for {message.id!r}"
        assert not message.fuzzy, message.id
        asked = set().union(*(_names(form) for form in _forms(message.id)))
        for form in _forms(message.string):
            assert _names(form) <= asked, f"{form!r} fills in what {message.id!r} does not have"
        if isinstance(message.id, str) and isinstance(message.string, str):
            assert _names(message.string) == asked, f"{message.string!r} leaves out a value"


def test_packages_do_not_translate_one_text_in_two_ways() -> None:
    seen: dict[tuple[str, str | None], object] = {}
    for package in TRANSLATED_PACKAGES:
        for message in read_catalog("fr", package):
            if message.id:
                key = (_forms(message.id)[0], message.context)
                assert seen.setdefault(key, message.string) == message.string, key


def test_a_text_is_found_in_french_and_stays_as_it_is_in_english() -> None:
    assert translator("fr")("All customers.") == "Tous les clients."
    assert translator("en")("All customers.") == "All customers."
    assert translator("fr")("A text that nobody translated") == "A text that nobody translated"
    assert translator("fr")("") == ""


def test_values_fill_a_text_and_are_not_read_as_texts() -> None:
    assert translator("en")("Customers {who}.", who="{who} {0}") == "Customers {who} {0}."
    assert translator("en")("50% of {x}") == "50% of {x}"


@pytest.mark.parametrize(
    ("language", "count", "said"),
    [
        ("en", 0, "0 days"),
        ("en", 1, "1 day"),
        ("en", 1500, "1,500 days"),
        ("fr", 0, "0 jour"),
        ("fr", 1, "1 jour"),
        ("fr", 2, "2 jours"),
    ],
)
def test_each_language_has_its_plurals(
    language: str, count: int, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from babel.messages.catalog import Catalog

    catalog = Catalog(locale="fr")
    catalog.add(("{count} day", "{count} days"), ("{count} jour", "{count} jours"))
    monkeypatch.setattr(i18n, "_merged_catalog", lambda code: catalog if code == "fr" else None)
    say = i18n.Translator(language)
    assert say.ngettext("{count} day", "{count} days", count) == said


def test_the_update_adds_new_texts_and_drops_those_gone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(i18n, "_LOCALE_DIR", tmp_path / "locale")
    source = tmp_path / "screens" / "home.py"
    source.parent.mkdir()
    source.write_text('a = _("One")\nb = N_("Two")\nc = _.ngettext("{count} x", "{count} xs", 3)\n')
    assert update_catalog("fr", "screens", source.parent) == 3
    source.write_text('a = _("One")\nd = _.pgettext("verb", "Order")\n')
    assert update_catalog("fr", "screens", source.parent) == 2
    kept = {(message.id, message.context) for message in read_catalog("fr", "screens")}
    assert kept == {("", None), ("One", None), ("Order", "verb")}
    first = i18n.catalog_path("fr", "screens").read_bytes()
    update_catalog("fr", "screens", source.parent)
    assert i18n.catalog_path("fr", "screens").read_bytes() == first


def test_a_language_we_do_not_speak_is_answered_in_english() -> None:
    assert [language_of(code) for code in ("fr-CA", "fr_FR", "FR", "en-US", "de", "", None)] == [
        "fr",
        "fr",
        "fr",
        "en",
        "en",
        "en",
        "en",
    ]
    assert set(LANGUAGES) == {"en", "fr"}


def _plain(text: str) -> str:
    return text.replace("\u00a0", " ").replace("\u202f", " ")


def test_figures_are_written_in_each_language() -> None:
    amount = Decimal("-1234.5")
    written = {
        language: [
            format_number(1234567.891, language, 2),
            format_number(Decimal("0.5"), language),
            format_compact(1_234_567, language),
            format_money(amount, "EUR", language),
            format_money(amount, "BRL", language, 0),
            format_money(1000, "JPY", language),
            format_percent(Decimal("0.1234"), language),
            format_change(0.051, language),
            format_change(-0.051, language),
            format_change(0.012, language, "points"),
            format_change(-3, language, "number", 0),
            format_money(Decimal("-0.11"), "EUR", language, 0),
            format_percent(-0.001, language, 0),
            format_enumeration(["a", "b", "c"], language, either=True),
        ]
        for language in LANGUAGES
    }
    assert [_plain(text) for text in written["en"]] == [
        "1,234,567.89",
        "0",
        "1.2M",
        "-€1,234.50",
        "-R$1,234",
        "JP¥1,000",
        "12.3%",
        "+5.1%",
        "-5.1%",
        "+1.2 pt",
        "-3",
        "€0",
        "0%",
        "a, b or c",
    ]
    assert [_plain(text) for text in written["fr"]] == [
        "1 234 567,89",
        "0",
        "1,2 M",
        "-1 234,50 €",
        "-1 234 R$",
        "1 000 JPY",
        "12,3 %",
        "+5,1 %",
        "-5,1 %",
        "+1,2 pt",
        "-3",
        "0 €",
        "0 %",
        "a, b ou c",
    ]
    assert " " not in "".join(written["fr"][:-1])


def test_a_figure_that_is_not_there_is_said_not_to_be() -> None:
    for missing in (None, float("nan"), Decimal("nan")):
        assert format_number(missing, "en") == "n/a"
        assert format_money(missing, "EUR", "fr") == "n/d"
        assert format_percent(missing, "fr") == "n/d"
        assert format_change(missing, "en") == "n/a"
        assert format_compact(missing, "fr") == "n/d"
    assert format_date(None, "en") == format_datetime(None, "fr", "UTC") == "–"


def test_days_and_instants_are_written_in_each_language_and_the_companys_time() -> None:
    first = date(2026, 10, 1)
    assert format_date(first, "en") == "1 Oct 2026"
    assert format_date(first, "fr") == "1er oct. 2026"
    assert format_date(first, "fr", "full") == "jeudi 1er octobre 2026"
    assert format_date(date(2026, 10, 11), "fr", "long") == "11 octobre 2026"
    assert format_date(first, "fr", "short") == "01/10/2026"
    assert format_month(first, "fr") == "octobre 2026"
    naive = datetime(2026, 10, 31, 23, 30)  # noqa: DTZ001
    for instant in (naive, naive.replace(tzinfo=UTC)):
        assert format_datetime(instant, "en", "Europe/Paris") == "1 Nov 2026, 00:30"
        assert format_datetime(instant, "fr", "America/Sao_Paulo") == "31 oct. 2026, 20:30"
