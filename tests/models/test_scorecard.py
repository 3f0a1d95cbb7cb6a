"""An additive score is its own explanation, and equals the trees it came from."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from models.scorecard import AdditiveScorer, BaseRateScorer, platt_slope


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other make small fits slow on a busy machine."""
    with threadpool_limits(limits=1):
        yield


@parametrize_with_checks([AdditiveScorer(max_iter=20), BaseRateScorer(column=None)])
def test_the_estimators_keep_scikit_learns_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def population(rows: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Two numbers and a category, each missing at times, and an outcome that hangs on them."""
    random = np.random.default_rng(seed)
    X = np.column_stack(  # noqa: N806
        (random.normal(size=rows), random.integers(0, 6, rows), random.poisson(3, rows))
    ).astype(float)
    logit = X[:, 0] + (X[:, 1] == 2) - 0.3 * X[:, 2]
    X[random.random(X.shape) < 0.1] = np.nan
    return X, (random.random(rows) < 1 / (1 + np.exp(-logit))).astype(int)


@settings(max_examples=8, deadline=None)
@given(seed=st.integers(0, 1000), rows=st.integers(30, 400))
def test_the_tables_equal_their_trees_on_rows_never_seen(seed: int, rows: int) -> None:
    X, y = population(rows, seed)  # noqa: N806
    if len(np.unique(y)) < 2:
        return
    scorer = AdditiveScorer(
        max_iter=30, categorical_features=[1], curve_share=0.0, line_share=0.0, random_state=0
    ).fit(X, y)
    trees = HistGradientBoostingClassifier(
        interaction_cst="no_interactions",
        early_stopping=False,
        max_iter=30,
        learning_rate=scorer.learning_rate,
        min_samples_leaf=scorer.min_samples_leaf,
        l2_regularization=scorer.l2_regularization,
        max_bins=scorer.max_bins,
        categorical_features=[1],
        random_state=0,
    ).fit(X, y)
    fresh, _ = population(300, seed + 1)
    fresh[:5, 1] = 17
    assert np.abs(scorer.decision_function(fresh) - trees.decision_function(fresh)).max() < 1e-9


def test_the_smooth_part_carries_a_trend_that_trees_cut_into_steps() -> None:
    random = np.random.default_rng(8)
    X = np.column_stack((random.normal(size=1500), random.normal(size=1500)))  # noqa: N806
    logit = 1.2 * X[:, 0] - 0.8 * X[:, 1]
    y = (random.random(1500) < 1 / (1 + np.exp(-logit))).astype(int)
    fresh = random.normal(size=(4000, 2))
    true = 1.2 * fresh[:, 0] - 0.8 * fresh[:, 1]
    off = [
        np.abs(
            AdditiveScorer(curve_share=curves, line_share=lines, random_state=0)
            .fit(X, y)
            .decision_function(fresh)
            - true
        ).mean()
        for curves, lines in ((0.0, 0.0), (0.5, 0.0), (0.0, 0.5))
    ]
    assert max(off[1:]) < 0.9 * off[0]


def test_a_line_is_told_where_trees_find_no_step() -> None:
    X = np.linspace(-1, 1, 60)[:, None]  # noqa: N806
    y = (X[:, 0] > np.tile((-0.8, 0.0, 0.8), 20)).astype(int)
    trees, lines = (
        AdditiveScorer(min_samples_leaf=40, curve_share=0.0, line_share=share, random_state=0).fit(
            X, y
        )
        for share in (0.0, 0.5)
    )
    assert len(trees.edges_[0]) == 0
    assert np.all(np.diff(lines.decision_function([[-1.0], [0.0], [1.0]])) > 0)


def test_contributions_sum_to_the_logit() -> None:
    X, y = population(500, 3)  # noqa: N806
    scorer = AdditiveScorer(categorical_features=[1], logit_slope=0.8, random_state=0).fit(X, y)
    total = scorer.intercept_ + scorer.explain(X).sum(axis=1)
    assert np.abs(total - scorer.decision_function(X)).max() < 1e-9
    probability = scorer.predict_proba(X)[:, 1]
    assert np.abs(np.log(probability / (1 - probability)) - total).max() < 1e-9


def test_contributions_are_measured_against_the_average_row() -> None:
    X, y = population(500, 4)  # noqa: N806
    scorer = AdditiveScorer(categorical_features=[1], random_state=0).fit(X, y)
    assert np.abs(scorer.explain(X).mean(axis=0)).max() < 1e-9


def test_a_reason_is_what_leaving_the_feature_out_would_change() -> None:
    X, y = population(2000, 5)  # noqa: N806
    scorer = AdditiveScorer(categorical_features=[1], random_state=0).fit(X, y)
    without = X.copy()
    without[:, 0] = np.nan
    change = scorer.decision_function(X) - scorer.decision_function(without)
    assert np.corrcoef(change, scorer.explain(X)[:, 0])[0, 1] > 0.999


@pytest.mark.parametrize("slope", [0.5, 1.0, 1.7])
def test_calibrating_keeps_the_mean_and_the_order(slope: float) -> None:
    X, y = population(1500, 6)  # noqa: N806
    plain = AdditiveScorer(categorical_features=[1], random_state=0).fit(X, y)
    scorer = AdditiveScorer(categorical_features=[1], logit_slope=slope, random_state=0).fit(X, y)
    assert scorer.predict_proba(X)[:, 1].mean() == pytest.approx(y.mean(), abs=1e-3)
    assert roc_auc_score(y, plain.decision_function(X)) == pytest.approx(
        roc_auc_score(y, scorer.decision_function(X)), abs=1e-9
    )


def test_the_slope_of_overconfident_logits_is_found() -> None:
    random = np.random.default_rng(0)
    logit = random.normal(size=20_000)
    outcome = (random.random(20_000) < 1 / (1 + np.exp(-logit))).astype(np.int64)
    assert platt_slope(2 * logit + 1, outcome, np.ones(20_000)) == pytest.approx(0.5, abs=0.03)


def test_few_rows_hardly_move_the_slope() -> None:
    logit = np.array([-1.0, 1.0, -1.0, 1.0])
    assert 0.8 < platt_slope(logit, np.array([1, 0, 0, 1]), np.ones(4)) <= 1


@pytest.mark.parametrize("scorer", [AdditiveScorer(), BaseRateScorer()])
def test_one_class_is_refused_in_words(scorer: Any) -> None:
    with pytest.raises(ValueError, match="one class"):
        scorer.fit(np.zeros((10, 1)), np.zeros(10))


def test_the_base_rate_of_a_rare_category_leans_on_the_overall_rate() -> None:
    X = np.repeat([0.0, 1.0, np.nan], [1000, 1, 10])[:, None]  # noqa: N806
    y = np.concatenate((np.tile([0, 0, 0, 1], 250), [1], np.zeros(10))).astype(int)
    scorer = BaseRateScorer(column=0, prior_strength=20).fit(X, y)
    rates = scorer.predict_proba([[0.0], [1.0], [np.nan], [9.0]])[:, 1]
    overall = y.mean()
    assert rates[0] == pytest.approx((250 + 20 * overall) / 1020)
    assert rates[1] == pytest.approx((1 + 20 * overall) / 21)
    assert rates[2] == rates[3] == pytest.approx(20 * overall / 30)


def test_bank_marketing_without_duration_is_ranked_well(shared_data: Path) -> None:
    frame = pl.read_csv(
        shared_data / "bank_marketing" / "bank-additional-full.csv",
        separator=";",
        infer_schema_length=None,
    )
    y = (frame["y"] == "yes").to_numpy().astype(int)
    frame = frame.drop("y", "duration")
    words = [at for at, kind in enumerate(frame.dtypes) if kind == pl.String]
    X = frame.with_columns(  # noqa: N806
        (pl.col(pl.String).rank("dense") - 1).cast(pl.Float64)
    ).to_numpy()
    X, rest, y, truth = train_test_split(X, y, test_size=0.5, random_state=0)  # noqa: N806
    scorer = AdditiveScorer(categorical_features=words, random_state=0).fit(X, y)
    assert roc_auc_score(truth, scorer.decision_function(rest)) >= 0.79
