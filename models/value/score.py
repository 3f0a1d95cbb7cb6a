"""Score the buyers of a work database: reuse what was learned from the same orders, or learn anew.

What is learned is learned from the orders until the last Sunday up to the day looked from, and
named after its content: the same orders teach the same, however they came in. A workspace that
runs daily learns once a week: a few orders that come late are learned from on the next Sunday.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import logit
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from cohorte.warehouse import transaction
from models.challenge import Reason, compared, gain_and_noise
from models.registry import Artifact, ArtifactError, Registry
from models.value.boosted import BoostedSpend
from models.value.forecast import REASONS, CellMeans, Forecast, ValueEstimate, rule_forecast
from models.value.histories import (
    LAST_YEAR,
    Window,
    contents_of,
    day_number,
    prepare_purchase_days,
    read_window,
)
from models.value.training import Training, train
from models.value.words import SIMILAR, model_card, verdict_sentence
from models.whatif import Lever, Told, Value, WhatIf

__all__ = [
    "ESTIMATOR_NAME",
    "HORIZON_DAYS",
    "ValueScoreReport",
    "score_customers",
    "value_what_if",
]

FloatArray = npt.NDArray[np.float64]

ESTIMATOR_NAME = "customer_value"
TRUSTED_TYPES = (
    "models.value.counting.BetaGeoScorer",
    "models.value.spend.GammaGammaScorer",
    "sklearn.ensemble._hist_gradient_boosting.predictor.TreePredictor",
)
HORIZON_DAYS = 91
"""Thirteen whole weeks, so that every weekday counts alike."""

RECIPE = 2
"""Raised when the way of learning changes, so that what serves is learned anew."""

MOST_LATE = 0.02
"""So much, as a share of purchase days or of their revenue, may come late before it is learned from
at once: a day's returns and belated tickets do not move what years have taught."""

LEAST_REASON = 0.0005
HISTORY = ("order_days_count", "days_since_last_order", "days_since_first_order")


@dataclass(frozen=True)
class ValueScoreReport:
    """What one pass of the value score did."""

    customers: int
    scored: int
    outcome: str
    verdict: str
    """Why the learned score serves, the rule does, or none; in English."""
    estimator_version: str | None
    trained: bool
    evaluation: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    """What the verdict's sentence is told from."""


@dataclass(frozen=True)
class Served:
    """An artifact, opened."""

    version: str
    facts: dict[str, Any]
    estimate: ValueEstimate | None
    cells: CellMeans

    def forecast(self, window: Window) -> Forecast:
        if self.estimate is not None:
            return self.estimate.forecast(window)
        return rule_forecast(self.facts["method"], self.cells, window)


def score_customers(
    con: duckdb.DuckDBPyConnection,
    *,
    as_of: date,
    artifacts_dir: Path,
    now: datetime,
    horizon: int = HORIZON_DAYS,
    retrain: bool = False,
) -> ValueScoreReport:
    """Write ``scores.customer_scores``, one row per customer who ever ordered.

    Reads ``marts.orders``. The table is left empty, and the verdict says why, where no score could
    be tested. A day before the one that the served estimator looked from gets an estimator of its
    own, kept but not promoted. What was learned anew serves when nothing does, or when it holds its
    own against what does; see ``_decide``.

    Parameters
    ----------
    as_of
        Day looked from, included.
    now
        Written into the artifact; changes no score.
    horizon
        Days that the scores look ahead.
    """
    prepare_purchase_days(con, as_of)
    registry = Registry(artifacts_dir)
    try:
        with threadpool_limits(limits=1):
            served, facts, trained = _estimator(con, as_of, horizon, registry, now, retrain)
            window = read_window(con, day_number(as_of), horizon)
            scored = _no_scores() if served is None else _score(window, served, as_of)
    finally:
        con.execute("drop table if exists purchase_days")
    _write(con, scored)
    return ValueScoreReport(
        customers=len(window),
        scored=scored.height,
        outcome=facts["outcome"],
        verdict=verdict_sentence(facts["outcome"], facts, "en"),
        estimator_version=served.version if served else None,
        trained=trained,
        evaluation=facts.get("evaluation", {}),
        facts=facts,
    )


def value_what_if(served: Served, orders: pl.DataFrame, as_of: date) -> WhatIf | None:
    """A customer's value score, to be told again with another history.

    ``orders`` are the customer's rows of ``orders``. None where last year's orders are the score:
    it reads no history. Where similar customers are, there is no reason to tell beside.
    """
    if served.facts["method"] == "last_year" or orders.is_empty():
        return None
    with duckdb.connect() as con:
        con.register("_orders", orders.to_arrow())
        con.execute("create schema marts; create table marts.orders as from _orders")
        prepare_purchase_days(con, as_of)
        own = read_window(con, day_number(as_of), served.facts["horizon_days"])
    if len(own) != 1:
        return None
    as_is = {name: round(float(part[0]), 2) for name, part in own.parts.items()}

    def tell(values: Mapping[str, Value]) -> Told:
        tried = as_is | {name: float(value) for name, value in values.items() if value is not None}
        scored = _score(_retold(own, as_is, tried), served, as_of).row(0, named=True)
        figures = {
            name: scored[name]
            for name in ("expected_orders", "expected_value", "expected_value_low",
                         "expected_value_high")
        }  # fmt: skip
        return Told(scored["order_probability"], json.loads(scored["reasons"]), figures)

    seen = served.facts.get("seen", {})
    levers = (Lever(name, value, "number", *seen.get(name, ())) for name, value in as_is.items())
    return WhatIf(tuple(levers), tell)


def _retold(own: Window, as_is: Mapping[str, float], tried: Mapping[str, float]) -> Window:
    """The window of a customer with another history: days with an order lie apart, evenly."""
    if tried == as_is:
        return own
    count, since, age = (round(tried[name]) for name in HISTORY)
    count = max(count, 1)
    age = since if count == 1 else max(age, since + count - 1)
    mean = tried["mean_order_value"]
    recent = own.year_orders
    if any(tried[name] != as_is[name] for name in HISTORY):
        recent = np.array([float((np.linspace(since, age, count) < LAST_YEAR).sum())])
    return replace(
        own,
        orders=np.array([float(count)]),
        first=np.array([float(own.cut - age)]),
        last=np.array([float(own.cut - since)]),
        revenue=np.array([count * mean]),
        year_orders=recent,
        year_revenue=recent * mean,
    )


def _estimator(
    con: duckdb.DuckDBPyConnection,
    as_of: date,
    horizon: int,
    registry: Registry,
    now: datetime,
    retrain: bool,
) -> tuple[Served | None, dict[str, Any], bool]:
    cut = day_number(as_of - timedelta(days=(as_of.weekday() + 1) % 7))
    learned_from = {
        "recipe": RECIPE,
        "cut": cut,
        "horizon_days": horizon,
        **contents_of(con, cut),
    }
    if registry.is_retired(ESTIMATOR_NAME) and not retrain:
        return None, {**learned_from, "outcome": "retired"}, False
    served = registry.usable(ESTIMATOR_NAME, opened)
    if served and not retrain:
        tried = registry.newest_try(ESTIMATOR_NAME) or served.facts
        if _is_learned(learned_from, served.facts) or _is_learned(learned_from, tried):
            return served, served.facts, False
    training = train(lambda day, since: read_window(con, day, horizon, since), cut, horizon)
    if training.method is None or training.cells is None:
        return None, {**learned_from, **training.facts, "outcome": training.outcome}, True
    artifact = _save(registry, learned_from, training, training.cells, now)
    challenger = opened(artifact)
    if served is not None and cut < int(served.facts["cut"]):
        return challenger, challenger.facts, True
    decided = _decide(con, served, challenger, training)
    promoted, _ = registry.settle(ESTIMATOR_NAME, artifact.version, decided, now=now)
    if promoted:
        return challenger, challenger.facts, True
    return served, served.facts if served else {"outcome": "retired"}, True


def _is_learned(asked: Mapping[str, Any], facts: Mapping[str, Any]) -> bool:
    """Whether something was learned from what is asked for, but for little that came late."""
    same = ("recipe", "cut", "horizon_days")
    near = ("purchase_days", "revenue")
    return all(facts.get(name) == asked[name] for name in same) and all(
        name in facts and abs(asked[name] - facts[name]) <= MOST_LATE * abs(facts[name])
        for name in near
    )


def _decide(
    con: duckdb.DuckDBPyConnection,
    champion: Served | None,
    challenger: Served,
    training: Training,
) -> tuple[bool, Reason]:
    """Whether a new fit serves, and why.

    The method that serves may learn from newer orders, because its season is of its day, unless
    that did worse on the newest window than the version that serves. Another method must do better
    there by more than its noise. Who is off is told by the squared error of orders; a version that
    has seen the newest window is stood for by its method, learned before that window.
    """
    if champion is None:
        return True, Reason("nothing_served")
    if champion.version == challenger.version:
        return True, Reason("same_version")
    if champion.facts["horizon_days"] != challenger.facts["horizon_days"]:
        return True, Reason("question_changed")
    past, forecasts = training.newest
    method, rival = str(challenger.facts["method"]), str(champion.facts["method"])
    has_seen = int(champion.facts["cut"]) > past.cut
    if method == rival and has_seen:
        return True, Reason("same_method", {"method": method})
    said = forecasts[rival] if has_seen else champion.forecast(past)
    gain, noise = gain_and_noise(
        np.square(forecasts[method].orders - past.later_orders),
        np.square(said.orders - past.later_orders),
    )
    day = (date(1970, 1, 1) + timedelta(days=past.cut)).isoformat()
    values = {
        **compared(
            gain, noise, version=champion.version, day=day, measure="orders_squared", rows=len(past)
        ),
        "method": method,
    }
    if method == rival:
        is_worse = gain < -noise
        return not is_worse, Reason("same_method_worse" if is_worse else "same_method", values)
    is_better = gain > noise
    return is_better, Reason("better" if is_better else "no_better", values)


def _save(
    registry: Registry,
    learned_from: dict[str, Any],
    training: Training,
    cells: CellMeans,
    now: datetime,
) -> Artifact:
    estimate = training.estimate
    content: dict[str, Any] = {
        **learned_from,
        **training.facts,
        "outcome": training.outcome,
        "method": training.method,
        "intervals": [list(part) for part in training.intervals],
        "cells": {
            "thirds": cells.thirds.tolist(),
            "orders": cells.orders.tolist(),
            "value": cells.value.tolist(),
            "probability": cells.probability.tolist(),
        },
        "trusted_types": list(TRUSTED_TYPES),
    }
    if estimate is not None:
        content |= {
            "ordinary": list(estimate.ordinary),
            "orders_factor": estimate.orders_factor,
            "revenue_factor": estimate.revenue_factor,
            "spend": "boosted" if estimate.boosted else "forecast",
            "spend_scale": estimate.boosted.scale if estimate.boosted else 1.0,
            "slope": estimate.slope,
            "shift": estimate.shift,
            "parameters": [
                [name, float(value), float(error) if np.isfinite(error) else None]
                for scorer in (estimate.counts, estimate.spend)
                for name, value, error in zip(
                    scorer.parameter_names,
                    scorer.parameters_,
                    scorer.standard_errors_,
                    strict=True,
                )
            ],
            "is_identified": estimate.counts.is_identified_ and estimate.spend.is_identified_,
        }
    return registry.keep(
        ESTIMATOR_NAME,
        training.method or "",
        _fitted(estimate),
        content=content,
        evaluation=training.evaluation,
        card=model_card,
        now=now,
    )


def _fitted(estimate: ValueEstimate | None) -> list[Any]:
    if estimate is None:
        return []
    trees = [estimate.boosted.trees] if estimate.boosted else []
    return [estimate.counts, estimate.spend, *trees]


def opened(artifact: Artifact) -> Served:
    """A version of the value score, ready to score."""
    facts = artifact.facts
    if facts.get("recipe") != RECIPE:
        raise ArtifactError(
            "it was learned in the manner of another release",
            where=str(artifact.folder),
            remedy="train again",
        )
    scorers = artifact.estimator(TRUSTED_TYPES)
    estimate = None
    if facts["method"] == "learned":
        count, since, age = (float(part) for part in facts["ordinary"])
        estimate = ValueEstimate(
            scorers[0],
            scorers[1],
            (count, since, age),
            facts["orders_factor"],
            facts["revenue_factor"],
            facts["slope"],
            facts["shift"],
            BoostedSpend(scorers[2], facts["spend_scale"]) if facts["spend"] == "boosted" else None,
        )
    parts = {name: np.asarray(values, np.float64) for name, values in facts["cells"].items()}
    return Served(artifact.version, facts, estimate, CellMeans(**parts))


def _score(window: Window, served: Served, as_of: date) -> pl.DataFrame:
    if len(window) == 0:
        return _no_scores()
    said = served.forecast(window)
    if served.estimate is not None:
        reasons = _reasons(window, served.estimate)
    else:
        reasons = _rule_reasons(said)
    low, high = _interval(said.value, served.facts["intervals"])
    probability = np.round(said.probability, 6)
    count = len(window)
    return pl.DataFrame(
        {
            "customer_id": window.customer_id,
            "as_of": pl.Series([as_of]).new_from_index(0, count),
            "horizon_days": pl.Series([window.horizon]).new_from_index(0, count),
            "expected_orders": np.round(said.orders, 6),
            "order_probability": probability,
            "lapse_probability": np.round(1 - probability, 6),
            "expected_value": np.round(said.value, 4),
            "expected_value_low": np.round(low, 4),
            "expected_value_high": np.round(high, 4),
            "reasons": reasons,
            "estimator_version": pl.Series([served.version]).new_from_index(0, count),
        }
    )


def _interval(value: FloatArray, bounds: list[list[float]]) -> tuple[FloatArray, FloatArray]:
    """Bounds for each expected value; in proportion above the highest one known."""
    at, low, high = (np.asarray(part) for part in bounds)
    beyond = np.maximum(value / at[-1], 1.0) if at[-1] > 0 else np.ones(len(value))
    return np.interp(value, at, low) * beyond, np.interp(value, at, high) * beyond


def _reasons(window: Window, estimate: ValueEstimate) -> pl.Series:
    """Reasons of each customer as JSON: strongest up first, then strongest down.

    Worked out once per distinct history.
    """
    histories = window.histories
    own = pl.DataFrame(
        {
            HISTORY[0]: window.orders.astype(np.int64),
            HISTORY[1]: (histories[:, 2] - histories[:, 1]).astype(np.int64),
            HISTORY[2]: histories[:, 2].astype(np.int64),
        }
    )
    distinct = own.unique().sort(HISTORY).with_row_index("row")
    count, since, age = (distinct[name].to_numpy().astype(np.float64) for name in HISTORY)
    rows = np.column_stack((count - 1, age - since, age))
    contributions, _ = estimate.contributions(rows, window.horizon)
    texts = _joined(
        len(rows),
        [(name, distinct[name], contributions[:, at]) for at, name in enumerate(REASONS)],
    )
    spread = own.join(distinct, on=HISTORY, how="left", maintain_order="left")
    return texts.gather(spread["row"])


def _rule_reasons(said: Forecast) -> pl.Series:
    overall = float(logit(np.clip(said.probability.mean(), 1e-6, 1 - 1e-6)))
    contribution = logit(np.clip(said.probability, 1e-6, 1 - 1e-6)) - overall
    share = pl.Series(np.round(said.probability, 4))
    return _joined(len(share), [(SIMILAR, share, contribution)])


def _joined(count: int, parts: list[tuple[str, pl.Series, FloatArray]]) -> pl.Series:
    frames = [
        pl.DataFrame({"row": np.arange(count), "value": value, "contribution": contribution})
        .filter(pl.col("contribution").abs() >= LEAST_REASON)
        .select(
            "row",
            (
                pl.lit(f'{{"feature": "{name}", "value": ')
                + pl.col("value").cast(pl.String)
                + pl.lit(', "contribution": ')
                + pl.col("contribution").round(6).cast(pl.String)
                + pl.lit("}")
            ).alias("text"),
            pl.when(pl.col("contribution") > 0)
            .then(-pl.col("contribution"))
            .otherwise(1e6 + pl.col("contribution"))
            .alias("rank"),
        )
        for name, value, contribution in parts
    ]
    told = (
        pl.concat(frames)
        .sort("row", "rank", "text")
        .group_by("row", maintain_order=True)
        .agg(pl.col("text").str.join(", "))
    )
    joined = pl.DataFrame({"row": np.arange(count)}).join(
        told, on="row", how="left", maintain_order="left"
    )
    return "[" + joined["text"].fill_null("") + "]"


def _no_scores() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "customer_id": pl.String,
            "as_of": pl.Date,
            "horizon_days": pl.Int64,
            "expected_orders": pl.Float64,
            "order_probability": pl.Float64,
            "lapse_probability": pl.Float64,
            "expected_value": pl.Float64,
            "expected_value_low": pl.Float64,
            "expected_value_high": pl.Float64,
            "reasons": pl.String,
            "estimator_version": pl.String,
        }
    )


def _write(con: duckdb.DuckDBPyConnection, scored: pl.DataFrame) -> None:
    con.register("_customer_scores", scored.to_arrow())
    try:
        with transaction(con):
            con.execute("create schema if not exists scores")
            con.execute("""
                create or replace table scores.customer_scores as
                select customer_id::varchar as customer_id, as_of::date as as_of,
                    horizon_days::bigint as horizon_days,
                    expected_orders::double as expected_orders,
                    order_probability::double as order_probability,
                    lapse_probability::double as lapse_probability,
                    expected_value::double as expected_value,
                    expected_value_low::double as expected_value_low,
                    expected_value_high::double as expected_value_high,
                    reasons::varchar as reasons, estimator_version::varchar as estimator_version
                from _customer_scores
            """)
    finally:
        con.unregister("_customer_scores")
