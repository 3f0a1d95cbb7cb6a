"""A propensity learns from days past only, serves if it deserves to, and scores by one SELECT."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from cohorte.clock import now
from cohorte.errors import CohorteError, NotFoundError, SettingsError
from cohorte.i18n import format_percent
from cohorte.segments import Population, describe, load_catalogue, members, parse_rule
from models.asof import CustomersAt
from models.monitoring import History
from models.propensity import (
    Propensity,
    add_to_profiles,
    create_table,
    find_propensity,
    name_of_file,
    read_propensities,
    reason_sentence,
    score_propensity,
    train_propensity,
    verdict_sentence,
    write_propensity,
)
from models.propensity.score import SCHEMA, Served, compare, opened, what_if
from models.propensity.screening import too_good
from models.propensity.training import Day, read_examples, step_of, train
from models.propensity.words import model_card
from models.registry import Registry
from models.whatif import MOST_LEVERS
from tests.models.propensity.invented import AS_OF, FEATURES_SQL, work_database

REORDER: dict[str, Any] = {
    "propensity": "reorder",
    "name": {"en": "Will order again", "fr": "Va recommander"},
    "who": {"all": [{"field": "lifetime_orders_count", "op": "greater_or_equal", "value": 1}]},
    "will": {"all": [{"field": "last_order_date", "op": "within_days", "value": 60}]},
    "within_days": 60,
    "leave_out": ["spoiled"],
}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """Threads that wait for each other make small fits slow on a busy machine."""
    with threadpool_limits(limits=1):
        yield


def asked(**changes: Any) -> Propensity:
    return Propensity.model_validate(REORDER | changes)


@pytest.fixture(scope="module")
def con() -> Iterator[duckdb.DuckDBPyConnection]:
    with work_database() as connection:
        yield connection


@pytest.fixture
def customers(con: duckdb.DuckDBPyConnection) -> Iterator[CustomersAt]:
    at = CustomersAt(con, FEATURES_SQL, "UTC")
    yield at
    at.close()


@pytest.fixture(scope="module")
def registry(con: duckdb.DuckDBPyConnection, tmp_path_factory: pytest.TempPathFactory) -> Registry:
    """A registry in which the question was learned once, on AS_OF."""
    found = Registry(tmp_path_factory.mktemp("artifacts"))
    at = CustomersAt(con, FEATURES_SQL, "UTC")
    report = train_propensity(at, asked(), as_of=AS_OF, registry=found, now=now())
    at.close()
    assert report.is_promoted, report
    return found


def served(registry: Registry) -> Served:
    found = registry.usable("propensity_reorder", opened)
    assert found is not None
    return found


def today(con: duckdb.DuckDBPyConnection, day: date = AS_OF) -> str:
    at = CustomersAt(con, FEATURES_SQL, "UTC")
    return at.relation(day)


def test_nothing_dated_after_a_day_changes_what_is_learned_from_it(
    con: duckdb.DuckDBPyConnection,
) -> None:
    day = AS_OF - timedelta(days=200)

    def features(connection: duckdb.DuckDBPyConnection) -> list[Any]:
        at = CustomersAt(connection, FEATURES_SQL, "UTC")
        return connection.sql(f"from {at.relation(day)} order by customer_id").fetchall()

    before = features(con)
    with work_database() as other:
        other.execute("delete from marts.orders where order_date > ?", [day])
        assert features(other) == before
        other.execute(
            "insert into marts.orders select 'C00001', ?, 'web', true, null from range(50)",
            [day + timedelta(days=1)],
        )
        assert features(other) == before


def test_a_customer_not_known_yet_has_no_row(con: duckdb.DuckDBPyConnection) -> None:
    with work_database(20) as other:
        other.execute(
            "insert into marts.customers (customer_id, created_date)"
            " values ('new', ?), ('early', ?)",
            [AS_OF, AS_OF - timedelta(days=100)],
        )
        at = CustomersAt(other, FEATURES_SQL, "UTC")
        day = AS_OF - timedelta(days=60)
        found = {row[0] for row in other.sql(f"from {at.relation(day)}").fetchall()}
    assert "early" in found
    assert "new" not in found


def test_sql_that_does_not_hang_on_the_day_is_refused(con: duckdb.DuckDBPyConnection) -> None:
    with pytest.raises(CohorteError, match="hang on the day"):
        CustomersAt(con, "select 1", "UTC")


@pytest.mark.parametrize(("days", "step"), [(90, 45), (91, 91), (60, 60), (30, 30), (365, 73)])
def test_a_label_falls_on_a_day_that_is_read_anyway(days: int, step: int) -> None:
    assert step_of(days) == step
    assert days % step == 0


def test_many_customers_are_drawn_by_their_ids(
    customers: CustomersAt, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = read_examples(customers, asked(), AS_OF)
    assert whole.asked_of == sum(day.frame.height for day in whole.days)
    monkeypatch.setattr("models.propensity.training.MOST_ROWS", 60)
    some = read_examples(customers, asked(), AS_OF)
    assert [day.frame.height for day in some.days] == [60] * len(whole.days)
    assert some.asked_of == whole.asked_of
    for drawn, day in zip(some.days, whole.days, strict=True):
        assert drawn.frame.equals(day.frame.head(60))


def test_labels_are_what_came_after_the_day(customers: CustomersAt) -> None:
    examples = read_examples(customers, asked(), AS_OF)
    newest = examples.days[0]
    assert newest.day == AS_OF - timedelta(days=60)
    came = {
        row[0]
        for row in customers.con.execute(
            "select customer_id from marts.orders where order_date > ? and order_date <= ?",
            [newest.day, AS_OF],
        ).fetchall()
    }
    did = {
        customer
        for customer, label in zip(newest.frame["customer_id"], newest.did, strict=True)
        if label
    }
    assert did == came & set(newest.frame["customer_id"])
    assert all(
        earlier.day < later.day
        for later, earlier in zip(examples.days, examples.days[1:], strict=False)
    )


def test_the_chronological_test_learns_from_labels_known_by_the_day(
    customers: CustomersAt,
) -> None:
    examples = read_examples(customers, asked(), AS_OF)
    training = train(examples, asked())
    assert training.outcome in ("learned", "no_better_than_rule")
    assert training.evaluation["counts"] == "chronological"
    assert training.evaluation["learned"]["auc"] > 0.65
    assert training.evaluation["shuffled"]["auc"] > 0.65
    assert (
        training.evaluation["lift"][0]["precision"]
        > training.evaluation["base_rate"]["observed_rate"]
    )


def test_a_category_of_many_values_is_learned_from(customers: CustomersAt) -> None:
    examples = read_examples(customers, asked(), AS_OF)
    days = tuple(
        type(day)(
            day.day,
            day.frame.with_columns(
                favourite_channel=pl.col("customer_id").str.tail(1)
                + pl.int_range(pl.len()).mod(12).cast(pl.String)
            ),
            day.did,
        )
        for day in examples.days[:4]
    )
    training = train(type(examples)(days, examples.kinds, examples.step), asked())
    assert training.scorer is not None


def test_labels_that_mean_nothing_are_not_learned(customers: CustomersAt) -> None:
    examples = read_examples(customers, asked(), AS_OF)
    random = np.random.default_rng(0)
    days = tuple(
        type(day)(day.day, day.frame, random.permutation(day.did)) for day in examples.days
    )
    training = train(type(examples)(days, examples.kinds, examples.step), asked())
    assert abs(training.evaluation["learned"]["auc"] - 0.5) < 0.06


def test_a_feature_filled_after_the_outcome_is_left_out_with_its_reason() -> None:
    random = np.random.default_rng(0)
    did = random.random(2000) < 0.3
    frame = pl.DataFrame(
        {
            "closed_at": [1.0 if one else None for one in did],
            "call_seconds": np.where(did, 300, 20) + random.normal(0, 5, 2000),
            "reason": np.where(did, "won", "lost"),
            "honest": random.normal(size=2000) + did,
            "number": [f"N{n}" for n in range(2000)],
        }
    )
    kinds: dict[str, Any] = {
        "closed_at": "number", "call_seconds": "number", "reason": "category",
        "honest": "number", "number": "category",
    }  # fmt: skip
    assert set(too_good(frame, did, kinds)) == {"closed_at", "call_seconds", "reason"}
    assert set(too_good(frame, did, kinds, keep=("reason",))) == {"closed_at", "call_seconds"}


@pytest.mark.parametrize(
    ("changes", "outcome"),
    [
        ({"within_days": 400}, "too_short_to_test"),
        (
            {"will": {"all": [{"field": "lifetime_orders_count", "op": "greater", "value": 9999}]}},
            "too_few_positives",
        ),
        (
            {"will": {"all": [{"field": "lifetime_orders_count", "op": "greater", "value": 0}]}},
            "one_class",
        ),
    ],
)
def test_too_little_to_learn_from_is_a_stated_verdict(
    customers: CustomersAt, tmp_path: Path, changes: dict[str, Any], outcome: str
) -> None:
    registry = Registry(tmp_path)
    question = asked(**changes)
    report = train_propensity(customers, question, as_of=AS_OF, registry=registry, now=now())
    assert report.outcome == outcome
    assert report.version is None
    assert registry.names() == []


def test_a_rule_about_what_is_not_known_of_days_past_is_refused(customers: CustomersAt) -> None:
    for leaf, named in (
        ({"field": "rfm_segment", "op": "equals", "value": "champions"}, "rfm_segment"),
        ({"contactable": "email", "purpose": "marketing"}, "consents"),
        ({"segment": "loyal", "change": "entered", "last_days": 30}, "entered or left"),
    ):
        with pytest.raises(SettingsError, match=named):
            read_examples(customers, asked(will={"all": [leaf]}), AS_OF)


def test_a_behaviour_and_a_saved_segment_ask_what_fields_ask(customers: CustomersAt) -> None:
    """Ordered in the horizon, told by the field, by the behaviour and by a segment's rule."""
    by_field = read_examples(customers, asked(), AS_OF)
    behaviour = {"did": "ordered", "window": {"last_days": 60}}
    segments = {
        "buyers": parse_rule({"did": "ordered"}),
        "active": parse_rule({"all": [behaviour]}),
    }
    named = asked(who={"segment": "buyers"}, will={"all": [{"segment": "active"}]})
    for question in (asked(who={"did": "ordered"}, will=behaviour), named.with_segments(segments)):
        by_behaviour = read_examples(customers, question, AS_OF)
        for told, other in zip(by_field.days, by_behaviour.days, strict=True):
            assert told.frame["customer_id"].equals(other.frame["customer_id"])
            assert np.array_equal(told.did, other.did)
    with pytest.raises(SettingsError, match="buyers"):
        named.with_segments({})


def test_what_people_are_may_be_asked_and_is_no_feature(customers: CustomersAt) -> None:
    question = asked(who={"all": [{"field": "city", "op": "equals", "value": "Paris"}]})
    examples = read_examples(customers, question, AS_OF)
    assert "city" not in examples.kinds
    assert max(examples.days[0].frame["customer_id"]) < "C00250"


def test_a_second_order_and_what_follows_are_questions_too(customers: CustomersAt) -> None:
    twice = {"did": "ordered", "times": {"at_least": 2}, "window": {"last_days": 60}}
    examples = read_examples(customers, asked(will=twice), AS_OF)
    newest = examples.days[0]
    found = customers.con.execute(
        "select customer_id from marts.orders where order_date > ? and order_date <= ?"
        " group by customer_id having count(*) >= 2",
        [newest.day, AS_OF],
    ).fetchall()
    did = set(newest.frame["customer_id"].filter(pl.Series(newest.did)))
    assert did == {customer for (customer,) in found} & set(newest.frame["customer_id"])


def test_training_again_gives_the_same_version(customers: CustomersAt, registry: Registry) -> None:
    again = train_propensity(customers, asked(), as_of=AS_OF, registry=registry, now=now())
    assert again.version == served(registry).version
    assert "nothing new" in again.reason


def test_what_looks_from_an_earlier_day_or_has_no_later_outcome_does_not_serve(
    customers: CustomersAt, registry: Registry
) -> None:
    before = served(registry).version
    for days, reason in ((-20, "earlier day"), (7, "nothing to tell them apart")):
        day = AS_OF + timedelta(days=days)
        report = train_propensity(customers, asked(), as_of=day, registry=registry, now=now())
        assert not report.is_promoted
        assert reason in report.reason
    assert served(registry).version == before
    assert registry.decisions("propensity_reorder")[-1].decision == "kept_back"


@pytest.mark.parametrize(("noise", "is_better"), [(0.0, False), (0.02, False), (1.5, True)])
def test_a_challenger_serves_only_when_it_beats_the_champion_by_more_than_the_noise(
    registry: Registry, customers: CustomersAt, noise: float, is_better: bool
) -> None:
    champion = served(registry)
    day = AS_OF + timedelta(days=10)
    frame = customers.con.sql(f"from {customers.relation(day)}").pl()
    random = np.random.default_rng(3)
    truth = champion.scorer.decision_function(champion.encoder.encode(frame))
    truth = truth + noise * random.normal(size=len(truth))
    did = random.random(len(truth)) < 1 / (1 + np.exp(-truth))
    challenge = 1 / (1 + np.exp(-truth))
    promoted, reason = compare(champion, Day(day, frame, did), challenge)
    assert promoted == is_better, reason
    assert ("no better than" in reason.sentence("en")) != is_better
    assert reason.code == ("better" if is_better else "no_better")
    assert "score de Brier" in reason.sentence("fr")


def test_the_select_equals_the_estimator_and_its_reasons_sum(
    con: duckdb.DuckDBPyConnection, registry: Registry
) -> None:
    create_table(con)
    relation = today(con)
    report = score_propensity(
        con, asked(), as_of=AS_OF, registry=registry, time_zone="UTC", relation=relation
    )
    assert report.outcome == "scored"
    estimator = served(registry)
    rows = con.sql("from scores.propensity_scores order by customer_id").pl()
    frame = con.sql(
        f"select * from {relation} where lifetime_orders_count >= 1 order by customer_id"
    ).pl()
    assert rows["customer_id"].to_list() == frame["customer_id"].to_list()
    assert np.abs(rows["probability"].to_numpy() - estimator.probability(frame)).max() < 1e-8
    matrix = estimator.encoder.encode(frame)
    contributions = estimator.scorer.explain(matrix)
    for row in (0, 5, 17):
        told = json.loads(rows["reasons"][row])
        expected = sorted(contributions[row].tolist(), key=abs, reverse=True)[: len(told)]
        assert [one["contribution"] for one in told] == pytest.approx(expected, abs=1e-8)
    assert set(rows["estimator_version"]) == {estimator.version}


def test_scores_given_are_judged_once_their_horizon_is_over(
    con: duckdb.DuckDBPyConnection, registry: Registry
) -> None:
    create_table(con)
    score_propensity(
        con, asked(), as_of=AS_OF, registry=registry, time_zone="UTC", relation=today(con),
        keep_always=True,
    )  # fmt: skip
    later = AS_OF + timedelta(days=60)
    create_table(con)
    report = score_propensity(
        con, asked(), as_of=later, registry=registry, time_zone="UTC", relation=today(con, later)
    )
    found = {check.measure: check for check in report.checks}
    assert found["past_auc"].value > 0.6
    assert found["past_auc"].subject == AS_OF.isoformat()
    assert 0 <= found["score_drift"].value < 1
    assert found["coverage"].value == 1


def test_scores_that_moved_too_far_leave_the_ones_before(
    con: duckdb.DuckDBPyConnection, registry: Registry
) -> None:
    create_table(con)
    con.execute(f"create or replace temp table strange as from {today(con)}")
    con.execute("update strange set orders_count_90d = 40, days_since_last_order = 0")
    con.execute("update strange set lifetime_orders_count = 400")
    con.execute(f"create or replace temp table before ({SCHEMA})")
    con.execute("insert into before values ('reorder', 'C1', date '2026-01-01', 60, .5, '[]', 'x')")
    report = score_propensity(
        con, asked(), as_of=AS_OF, registry=registry, time_zone="UTC", relation="strange",
        scores_before="before",
    )  # fmt: skip
    assert report.outcome == "drifted"
    assert any(check.is_alert and check.measure == "score_drift" for check in report.checks)
    assert con.sql("select customer_id, as_of from scores.propensity_scores").fetchall() == [
        ("C1", date(2026, 1, 1))
    ]


def test_a_day_before_a_version_learned_is_not_scored_by_it(
    con: duckdb.DuckDBPyConnection, registry: Registry
) -> None:
    create_table(con)
    day = AS_OF - timedelta(days=30)
    report = score_propensity(
        con, asked(), as_of=day, registry=registry, time_zone="UTC", relation=today(con, day)
    )
    assert report.outcome == "not_learned_yet"
    assert con.sql("from scores.propensity_scores").fetchall() == []


def test_another_question_and_a_retired_score_are_not_answered(
    con: duckdb.DuckDBPyConnection, registry: Registry, tmp_path: Path
) -> None:
    create_table(con)
    shorter = asked(within_days=30)

    def outcome(question: Propensity, found: Registry) -> str:
        return score_propensity(
            con, question, as_of=AS_OF, registry=found, time_zone="UTC", relation=today(con)
        ).outcome

    assert outcome(shorter, registry) == "another_question"
    assert outcome(asked(), Registry(tmp_path)) == "not_trained"
    registry.retire("propensity_reorder", reason="a test", now=now())
    try:
        assert outcome(asked(), registry) == "retired"
    finally:
        promoted = registry.decisions("propensity_reorder")[0].version
        registry.promote("propensity_reorder", promoted, reason="a test", now=now())


def test_the_history_keeps_a_file_a_week(tmp_path: Path) -> None:
    history = History(tmp_path, "propensity_reorder")
    frame = pl.DataFrame({"id": ["a"], "probability": [0.5], "estimator_version": ["v"]})
    kept = [history.keep(AS_OF + timedelta(days=day), frame) for day in range(15)]
    assert sum(kept) == 3
    assert history.due(AS_OF + timedelta(days=60), 60) == AS_OF
    assert history.due(AS_OF + timedelta(days=59), 60) is None


def test_the_files_of_a_workspace_are_read_and_named(tmp_path: Path) -> None:
    folder = tmp_path / "propensities"
    folder.mkdir()
    (folder / "reorder.yml").write_text(json.dumps(REORDER), encoding="utf-8")
    [found] = read_propensities(tmp_path)
    assert found == asked()
    assert find_propensity(tmp_path, "propensity_reorder") == found
    with pytest.raises(NotFoundError, match="buys_garden"):
        find_propensity(tmp_path, "buys_garden")
    (folder / "other.yml").write_text(json.dumps(REORDER), encoding="utf-8")
    with pytest.raises(SettingsError, match="rename"):
        read_propensities(tmp_path)


@pytest.mark.parametrize("language", ["fr", "en"])
def test_cards_verdicts_and_reasons_read_in_both_languages(
    registry: Registry, language: str
) -> None:
    artifact = registry.load("propensity_reorder", served(registry).version)
    card = artifact.card(language)
    assert ("Épreuve chronologique" in card) == (language == "fr")
    share = f"{format_percent(0.1, language)} {'de toutes' if language == 'fr' else 'of all'}"
    assert ("erreurs types ; il en faut 2" if language == "fr" else "2 are needed") in card
    assert share not in card
    assert share in model_card(
        {**artifact.facts, "asked_of": 10 * artifact.facts["customers"]}, language
    )
    verdict = verdict_sentence("not_trained", {"name": "reorder"}, language)
    assert "cohorte train reorder" in verdict
    reason = {"feature": "days_since_last_order", "value": 12.0, "contribution": 0.6931}
    assert (
        "×\N{NO-BREAK SPACE}2,00" if language == "fr" else "×\N{NO-BREAK SPACE}2.00"
    ) in reason_sentence(reason, language)


def test_a_propensity_is_a_field_of_segments_called_as_the_question_is(
    con: duckdb.DuckDBPyConnection, registry: Registry
) -> None:
    con.execute(f"""
        create or replace table marts.customer_profiles as
        select customer_id, (row_number() over (order by customer_id) - 1)::integer as
            customer_number
        from {today(con)} order by customer_id
    """)
    create_table(con)
    score_propensity(
        con, asked(), as_of=AS_OF, registry=registry, time_zone="UTC", relation=today(con)
    )
    assert add_to_profiles(con, [asked(), asked(propensity="never_learned")]) == 1
    con.execute("create or replace table marts.propensities as from scores.propensities")
    catalogue = load_catalogue(con, "marts.customer_profiles")
    field = catalogue["propensity_reorder"]
    assert (field.label("en"), field.label("fr")) == ("Will order again", "Va recommander")
    assert field.group == "score"
    population = Population(con, catalogue, AS_OF, "marts.customer_profiles")
    top = parse_rule({"decile_of": "propensity_reorder", "deciles": [10]})
    likeliest = con.execute(
        "select customer_id from scores.propensity_scores"
        " order by probability desc, customer_id desc limit 20"
    ).fetchall()
    found = members(population, top)["customer_id"].to_list()
    assert {customer for (customer,) in likeliest} <= set(found)
    rule = parse_rule({"field": "propensity_reorder", "op": "greater_or_equal", "value": 0.5})
    assert "Va recommander" in describe(rule, "fr", catalogue, AS_OF)
    assert "50\u202f%" in describe(rule, "fr", catalogue, AS_OF)
    [(expected,)] = con.execute(
        "select count(*) from scores.propensity_scores where probability >= 0.5"
    ).fetchall()
    assert members(population, rule).height == expected


def test_a_question_written_reads_as_it_was(tmp_path: Path) -> None:
    stated = asked(
        propensity=name_of_file("Va racheter du thé !"),
        will={"all": [{"did": "ordered", "window": {"last_days": 60}}]},
    )
    assert stated.propensity == "va_racheter_du_the"
    path = write_propensity(tmp_path, stated)
    assert read_propensities(tmp_path) == [stated]
    with pytest.raises(SettingsError, match="already"):
        write_propensity(tmp_path, stated)
    assert path.read_text(encoding="utf-8").startswith("propensity: va_racheter_du_the\n")


def test_other_values_of_a_customer_are_tried_on_what_serves(
    con: duckdb.DuckDBPyConnection, registry: Registry
) -> None:
    row = con.sql(f"from {today(con)} order by customer_id limit 1").pl()
    found = served(registry)
    asked_of = what_if(found, row)
    assert asked_of.tell({}).probability == found.probability(row)[0]
    number = next(lever for lever in asked_of.levers if lever.kind == "number")
    assert number.low is not None
    assert number.high is not None
    assert number.low < number.high
    said = {asked_of.tell({number.name: value}).probability for value in (number.low, number.high)}
    assert len(said) == 2
    assert len(asked_of.levers) <= MOST_LEVERS
