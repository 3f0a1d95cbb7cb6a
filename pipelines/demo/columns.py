"""Columns made of two others."""

from __future__ import annotations

import polars as pl

from pipelines.demo.randomness import Flags

Column = pl.Series | pl.Expr | str


def either(flags: Flags | pl.Series, one: Column, other: Column | None = None) -> pl.Series:
    """The value of one where the flag is set, else of the other, else nothing; text is itself."""
    first = pl.lit(one) if isinstance(one, str) else one
    second = pl.lit(other) if isinstance(other, str) else other
    return pl.select(pl.when(pl.Series(flags)).then(first).otherwise(second)).to_series()
