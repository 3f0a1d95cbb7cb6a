from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from dashboards.language import Words, inside, preferred

FR, EN = Words("fr", "EUR", "Europe/Paris"), Words("en", "EUR", "Europe/Paris")


@pytest.mark.parametrize(
    ("browser", "company", "expected"),
    [("fr-CA", "en", "fr"), ("en-US", "fr", "en"), ("de-DE", "fr", "fr"), (None, None, "en")],
)
def test_the_browser_speaks_first_then_the_company(
    browser: str | None, company: str | None, expected: str
) -> None:
    assert preferred(browser, company) == expected


def test_amounts_lose_their_cents_from_a_thousand_up() -> None:
    assert EN.money(Decimal("999.9")) == "€999.90"
    assert EN.money(Decimal("1234.56")) == "€1,235"
    assert FR.money(Decimal("1234.56")).replace("\u202f", " ").replace("\xa0", " ") == "1 235 €"


def test_negative_figures_carry_a_true_minus() -> None:
    assert EN.money(Decimal("-22")).startswith("−")
    assert EN.change(-0.049) == "−4.9%"
    assert EN.change(0.21) == "+21%"


def test_little_but_there_is_not_said_to_be_nothing() -> None:
    assert EN.share(1, 1000) == "< 1%"
    assert EN.share(0, 1000) == "0%"
    assert EN.share(-1, 1000) == "0%"
    assert EN.share(1, 0) == "n/a"


def test_large_amounts_are_short_on_tiles() -> None:
    assert EN.tile_money(Decimal("13591643.70")) == "€13.6M"
    assert EN.tile_money(Decimal("37323")) == "€37,323"


def test_instants_are_told_on_the_clock_of_the_company() -> None:
    assert EN.clock(datetime(2026, 7, 1, 22, 30, tzinfo=UTC)) == "00:30"
    assert EN.local(datetime(2026, 7, 1, 22, 30, tzinfo=UTC)).date() == date(2026, 7, 2)


def test_lists_and_days_read_as_sentences() -> None:
    assert FR.list(["a", "b", "c"]) == "a, b et c"
    assert (FR.days(1), EN.days(12.4), EN.days(None)) == ("1 jour", "12 days", "–")


@pytest.mark.parametrize(
    ("name", "within"),
    [("Channel", "channel"), ("Segment RFM", "segment RFM"), ("RFM segment", "RFM segment")],
)
def test_a_name_within_a_sentence_begins_small_and_keeps_its_initials(
    name: str, within: str
) -> None:
    assert inside(name) == within
