"""Suggestions come from habits and from what goes together, where that beats popularity."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from scipy import sparse
from sklearn.utils.estimator_checks import parametrize_with_checks
from threadpoolctl import threadpool_limits

from cohorte.clock import now
from flows.scoring import give_suggestions
from models.registry import Registry
from models.suggestions import (
    EaseScorer,
    FactorScorer,
    ItemItemScorer,
    PopularityScorer,
    keep_suggestions,
    suggest_products,
    train_suggestions,
)
from models.suggestions.ranking import judge, top_products
from models.suggestions.score import back_test, purchases_of, read_purchases
from tests.models.value.online_retail import BOTH_YEARS

AS_OF = date(2026, 6, 30)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with threadpool_limits(limits=1):
        yield


@parametrize_with_checks([PopularityScorer(), ItemItemScorer(), EaseScorer(), FactorScorer()])
def test_the_estimators_keep_scikit_learns_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def test_ease_is_the_penalised_regression_of_each_product_on_the_others() -> None:
    random = np.random.default_rng(0)
    X = (random.random((60, 7)) < 0.4).astype(float)  # noqa: N806
    weights = EaseScorer(penalty=5.0).fit(X).weights_.todense()
    for at in range(7):
        others = np.delete(X, at, axis=1)
        expected = np.linalg.solve(others.T @ others + 5.0 * np.eye(6), others.T @ X[:, at])
        assert np.asarray(np.delete(weights[:, at], at)).ravel() == pytest.approx(
            expected, abs=1e-6
        )
        assert weights[at, at] == 0


def test_only_the_strongest_links_are_kept() -> None:
    random = np.random.default_rng(0)
    X = (random.random((60, 9)) < 0.4).astype(float)  # noqa: N806
    full = EaseScorer(5.0).fit(X).weights_.toarray()
    few = EaseScorer(5.0, max_links=2).fit(X).weights_.toarray()
    assert ((few != 0).sum(axis=1) <= 2).all()
    assert np.abs(few).max(axis=1) == pytest.approx(np.abs(full).max(axis=1))


def test_what_speaks_most_for_a_product_is_the_strongest_link_from_what_was_bought() -> None:
    learned = EaseScorer()
    learned.products_ = np.array([0, 2, 3, 4])
    learned.n_features_in_ = 5
    learned.weights_ = sparse.csr_matrix(
        np.array([[0, 0.2, 0.4, 0], [0, 0, 0.5, 0], [0.1, 0.1, 0, 0], [0, -0.3, -0.1, 0]])
    )
    bought = sparse.csr_matrix(
        np.array([[1, 0, 2, 0, 1], [1, 0, 2, 0, 1], [0, 1, 0, 0, 1], [1, 0, 0, 0, 0]])
    )
    reasons = learned.strongest_links(bought, np.array([3, 2, 3, 1]))
    assert reasons.tolist() == [2, 0, -1, -1]


def test_lists_are_judged_by_hand_computed_figures() -> None:
    later = sparse.csr_matrix(np.array([[1, 0, 1, 0], [0, 0, 0, 0], [0, 1, 0, 0]]))
    lists = np.array([[0, 3], [1, 2], [2, 1]])
    told = judge(lists, later)
    first, second = 1 / (1 + 1 / np.log2(3)), 1 / np.log2(3)
    assert told.customers == 2
    assert told.ndcg == pytest.approx((first + second) / 2)
    assert told.recall == pytest.approx((1 / 2 + 1) / 2)
    assert told.coverage == 1.0


def test_the_best_come_first_and_nothing_is_suggested_without_a_reason() -> None:
    scores = np.array([[0.0, 3.0, 1.0, 2.0], [0.0, 0.0, -np.inf, 0.0]])
    assert top_products(scores, 3).tolist() == [[1, 3, 2], [-1, -1, -1]]


def shop(seed: int = 0, customers: int = 400, *, shared: bool = True) -> pl.DataFrame:
    """Customers of two tastes who buy of their taste's products, over a year and a half.

    Not ``shared``: each has a taste of their own, so that nothing goes with anything.
    """
    random = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        liked = number % 2 * 20 + np.arange(20) if shared else random.permutation(40)[:20]
        for _ in range(random.poisson(12)):
            product = liked[int(random.zipf(1.6)) % 20]
            day = AS_OF - timedelta(days=int(random.integers(0, 540)))
            rows.append((f"C{number:04d}", f"P{product:02d}", day))
    return pl.DataFrame(
        rows,
        schema={"customer_id": pl.String, "product_id": pl.String, "order_date": pl.Date},
        orient="row",
    ).unique()


@pytest.fixture
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect() as connection:
        connection.execute("create schema marts")
        connection.register("_lines", shop().to_arrow())
        connection.execute(
            "create table marts.order_lines as"
            " select 'shop' as source, *, 1 as quantity, 'completed' as status"
            " from _lines"
        )
        connection.execute("""
            create table marts.products as
            select distinct source, product_id, product_id <> 'P00' as is_active,
                10.0 as unit_price,
                case when product_id = 'P07' then 1.0 else 9.0 end as unit_cost
            from marts.order_lines
        """)
        yield connection


def test_what_was_bought_after_the_cut_is_not_known_at_it() -> None:
    purchases = purchases_of(shop().sort("customer_id", "product_id", "order_date"), AS_OF)
    cut = AS_OF - timedelta(days=91)
    known, later = purchases.until(cut), purchases.since(cut)
    frame = shop()
    assert known.matrix().sum() == frame.filter(pl.col("order_date") <= cut).height
    assert later.sum() == frame.filter(pl.col("order_date") > cut).height
    assert (known.days_ago >= 0).all()


def test_tastes_are_learned_and_served(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    trained = train_suggestions(con, as_of=AS_OF, registry=registry, now=now())
    assert trained.outcome == "learned", trained.verdict
    suggest_products(con, as_of=AS_OF, registry=registry)
    rows = con.sql("from scores.product_suggestions").pl()
    wrong = rows.filter(
        (pl.col("customer_id").str.tail(1).cast(pl.Int32) % 2)
        != (pl.col("product_id").str.tail(2).cast(pl.Int32) // 20)
    )
    fresh = wrong.filter(pl.col("kind") == "new").height
    assert fresh < 0.4 * rows.filter(pl.col("kind") == "new").height
    assert wrong.filter(pl.col("kind") == "again").height == 0
    bought = con.sql("select customer_id, product_id from marts.order_lines").pl()
    new = rows.filter(pl.col("kind") == "new")
    assert new.join(bought, on=["customer_id", "product_id"]).height == 0
    reasons = new.drop_nulls("because_product_id")
    assert reasons.height > 0.5 * new.height
    own = reasons.join(
        bought,
        left_on=["customer_id", "because_product_id"],
        right_on=["customer_id", "product_id"],
    )
    assert own.unique().height == reasons.height, "told by what the customer bought"
    assert rows.filter(pl.col("kind") == "again")["because_product_id"].is_null().all()
    assert "P00" not in set(rows["product_id"])
    assert rows.group_by("customer_id", "kind").len()["len"].max() <= 5
    assert set(rows["estimator_version"]) == {trained.estimator_version}


def test_links_that_chance_made_do_not_serve(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """Habits are real, so all lists are better; on new products links are ahead by chance."""
    con.register("_lines", shop(5, customers=200, shared=False).to_arrow())
    con.execute("""
        create or replace table marts.order_lines as
        select 'shop' as source, *, 1 as quantity, 'completed' as status from _lines
    """)
    report = train_suggestions(con, as_of=AS_OF, registry=Registry(tmp_path), now=now())
    artifact = Registry(tmp_path).served("product_suggestions")
    assert artifact is not None
    told = artifact.evaluation["difference"]
    assert told["all"]["ndcg_gain"] > 2 * told["all"]["ndcg_gain_standard_error"]
    assert 0 < told["new"]["ndcg_gain"] < 2 * told["new"]["ndcg_gain_standard_error"]
    assert report.outcome == "no_better_than_popularity"
    assert "Gain de NDCG@10 sur la popularité : 0,0" in artifact.card("fr")


def test_two_sources_that_give_one_id_to_two_products_are_told_apart(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    """The second taste's products come from another shop, under the ids of the first's."""
    for table in ("order_lines", "products"):
        con.execute(f"""
            update marts.{table} set
                source = if(product_id >= 'P20', 'web', 'shop'),
                product_id = 'P' || lpad((product_id[2:]::int % 20)::varchar, 2, '0')
        """)
    registry = Registry(tmp_path)
    train_suggestions(con, as_of=AS_OF, registry=registry, now=now())
    suggest_products(con, as_of=AS_OF, registry=registry)
    rows = con.sql("from scores.product_suggestions").pl()
    taste = rows["customer_id"].str.tail(1).cast(pl.Int32) % 2
    mixed = rows.filter((rows["source"] == "web") != (taste == 1))
    assert mixed.filter(pl.col("kind") == "again").height == 0
    assert mixed.height < 0.2 * rows.height
    web = rows.filter((pl.col("source") == "web") & (pl.col("product_id") == "P00"))
    assert web.height > 0, "only the first shop's P00 is sold no more"
    assert rows.filter((pl.col("source") == "shop") & (pl.col("product_id") == "P00")).height == 0


def test_what_was_suggested_stays_until_it_is_made_anew(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    registry = Registry(tmp_path)
    train_suggestions(con, as_of=AS_OF, registry=registry, now=now())
    suggest_products(con, as_of=AS_OF, registry=registry)
    con.execute("create table kept as from scores.product_suggestions")
    con.execute("create table marts.customers as select distinct customer_id from kept")
    con.execute(
        "delete from marts.customers where customer_id = (select min(customer_id) from kept)"
    )
    con.execute("delete from marts.products where product_id = 'P03'")
    gone = "customer_id = (select min(customer_id) from kept) or product_id = 'P03'"
    [(expected,)] = con.sql(f"select count(*) from kept where not ({gone})").fetchall()
    assert 0 < keep_suggestions(con, "kept") == expected
    con.execute("alter table kept drop column because_product_id")
    assert keep_suggestions(con, "kept") == expected, "of a version that told no reasons"
    con.execute("alter table kept drop column source")
    assert keep_suggestions(con, "kept") == 0, "of a version that did not know sources"


def test_what_was_learned_is_given_by_the_next_run_and_again_once_learned_anew(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    registry = Registry(tmp_path)
    con.execute(
        "create table marts.customers as select distinct customer_id from marts.order_lines"
    )

    def given(before: str | None) -> tuple[int, float]:
        give_suggestions(con, before, as_of=AS_OF, registry=registry)
        [found] = con.sql(
            "select count(*), coalesce(sum(score), 0) from scores.product_suggestions"
        ).fetchall()
        return found

    give_suggestions(con, None, as_of=AS_OF, registry=registry)
    assert con.sql("select 1 from duckdb_tables() where schema_name = 'scores'").fetchall() == []
    train_suggestions(con, as_of=AS_OF, registry=registry, now=now())
    count, score = given(None)
    assert count > 0 < score
    con.execute(
        "create table kept as select * replace (0 as score) from scores.product_suggestions"
    )
    assert given("kept") == (count, 0), "they stay"
    con.execute("update kept set estimator_version = 'learned-before'")
    assert given("kept") == (count, score), "what made them serves no more"


def test_stock_and_margin_are_minded(con: duckdb.DuckDBPyConnection, tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    train_suggestions(con, as_of=AS_OF, registry=registry, now=now())
    suggest_products(
        con, as_of=AS_OF, registry=registry, allowed=[("shop", "P05"), ("shop", "P25")]
    )
    assert set(con.sql("from scores.product_suggestions").pl()["product_id"]) == {"P05", "P25"}

    def places(prefer_margin: float) -> float:
        suggest_products(con, as_of=AS_OF, registry=registry, prefer_margin=prefer_margin)
        [(count,)] = con.sql(
            "select count(*) from scores.product_suggestions where product_id = 'P07' and place = 1"
        ).fetchall()
        return float(count)

    assert places(5.0) > places(0.0)


def test_too_few_customers_are_a_stated_verdict(tmp_path: Path) -> None:
    with duckdb.connect() as con:
        con.execute("create schema marts")
        con.execute(
            "create table marts.order_lines as select 'C' as customer_id, 'shop' as source,"
            " 'P' as product_id,"
            f" date '{AS_OF}' as order_date, 1 as quantity, 'completed' as status"
        )
        report = train_suggestions(con, as_of=AS_OF, registry=Registry(tmp_path), now=now())
    assert report.outcome == "too_short_to_test"
    assert report.estimator_version is None


@pytest.mark.full
@pytest.mark.parametrize("cut", [date(2011, 9, 9), date(2011, 11, 11)])
def test_online_retail_reaches_what_was_asked(shared_data: Path, cut: date) -> None:
    lines = BOTH_YEARS.replace(
        "select invoice::varchar as", "select stockcode, invoice::varchar as"
    )
    lines = lines.replace("select invoiceno", "select stockcode, invoiceno")
    with duckdb.connect() as con:
        con.execute("create schema marts")
        con.execute(f"""
            create table marts.order_lines as
            select distinct customer::varchar as customer_id, 'shop' as source,
                upper(stockcode) as product_id,
                sold_at::date as order_date, 1 as quantity, 'completed' as status
            from ({lines.format(folder=shared_data / "online_retail")})
            where customer is not null and quantity > 0 and price > 0
                and regexp_matches(stockcode, '^[0-9]{{5}}')
        """)
        told = back_test(read_purchases(con, date(2011, 12, 9)), cut)
    assert told["all"]["learned"]["ndcg"] >= 0.27
    assert told["new"]["learned"]["ndcg"] >= 0.075
    assert told["new"]["learned"]["ndcg"] > 1.3 * told["new"]["popularity"]["ndcg"]
    for difference in told["difference"].values():
        assert difference["ndcg_gain"] > 2 * difference["ndcg_gain_standard_error"]
