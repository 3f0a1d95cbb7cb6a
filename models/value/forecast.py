"""What each customer will order and spend in the horizon: the estimate, and the rules beside it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import permutations
from math import factorial

import numpy as np
import numpy.typing as npt
from scipy.special import expit, logit

from models.value.boosted import BoostedSpend
from models.value.counting import BetaGeoScorer, OrderCountScorer
from models.value.histories import Window
from models.value.likelihood import IdentificationWarning
from models.value.spend import GammaGammaScorer

__all__ = [
    "REASONS",
    "CellMeans",
    "Forecast",
    "ValueEstimate",
    "calibrate",
    "fit_estimate",
    "last_year",
    "levelled",
    "rule_forecast",
]

FloatArray = npt.NDArray[np.float64]

REASONS = ("order_days_count", "days_since_last_order", "days_since_first_order")
"""What an order probability is explained by, as the columns of a history are taken apart."""

FACTOR_PRIOR_ORDERS = 25.0
"""A season factor starts from 1 with the weight of so many orders."""

CELL_PRIOR = 20.0
RECENCY_EDGES = (30.0, 91.0, 182.0, 365.0)
FREQUENCY_EDGES = (1.0, 2.0, 5.0)
LEAST_PROBABILITY = 1e-6


@dataclass(frozen=True)
class Forecast:
    """Per customer, in the horizon: orders, net revenue, probability of at least one order."""

    orders: FloatArray
    value: FloatArray
    probability: FloatArray


@dataclass(frozen=True)
class ValueEstimate:
    """Fitted estimators, the season's factors and the calibration of the probability.

    ``orders_factor`` and ``revenue_factor`` multiply what the estimators expect in the horizon;
    ``slope`` and ``shift`` apply to the logit of the order probability.
    """

    counts: OrderCountScorer
    spend: GammaGammaScorer
    ordinary: tuple[float, float, float] = (0.0, 0.0, 0.0)
    """Repeat orders, silence in rhythms, and age in days of the median repeat buyer."""
    orders_factor: float = 1.0
    revenue_factor: float = 1.0
    slope: float = 1.0
    shift: float = 0.0
    boosted: BoostedSpend | None = None
    """Trees that divide the expected value otherwise, where they came nearer."""

    def forecast(self, window: Window) -> Forecast:
        """Forecast the horizon after the window's cut."""
        orders, value, probability = plain = self.plain(window)
        if self.boosted is not None:
            value = value * self.boosted.times(window, plain)
        return Forecast(
            orders * self.orders_factor,
            value * self.revenue_factor,
            expit(self._calibrated(probability)),
        )

    def plain(self, window: Window) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Orders, value and order probability as the estimators tell them, without a season."""
        histories = window.histories
        orders = self.counts.expected_orders(histories, window.horizon)
        return (
            orders,
            orders * self.spend.predict(window.values),
            self.counts.order_probability(histories, window.horizon),
        )

    def contributions(self, histories: FloatArray, horizon: int) -> tuple[FloatArray, float]:
        """Shapley values of the three parts of each history, and the logit they start from.

        The parts are the orders, the silence since the last one as a multiple of the customer's
        own rhythm (age over orders), and the age: many orders are then no burden to those who went
        silent. A part's value is its mean effect on the logit of the order probability when it
        replaces that of an ordinary customer, over all orders of replacing them. Base and values
        sum to the logit exactly.
        """
        own = np.column_stack((histories[:, 0], _silence(histories), histories[:, 2]))
        ordinary = np.array(self.ordinary)
        logits: dict[frozenset[int], FloatArray] = {}
        for mask in range(8):
            held = frozenset(at for at in range(3) if mask >> at & 1)
            x, silence, age = np.where([[at in held for at in range(3)]], own, ordinary).T
            last = np.where(x > 0, np.clip(age - silence * age / (x + 1), 0.0, age), 0.0)
            if len(held) == 3:
                last = histories[:, 1]
            rows = np.column_stack((x, last, age))
            logits[held] = self._calibrated(self.counts.order_probability(rows, horizon))
        shares = np.zeros_like(own)
        for order in permutations(range(3)):
            for place, at in enumerate(order):
                before = frozenset(order[:place])
                shares[:, at] += logits[before | {at}] - logits[before]
        shares /= factorial(3)
        base = logits[frozenset()]
        return shares, float(base[0]) if len(base) else 0.0

    def _calibrated(self, probability: FloatArray) -> FloatArray:
        clipped = np.clip(probability, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
        return np.asarray(self.slope * logit(clipped) + self.shift)


def fit_estimate(
    window: Window,
    reference: tuple[Window, ValueEstimate] | None = None,
    kind: Callable[[float], OrderCountScorer] = BetaGeoScorer,
) -> ValueEstimate:
    """Learn from the histories of a window, not from what came after.

    ``reference`` is the window of a year before with what was learned then: its actual over its
    own forecast, orders and revenue apart, is the season factor, and the probability is calibrated
    on it.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IdentificationWarning)
        counts = kind(float(window.horizon)).fit(window.histories)
        spend = GammaGammaScorer().fit(window.values)
    repeat = window.histories[window.orders > 1]
    ordinary = (
        float(np.round(np.median(repeat[:, 0]))),
        float(np.median(_silence(repeat))),
        float(np.median(repeat[:, 2])),
    )
    if reference is None:
        return ValueEstimate(counts, spend, ordinary)
    past, then = reference
    said = then.forecast(past)
    said_orders, said_revenue = said.orders.sum(), said.value.sum()
    weight = FACTOR_PRIOR_ORDERS
    per_order = said_revenue / max(said_orders, 1e-9)
    orders_factor = (past.later_orders.sum() + weight) / (said_orders + weight)
    revenue_factor = (max(past.later_revenue.sum(), 0.0) + weight * per_order) / (
        said_revenue + weight * per_order
    )
    slope, shift = calibrate(said.probability, past.later_orders > 0)
    return ValueEstimate(
        counts, spend, ordinary, float(orders_factor), float(revenue_factor), slope, shift
    )


def levelled(estimate: ValueEstimate, now: Window, past: Window, recent: Window) -> ValueEstimate:
    """The estimate at the level of like customers a year before.

    ``past`` is the window of a year before, ``recent`` that of now with histories begun as many
    days before its cut, so that customers of the one compare with customers of the other. What each
    cell did then, with as many customers as it has now, over what the estimate says of them, is the
    factor of orders; an order brings what it brought then; the chance of none, to the power of that
    factor, is what the probability is calibrated on.
    """
    expected = CellMeans.learn(past).forecast(recent)
    said = estimate.forecast(now)
    compared = now.customer_id.is_in(recent.customer_id.implode()).to_numpy()
    weight = FACTOR_PRIOR_ORDERS
    orders_factor = (expected.orders.sum() + weight) / (said.orders[compared].sum() + weight)
    per_order = said.value.sum() / max(said.orders.sum(), 1e-9)
    came = (max(past.later_revenue.sum(), 0.0) + weight * per_order) / (
        past.later_orders.sum() + weight
    )
    slope, shift = calibrate(said.probability, 1 - (1 - said.probability) ** orders_factor)
    return replace(
        estimate,
        orders_factor=float(orders_factor),
        revenue_factor=float(orders_factor * came / max(per_order, 1e-9)),
        slope=slope,
        shift=shift,
    )


def _silence(histories: FloatArray) -> FloatArray:
    """Time since the last order over the mean time per order; 1 for those who ordered once."""
    x, last, age = histories.T
    return np.asarray(np.where(age > 0, (age - last) * (x + 1) / np.maximum(age, 1e-9), 1.0))


def calibrate(
    probability: FloatArray, came: npt.NDArray[np.bool_] | FloatArray
) -> tuple[float, float]:
    """Slope and shift of the logit under which the probability would have been right.

    ``came`` says whether it came, or how likely it was.
    Maximum likelihood with a prior: slope 1 and shift 0, each give or take 1/2.
    """
    logits = logit(np.clip(probability, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY))
    design = np.column_stack((logits, np.ones(len(logits))))
    at = np.array([1.0, 0.0])
    for _ in range(50):
        expected = expit(design @ at)
        gradient = ((came - expected)[:, None] * design).sum(axis=0) - 4 * (at - (1.0, 0.0))
        weight = expected * (1 - expected)
        second = np.array(
            [[(weight * design[:, i] * design[:, j]).sum() for j in (0, 1)] for i in (0, 1)]
        ) + 4 * np.eye(2)
        step = np.linalg.solve(second, gradient)
        at = at + step
        if np.abs(step).max() < 1e-10:
            break
    return round(float(np.clip(at[0], 0.1, 5.0)), 9), round(float(at[1]), 9)


def last_year(window: Window) -> Forecast:
    """The simple rule: as much as in the last 365 days, in proportion to the horizon.

    The probability ranks customers and is no more than that: orders of the year, the latest first.
    """
    share = window.horizon / 365
    orders = window.year_orders * share
    since = window.cut - window.last
    rank = orders - 1e-6 * since
    return Forecast(orders, np.maximum(window.year_revenue * share, 0.0), expit(rank))


@dataclass(frozen=True)
class CellMeans:
    """The RFM rule: what customers of the same cell did in the horizon before.

    A cell is a class of recency (days since the last order), of frequency (orders) and of money
    (thirds of the mean order value); means are drawn towards everyone's by the weight of 20
    customers.
    """

    thirds: FloatArray
    orders: FloatArray
    value: FloatArray
    probability: FloatArray

    @classmethod
    def learn(cls, past: Window) -> CellMeans:
        """From a window whose horizon is over."""
        means = past.values[:, 1]
        thirds = np.quantile(means, (1 / 3, 2 / 3)) if len(past) else np.zeros(2)
        cells = _cells(past, thirds)
        size = (len(RECENCY_EDGES) + 1) * (len(FREQUENCY_EDGES) + 1) * 3
        counts = np.bincount(cells, minlength=size)

        def means_of(column: FloatArray) -> FloatArray:
            overall = column.mean() if len(column) else 0.0
            total = np.bincount(cells, column, size)
            return np.asarray((total + CELL_PRIOR * overall) / (counts + CELL_PRIOR))

        return cls(
            thirds,
            means_of(past.later_orders),
            means_of(past.later_revenue),
            means_of((past.later_orders > 0).astype(np.float64)),
        )

    def forecast(self, window: Window) -> Forecast:
        """Each customer as their cell did."""
        cells = _cells(window, self.thirds)
        return Forecast(
            self.orders[cells], np.maximum(self.value[cells], 0.0), self.probability[cells]
        )


def rule_forecast(method: str, cells: CellMeans, window: Window) -> Forecast:
    """What a rule says: ``cell_means``, or ``last_year`` with the probabilities of the cells."""
    by_cell = cells.forecast(window)
    if method == "cell_means":
        return by_cell
    by_year = last_year(window)
    return Forecast(by_year.orders, by_year.value, by_cell.probability)


def _cells(window: Window, thirds: FloatArray) -> npt.NDArray[np.intp]:
    recency = np.searchsorted(RECENCY_EDGES, window.cut - window.last, side="left")
    frequency = np.searchsorted(FREQUENCY_EDGES, window.orders, side="left")
    money = np.searchsorted(thirds, window.values[:, 1], side="left")
    return np.asarray((recency * (len(FREQUENCY_EDGES) + 1) + frequency) * 3 + money)
