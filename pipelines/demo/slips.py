"""The slips people make when they write down who somebody is.

Every function takes a column and gives one of the same length; ``rate`` is the share of values
touched. Missing values stay missing.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import polars as pl

from pipelines.demo.columns import either
from pipelines.demo.randomness import Flags, Generator, Numbers, happens, weighted
from pipelines.demo.vocabulary import table

PLACEHOLDER_PHONES = ["0000000000", "0600000000", "0102030405", "0999999999"]
PLACEHOLDER_EMAILS = ["aucun@monmail.example", "pasdemail@monmail.example", "test@test.example"]


def _at(column: pl.Series, where: Flags, change: Callable[[pl.Series], pl.Series]) -> pl.Series:
    """The column with the flagged values changed; ``change`` sees only those."""
    positions = np.flatnonzero(where)
    if not len(positions):
        return column
    changed = change(column.gather(positions))
    return column.clone().scatter(positions, changed)


def _spot(rng: Generator, lengths: Numbers, lowest: int) -> pl.Series:
    """A position within each text, from ``lowest`` to one before the last."""
    room = np.maximum(np.asarray(lengths) - lowest - 1, 1)
    return pl.Series((lowest + rng.random(len(room)) * room).astype(np.uint32))


def mistyped(column: pl.Series, rng: Generator, rate: float) -> pl.Series:
    """A letter lost, doubled, swapped with the next or hit beside; the first letter is safe."""

    def change(values: pl.Series) -> pl.Series:
        frame = pl.DataFrame(
            {
                "text": values,
                "spot": _spot(rng, values.str.len_chars().fill_null(0).to_numpy(), 1),
                "slip": pl.Series(weighted(rng, np.array([3, 2, 3, 2]), len(values))),
                "beside": pl.Series(list("aeiousrtnl")).gather(rng.integers(0, 10, len(values))),
            }
        )
        text, spot = pl.col("text"), pl.col("spot")
        before, here = text.str.slice(0, spot), text.str.slice(spot, 1)
        following, rest = text.str.slice(spot + 1, 1), text.str.slice(spot + 2)
        slipped = (
            pl.when(pl.col("slip") == 0)
            .then(before + following + rest)
            .when(pl.col("slip") == 1)
            .then(before + here + here + following + rest)
            .when(pl.col("slip") == 2)
            .then(before + following + here + rest)
            .otherwise(before + pl.col("beside") + following + rest)
        )
        can_slip = (text.str.len_chars() > 3) & ~here.str.contains(r"[@. ]")
        return frame.select(pl.when(can_slip).then(slipped).otherwise(text)).to_series()

    return _at(column, happens(rng, rate, len(column)), change)


def plain(column: pl.Series) -> pl.Series:
    """Without accents and ligatures."""
    return (
        column.str.replace_many(["œ", "Œ", "æ", "’"], ["oe", "OE", "ae", "'"])
        .str.normalize("NFD")
        .str.replace_all(r"\p{Mn}", "")
    )


def unaccented(column: pl.Series, rng: Generator, rate: float) -> pl.Series:
    return _at(column, happens(rng, rate, len(column)), plain)


def recased(column: pl.Series, rng: Generator, *, upper: float, lower: float) -> pl.Series:
    """Some values in capitals, some in small letters."""
    which = rng.random(len(column))
    column = _at(column, which < upper, lambda values: values.str.to_uppercase())
    return _at(
        column,
        (which >= upper) & (which < upper + lower),
        lambda values: values.str.to_lowercase(),
    )


def spaced(column: pl.Series, rng: Generator, rate: float) -> pl.Series:
    """A space too many, before or after."""
    before = happens(rng, 0.3, len(column))
    where = happens(rng, rate, len(column))
    column = _at(column, where & before, lambda values: " " + values)
    return _at(column, where & ~before, lambda values: values + " ")


def shortened(first_names: pl.Series, rng: Generator, rate: float) -> pl.Series:
    """Nicknames, initials, and compound names written otherwise."""
    nicknames = dict(table("nicknames").unique("first_name", keep="first").rows())
    first_names = _at(
        first_names,
        happens(rng, rate, len(first_names)),
        lambda values: values.replace(nicknames),
    )
    first_names = _at(
        first_names,
        happens(rng, rate / 4, len(first_names)),
        lambda values: values.str.slice(0, 1) + ".",
    )
    return _at(
        first_names,
        happens(rng, 0.25, len(first_names)),
        lambda values: values.str.replace("-", " ", literal=True),
    )


def swapped(
    first: pl.Series, last: pl.Series, rng: Generator, rate: float
) -> tuple[pl.Series, pl.Series]:
    """First and last name typed into each other's field."""
    where = happens(rng, rate, len(first))
    return either(where, last, first), either(where, first, last)


def written_emails(emails: pl.Series, rng: Generator, *, typos: float = 0.008) -> pl.Series:
    """E-mail addresses as people type them: in capitals, with a space, mistyped."""
    return spaced(recased(mistyped(emails, rng, typos), rng, upper=0.03, lower=0), rng, 0.012)


def written_phones(phones: pl.Series, rng: Generator, *, tidy: float = 0.0) -> pl.Series:
    """French numbers of ten digits in the shapes people use; foreign ones pass as they are."""
    digits = pl.col("phone")
    pairs = [digits.str.slice(start, 2) for start in range(0, 10, 2)]
    tail = digits.str.slice(1)
    shapes = [
        digits,
        pl.concat_str(pairs, separator=" "),
        pl.concat_str(pairs, separator="."),
        pl.concat_str(pairs, separator="-"),
        pl.lit("+33") + tail,
        pl.concat_str([pl.lit("+33 ") + digits.str.slice(1, 1), *pairs[1:]], separator=" "),
        pl.lit("0033") + tail,
        pl.concat_str([pl.lit("+33 (0)") + digits.str.slice(1, 1), *pairs[1:]], separator=" "),
    ]
    weights = np.array([30 + 1000 * tidy, 34, 10, 3, 12, 6, 2, 3])
    frame = pl.DataFrame({"phone": phones, "shape": pl.Series(weighted(rng, weights, len(phones)))})
    written = pl.coalesce(
        pl.when(pl.col("shape") == number).then(shape) for number, shape in enumerate(shapes)
    )
    is_french = digits.str.contains(r"^0\d{9}$")
    written_down = frame.select(pl.when(is_french).then(written).otherwise(digits)).to_series()
    return _at(
        written_down,
        happens(rng, 0.006, len(phones)),
        lambda values: values.str.slice(0, values.str.len_chars() - 1),
    )


def with_placeholders(
    column: pl.Series, rng: Generator, rate: float, placeholders: list[str]
) -> pl.Series:
    """What a hurried clerk types where a value is demanded."""
    picked = pl.Series(placeholders).gather(rng.integers(0, len(placeholders), len(column)))
    return either(happens(rng, rate, len(column)), picked, column)


def written_birth_dates(birth_dates: pl.Series, rng: Generator) -> pl.Series:
    """Day and month exchanged, a year off, or the first of January 1900 or 1970."""
    size = len(birth_dates)
    frame = pl.DataFrame({"born": birth_dates})
    born, roll = pl.col("born"), pl.Series(rng.random(size))
    exchanged = pl.date(born.dt.year(), born.dt.day().clip(1, 12), born.dt.month())
    return frame.select(
        pl.when((roll < 0.006) & (born.dt.day() <= 12))
        .then(exchanged)
        .when((roll >= 0.006) & (roll < 0.010))
        .then(pl.date(born.dt.year() - 1, born.dt.month(), born.dt.day().clip(1, 28)))
        .when((roll >= 0.010) & (roll < 0.016))
        .then(pl.date(1900, 1, 1))
        .when((roll >= 0.016) & (roll < 0.018))
        .then(pl.date(1970, 1, 1))
        .otherwise(born)
    ).to_series()


def written_addresses(addresses: pl.Series, rng: Generator) -> pl.Series:
    """Abbreviated, in capitals, with a comma after the number."""
    words = ["avenue ", "boulevard ", "place ", "rue ", "allée ", "chemin ", "impasse ", "Saint-"]
    short = ["av. ", "bd ", "pl. ", "r. ", "all. ", "ch. ", "imp. ", "St "]
    addresses = _at(
        addresses,
        happens(rng, 0.12, len(addresses)),
        lambda values: values.str.replace_many(words, short),
    )
    addresses = _at(
        addresses,
        happens(rng, 0.15, len(addresses)),
        lambda values: values.str.replace(r"^(\d+(?: bis| ter)?) ", "$1, "),
    )
    addresses = recased(addresses, rng, upper=0.18, lower=0.01)
    return unaccented(addresses, rng, 0.15)


def written_cities(cities: pl.Series, rng: Generator) -> pl.Series:
    """In capitals, without hyphens, Saint as St."""
    cities = _at(
        cities,
        happens(rng, 0.06, len(cities)),
        lambda values: values.str.replace("Saint-", "St ", literal=True),
    )
    cities = _at(
        cities,
        happens(rng, 0.10, len(cities)),
        lambda values: values.str.replace_all("-", " ", literal=True),
    )
    return unaccented(recased(cities, rng, upper=0.25, lower=0.01), rng, 0.2)
