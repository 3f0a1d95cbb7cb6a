"""Effects are measured honestly, and people are ranked by them only where that can be shown."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold
from threadpoolctl import threadpool_limits

from models.uplift import (
    ResponseLearner,
    SLearner,
    TLearner,
    UpliftLearner,
    XLearner,
    auuc,
    compare_rankings,
    effect,
    qini,
    qini_curve,
)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with threadpool_limits(limits=1):
        yield


def campaign(people: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The first feature moves the effect, the second the outcome; half are treated."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(people, 3))  # noqa: N806
    treated = random.random(people) < 0.5
    change = 0.25 * (X[:, 0] > 0)
    base = 0.1 + 0.2 * (X[:, 1] > 0)
    y = (random.random(people) < base + change * treated).astype(float)
    return X, y, treated, change


@pytest.mark.parametrize("learner", [SLearner(), TLearner(), XLearner()])
def test_learners_find_whom_a_campaign_changes(learner: UpliftLearner) -> None:
    X, y, treated, _ = campaign(6000, 0)  # noqa: N806
    fresh, later, group, change = campaign(4000, 1)
    said = clone(learner).fit(X, y, treated).predict(fresh)
    assert np.corrcoef(said, change)[0, 1] > 0.7
    response = ResponseLearner().fit(X, y, treated).predict(fresh)
    assert qini(said, later, group) > qini(response, later, group)


@pytest.mark.parametrize("learner", [SLearner(), TLearner(), XLearner(), ResponseLearner()])
def test_a_fit_must_know_who_was_treated(learner: UpliftLearner) -> None:
    X, y, treated, _ = campaign(50, 0)  # noqa: N806
    for wrong in (None, treated[:10], np.ones(50, dtype=bool)):
        with pytest.raises(ValueError, match=r"treated|control"):
            clone(learner).fit(X, y, wrong)


def test_the_qini_curve_is_what_its_definition_says() -> None:
    score = np.array([4.0, 3.0, 2.0, 1.0])
    y = np.array([1.0, 1.0, 0.0, 1.0])
    treated = np.array([True, False, True, False])
    expected = [0.0, 1.0, 1 - 1 * 1 / 1, 1 - 1 * 2 / 1, 1 - 2 * 2 / 2]
    assert qini_curve(score, y, treated).tolist() == expected
    uplift = [0.0, 0.0, (1 - 1) * 2, (1 / 2 - 1) * 3, (1 / 2 - 1) * 4]
    assert auuc(score, y, treated) == pytest.approx(np.trapezoid(uplift) / 16)


def test_the_best_order_scores_1_and_chance_0() -> None:
    _, y, treated, _ = campaign(3000, 2)
    best = np.where(treated, y, -y)
    assert qini(best, y, treated) == pytest.approx(1.0)
    assert qini(np.zeros(3000), y, treated) == pytest.approx(0.0, abs=1e-12)


def test_people_of_equal_score_may_stand_in_any_order() -> None:
    X, y, treated, _ = campaign(2000, 3)  # noqa: N806
    score = (X[:, 0] > 0).astype(float)
    order = np.random.default_rng(0).permutation(2000)
    assert qini(score, y, treated) == pytest.approx(qini(score[order], y[order], treated[order]))
    assert auuc(score, y, treated) == pytest.approx(auuc(score[order], y[order], treated[order]))


def test_an_interval_tells_a_real_ranking_from_chance() -> None:
    X, y, treated, change = campaign(4000, 4)  # noqa: N806
    scores = {"effect": change, "nothing": X[:, 2]}
    told = compare_rankings(scores, y, treated, resamples=60)
    assert told["gains"]["effect over nothing"][0] > 0
    low, high = told["rankings"]["nothing"]["qini_interval"]
    assert low < 0 < high


def test_groups_that_were_treated_alike_differ_about_once_in_twenty() -> None:
    random = np.random.default_rng(5)
    y = (random.random(2000) < 0.1).astype(float)
    rejected = [effect(y, random.permutation(2000) < 1000).p_value < 0.05 for _ in range(4000)]
    assert 0.04 <= np.mean(rejected) <= 0.06


def test_an_effect_has_the_interval_of_two_rates() -> None:
    y = np.repeat([1.0, 0.0, 1.0, 0.0], [30, 70, 20, 80])
    found = effect(y, np.repeat([True, False], 100))
    error = np.sqrt(0.3 * 0.7 / 100 + 0.2 * 0.8 / 100)
    assert found.effect == pytest.approx(0.1)
    assert found.standard_error == pytest.approx(error)
    assert (found.low, found.high) == pytest.approx(
        (0.1 - 1.959964 * error, 0.1 + 1.959964 * error)
    )


@pytest.mark.full
def test_hillstrom_womens_mail_is_ranked_above_chance_beside_rule_and_response(
    shared_data: Path,
) -> None:
    frame = pl.read_csv(shared_data / "hillstrom" / "hillstrom.csv", infer_schema_length=None)
    frame = frame.filter(pl.col("segment").is_in(["Womens E-Mail", "No E-Mail"]))
    y = frame["visit"].to_numpy().astype(float)
    treated = (frame["segment"] == "Womens E-Mail").to_numpy()
    features = frame.drop("segment", "visit", "conversion", "spend", "history_segment")
    X = features.with_columns(  # noqa: N806
        (pl.col(pl.String).rank("dense") - 1).cast(pl.Float64)
    ).to_numpy()
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    found = []
    for known, held in folds.split(X, 2 * treated + y):
        said = XLearner().fit(X[known], y[known], treated[known]).predict(X[held])
        found.append(qini(said, y[held], treated[held]))
    assert np.mean(found) >= 0.06
