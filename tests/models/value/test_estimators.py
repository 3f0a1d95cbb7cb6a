"""Counts and values of orders: as published, sound at the edges, and independent of the rows."""

from __future__ import annotations

import doctest
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.special import gammaln
from scipy.stats import spearmanr
from sklearn.base import clone
from sklearn.utils.estimator_checks import check_estimator

import models.value.counting
import models.value.spend
from models.value import (
    BetaGeoScorer,
    GammaGammaScorer,
    IdentificationWarning,
    ParetoNBDScorer,
)
from models.value.counting import GroupedHistories
from tests.models.value import cdnow

COUNTING = (BetaGeoScorer, ParetoNBDScorer)


def invented(customers: int = 600, *, seed: int = 3) -> np.ndarray:
    """Histories of up to a year, in days, from customers of all kinds."""
    rng = np.random.default_rng(seed)
    age = np.floor(rng.uniform(60, 365, customers))
    rate = rng.gamma(0.8, 1 / 30, customers)
    made = []
    for days, pace, stop in zip(age, rate, rng.beta(1, 3, customers), strict=True):
        moment, count, last = 0.0, 0, 0.0
        while rng.random() > stop:
            moment += rng.exponential(1 / pace)
            if moment > days:
                break
            count, last = count + 1, np.floor(moment)
        made.append((count, last, days))
    return np.array(made, dtype=float)


@pytest.fixture(scope="module", params=COUNTING, ids=lambda kind: kind.__name__)
def fitted(request):
    return request.param(horizon=90).fit(invented())


@pytest.mark.parametrize(
    ("kind", "parameters", "tolerance", "log_likelihood"),
    [
        (BetaGeoScorer, (0.243, 4.414, 0.793, 2.426), (0.001, 0.002, 0.001, 0.001), -9582.4),
        (ParetoNBDScorer, (0.553, 10.578, 0.606, 11.669), (0.001, 0.002, 0.001, 0.002), -9595.0),
    ],
)
def test_cdnow_gives_the_published_parameters(
    shared_data, kind, parameters, tolerance, log_likelihood
):
    scorer = kind(horizon=39).fit(cdnow.histories(shared_data))
    assert scorer.is_identified_
    assert np.abs(scorer.parameters_ - parameters).max() <= max(tolerance)
    assert (np.abs(scorer.parameters_ - parameters) <= tolerance).all()
    published_to_one_decimal = round(scorer.log_likelihood_, 1)
    assert published_to_one_decimal == log_likelihood


def test_cdnow_gives_the_published_errors_and_forecast(shared_data):
    scorer = BetaGeoScorer(horizon=39).fit(cdnow.histories(shared_data))
    assert scorer.standard_errors_ == pytest.approx((0.0126, 0.378, 0.186, 0.705), abs=5e-4)
    assert scorer.expected_orders([[2, 30.43, 38.86]])[0] == pytest.approx(1.226, abs=1e-3)


@pytest.mark.parametrize("kind", COUNTING)
def test_cdnow_is_foretold_for_the_39_weeks_after(shared_data, kind):
    scorer = kind(horizon=39).fit(cdnow.histories(shared_data))
    forecast = scorer.predict(cdnow.histories(shared_data))
    later = cdnow.later_orders(shared_data)
    assert np.abs(forecast - later).mean() <= 0.79
    assert np.sqrt(np.square(forecast - later).mean()) <= 1.61


def test_cdnow_gives_the_published_values_of_orders(shared_data):
    scorer = GammaGammaScorer().fit(cdnow.repeat_values(shared_data))
    assert scorer.is_identified_
    assert scorer.parameters_ == pytest.approx((6.25, 3.74, 15.44), abs=0.005)


@pytest.mark.parametrize("kind", COUNTING)
@pytest.mark.parametrize("logs", [(-0.5, 0.2, 0.1, 0.6), (0.7, -1.0, -0.8, 1.5)])
def test_gradients_are_those_of_finite_differences(kind, logs):
    groups = GroupedHistories.of(invented(80), np.ones(80)).scaled(100)
    scorer = kind()
    parameters = np.exp(logs)
    _, gradient = scorer._log_likelihood(parameters, groups)
    for at in range(4):
        step = np.zeros(4)
        step[at] = 1e-6
        up = scorer._log_likelihood(parameters + step, groups)[0]
        down = scorer._log_likelihood(parameters - step, groups)[0]
        assert gradient[at] == pytest.approx((up - down) / 2e-6, rel=1e-5, abs=1e-5)


def test_the_stopping_integral_is_that_of_adaptive_quadrature():
    for start, end, alpha, shape, beta, s in [
        (0.0, 300.0, 5.0, 0.3, 40.0, 0.6),
        (20.0, 300.0, 5.0, 30.0, 2.0, 0.6),
        (250.0, 251.0, 90.0, 400.0, 300.0, 4.0),
    ]:
        scale = shape * np.log(alpha + start)
        exact, _ = quad(
            lambda u, alpha=alpha, shape=shape, beta=beta, s=s, scale=scale: np.exp(
                scale - shape * np.log(alpha + u) - (s + 1) * np.log(beta + u)
            ),
            start,
            end,
            epsabs=0,
            epsrel=1e-11,
            limit=400,
        )
        log_integral = models.value.counting._stopping(
            np.array([start]), np.array([end]), alpha, np.array([shape]), beta, s
        )[2]
        assert log_integral[0] + scale == pytest.approx(np.log(exact), abs=1e-8)


def test_the_distribution_of_counts_adds_up_to_its_mean_and_its_zero():
    scorer = BetaGeoScorer(horizon=90).fit(invented())
    rows = [[0, 0, 200], [3, 150, 200], [12, 190, 200]]
    probabilities = scorer.order_distribution(rows, 200)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-9)
    assert probabilities @ np.arange(201) == pytest.approx(scorer.predict(rows), rel=1e-6)
    assert 1 - probabilities[:, 0] == pytest.approx(scorer.order_probability(rows), rel=1e-9)
    low, high = scorer.order_interval(rows, coverage=0.9)
    reached = probabilities.cumsum(axis=1)
    for row in range(3):
        assert reached[row, int(high[row])] >= 0.95 - 1e-9
        assert low[row] == 0 or reached[row, int(low[row]) - 1] < 0.05


@pytest.mark.parametrize(("a", "b"), [(0.8, 198.0), (60.0, 139.0), (1.0, 150.0), (0.3, 0.7)])
def test_both_forms_of_the_expectation_agree(a, b):
    scorer = BetaGeoScorer(horizon=90).fit(invented())
    scorer.parameters_ = np.array([0.5, 20.0, a, b])
    x, age = np.array([0.0, 1.0, 5.0, 40.0]), np.full(4, 200.0)
    closed = scorer._expected(x, age * (x > 0), age, 90.0)
    averaged = scorer._alive(x, age * (x > 0), age) * scorer._expected_by_chance(x, age, 90.0)
    assert closed == pytest.approx(averaged, rel=2e-3 if a < 1 else 1e-5)


def test_discounting_takes_nothing_at_rate_0_and_something_above(fitted):
    rows = invented(50, seed=5)
    assert fitted.discounted_orders(rows) == pytest.approx(fitted.predict(rows))
    assert (fitted.discounted_orders(rows, rate=0.001) < fitted.predict(rows)).all()


def test_the_order_of_rows_and_grouping_change_nothing(fitted):
    rows = invented()
    shuffled = np.random.default_rng(1).permutation(len(rows))
    again = clone(fitted).fit(rows[shuffled])
    assert (again.parameters_ == fitted.parameters_).all()
    distinct, weight = np.unique(rows, axis=0, return_counts=True)
    weighted = clone(fitted).fit(distinct, sample_weight=weight)
    assert (weighted.parameters_ == fitted.parameters_).all()
    assert (fitted.predict(rows[shuffled]) == fitted.predict(rows)[shuffled]).all()


def test_the_unit_of_time_changes_no_forecast(fitted):
    rows = invented()
    weeks = clone(fitted).fit(rows / [1, 7, 7])
    assert weeks.predict(rows[:50] / [1, 7, 7]).shape == (50,)
    assert weeks.expected_orders(rows[:50] / [1, 7, 7], 90 / 7) == pytest.approx(
        fitted.predict(rows[:50]), rel=1e-5
    )


histories = st.tuples(
    st.integers(0, 400), st.floats(0, 1), st.floats(1, 4000, allow_nan=False)
).map(lambda given: (given[0], given[1] * given[2] if given[0] else 0.0, given[2]))


@settings(max_examples=60, deadline=None)
@given(history=histories, first=st.floats(0, 800), more=st.floats(0, 800))
def test_forecasts_grow_with_time_and_probabilities_stay_within_0_and_1(
    fitted, history, first, more
):
    rows = [history]
    sooner, later = (
        fitted.expected_orders(rows, first)[0],
        fitted.expected_orders(rows, first + more)[0],
    )
    assert np.isfinite([sooner, later]).all()
    assert 0 <= sooner <= later * (1 + 1e-7) + 1e-9
    chance, more_chance = (
        fitted.order_probability(rows, first)[0],
        fitted.order_probability(rows, first + more)[0],
    )
    assert 0 <= chance <= more_chance + 1e-9 <= 1 + 1e-9
    assert chance <= sooner + 1e-6
    assert 0 <= fitted.alive_probability(rows)[0] <= 1
    assert fitted.lapse_probability(rows, first)[0] == 1 - chance


def test_nothing_comes_in_no_time(fitted):
    rows = invented(20)
    assert fitted.expected_orders(rows, 0) == pytest.approx(0, abs=1e-9)
    assert fitted.order_probability(rows, 0) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize("kind", COUNTING)
def test_one_time_buyers_alone_are_refused(kind):
    with pytest.raises(ValueError, match="ordered twice"):
        kind().fit([[0, 0, 30], [0, 0, 40]])


@pytest.mark.parametrize("kind", COUNTING)
def test_one_customer_is_fitted_with_a_warning(kind):
    with pytest.warns(IdentificationWarning, match="do not pin down"):
        scorer = kind(horizon=30).fit([[3, 50, 60]])
    assert not scorer.is_identified_
    assert scorer.weakest_parameters_
    assert np.isfinite(scorer.predict([[3, 50, 60], [0, 0, 10]])).all()


def test_buyers_who_never_stop_leave_stopping_unidentified():
    rng = np.random.default_rng(0)
    count = rng.poisson(rng.gamma(2, 5, 300)) + 1
    rows = np.column_stack((count, np.full(300, 364.0), np.full(300, 364.0)))
    with pytest.warns(IdentificationWarning):
        scorer = BetaGeoScorer(horizon=364).fit(rows)
    assert np.isfinite(scorer.predict(rows)).all()
    assert scorer.predict(rows).sum() == pytest.approx(count.sum(), rel=0.1)


@pytest.mark.parametrize(
    ("history", "message"),
    [
        ([[1, 50, 40]], "after the day looked from"),
        ([[0, 5, 40]], "no repeat order"),
        ([[1.5, 5, 40]], "fraction"),
        ([[-1, 5, 40]], "Negative"),
        ([[1, 5]], "3 columns"),
    ],
)
def test_histories_that_contradict_themselves_are_refused(history, message):
    with pytest.raises(ValueError, match=message):
        BetaGeoScorer().fit(history)


def test_parameters_come_back_from_the_customers_they_made():
    rng = np.random.default_rng(11)
    orders = rng.integers(1, 12, 6000)
    rate = rng.gamma(4, 1 / 60, 6000)
    rows = np.column_stack((orders, rng.gamma(6 * orders, 1 / (rate * orders))))
    scorer = GammaGammaScorer().fit(rows)
    off = np.abs(scorer.parameters_ - (6, 4, 60)) / scorer.standard_errors_
    assert (off < 3).all()


def test_the_value_of_an_order_lies_between_the_customers_mean_and_everyones():
    rng = np.random.default_rng(2)
    orders = rng.integers(1, 12, 500)
    rate = rng.gamma(4, 1 / 60, 500)
    rows = np.column_stack((orders, rng.gamma(6 * orders, 1 / (rate * orders))))
    scorer = GammaGammaScorer().fit(rows)
    p, q, gamma = scorer.parameters_
    everyone = p * gamma / (q - 1)
    forecast = scorer.predict(rows)
    assert (forecast >= np.minimum(rows[:, 1], everyone) - 1e-9).all()
    assert (forecast <= np.maximum(rows[:, 1], everyone) + 1e-9).all()
    assert scorer.predict([[0, 0]])[0] == pytest.approx(everyone)
    assert spearmanr(forecast, rows[:, 1]).statistic > 0.9


def test_the_log_likelihood_of_values_is_that_of_the_formula():
    rows = np.array([[1, 20.0], [3, 35.0], [2, 12.0], [6, 40.0], [1, 70.0]])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IdentificationWarning)
        scorer = GammaGammaScorer().fit(rows)
    (p, q, gamma), (x, m) = scorer.parameters_, rows.T
    formula = (
        gammaln(p * x + q) - gammaln(p * x) - gammaln(q) + q * np.log(gamma)
        + (p * x - 1) * np.log(m) + p * x * np.log(x) - (p * x + q) * np.log(gamma + x * m)
    )  # fmt: skip
    assert scorer.log_likelihood_ == pytest.approx(formula.sum(), rel=1e-6)


@pytest.mark.parametrize("module", [models.value.counting, models.value.spend])
def test_the_examples_run(module):
    assert doctest.testmod(module).failed == 0


@pytest.mark.parametrize("kind", [BetaGeoScorer, ParetoNBDScorer, GammaGammaScorer])
def test_the_contract_of_estimators_is_kept_where_histories_allow(kind):
    results = check_estimator(kind(), on_fail=None, on_skip=None)
    failed = {
        str(result["check_name"]): str(result["exception"])
        for result in results
        if result["status"] == "failed"
    }
    # The check with a Series hides why: its rows have two columns.
    about_histories = (
        "columns",
        "fraction",
        "Negative",
        "after the day",
        "no repeat order",
        "Series",
    )
    foreign = {
        check: message
        for check, message in failed.items()
        if not any(words in message for words in about_histories)
    }
    assert not foreign
    passed = {str(result["check_name"]) for result in results if result["status"] == "passed"}
    assert {
        "check_no_attributes_set_in_init",
        "check_parameters_default_constructible",
        "check_get_params_invariance",
        "check_set_params",
        "check_estimator_cloneable",
    } <= passed
