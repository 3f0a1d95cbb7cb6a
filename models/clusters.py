"""A few groups of buyers that come out again when others are drawn, and what sets each apart.

K-means on scaled recency, frequency, money and behaviour. The number of groups is the largest whose
groups come out again in resamples of the customers (mean adjusted Rand index), so that a group has
a meaning beyond this month's rows. Names are made of what sets a group apart the most.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.measures import rounded
from models.propensity.words import feature_label

__all__ = ["Cluster", "Clustering", "cluster_customers"]

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.intp]

FEATURES = (
    "days_since_last_order",
    "days_since_first_order",
    "lifetime_orders_count",
    "orders_count_365d",
    "average_order_value",
    "categories_count",
    "emails_opened_90d",
    "web_visits_90d",
)
SIZES = (7, 6, 5, 4, 3, 2)
RESAMPLES = 6
LEAST_STABILITY = 0.85
LEAST_BUYERS = 200
MOST_TO_LEARN = 20_000
APART = 0.5
"""Standard deviations from everyone's mean by which a feature sets a group apart."""

TABLE = "scores.customer_clusters"


@dataclass(frozen=True)
class Cluster:
    """One group: its share of buyers, and its means in standard deviations from everyone's."""

    cluster: int
    customers: int
    share: float
    apart: dict[str, float]

    def name(self, language: str) -> str:
        """What sets it apart, in words, the most first; at most three things."""
        strongest = sorted(self.apart.items(), key=lambda item: -abs(item[1]))
        told = [(name, far) for name, far in strongest if abs(far) >= APART][:3]
        if not told:
            return "Comme tout le monde" if language == "fr" else "Like everyone"
        high, low = ("élevé", "bas") if language == "fr" else ("high", "low")
        colon = " : " if language == "fr" else ": "
        return ", ".join(
            f"{feature_label(name, language)}{colon}{high if far > 0 else low}"
            for name, far in told
        )


@dataclass(frozen=True)
class Clustering:
    """The groups, and how surely they come out again; none where nothing is stable."""

    outcome: str
    """``clustered``, ``too_few_buyers`` or ``nothing_stable``."""
    clusters: tuple[Cluster, ...] = ()
    stability: float = 0.0
    tried: tuple[tuple[int, float], ...] = ()
    """Numbers of groups tried, and the mean adjusted Rand index of each."""


def cluster_customers(
    con: duckdb.DuckDBPyConnection, as_of: date, relation: str = "marts.customer_features"
) -> Clustering:
    """Write ``scores.customer_clusters``: the group of every buyer.

    ``relation`` is a name that the program states.
    """
    con.execute("create schema if not exists scores")
    con.execute(f"""
        create or replace table {TABLE} (
            customer_id varchar, cluster integer, name_en varchar, name_fr varchar, as_of date
        )
    """)
    there = {
        name for (name,) in con.sql(f"select column_name from (describe {relation})").fetchall()
    }
    names = [name for name in FEATURES if name in there]
    frame: pl.DataFrame = con.sql(f"""
        select customer_id, {", ".join(f"coalesce({name}, 0)::double as {name}" for name in names)}
        from {relation} where lifetime_orders_count > 0 order by customer_id
    """).pl()
    if frame.height < LEAST_BUYERS:
        return Clustering("too_few_buyers")
    scaled = _scaled(frame.select(names))
    with threadpool_limits(limits=1):
        size, tried = _stable_size(scaled)
        if size is None:
            return Clustering("nothing_stable", tried=tuple(tried))
        groups = _ordered(_fit(scaled, size, 0).predict(scaled), frame, size)
    clusters = tuple(
        Cluster(
            number + 1,
            int((groups == number).sum()),
            rounded((groups == number).mean()),
            {name: rounded(scaled[groups == number, at].mean()) for at, name in enumerate(names)},
        )
        for number in range(size)
    )
    told = pl.DataFrame(
        {
            "customer_id": frame["customer_id"],
            "cluster": (groups + 1).astype(np.int32),
            "name_en": [clusters[number].name("en") for number in groups],
            "name_fr": [clusters[number].name("fr") for number in groups],
        }
    )
    con.register("_clustered", told.to_arrow())
    con.execute(f"insert into {TABLE} select *, ? from _clustered", [as_of])
    con.unregister("_clustered")
    return Clustering("clustered", clusters, dict(tried)[size], tuple(tried))


def _scaled(frame: pl.DataFrame) -> FloatArray:
    """Counts and amounts by their logarithm, all to mean 0 and deviation 1."""
    values = np.log1p(np.maximum(frame.to_numpy().astype(np.float64), 0.0))
    spread = values.std(axis=0)
    return np.asarray((values - values.mean(axis=0)) / np.where(spread > 0, spread, 1.0))


def _fit(rows: FloatArray, size: int, seed: int) -> KMeans:
    return KMeans(size, n_init=4, random_state=seed).fit(rows)


def _stable_size(scaled: FloatArray) -> tuple[int | None, list[tuple[int, float]]]:
    """The largest number of groups that come out again from other halves of the customers."""
    random = np.random.default_rng(0)
    some = scaled
    if len(scaled) > MOST_TO_LEARN:
        some = scaled[random.choice(len(scaled), MOST_TO_LEARN, replace=False)]
    halves = [random.permutation(len(some)) for _ in range(RESAMPLES // 2)]
    tried = []
    for size in SIZES:
        agreements = []
        for order in halves:
            middle = len(order) // 2
            first = _fit(some[order[:middle]], size, 0)
            second = _fit(some[order[middle:]], size, 1)
            agreements.append(adjusted_rand_score(first.predict(some), second.predict(some)))
        stability = rounded(np.mean(agreements))
        tried.append((size, stability))
        if stability >= LEAST_STABILITY:
            return size, tried
    return None, tried


def _ordered(groups: Sequence[int] | IntArray, frame: pl.DataFrame, size: int) -> IntArray:
    """Groups renumbered by mean orders, the most first, so that numbers mean something."""
    groups = np.asarray(groups)
    orders = frame["lifetime_orders_count"].to_numpy()
    means = [orders[groups == number].mean() for number in range(size)]
    place = np.empty(size, dtype=np.intp)
    place[np.argsort(-np.asarray(means), kind="stable")] = np.arange(size)
    return place[groups]
