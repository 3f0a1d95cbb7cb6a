"""What to suggest to whom: estimators that turn a matrix of purchases into a matrix of scores.

Rows are customers, columns are products, values are how much of it they bought, 0 for not at all.
``fit`` learns from one matrix; ``transform`` scores every product for the customers of another.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.extmath import randomized_svd
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["EaseScorer", "FactorScorer", "ItemItemScorer", "PopularityScorer"]

FloatArray = npt.NDArray[np.float64]


class _PurchaseScorer(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """What all share: non-negative purchases in, dense scores out."""

    def _purchases(self, X: Any, *, reset: bool) -> sparse.csr_matrix:  # noqa: N803
        X = validate_data(  # noqa: N806
            self, X, accept_sparse="csr", dtype=np.float64, reset=reset
        )
        purchases = sparse.csr_matrix(X)
        if purchases.nnz and purchases.data.min() < 0:
            raise ValueError("Negative values in data: purchases start at 0.")
        return purchases

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.positive_only = True
        return tags


class PopularityScorer(_PurchaseScorer):
    """The baseline to beat: products by how many customers bought them, the same for all.

    Attributes
    ----------
    buyers_ : ndarray of shape (n_products,)
    """

    buyers_: FloatArray

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Count the buyers of each product."""
        purchases = self._purchases(X, reset=True)
        self.buyers_ = np.asarray((purchases > 0).sum(axis=0), dtype=np.float64).ravel()
        return self

    def transform(self, X: Any) -> FloatArray:  # noqa: N803
        """The same score for every customer."""
        check_is_fitted(self)
        purchases = self._purchases(X, reset=False)
        return np.tile(self.buyers_, (purchases.shape[0], 1))


class _WeightScorer(_PurchaseScorer):
    """Scores are purchases times a matrix of weights between products."""

    weights_: Any
    """Shape (n_products, n_products): what having bought the row's adds to the column's."""

    def transform(self, X: Any) -> FloatArray:  # noqa: N803
        """The score of every product for each customer."""
        check_is_fitted(self)
        purchases = self._purchases(X, reset=False)
        return np.asarray(_dense(_binary(purchases) @ self.weights_), dtype=np.float64)


class ItemItemScorer(_WeightScorer):
    """Products bought by the same people: cosine between columns, damped for rare ones.

    Parameters
    ----------
    damping : float
        Buyers added to each product's count, so that few common buyers tell little.
    """

    def __init__(self, damping: float = 10.0) -> None:
        self.damping = damping

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Count common buyers."""
        bought = _binary(self._purchases(X, reset=True))
        common = (bought.T @ bought).tolil()
        sizes = common.diagonal()
        common.setdiag(0)
        scale = sparse.diags(1 / np.sqrt(sizes + self.damping))
        self.weights_ = sparse.csr_matrix(scale @ common.tocsr() @ scale)
        return self


class EaseScorer(_WeightScorer):
    """EASE: each product's purchases regressed on those of all others, in closed form.

    Steck (2019), Embarrassingly Shallow Autoencoders for Sparse Data. A product never explains
    itself. Products beyond the ``max_products`` most bought score 0.

    Parameters
    ----------
    penalty : float
        Ridge penalty: customers' worth of evidence against any link.
    max_products : int
        Products that enter; while fitting, memory is 8 bytes times its square, three times over.
    max_links : int
        Strongest links kept of each product.
    """

    def __init__(
        self, penalty: float = 200.0, max_products: int = 4000, max_links: int = 200
    ) -> None:
        self.penalty = penalty
        self.max_products = max_products
        self.max_links = max_links

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Invert the penalised matrix of common buyers."""
        bought = _binary(self._purchases(X, reset=True))
        count = bought.shape[1]
        buyers = np.asarray(bought.sum(axis=0)).ravel()
        order = np.argsort(-buyers, kind="stable")
        kept = np.sort(order[: min(self.max_products, count)])
        part = bought[:, kept]
        gram = np.asarray((part.T @ part).todense(), dtype=np.float64)
        gram[np.diag_indices_from(gram)] += self.penalty
        inverse = cho_solve(cho_factor(gram), np.eye(len(kept)))
        weights = inverse / -np.diag(inverse)
        np.fill_diagonal(weights, 0.0)
        self.products_ = kept
        self.weights_ = _strongest(weights, self.max_links)
        return self

    def transform(self, X: Any) -> FloatArray:  # noqa: N803
        """The score of every product for each customer; 0 for those that did not enter."""
        check_is_fitted(self)
        bought = _binary(self._purchases(X, reset=False))
        scores = np.zeros(bought.shape)
        scores[:, self.products_] = (bought[:, self.products_] @ self.weights_).todense()
        return scores

    def strongest_links(self, X: Any, products: npt.NDArray[np.intp]) -> npt.NDArray[np.intp]:  # noqa: N803
        """Of what each row bought, what speaks most for that row's product; -1 where nothing does.

        Ties go to the first column.
        """
        check_is_fitted(self)
        bought = _binary(self._purchases(X, reset=False))
        place = np.full(bought.shape[1], -1)
        place[self.products_] = np.arange(len(self.products_))
        found = np.full(bought.shape[0], -1, dtype=np.intp)
        entered = np.flatnonzero(place[products] >= 0)
        towards = sparse.csr_matrix(self.weights_.T)[place[products[entered]]]
        links = bought[entered][:, self.products_].multiply(towards).tocoo()
        best = np.lexsort((-links.col, links.data, links.row))
        best = best[links.data[best] > 0]
        found[entered[links.row[best]]] = self.products_[links.col[best]]
        return found


class FactorScorer(_PurchaseScorer):
    """Implicit factorisation: purchases projected on the strongest directions that they share.

    Parameters
    ----------
    n_components : int
    random_state : int
    """

    def __init__(self, n_components: int = 64, random_state: int = 0) -> None:
        self.n_components = n_components
        self.random_state = random_state

    def fit(self, X: Any, y: Any = None) -> Self:  # noqa: N803
        """Find the directions by a randomised singular value decomposition."""
        bought = _binary(self._purchases(X, reset=True))
        rank = max(1, min(self.n_components, min(bought.shape) - 1))
        _, _, directions = randomized_svd(bought, rank, random_state=self.random_state)
        self.components_ = np.asarray(directions)
        return self

    def transform(self, X: Any) -> FloatArray:  # noqa: N803
        """The projection of each customer's purchases."""
        check_is_fitted(self)
        bought = _binary(self._purchases(X, reset=False))
        return np.asarray((bought @ self.components_.T) @ self.components_)


def _binary(purchases: sparse.csr_matrix) -> sparse.csr_matrix:
    bought = purchases.copy()
    bought.data = (bought.data > 0).astype(np.float64)
    bought.eliminate_zeros()
    return bought


def _dense(matrix: Any) -> Any:
    return matrix.todense() if sparse.issparse(matrix) else matrix


def _strongest(weights: FloatArray, links: int) -> sparse.csr_matrix:
    """The largest weights of each row, whatever their sign."""
    if links < weights.shape[1]:
        weak = np.argpartition(-np.abs(weights), links, axis=1)[:, links:]
        np.put_along_axis(weights, weak, 0.0, axis=1)
    return sparse.csr_matrix(weights.astype(np.float32))
