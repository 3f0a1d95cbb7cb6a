"""What a campaign changes for each person: learners of treatment effects on a yes-or-no outcome.

All take the features, the outcome (0 or 1) and whether the person was treated, from a campaign
with a control group drawn at random.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any, Self

import numpy as np
import numpy.typing as npt
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
from sklearn.utils.validation import check_is_fitted, validate_data

__all__ = ["ResponseLearner", "SLearner", "TLearner", "UpliftLearner", "XLearner"]

FloatArray = npt.NDArray[np.float64]


class UpliftLearner(BaseEstimator):  # type: ignore[misc]
    """What all share: small boosted trees, and a fit that needs to know who was treated.

    Parameters
    ----------
    max_iter, learning_rate, max_leaf_nodes, min_samples_leaf
        Of the trees: effects are small, so trees are few and leaves are large.
    random_state : int
    """

    def __init__(
        self,
        *,
        max_iter: int = 60,
        learning_rate: float = 0.05,
        max_leaf_nodes: int = 6,
        min_samples_leaf: int = 200,
        random_state: int = 0,
    ) -> None:
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.max_leaf_nodes = max_leaf_nodes
        self.min_samples_leaf = min_samples_leaf
        self.random_state = random_state

    def fit(self, X: Any, y: Any, treated: Any = None) -> Self:  # noqa: N803
        """Learn the effect of the treatment.

        Parameters
        ----------
        X : array-like of shape (n_people, n_features)
        y : array-like of shape (n_people,)
            1 where the outcome came.
        treated : array-like of bool of shape (n_people,)

        Raises
        ------
        ValueError
            When ``treated`` is not given, one of the groups is empty, or ``y`` is not 0 or 1.
        """
        X, y = validate_data(  # noqa: N806
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan", ensure_min_samples=2
        )
        if treated is None:
            raise ValueError("treated must say who was treated.")
        received = np.asarray(treated, dtype=bool)
        if received.shape != (len(X),):
            raise ValueError("treated must have one value per row of X.")
        if received.all() or not received.any():
            raise ValueError("Both a treated and a control group are needed.")
        outcome = np.asarray(y, dtype=np.float64)
        if not np.isin(outcome, (0.0, 1.0)).all():
            raise ValueError("y must be 1 where the outcome came and 0 where it did not.")
        self._learn(X, outcome, received)
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.required = True
        tags.input_tags.allow_nan = True
        return tags

    def predict(self, X: Any) -> FloatArray:  # noqa: N803
        """The effect expected for each person: probability if treated less that if not."""
        check_is_fitted(self)
        X = validate_data(  # noqa: N806
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False
        )
        return self._effect(X)

    @abstractmethod
    def _learn(self, X: FloatArray, y: FloatArray, treated: npt.NDArray[np.bool_]) -> None: ...  # noqa: N803

    @abstractmethod
    def _effect(self, X: FloatArray) -> FloatArray: ...  # noqa: N803

    def _classifier(self) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(early_stopping=False, **self.get_params())

    def _regressor(self) -> HistGradientBoostingRegressor:
        return HistGradientBoostingRegressor(early_stopping=False, **self.get_params())


class SLearner(UpliftLearner):
    """One estimator of the outcome, with the treatment as a feature."""

    def _learn(self, X: FloatArray, y: FloatArray, treated: npt.NDArray[np.bool_]) -> None:  # noqa: N803
        self.outcome_ = self._classifier().fit(np.column_stack((X, treated)), y)

    def _effect(self, X: FloatArray) -> FloatArray:  # noqa: N803
        with_it, without = (np.column_stack((X, np.full(len(X), value))) for value in (1.0, 0.0))
        return _probability(self.outcome_, with_it) - _probability(self.outcome_, without)


class TLearner(UpliftLearner):
    """Two estimators of the outcome, one for each group."""

    def _learn(self, X: FloatArray, y: FloatArray, treated: npt.NDArray[np.bool_]) -> None:  # noqa: N803
        self.treated_ = self._classifier().fit(X[treated], y[treated])
        self.control_ = self._classifier().fit(X[~treated], y[~treated])

    def _effect(self, X: FloatArray) -> FloatArray:  # noqa: N803
        return _probability(self.treated_, X) - _probability(self.control_, X)


class XLearner(TLearner):
    """The effects that the two estimators impute to the other group, learned in turn.

    Künzel et al. (2019), Metalearners for estimating heterogeneous treatment effects. The two are
    weighted by the share treated, which a random draw makes the propensity.
    """

    def _learn(self, X: FloatArray, y: FloatArray, treated: npt.NDArray[np.bool_]) -> None:  # noqa: N803
        super()._learn(X, y, treated)
        on_treated = y[treated] - _probability(self.control_, X[treated])
        on_control = _probability(self.treated_, X[~treated]) - y[~treated]
        self.effect_on_treated_ = self._regressor().fit(X[treated], on_treated)
        self.effect_on_control_ = self._regressor().fit(X[~treated], on_control)
        self.share_treated_ = float(treated.mean())

    def _effect(self, X: FloatArray) -> FloatArray:  # noqa: N803
        share = self.share_treated_
        return np.asarray(
            share * self.effect_on_control_.predict(X)
            + (1 - share) * self.effect_on_treated_.predict(X)
        )


class ResponseLearner(UpliftLearner):
    """The baseline that people use: who answers when treated, whatever they would do untreated."""

    def _learn(self, X: FloatArray, y: FloatArray, treated: npt.NDArray[np.bool_]) -> None:  # noqa: N803
        self.outcome_ = self._classifier().fit(X[treated], y[treated])

    def _effect(self, X: FloatArray) -> FloatArray:  # noqa: N803
        return _probability(self.outcome_, X)


def _probability(estimator: Any, X: FloatArray) -> FloatArray:  # noqa: N803
    probability = estimator.predict_proba(X)
    if probability.shape[1] == 1:
        return np.full(len(X), float(estimator.classes_[0]))
    return np.asarray(probability[:, 1])
