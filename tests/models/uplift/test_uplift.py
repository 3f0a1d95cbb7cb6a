"""Effects are measured honestly, and people are ranked by them only where that can be shown."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path

import duckdb
import numpy as np
import polars as pl
import pytest
import sklearn
from sklearn.base import clone
from sklearn.model_selection import StratifiedKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from sklearn.utils.validation import validate_data
from threadpoolctl import threadpool_limits

from models.uplift import (
    ResponseLearner,
    SLearner,
    TLearner,
    UpliftLearner,
    XLearner,
    auuc,
    campaign_effects,
    compare_rankings,
    effect,
    learn_targeting,
    qini,
    qini_curve,
    together,
)
from models.uplift.campaigns import of_counts


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with threadpool_limits(limits=1):
        yield


def campaign(people: int, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """The first feature moves the effect, the second the outcome; half are treated."""
    random = np.random.default_rng(seed)
    X = random.normal(size=(people, 3))  # noqa: N806
    treated = random.random(people) < 0.5
    change = 0.25 * (X[:, 0] > 0)
    base = 0.1 + 0.2 * (X[:, 1] > 0)
    y = (random.random(people) < base + change * treated).astype(float)
    return X, y, treated, change


@pytest.mark.parametrize("learner", [SLearner(), TLearner(), XLearner()])
def test_learners_find_whom_a_campaign_changes(learner: UpliftLearner) -> None:
    X, y, treated, _ = campaign(6000, 0)  # noqa: N806
    fresh, later, group, change = campaign(4000, 1)
    said = clone(learner).fit(X, y, treated).predict(fresh)
    assert np.corrcoef(said, change)[0, 1] > 0.7
    response = ResponseLearner().fit(X, y, treated).predict(fresh)
    assert qini(said, later, group) > qini(response, later, group)


@pytest.mark.parametrize("learner", [SLearner(), TLearner(), XLearner(), ResponseLearner()])
def test_a_fit_must_know_who_was_treated(learner: UpliftLearner) -> None:
    X, y, treated, _ = campaign(50, 0)  # noqa: N806
    for wrong in (None, treated[:10], np.ones(50, dtype=bool)):
        with pytest.raises(ValueError, match=r"treated|control"):
            clone(learner).fit(X, y, wrong)


class Drawn:
    """Says by the data who was treated and what came, as the contract's checks do not."""

    def fit(self, X, y, treated=None):  # noqa: N803
        if treated is None and np.shape(X)[1:] != (0,) and not hasattr(X, "tocsr"):
            X, y = validate_data(self, X, y, ensure_all_finite="allow-nan", dtype=float)  # noqa: N806
            treated = X[:, 0] > np.nanmedian(X[:, 0]) if len(X) > 1 else np.zeros(1, dtype=bool)
            y = (y > np.median(y)).astype(float)
        return super().fit(X, y, treated=treated)


class DrawnS(Drawn, SLearner):
    pass


class DrawnT(Drawn, TLearner):
    pass


class DrawnX(Drawn, XLearner):
    pass


class DrawnResponse(Drawn, ResponseLearner):
    pass


@pytest.mark.parametrize("learner", [DrawnS, DrawnT, DrawnX, DrawnResponse])
def test_the_contract_of_estimators_is_kept_once_it_is_known_who_was_treated(learner) -> None:
    check_estimator(learner(max_iter=5), on_skip=None)


def test_only_not_knowing_who_was_treated_breaks_the_contract() -> None:
    """The checks fit with X and y alone, which no learner of effects can do: it says so."""
    results = check_estimator(SLearner(max_iter=5), on_fail=None, on_skip=None)
    failed = {
        str(each["check_name"]): str(each["exception"])
        for each in results
        if each["status"] == "failed"
    }
    other = {"check_positive_only_tag_during_fit", "check_fit2d_1feature"}  # of messages alone
    assert all("who was treated" in why or check in other for check, why in failed.items())
    assert sum(each["status"] == "passed" for each in results) >= 15


def test_a_pipeline_hands_on_who_was_treated() -> None:
    X, y, treated, _ = campaign(2000, 6)  # noqa: N806
    with sklearn.config_context(enable_metadata_routing=True):
        learner = TLearner(max_iter=20).set_fit_request(treated=True)
        made = make_pipeline(StandardScaler(), learner).fit(X, y, treated=treated)
    assert made.predict(X).shape == (2000,)
    assert made[-1].get_metadata_routing().fit.requests == {"treated": True}


def test_the_qini_curve_is_what_its_definition_says() -> None:
    score = np.array([4.0, 3.0, 2.0, 1.0])
    y = np.array([1.0, 1.0, 0.0, 1.0])
    treated = np.array([True, False, True, False])
    expected = [0.0, 1.0, 1 - 1 * 1 / 1, 1 - 1 * 2 / 1, 1 - 2 * 2 / 2]
    assert qini_curve(score, y, treated).tolist() == expected
    uplift = [0.0, 0.0, (1 - 1) * 2, (1 / 2 - 1) * 3, (1 / 2 - 1) * 4]
    assert auuc(score, y, treated) == pytest.approx(np.trapezoid(uplift) / 16)


def test_the_best_order_scores_1_and_chance_0() -> None:
    _, y, treated, _ = campaign(3000, 2)
    best = np.where(treated, y, -y)
    assert qini(best, y, treated) == pytest.approx(1.0)
    assert qini(np.zeros(3000), y, treated) == pytest.approx(0.0, abs=1e-12)


def test_people_of_equal_score_may_stand_in_any_order() -> None:
    X, y, treated, _ = campaign(2000, 3)  # noqa: N806
    score = (X[:, 0] > 0).astype(float)
    order = np.random.default_rng(0).permutation(2000)
    assert qini(score, y, treated) == pytest.approx(qini(score[order], y[order], treated[order]))
    assert auuc(score, y, treated) == pytest.approx(auuc(score[order], y[order], treated[order]))


def test_an_interval_tells_a_real_ranking_from_chance() -> None:
    X, y, treated, change = campaign(4000, 4)  # noqa: N806
    scores = {"effect": change, "nothing": X[:, 2]}
    told = compare_rankings(scores, y, treated, resamples=60)
    assert told["gains"]["effect over nothing"][0] > 0
    low, high = told["rankings"]["nothing"]["qini_interval"]
    assert low < 0 < high


def test_groups_that_were_treated_alike_differ_about_once_in_twenty() -> None:
    random = np.random.default_rng(5)
    y = (random.random(2000) < 0.1).astype(float)
    rejected = [effect(y, random.permutation(2000) < 1000).p_value < 0.05 for _ in range(4000)]
    assert 0.04 <= np.mean(rejected) <= 0.06


def company(people: int = 3000) -> duckdb.DuckDBPyConnection:
    """Two campaigns; a tenth of the people held out of each; who buys often is moved by them."""
    random = np.random.default_rng(7)
    con = duckdb.connect()
    con.execute("create table campaigns (campaign_id varchar, campaign_name varchar)")
    con.execute("insert into campaigns values ('k1', 'One'), ('k2', 'Two')")
    touched, orders = [], []
    for number in range(people):
        customer, often = f"C{number:05d}", number % 2
        for day in random.integers(0, 300, 1 + 5 * often):
            orders.append((customer, date(2025, 1, 1) + timedelta(days=int(day))))
        for campaign_id, start in (("k1", date(2026, 1, 10)), ("k2", date(2026, 4, 10))):
            held_out = random.random() < 0.2
            kind = "held_out" if held_out else "email_sent"
            touched.append((campaign_id, customer, kind, start))
            if random.random() < 0.15 + 0.3 * often * (not held_out):
                orders.append((customer, start + timedelta(days=int(random.integers(0, 14)))))
    con.execute(
        "create table touchpoints (campaign_id varchar, customer_id varchar, kind varchar,"
        " occurred_at timestamp)"
    )
    con.register("_touched", pl.DataFrame(touched, orient="row").to_arrow())
    con.execute("insert into touchpoints from _touched")
    con.register(
        "_orders",
        pl.DataFrame(orders, schema=["customer_id", "order_date"], orient="row").to_arrow(),
    )
    con.execute(
        "create table orders as select *, 'shop' as source, 1::varchar as order_id,"
        " true as is_order, 10.0 as reporting_net_amount from _orders"
    )
    con.execute(
        "create table interactions as select customer_id, '' as kind, order_date as"
        " interaction_date from orders limit 0"
    )
    con.execute(
        "create table customer_profiles as select distinct customer_id, customer_id > 'C00100' as"
        " is_contactable_email from orders"
    )
    return con


def test_a_campaign_is_measured_against_who_was_held_out_and_the_days_before() -> None:
    con = company()
    found = campaign_effects(con, date(2026, 6, 30), 14)
    assert [each.campaign_id for each in found] == ["k2", "k1"]
    newest = found[0]
    sent = con.execute(
        "select count(distinct customer_id) from touchpoints where campaign_id = 'k2'"
        " and kind = 'email_sent'"
    ).fetchall()[0][0]
    assert (newest.treated, newest.treated + newest.held_out) == (sent, 3000)
    assert newest.effect.low < 0.15 < newest.effect.high
    assert newest.effect.p_value < 0.001
    assert newest.before.p_value > 0.01, "before it began, chance alone told them apart"
    both = together([each.effect for each in found], [each.held_out for each in found])
    assert both is not None
    assert both.standard_error < newest.effect.standard_error
    assert campaign_effects(con, date(2026, 4, 20), 14)[0].campaign_id == "k1", "k2 is not over"
    assert together([], []) is None


def test_small_control_groups_do_not_tell_differences_that_are_none() -> None:
    """Groups alike, as few held out as campaigns have and rare orders: at most one in twenty."""
    random = np.random.default_rng(8)
    for rate in (0.01, 0.03, 0.1):
        drawn = zip(random.binomial(500, rate, 3000), random.binomial(55, rate, 3000), strict=True)
        told = [of_counts(int(a), 500, int(b), 55).p_value < 0.05 for a, b in drawn]
        assert np.mean(told) <= 0.06, rate


def test_who_was_held_out_and_reached_all_the_same_counts_as_held_out() -> None:
    con = company(400)
    before = campaign_effects(con, date(2026, 6, 30), 14)[0]
    con.execute(
        "insert into touchpoints select campaign_id, customer_id, 'email_sent', occurred_at"
        " from touchpoints where kind = 'held_out' limit 10"
    )
    after = campaign_effects(con, date(2026, 6, 30), 14)[0]
    assert (after.held_out, after.treated) == (before.held_out, before.treated)


def test_whom_to_write_to_is_told_where_a_ranking_holds_and_only_there() -> None:
    con = company()
    found = learn_targeting(con, date(2026, 6, 30), 14)
    assert found.outcome in ("ranked", "no_better_than_response")
    assert found.curves is not None
    assert found.curves["uplift"][0] == 0
    assert found.curves["uplift"][-1] == found.curves["response"][-1]
    assert found.ranked is not None
    best = found.ranked.head(500)["customer_id"].str.tail(1).cast(pl.Int32) % 2
    assert best.mean() > 0.9, "who buys often is moved"
    assert min(found.ranked["customer_id"]) > "C00100", "who may not be written to is left out"
    few = learn_targeting(company(200), date(2026, 6, 30), 14)
    assert (few.outcome, few.ranked) == ("too_few", None)


def test_an_effect_has_the_interval_of_two_rates() -> None:
    y = np.repeat([1.0, 0.0, 1.0, 0.0], [30, 70, 20, 80])
    found = effect(y, np.repeat([True, False], 100))
    error = np.sqrt(0.3 * 0.7 / 100 + 0.2 * 0.8 / 100)
    assert found.effect == pytest.approx(0.1)
    assert found.standard_error == pytest.approx(error)
    assert (found.low, found.high) == pytest.approx(
        (0.1 - 1.959964 * error, 0.1 + 1.959964 * error)
    )


@pytest.mark.full
def test_hillstrom_womens_mail_is_ranked_above_chance_beside_rule_and_response(
    shared_data: Path,
) -> None:
    frame = pl.read_csv(shared_data / "hillstrom" / "hillstrom.csv", infer_schema_length=None)
    frame = frame.filter(pl.col("segment").is_in(["Womens E-Mail", "No E-Mail"]))
    y = frame["visit"].to_numpy().astype(float)
    treated = (frame["segment"] == "Womens E-Mail").to_numpy()
    features = frame.drop("segment", "visit", "conversion", "spend", "history_segment")
    X = features.with_columns(  # noqa: N806
        (pl.col(pl.String).rank("dense") - 1).cast(pl.Float64)
    ).to_numpy()
    folds = StratifiedKFold(5, shuffle=True, random_state=0)
    found = []
    for known, held in folds.split(X, 2 * treated + y):
        said = XLearner().fit(X[known], y[known], treated[known]).predict(X[held])
        found.append(qini(said, y[held], treated[held]))
    assert np.mean(found) >= 0.06
