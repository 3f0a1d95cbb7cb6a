"""Buyers get a score when the past allows one, the better of rule and learned, with its reasons."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta

import duckdb
import numpy as np
import polars as pl
import pytest

from models.registry import Registry
from models.value import reason_sentence, score_customers, value_what_if
from models.value.forecast import (
    CellMeans,
    Forecast,
    calibrate,
    fit_estimate,
    last_year,
    levelled,
)
from models.value.histories import day_number, prepare_purchase_days, read_window
from models.value.score import opened
from models.value.training import _choose_spend, _pick_season, intervals_of, train
from models.value.words import _VERDICTS, model_card, verdict_sentence
from tests.models.value import online_retail

NOW = datetime(2026, 11, 21, tzinfo=UTC)
START = date(2023, 1, 2)
AS_OF = date(2025, 6, 30)
COLUMNS = [
    "customer_id",
    "as_of",
    "horizon_days",
    "expected_orders",
    "order_probability",
    "lapse_probability",
    "expected_value",
    "expected_value_low",
    "expected_value_high",
    "reasons",
    "estimator_version",
]


def invented_orders(customers: int = 700, *, seed: int = 5, until: date = AS_OF) -> pl.DataFrame:
    """Two and a half years of orders; December is busy, and some customers stop."""
    rng = np.random.default_rng(seed)
    days = (until - START).days
    rows = []
    for number in range(customers):
        day = int(rng.uniform(0, days))
        pace, price, stop = rng.gamma(1.2, 1 / 50), rng.gamma(4, 12), rng.beta(1, 6)
        while day <= days:
            on = START + timedelta(days=day)
            rows.append((f"c{number:05}", on, round(float(rng.gamma(6, price / 6)) + 1, 2)))
            if rng.random() < stop:
                break
            wait = rng.exponential(1 / pace)
            day += 1 + int(wait * (0.5 if on.month in (10, 11) else 1))
    return pl.DataFrame(
        {
            "customer_id": [row[0] for row in rows],
            "order_date": [row[1] for row in rows],
            "status": ["completed"] * len(rows),
            "is_order": [True] * len(rows),
            "reporting_net_amount": [row[2] for row in rows],
        }
    )


def work_database(orders: pl.DataFrame) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 1})
    con.execute("create schema marts")
    con.register("given", orders.to_arrow())
    con.execute("""
        create table marts.orders as
        select * replace (reporting_net_amount::decimal(18, 4) as reporting_net_amount) from given
    """)
    return con


def scores(con: duckdb.DuckDBPyConnection) -> list[tuple]:
    return con.execute("select * from scores.customer_scores order by customer_id").fetchall()


def score(con, folder, as_of=AS_OF, **options):
    return score_customers(con, as_of=as_of, artifacts_dir=folder, now=NOW, **options)


@pytest.fixture(scope="module")
def invented():
    return invented_orders()


@pytest.fixture(scope="module")
def scored(invented, tmp_path_factory):
    folder = tmp_path_factory.mktemp("artifacts")
    con = work_database(invented)
    report = score(con, folder)
    return con, report, folder


def test_every_buyer_has_one_score_with_sound_numbers(scored, invented):
    con, report, _ = scored
    assert report.outcome in ("learned", "no_better_than_rule"), report.verdict
    assert report.scored == report.customers == invented["customer_id"].n_unique()
    assert [
        column[0] for column in con.execute("from scores.customer_scores").description
    ] == COLUMNS
    wrong = con.execute("""
        select count(*) from scores.customer_scores
        where not (order_probability between 0 and 1) or expected_orders < 0
            or abs(order_probability + lapse_probability - 1) > 1e-9 or expected_value < 0
            or expected_value_low > expected_value_high or not json_valid(reasons)
            or as_of <> date '2025-06-30' or horizon_days <> 91
    """).fetchall()
    assert wrong == [(0,)]


def test_the_same_orders_give_the_same_scores_in_any_order(scored, invented, tmp_path):
    con, report, _ = scored
    shuffled = work_database(invented.sample(fraction=1, shuffle=True, seed=3))
    again = score(shuffled, tmp_path)
    assert again.estimator_version == report.estimator_version
    assert scores(shuffled) == scores(con)


def test_what_was_learned_is_used_again_until_sunday_or_many_other_orders(invented, tmp_path):
    con = work_database(invented)
    first = score(con, tmp_path, as_of=date(2025, 6, 29))
    assert first.trained
    same_week = score(con, tmp_path, as_of=date(2025, 6, 30))
    assert not same_week.trained
    assert same_week.estimator_version == first.estimator_version
    con.execute("delete from marts.orders where order_date = date '2025-03-03'")
    of_others = score(con, tmp_path, as_of=date(2025, 6, 30))
    assert not of_others.trained
    assert of_others.scored <= first.scored
    con.execute("update marts.orders set reporting_net_amount = 1.1 * reporting_net_amount")
    assert score(con, tmp_path, as_of=date(2025, 6, 30)).trained


def test_a_day_past_gets_its_own_estimator_which_does_not_serve(scored, invented):
    _, report, folder = scored
    con = work_database(invented)
    past = score(con, folder, as_of=date(2025, 3, 31))
    assert past.trained
    assert past.estimator_version != report.estimator_version
    assert Registry(folder).served("customer_value").version == report.estimator_version


def test_newer_orders_are_learned_by_the_method_that_serves_and_old_scores_come_back(
    invented, tmp_path
):
    con = work_database(invented)
    first = score(con, tmp_path, as_of=date(2025, 6, 22))
    old = scores(con)
    second = score(con, tmp_path, as_of=date(2025, 6, 29))
    registry = Registry(tmp_path)
    assert [one.code for one in registry.decisions("customer_value")] == [
        "nothing_served",
        "same_method",
    ]
    assert second.estimator_version != first.estimator_version
    registry.promote("customer_value", first.estimator_version, reason="back", now=NOW)
    assert not score(con, tmp_path, as_of=date(2025, 6, 22)).trained
    assert scores(con) == old
    registry.retire("customer_value", reason="wrong prices", now=NOW)
    retired = score(con, tmp_path, as_of=date(2025, 6, 29))
    assert (retired.outcome, retired.trained, scores(con)) == ("retired", False, [])
    asked = score(con, tmp_path, as_of=date(2025, 6, 29), retrain=True)
    assert (asked.outcome, asked.trained, scores(con)) == ("retired", True, [])
    decided = registry.decisions("customer_value")[-1]
    assert (decided.decision, decided.code) == ("kept_back", "retired")
    registry.promote("customer_value", second.estimator_version, reason="mended", now=NOW)
    assert score(con, tmp_path, as_of=date(2025, 6, 29)).scored == second.scored


def test_another_method_serves_only_when_it_is_better_by_more_than_its_noise(
    invented, monkeypatch, tmp_path
):
    import models.value.training as training

    con = work_database(invented)
    first = score(con, tmp_path, as_of=date(2025, 6, 22))
    method = Registry(tmp_path).served("customer_value").metadata["method"]
    other = "last_year" if method != "last_year" else "cell_means"
    monkeypatch.setattr(training, "_choose", lambda _: (other, "no_better_than_rule"))
    again = score(con, tmp_path, as_of=date(2025, 6, 29))
    decided = Registry(tmp_path).decisions("customer_value")[-1]
    assert (decided.decision, decided.code) == ("kept_back", "no_better")
    assert -decided.values["change"] <= decided.values["noise"]
    assert "erreur quadratique de commandes" in decided.why("fr")
    assert again.trained
    assert again.estimator_version == first.estimator_version
    assert not score(con, tmp_path, as_of=date(2025, 6, 29)).trained

    def poor(past):
        said = training.last_year(past)
        return type(said)(said.orders + 3, said.value, said.probability)

    monkeypatch.setattr("models.value.training.CellMeans.forecast", lambda _, past: poor(past))
    monkeypatch.setattr(training, "_choose", lambda _: ("cell_means", "no_better_than_rule"))
    worse = score(con, tmp_path, as_of=date(2025, 6, 29), retrain=True)
    assert worse.estimator_version == first.estimator_version


def test_what_comes_after_the_day_looked_from_changes_nothing(invented, tmp_path):
    as_of = date(2025, 3, 30)
    known = work_database(invented.filter(pl.col("order_date") <= as_of))
    everything = work_database(invented)
    score(known, tmp_path / "known", as_of=as_of)
    score(everything, tmp_path / "everything", as_of=as_of)
    assert scores(known) == scores(everything)


def test_a_damaged_artifact_is_learned_anew(invented, tmp_path):
    con = work_database(invented)
    first = score(con, tmp_path)
    before = scores(con)
    file = tmp_path / "customer_value" / first.estimator_version / "estimator.skops"
    file.write_bytes(b"no skops")
    again = score(con, tmp_path)
    assert again.trained
    assert (again.estimator_version, scores(con)) == (first.estimator_version, before)


def test_reasons_of_the_learned_score_sum_to_its_logit(invented):
    con = work_database(invented)
    prepare_purchase_days(con, AS_OF)
    window = read_window(con, day_number(AS_OF), 91)
    past = read_window(con, day_number(AS_OF) - 364, 91)
    estimate = fit_estimate(window, (past, fit_estimate(past)))
    shares, base = estimate.contributions(window.histories, 91)
    probability = estimate.forecast(window).probability
    logit = np.log(probability / (1 - probability))
    assert shares.sum(axis=1) + base == pytest.approx(logit, abs=1e-9)
    often = window.orders >= 8
    assert (shares[often, 0] > 0).mean() > 0.9


def test_stored_reasons_read_as_sentences(scored):
    con, _, _ = scored
    reasons = json.loads(
        con.execute("select reasons from scores.customer_scores where reasons <> '[]'").fetchall()[
            0
        ][0]
    )
    for reason in reasons:
        assert set(reason) == {"feature", "value", "contribution"}
        assert "odds ×" in reason_sentence(reason, "en")
        assert "cote ×" in reason_sentence(reason, "fr")


@pytest.mark.parametrize(
    ("outcome", "orders"),
    [
        ("no_orders", pl.DataFrame(schema=invented_orders(2).schema)),
        ("too_few_repeat_buyers", invented_orders(40)),
        ("no_amounts", invented_orders(400).with_columns(reporting_net_amount=pl.lit(0.0))),
        ("nothing_new", invented_orders(200, until=date(2025, 2, 1))),
        (
            "too_short_to_test",
            invented_orders(600).filter(pl.col("order_date") > date(2025, 2, 15)),
        ),
    ],
)
def test_a_company_whose_past_allows_no_score_is_told_why(outcome, orders, tmp_path):
    con = work_database(orders)
    report = score(con, tmp_path)
    assert (report.outcome, report.scored, scores(con)) == (outcome, 0, [])
    assert report.verdict.startswith("no value score")
    assert not (tmp_path / "customer_value").exists()


def test_a_learned_score_that_does_not_beat_the_rules_does_not_serve(invented, monkeypatch):
    import models.value.training as training

    con = work_database(invented)
    prepare_purchase_days(con, AS_OF)
    best = training.last_year

    def oracle(past):
        said = best(past)
        return type(said)(past.later_orders, past.later_revenue, past.later_orders / 1e3)

    monkeypatch.setattr(training, "last_year", oracle)
    decided = train(lambda day, since: read_window(con, day, 91, since), day_number(AS_OF), 91)
    assert (decided.outcome, decided.method) == ("no_better_than_rule", "last_year")
    assert decided.estimate is None
    said = decided.cells.forecast(read_window(con, day_number(AS_OF), 91))
    assert ((said.probability >= 0) & (said.probability <= 1)).all()


@pytest.mark.parametrize("method", ["cell_means", "last_year"])
def test_the_rule_serves_with_a_reason_each(invented, monkeypatch, tmp_path, method):
    import models.value.training as training

    monkeypatch.setattr(training, "_choose", lambda _: (method, "no_better_than_rule"))
    con = work_database(invented)
    report = score(con, tmp_path)
    assert report.outcome == "no_better_than_rule"
    assert report.scored == report.customers
    assert score(con, tmp_path).trained is False
    reasons = json.loads(scores(con)[0][COLUMNS.index("reasons")])
    assert reason_sentence(reasons[0], "en").startswith("Of similar customers")


def test_a_history_of_twice_the_horizon_is_enough(invented, tmp_path):
    cut = date(2025, 6, 29)
    young = invented.filter(pl.col("order_date") >= cut - timedelta(days=2 * 91))
    report = score(work_database(young), tmp_path, as_of=cut)
    assert report.outcome in ("learned", "no_better_than_rule")
    assert len(report.evaluation["tests"]) == 1
    assert report.scored == report.customers


def test_a_card_says_when_the_data_do_not_pin_the_parameters_down(scored):
    _, _, folder = scored
    artifact = Registry(folder).served("customer_value")
    facts = {**artifact.metadata, "evaluation": artifact.evaluation, "is_identified": False}
    assert "do not pin all parameters down" in model_card(facts, "en")
    assert "ne fixent pas tous les paramètres" in model_card(facts, "fr")


def test_calibration_leaves_a_true_probability_and_mends_a_false_one():
    rng = np.random.default_rng(0)
    truth = rng.uniform(0.05, 0.95, 20_000)
    came = rng.random(20_000) < truth
    slope, shift = calibrate(truth, came)
    assert (slope, shift) == pytest.approx((1, 0), abs=0.05)
    logits = np.log(truth / (1 - truth))
    slope, shift = calibrate(1 / (1 + np.exp(-(2 * logits + 1))), came)
    assert (slope, shift) == pytest.approx((0.5, -0.5), abs=0.05)


def test_boosted_trees_divide_the_spend_and_keep_its_total(invented, tmp_path, monkeypatch):
    import models.value.training as training

    monkeypatch.setattr(training, "_choose", lambda _: ("learned", "learned"))
    monkeypatch.setattr(training, "_choose_spend", lambda tests: ("boosted", choose_spend(tests)))

    def choose_spend(tests):
        assert all("boosted" in test["methods"] for test in tests)
        return {"boosted": 1.0, "forecast": 2.0, "cell_means": 3.0, "last_year": 4.0}

    con = work_database(invented)
    report = score(con, tmp_path, as_of=date(2025, 6, 29))
    artifact = Registry(tmp_path).served("customer_value")
    assert artifact.metadata["spend"] == "boosted"
    assert "boosted trees over the forecast" in report.verdict
    told = dict(
        con.sql("select customer_id, expected_value from scores.customer_scores").fetchall()
    )
    prepare_purchase_days(con, AS_OF)
    window = read_window(con, day_number(date(2025, 6, 29)), 91)
    served = opened(artifact).estimate
    plain = replace(served, boosted=None).forecast(window).value
    assert sum(told.values()) == pytest.approx(plain.sum(), rel=1e-6)
    assert np.abs(np.array([told[each] for each in window.customer_id]) - plain).max() > 1


def test_boosted_trees_serve_where_they_came_nearer_on_each_day():
    def day(forecast, boosted):
        off = {"learned": forecast, "boosted": boosted, "cell_means": 9.0, "last_year": 8.0}
        return {"methods": {name: {"revenue_rmse": value} for name, value in off.items()}}

    assert _choose_spend([day(5, 4), day(5, 4)])[0] == "boosted"
    assert _choose_spend([day(5, 4), day(5, 5.1)])[0] == "forecast"
    assert _choose_spend([day(9.5, 9), day(9.5, 9)])[0] == "forecast", "last year came nearer"


def test_four_in_five_were_within_the_interval(invented):
    con = work_database(invented)
    prepare_purchase_days(con, AS_OF)
    past = read_window(con, day_number(AS_OF) - 91, 91)
    said = fit_estimate(past).forecast(past)
    at, low, high = intervals_of([(past, said)])
    inside = (past.later_revenue >= np.interp(said.value, at, low)) & (
        past.later_revenue <= np.interp(said.value, at, high)
    )
    assert inside.mean() == pytest.approx(0.8, abs=0.15)
    assert inside.mean() >= 0.78


def test_rules_read_the_year_and_the_cell(invented):
    con = work_database(invented)
    prepare_purchase_days(con, AS_OF)
    window = read_window(con, day_number(AS_OF) - 91, 91)
    year = last_year(window)
    assert year.orders.sum() == pytest.approx(window.year_orders.sum() * 91 / 365)
    cells = CellMeans.learn(window)
    said = cells.forecast(window)
    assert said.orders.sum() == pytest.approx(window.later_orders.sum(), rel=0.05)


def test_like_customers_tell_the_season_where_a_year_before_is_short():
    """Sixty days were known a year before: no forecast of then, but customers to compare."""
    cut = date(2024, 12, 29)
    begun = cut - timedelta(days=364 + 60)
    con = work_database(invented_orders(2000).filter(pl.col("order_date") >= begun))
    prepare_purchase_days(con, AS_OF)
    now, past = (read_window(con, day_number(cut) - back, 91) for back in (0, 364))
    recent = read_window(con, now.cut, 91, now.cut - past.days_known())
    assert 0 < len(recent) < len(now)
    plain = fit_estimate(now)
    told = levelled(plain, now, past, recent)
    came = now.later_orders.sum()
    before, after = (each.forecast(now) for each in (plain, told))
    assert abs(after.orders.sum() / came - 1) < abs(before.orders.sum() / came - 1)
    off = [np.square(each.probability - (now.later_orders > 0)).mean() for each in (before, after)]
    assert off[1] < off[0]


def test_the_season_that_came_nearer_is_picked(invented):
    con = work_database(invented)
    prepare_purchase_days(con, AS_OF)
    window = read_window(con, day_number(AS_OF) - 91, 91)
    right = Forecast(window.later_orders, window.later_revenue, window.later_orders)
    wrong = Forecast(2 * right.orders, right.value, right.probability)
    said = {"last_year": [wrong], "like_customers": [right]}
    assert _pick_season([window], said)[0] == "like_customers"
    said = {"last_year": [right], "like_customers": [wrong]}
    assert _pick_season([window], said) == (
        "last_year",
        {"last_year": 0.0, "like_customers": pytest.approx(np.sqrt(np.log(2) ** 2 / 2), abs=0.01)},
    )


def test_returns_and_other_orders_of_the_day_are_one_purchase_day():
    rows = pl.DataFrame(
        {
            "customer_id": ["a", "a", "a", "a", None],
            "order_date": [date(2025, 1, day) for day in (1, 1, 9, 31, 1)],
            "status": ["completed", "completed", "cancelled", "returned", "completed"],
            "is_order": [True, True, False, False, True],
            "reporting_net_amount": [10.0, 5.0, 7.0, -4.0, 9.0],
        }
    )
    con = work_database(rows)
    prepare_purchase_days(con, AS_OF)
    window = read_window(con, day_number(date(2025, 1, 30)), 31)
    assert (window.orders.tolist(), window.revenue.tolist()) == ([1.0], [15.0])
    assert (window.later_orders.tolist(), window.later_revenue.tolist()) == ([0.0], [-4.0])


def test_verdicts_and_cards_are_written_in_both_languages(scored):
    _, report, folder = scored
    artifact = Registry(folder).served("customer_value")
    facts = {**artifact.metadata, "evaluation": artifact.evaluation}
    assert "| 2025-03-30 | learned |" in model_card(facts, "en")
    assert "| 2025-03-30 | appris |" in artifact.card("fr")
    assert "- **Season**: what " in model_card(facts, "en")
    assert "- **Saison** : ce " in artifact.card("fr")
    for outcome in _VERDICTS:
        assert "{" not in verdict_sentence(outcome, facts, "fr")
        assert verdict_sentence(outcome, facts, "fr") != verdict_sentence(outcome, facts, "en")
    assert verdict_sentence(report.outcome, facts, "en") == report.verdict


def test_one_year_of_online_retail_is_foretold_better_than_by_the_rules(shared_data):
    con = online_retail.orders(shared_data, both_years=False)
    prepare_purchase_days(con, date(2010, 12, 9))
    decided = train(
        lambda day, since: read_window(con, day, 91, since), day_number(date(2010, 12, 9)), 91
    )
    assert decided.outcome == "learned"
    assert not any(test["has_season"] for test in decided.evaluation["tests"])
    learned, cells, year = (
        decided.evaluation["mean"][method] for method in ("learned", "cell_means", "last_year")
    )
    assert learned["orders_rmse"] < min(cells["orders_rmse"], year["orders_rmse"])
    assert learned["auc"] >= 0.73


@pytest.mark.full
@pytest.mark.parametrize(("horizon", "rmse", "auc"), [(91, 1.13, 0.80), (182, 1.76, 0.81)])
def test_both_years_of_online_retail_are_foretold(shared_data, horizon, rmse, auc):
    """Of the totals all but one come within 5 %: revenue 182 days ahead on 13 May, off by 6.5 %."""
    con = online_retail.orders(shared_data, both_years=True)
    end = date(2011, 12, 9)
    prepare_purchase_days(con, end)
    decided = train(
        lambda day, since: read_window(con, day, horizon, since), day_number(end), horizon
    )
    assert decided.outcome == "learned"
    tests = [test["methods"]["learned"] for test in decided.evaluation["tests"]]
    assert len(tests) == 3
    assert all(test["orders_rmse"] <= rmse for test in tests)
    assert tests[0]["auc"] >= auc
    assert all(test["auc"] >= auc - 0.003 for test in tests)
    assert all(abs(test["orders_total_off"]) <= 0.05 for test in tests)
    revenue = sorted(abs(test["revenue_total_off"]) for test in tests)
    assert revenue[1] <= 0.05
    assert revenue[2] <= (0.05 if horizon == 91 else 0.066)


@pytest.mark.parametrize("method", ["learned", "cell_means"])
def test_another_history_of_a_customer_is_tried_on_what_serves(
    invented, monkeypatch, tmp_path, method
):
    import models.value.training as training

    monkeypatch.setattr(training, "_choose", lambda _: (method, "no_better_than_rule"))
    con = work_database(invented)
    score(con, tmp_path)
    artifact = Registry(tmp_path).served("customer_value")
    customer = con.sql(
        "select customer_id from marts.orders group by all having count(distinct order_date) = 3"
        " order by max(order_date), customer_id limit 1"
    ).fetchall()[0][0]
    orders = con.sql("from marts.orders where customer_id = ?", params=[customer]).pl()
    asked = value_what_if(opened(artifact), orders, AS_OF)
    as_is = asked.tell({})
    told = dict(zip(COLUMNS, next(row for row in scores(con) if row[0] == customer), strict=True))
    assert as_is.probability == told["order_probability"]
    assert as_is.figures == {name: told[name] for name in as_is.figures}
    if method == "learned":
        assert as_is.reasons == json.loads(told["reasons"])
    levers = {lever.name: lever for lever in asked.levers}
    assert levers["order_days_count"].value == 3
    assert all(lever.low <= lever.value <= lever.high for lever in asked.levers)
    often = asked.tell({"order_days_count": 20.0, "days_since_last_order": 5.0})
    assert often.probability > as_is.probability
    assert often.figures["expected_orders"] > as_is.figures["expected_orders"]
    assert asked.tell({}) == as_is
    if method == "learned":
        dear = asked.tell({"mean_order_value": 10 * levers["mean_order_value"].value})
        assert dear.figures["expected_value"] > 2 * as_is.figures["expected_value"]
        assert dear.probability == as_is.probability
        once = asked.tell({"order_days_count": 1.0, "days_since_first_order": 900.0})
        assert {reason["value"] for reason in once.reasons} <= {
            1,
            levers["days_since_last_order"].value,
        }  # fmt: skip, one order is the first and the last


def test_last_years_orders_have_no_history_to_change(scored, invented):
    _, _, folder = scored
    artifact = Registry(folder).served("customer_value")
    by_year = replace(artifact, metadata=artifact.metadata | {"method": "last_year"})
    orders = invented.filter(pl.col("customer_id") == "c00001")
    assert value_what_if(opened(by_year), orders, AS_OF) is None
    assert value_what_if(opened(artifact), orders.clear(), AS_OF) is None
