"""Phone numbers read in SQL as the carriers' library reads them, whoever wrote them."""

from __future__ import annotations

import random

import duckdb
import phonenumbers
import pyarrow as pa
import pytest

from benchmarks.ingest import Macros
from pipelines.phones import PLANNED_COUNTRIES, declare, e164, numbering_plans

SHAPES = (
    phonenumbers.PhoneNumberFormat.E164,
    phonenumbers.PhoneNumberFormat.INTERNATIONAL,
    phonenumbers.PhoneNumberFormat.NATIONAL,
)
KINDS = (
    phonenumbers.PhoneNumberType.MOBILE,
    phonenumbers.PhoneNumberType.FIXED_LINE,
    phonenumbers.PhoneNumberType.TOLL_FREE,
)
MACROS = Macros("normalise_phone", phone_plans=numbering_plans(), country_code="FR")


def by_library(text: str, country: str) -> str | None:
    """What the library says of a text, asked as its documentation shows."""
    try:
        number = phonenumbers.parse(text, country)
    except phonenumbers.NumberParseException:
        return None
    if not phonenumbers.is_valid_number(number):
        return None
    return phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164)


def written(rng: random.Random, text: str) -> str:
    """A number as somebody may have written it: other signs, a digit more, less or wrong."""
    match rng.randrange(9):
        case 0:
            return text
        case 1:
            return text.replace(" ", rng.choice([".", "-", "", "/", "  "]))
        case 2:
            return text.replace("+", "00", 1)
        case 3:
            return text[: (place := rng.randrange(len(text)))] + text[place + 1 :]
        case 4:
            place = rng.randrange(len(text) + 1)
            return text[:place] + rng.choice("0123456789") + text[place:]
        case 5:
            place = rng.randrange(len(text))
            return text[:place] + rng.choice("0123456789") + text[place + 1 :]
        case 6:
            head, space, rest = text.partition(" ")
            return f"{head} (0){rest}" if text.startswith("+") and space else f"({head}) {rest}"
        case 7:
            return rng.choice(["Tel. {}", "{} ", " {}", "{} ext. 12", "{}/{}", "0{}"]).replace(
                "{}", text
            )
        case _:
            return "".join(rng.choice("0123456789") for _ in text)


def invented(count: int) -> list[tuple[str, str]]:
    """Texts with the country of their record: mostly its own, sometimes another."""
    rng = random.Random(3)
    regions = [*sorted(phonenumbers.SUPPORTED_REGIONS), *PLANNED_COUNTRIES * 20]
    found = []
    while len(found) < count:
        region = rng.choice(regions)
        example = phonenumbers.example_number_for_type(region, rng.choice(KINDS))
        if example is None:
            continue
        text = phonenumbers.format_number(example, rng.choice(SHAPES))
        country = region if rng.random() < 0.9 else rng.choice(regions)
        found.append((written(rng, written(rng, text)), country))
    return found


def by_sql(rows: list[tuple[str, str]], expression: str) -> list[str | None]:
    texts, countries = zip(*rows, strict=True)
    digits = MACROS.phone_digits("text", "country")
    with duckdb.connect() as connection:
        declare(connection)
        numbers = pa.table({"text": texts, "country": countries, "place": range(len(rows))})
        connection.register("numbers", numbers)
        return [
            value
            for (value,) in connection.execute(
                f"select {expression} from (select *, {digits} as digits from numbers)"
                " order by place"
            ).fetchall()
        ]


def check(count: int) -> None:
    rows = invented(count)
    answers = by_sql(rows, MACROS.normalise_phone("text", "digits", "country"))
    wrong = [
        (row, answer, by_library(*row))
        for row, answer in zip(rows, answers, strict=True)
        if answer != by_library(*row)
    ]
    assert wrong == []
    assert len({answer for answer in answers if answer}) > count / 20


def test_sql_gives_the_answers_of_the_library():
    check(6_000)


@pytest.mark.full
def test_sql_gives_the_answers_of_the_library_on_many_numbers():
    check(300_000)


def test_common_shapes_need_no_question():
    rows = [
        (phonenumbers.format_number(number, shape), region)
        for region in PLANNED_COUNTRIES
        for kind in KINDS[:2]
        for number in [phonenumbers.example_number_for_type(region, kind)]
        for shape in SHAPES
    ]
    proven = by_sql(rows, MACROS.proven_phone("digits", "country"))
    asked = [row for row, answer in zip(rows, proven, strict=True) if answer is None]
    assert {region for _, region in asked} <= {"BR", "LU"}
    assert len(asked) <= 3


def test_the_plans_of_every_country_are_patterns_that_sql_knows():
    plans = numbering_plans(phonenumbers.SUPPORTED_REGIONS)
    assert len(plans) > 200
    patterns = [plan[part] for plan in plans.values() for part in ("kinds", "general")]
    with duckdb.connect() as connection:
        for pattern in patterns:
            connection.execute(f"select regexp_full_match('1', '{pattern}')")


@pytest.mark.parametrize(
    ("text", "country", "usual", "answer"),
    [
        ("06\u202f12\u202f34\u202f56\u202f78", "FR", "FR", "+33612345678"),
        ("06 12 34 56 78", "ZZ", "FR", "+33612345678"),
        ("06 12 34 56 78", None, "FR", "+33612345678"),
        ("+48 512 345 678", "ZZ", None, "+48512345678"),
        ("512 345 678", "PL", "FR", "+48512345678"),
        ("01 00 00 00", "FR", "FR", None),
        ("not a number", "FR", "FR", None),
    ],
)
def test_a_country_that_is_not_known_gives_way_to_the_usual_one(text, country, usual, answer):
    assert e164(text, country, usual) == answer
