"""Additive scores: one table per feature, so that a score is its own explanation.

An additive classifier's logit is an intercept plus one value looked up per feature. Its reasons
are therefore exact, and the whole estimator is a few small arrays: it needs neither the trees it
came from nor their library to score, and reads as SQL.
"""

from __future__ import annotations

from typing import Any, Self

import numpy as np
import numpy.typing as npt
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import SplineTransformer
from sklearn.utils.multiclass import check_classification_targets, type_of_target
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

__all__ = [
    "AdditiveClassifier",
    "AdditiveScorer",
    "BaseRateScorer",
    "PointsScorer",
    "calibration_slope",
    "level_shift",
    "platt_slope",
]

FloatArray = npt.NDArray[np.float64]

TABLE_DECIMALS = 12
"""Tables are rounded so that the last bits of a sum, which threads may reorder, don't show."""

NEWTON_STEPS = 50
NEWTON_TOLERANCE = 1e-10

LEAST_SLOPE = 0.1
"""Calibration may flatten a score, not wipe out or turn round what it says."""

LEAST_TO_CALIBRATE = 20
"""Rows of either outcome, at least, that tell a slope."""

SMOOTH_ROWS = 50_000
"""Rows that the smooth part is learned from, at most, evenly spread."""

SMOOTH_PENALTY = 0.1
SPLINE_KNOTS = 5
SPREAD = np.linspace(0, 1, 11)[1:-1]
"""Quantiles at which curves and lines may change, beside the steps that the trees found."""

AGREEMENT = 1e-9
"""Largest difference allowed between the tables and the trees they were read from."""

CHECKED_ROWS = 5_000
"""Rows on which that is looked at, at most, evenly spread."""


class AdditiveClassifier(ClassifierMixin, BaseEstimator):  # type: ignore[misc]
    """What additive classifiers share once fitted.

    Attributes
    ----------
    classes_ : ndarray of shape (2,)
    intercept_ : float
        Logit of a row of average contributions.
    edges_ : list of ndarray
        Per feature, increasing upper bounds of the intervals, each included; empty for categories.
    values_ : list of ndarray
        Per feature, the contribution of each interval (one more than edges) or category code.
    missing_ : ndarray of shape (n_features,)
        Contribution of a missing value, or of a category not seen in training.
    is_categorical_ : ndarray of shape (n_features,)
    """

    classes_: npt.NDArray[Any]
    intercept_: float
    edges_: list[FloatArray]
    values_: list[FloatArray]
    missing_: FloatArray
    is_categorical_: npt.NDArray[np.bool_]

    def explain(self, X: Any) -> FloatArray:  # noqa: N803
        """Contribution of each feature to each row's logit, against an average row.

        Returns
        -------
        contributions : ndarray of shape (n_samples, n_features)
            ``intercept_ + contributions.sum(axis=1)`` is ``decision_function(X)``.
        """
        check_is_fitted(self, "intercept_")
        X = validate_data(  # noqa: N806
            self, X, dtype=np.float64, ensure_all_finite="allow-nan", reset=False
        )
        contributions = np.empty(X.shape, dtype=np.float64)
        for feature in range(X.shape[1]):
            contributions[:, feature] = self._look_up(feature, X[:, feature])
        return contributions

    def decision_function(self, X: Any) -> FloatArray:  # noqa: N803
        """Logit of the second class."""
        return np.asarray(self.explain(X).sum(axis=1) + self.intercept_, dtype=np.float64)

    def predict_proba(self, X: Any) -> FloatArray:  # noqa: N803
        """Probability of each class."""
        probability = expit(self.decision_function(X))
        return np.column_stack((1 - probability, probability))

    def predict(self, X: Any) -> npt.NDArray[Any]:  # noqa: N803
        """The more probable class."""
        second = self.decision_function(X) > 0
        return np.asarray(self.classes_[second.astype(int)])

    def _look_up(self, feature: int, column: FloatArray) -> FloatArray:
        values = self.values_[feature]
        known = ~np.isnan(column)
        filled = np.where(known, column, 0.0)
        if self.is_categorical_[feature]:
            known &= (filled >= 0) & (filled < len(values))
            position = np.where(known, filled, 0).astype(np.intp)
        else:
            position = np.searchsorted(self.edges_[feature], filled, side="left")
        if len(values) == 0:
            return np.full(len(column), self.missing_[feature])
        return np.where(known, values[position], self.missing_[feature])

    def _start_fit(
        self,
        X: Any,  # noqa: N803
        y: Any,
        sample_weight: Any,
    ) -> tuple[FloatArray, npt.NDArray[np.int64], FloatArray]:
        X, y = validate_data(  # noqa: N806
            self, X, y, dtype=np.float64, ensure_all_finite="allow-nan"
        )
        check_classification_targets(y)
        kind = type_of_target(y, input_name="y", raise_unknown=True)
        if kind != "binary":
            raise ValueError(
                f"Only binary classification is supported. The type of the target is {kind}."
            )
        weights = _check_sample_weight(sample_weight, X, dtype=np.float64)
        self.classes_, target = np.unique(y, return_inverse=True)
        if len(np.unique(target[weights > 0])) < 2:
            raise ValueError("The target holds one class only; two classes are needed to learn.")
        return X, target.astype(np.int64), weights

    def _centre(self, X: FloatArray, weights: FloatArray) -> None:  # noqa: N803
        """Measure contributions against the average row of the training data."""
        for feature in range(X.shape[1]):
            mean = float(np.average(self._look_up(feature, X[:, feature]), weights=weights))
            self.values_[feature] = self.values_[feature] - mean
            self.missing_[feature] -= mean
            self.intercept_ += mean

    def _scale(self, slope: float, shift: float) -> None:
        """Fold ``slope × logit + shift`` into the tables, which stay additive."""
        self.intercept_ = slope * self.intercept_ + shift
        self.values_ = [slope * values for values in self.values_]
        self.missing_ = slope * self.missing_

    def _round(self) -> None:
        self.intercept_ = float(np.round(self.intercept_, TABLE_DECIMALS))
        self.values_ = [np.round(values, TABLE_DECIMALS) for values in self.values_]
        self.missing_ = np.round(self.missing_, TABLE_DECIMALS)

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.allow_nan = True
        return tags


class AdditiveScorer(AdditiveClassifier):
    """Gradient-boosted trees of one feature each, collapsed into one table per feature.

    Three tenths of each table's log-odds are the trees'. The others come from two penalised
    logistic regressions over the intervals that the trees found, and some evenly spread: one of
    curves (splines), one of lines, both with categories. Trees follow steps, curves bend, lines
    last when times change; their errors differ. The sum is a table as before.

    Parameters
    ----------
    max_iter : int
        Number of trees.
    learning_rate : float
    min_samples_leaf : int
    l2_regularization : float
    max_bins : int
        Intervals or categories per feature.
    categorical_features : array-like of int, or None
        Columns that hold category codes 0, 1, 2, ...
    curve_share : float
        Share of the curves.
    line_share : float
        Share of the lines; together with that of the curves from 0 (trees alone) to below 1.
    logit_slope : float
        Calibration: what the trees' logit is multiplied by, the mean probability on the training
        rows kept. Estimated by ``platt_slope`` on rows that came after those trained on.
    random_state : int, RandomState instance or None

    Attributes
    ----------
    n_iter_ : int
        Number of trees.
    level_shift_ : float
        What calibration added to the logit after multiplying it.

    Examples
    --------
    >>> import numpy as np
    >>> from models.scorecard import AdditiveScorer
    >>> X = np.repeat([[0.0], [1.0]], 100, axis=0)
    >>> y = np.tile([0, 0, 0, 1], 50)
    >>> y[100:] = 1 - y[100:]
    >>> scorer = AdditiveScorer(random_state=0).fit(X, y)
    >>> scorer.predict_proba([[0.0], [1.0]])[:, 1].round(2)
    array([0.25, 0.75])
    """

    n_iter_: int
    level_shift_: float

    def __init__(
        self,
        *,
        max_iter: int = 200,
        learning_rate: float = 0.05,
        min_samples_leaf: int = 20,
        l2_regularization: float = 20,
        max_bins: int = 128,
        categorical_features: Any = None,
        curve_share: float = 0.4,
        line_share: float = 0.3,
        logit_slope: float = 1.0,
        random_state: Any = None,
    ) -> None:
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.min_samples_leaf = min_samples_leaf
        self.l2_regularization = l2_regularization
        self.max_bins = max_bins
        self.categorical_features = categorical_features
        self.curve_share = curve_share
        self.line_share = line_share
        self.logit_slope = logit_slope
        self.random_state = random_state

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Grow the trees and keep their tables.

        Raises
        ------
        ValueError
            On one class only, and on more than two.
        """
        X, target, weights = self._start_fit(X, y, sample_weight)  # noqa: N806
        boosting = self._boosting().fit(X, target, sample_weight=weights)
        self.n_iter_ = boosting.n_iter_
        self._collapse(boosting, X, weights)
        some = X[_evenly(len(X), CHECKED_ROWS)]
        gap = np.max(np.abs(self.decision_function(some) - boosting.decision_function(some)))
        if not gap <= AGREEMENT:
            raise RuntimeError(f"the tables differ from their trees by {gap:.3g}")
        if self.curve_share + self.line_share > 0:
            self._smooth(X, target, weights)
        self._centre(X, weights)
        self.level_shift_ = 0.0
        if self.logit_slope != 1:
            logits = self.logit_slope * self.decision_function(X)
            self.level_shift_ = level_shift(logits, target, weights)
            self._scale(self.logit_slope, self.level_shift_)
        self._round()
        return self

    def _smooth(
        self,
        X: FloatArray,  # noqa: N803
        target: npt.NDArray[np.int64],
        weights: FloatArray,
    ) -> None:
        """Blend the curves and the lines into the tables, each by its share of the logit."""
        rows = np.flatnonzero(weights > 0)
        rows = rows[_evenly(len(rows), SMOOTH_ROWS)]
        if len(np.unique(target[rows])) < 2:
            return
        columns = range(X.shape[1])
        places = [self._place(feature, X[:, feature]) for feature in columns]
        curves = [
            self._curves(feature, X[:, feature], places[feature], weights) for feature in columns
        ]
        lines = [
            each if self.is_categorical_[feature] else each[:, [0, -1]]
            for feature, each in enumerate(curves)
        ]
        rest = 1 - self.curve_share - self.line_share
        intercept = rest * self.intercept_
        tables = [
            rest * np.append(values, missing)
            for values, missing in zip(self.values_, self.missing_, strict=True)
        ]
        for share, bases in ((self.curve_share, curves), (self.line_share, lines)):
            if share == 0:
                continue
            design = np.hstack(
                [basis[place[rows]] for basis, place in zip(bases, places, strict=True)]
            )
            logistic = LogisticRegression(C=SMOOTH_PENALTY, solver="newton-cholesky")
            logistic.fit(design, target[rows], sample_weight=weights[rows])
            ends = np.cumsum([basis.shape[1] for basis in bases])[:-1]
            effects = np.split(logistic.coef_[0], ends)
            for table, basis, effect in zip(tables, bases, effects, strict=True):
                table += share * (basis @ effect)
            intercept += share * float(logistic.intercept_[0])
        self.intercept_ = intercept
        self.values_ = [table[:-1] for table in tables]
        self.missing_ = np.array([table[-1] for table in tables])

    def _place(self, feature: int, column: FloatArray) -> npt.NDArray[np.intp]:
        """The interval or category of each value; the last place is that of missing ones."""
        size = len(self.values_[feature])
        known = ~np.isnan(column)
        place = np.full(len(column), size, dtype=np.intp)
        if self.is_categorical_[feature]:
            place[known] = column[known].astype(np.intp)
        else:
            place[known] = np.searchsorted(self.edges_[feature], column[known], side="left")
        return place

    def _curves(
        self,
        feature: int,
        column: FloatArray,
        place: npt.NDArray[np.intp],
        weights: FloatArray,
    ) -> FloatArray:
        """What the curves know of each interval or category, and of missing values.

        Of a number: its line first, its splines, whether it is missing.
        """
        size = len(self.values_[feature])
        if self.is_categorical_[feature]:
            return np.eye(size + 1)
        counts = np.bincount(place, weights, minlength=size + 1)[:size]
        if size < 2 or (counts > 0).sum() < 2:
            return np.eye(size + 1)[:, -1:]
        known = place < size
        sums = np.bincount(place[known], column[known] * weights[known], size)
        middle = np.interp(
            np.arange(size), np.flatnonzero(counts), sums[counts > 0] / counts[counts > 0]
        )[:, None]
        splines = SplineTransformer(SPLINE_KNOTS, knots="uniform", extrapolation="constant")
        parts = np.column_stack((middle, splines.fit_transform(middle)))
        mean = np.average(parts, axis=0, weights=counts)
        spread = np.sqrt(np.average(np.square(parts - mean), axis=0, weights=counts))
        told = (parts - mean) / np.where(spread > 1e-9, spread, 1.0)
        basis = np.zeros((size + 1, parts.shape[1] + 1))
        basis[:size, :-1] = told
        basis[size, -1] = 1.0
        return basis

    def _boosting(self) -> HistGradientBoostingClassifier:
        return HistGradientBoostingClassifier(
            interaction_cst="no_interactions",
            early_stopping=False,
            max_iter=self.max_iter,
            learning_rate=self.learning_rate,
            min_samples_leaf=self.min_samples_leaf,
            l2_regularization=self.l2_regularization,
            max_bins=self.max_bins,
            categorical_features=self.categorical_features,
            random_state=self.random_state,
        )

    def _collapse(
        self,
        boosting: HistGradientBoostingClassifier,
        X: FloatArray,  # noqa: N803
        weights: FloatArray,
    ) -> None:
        """Read one table per feature off the trees, each of which looks at one feature only.

        The thresholds come from the trees; the values from scoring a probe in each interval with
        all other features missing.
        """
        count = X.shape[1]
        self.is_categorical_ = np.zeros(count, dtype=bool)
        if self.categorical_features is not None:
            self.is_categorical_[np.asarray(self.categorical_features, dtype=int)] = True
        inner = np.concatenate(
            (np.flatnonzero(self.is_categorical_), np.flatnonzero(~self.is_categorical_))
        )
        thresholds: list[set[float]] = [set() for _ in range(count)]
        for (tree,) in boosting._predictors:
            splits = tree.nodes[(tree.nodes["is_leaf"] == 0) & (tree.nodes["is_categorical"] == 0)]
            for split in splits:
                thresholds[inner[split["feature_idx"]]].add(float(split["num_threshold"]))
        if self.curve_share + self.line_share > 0:
            for number in np.flatnonzero(~self.is_categorical_):
                thresholds[number].update(_spread(X[:, number], weights))
        nothing = np.full((1, count), np.nan)
        self.intercept_ = float(boosting.decision_function(nothing)[0])
        self.edges_, self.values_ = [], []
        self.missing_ = np.zeros(count)
        for feature in range(count):
            if self.is_categorical_[feature]:
                codes = X[:, feature][~np.isnan(X[:, feature])]
                probes = np.arange(codes.max(initial=-1) + 1)
                self.edges_.append(np.empty(0))
            else:
                edges = np.array(sorted(thresholds[feature]), dtype=np.float64)
                probes = np.append(edges, np.finfo(np.float64).max)
                self.edges_.append(edges)
            rows = np.full((len(probes), count), np.nan)
            rows[:, feature] = probes
            logits = boosting.decision_function(rows) if len(rows) else np.empty(0)
            self.values_.append(np.asarray(logits - self.intercept_, dtype=np.float64))


class BaseRateScorer(AdditiveClassifier):
    """The simple rule: the rate of each category of one column, drawn towards the overall rate.

    Parameters
    ----------
    column : int or None
        Column of category codes; None for one rate for all.
    prior_strength : float
        Rows' worth of the overall rate that each category starts from.
    """

    def __init__(self, *, column: int | None = 0, prior_strength: float = 20.0) -> None:
        self.column = column
        self.prior_strength = prior_strength

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Count the rates. Raises ValueError on one class only, and on more than two."""
        X, target, weights = self._start_fit(X, y, sample_weight)  # noqa: N806
        count = X.shape[1]
        overall = float(np.average(target, weights=weights))
        self.is_categorical_ = np.zeros(count, dtype=bool)
        self.edges_ = [np.empty(0) for _ in range(count)]
        self.values_ = [np.zeros(1) for _ in range(count)]
        self.missing_ = np.zeros(count)
        self.intercept_ = _logit(overall)
        if self.column is not None:
            codes = X[:, self.column]
            known = ~np.isnan(codes)
            places = codes[known].astype(np.intp)
            size = int(places.max(initial=-1)) + 1
            seen = np.bincount(places, weights=weights[known], minlength=size)
            won = np.bincount(places, weights=(weights * target)[known], minlength=size)
            self.is_categorical_[self.column] = True
            self.values_[self.column] = self._rates(won, seen, overall) - self.intercept_
            missing = self._rates(
                np.atleast_1d((weights * target)[~known].sum()),
                np.atleast_1d(weights[~known].sum()),
                overall,
            )
            self.missing_[self.column] = missing[0] - self.intercept_
        self._round()
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags

    def _rates(self, won: npt.NDArray[Any], seen: npt.NDArray[Any], overall: float) -> FloatArray:
        rate = (won + self.prior_strength * overall) / (seen + self.prior_strength)
        return np.asarray(np.log(rate) - np.log1p(-rate), dtype=np.float64)


class PointsScorer(AdditiveClassifier):
    """Points that people state, as log-odds; only the level is learned.

    Each column says whether a rule is met (1) or not (0, missing).

    Parameters
    ----------
    points : sequence of float, or None
        Points per column; none for all when left out.
    points_to_double_odds : float

    Examples
    --------
    >>> from models.scorecard import PointsScorer
    >>> X, y = [[0.0], [0.0], [1.0], [1.0]], [0, 1, 0, 1]
    >>> scorer = PointsScorer(points=[20], points_to_double_odds=20).fit(X, y)
    >>> float(round(scorer.decision_function([[1.0]])[0] - scorer.decision_function([[0.0]])[0], 3))
    0.693
    """

    def __init__(self, *, points: Any = None, points_to_double_odds: float = 20.0) -> None:
        self.points = points
        self.points_to_double_odds = points_to_double_odds

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Self:  # noqa: N803
        """Set the level. Raises ValueError on one class only, and on more than two."""
        X, target, weights = self._start_fit(X, y, sample_weight)  # noqa: N806
        count = X.shape[1]
        points = np.zeros(count) if self.points is None else np.asarray(self.points, np.float64)
        if len(points) != count:
            raise ValueError(f"There are {len(points)} points for {count} columns.")
        worth = points * np.log(2) / self.points_to_double_odds
        self.is_categorical_ = np.zeros(count, dtype=bool)
        self.edges_ = [np.array([0.5]) for _ in range(count)]
        self.values_ = [np.array([0.0, value]) for value in worth]
        self.missing_ = np.zeros(count)
        self.intercept_ = 0.0
        self._centre(X, weights)
        self.intercept_ += level_shift(self.decision_function(X), target, weights)
        self._round()
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.poor_score = True
        return tags


def platt_slope(logits: FloatArray, target: npt.NDArray[np.int64], weights: FloatArray) -> float:
    """Slope of the logits that fits the outcomes, beside a free shift; normal prior 1 ± 1/2.

    ``target`` holds 0 and 1, both.
    """
    precision = np.array([4.0, 0.0])
    prior = np.array([1.0, 0.0])
    parameters = np.array([1.0, level_shift(logits, target, weights)])
    design = np.column_stack((logits, np.ones(len(logits))))
    for _ in range(NEWTON_STEPS):
        probability = expit(design @ parameters)
        gradient = design.T @ (weights * (probability - target)) + precision * (parameters - prior)
        curvature = weights * probability * (1 - probability)
        hessian = (design * curvature[:, None]).T @ design + np.diag(precision)
        step = np.clip(np.linalg.solve(hessian + 1e-9 * np.eye(2), gradient), -1, 1)
        parameters = parameters - step
        if np.abs(step).max() < NEWTON_TOLERANCE:
            break
    return max(float(parameters[0]), LEAST_SLOPE)


def calibration_slope(logits: FloatArray, truth: npt.NDArray[np.bool_]) -> float:
    """Slope of out-of-time logits whose outcome is known; 1 where there are too few."""
    if min(truth.sum(), (~truth).sum()) < LEAST_TO_CALIBRATE:
        return 1.0
    return round(platt_slope(logits, truth.astype(np.int64), np.ones(len(truth))), 6)


def _evenly(count: int, most: int) -> npt.NDArray[np.intp]:
    """Places of at most so many rows, evenly spread over all."""
    return np.linspace(0, count - 1, min(count, most)).astype(np.intp)


def _spread(column: FloatArray, weights: FloatArray) -> list[float]:
    """A few bounds evenly spread over the rows of a column, its largest value left out."""
    known = ~np.isnan(column) & (weights > 0)
    values, place = np.unique(column[known], return_inverse=True)
    if len(values) == 0:
        return []
    reached = np.cumsum(np.bincount(place, weights[known]))
    bounds = values[np.searchsorted(reached, SPREAD * reached[-1])]
    return [float(bound) for bound in np.unique(bounds) if bound < values[-1]]


def level_shift(logits: FloatArray, target: npt.NDArray[np.int64], weights: FloatArray) -> float:
    """What to add to the logits for the mean probability to be the mean outcome."""
    shift = 0.0
    for _ in range(NEWTON_STEPS):
        probability = expit(logits + shift)
        slack = float(np.average(probability - target, weights=weights))
        curvature = float(np.average(probability * (1 - probability), weights=weights))
        step = float(np.clip(slack / max(curvature, 1e-12), -1, 1))
        shift -= step
        if abs(step) < NEWTON_TOLERANCE:
            break
    return shift


def _logit(rate: float) -> float:
    return float(np.log(rate) - np.log1p(-rate))
