"""Contracts that end soon get a probability of not being renewed, or the reason why not."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest

from models.registry import Registry
from models.renewal import (
    _VERDICTS,
    RenewalReport,
    reason_sentence,
    score_contracts,
    verdict_sentence,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)
AS_OF = date(2025, 6, 30)


def company(terms: int = 900, *, signal: float = 3.0, seed: int = 5) -> duckdb.DuckDBPyConnection:
    """Contracts of a year; who has a ticket open before the end mostly does not renew."""
    random = np.random.default_rng(seed)
    started = [date(2021, 1, 1) + timedelta(days=int(at)) for at in random.integers(0, 1550, terms)]
    annoyed = random.random(terms) < 0.4
    lost = random.random(terms) < 1 / (1 + np.exp(1.2 - signal * annoyed))
    rows = []
    for number, first in enumerate(started):
        end = first + timedelta(days=365)
        over = end <= date(2025, 12, 31)
        rows.append(
            {
                "source": "crm", "contract_id": f"k{number}", "customer_id": f"c{number}",
                "started_date": first,
                "end_date": end if lost[number] or not over else end + timedelta(days=365),
                "renewed_at": None if lost[number] or not over else datetime.combine(
                    end, datetime.min.time()),
                "cancelled_at": None, "amount": 1000.0 + number,
                "status": "ended" if over and lost[number] else "active",
                "ticket_at": datetime.combine(end - timedelta(days=80), datetime.min.time())
                if annoyed[number] else None,
            }
        )  # fmt: skip
    con = duckdb.connect(config={"threads": 1})
    frame = pl.DataFrame(
        rows,
        schema_overrides={
            "renewed_at": pl.Datetime("us"), "cancelled_at": pl.Datetime("us"),
            "ticket_at": pl.Datetime("us"),
        },
    )  # fmt: skip
    con.register("given", frame.to_arrow())
    con.execute("""
        create schema marts;
        create table marts.contracts as select * exclude (ticket_at) from given;
        create table marts.tickets as
        select customer_id, ticket_at as opened_at, null::timestamp as resolved_at from given
        where ticket_at is not null;
        create table marts.orders (customer_id varchar, order_date date, is_order boolean);
        create table marts.interactions as
        select customer_id, ticket_at::date as interaction_date from given
        where ticket_at is not null;
    """)
    return con


def run(
    con: duckdb.DuckDBPyConnection, folder: Path, as_of: date = AS_OF, *, retrain: bool = False
) -> RenewalReport:
    return score_contracts(con, as_of=as_of, artifacts_dir=folder, now=NOW, retrain=retrain)


def scores(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    found: pl.DataFrame = con.sql("from scores.contract_scores order by all").pl()
    return found


def test_who_has_a_ticket_open_is_expected_to_leave(tmp_path: Path) -> None:
    con = company()
    report = run(con, tmp_path)
    assert report.outcome == "learned"
    assert report.evaluation["learned"]["auc"] > 0.75
    assert report.scored == report.contracts > 20
    found = scores(con)
    assert found["end_date"].min() > AS_OF  # type: ignore[operator]
    assert found["end_date"].max() <= AS_OF + timedelta(days=90)  # type: ignore[operator]
    annoyed = con.sql(
        "select distinct customer_id from marts.tickets where opened_at <= timestamp '2025-06-30'"
    ).pl()
    is_annoyed = found["customer_id"].is_in(annoyed["customer_id"].implode())
    said = found["non_renewal_probability"]
    assert said.filter(is_annoyed).mean() > said.filter(~is_annoyed).mean() + 0.3  # type: ignore[operator]
    reasons = json.loads(found.filter(is_annoyed)["reasons"][0])
    told = {one["feature"] for one in reasons if one["contribution"] > 0}
    assert told & {"open_tickets_count", "tickets_count_365d", "interactions_count_90d",
                   "days_since_last_interaction"}  # fmt: skip
    assert all("odds ×" in reason_sentence(one, "en") for one in reasons)
    assert all("cote ×" in reason_sentence(one, "fr") for one in reasons)
    artifact = Registry(tmp_path).served("contract_renewal")
    assert artifact is not None
    assert "Renouvellement" in artifact.card("fr")
    assert not run(con, tmp_path).trained
    assert scores(con).equals(found)
    again = run(con, tmp_path, retrain=True)
    assert again.estimator_version == report.estimator_version
    Registry(tmp_path).retire("contract_renewal", reason="asked", now=NOW)
    assert run(con, tmp_path).outcome == "retired"
    assert scores(con).is_empty()


def test_what_comes_after_the_day_changes_no_score(tmp_path: Path) -> None:
    con = company()
    run(con, tmp_path / "a")
    before = scores(con)
    con.execute("""
        insert into marts.tickets select customer_id, timestamp '2025-07-02', null
        from marts.contracts;
        delete from marts.contracts where started_date > date '2025-06-30';
        update marts.contracts
        set end_date = renewed_at::date, renewed_at = null, status = 'active'
        where renewed_at > timestamp '2025-06-30';
    """)
    run(con, tmp_path / "b")
    assert scores(con).drop("estimator_version").equals(before.drop("estimator_version"))


@pytest.mark.parametrize(
    ("terms", "signal", "outcome"),
    [(0, 0.0, "no_contracts"), (12, 0.0, "too_few_ended"), (120, 0.0, "too_few_to_learn")],
)
def test_too_few_terms_give_a_share_or_a_refusal(
    tmp_path: Path, terms: int, signal: float, outcome: str
) -> None:
    con = company(terms or 1, signal=signal)
    if not terms:
        con.execute("delete from marts.contracts")
    report = run(con, tmp_path)
    assert report.outcome == outcome
    probabilities = scores(con)["non_renewal_probability"]
    if outcome == "too_few_to_learn":
        assert probabilities.n_unique() == 1
        assert 0 < probabilities[0] < 1
    else:
        assert report.verdict.startswith("no renewal score")
        assert probabilities.is_empty()


def test_a_contract_that_follows_another_renews_it(tmp_path: Path) -> None:
    con = company(300)
    con.execute("""
        insert into marts.contracts
        select source, contract_id || '-2', customer_id, end_date + 10, end_date + 375, null, null,
            amount, 'active'
        from marts.contracts where status = 'ended'
    """)
    report = run(con, tmp_path)
    assert report.outcome == "one_class"


def test_verdicts_are_in_both_languages() -> None:
    facts = {"terms": 10, "lost": 3, "evaluation": {"rate": {"brier": 0.2, "terms": 4}}}
    for outcome in _VERDICTS:
        english, french = (verdict_sentence(outcome, facts, code) for code in ("en", "fr"))
        assert english != french
        assert "{" not in english + french
