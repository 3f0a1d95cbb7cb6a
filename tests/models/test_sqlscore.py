"""A score as SQL is the estimator itself, reasons included."""

from __future__ import annotations

import json
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from models.encoding import FeatureEncoder
from models.scorecard import AdditiveScorer, BaseRateScorer
from models.sqlscore import ScoreSql

KINDS: dict[str, Any] = {"amount": "number", "visits": "number", "it's a": "category"}


def people(rows: int, seed: int) -> pl.DataFrame:
    """Numbers and a category, missing at times, with values that no fit has seen."""
    random = np.random.default_rng(seed)
    category = random.choice(["a", "b", "l'été", "Z", "(other)"], rows).tolist()
    return pl.DataFrame(
        {
            "customer_id": [f"C{n}" for n in range(rows)],
            "amount": np.where(random.random(rows) < 0.1, np.nan, random.gamma(1, 40, rows)),
            "visits": random.poisson(2, rows).astype(float),
            "it's a": [None if random.random() < 0.1 else value for value in category],
        }
    ).with_columns(pl.col("amount").fill_nan(None))


@pytest.fixture(scope="module")
def learned() -> tuple[FeatureEncoder, AdditiveScorer]:
    known = people(1500, 0)
    visits = known["visits"].to_numpy()
    is_a = (known["it's a"] == "a").fill_null(value=False).to_numpy()
    chance = 1 / (1 + np.exp(1 - visits + 2 * is_a))
    did = np.random.default_rng(1).random(1500) < chance
    encoder = FeatureEncoder.fit(known, KINDS)
    with threadpool_limits(limits=1):
        scorer = AdditiveScorer(
            max_iter=60, categorical_features=encoder.categorical, random_state=0
        ).fit(encoder.encode(known), did)
    return encoder, scorer


def strangers() -> pl.DataFrame:
    frame = people(800, 7)
    unseen = pl.when(pl.int_range(pl.len()) % 50 == 0).then(pl.lit("new")).otherwise(
        pl.col("it's a")
    )  # fmt: skip
    return frame.with_columns(unseen.alias("it's a"), visits=pl.col("visits") * 1.5)


def ask(told: ScoreSql, **how: Any) -> pl.DataFrame:
    with duckdb.connect() as con:
        con.register("frame", strangers().to_arrow())
        con.execute("create table asked as from frame")
        query = told.select("asked", ["customer_id"], **how)
        return con.sql(f"select * from ({query}) order by customer_id[2:]::int").pl()


def test_the_select_equals_the_estimator(learned: tuple[FeatureEncoder, AdditiveScorer]) -> None:
    encoder, scorer = learned
    expected = scorer.decision_function(encoder.encode(strangers()))
    found = ask(ScoreSql(encoder, scorer, {}), reasons=None)
    assert np.abs(found["logit"].to_numpy() - expected).max() < 1e-9
    probability = scorer.predict_proba(encoder.encode(strangers()))[:, 1]
    assert np.abs(found["probability"].to_numpy() - probability).max() < 1e-9


def test_reasons_are_the_largest_contributions_with_their_values(
    learned: tuple[FeatureEncoder, AdditiveScorer],
) -> None:
    encoder, scorer = learned
    frame = strangers()
    contributions = scorer.explain(encoder.encode(frame))
    found = ask(ScoreSql(encoder, scorer, {}))
    codes = ask(ScoreSql(encoder, scorer, {}), reasons="codes")
    for row in range(0, 800, 37):
        told = json.loads(found["reasons"][row])
        sizes = np.sort(np.abs(contributions[row]))[::-1][: len(told)]
        assert [abs(one["contribution"]) for one in told] == pytest.approx(sizes, abs=2e-9)
        for rank, one in enumerate(told, start=1):
            at = encoder.names.index(one["feature"])
            assert one["contribution"] == pytest.approx(contributions[row, at], abs=2e-9)
            assert one["value"] == frame[one["feature"]][row]
            assert codes[f"reason_{rank}"][row] == at
            assert codes[f"contribution_{rank}"][row] == pytest.approx(
                one["contribution"], abs=2e-9
            )


def test_a_column_may_be_any_expression(learned: tuple[FeatureEncoder, AdditiveScorer]) -> None:
    encoder, scorer = learned
    doubled = ask(ScoreSql(encoder, scorer, {"visits": "visits * 2"}), reasons=None)
    frame = strangers().with_columns(visits=pl.col("visits") * 2)
    expected = scorer.decision_function(encoder.encode(frame))
    assert np.abs(doubled["logit"].to_numpy() - expected).max() < 1e-9


def test_many_categories_are_looked_up_and_others_fall_back() -> None:
    random = np.random.default_rng(0)
    area = [f"l'{n:02d}" for n in random.integers(0, 40, 4000)]
    known = pl.DataFrame({"area": area})
    did = random.random(4000) < np.array([int(name[2:]) for name in area]) / 50
    encoder = FeatureEncoder.fit(known, {"area": "category"})
    scorer = BaseRateScorer(column=0).fit(encoder.encode(known), did)
    asked = pl.DataFrame({"area": [*sorted(set(area)), "new", None]})
    with duckdb.connect() as con:
        con.register("frame", asked.with_row_index("place").to_arrow())
        query = ScoreSql(encoder, scorer, {}).select("frame", ["place"], reasons=None)
        found = con.sql(f"select * from ({query}) order by place").pl()
    expected = scorer.decision_function(encoder.encode(asked))
    assert np.abs(found["logit"].to_numpy() - expected).max() < 1e-9


def test_whole_numbers_are_looked_up_and_any_other_number_is_right_too() -> None:
    """Edges at whole numbers: a dictionary, for values between, beyond and far beyond them."""
    random = np.random.default_rng(3)
    days = random.integers(0, 400, 6000).astype(float)
    known = pl.DataFrame({"days": days, "nothing": np.ones(6000)})
    did = random.random(6000) < 1 / (1 + np.exp(days / 60 - 3 + 2 * np.sin(days / 9)))
    encoder = FeatureEncoder.fit(known, {"days": "number", "nothing": "number"})
    with threadpool_limits(limits=1):
        scorer = AdditiveScorer(max_iter=40, random_state=0).fit(encoder.encode(known), did)
    edges = scorer.edges_[0]
    near = [*edges, *(edges + 1e-9), *(edges - 1e-9), *(edges + 0.5)]
    asked = pl.DataFrame({"days": [None, -1e300, 1e300, -5.0, 0.0, 0.3, 401.0, *near]})
    asked = asked.with_columns(nothing=pl.lit(1.0)).filter(
        pl.col("days").is_null() | pl.col("days").is_finite()
    )
    with duckdb.connect() as con:
        con.register("frame", asked.with_row_index("place").to_arrow())
        query = ScoreSql(encoder, scorer, {}).select("frame", ["place"])
        found = con.sql(f"select * from ({query}) order by place").pl()
    assert "unnest" in query, "a dictionary"
    assert "x1" not in query, "what adds nothing is not looked at"
    expected = scorer.decision_function(encoder.encode(asked))
    assert np.abs(found["logit"].to_numpy() - expected).max() < 1e-9


def test_a_rate_without_features_is_a_constant() -> None:
    scorer = BaseRateScorer(column=None).fit(np.zeros((40, 1)), np.tile([0, 0, 0, 1], 10))
    found = ask(ScoreSql(FeatureEncoder(()), scorer, {}))
    assert found["probability"].to_list() == pytest.approx([0.25] * 800)
    assert set(found["reasons"]) == {"[]"}
