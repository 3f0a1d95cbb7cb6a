"""Boosted trees beside the forecast of spend: what its errors had in common a horizon ago."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.ensemble import HistGradientBoostingRegressor

from models.value.histories import Window

__all__ = ["BoostedSpend", "learn_boosted"]

FloatArray = npt.NDArray[np.float64]

MOST_ROWS = 100_000
"""Customers that are learned from, at most, evenly spread."""

LEAST_EXPECTED = 1e-6
MOST_TIMES = 50.0
"""Who spent more than so many times what was expected counts as that."""

SHARE = 0.5
"""Of what the trees say, beside the forecast alone: their errors differ."""


@dataclass(frozen=True)
class BoostedSpend:
    """Trees that tell by how much a forecast of spend will be missed, and the level of all."""

    trees: HistGradientBoostingRegressor
    scale: float = 1.0
    """What makes the total that of the forecast: trees divide it otherwise, and no more."""

    def times(self, window: Window, expected: tuple[FloatArray, FloatArray, FloatArray]) -> Any:
        """What to multiply the expected value of each customer by."""
        return 1 - SHARE + SHARE * self.scale * self.trees.predict(_features(window, expected))


def learn_boosted(
    past: Window,
    expected_then: tuple[FloatArray, FloatArray, FloatArray],
    now: Window,
    expected: tuple[FloatArray, FloatArray, FloatArray],
) -> BoostedSpend:
    """Learn from a window whose horizon is over, for the one of now.

    Poisson regression of what was spent over what was expected, weighed by it: the forecast is the
    exposure. ``expected`` are the orders, value and probability of a forecast without its season.
    """
    value = expected_then[1]
    rows = np.flatnonzero(value > LEAST_EXPECTED)
    if len(rows) > MOST_ROWS:
        rows = rows[np.linspace(0, len(rows) - 1, MOST_ROWS).astype(np.intp)]
    spent = np.maximum(past.later_revenue[rows], 0) / value[rows]
    trees = HistGradientBoostingRegressor(
        loss="poisson",
        max_iter=60,
        learning_rate=0.05,
        min_samples_leaf=60,
        l2_regularization=10,
        early_stopping=False,
        random_state=0,
    ).fit(
        _features(past, expected_then)[rows],
        np.minimum(spent, MOST_TIMES),
        sample_weight=value[rows],
    )
    told = expected[1] * trees.predict(_features(now, expected))
    return BoostedSpend(trees, float(expected[1].sum() / max(told.sum(), 1e-9)))


def _features(window: Window, expected: tuple[FloatArray, FloatArray, FloatArray]) -> FloatArray:
    return np.column_stack(
        (
            window.orders,
            window.cut - window.last,
            window.cut - window.first,
            window.values[:, 1],
            window.year_orders,
            window.year_revenue,
            *expected,
        )
    )
