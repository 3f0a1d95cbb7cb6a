"""Lookalikes are ranked without what defines the segment; clusters are stable, or not told."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from cohorte.clock import now
from models.clusters import Clustering, apply_clusters, learn_clusters
from models.lookalikes import find_lookalikes
from models.registry import Registry

AS_OF = date(2026, 6, 30)


def features(con: duckdb.DuckDBPyConnection, kinds: int, customers: int = 900) -> pl.DataFrame:
    """Buyers of so many kinds, far apart in how often, how late and how much."""
    random = np.random.default_rng(0)
    kind = np.arange(customers) % kinds
    scale = np.exp(2.5 * kind)
    frame = pl.DataFrame(
        {
            "customer_id": [f"C{n:04d}" for n in range(customers)],
            "days_since_last_order": np.round(400 / scale * random.lognormal(0, 0.2, customers)),
            "lifetime_orders_count": 1 + np.round(scale * random.lognormal(0, 0.2, customers)),
            "average_order_value": np.round(20 * scale * random.lognormal(0, 0.2, customers), 2),
            "web_visits_90d": random.poisson(1 + 3 * kind).astype(float),
            "kind": kind.astype(str),
        }
    )
    con.register("_frame", frame.to_arrow())
    con.execute("create or replace table features as from _frame")
    return frame


def cluster_customers(con: duckdb.DuckDBPyConnection, folder: Path) -> Clustering:
    return learn_clusters(con, AS_OF, registry=Registry(folder), now=now(), relation="features")


@pytest.fixture
def con() -> duckdb.DuckDBPyConnection:
    return duckdb.connect()


def test_stable_groups_are_found_named_and_numbered_by_orders(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    frame = features(con, 3)
    found = cluster_customers(con, tmp_path)
    assert found.outcome == "clustered"
    assert found.stability >= 0.85
    rows = con.sql("from scores.customer_clusters order by customer_id").pl()
    same = rows.join(frame, on="customer_id").group_by("cluster").agg(pl.col("kind").n_unique())
    assert set(same["kind"]) == {1}
    assert sum(one.customers for one in found.clusters) == frame.height
    first, last = found.clusters[0], found.clusters[-1]
    assert first.apart["lifetime_orders_count"] > last.apart["lifetime_orders_count"]
    assert "low" in last.name("en")
    assert "bas" in last.name("fr")


def test_groups_keep_their_meaning_and_their_sizes_are_followed(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    features(con, 3)
    learned = cluster_customers(con, tmp_path)
    first = con.sql("from scores.customer_clusters order by customer_id").fetchall()
    con.execute("create table before as from scores.clusters")
    con.execute("drop schema scores cascade")
    con.execute("delete from features where customer_id < 'C0300'")
    registry, later = Registry(tmp_path), AS_OF + timedelta(days=7)
    count = apply_clusters(con, later, registry=registry, relation="features", before="before")
    assert count == 600
    kept = con.sql("from scores.customer_clusters order by customer_id").fetchall()
    assert [row[:2] for row in kept] == [row[:2] for row in first if row[0] >= "C0300"]
    sizes = con.sql(
        "select as_of, sum(customers)::int, count(*) from scores.clusters group by 1 order by 1"
    ).fetchall()
    assert sizes == [(AS_OF, 900, len(learned.clusters)), (later, 600, len(learned.clusters))]
    assert (
        apply_clusters(con, later, registry=Registry(tmp_path / "none"), relation="features") == 0
    )


def test_rows_without_groups_are_not_cut_into_many(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    random = np.random.default_rng(1)
    shape = (600, 4)
    noise = random.normal(size=shape)
    names = ("days_since_last_order", "lifetime_orders_count", "average_order_value", "x")
    frame = pl.DataFrame(
        {name: np.exp(3 + 0.5 * noise[:, at]) for at, name in enumerate(names)}
    ).with_columns(customer_id=pl.int_range(600).cast(pl.String))
    con.register("_frame", frame.to_arrow())
    con.execute("create table features as from _frame")
    found = cluster_customers(con, tmp_path)
    assert len(found.clusters) <= 3


def test_too_few_buyers_are_said(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    features(con, 2, customers=50)
    assert cluster_customers(con, tmp_path).outcome == "too_few_buyers"


def test_lookalikes_are_found_without_the_field_that_defines_the_segment(
    con: duckdb.DuckDBPyConnection,
) -> None:
    frame = features(con, 3)
    best = frame.filter(pl.col("kind") == "2")["customer_id"].to_list()
    members = best[::2]
    found = find_lookalikes(con, members, "features", tested=("kind",))
    assert found.outcome == "ranked"
    assert found.auc is not None
    assert found.auc > 0.75
    hidden = set(best) - set(members)
    likest = set(found.ranked["customer_id"].head(len(hidden)))
    assert len(likest & hidden) > 0.9 * len(hidden)
    assert not set(members) & set(found.ranked["customer_id"])
    precisions = [row["precision"] for row in found.expected]
    assert precisions == sorted(precisions, reverse=True)


def test_a_field_that_gives_members_away_is_not_used(con: duckdb.DuckDBPyConnection) -> None:
    frame = features(con, 3)
    members = frame["customer_id"].to_list()[:300]
    con.execute(
        "create table told as select *, case when customer_id < 'C0300' then 1 else 0 end as flag"
        " from features"
    )
    found = find_lookalikes(con, members, "told")
    assert found.left_out == ("flag",)


def test_few_members_and_everyone_are_said(con: duckdb.DuckDBPyConnection) -> None:
    frame = features(con, 2, customers=100)
    ids = frame["customer_id"].to_list()
    assert find_lookalikes(con, ids[:10], "features").outcome == "too_few_members"
    assert find_lookalikes(con, ids, "features").outcome == "nobody_else"
