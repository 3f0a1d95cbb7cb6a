"""Phone numbers and street addresses."""

from __future__ import annotations

import numpy as np
import polars as pl

from pipelines.demo.randomness import Generator, Numbers, scrambled, weighted
from pipelines.demo.vocabulary import table

_ZONES = {
    1: "75 77 78 91 92 93 94 95",
    2: "14 18 22 27 28 29 35 36 37 41 44 45 49 50 53 56 61 72 76 85",
    3: "02 08 10 21 25 39 51 52 54 55 57 58 59 60 62 67 68 70 71 80 88 89 90",
    4: "01 03 04 05 06 07 11 13 15 20 26 30 34 38 42 43 48 63 66 69 73 74 83 84",
}
_ZONE_OF_DEPARTMENT = {
    department: zone for zone, departments in _ZONES.items() for department in departments.split()
}
_COUNTRY_PREFIX = {"BE": "+32 4", "LU": "+352 6", "CH": "+41 7"}


def mobiles(count: int, offset: int) -> pl.Series:
    """Different French mobile numbers of ten digits."""
    body = scrambled(count, 100_000_000, 61_803_399, offset)
    # 07 00 to 07 29 are not given to people.
    prefix = np.where((body % 4 == 0) & (body >= 30_000_000), 7, 6)
    digits = pl.Series(body).cast(pl.String).str.zfill(8)
    return pl.select(pl.format("0{}{}", pl.Series(prefix), digits)).to_series()


def landlines(count: int, offset: int, postcodes: pl.Series) -> pl.Series:
    """Different French landline numbers of the zone that each postcode lies in."""
    zone = postcodes.str.slice(0, 2).replace_strict(_ZONE_OF_DEPARTMENT, default=5)
    body = scrambled(count, 90_000_000, 38_196_601, offset) + 10_000_000
    return pl.select(pl.format("0{}{}", zone, pl.Series(body))).to_series()


def foreign_phones(mobile: pl.Series, countries: pl.Series) -> pl.Series:
    """The numbers of people abroad begin with their country's code; French ones pass."""
    prefix = countries.replace_strict(_COUNTRY_PREFIX, default=None, return_dtype=pl.String)
    tail = mobile.str.slice(2)
    return pl.select(pl.coalesce(pl.concat_str(prefix, tail), mobile)).to_series()


def street_addresses(rng: Generator, count: int) -> pl.Series:
    streets = table("streets")
    street = streets["street"].gather(weighted(rng, streets["weight"].to_numpy(), count))
    number: Numbers = np.ceil(rng.gamma(1.1, 26, count)).astype(np.int64)
    suffix = pl.Series(["", " bis", " ter"]).gather(weighted(rng, np.array([93, 6, 1]), count))
    return pl.select(pl.format("{}{} {}", pl.Series(number), suffix, street)).to_series()
