"""Words the invented company is made of: names, places, products; curated by hand."""

from __future__ import annotations

from functools import cache
from importlib import resources

import polars as pl


@cache
def table(name: str) -> pl.DataFrame:
    """``<name>.csv`` of this folder; postcodes and names are text."""
    source = resources.files(__package__).joinpath(f"{name}.csv").read_bytes()
    return pl.read_csv(source, separator=";", schema_overrides={"postcode": pl.String})


@cache
def words(name: str) -> pl.Series:
    """The lines of ``<name>.txt`` of this folder."""
    text = resources.files(__package__).joinpath(f"{name}.txt").read_text(encoding="utf-8")
    return pl.Series(name, text.split("\n")[:-1], dtype=pl.String)
