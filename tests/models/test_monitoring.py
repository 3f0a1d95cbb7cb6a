"""Scores that moved too far from the first of their version are not used."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import duckdb
import numpy as np
import polars as pl

from flows.scoring import keep_before
from models.monitoring import History, follow, has_moved_too_far


def given(low: float, high: float, count: int = 400) -> pl.DataFrame:
    said = np.linspace(low, high, count)
    return pl.DataFrame(
        {
            "id": [str(number) for number in range(count)],
            "probability": said,
            "estimator_version": ["v1"] * count,
        }
    )


def nobody(_: date) -> pl.Series:
    return pl.Series([], dtype=pl.String)


def test_scores_that_moved_too_far_are_held_back_and_not_kept(tmp_path: Path) -> None:
    history = History(tmp_path, "lead_score")
    first = follow(history, "lead_score", date(2026, 1, 5), 90, given(0.1, 0.5), nobody)
    near = follow(history, "lead_score", date(2026, 1, 12), 90, given(0.11, 0.52), nobody)
    far = follow(history, "lead_score", date(2026, 1, 19), 90, given(0.7, 0.9), nobody)
    few = follow(history, "lead_score", date(2026, 1, 19), 90, given(0.7, 0.9, 20), nobody)
    assert [has_moved_too_far(checks) for checks in (first, near, far, few)] == [
        False, False, True, False,
    ]  # fmt: skip
    held = next(check for check in far if check.measure == "held_back")
    assert held.is_alert
    assert held.value > held.limit  # type: ignore[operator]
    assert history.days() == [date(2026, 1, 5), date(2026, 1, 12), date(2026, 1, 19)]
    assert history.read(date(2026, 1, 19)).height == 20


def test_the_scores_before_stay_with_the_day_they_are_of() -> None:
    con = duckdb.connect()
    con.execute("""
        create schema scores; create schema before;
        create table before.customer_scores as
        select 'c1' as customer_id, date '2026-01-01' as as_of, 0.3 as order_probability;
        create table scores.customer_scores as
        select 'c1' as customer_id, date '2026-02-01' as as_of, 0.9 as order_probability;
        create table before.old as select 1 as other;
    """)
    said = keep_before(con, "customer_scores", "before.customer_scores")
    assert "the scores before stay" in said
    kept = con.sql("from scores.customer_scores").fetchall()
    assert [row[1] for row in kept] == [date(2026, 1, 1)]
    assert "no scores" in keep_before(con, "customer_scores", "before.old")
    assert con.sql("from scores.customer_scores").fetchall() == []
