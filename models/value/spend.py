"""How much an order of a customer is worth: the gamma-gamma estimator of mean order values."""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from models.value.likelihood import LikelihoodScorer, maximise

__all__ = ["GammaGammaScorer"]

FloatArray = npt.NDArray[np.float64]


class GammaGammaScorer(LikelihoodScorer):
    """Order values vary around a mean of the customer's own, and those means vary between them.

    Values of orders are Gamma(p, nu), nu of a customer is Gamma(q, gamma). The fewer orders of a
    customer, the closer the forecast to everyone's mean. Fader, Hardie (2013), The Gamma-Gamma
    Model of Monetary Value, brucehardie.com note 025; Colombo, Jiang (1999).

    ``X`` has two columns: number of orders, and their mean value (both 0: nothing known).

    Attributes
    ----------
    p_, q_, gamma_ : float
    parameters_, standard_errors_ : ndarray of shape (3,)
    log_likelihood_ : float
    is_identified_ : bool

    Examples
    --------
    >>> import numpy as np
    >>> from models.value import GammaGammaScorer
    >>> rng = np.random.default_rng(0)
    >>> orders = rng.integers(1, 9, 3000)
    >>> rate = rng.gamma(4, 1 / 15, 3000)
    >>> X = np.column_stack((orders, rng.gamma(6 * orders, 1 / (rate * orders))))
    >>> scorer = GammaGammaScorer().fit(X)
    >>> [bool(low < value < high) for low, value, high in zip((5, 3, 10), scorer.parameters_, (7, 5, 20))]
    [True, True, True]
    """  # noqa: E501

    parameter_names = ("p", "q", "gamma")

    overall_mean_: float

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803
        """Estimate p, q and gamma from customers with at least one order of positive value.

        Raises
        ------
        ValueError
            When there is no such customer, or a value is negative.
        """
        X = self._values(X, reset=True)  # noqa: N806
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        known = (X[:, 0] > 0) & (X[:, 1] > 0) & (weight > 0)
        if not known.any():
            raise ValueError("No customer has an order of positive value.")
        order = np.lexsort((weight[known], X[known, 1], X[known, 0]))
        orders, mean = X[known][order].T
        weight = weight[known][order]
        total = float(weight.sum())
        unit = float((weight * orders * mean).sum() / (weight * orders).sum())
        self.overall_mean_ = unit
        value = mean / unit
        log_value, log_sum = np.log(value), np.log(orders * value)
        counts, code = np.unique(orders, return_inverse=True)
        per_count = np.bincount(code, weight, len(counts))
        by_sum = np.bincount(code, weight * log_sum, len(counts))
        sum_of_logs = float((weight * log_value).sum())

        def objective(logs: FloatArray) -> tuple[float, FloatArray]:
            p, q, gamma = np.exp(logs)
            log_total = np.log(gamma + orders * value)
            totals = np.bincount(code, weight * log_total, len(counts))
            log_likelihood = (
                (per_count * (gammaln(p * counts + q) - gammaln(p * counts))).sum()
                + total * (q * np.log(gamma) - gammaln(q))
                + (p * counts * by_sum - (p * counts + q) * totals).sum()
                - sum_of_logs
            )
            joint = digamma(p * counts + q)
            gradient = np.array(
                [
                    (counts * (per_count * (joint - digamma(p * counts)) + by_sum - totals)).sum(),
                    (per_count * joint).sum() + total * (np.log(gamma) - digamma(q)) - totals.sum(),
                    total * q / gamma
                    - (weight * (p * orders + q) / (gamma + orders * value)).sum(),
                ]
            )
            return log_likelihood / total, gradient * np.exp(logs) / total

        found = maximise(objective, (2.0, 2.0, 1.0), self.parameter_names, total)
        log_likelihood = found.mean_log_likelihood * total - total * np.log(unit)
        self._keep(found, np.array([1.0, 1.0, unit]), log_likelihood)
        return self

    @property
    def p_(self) -> float:
        return float(self.parameters_[0])

    @property
    def q_(self) -> float:
        return float(self.parameters_[1])

    @property
    def gamma_(self) -> float:
        return float(self.parameters_[2])

    def predict(self, X: Any) -> FloatArray:  # noqa: N803
        """Expected value of the customer's orders to come.

        Where the expectation does not exist (q + p × orders ≤ 1), the mean over all orders.
        """
        check_is_fitted(self, "parameters_")
        orders, mean = self._values(X, reset=False).T
        p, q, gamma = self.parameters_
        below = p * orders + q - 1
        safe = np.where(below > 0, below, 1.0)
        expected = p * (gamma + orders * mean) / safe
        return np.asarray(np.where(below > 0, expected, self.overall_mean_))

    def _values(self, X: Any, *, reset: bool) -> FloatArray:  # noqa: N803
        X = validate_data(self, X, dtype=np.float64, reset=reset)  # noqa: N806
        if X.shape[1] != 2:
            raise ValueError(f"Two columns (orders, mean value) are needed, not {X.shape[1]}.")
        if (X < 0).any():
            raise ValueError("Negative values in data: counts and mean values start at 0.")
        return np.asarray(X, dtype=np.float64)
