"""What a score would be if values were other, told by what serves, within what it has seen."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl

from models.encoding import OTHER, FeatureEncoder

__all__ = ["MOST_LEVERS", "Lever", "Told", "WhatIf", "levers_of", "with_values"]

MOST_LEVERS = 6
"""Values offered to try, the weightiest."""

Value = float | str | bool | None


@dataclass(frozen=True)
class Lever:
    """A value to try others of: how it is, and what was seen when the score was learned.

    Without ``low`` and ``high`` that was not written down.
    """

    name: str
    value: Value
    kind: Literal["number", "category", "flag"] = "number"
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Told:
    """What is told with some values: the probability, its reasons, and what hangs on it."""

    probability: float
    reasons: list[dict[str, Any]]
    figures: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class WhatIf:
    """One person's score, to be told again with other values."""

    levers: tuple[Lever, ...]
    tell: Callable[[Mapping[str, Value]], Told]
    """The score with the values of some levers replaced; with none, as it is."""


def levers_of(
    encoder: FeatureEncoder,
    row: pl.DataFrame,
    contributions: npt.NDArray[np.float64],
    leave_out: Collection[str] = (),
) -> list[Lever]:
    """What may be tried of the one row that was scored, the weightiest first."""
    order = np.argsort(-np.abs(contributions), kind="stable")
    found = []
    for feature in (encoder.features[at] for at in order):
        if feature.name in leave_out or feature.name not in row.columns:
            continue
        column = row[feature.name]
        value = column[0]
        if feature.kind == "category":
            known = [name for name in feature.categories if name != OTHER]
            own = [] if value is None or str(value) in known else [str(value)]
            choices = tuple(sorted(known) + own)
            found.append(Lever(feature.name, value, "category", choices=choices))
        elif column.dtype == pl.Boolean:
            found.append(Lever(feature.name, value, "flag"))
        else:
            number = None if value is None else float(value)
            found.append(Lever(feature.name, number, "number", *feature.seen))
    return found[:MOST_LEVERS]


def with_values(row: pl.DataFrame, values: Mapping[str, Value]) -> pl.DataFrame:
    """The row with some values replaced, each of its column's type; a type of text counts."""
    return row.with_columns(
        pl.lit(value).cast(row.schema[name], strict=False).alias(name)
        for name, value in values.items()
    )
