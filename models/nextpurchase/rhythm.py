"""How long until the next order: what became of customers of a like rhythm and silence.

A history is three numbers per customer, in days, as in `models.value`: the orders after the first,
when the last of them came, and how long ago the first order was. The **rhythm** of a customer is
the mean of their gaps, drawn towards everyone's; the **silence** is the time since the last order,
in rhythms. Customers of the same class of orders and about the same silence form a cell; the time
that its members took to order again, in rhythms, is told by Kaplan and Meier's estimate, so that
those who have not ordered again yet count for as long as they were watched.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["RhythmScorer"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

COUNTS = (0.5, 1.5, 3.5, 7.5)
"""Classes of orders after the first: 0, 1, 2 and 3, 4 to 7, more."""

STEPS = 200
"""Points at which each cell's curve is kept, evenly spaced in probability of having ordered."""


class RhythmScorer(BaseEstimator):  # type: ignore[misc]
    """Days until the next order, by customers of a like rhythm and silence.

    Parameters
    ----------
    cells : int
        Classes of silence within each class of orders, at most.
    least : int
        Histories in a cell, at least; fewer classes are made where there are too few.
    own_gaps : float
        Everyone's mean gap counts as so many gaps of the customer's own. Infinite: all customers
        have the same rhythm, and silence is plain days.
    limit : float
        Days beyond which nothing is told.

    Attributes
    ----------
    mean_gap_ : float
        Everyone's, in days.
    edges_ : list of ndarray
        Per class of orders, the silences between its cells.
    curves_ : ndarray of shape (n_cells, STEPS + 1)
        Per cell, the time in rhythms by which 0, 1/STEPS, 2/STEPS, ... had ordered; infinite where
        not so many did while anyone was watched.
    """

    def __init__(
        self,
        *,
        cells: int = 12,
        least: int = 150,
        own_gaps: float = 1.0,
        limit: float = 364.0,
    ) -> None:
        self.cells = cells
        self.least = least
        self.own_gaps = own_gaps
        self.limit = limit

    def fit(self, X: Any, y: Any) -> Self:  # noqa: N803
        """Learn from histories and what came of them.

        Parameters
        ----------
        X : array-like of shape (n_customers, 3)
            Orders after the first, days from the first to the last, days since the first.
        y : array-like of shape (n_customers,)
            Days to the next order; below 0, the days watched without one.
        """
        X, y = validate_data(self, X, y, dtype=np.float64)  # noqa: N806
        orders, last, _ = _columns(X)
        gaps = orders.sum()
        self.mean_gap_ = float(last.sum() / gaps) if gaps > 0 and last.sum() > 0 else 1.0
        rhythm, silence, count = self._read(X)
        waited = np.abs(y) / rhythm
        self.edges_, curves = [], []
        for number in range(len(COUNTS) + 1):
            rows = np.flatnonzero(count == number)
            classes = int(np.clip(len(rows) // self.least, 1, self.cells))
            shares = np.arange(1, classes) / classes
            edges = np.unique(np.quantile(silence[rows], shares)) if len(rows) else np.empty(0)
            self.edges_.append(edges)
            place = np.searchsorted(edges, silence[rows], side="left")
            for cell in range(len(edges) + 1):
                inside = rows[place == cell]
                curves.append(_curve(waited[inside], y[inside] > 0))
        self.curves_ = np.array(curves)
        return self

    def predict(self, X: Any) -> FloatArray:  # noqa: N803
        """The median number of days to the next order; the limit where it lies beyond."""
        days = self.quantiles(X, (0.5,))[:, 0]
        return np.asarray(np.where(np.isfinite(days), days, self.limit))

    def quantiles(self, X: Any, shares: tuple[float, ...]) -> FloatArray:  # noqa: N803
        """Days by which those shares of like customers had ordered, a column each.

        Infinite beyond the limit, and where it cannot be told.
        """
        X = self._checked(X)  # noqa: N806
        rhythm, cell = self._placed(X)
        at = np.arange(STEPS + 1) / STEPS
        found = np.column_stack([
            rhythm * np.array([_between(share, at, curve) for curve in self.curves_])[cell]
            for share in shares
        ])  # fmt: skip
        found[found > self.limit] = np.inf
        return found

    def probability(self, X: Any, days: float) -> FloatArray:  # noqa: N803
        """The share of like customers who had ordered within so many days."""
        X = self._checked(X)  # noqa: N806
        rhythm, cell = self._placed(X)
        scaled = days / rhythm
        found = np.empty(len(X))
        order = np.argsort(cell, kind="stable")
        bounds = np.searchsorted(cell[order], np.arange(len(self.curves_) + 1))
        for number, curve in enumerate(self.curves_):
            rows = order[bounds[number] : bounds[number + 1]]
            reached = np.searchsorted(curve, scaled[rows], side="right") - 1
            found[rows] = np.clip(reached, 0, STEPS) / STEPS
        return found

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.positive_only = True
        return tags

    def _checked(self, X: Any) -> FloatArray:  # noqa: N803
        check_is_fitted(self)
        return np.asarray(validate_data(self, X, dtype=np.float64, reset=False))

    def _read(self, X: FloatArray) -> tuple[FloatArray, FloatArray, IntArray]:  # noqa: N803
        """Rhythm in days, silence in rhythms, class of orders."""
        orders, last, age = _columns(X)
        if np.isinf(self.own_gaps):
            rhythm = np.full(len(X), self.mean_gap_)
        else:
            rhythm = (last + self.own_gaps * self.mean_gap_) / (orders + self.own_gaps)
        silence = np.maximum(age - last, 0.0) / rhythm
        return rhythm, silence, np.searchsorted(COUNTS, orders)

    def _placed(self, X: FloatArray) -> tuple[FloatArray, IntArray]:  # noqa: N803
        rhythm, silence, count = self._read(X)
        cell = np.zeros(len(X), dtype=np.intp)
        first = 0
        for number, edges in enumerate(self.edges_):
            rows = count == number
            cell[rows] = first + np.searchsorted(edges, silence[rows], side="left")
            first += len(edges) + 1
        return rhythm, cell


def _columns(X: FloatArray) -> tuple[FloatArray, FloatArray, FloatArray]:  # noqa: N803
    if X.shape[1] != 3:
        raise ValueError("A history is three numbers: orders after the first, last order, age.")
    orders, last, age = np.maximum(X, 0.0).T
    return orders, last, age


def _curve(waited: FloatArray, ordered: npt.NDArray[np.bool_]) -> FloatArray:
    """Kaplan and Meier: the times by which each of STEPS + 1 shares had ordered."""
    at = np.arange(STEPS + 1) / STEPS
    times = np.unique(waited[ordered])
    if not len(times):
        return np.concatenate(([0.0], np.full(STEPS, np.inf)))
    watched = len(waited) - np.searchsorted(np.sort(waited), times, side="left")
    came = np.diff(np.append(np.searchsorted(np.sort(waited[ordered]), times), ordered.sum()))
    gone = 1 - np.cumprod(1 - came / watched)
    first = np.searchsorted(gone, at - 1e-12, side="left")
    found = np.where(first < len(times), times[np.minimum(first, len(times) - 1)], np.inf)
    found[0] = 0.0
    return np.asarray(found)


def _between(share: float, at: FloatArray, curve: FloatArray) -> float:
    """The curve at a share, straight between its points; infinite past its end."""
    place = int(np.ceil(share * STEPS - 1e-9))
    if not np.isfinite(curve[place]):
        return float("inf")
    return float(np.interp(share, at[: place + 1], curve[: place + 1]))
