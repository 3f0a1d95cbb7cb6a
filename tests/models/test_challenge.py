"""A score serves when it beats a rule by more than chance does."""

from __future__ import annotations

import numpy as np
import polars as pl
import pytest

from models.challenge import beats_rule, gain_and_noise


def test_what_chance_gains_is_refused_and_what_is_learned_is_not() -> None:
    """Many scores that know nothing come out ahead of the rule; hardly any may serve."""
    ahead = served = found = 0
    for seed in range(100):
        random = np.random.default_rng(seed)
        rule = np.full(1000, 0.2)
        truth = random.random(1000) < rule
        noisy = np.clip(rule + random.normal(0, 0.005, 1000), 0.01, 0.99)
        wins, told = beats_rule(truth, noisy, rule)
        ahead += told["brier_gain"] > 0
        served += wins
        better = np.clip(rule + 0.1 * random.choice([-1, 1], 1000), 0.01, 0.99)
        found += beats_rule(random.random(1000) < better, better, rule)[0]
    assert ahead > 30
    assert served <= 5
    assert found >= 90


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
