"""Measure the value score's estimators on a million invented customers, in CPU-seconds.

    python -m benchmarks.value [--customers 1000000]

Histories are drawn from BG/NBD with known parameters, in whole days over two years, so that the
fit can be judged as well as timed: ``off`` is the largest distance between an estimate and the
truth, in standard errors.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from models.value import BetaGeoScorer, GammaGammaScorer
from models.value.counting import GroupedHistories

TRUTH = (0.6, 60.0, 0.4, 2.5)
SPAN_DAYS = 730
BUDGET = 5.0


def invented_histories(customers: int, seed: int = 1) -> np.ndarray:
    """Repeat orders, last order at and age of customers who order and stop as BG/NBD says."""
    rng = np.random.default_rng(seed)
    r, alpha, a, b = TRUTH
    age = rng.integers(1, SPAN_DAYS, customers).astype(float)
    rate, stop = rng.gamma(r, 1 / alpha, customers), rng.beta(a, b, customers)
    count, last = np.zeros(customers), np.zeros(customers)
    moment, going = np.zeros(customers), np.arange(customers)
    while len(going):
        moment[going] += rng.exponential(1, len(going)) / np.maximum(rate[going], 1e-300)
        going = going[moment[going] <= age[going]]
        count[going] += 1
        last[going] = np.minimum(np.ceil(moment[going]), age[going])
        going = going[rng.random(len(going)) >= stop[going]]
    return np.column_stack((count, last, age))


def timed(name: str, work: Callable[[], Any]) -> Any:
    begun = time.process_time()
    result = work()
    print(f"{name:<44}{time.process_time() - begun:8.2f} CPU-s")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    customers = parser.parse_args().customers
    histories = invented_histories(customers)
    groups = timed("grouping", lambda: GroupedHistories.of(histories, np.ones(customers)))
    print(f"  {customers:,} customers, {len(groups):,} distinct histories")
    begun = time.process_time()
    scorer = BetaGeoScorer(horizon=91).fit(histories)
    seconds = time.process_time() - begun
    print(f"{'BG/NBD fit, grouping included':<44}{seconds:8.2f} CPU-s  (budget {BUDGET})")
    off = np.abs(scorer.parameters_ - TRUTH) / scorer.standard_errors_
    print(f"  {scorer.n_iter_} steps; off {off.max():.1f}; identified: {scorer.is_identified_}")
    timed("expected orders", lambda: scorer.predict(histories))
    timed("probability of an order", lambda: scorer.order_probability(histories))
    rng = np.random.default_rng(2)
    orders = histories[:, 0] + 1
    values = np.column_stack((orders, rng.gamma(6 * orders) / (rng.gamma(4, 1 / 15, customers))))
    values[:, 1] /= orders
    timed("gamma-gamma fit", lambda: GammaGammaScorer().fit(values))


if __name__ == "__main__":
    main()
