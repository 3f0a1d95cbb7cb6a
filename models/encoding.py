"""Rows of a table to a matrix of numbers: numbers as they are, categories as codes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Self

import numpy as np
import numpy.typing as npt
import polars as pl

__all__ = ["OTHER", "EncodedFeature", "FeatureEncoder", "Kind", "kind_of"]

FloatArray = npt.NDArray[np.float64]
Kind = Literal["category", "number"]

OTHER = "(other)"
"""The category of the values too rare to be counted on their own."""

MAX_CATEGORIES = 120

_NUMBERS = frozenset({
    "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "HUGEINT", "UTINYINT", "USMALLINT",
    "UINTEGER", "UBIGINT", "FLOAT", "DOUBLE", "DECIMAL",
})  # fmt: skip


def kind_of(duckdb_type: str) -> Kind:
    """Whether a column of a DuckDB type is read as a number or as a category."""
    return "number" if duckdb_type.split("(")[0].upper() in _NUMBERS else "category"


@dataclass(frozen=True)
class EncodedFeature:
    """A feature as a column of numbers; a category's code is its place in ``categories``."""

    name: str
    kind: Kind
    categories: tuple[str, ...] = ()
    seen: tuple[float, ...] = ()
    """Of a number, the least and the largest that was learned from."""


@dataclass(frozen=True)
class FeatureEncoder:
    """A frame to a matrix: numbers as they are, categories as codes, missing as NaN.

    Values seen fewer than ``min_rows`` times in training, and those never seen, share the
    category ``(other)``. Columns that say the same of every row are left out.
    """

    features: tuple[EncodedFeature, ...]

    @classmethod
    def fit(
        cls,
        frame: pl.DataFrame,
        kinds: Mapping[str, Kind],
        min_rows: int = 20,
        max_categories: int = MAX_CATEGORIES,
    ) -> Self:
        """Learn the categories of the columns in ``kinds`` from the rows alone.

        ``max_categories`` bounds those that are counted on their own; an estimator needs one bin
        more, for the others.
        """
        encoded = []
        for name, kind in kinds.items():
            column = frame[name]
            if kind == "number":
                if column.n_unique() > 1:
                    known = column.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
                    seen = (float(known.min()), float(known.max())) if len(known) else ()
                    encoded.append(EncodedFeature(name, "number", seen=seen))
                continue
            counts = (
                column.drop_nulls().value_counts().sort(["count", name], descending=[True, False])
            )
            is_own = (pl.col("count") >= min_rows) & (pl.col(name) != OTHER)
            frequent = counts.filter(is_own)[name]
            kept = tuple(str(value) for value in frequent.head(max_categories))
            rare = counts.height > len(kept)
            groups = len(kept) + rare + (column.null_count() > 0)
            if groups > 1:
                encoded.append(EncodedFeature(name, "category", (*kept, OTHER)))
        return cls(tuple(encoded))

    @property
    def names(self) -> list[str]:
        return [feature.name for feature in self.features]

    @property
    def categorical(self) -> list[int]:
        """Positions of the columns that hold category codes."""
        return [at for at, feature in enumerate(self.features) if feature.kind == "category"]

    def encode(self, frame: pl.DataFrame) -> FloatArray:
        """One row per row, one column per feature; a column that is not there is missing."""
        matrix = np.full((frame.height, len(self.features)), np.nan)
        for at, feature in enumerate(self.features):
            if feature.name not in frame.columns:
                continue
            column = frame[feature.name]
            if feature.kind == "category":
                codes = {value: float(code) for code, value in enumerate(feature.categories)}
                column = column.replace_strict(
                    codes, default=codes[OTHER], return_dtype=pl.Float64
                ).set(column.is_null(), None)
            matrix[:, at] = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        return matrix

    def as_json(self) -> list[dict[str, Any]]:
        return [
            {
                "name": item.name,
                "kind": item.kind,
                "categories": list(item.categories),
                "seen": list(item.seen),
            }
            for item in self.features
        ]

    @classmethod
    def from_json(cls, content: Sequence[Mapping[str, Any]]) -> Self:
        return cls(
            tuple(
                EncodedFeature(
                    item["name"],
                    item["kind"],
                    tuple(item["categories"]),
                    tuple(item.get("seen", ())),
                )
                for item in content
            )
        )
