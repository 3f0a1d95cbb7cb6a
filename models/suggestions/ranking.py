"""How good lists of suggestions are, on what customers bought later."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy import sparse

__all__ = ["Ranking", "judge", "ndcg_of_each", "top_products"]

FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Means over customers who bought something to be found; coverage over products."""

    customers: int
    ndcg: float
    recall: float
    hit_rate: float
    coverage: float


def top_products(scores: FloatArray, size: int) -> npt.NDArray[np.intp]:
    """Columns of the best products of each row, the best first; ties by column.

    Products of score 0 or less, and those ruled out with minus infinity, may fill the end of a
    row: they are -1.
    """
    size = min(size, scores.shape[1])
    best = np.argpartition(-scores, size - 1, axis=1)[:, :size]
    best = np.sort(best, axis=1)
    values = np.take_along_axis(scores, best, axis=1)
    order = np.argsort(-values, axis=1, kind="stable")
    best = np.take_along_axis(best, order, axis=1)
    values = np.take_along_axis(values, order, axis=1)
    return np.where(values > 0, best, -1)


def judge(lists: npt.NDArray[np.intp], later: sparse.csr_matrix) -> Ranking:
    """Compare lists with what was bought later: binary relevance, at the lists' length.

    NDCG counts a product at place i for 1 / log2(i + 1) against the best list possible; recall is
    the share of the products bought later, of as many as a list can hold.
    """
    rows, found, reachable = _found(lists, later)
    shown = np.unique(lists[rows])
    return Ranking(
        len(rows),
        float(_ndcg(found, reachable).mean()),
        float((found.sum(axis=1) / reachable).mean()),
        float(found.any(axis=1).mean()),
        float((shown >= 0).sum() / later.shape[1]),
    )


def ndcg_of_each(lists: npt.NDArray[np.intp], later: sparse.csr_matrix) -> FloatArray:
    """NDCG of each customer who bought something to be found, in the order of rows."""
    _, found, reachable = _found(lists, later)
    return _ndcg(found, reachable)


def _found(
    lists: npt.NDArray[np.intp], later: sparse.csr_matrix
) -> tuple[npt.NDArray[np.intp], npt.NDArray[np.bool_], npt.NDArray[np.intp]]:
    """Rows that have something to be found, which of their places found it, how many could."""
    size = lists.shape[1]
    wanted = np.diff(later.indptr)
    rows = np.flatnonzero(wanted > 0)
    found = np.zeros((len(rows), size), dtype=bool)
    for at, row in enumerate(rows):
        found[at] = np.isin(lists[row], later.indices[later.indptr[row] : later.indptr[row + 1]])
    return rows, found, np.minimum(wanted[rows], size)


def _ndcg(found: npt.NDArray[np.bool_], reachable: npt.NDArray[np.intp]) -> FloatArray:
    gains = 1 / np.log2(np.arange(2, found.shape[1] + 2))
    best = np.cumsum(gains)[reachable - 1]
    return np.asarray((found * gains).sum(axis=1) / best, dtype=np.float64)
