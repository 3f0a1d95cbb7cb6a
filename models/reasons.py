"""Reasons of scores as they are stored: additive contributions with the values, as JSON."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["POINTS_FEATURE", "reasons_json"]

FloatArray = npt.NDArray[np.float64]

REASONS_PER_SIDE = 3
LEAST_REASON = 0.0005

POINTS_FEATURE = "points"
"""The reason that a row meets a rule of the company, or does not."""


def reasons_json(
    contributions: FloatArray,
    names: list[str],
    values: pl.DataFrame,
    rules: Mapping[str, Any] | None = None,
) -> pl.Series:
    """The strongest reasons up, then down, of each row, as JSON.

    ``values`` has a column per name. What is in ``rules`` is told as points of a rule by its name.
    """
    rules = rules or {}
    count = len(contributions)
    if not names:
        return pl.Series(["[]"]).new_from_index(0, count)
    order = np.argsort(-contributions, axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(len(names))[None, :], axis=1)
    from_below = len(names) - 1 - place
    told = ((contributions > LEAST_REASON) & (place < REASONS_PER_SIDE)) | (
        (contributions < -LEAST_REASON) & (from_below < REASONS_PER_SIDE)
    )
    frames = []
    for at, name in enumerate(names):
        rows = np.flatnonzero(told[:, at])
        side = np.where(contributions[rows, at] > 0, place[rows, at], 1000 + from_below[rows, at])
        frames.append(
            pl.DataFrame(
                {
                    "row": rows,
                    "rank": side,
                    "reason": pl.Series(
                        _texts(
                            name,
                            values[name].gather(rows),
                            contributions[rows, at],
                            rules.get(name),
                        ),
                        dtype=pl.String,
                    ),
                }
            )
        )
    texts = (
        pl.concat(frames)
        .sort("row", "rank")
        .group_by("row", maintain_order=True)
        .agg(pl.col("reason").str.join(", "))
    )
    joined = pl.DataFrame({"row": np.arange(count)}).join(texts, on="row", how="left")
    return "[" + joined.sort("row")["reason"].fill_null("") + "]"


def _texts(
    name: str, values: pl.Series, contributions: FloatArray, rule: Mapping[str, Any] | None
) -> list[str]:
    head, tail = f'"feature": {json.dumps(name)}', ""
    if rule is not None:
        head = f'"feature": "{POINTS_FEATURE}"'
        tail = f', "rule": {json.dumps(rule["name"], ensure_ascii=False)}'
        values = values * rule["points"]
    distinct: dict[Any, str] = {value: _json_value(value) for value in values.unique().to_list()}
    return [
        f'{{{head}, "value": {distinct[value]}, "contribution": {contribution:.6f}{tail}}}'
        for value, contribution in zip(values.to_list(), contributions.tolist(), strict=True)
    ]


def _json_value(value: Any) -> str:
    if isinstance(value, float):
        value = int(value) if value.is_integer() else value if math.isfinite(value) else None
    return json.dumps(value, ensure_ascii=False)
