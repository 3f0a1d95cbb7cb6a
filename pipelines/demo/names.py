"""First names as frequent as in their years, last names with a long tail, e-mail addresses."""

from __future__ import annotations

from functools import cache

import numpy as np
import polars as pl

from pipelines.demo.columns import either
from pipelines.demo.randomness import Generator, Numbers, happens, weighted
from pipelines.demo.slips import plain
from pipelines.demo.vocabulary import table, words

_PROVIDERS = [
    "monmail.example",
    "orage.example",
    "librenet.example",
    "hautmail.example",
    "clermail.example",
    "lapostale.example",
    "nuage.example",
    "neufbox.example",
]
_PROVIDER_WEIGHTS = np.array([34, 19, 13, 12, 8, 7, 5, 2])


def first_names(rng: Generator, is_woman: Numbers, birth_years: Numbers) -> pl.Series:
    """Drawn by gender and decade of birth."""
    known = table("first_names")
    peak, spread = known["peak_year"].to_numpy(), known["spread"].to_numpy()
    decades = np.clip(birth_years // 10 * 10, 1930, 2000)
    drawn = np.zeros(len(birth_years), dtype=np.int64)
    for decade in np.unique(decades):
        fashion = known["weight"].to_numpy() * np.exp(-(((decade + 5 - peak) / spread) ** 2) / 2)
        for woman in (False, True):
            gender = (known["gender"] == ("F" if woman else "M")).to_numpy()
            where = np.flatnonzero((decades == decade) & (is_woman == woman))
            drawn[where] = weighted(rng, np.where(gender, fashion, 0.0), len(where))
    return known["first_name"].gather(drawn)


@cache
def _last_names() -> tuple[pl.Series, Numbers]:
    """The common names, then composed rare ones, with their weights."""
    common = words("last_names")
    parts = table("last_name_parts")
    starts = parts.filter(pl.col("kind") == "start").select(start="part")
    ends = parts.filter(pl.col("kind") == "end").select(end="part")
    particles = pl.DataFrame({"particle": ["", "Le ", "La ", "De "], "odds": [76, 2, 1, 2]})
    finals = pl.DataFrame({"final": ["", "s", "e", "t"], "chance": [12, 3, 2, 2]})
    rare = (
        starts.join(ends, how="cross")
        .filter(pl.col("start").str.to_lowercase() != pl.col("end"))
        .join(finals, how="cross")
        .join(particles, how="cross")
        .with_row_index("rank")
        .select(
            name=pl.concat_str("particle", "start", "end", "final"),
            weight=pl.col("odds") * pl.col("chance") / ((pl.col("rank") * 7919) % 9973 + 60),
        )
        .unique("name", keep="first", maintain_order=True)
    )
    weights = 1.0 / (np.arange(len(common)) + 14) ** 0.75
    tail = rare["weight"].to_numpy()
    names = pl.concat([common.alias("name"), rare["name"]])
    return names, np.concatenate([weights / weights.sum() * 0.52, tail / tail.sum() * 0.48])


def last_names(rng: Generator, count: int) -> pl.Series:
    """About half are common names, the others are rare; a few are double-barrelled."""
    names, weights = _last_names()
    single = names.gather(weighted(rng, weights, count))
    second = names.gather(weighted(rng, weights, count))
    is_double = pl.Series(happens(rng, 0.022, count)) & (single != second)
    return either(is_double, pl.concat_str([single, second], separator="-"), single)


def slug(column: pl.Series, filler: str = "") -> pl.Series:
    """Small letters without accents, everything else replaced by ``filler``."""
    return plain(column).str.to_lowercase().str.replace_all(r"[^a-z0-9]+", filler)


def unique_addresses(local_parts: pl.Series, domains: pl.Series) -> pl.Series:
    """E-mail addresses told apart by a number where two people would choose the same."""
    frame = pl.DataFrame({"local": local_parts, "domain": domains})
    address = pl.concat_str(pl.col("local"), pl.lit("@"), pl.col("domain"))
    while True:
        frame = frame.with_columns(again=pl.int_range(pl.len()).over("local", "domain"))
        if frame["again"].max() in (0, None):
            return frame.select(address).to_series()
        frame = frame.with_columns(
            local=pl.when(pl.col("again") > 0)
            .then(pl.concat_str("local", pl.lit("."), pl.col("again") + 1))
            .otherwise("local")
        )


def personal_emails(
    rng: Generator, first: pl.Series, last: pl.Series, birth_years: Numbers
) -> pl.Series:
    """Private addresses; their domains end in .example, which nobody can own."""
    frame = pl.DataFrame(
        {
            "first": slug(first),
            "dashed": slug(first, "-"),
            "last": slug(last),
            "year": pl.Series(birth_years),
            "pattern": pl.Series(weighted(rng, np.array([34, 8, 12, 16, 10, 8, 7, 5]), len(first))),
            "number": pl.Series(rng.integers(1, 99, len(first))),
        }
    )
    first_, last_, short_year = pl.col("first"), pl.col("last"), pl.col("year") % 100
    patterns = [
        pl.concat_str(pl.col("dashed"), pl.lit("."), last_),
        pl.concat_str(first_, last_),
        pl.concat_str(first_.str.slice(0, 1), pl.lit("."), last_),
        pl.concat_str(first_, pl.lit("."), last_, short_year.cast(pl.String).str.zfill(2)),
        pl.concat_str(last_, pl.lit("."), first_),
        pl.concat_str(first_, pl.lit("_"), last_),
        pl.concat_str(first_.str.slice(0, 1), last_, "number"),
        pl.concat_str(first_, pl.col("year")),
    ]
    local = frame.select(
        pl.coalesce(
            pl.when(pl.col("pattern") == number).then(pattern)
            for number, pattern in enumerate(patterns)
        )
    ).to_series()
    domains = pl.Series(_PROVIDERS).gather(weighted(rng, _PROVIDER_WEIGHTS, len(first)))
    return unique_addresses(local, domains)
