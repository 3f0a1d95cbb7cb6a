"""Learn, test on days past, and decide what serves: the learned score, a simple rule, or none."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import roc_auc_score

from models.challenge import gain_and_noise
from models.value.boosted import learn_boosted
from models.value.counting import ParetoNBDScorer
from models.value.forecast import (
    CellMeans,
    Forecast,
    ValueEstimate,
    fit_estimate,
    last_year,
    levelled,
    rule_forecast,
)
from models.value.histories import Window
from models.value.likelihood import IdentificationWarning

__all__ = ["Training", "intervals_of", "measure", "train"]

FloatArray = npt.NDArray[np.float64]
Read = Callable[[int, int | None], Window]
"""The window of a cut, with what came in the horizon after it; histories from a day on."""

SEASONS = ("last_year", "like_customers")
"""Ways to tell the season, of which the back-test picks one: what came a year before over what was
forecast then, where a horizon of history was known by then; or what like customers did."""

SEASON_DAYS = 364
"""A year of whole weeks, so that weekdays fall together."""

RULES = ("cell_means", "last_year")
"""Simple rules that a learned score must beat."""

TEST_STEPS = (0, 28, 56)
"""Cut-offs of the back-test: the newest day whose horizon is over, and so many days before."""

LEAST_SHARE = 0.5
"""Of a horizon, what must have been known a year before for like customers to tell the season."""

LEAST_REPEAT_BUYERS = 50
LEAST_LATER_BUYERS = 50
LARGEST_CHALLENGE = 20_000
"""Distinct histories up to which Pareto/NBD is fitted beside."""

AUC_NOISE = 0.01
INTERVAL = (0.1, 0.9)
INTERVAL_GROUPS = 20
CALIBRATION_GROUPS = 10


@dataclass(frozen=True)
class Training:
    """What was decided, and what it rests on."""

    outcome: str
    method: str | None = None
    estimate: ValueEstimate | None = None
    cells: CellMeans | None = None
    intervals: tuple[list[float], list[float], list[float]] = ([], [], [])
    """Expected values, and the bounds of what was spent there, for ``np.interp``."""
    evaluation: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    contested: tuple[Window, dict[str, Forecast]] | None = None
    """The newest window that was tested on, and what each method said of it before."""

    @property
    def newest(self) -> tuple[Window, dict[str, Forecast]]:
        if self.contested is None:
            raise ValueError("nothing was tested")
        return self.contested


def train(read: Read, cut: int, horizon: int) -> Training:
    """Learn from the histories until the day ``cut``, after testing how that did before.

    Refuses with a stated outcome when nobody ordered (``no_orders``), when nothing came in the
    last horizon (``nothing_new``), when fewer than 50 people ordered twice
    (``too_few_repeat_buyers``) or spent anything (``no_amounts``), or when the history is too
    short to test (``too_short_to_test``).
    """
    windows: dict[int, Window] = {}

    def window(day: int) -> Window:
        if day not in windows:
            windows[day] = read(day, None)
        return windows[day]

    now = window(cut)
    facts: dict[str, Any] = {"customers": len(now), "repeat_buyers": now.repeat_buyers}
    if len(now) == 0:
        return Training("no_orders", facts=facts)
    facts["seen"] = {
        name: [_rounded(part.min()), _rounded(part.max())] for name, part in now.parts.items()
    }
    if now.last.max() <= cut - horizon:
        return Training("nothing_new", facts=facts)
    if now.repeat_buyers < LEAST_REPEAT_BUYERS:
        return Training("too_few_repeat_buyers", facts=facts)
    if int((now.revenue > 0).sum()) < LEAST_REPEAT_BUYERS:
        return Training("no_amounts", facts=facts)
    newest = cut - horizon
    tests = [newest - step for step in TEST_STEPS if _can_test(window(newest - step))]
    if not tests or tests[0] != newest:
        return Training("too_short_to_test", facts=facts)
    estimates: dict[int, ValueEstimate] = {}

    def learned(day: int, season: str | None = None) -> ValueEstimate:
        """From what was known by a day; without its season where a year before tells none."""
        if day not in estimates:
            estimates[day] = fit_estimate(window(day))
        past = window(day - SEASON_DAYS)
        if season == "last_year" and _can_test(past):
            return fit_estimate(window(day), (past, learned(past.cut)))
        if season is not None and _can_test(past, LEAST_SHARE):
            recent = read(day, day - past.days_known())
            return levelled(estimates[day], window(day), past, recent)
        return estimates[day]

    seasons = {
        season: [learned(day, season).forecast(window(day)) for day in tests] for season in SEASONS
    }
    season, told = _pick_season([window(day) for day in tests], seasons)

    def boosted(day: int, estimate: ValueEstimate) -> ValueEstimate | None:
        """The estimate with trees for spend; None where the horizon before tells too little."""
        past = window(day - horizon)
        if not _can_test(past, LEAST_SHARE):
            return None
        then = learned(past.cut).plain(past)
        trees = learn_boosted(past, then, window(day), estimate.plain(window(day)))
        return replace(estimate, boosted=trees)

    evaluation: dict[str, Any] = {
        "horizon_days": horizon, "season": season, "seasons": told, "tests": [],
    }  # fmt: skip
    forecasts: dict[str, list[tuple[Window, Forecast]]] = {"forecast": [], "boosted": []}
    said: list[tuple[Window, dict[str, Forecast]]] = []
    for day in tests:
        past = window(day)
        estimate = learned(day, season)
        methods = {
            "learned": estimate.forecast(past),
            "cell_means": CellMeans.learn(window(day - horizon)).forecast(past),
            "last_year": last_year(past),
        }
        if estimate.counts.n_groups_ <= LARGEST_CHALLENGE and day == newest:
            methods["pareto_nbd"] = _challenge(past, estimate)
        forecasts["forecast"].append((past, methods["learned"]))
        if (with_trees := boosted(day, estimate)) is not None:
            methods["boosted"] = with_trees.forecast(past)
            forecasts["boosted"].append((past, methods["boosted"]))
        said.append((past, methods))
        evaluation["tests"].append(
            {
                "cut": day,
                "customers": len(past),
                "has_season": estimate is not estimates[day],
                "orders_factor": _rounded(estimate.orders_factor),
                "revenue_factor": _rounded(estimate.revenue_factor),
                "methods": {name: measure(past, each) for name, each in methods.items()},
            }
        )
    evaluation["mean"] = _means(evaluation["tests"])
    evaluation["gain"] = {rule: _gain(said, rule) for rule in RULES}
    method, outcome = _choose(evaluation)
    spend, evaluation["spend"] = _choose_spend(evaluation["tests"])
    cells = CellMeans.learn(window(newest))
    tested = forecasts[spend]
    estimate_now = learned(cut, season) if method == "learned" else None
    if estimate_now is None:
        by_cell = CellMeans.learn(window(newest - horizon))
        tested = [(window(newest), rule_forecast(method, by_cell, window(newest)))]
    elif spend == "boosted":
        estimate_now = boosted(cut, estimate_now) or estimate_now
    return Training(
        outcome,
        method,
        estimate_now,
        cells,
        intervals_of(tested),
        evaluation,
        facts,
        said[0],
    )


def _pick_season(
    windows: Sequence[Window], seasons: Mapping[str, Sequence[Forecast]]
) -> tuple[str, dict[str, float]]:
    """The way to tell the season whose totals of orders and revenue came nearest on days past.

    Told beside it: how far off each was, as the root mean square of the logarithm of forecast over
    actual.
    """
    off = {}
    for season, forecasts in seasons.items():
        ratios = [
            (said + 1.0) / (max(came, 0.0) + 1.0)
            for past, forecast in zip(windows, forecasts, strict=True)
            for said, came in (
                (forecast.orders.sum(), past.later_orders.sum()),
                (forecast.value.sum(), past.later_revenue.sum()),
            )
        ]
        off[season] = _rounded(np.sqrt(np.square(np.log(ratios)).mean()))
    return min(off, key=lambda season: off[season]), off


def _can_test(past: Window, share: float = 1.0) -> bool:
    """Whether enough was known by the cut, and enough came after, to learn and to compare.

    ``share`` is that of the horizon which must have been known before the cut.
    """
    return (
        past.days_known() >= share * past.horizon
        and past.repeat_buyers >= LEAST_REPEAT_BUYERS
        and past.later_buyers >= LEAST_LATER_BUYERS
        and int((past.revenue > 0).sum()) >= LEAST_REPEAT_BUYERS
    )


def _challenge(past: Window, served: ValueEstimate) -> Forecast:
    """Pareto/NBD in the place of BG/NBD, everything else alike."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", IdentificationWarning)
        rival = ParetoNBDScorer(past.horizon).fit(past.histories)
    return replace(served, counts=rival).forecast(past)


def measure(past: Window, said: Forecast) -> dict[str, Any]:
    """How a forecast compares with what came: per customer, in total, in order."""
    came = past.later_orders > 0
    top = max(len(past) // 10, 1)
    best = np.argsort(-said.value, kind="stable")[:top]
    revenue = past.later_revenue.sum()
    order = np.argsort(said.probability, kind="stable")
    groups = [group for group in np.array_split(order, CALIBRATION_GROUPS) if len(group)]
    calibration = [
        {
            "customers": len(group),
            "predicted": _rounded(said.probability[group].mean()),
            "observed": _rounded(came[group].mean()),
        }
        for group in groups
    ]
    error = sum(row["customers"] * abs(row["predicted"] - row["observed"]) for row in calibration)
    return {
        "orders_rmse": _rounded(np.sqrt(np.square(said.orders - past.later_orders).mean())),
        "orders_mae": _rounded(np.abs(said.orders - past.later_orders).mean()),
        "orders_total_off": _rounded(said.orders.sum() / past.later_orders.sum() - 1),
        "revenue_rmse": _rounded(np.sqrt(np.square(said.value - past.later_revenue).mean())),
        "revenue_total_off": _rounded(said.value.sum() / revenue - 1) if revenue > 0 else None,
        "top_tenth_revenue": _rounded(past.later_revenue[best].sum() / revenue)
        if revenue > 0
        else None,
        "auc": _rounded(roc_auc_score(came, said.probability)) if 0 < came.mean() < 1 else None,
        "brier": _rounded(np.square(said.probability - came).mean()),
        "calibration_error": _rounded(error / len(past)),
        "calibration": calibration,
    }


def _means(tests: list[dict[str, Any]]) -> dict[str, dict[str, float]]:
    """Mean over the cut-offs of what decides."""
    means = {}
    for method in ("learned", *RULES):
        rows = [test["methods"][method] for test in tests]
        means[method] = {
            measure: _rounded(np.mean([row[measure] for row in rows]))
            for measure in ("orders_rmse", "auc", "brier")
            if all(row[measure] is not None for row in rows)
        }
    return means


def _gain(said: Sequence[tuple[Window, Mapping[str, Forecast]]], rule: str) -> dict[str, float]:
    """How much nearer the learned score came than a rule, over all tested days, with its noise."""
    who = pl.concat([past.customer_id for past, _ in said])

    def off(method: str, measure: str) -> FloatArray:
        parts = [
            methods[method].orders - past.later_orders
            if measure == "orders"
            else methods[method].probability - (past.later_orders > 0)
            for past, methods in said
        ]
        return np.square(np.concatenate(parts))

    told: dict[str, float] = {}
    for measure in ("orders", "probability"):
        gain, noise = gain_and_noise(off("learned", measure), off(rule, measure), who)
        told |= {measure: _rounded(gain), f"{measure}_noise": _rounded(noise)}
    return told


def _choose(evaluation: Mapping[str, Any]) -> tuple[str, str]:
    """The learned score serves when it beats both rules on orders and ranks people as well.

    Otherwise the rule that came nearer serves. Beats means by more than noise, in the squared error
    of orders or of the probability to order. As well means less than AUC_NOISE below the better
    rule, which a few thousand customers do not tell apart, and a Brier score no worse than that
    of the cells.
    """
    means = evaluation["mean"]
    learned = means["learned"]
    rules = {name: means[name] for name in RULES}
    closer = all(learned["orders_rmse"] < rule["orders_rmse"] for rule in rules.values()) and all(
        gain["orders"] > gain["orders_noise"] or gain["probability"] > gain["probability_noise"]
        for gain in evaluation["gain"].values()
    )
    ranks = "auc" not in learned or all(
        learned["auc"] > rule["auc"] - AUC_NOISE for rule in rules.values()
    )
    if closer and ranks and learned["brier"] <= rules["cell_means"]["brier"]:
        return "learned", "learned"
    return min(rules, key=lambda name: rules[name]["orders_rmse"]), "no_better_than_rule"


def _choose_spend(tests: list[dict[str, Any]]) -> tuple[str, dict[str, float]]:
    """Boosted trees tell the spend where they came nearer on each tested day, and than the rules.

    Told beside it: the root mean square error of each, mean over the tested days.
    """
    off = {
        name: [test["methods"].get(method, {}).get("revenue_rmse", np.inf) for test in tests]
        for name, method in (
            ("forecast", "learned"),
            ("boosted", "boosted"),
            ("cell_means", "cell_means"),
            ("last_year", "last_year"),
        )
    }
    means = {name: float(np.mean(rows)) for name, rows in off.items()}
    nearer = np.all(np.array(off["boosted"]) < np.array(off["forecast"]))
    wins = bool(nearer) and means["boosted"] < min(means["cell_means"], means["last_year"])
    told = {name: _rounded(mean) for name, mean in means.items() if np.isfinite(mean)}
    return "boosted" if wins else "forecast", told


def intervals_of(
    forecasts: list[tuple[Window, Forecast]],
) -> tuple[list[float], list[float], list[float]]:
    """Where four in five were, by what was expected: bounds of spend in groups of equal size."""
    said = np.concatenate([forecast.value for _, forecast in forecasts])
    spent = np.concatenate([np.maximum(window.later_revenue, 0) for window, _ in forecasts])
    groups = np.array_split(np.argsort(said, kind="stable"), INTERVAL_GROUPS)
    rows = [
        (said[group].mean(), *np.quantile(spent[group], INTERVAL)) for group in groups if len(group)
    ]
    at, low, high = np.array(rows).T
    return (
        [_rounded(value) for value in at],
        [_rounded(value) for value in np.maximum.accumulate(low)],
        [_rounded(value) for value in np.maximum.accumulate(high)],
    )


def _rounded(value: Any) -> float:
    return round(float(value), 9)
