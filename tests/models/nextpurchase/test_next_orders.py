"""The day of the next order: its interval holds later on, and what is not known is not told."""

from __future__ import annotations

from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import pytest
from sklearn.utils.estimator_checks import check_estimator

from cohorte.clock import now
from cohorte.i18n import format_percent
from models.nextpurchase import RhythmScorer, score_next_orders, verdict_sentence
from models.nextpurchase.score import back_test, holds
from models.registry import Registry

AS_OF = date(2026, 6, 28)
FIRST = date(2024, 1, 1)


def shop(
    customers: int = 1500, seed: int = 0, *, regular: bool = True
) -> duckdb.DuckDBPyConnection:
    """Customers with rhythms of their own; some stop. Each likes one of three categories."""
    random = np.random.default_rng(seed)
    rows = []
    for number in range(customers):
        day, gap = float(random.integers(0, 500)), float(random.gamma(4, 15))
        while day < (AS_OF - FIRST).days:
            rows.append((f"C{number:05d}", int(day), "abc"[number % 3]))
            if random.random() < 0.08:
                break
            day += max(1.0, random.gamma(8, gap / 8))
    con = duckdb.connect()
    con.execute("create schema marts")
    con.execute("create table told (customer_id varchar, day int, category varchar)")
    con.executemany("insert into told values (?, ?, ?)", rows)
    con.execute(f"""
        create table marts.orders as
        select customer_id, 'shop' as source, row_number() over () :: varchar as order_id,
            date '{FIRST}' + day as order_date, true as is_order
        from told
    """)
    con.execute(f"""
        create table marts.order_lines as
        select customer_id, date '{FIRST}' + day as order_date, category, 1 as quantity,
            'completed' as status
        from told
    """)
    con.execute("""
        create table marts.customer_features as
        select customer_id, any_value(category) as favourite_category from told group by all
    """)
    return con


@pytest.fixture(scope="module")
def con() -> duckdb.DuckDBPyConnection:
    return shop()


def test_the_interval_holds_on_days_that_were_not_seen(con: duckdb.DuckDBPyConnection) -> None:
    told = back_test(con, AS_OF)
    rhythm = told["rhythm"]
    assert holds(rhythm)
    assert abs(rhythm["coverage"] - 0.8) < 0.08
    assert rhythm["interval_customers"] > 200
    assert abs(rhythm["ends"]["0.5"]["ordered"] - 0.5) < 0.08
    assert rhythm["brier"] < told["recency"]["brier"], "a rhythm of one's own tells more"
    assert rhythm["interval_days"] < told["recency"]["interval_days"]
    assert told["category"]["own"] > told["category"]["popular"] + 0.3


def test_what_came_after_the_cut_is_not_learned_from(con: duckdb.DuckDBPyConnection) -> None:
    from models.nextpurchase.score import learn

    cut = AS_OF - timedelta(days=182)
    before = learn(con, cut)
    with shop() as other:
        other.execute("delete from marts.orders where order_date > ?", [cut])
        after = learn(other, cut)
    assert before is not None
    assert after is not None
    assert np.array_equal(before.curves_, after.curves_)


def test_days_are_served_with_their_version_and_again_the_same(
    con: duckdb.DuckDBPyConnection, tmp_path: Path
) -> None:
    registry = Registry(tmp_path)
    first = score_next_orders(con, as_of=AS_OF, registry=registry, now=now())
    assert first.outcome == "scored", first.verdict
    rows = con.sql("from scores.next_orders order by customer_id").pl()
    assert rows.height == first.customers == rows["customer_id"].n_unique()
    known = rows.drop_nulls()
    assert known.height > 300
    assert (known["earliest_date"] > AS_OF).all()
    assert (known["earliest_date"] <= known["expected_date"]).all()
    assert (known["expected_date"] <= known["latest_date"]).all()
    assert (known["latest_date"] <= AS_OF + timedelta(days=364)).all()
    assert rows.filter(rows["expected_date"].is_null())["year_probability"].max() <= 0.51
    assert set(rows["category"]) == {"a", "b", "c"}
    again = score_next_orders(con, as_of=AS_OF, registry=registry, now=now())
    assert again.estimator_version == first.estimator_version
    assert con.sql("from scores.next_orders order by customer_id").pl().equals(rows)
    assert "held" in first.verdict
    registry.retire("next_order", reason="asked", now=now())
    retired = score_next_orders(con, as_of=AS_OF, registry=registry, now=now())
    assert retired.outcome == "retired"
    assert con.sql("from scores.next_orders").fetchall() == []


def test_too_little_to_test_is_a_stated_verdict(tmp_path: Path) -> None:
    with shop(60) as con:
        report = score_next_orders(con, as_of=AS_OF, registry=Registry(tmp_path), now=now())
    assert report.outcome == "too_short_to_test"
    assert report.estimator_version is None


def test_an_interval_that_does_not_hold_is_refused() -> None:
    ends = {"0.5": {"customers": 400, "ordered": 0.8}, "0.1": {"customers": 400, "ordered": 0.1}}
    assert not holds({"ends": ends})
    assert holds({"ends": {"0.5": {"customers": 4, "ordered": 0.75}}}), "four are too few to tell"


@pytest.mark.parametrize("outcome", ["rhythm", "recency", "does_not_hold", "retired"])
def test_a_verdict_is_said_in_both_languages(outcome: str) -> None:
    judged = {"brier": 0.1, "coverage": 0.81, "interval_customers": 300, "ends": {}}
    facts = {"evaluation": {"customers": 500, "days": 182, "rhythm": judged, "recency": judged}}
    french, english = (verdict_sentence(outcome, facts, code) for code in ("fr", "en"))
    assert french != english
    assert "{" not in french + english


def test_a_share_of_four_customers_is_not_told() -> None:
    judged = {"brier": 0.1, "coverage": 1.0, "interval_customers": 4, "ends": {}}
    facts = {"evaluation": {"customers": 500, "days": 182, "rhythm": judged, "recency": judged}}
    assert format_percent(1, "en", 0) not in verdict_sentence("rhythm", facts, "en")
    assert format_percent(1, "fr", 0) not in verdict_sentence("rhythm", facts, "fr")


def test_the_median_of_a_curve_is_kaplan_and_meiers() -> None:
    """Ten customers of one cell: three ordered after 10, 20 and 30 days, one left at 15."""
    histories = np.tile([0.0, 0.0, 5.0], (10, 1))
    waited = np.array([10.0, -15, 20, 30, -40, -40, -40, -40, -40, -40])
    scorer = RhythmScorer().fit(histories, waited)
    share_at_20 = 1 - (9 / 10) * (7 / 8)
    assert scorer.probability(histories[:1], 25)[0] == pytest.approx(share_at_20, abs=0.005)
    assert np.isinf(scorer.quantiles(histories[:1], (0.5,))[0, 0])
    assert scorer.predict(histories[:1])[0] == scorer.limit


def test_scikit_learns_contract_is_kept() -> None:
    """A history is three numbers: only the checks that bring others cannot pass."""
    told = check_estimator(RhythmScorer(), on_fail=None, on_skip=None)
    failed = {each["check_name"]: each["exception"] for each in told if each["status"] == "failed"}
    assert failed.keys() >= {"check_fit2d_1feature"}
    assert all("three numbers" in str(error) for error in failed.values()), failed
    assert sum(each["status"] == "passed" for each in told) >= 15
