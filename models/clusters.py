"""A few groups of buyers that come out again when others are drawn, and what sets each apart.

They are learned when asked, kept in the registry, and applied by every run, so that a group keeps
its meaning and its size can be followed from run to run.

K-means on scaled recency, frequency, money and behaviour. The number of groups is the largest whose
groups come out again in resamples of the customers (mean adjusted Rand index), so that a group has
a meaning beyond this month's rows. Names are made of what sets a group apart the most.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from cohorte.i18n import format_percent
from models.challenge import Reason
from models.measures import rounded
from models.propensity.words import feature_label
from models.registry import Artifact, Registry

__all__ = ["ESTIMATOR_NAME", "Cluster", "Clustering", "apply_clusters", "learn_clusters"]

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

ESTIMATOR_NAME = "customer_clusters"
RECIPE = 1
TABLE = "scores.customer_clusters"
ABOUT = "scores.clusters"
SHOWN_RUNS = 60
"""Days looked from whose sizes are kept."""


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
    version: str | None = None


@dataclass(frozen=True)
class Served:
    """The groups that serve: their middles, and how features are scaled to be compared."""

    version: str
    facts: dict[str, Any]
    means: KMeans

    @property
    def clusters(self) -> tuple[Cluster, ...]:
        return tuple(Cluster(**one) for one in self.facts["clusters"])

    @classmethod
    def of(cls, artifact: Artifact) -> Served:
        return cls(artifact.version, artifact.facts, artifact.estimator(()))


def learn_clusters(
    con: duckdb.DuckDBPyConnection,
    as_of: date,
    *,
    registry: Registry,
    now: datetime,
    relation: str = "marts.customer_features",
) -> Clustering:
    """Learn the groups anew, let them serve, and write the group of every buyer.

    ``relation`` is a name that the program states.
    """
    there = {
        name for (name,) in con.sql(f"select column_name from (describe {relation})").fetchall()
    }
    names = [name for name in FEATURES if name in there]
    frame = _buyers(con, relation, names)
    if frame.height < LEAST_BUYERS:
        return Clustering("too_few_buyers")
    values = _logarithms(frame, names)
    spread = values.std(axis=0)
    middle, spread = values.mean(axis=0), np.where(spread > 0, spread, 1.0)
    scaled = (values - middle) / spread
    with threadpool_limits(limits=1):
        size, tried = _stable_size(scaled)
        if size is None:
            return Clustering("nothing_stable", tried=tuple(tried))
        means = _fit(scaled, size, 0)
        order = _ordered(means.predict(scaled), frame, size)
        groups = order[means.predict(scaled)]
    clusters = tuple(
        Cluster(
            number + 1,
            int((groups == number).sum()),
            rounded((groups == number).mean()),
            {name: rounded(scaled[groups == number, at].mean()) for at, name in enumerate(names)},
        )
        for number in range(size)
    )
    content = {
        "recipe": RECIPE,
        "outcome": "clustered",
        "as_of": as_of.isoformat(),
        "features": names,
        "middle": [float(each) for each in middle],
        "spread": [float(each) for each in spread],
        "order": [int(each) for each in order],
        "clusters": [asdict(one) for one in clusters],
        "stability": dict(tried)[size],
    }
    evaluation = {"tried": [list(pair) for pair in tried]}
    artifact = registry.keep(
        ESTIMATOR_NAME, "kmeans", means, content=content, evaluation=evaluation, card=_card,
        now=now, tables=means.cluster_centers_.tolist(),
    )  # fmt: skip
    reason = Reason("groups_come_again", {"count": size, "stability": round(dict(tried)[size], 2)})
    registry.settle(ESTIMATOR_NAME, artifact.version, (True, reason), now=now)
    apply_clusters(con, as_of, registry=registry, relation=relation)
    return Clustering("clustered", clusters, dict(tried)[size], tuple(tried), artifact.version)


def apply_clusters(
    con: duckdb.DuckDBPyConnection,
    as_of: date,
    *,
    registry: Registry,
    relation: str = "marts.customer_features",
    before: str | None = None,
) -> int:
    """Write ``scores.customer_clusters`` and ``scores.clusters`` by the groups that serve.

    ``before``, a table like ``scores.clusters``, holds the sizes of earlier runs, which are kept.
    Returns the number of buyers; 0 where nothing serves.
    """
    con.execute("create schema if not exists scores")
    con.execute(f"""
        create or replace table {TABLE} (
            customer_id varchar, cluster varchar, as_of date, estimator_version varchar
        )
    """)
    served = registry.usable(ESTIMATOR_NAME, Served.of)
    if served is None:
        return 0
    con.execute(f"""
        create table if not exists {ABOUT} (
            cluster varchar, name_en varchar, name_fr varchar, customers bigint, share double,
            apart varchar, stability double, as_of date, estimator_version varchar
        )
    """)
    if before is not None:
        con.execute(
            f"insert into {ABOUT} select * from {before} where as_of not in"
            f" (select as_of from {ABOUT}) and as_of in"
            f" (select distinct as_of from {before} order by as_of desc limit {SHOWN_RUNS})"
        )
    con.execute(f"delete from {ABOUT} where as_of = ?", [as_of])
    facts = served.facts
    frame = _buyers(con, relation, facts["features"])
    if frame.is_empty():
        return 0
    scaled = (_logarithms(frame, facts["features"]) - facts["middle"]) / facts["spread"]
    with threadpool_limits(limits=1):
        groups = np.asarray(facts["order"])[served.means.predict(scaled)]
    told = pl.DataFrame(
        {"customer_id": frame["customer_id"], "cluster": (groups + 1).astype(np.int32)}
    )
    con.register("_clustered", told.to_arrow())
    con.execute(
        f"insert into {TABLE} select customer_id, cluster::varchar, ?, ? from _clustered",
        [as_of, served.version],
    )
    con.unregister("_clustered")
    sizes = np.bincount(groups, minlength=len(served.clusters))
    for one, size in zip(served.clusters, sizes.tolist(), strict=True):
        con.execute(
            f"insert into {ABOUT} values (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [
                str(one.cluster), one.name("en"), one.name("fr"), size, size / len(groups),
                json.dumps(one.apart), facts["stability"], as_of, served.version,
            ],
        )  # fmt: skip
    return frame.height


def _buyers(con: duckdb.DuckDBPyConnection, relation: str, names: Sequence[str]) -> pl.DataFrame:
    columns = ", ".join(f"coalesce({name}, 0)::double as {name}" for name in names)
    found: pl.DataFrame = con.sql(
        f"select customer_id, {columns} from {relation}"
        " where lifetime_orders_count > 0 order by customer_id"
    ).pl()
    return found


def _logarithms(frame: pl.DataFrame, names: Sequence[str]) -> FloatArray:
    values = frame.select(names).to_numpy().astype(np.float64)
    return np.asarray(np.log1p(np.maximum(values, 0.0)))


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


def _ordered(groups: IntArray, frame: pl.DataFrame, size: int) -> IntArray:
    """The number of each group by mean orders, the most first, so that numbers mean something."""
    orders = frame["lifetime_orders_count"].to_numpy()
    means = [orders[groups == number].mean() for number in range(size)]
    place = np.empty(size, dtype=np.intp)
    place[np.argsort(-np.asarray(means), kind="stable")] = np.arange(size)
    return place


def _card(facts: Mapping[str, Any], language: str) -> str:
    """The model card: the groups, and how surely they come out again."""
    french = language == "fr"
    tried = ", ".join(f"{size:.0f}: {index:.2f}" for size, index in facts["evaluation"]["tried"])
    title = "Groupes d’acheteurs" if french else "Groups of buyers"
    stability = "Stabilité (indice de Rand ajusté)" if french else "Stability (adjusted Rand index)"
    lines = [
        f"# {title}, version `{facts['version']}`",
        "",
        f"- **{stability}** : {facts['stability']:.2f}.",
        f"- **{'Nombres essayés' if french else 'Numbers tried'}** : {tried}.",
        "",
        f"| {'Groupe' if french else 'Group'} | {'Part' if french else 'Share'} | |",
        "|---|---|---|",
    ]
    for one in facts["clusters"]:
        cluster = Cluster(**one)
        share = format_percent(cluster.share, language, 0)
        lines.append(f"| {cluster.cluster} | {share} | {cluster.name(language)} |")
    return "\n".join([*lines, ""])
