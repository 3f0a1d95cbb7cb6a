"""A score serves when it beats a rule by more than chance does."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import polars as pl
import pytest

from models.challenge import beats_rule, gain_and_noise

FloatArray = npt.NDArray[np.float64]


def drawn(seed: int, truth: FloatArray) -> npt.NDArray[np.bool_]:
    return np.random.default_rng(seed).random(len(truth)) < truth


def learned(seed: int, truth: FloatArray, noise: float) -> FloatArray:
    """What is true, and what learning it from few rows gets wrong, in log-odds."""
    off = np.random.default_rng(seed + 1000).normal(0, noise, len(truth))
    return np.asarray(1 / (1 + np.exp(-np.log(truth / (1 - truth)) - off)))


def test_what_chance_gains_is_refused() -> None:
    """Many scores that know nothing come out ahead of the rule; hardly any may serve."""
    rule = np.full(1000, 0.2)
    for noise, luck in ((0.03, 30), (0.1, 15)):
        found = [
            beats_rule(drawn(seed, rule), learned(seed, rule, noise), rule) for seed in range(100)
        ]
        assert sum(told["brier_gain"] > 0 for _, told in found) > luck
        assert sum(wins for wins, _ in found) <= 5


def test_what_is_learned_serves_on_few_rows_too() -> None:
    """An AUC of .68 against .5 on 420 rows is no chance, though its Brier gain is within noise."""
    rate = np.array([0.08, 0.15, 0.33])
    truth, rule = np.tile(rate, 140), np.full(420, rate.mean())
    found = [beats_rule(drawn(seed, truth), learned(seed, truth, 0.2), rule) for seed in range(100)]
    told = [facts for _, facts in found]
    clear = [one["brier_gain"] > 2 * one["brier_gain_standard_error"] for one in told]
    assert sum(clear) < 75
    assert sum(wins for wins, _ in found) >= 90


def test_a_score_that_ranks_well_and_says_too_much_does_not_serve() -> None:
    truth = np.tile([0.05, 0.1, 0.3], 500)
    rule = np.full(1500, 0.15)
    for said in (np.clip(2.5 * truth, 0, 0.99), truth + 0.2):
        wins, told = beats_rule(drawn(0, truth), said, rule)
        assert told["information"] > 2 * told["information_standard_error"]
        assert told["brier_gain"] < 0
        assert not wins


def test_a_lucky_level_is_nothing_learned() -> None:
    """The level has moved; a score that knows nobody happens to stand nearer to it."""
    rule = np.full(2000, 0.1)
    score = learned(3, np.full(2000, 0.12), 0.02)
    for seed in range(20):
        wins, told = beats_rule(drawn(seed, np.full(2000, 0.2)), score, rule)
        assert told["brier_gain"] > 2 * told["brier_gain_standard_error"]
        assert not wins


def test_days_of_one_person_are_one_chance() -> None:
    random = np.random.default_rng(0)
    off, rival = random.random(500), random.random(500)
    gain, noise = gain_and_noise(off, rival)
    assert noise == pytest.approx(2 * (rival - off).std(ddof=1) / np.sqrt(500))
    who = pl.Series([f"c{number}" for number in range(500)] * 3)
    thrice = gain_and_noise(np.tile(off, 3), np.tile(rival, 3), who)
    assert thrice == (pytest.approx(gain), pytest.approx(noise))
    assert gain_and_noise(np.tile(off, 3), np.tile(rival, 3))[1] < 0.6 * noise


def test_a_score_that_ranks_worse_does_not_serve() -> None:
    truth = np.array([True] * 5 + [False] * 95)
    rule = np.where(truth, 0.999, 0.99)
    assert not beats_rule(truth, np.full(100, 0.05), rule)[0]
