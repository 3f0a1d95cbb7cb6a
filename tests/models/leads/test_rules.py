"""Rules of the company give points, alone where little is known and beside what is learned."""

from __future__ import annotations

import json
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from cohorte.errors import SettingsError
from cohorte.sources import Source, read_source
from models.leads import (
    lead_what_if,
    reason_sentence,
    refused_features,
    route_leads,
    routing_sentence,
)
from models.leads.deals import Deals, DealValueScorer, fit_deals
from models.leads.features import read_leads
from models.leads.rules import LeadRules, read_lead_rules
from models.leads.score import opened
from models.leads.training import blend_weight
from models.registry import Registry
from models.scorecard import PointsScorer
from tests.models.leads.test_score import (
    AS_OF,
    SETTINGS,
    invented_leads,
    run,
    scores,
    work_database,
)

RULES = """\
points_to_double_odds: 20
rate_without_points: 0.1
fit:
  - name: {en: Large, fr: Grande}
    when: {field: employees_count, op: greater, value: 250}
    points: 30
behaviour:
  - name: Came by page a
    when: {any: [{field: landing_page, op: equals, value: a}]}
    points: 20
"""

TEMPLATE = Path(__file__).parents[3] / "data" / "templates" / "demo"


def rules_of(folder: Path, text: str = RULES) -> LeadRules:
    (folder / "lead_rules.yml").write_text(text, encoding="utf-8")
    found = read_lead_rules(folder)
    assert found is not None
    return found


def columns(con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
    return con.sql("from scores.lead_scores order by all").pl()


@parametrize_with_checks([PointsScorer(), DealValueScorer()])
def test_estimators_keep_scikit_learns_contract(estimator: Any, check: Any) -> None:
    check(estimator)


def test_without_a_past_the_rules_score_alone_from_the_rate_they_state(tmp_path: Path) -> None:
    con = work_database(
        invented_leads(60).with_columns(
            is_converted=False, converted_at=pl.lit(None, pl.Datetime("us"))
        )
    )
    report = run(con, tmp_path, as_of=date(2024, 12, 30), rules=rules_of(tmp_path))
    assert report.outcome == "rules_alone"
    assert "rule score alone: 0 conversions" in report.verdict
    found = columns(con).join(
        con.sql("select lead_id, employees_count, landing_page from marts.lead_features").pl(),
        on="lead_id",
    )
    assert found.height == report.scored > 0
    assert found["learned_probability"].null_count() == found.height
    assert set(found["learned_weight"]) == {0.0}
    points = found["fit_points"] + found["behaviour_points"]
    expected = 30 * (found["employees_count"].fill_null(0) > 250).cast(pl.Int64)
    expected += 20 * (found["landing_page"] == "a").cast(pl.Int64)
    assert points.to_list() == expected.to_list()
    one, other = found.filter(points == 0), found.filter(points == 50)
    assert one.height
    assert other.height
    assert other["rule_probability"].min() > one["rule_probability"].max()  # type: ignore[operator]
    artifact = Registry(tmp_path).served("lead_score")
    assert artifact is not None
    row = con.sql("from marts.lead_features where landing_page = 'b' order by created_at").pl()[-1:]
    day = date(2024, 12, 30)
    tried = lead_what_if(
        opened(artifact), row, as_of=day, settings=SETTINGS, rules=rules_of(tmp_path)
    )
    assert tried is not None
    assert {lever.name for lever in tried.levers} == {"employees_count", "landing_page"}
    told, points = tried.tell({}), tried.tell({"landing_page": "a"})
    assert points.probability / (1 - points.probability) == pytest.approx(
        2 * told.probability / (1 - told.probability), rel=1e-6
    )
    assert lead_what_if(opened(artifact), row, as_of=day, settings=SETTINGS) is None, "other rules"


def test_points_double_the_odds_on_the_stated_scale() -> None:
    X = np.array([[0.0], [1.0]] * 50)  # noqa: N806
    y = np.tile([0, 0, 1, 1], 25)
    scorer = PointsScorer(points=[40], points_to_double_odds=20).fit(X, y)
    low, high = scorer.decision_function([[0.0], [1.0]])
    assert np.exp(high - low) == pytest.approx(4)
    assert scorer.predict_proba(X)[:, 1].mean() == pytest.approx(0.5)


def test_the_blend_moves_from_the_rules_to_what_is_learned() -> None:
    assert blend_weight(0) == 0
    assert blend_weight(50) == 0.5
    untested = [blend_weight(count) for count in (0, 10, 50, 200, 5000)]
    assert untested == sorted(untested)
    assert untested[-1] > 0.98
    assert blend_weight(100, best=1.0, tested=100) > blend_weight(100)
    assert blend_weight(100, best=0.0, tested=10_000) < 0.01


def test_both_parts_are_told_and_blended_in_log_odds(tmp_path: Path) -> None:
    con = work_database(invented_leads(1200))
    report = run(con, tmp_path, rules=rules_of(tmp_path))
    assert "blended with the company's rules" in report.verdict
    assert {"blend", "rules", "learned"} <= set(report.evaluation)
    found = columns(con).filter(pl.col("as_of") == AS_OF)

    def logit(name: str) -> np.ndarray[Any, Any]:
        share = found[name].to_numpy()
        return np.asarray(np.log(share) - np.log1p(-share))

    weight = found["learned_weight"][0]
    assert 0.5 < weight < 1
    blended = weight * logit("learned_probability") + (1 - weight) * logit("rule_probability")
    assert logit("conversion_probability") == pytest.approx(blended, abs=1e-5)
    told = [reason for row in scores(con) for reason in json.loads(row[5])]
    points = next(one for one in told if one["feature"] == "points" and one["value"] == 30)
    assert reason_sentence(points, "en").startswith("Large: +30 points: odds ×")
    assert reason_sentence(points, "fr").startswith("Grande : +30 points : cote ×")
    artifact = Registry(tmp_path).served("lead_score")
    assert artifact is not None
    assert "**Règles**" in artifact.card("fr")
    again = run(con, tmp_path, rules=rules_of(tmp_path))
    assert not again.trained
    changed = run(con, tmp_path, rules=rules_of(tmp_path, RULES.replace("30", "10")))
    assert changed.estimator_version != report.estimator_version
    assert Registry(tmp_path).decisions("lead_score")[-1].code == "rules_changed"


@pytest.mark.parametrize(
    ("old", "new", "line", "words"),
    [
        ("points: 30", "points: lots", 6, "fit.0.points"),
        ("greater,", "is_odd,", 5, "fit.0.when"),
        ("points_to_double_odds: 20", "points_to_double: 20", 1, "points_to_double"),
    ],
)
def test_a_mistake_is_told_with_file_line_and_key(
    tmp_path: Path, old: str, new: str, line: int, words: str
) -> None:
    with pytest.raises(SettingsError) as told:
        rules_of(tmp_path, RULES.replace(old, new))
    assert f"lead_rules.yml line {line}" in str(told.value)
    assert words in str(told.value)


def test_a_rule_on_what_is_not_known_beforehand_is_refused_by_name(tmp_path: Path) -> None:
    con = work_database(invented_leads(50))
    late = RULES.replace("landing_page", "sales_note")
    with pytest.raises(SettingsError, match=r'line 9 key behaviour.0.when: "sales_note" is not kn'):
        run(con, tmp_path, rules=rules_of(tmp_path, late))


def crm(tmp_path: Path, known_at: str) -> Source:
    path = tmp_path / "crm.yml"
    path.write_text(
        f"""
source: crm
feeds:
  - feed: leads
    files: leads.csv
    entities:
      leads:
        known_at: {known_at}
        columns: {{lead_id: id, created_at: made, landing_page: page, employees_count: size}}
""",
        encoding="utf-8",
    )
    return read_source(path)


def test_fields_entered_after_contact_are_refused_and_the_card_says_why(tmp_path: Path) -> None:
    refused = refused_features(
        [crm(tmp_path, "{employees_count: contact, landing_page: creation}")]
    )
    con = work_database(invented_leads(600))
    report = run(con, tmp_path, refused=refused)
    assert [one.feature for one in report.refused] == ["employees_count"]
    artifact = Registry(tmp_path).served("lead_score")
    assert artifact is not None
    assert "employees_count" not in {item["name"] for item in artifact.metadata["features"]}
    assert "Employees (source crm: employees_count is entered when sales contact it)" in (
        artifact.card("en")
    )
    assert "est saisi à la prise de contact" in artifact.card("fr")
    told = {reason["feature"] for row in scores(con) for reason in json.loads(row[5])}
    assert "landing_page" in told
    assert "employees_count" not in told
    with pytest.raises(SettingsError, match="employees_count is known at contact"):
        run(con, tmp_path, refused=refused, rules=rules_of(tmp_path))


def test_known_at_names_mapped_fields_of_leads_only(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match='known_at names "industry", which is not mapped'):
        crm(tmp_path, "{industry: contact}")
    with pytest.raises(SettingsError, match="known_at"):
        crm(tmp_path, "{landing_page: later}")


def test_deals_are_worth_what_such_leads_brought_where_that_comes_nearer() -> None:
    leads = read_leads(work_database(invented_leads(600)), 1e9)
    random = np.random.default_rng(3)
    size = np.where(leads.frame["landing_page"].to_numpy() == "a", 9000.0, 1000.0)
    amount = size * random.lognormal(0, 0.3, len(leads))
    won = np.arange(len(leads)) % 2 == 0
    deals = Deals(
        np.where(won, amount, np.nan), leads.created_at + 30, won, np.ones(len(leads), bool)
    )
    learned = fit_deals(leads, deals, 1e9)
    assert learned is not None
    assert learned.outcome == "by_feature"
    assert learned.win_rate == pytest.approx(0.5, abs=0.02)
    said = learned.amounts(leads)
    is_a = leads.frame["landing_page"].to_numpy() == "a"
    assert said[is_a].mean() > 5 * said[~is_a].mean()
    assert said[won].sum() == pytest.approx(learned.win_rate * amount[won].sum(), rel=1e-6)
    shuffled = Deals(random.permutation(deals.amount), deals.closed_at, won, deals.is_decided)
    noise = fit_deals(leads, shuffled, 1e9)
    assert noise is not None
    assert noise.amounts(leads).std() < 0.2 * said.std()
    assert fit_deals(leads, deals, float(leads.created_at[3] + 29)) is None


def test_the_grade_follows_expected_value(tmp_path: Path) -> None:
    leads = invented_leads(1000)
    con = work_database(leads)
    con.execute("""
        create table marts.opportunities as
        select source, lead_id, is_converted as is_won, converted_at as closed_at,
            case when channel = 'fair' then 50000.0 else 500.0 end as reporting_amount
        from marts.lead_features where is_converted
    """)
    run(con, tmp_path)
    found = columns(con).join(leads.select("lead_id", "channel"), on="lead_id")
    assert (
        found["expected_value_amount"]
        - found["conversion_probability"] * found["expected_deal_amount"]
    ).abs().max() < 1e-2  # type: ignore[operator]
    by_grade = (
        found.group_by("lead_grade")
        .agg(
            pl.col("expected_value_amount").min().alias("least"),
            pl.col("expected_value_amount").max().alias("most"),
        )
        .sort("lead_grade")
    )
    today = found.filter(pl.col("as_of") == AS_OF).sort("expected_value_amount")
    assert today["lead_grade"].to_list() == sorted(today["lead_grade"], reverse=True)
    assert by_grade["lead_grade"][0] == "A"
    assert set(found.filter(pl.col("lead_grade") == "A")["channel"]) == {"fair"}


def company_of_two() -> duckdb.DuckDBPyConnection:
    """Ada wins in the north, Bo in the south; both follow as much."""
    con = duckdb.connect(config={"threads": 1})
    con.execute("create schema marts")
    con.execute("create schema scores")
    rows = []
    for number in range(400):
        owner, area = ("ada", "bo")[number % 2], ("59", "13")[number // 2 % 2]
        wins = (owner, area) in (("ada", "59"), ("bo", "13"))
        is_won = number % 10 < (8 if wins else 2)
        rows.append((f"l{number}", owner, area, is_won, number >= 380))
    frame = pl.DataFrame(
        rows, schema=["lead_id", "owner", "postcode_area", "is_won", "is_open"], orient="row"
    ).with_columns(
        source=pl.lit("crm"),
        created_at=pl.lit(datetime(2024, 12, 1)),  # noqa: DTZ001
        closed_at=pl.lit(datetime(2024, 12, 20)),  # noqa: DTZ001
    )
    con.register("given", frame.to_arrow())
    con.execute("""
        create table marts.lead_features as
        select source, lead_id, created_at, postcode_area, null::varchar as industry,
            'web' as channel, is_won and not is_open as is_converted from given;
        create table marts.leads as
        select source, lead_id, case when is_open then null else owner end as owner, created_at,
            is_won and not is_open as is_converted, closed_at as converted_at,
            'lost' as status from given;
        create table marts.opportunities as
        select source, lead_id, owner, owner || '''s' as team, is_won, closed_at
        from given where not is_open;
        create table scores.lead_scores as
        select source, lead_id, date '2024-12-31' as as_of, 0.5 as conversion_probability,
            null::double as expected_value_amount
        from given where is_open;
    """)
    return con


def test_leads_go_to_whoever_wins_such_leads_until_their_hands_are_full() -> None:
    con = company_of_two()
    report = route_leads(con, date(2024, 12, 31))
    assert (report.routed, report.owners) == (20, 2)
    found = con.sql("""
        select postcode_area, suggested_owner, any_value(suggested_team),
            any_value(routing.reasons)
        from scores.lead_routing as routing inner join marts.lead_features using (source, lead_id)
        group by all order by all
    """).fetchall()
    assert [row[:3] for row in found] == [("13", "bo", "bo's"), ("59", "ada", "ada's")]
    told = routing_sentence(found[0][3], "en")
    assert "in area 13" in told
    assert "of such leads expected to be won" in told
    assert "dans la zone 13" in routing_sentence(found[0][3], "fr")
    con.execute("""
        insert into marts.leads
        select 'crm', 'busy' || n, 'bo', timestamp '2024-12-15', false, null, 'working'
        from range(300) as many(n);
        insert into marts.lead_features
        select 'crm', 'busy' || n, timestamp '2024-12-15', '13', null, 'web', false
        from range(300) as many(n);
    """)
    route_leads(con, date(2024, 12, 31))
    taken = con.sql("select distinct suggested_owner from scores.lead_routing").fetchall()
    assert taken == [("ada",)]
    assert route_leads(con, date(2024, 12, 31) + timedelta(days=400)).routed == 0


def test_the_demos_rules_read_and_fit_what_is_known(tmp_path: Path) -> None:
    rules = read_lead_rules(TEMPLATE)
    assert rules is not None
    assert len(rules.fit) == len(rules.behaviour) == 3
