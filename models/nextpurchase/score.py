"""The next order of each customer: its day, with an interval, and the category it holds.

Learned from four days past, a quarter apart, so that a whole year enters; tested on the day that is
a test horizon ago, by what was known then. Customers of a like rhythm serve where they tell better
when people order than customers of a like recency do, and only with an interval that held.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from models.challenge import Reason
from models.measures import rounded
from models.nextpurchase.rhythm import RhythmScorer
from models.nextpurchase.words import model_card, verdict_sentence
from models.registry import Artifact, Registry

__all__ = ["ESTIMATOR_NAME", "NextOrderReport", "score_next_orders"]

FloatArray = npt.NDArray[np.float64]

ESTIMATOR_NAME = "next_order"
TRUSTED_TYPES = ("models.nextpurchase.rhythm.RhythmScorer",)
TABLE = "scores.next_orders"
SCHEMA = """customer_id varchar, as_of date, expected_date date, earliest_date date,
    latest_date date, year_probability double, category varchar, estimator_version varchar"""

RECIPE = 1
INTERVAL = (0.1, 0.5, 0.9)
YEAR = 364
QUARTER = 91
LEARNED_FROM = 4
TEST_DAYS = 182
GRID = (14, 28, 56, 91, 182)
"""Days at which the probability of having ordered is judged."""

MOST_ROWS = 60_000
LEAST_ORDERS = 200
"""Customers tested who ordered again, at least."""

SLACK = 0.1
"""How far the share at an end of the interval may be off, beyond two standard errors."""


@dataclass(frozen=True)
class Waits:
    """Histories on days past, and how long until the next order; below 0, watched without one."""

    customers: pl.Series
    histories: FloatArray
    waited: FloatArray


@dataclass(frozen=True)
class NextOrderReport:
    """What one pass did."""

    outcome: str
    verdict: str
    customers: int = 0
    scored: int = 0
    estimator_version: str | None = None
    evaluation: dict[str, Any] = field(default_factory=dict)


def read_waits(con: duckdb.DuckDBPyConnection, day: date, until: date) -> Waits:
    """Everyone who had ordered by ``day``, or some of many, watched from then to ``until``."""
    [(count,)] = con.execute(
        "select count(distinct customer_id) from marts.orders where is_order and order_date <= ?",
        [day],
    ).fetchall()
    frame = con.sql(
        """
        select customer_id,
            count(distinct order_date) filter (order_date <= $day) - 1 as orders,
            max(order_date) filter (order_date <= $day) - min(order_date) as last,
            $day - min(order_date) as age,
            coalesce(min(order_date) filter (order_date > $day) - $day, -($until - $day)) as waited
        from marts.orders
        where is_order and customer_id is not null and order_date <= $until
            and hash(customer_id) % $parts = 0
        group by customer_id having min(order_date) <= $day order by customer_id
        """,
        params={"day": day, "until": until, "parts": max(1, int(count) // MOST_ROWS)},
    ).pl()
    columns = [frame[name].to_numpy().astype(np.float64) for name in frame.columns[1:]]
    return Waits(frame["customer_id"], np.column_stack(columns[:3]), columns[3])


def learn(con: duckdb.DuckDBPyConnection, until: date, **parameters: Any) -> RhythmScorer | None:
    """From the quarters before a day, as known on it; None where nobody was there to watch."""
    days = [until - timedelta(days=QUARTER * (at + 1)) for at in range(LEARNED_FROM)]
    found = [read_waits(con, day, until) for day in days]
    waited = np.concatenate([each.waited for each in found])
    if (waited > 0).sum() < LEAST_ORDERS:
        return None
    histories = np.concatenate([each.histories for each in found])
    return RhythmScorer(limit=float(YEAR), **parameters).fit(histories, waited)


def back_test(con: duckdb.DuckDBPyConnection, as_of: date) -> dict[str, Any]:
    """What was said a test horizon ago, against what came."""
    cut = as_of - timedelta(days=TEST_DAYS)
    tested = read_waits(con, cut, as_of)
    came = tested.waited > 0
    told: dict[str, Any] = {
        "cut": cut.isoformat(),
        "days": TEST_DAYS,
        "customers": len(tested.waited),
        "ordered": int(came.sum()),
    }
    rhythm, recency = learn(con, cut), learn(con, cut, own_gaps=float("inf"))
    if came.sum() < LEAST_ORDERS or rhythm is None or recency is None:
        return told
    for name, scorer in (("rhythm", rhythm), ("recency", recency)):
        told[name] = judge(scorer, tested.histories, tested.waited)
    return told | _categories(con, cut, as_of, tested)


def judge(scorer: RhythmScorer, histories: FloatArray, waited: FloatArray) -> dict[str, Any]:
    """How well a scorer tells when customers ordered, all of them watched for the test's days.

    ``brier`` is the mean squared error of the probability of having ordered, over the days of
    ``GRID``. An end of the interval holds where so many had ordered by it as it says, among those
    whose end lies within the days watched; ``coverage`` is between both ends.
    """
    days = np.where(waited > 0, waited, np.inf)
    watched = float(TEST_DAYS)
    brier = [float(np.mean((scorer.probability(histories, at) - (days <= at)) ** 2)) for at in GRID]
    ends = scorer.quantiles(histories, INTERVAL)
    seen = ends <= watched
    by_end = {
        f"{share:g}": {
            "customers": int(seen[:, at].sum()),
            "ordered": rounded(np.mean(days[seen[:, at]] <= ends[seen[:, at], at])),
        }
        for at, share in enumerate(INTERVAL)
        if seen[:, at].any()
    }
    whole = seen.all(axis=1)
    inside = (days >= ends[:, 0]) & (days <= ends[:, 2])
    median = seen[:, 1] & np.isfinite(days)
    return {
        "brier": rounded(np.mean(brier)),
        "ends": by_end,
        "interval_customers": int(whole.sum()),
        "coverage": rounded(np.mean(inside[whole])) if whole.any() else None,
        "interval_days": rounded(np.mean(ends[whole, 2] - ends[whole, 0])) if whole.any() else None,
        "median_error_days": (
            rounded(np.median(np.abs(days[median] - ends[median, 1]))) if median.any() else None
        ),
    }


def holds(judged: dict[str, Any]) -> bool:
    """Whether every end of the interval that could be seen had about its share."""
    return all(
        abs(end["ordered"] - float(share))
        <= SLACK + 2 * np.sqrt(float(share) * (1 - float(share)) / end["customers"])
        for share, end in judged["ends"].items()
    )


def _categories(
    con: duckdb.DuckDBPyConnection, cut: date, until: date, tested: Waits
) -> dict[str, Any]:
    """How often the category most bought, and the one most bought by all, was in the next order."""
    con.register("_tested", pl.DataFrame({"customer_id": tested.customers}).to_arrow())
    rows = con.execute(
        """
        with lines as (
            select customer_id, order_date, category, quantity from marts.order_lines
            where customer_id in (select customer_id from _tested) and category is not null
                and status <> 'cancelled' and quantity > 0 and order_date <= $until
        ),
        own as (
            select customer_id, category from lines where order_date <= $cut
            group by customer_id, category
            qualify row_number() over (
                partition by customer_id order by sum(quantity) desc, category
            ) = 1
        ),
        later as (
            select customer_id, category from lines where order_date > $cut
            qualify order_date = min(order_date) over (partition by customer_id)
        ),
        popular as (
            select category from lines where order_date <= $cut
            group by category order by sum(quantity) desc, category limit 1
        ),
        judged as (
            select own.customer_id, bool_or(later.category = own.category) as own_came,
                bool_or(later.category = popular.category) as popular_came
            from own inner join later using (customer_id) cross join popular
            group by own.customer_id
        )
        select count(*), avg(own_came::double), avg(popular_came::double) from judged
        """,
        {"cut": cut, "until": until},
    ).fetchall()
    con.unregister("_tested")
    count, own, popular = rows[0]
    if not count:
        return {}
    return {"category": {"customers": count, "own": rounded(own), "popular": rounded(popular)}}


def score_next_orders(
    con: duckdb.DuckDBPyConnection,
    *,
    as_of: date,
    registry: Registry,
    now: datetime,
    retrain: bool = False,
) -> NextOrderReport:
    """Write ``scores.next_orders``, one row per customer who ever ordered.

    Learns anew from the last Sunday's orders once a week. The table stays empty, and the verdict
    says why, where the day could not be tested or its interval did not hold.
    """
    con.execute("create schema if not exists scores")
    con.execute(f"create or replace table {TABLE} ({SCHEMA})")
    sunday = as_of - timedelta(days=(as_of.weekday() + 1) % 7)
    learned_from = {"recipe": RECIPE, "as_of": sunday.isoformat(), "data": _digest(con, sunday)}
    if registry.is_retired(ESTIMATOR_NAME) and not retrain:
        return _unscored("retired", {})
    served = registry.usable(ESTIMATOR_NAME, _opened)
    if served is None or retrain or not learned_from.items() <= served[1].items():
        made = _train(con, sunday, learned_from, registry, now)
        if isinstance(made, NextOrderReport):
            return made
        served = made
    version, facts, scorer = served
    rows = _write(con, scorer, as_of, version, with_category=facts["has_category"])
    verdict = verdict_sentence(facts["outcome"], facts, "en")
    return NextOrderReport("scored", verdict, rows, rows, version, facts["evaluation"])


def _digest(con: duckdb.DuckDBPyConnection, day: date) -> str:
    """Of the order days until a day, in whatever order they came in."""
    rows, mixed = con.execute(
        "select count(*), coalesce(bit_xor(hash(customer_id, order_date, order_id, source)), 0)"
        " from marts.orders where is_order and order_date <= ?",
        [day],
    ).fetchall()[0]
    return f"{rows}-{int(mixed):016x}"


Opened = tuple[str, dict[str, Any], RhythmScorer]


def _opened(artifact: Artifact) -> Opened:
    return artifact.version, artifact.facts, artifact.estimator(TRUSTED_TYPES)


def _train(
    con: duckdb.DuckDBPyConnection,
    day: date,
    learned_from: dict[str, Any],
    registry: Registry,
    now: datetime,
) -> Opened | NextOrderReport:
    evaluation = back_test(con, day)
    if "rhythm" not in evaluation:
        return _unscored("too_short_to_test", evaluation)
    wins = evaluation["rhythm"]["brier"] <= evaluation["recency"]["brier"]
    method = "rhythm" if wins else "recency"
    if not holds(evaluation[method]):
        return _unscored("does_not_hold", {**evaluation, "method": method})
    scorer = learn(con, day, **({} if wins else {"own_gaps": float("inf")}))
    if scorer is None:
        return _unscored("too_short_to_test", evaluation)
    category = evaluation.get("category")
    content = {
        **learned_from,
        "outcome": method,
        "method": method,
        "mean_gap_days": rounded(scorer.mean_gap_),
        "has_category": bool(category and category["own"] > category["popular"]),
        "trusted_types": list(TRUSTED_TYPES),
    }
    artifact = registry.keep(
        ESTIMATOR_NAME, method, scorer, content=content, evaluation=evaluation, card=model_card,
        now=now, tables=[[edges.tolist() for edges in scorer.edges_], str(scorer.curves_.tolist())],
    )  # fmt: skip
    served = registry.usable(ESTIMATOR_NAME, _opened)
    if served is None or served[1]["as_of"] <= day.isoformat():
        code = (
            "nothing_served"
            if served is None
            else "same_version"
            if served[0] == artifact.version
            else "held_when_tested"
        )
        decided = (True, Reason(code))
        promoted, _ = registry.settle(ESTIMATOR_NAME, artifact.version, decided, now=now)
        if not promoted:
            return _unscored("retired", evaluation)
    return _opened(artifact)


def _unscored(outcome: str, evaluation: dict[str, Any]) -> NextOrderReport:
    verdict = verdict_sentence(outcome, {"evaluation": evaluation}, "en")
    return NextOrderReport(outcome, verdict, evaluation=evaluation)


def _write(
    con: duckdb.DuckDBPyConnection,
    scorer: RhythmScorer,
    as_of: date,
    version: str,
    *,
    with_category: bool,
) -> int:
    frame = con.sql(
        """
        select customer_id, count(distinct order_date) - 1 as orders,
            max(order_date) - min(order_date) as last, $day - min(order_date) as age
        from marts.orders
        where is_order and customer_id is not null and order_date <= $day
        group by customer_id order by customer_id
        """,
        params={"day": as_of},
    ).pl()
    if frame.is_empty():
        return 0
    histories = frame.drop("customer_id").to_numpy().astype(np.float64)
    ends = np.ceil(scorer.quantiles(histories, INTERVAL))
    told = pl.DataFrame(
        {
            "customer_id": frame["customer_id"],
            **{
                name: pl.Series(np.where(np.isfinite(days), days, -1), dtype=pl.Int64)
                for name, days in zip(("earliest", "expected", "latest"), ends.T, strict=True)
            },
            "probability": np.round(scorer.probability(histories, YEAR), 6),
        }
    )
    con.register("_next_orders", told.to_arrow())
    category = "features.favourite_category" if with_category else "null"
    con.execute(
        f"""
        insert into {TABLE}
        select told.customer_id, $day,
            {_day("expected")}, {_day("earliest")}, {_day("latest")},
            told.probability, {category}, $version
        from _next_orders as told
        left join marts.customer_features as features
            on told.customer_id = features.customer_id
        """,
        {"day": as_of, "version": version},
    )
    con.unregister("_next_orders")
    return len(frame)


def _day(name: str) -> str:
    return f"case when told.{name} >= 0 then $day::date + greatest(told.{name}, 1)::integer end"
