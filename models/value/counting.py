"""How often a customer will order: two ways to read a history of repeat orders.

A history is three numbers per customer, in one unit of time (days, weeks): the orders after the
first, when the last of them came, and how long ago the first order was. Both estimators assume
that a customer orders at random at a rate of their own until, unseen, they stop.

Identical histories are grouped, and functions of one column are computed once per distinct value,
so that a million customers cost a few hundred thousand multiplications a step.
"""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import betaincinv, betaln, digamma, expit, gammaln, hyp2f1
from scipy.stats import nbinom
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from models.value.likelihood import LikelihoodScorer, maximise

__all__ = ["BetaGeoScorer", "GroupedHistories", "OrderCountScorer", "ParetoNBDScorer"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

COLUMNS = ("repeat_orders", "last_order_at", "age")
NODES = 48
DECAY = 60.0
"""Integrands are cut off where they have fallen by exp(-60)."""

LARGE = 200.0
"""Sum of a and b over which closed forms lose their digits."""

AVOIDED = 1e-4
"""Closed forms with a removable pole are averaged over this distance on both sides of it."""


@dataclass(frozen=True)
class GroupedHistories:
    """Distinct histories with how many customers have each, in a fixed order.

    Functions of one column are computed on its distinct values and spread by the codes.
    """

    repeat_orders: FloatArray
    last_order_at: FloatArray
    age: FloatArray
    weight: FloatArray
    counts: FloatArray
    count_code: IntArray
    lasts: FloatArray
    last_code: IntArray
    ages: FloatArray
    age_code: IntArray

    @classmethod
    def of(cls, X: FloatArray, weight: FloatArray) -> GroupedHistories:  # noqa: N803
        """Group the rows of (repeat orders, last order at, age); order of rows irrelevant."""
        table = pl.DataFrame({name: X[:, at] for at, name in enumerate(COLUMNS)})
        grouped = (
            table.with_columns(pl.Series("weight", weight))
            .group_by(COLUMNS)
            .agg(pl.col("weight").sort().sum())
            .sort(COLUMNS)
        )
        columns = [grouped[name].to_numpy() for name in COLUMNS]
        codes = [np.unique(column, return_inverse=True) for column in columns]
        return cls(
            columns[0], columns[1], columns[2], grouped["weight"].to_numpy(),
            codes[0][0], codes[0][1], codes[1][0], codes[1][1], codes[2][0], codes[2][1],
        )  # fmt: skip

    def __len__(self) -> int:
        return len(self.weight)

    def scaled(self, unit: float) -> GroupedHistories:
        """The same histories with time counted in another unit."""
        return GroupedHistories(
            self.repeat_orders, self.last_order_at / unit, self.age / unit, self.weight,
            self.counts, self.count_code, self.lasts / unit, self.last_code,
            self.ages / unit, self.age_code,
        )  # fmt: skip


class OrderCountScorer(LikelihoodScorer):
    """What both estimators of order counts share.

    ``X`` has three columns: orders after the first; when the last of them came, counted from the
    first order (0 without any); how long ago the first order was. Time in one unit throughout.
    """

    time_parameters: tuple[int, ...]
    n_customers_: float
    n_groups_: int

    def __init__(self, horizon: float = 90.0) -> None:
        self.horizon = horizon

    def fit(self, X: Any, y: Any = None, sample_weight: Any = None) -> Self:  # noqa: N803
        """Estimate the parameters by maximum likelihood.

        Parameters
        ----------
        X : array-like of shape (n_customers, 3)
            Repeat orders, last order at, age.
        y : ignored
        sample_weight : array-like of shape (n_customers,), optional
            How many customers each row stands for.

        Returns
        -------
        self : OrderCountScorer

        Raises
        ------
        ValueError
            When the histories contradict themselves, or nobody ordered twice.
        """
        X = self._histories(X, reset=True)  # noqa: N806
        weight = _check_sample_weight(sample_weight, X, dtype=np.float64)
        if (weight < 0).any() or weight.sum() <= 0:
            raise ValueError("sample_weight must be positive somewhere and negative nowhere.")
        X, weight = X[weight > 0], weight[weight > 0]  # noqa: N806
        if not (X[:, 0] > 0).any():
            raise ValueError("No customer ordered twice: there is nothing to learn a rate from.")
        groups = GroupedHistories.of(X, weight)
        total = float(weight.sum())
        unit = float(np.average(X[:, 2], weights=weight)) or 1.0
        scaled = groups.scaled(unit)

        def objective(logs: FloatArray) -> tuple[float, FloatArray]:
            parameters = np.exp(logs)
            value, gradient = self._log_likelihood(parameters, scaled)
            return value / total, gradient * parameters / total

        found = maximise(objective, self._start(), self.parameter_names, total)
        stretch = np.ones(len(found.parameters))
        stretch[list(self.time_parameters)] = unit
        log_likelihood = found.mean_log_likelihood * total - np.log(unit) * (X[:, 0] * weight).sum()
        self._keep(found, stretch, log_likelihood)
        self.n_customers_ = total
        self.n_groups_ = len(groups)
        return self

    def predict(self, X: Any) -> FloatArray:  # noqa: N803
        """Expected orders in ``horizon``."""
        return self.expected_orders(X)

    def expected_orders(self, X: Any, t: float | None = None) -> FloatArray:  # noqa: N803
        """Expected number of orders in the time ``t`` to come (``horizon`` when not given)."""
        t = self._ahead(t)
        return self._by_group(X, lambda x, last, age: self._expected(x, last, age, t))

    def order_probability(self, X: Any, t: float | None = None) -> FloatArray:  # noqa: N803
        """Probability of at least one order in the time ``t`` to come."""
        t = self._ahead(t)
        return self._by_group(
            X,
            lambda x, last, age: self._alive(x, last, age) * self._orders_if_alive(x, last, age, t),
        )

    def lapse_probability(self, X: Any, t: float | None = None) -> FloatArray:  # noqa: N803
        """Probability of no order in the time ``t`` to come."""
        return np.asarray(1.0 - self.order_probability(X, t))

    def alive_probability(self, X: Any) -> FloatArray:  # noqa: N803
        """Probability that the customer has not stopped.

        No score to show or rank by: under BG/NBD it is exactly 1 for everyone who ordered once.
        """
        return self._by_group(X, self._alive)

    def discounted_orders(
        self,
        X: Any,  # noqa: N803
        t: float | None = None,
        *,
        rate: float = 0.0,
        steps: int = 12,
    ) -> FloatArray:
        """Expected orders in the time ``t``, each worth less the later it comes.

        Parameters
        ----------
        rate : float
            Discount per unit of time: an order after ``s`` counts ``(1 + rate) ** -s``.
        steps : int
            Parts of the horizon; orders count as placed in the middle of theirs.
        """
        t = self._ahead(t)
        edges = np.linspace(0.0, t, steps + 1)

        def discounted(x: FloatArray, last: FloatArray, age: FloatArray) -> FloatArray:
            total, before = np.zeros(len(x)), np.zeros(len(x))
            for start, end in pairwise(edges):
                until = self._expected(x, last, age, float(end))
                total += (until - before) * (1.0 + rate) ** (-(start + end) / 2)
                before = until
            return total

        return self._by_group(X, discounted)

    @abstractmethod
    def _start(self) -> tuple[float, ...]: ...

    @abstractmethod
    def _log_likelihood(
        self, parameters: FloatArray, groups: GroupedHistories
    ) -> tuple[float, FloatArray]:
        """Weighted log-likelihood and its gradient by the parameters themselves."""

    @abstractmethod
    def _alive(self, x: FloatArray, last: FloatArray, age: FloatArray) -> FloatArray: ...

    @abstractmethod
    def _expected(
        self, x: FloatArray, last: FloatArray, age: FloatArray, t: float
    ) -> FloatArray: ...

    @abstractmethod
    def _orders_if_alive(
        self, x: FloatArray, last: FloatArray, age: FloatArray, t: float
    ) -> FloatArray: ...

    def _ahead(self, t: float | None) -> float:
        check_is_fitted(self, "parameters_")
        t = float(self.horizon if t is None else t)
        if not (np.isfinite(t) and t >= 0):
            raise ValueError(f"The time ahead must be 0 or more, not {t}.")
        return t

    def _by_group(self, X: Any, function: Any) -> FloatArray:  # noqa: N803
        """Apply a function of histories once per distinct history."""
        check_is_fitted(self, "parameters_")
        X = self._histories(X, reset=False)  # noqa: N806
        table = pl.DataFrame({name: X[:, at] for at, name in enumerate(COLUMNS)})
        distinct = table.unique(maintain_order=False).sort(COLUMNS).with_row_index("group")
        values = np.asarray(function(*(distinct[name].to_numpy() for name in COLUMNS)))
        groups = table.join(distinct, on=COLUMNS, how="left", maintain_order="left")
        return np.asarray(values[groups["group"].to_numpy()], dtype=np.float64)

    def _histories(self, X: Any, *, reset: bool) -> FloatArray:  # noqa: N803
        X = validate_data(self, X, dtype=np.float64, reset=reset)  # noqa: N806
        if X.shape[1] != len(COLUMNS):
            raise ValueError(
                f"A history has {len(COLUMNS)} columns ({', '.join(COLUMNS)}), not {X.shape[1]}."
            )
        x, last, age = X.T
        if (X < 0).any():
            raise ValueError("Negative values in data: counts and times start at 0.")
        if (x != np.floor(x)).any():
            raise ValueError("repeat_orders holds a fraction of an order.")
        if (last > age).any():
            raise ValueError("last_order_at lies after the day looked from (age).")
        if ((x == 0) & (last > 0)).any():
            raise ValueError("last_order_at is not 0 though there was no repeat order.")
        return np.asarray(X, dtype=np.float64)


def _dot(one: FloatArray, other: FloatArray) -> float:
    """Sum of products in one pass and one thread, in an order of its own on every machine."""
    return float(np.einsum("i,i->", one, other))


class BetaGeoScorer(OrderCountScorer):
    """BG/NBD: customers order at gamma-distributed rates, and may stop after any order.

    Fader, Hardie, Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24(2);
    the distribution of counts: Fader, Hardie (2014), note 027 on brucehardie.com, rewritten for a
    customer known to be active.

    Parameters
    ----------
    horizon : float
        Time ahead when a method is given none, in the unit of the histories.

    Attributes
    ----------
    r_, alpha_, a_, b_ : float
        Rates are Gamma(r, alpha); chances to stop after an order are Beta(a, b).
    parameters_, standard_errors_ : ndarray of shape (4,)
        In that order; errors from the Hessian, NaN where it is singular.
    log_likelihood_ : float
    is_identified_ : bool
        False when the likelihood is flat in some direction; ``weakest_parameters_`` says which.

    Examples
    --------
    >>> import numpy as np
    >>> from models.value import BetaGeoScorer
    >>> rng = np.random.default_rng(0)
    >>> orders = rng.negative_binomial(1, 0.4, 400)
    >>> last = np.where(orders > 0, 52 * rng.random(400) ** (1 / (1 + orders)), 0)
    >>> X = np.column_stack((orders, last, np.full(400, 52.0)))
    >>> scorer = BetaGeoScorer(horizon=26).fit(X)
    >>> bool(scorer.predict([[5, 50, 52]])[0] > scorer.predict([[5, 5, 52]])[0])
    True
    """

    parameter_names = ("r", "alpha", "a", "b")
    time_parameters = (1,)

    @property
    def r_(self) -> float:
        return float(self.parameters_[0])

    @property
    def alpha_(self) -> float:
        return float(self.parameters_[1])

    @property
    def a_(self) -> float:
        return float(self.parameters_[2])

    @property
    def b_(self) -> float:
        return float(self.parameters_[3])

    def order_distribution(
        self,
        X: Any,  # noqa: N803
        up_to: int,
        t: float | None = None,
    ) -> FloatArray:
        """Probabilities of 0, 1, ..., ``up_to`` orders in the time ``t`` to come.

        Returns
        -------
        probabilities : ndarray of shape (n_customers, up_to + 1)
        """
        t = self._ahead(t)
        X = self._histories(X, reset=False)  # noqa: N806
        return np.column_stack([self._count(X, n, t) for n in range(up_to + 1)])

    def order_interval(
        self,
        X: Any,  # noqa: N803
        t: float | None = None,
        *,
        coverage: float = 0.8,
        limit: int = 10_000,
    ) -> tuple[FloatArray, FloatArray]:
        """Numbers of orders that leave at most half of ``1 - coverage`` on each side."""
        t = self._ahead(t)
        X = self._histories(X, reset=False)  # noqa: N806
        tail = (1.0 - coverage) / 2
        reached = np.zeros(len(X))
        low, high = np.full(len(X), -1.0), np.full(len(X), -1.0)
        open_rows = np.arange(len(X))
        for n in range(limit + 1):
            reached[open_rows] += self._count(X[open_rows], n, t)
            part = reached[open_rows]
            low[open_rows[(low[open_rows] < 0) & (part >= tail)]] = n
            high[open_rows[part >= 1 - tail - 1e-12]] = n
            open_rows = open_rows[high[open_rows] < 0]
            if len(open_rows) == 0:
                break
        high[high < 0] = limit
        return low, high

    def _count(self, X: FloatArray, n: int, t: float) -> FloatArray:  # noqa: N803
        """Probability of exactly n orders.

        Of an active customer: n orders and no stop, or n or more chances and the stop after the
        n-th; rates and chances to stop are independent given that the customer is active.
        """
        r, alpha, a, b = self.parameters_
        x, last, age = X.T
        alive = self._alive(x, last, age)
        size, share = r + x, (alpha + age) / (alpha + age + t)
        goes_on = np.exp(betaln(a, b + x + n) - betaln(a, b + x))
        probability = nbinom.pmf(n, size, share) * goes_on
        if n == 0:
            return np.asarray(alive * probability + (1 - alive))
        stops = np.exp(betaln(a + 1, b + x + n - 1) - betaln(a, b + x))
        return np.asarray(alive * (probability + nbinom.sf(n - 1, size, share) * stops))

    def _start(self) -> tuple[float, ...]:
        return (1.0, 1.0, 1.0, 1.0)

    def _log_likelihood(
        self, parameters: FloatArray, groups: GroupedHistories
    ) -> tuple[float, FloatArray]:
        r, alpha, a, b = parameters
        counts, weight = groups.counts, groups.weight
        repeat = counts > 0
        by_count = (
            gammaln(r + counts) - gammaln(r) + r * np.log(alpha)
            + gammaln(a + b) - gammaln(a + b + counts) + gammaln(b + counts) - gammaln(b)
        )  # fmt: skip
        with np.errstate(divide="ignore"):
            stopped = np.where(
                repeat, np.log(a) - np.log(np.where(repeat, b + counts - 1, 1)), -np.inf
            )
        log_age = np.log(alpha + groups.ages)[groups.age_code]
        log_last = np.log(alpha + groups.lasts)[groups.last_code]
        shape = (r + counts)[groups.count_code]
        rhythm = log_age - log_last
        odds = stopped[groups.count_code] + shape * rhythm
        small = np.exp(-np.abs(odds))
        silent = np.where(odds >= 0, 1.0, small) / (1.0 + small)
        either = np.maximum(odds, 0.0) + np.log1p(small)
        per_count = np.asarray(np.bincount(groups.count_code, weight, len(counts)), np.float64)
        weighted_shape = weight * shape
        value = _dot(per_count, by_count) - _dot(weighted_shape, log_age) + _dot(weight, either)
        silent_weight = weight * silent
        per_count_silent = np.bincount(groups.count_code, silent_weight, len(counts))
        shared = digamma(a + b) - digamma(a + b + counts)
        inverse_age = (1 / (alpha + groups.ages))[groups.age_code]
        inverse_last = (1 / (alpha + groups.lasts))[groups.last_code]
        gradient = np.array(
            [
                (per_count * (digamma(r + counts) - digamma(r) + np.log(alpha))).sum()
                - _dot(weight, log_age)
                + _dot(silent_weight, rhythm),
                weight.sum() * r / alpha
                - _dot(weighted_shape, inverse_age + silent * (inverse_last - inverse_age)),
                (per_count * shared).sum() + per_count_silent.sum() / a,
                (per_count * (shared + digamma(b + counts) - digamma(b))).sum()
                - (per_count_silent[repeat] / (b + counts[repeat] - 1)).sum(),
            ]
        )
        return float(value), gradient

    def _alive(self, x: FloatArray, last: FloatArray, age: FloatArray) -> FloatArray:
        r, alpha, a, b = self.parameters_
        repeat = x > 0
        odds = np.log(a / np.where(repeat, b + x - 1, 1.0)) + (r + x) * (
            np.log(alpha + age) - np.log(alpha + last)
        )
        return np.asarray(np.where(repeat, expit(-odds), 1.0))

    def _orders_if_alive(
        self, x: FloatArray, last: FloatArray, age: FloatArray, t: float
    ) -> FloatArray:
        r, alpha = self.parameters_[:2]
        return np.asarray(-np.expm1(-(r + x) * np.log1p(t / (alpha + age))))

    def _expected(self, x: FloatArray, last: FloatArray, age: FloatArray, t: float) -> FloatArray:
        a, b = self.parameters_[2:]
        pole = a + b - 1
        if a + b > LARGE:
            expected = self._expected_by_chance(x, age, t)
        elif abs(a - 1) < AVOIDED or (pole <= AVOIDED and abs(pole - np.rint(pole)) < AVOIDED):
            sides = [self._expected_if_alive(x, age, t, a + step) for step in (-AVOIDED, AVOIDED)]
            expected = (sides[0] + sides[1]) / 2
        else:
            expected = self._expected_if_alive(x, age, t, a)
        return np.asarray(np.maximum(self._alive(x, last, age) * expected, 0.0))

    def _expected_if_alive(self, x: FloatArray, age: FloatArray, t: float, a: float) -> FloatArray:
        """Euler's transformation of the published form, which does not overflow for many orders."""
        r, alpha, _, b = self.parameters_
        z = t / (alpha + age + t)
        top = a + b + x - 1
        series = hyp2f1(a - 1, a + b - 1 - r, top, z)
        return np.asarray(top / (a - 1) * (1 - (1 - z) ** (a - 1) * series))

    def _expected_by_chance(self, x: FloatArray, age: FloatArray, t: float) -> FloatArray:
        """The same as a mean over the chance p to stop after an order.

        Given p, (1 - (1 + p t / (alpha + age)) ** -(r + x)) / p orders are to come. The
        hypergeometric series loses its digits where a and b are large.
        """
        r, alpha, a, b = self.parameters_
        places, weights = np.polynomial.legendre.leggauss(NODES)
        counts, code = np.unique(x, return_inverse=True)
        chances = betaincinv(a, b + counts[:, None], (places[None, :] + 1) / 2)
        expected = np.zeros(len(x))
        for chance, weight in zip(np.maximum(chances, 1e-300).T, weights / 2, strict=True):
            p = chance[code]
            expected += weight * -np.expm1(-(r + x) * np.log1p(p * t / (alpha + age))) / p
        return expected


class ParetoNBDScorer(OrderCountScorer):
    """Pareto/NBD: customers order at gamma-distributed rates and may stop at any moment.

    Schmittlein, Morrison, Colombo (1987), Management Science 33(1); likelihood after Fader, Hardie
    (2005), A Note on Deriving the Pareto/NBD Model. The chance of having stopped unseen is an
    integral over the moment of stopping, taken by Gauss-Legendre instead of by differences of
    hypergeometric functions; its gradient is taken under the integral.

    Parameters
    ----------
    horizon : float
        Time ahead when a method is given none, in the unit of the histories.

    Attributes
    ----------
    r_, alpha_, s_, beta_ : float
        Rates of ordering are Gamma(r, alpha), of stopping Gamma(s, beta).
    parameters_, standard_errors_, log_likelihood_, is_identified_
        As for BetaGeoScorer.

    Examples
    --------
    >>> import numpy as np
    >>> from models.value import ParetoNBDScorer
    >>> rng = np.random.default_rng(0)
    >>> orders = rng.negative_binomial(1, 0.4, 400)
    >>> last = np.where(orders > 0, 52 * rng.random(400) ** (1 / (1 + orders)), 0)
    >>> X = np.column_stack((orders, last, np.full(400, 52.0)))
    >>> scorer = ParetoNBDScorer(horizon=26).fit(X)
    >>> bool(0 < scorer.order_probability([[2, 40, 52]])[0] < 1)
    True
    """

    parameter_names = ("r", "alpha", "s", "beta")
    time_parameters = (1, 3)

    @property
    def r_(self) -> float:
        return float(self.parameters_[0])

    @property
    def alpha_(self) -> float:
        return float(self.parameters_[1])

    @property
    def s_(self) -> float:
        return float(self.parameters_[2])

    @property
    def beta_(self) -> float:
        return float(self.parameters_[3])

    def _start(self) -> tuple[float, ...]:
        return (0.5, 0.3, 0.5, 0.3)

    def _log_likelihood(
        self, parameters: FloatArray, groups: GroupedHistories
    ) -> tuple[float, FloatArray]:
        r, alpha, s, beta = parameters
        x, weight = groups.repeat_orders, groups.weight
        counts, per_count = (
            groups.counts,
            np.bincount(groups.count_code, groups.weight, len(groups.counts)),
        )
        log_a, log_b = np.log(alpha + groups.age), np.log(beta + groups.age)
        stays = -(r + x) * log_a - s * log_b
        node, share, log_integral = _stopping(
            groups.last_order_at, groups.age, alpha, r + x, beta, s
        )
        stopped = np.log(s) + log_integral
        either = np.logaddexp(stays, stopped)
        here = weight * np.exp(stays - either)
        gone = weight * np.exp(stopped - either)
        base = gammaln(r + counts) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
        value = (per_count * base).sum() + (weight * either).sum()
        log_na, log_nb = np.log(alpha + node), np.log(beta + node)
        gradient = np.array(
            [
                (per_count * (digamma(r + counts) - digamma(r) + np.log(alpha))).sum()
                - (here * log_a).sum()
                - (gone * (share * log_na).sum(axis=1)).sum(),
                weight.sum() * r / alpha
                - (here * (r + x) / (alpha + groups.age)).sum()
                - (gone * (r + x) * (share / (alpha + node)).sum(axis=1)).sum(),
                weight.sum() * np.log(beta)
                - (here * log_b).sum()
                + (gone * (1 / s - (share * log_nb).sum(axis=1))).sum(),
                weight.sum() * s / beta
                - (here * s / (beta + groups.age)).sum()
                - (gone * (s + 1) * (share / (beta + node)).sum(axis=1)).sum(),
            ]
        )
        return float(value), gradient

    def _alive(self, x: FloatArray, last: FloatArray, age: FloatArray) -> FloatArray:
        r, alpha, s, beta = self.parameters_
        stays = -(r + x) * np.log(alpha + age) - s * np.log(beta + age)
        _, _, log_integral = _stopping(last, age, alpha, r + x, beta, s)
        return np.asarray(expit(stays - np.log(s) - log_integral))

    def _expected(self, x: FloatArray, last: FloatArray, age: FloatArray, t: float) -> FloatArray:
        r, alpha, s, beta = self.parameters_
        log_share = -np.log1p(t / (beta + age))
        lasting = -log_share if abs(s - 1) < 1e-9 else -np.expm1((s - 1) * log_share) / (s - 1)
        rate = (r + x) / (alpha + age)
        return np.asarray(self._alive(x, last, age) * rate * (beta + age) * lasting)

    def _orders_if_alive(
        self, x: FloatArray, last: FloatArray, age: FloatArray, t: float
    ) -> FloatArray:
        r, alpha, s, beta = self.parameters_
        shape = r + x
        silent = -shape * np.log1p(t / (alpha + age)) - s * np.log1p(t / (beta + age))
        _, _, log_integral = _stopping(age, age + t, alpha, shape, beta, s)
        log_stops = np.log(s) + shape * np.log(alpha + age) + s * np.log(beta + age) + log_integral
        return np.asarray(np.clip(1 - np.exp(silent) - np.exp(log_stops), 0.0, 1.0))


def _stopping(
    start: FloatArray,
    end: FloatArray,
    alpha: float,
    shape: FloatArray,
    beta: float,
    s: float,
) -> tuple[FloatArray, FloatArray, FloatArray]:
    """Integral of (alpha + u)^-shape (beta + u)^-(s + 1) over u from start to end.

    Returns the nodes (a row per history), each node's share of the integral, and the logarithm of
    the integral; minus infinity where start is end.
    """
    places, weights = np.polynomial.legendre.leggauss(NODES)
    offset = min(alpha, beta)
    low, high = np.log(offset + start), np.log(offset + end)
    high = np.minimum(high, low + DECAY * (1 / np.maximum(shape + s, 1.0) + 0.02))
    half = (high - low) / 2
    logs = low[:, None] + half[:, None] * (places + 1)[None, :]
    node = np.exp(logs) - offset
    log_value = (
        -shape[:, None] * np.log(alpha + node)
        - (s + 1) * np.log(beta + node)
        + logs
        + np.log(weights)[None, :]
    )
    peak = log_value.max(axis=1, keepdims=True)
    value = np.exp(log_value - peak)
    total = value.sum(axis=1, keepdims=True)
    with np.errstate(divide="ignore"):
        log_integral = peak[:, 0] + np.log(total[:, 0]) + np.log(half)
    return node, value / total, log_integral
