"""Leads get a score when the past allows one, and the reason when it does not."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import polars as pl
import pytest
from threadpoolctl import threadpool_limits

from cohorte.errors import SettingsError
from cohorte.settings import WorkspaceSettings
from models.encoding import FeatureEncoder
from models.leads import LeadScoreReport, lead_what_if, reason_sentence, score_leads
from models.leads.features import OUTCOME_COLUMNS, choose_features, encoder_of, read_leads
from models.leads.score import TRUSTED_TYPES, opened
from models.leads.training import train
from models.registry import Registry

SETTINGS = WorkspaceSettings(company="Test", time_zone="UTC")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
START = datetime(2023, 1, 1, tzinfo=UTC)
AS_OF = date(2024, 12, 31)


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    with threadpool_limits(limits=1):
        yield


def invented_leads(rows: int = 2000, *, signal: float = 1.0, seed: int = 7) -> pl.DataFrame:
    """Two years of leads; the landing page and the size of the firm tell who converts."""
    random = np.random.default_rng(seed)
    created = START + np.array([timedelta(seconds=1)]) * np.sort(
        random.integers(0, 730 * 86_400, rows)
    )
    channel = random.choice(["email", "fair", "search"], rows)
    page = random.choice(["a", "b", "c", "d"], rows)
    employees = random.integers(1, 500, rows).astype(float)
    logit = -2 + signal * (
        (page == "a") * 1.5 - (page == "b") + (employees > 250) + (channel == "fair") * 0.8
    )
    converts = random.random(rows) < 1 / (1 + np.exp(-logit))
    delay = random.exponential(25, rows)
    converted = [
        moment + timedelta(days=float(days)) if won else None
        for moment, days, won in zip(created, delay, converts, strict=True)
    ]
    known = [moment is not None and moment.date() <= AS_OF for moment in converted]
    return pl.DataFrame(
        {
            "source": ["crm"] * rows,
            "lead_id": [f"l{number}" for number in range(rows)],
            "created_at": [moment.replace(tzinfo=None) for moment in created],
            "channel": channel,
            "landing_page": page,
            "employees_count": np.where(random.random(rows) < 0.1, np.nan, employees),
            "sales_note": ["won" if won else "lost" for won in converts],
            "is_converted": known,
            "converted_at": [
                moment.replace(tzinfo=None) if moment and here else None
                for moment, here in zip(converted, known, strict=True)
            ],
        },
        schema_overrides={"converted_at": pl.Datetime("us")},
    ).with_columns(pl.col("employees_count").fill_nan(None))


def work_database(leads: pl.DataFrame) -> duckdb.DuckDBPyConnection:
    con = duckdb.connect(config={"threads": 1})
    con.execute("create schema marts")
    con.register("given", leads.to_arrow())
    con.execute("create table marts.lead_features as select * from given")
    return con


def run(
    con: duckdb.DuckDBPyConnection, artifacts: Path, as_of: date = AS_OF, **options: Any
) -> LeadScoreReport:
    return score_leads(
        con, as_of=as_of, settings=SETTINGS, artifacts_dir=artifacts, now=NOW, **options
    )


def scores(con: duckdb.DuckDBPyConnection) -> list[tuple[Any, ...]]:
    return con.execute("""
        select source, lead_id, as_of, conversion_probability, lead_grade, reasons,
            estimator_version
        from scores.lead_scores order by all
    """).fetchall()


@dataclass(frozen=True)
class Scored:
    """Invented leads scored once, for the tests that only look; ``artifacts`` may be changed."""

    con: duckdb.DuckDBPyConnection
    artifacts: Path
    report: LeadScoreReport


@pytest.fixture(scope="module")
def scored_once(
    tmp_path_factory: pytest.TempPathFactory,
) -> tuple[duckdb.DuckDBPyConnection, Path, LeadScoreReport]:
    artifacts = tmp_path_factory.mktemp("artifacts")
    con = work_database(invented_leads())
    return con, artifacts, run(con, artifacts)


@pytest.fixture
def scored(
    scored_once: tuple[duckdb.DuckDBPyConnection, Path, LeadScoreReport], tmp_path: Path
) -> Scored:
    con, artifacts, report = scored_once
    own = tmp_path / "artifacts"
    shutil.copytree(artifacts, own)
    run(con, own)
    return Scored(con, own, report)


def test_a_score_that_beats_the_rule_serves(scored: Scored) -> None:
    report = scored.report
    assert report.outcome == "learned"
    assert report.estimator_version is not None
    learned, rule = report.evaluation["learned"], report.evaluation["base_rate_by_channel"]
    assert learned["auc"] > rule["auc"]
    assert learned["brier"] < rule["brier"]
    assert learned["calibration_error"] < 0.05
    assert report.ignored_columns == ("sales_note",)


@pytest.mark.parametrize("seed", [7, 18])
def test_shuffled_outcomes_rank_like_chance_and_the_rule_serves(seed: int, tmp_path: Path) -> None:
    """Of the first thirty seeds these gain most by chance: AUC and Brier score beat the rule's."""
    report = run(work_database(invented_leads(signal=0.0, seed=seed)), tmp_path)
    assert report.evaluation["learned"]["auc"] == pytest.approx(0.5, abs=0.06)
    assert report.outcome == "no_better_than_base_rate"
    assert "did no better, beyond noise" in report.verdict


def test_few_leads_are_enough_for_a_score_that_is_far_better(tmp_path: Path) -> None:
    """Of 138 leads tested 33 converted: the gain in Brier score alone could be chance."""
    report = run(work_database(invented_leads(500)), tmp_path)
    learned, rule = report.evaluation["learned"], report.evaluation["base_rate_by_channel"]
    told = report.evaluation["difference"]
    assert learned["auc"] > rule["auc"] + 0.1
    assert 0 < told["brier_gain"] < 2 * told["brier_gain_standard_error"]
    assert told["information"] > 2 * told["information_standard_error"]
    assert report.outcome == "learned"


def test_open_and_decided_leads_are_scored_each_as_of_its_day(scored: Scored) -> None:
    con, report = scored.con, scored.report
    rows = con.execute("""
        select is_converted or created_at < timestamp '2025-01-01' - interval 90 day as is_decided,
            count(*), count(scored.lead_id),
            count(*) filter (scored.as_of = date '2024-12-31'),
            bool_and(scored.as_of = created_at::date)
        from marts.lead_features left join scores.lead_scores as scored using (source, lead_id)
        group by 1 order by 1
    """).fetchall()
    (_, open_count, open_scored, on_the_day, _), (_, decided, decided_scored, _, its_day) = rows
    assert open_count == open_scored == on_the_day == report.open_scored
    assert 0 < decided_scored < decided
    assert its_day
    assert report.scored == open_scored + decided_scored


def test_a_past_score_knew_nothing_of_what_came_after_it(tmp_path: Path) -> None:
    leads = invented_leads()
    run(con := work_database(leads), tmp_path / "a")
    before = date(2024, 8, 1)
    told = {row[1]: row[3] for row in scores(con) if row[2] <= before}
    later = (pl.col("converted_at") > datetime(2024, 8, 2)) & (  # noqa: DTZ001
        pl.col("created_at") > datetime(2024, 8, 2)  # noqa: DTZ001
    )
    changed = leads.with_columns(
        is_converted=pl.when(later).then(False).otherwise("is_converted"),
        converted_at=pl.when(later).then(None).otherwise("converted_at"),
    )
    run(con := work_database(changed), tmp_path / "b")
    again = {row[1]: row[3] for row in scores(con) if row[2] <= before}
    shared = told.keys() & again.keys()
    assert len(shared) > 100
    assert {lead: told[lead] for lead in shared} == {lead: again[lead] for lead in shared}


def test_facts_after_the_day_change_no_score(tmp_path: Path) -> None:
    leads = invented_leads()
    day = date(2024, 9, 30)
    run(con := work_database(leads), tmp_path / "a", as_of=day)
    end = datetime(2024, 10, 1)  # noqa: DTZ001
    late = pl.col("converted_at") >= end
    cut = leads.filter(pl.col("created_at") < end).with_columns(
        is_converted=pl.when(late).then(False).otherwise("is_converted"),
        converted_at=pl.when(late).then(None).otherwise("converted_at"),
    )
    run(other := work_database(cut), tmp_path / "b", as_of=day)
    assert scores(con) == scores(other)


def test_the_order_of_rows_and_the_clock_change_nothing(tmp_path: Path) -> None:
    leads = invented_leads(1500)
    run(con := work_database(leads), tmp_path / "a")
    shuffled = work_database(leads.sample(fraction=1.0, shuffle=True, seed=1))
    score_leads(
        shuffled,
        as_of=AS_OF,
        settings=SETTINGS,
        artifacts_dir=tmp_path / "b",
        now=NOW + timedelta(days=400),
    )
    assert scores(con) == scores(shuffled)
    first, second = (
        (tmp_path / folder / "lead_score" / scores(con)[0][-1] / "evaluation.json").read_bytes()
        for folder in "ab"
    )
    assert first == second


def test_an_estimator_is_reused_while_it_fits(scored: Scored) -> None:
    before = scores(scored.con)
    again = run(scored.con, scored.artifacts)
    assert scored.report.trained
    assert not again.trained
    assert scores(scored.con) == before
    assert again.verdict == scored.report.verdict


def test_a_new_fit_that_is_no_better_is_kept_back_and_not_learned_again(tmp_path: Path) -> None:
    con = work_database(invented_leads(1000))
    fewer = run(con, tmp_path, as_of=date(2024, 6, 30))
    assert not run(con, tmp_path, as_of=date(2024, 7, 31)).trained
    grown = run(con, tmp_path, as_of=AS_OF)
    assert grown.trained
    assert grown.estimator_version == fewer.estimator_version
    first, second = Registry(tmp_path).decisions("lead_score")
    assert (first.decision, first.code) == ("promoted", "nothing_served")
    assert (second.decision, second.code) == ("kept_back", "no_better")
    assert second.values["champion"] == fewer.estimator_version
    assert -second.values["change"] <= second.values["noise"]
    assert "pas meilleure que" in second.why("fr")
    assert not run(con, tmp_path, as_of=AS_OF).trained


def test_a_new_fit_that_knew_no_less_and_is_better_by_more_than_its_noise_serves(
    tmp_path: Path,
) -> None:
    """Six months after the market turned, the older folds have not seen what the champion has."""
    turn = pl.col("created_at") < datetime(2024, 1, 1)  # noqa: DTZ001
    before, since = invented_leads(3000), invented_leads(3000, signal=-1.0)
    leads = pl.concat([before.filter(turn), since.filter(~turn)])
    con = work_database(leads.with_columns(lead_id=pl.int_range(pl.len()).cast(pl.String)))
    champion = run(con, tmp_path, as_of=date(2024, 6, 30))
    challenger = run(con, tmp_path, as_of=AS_OF, retrain=True)
    newest = Registry(tmp_path).decisions("lead_score")[-1]
    assert (newest.decision, newest.code) == ("promoted", "better")
    assert -newest.values["change"] > newest.values["noise"] > 0
    assert newest.values["day"] > "2024-06-30"
    assert challenger.estimator_version not in (None, champion.estimator_version)


def test_a_new_fit_stays_back_while_nothing_was_decided_since(tmp_path: Path) -> None:
    con = work_database(invented_leads(1500))
    champion = run(con, tmp_path, as_of=date(2024, 11, 30))
    again = run(con, tmp_path, as_of=AS_OF, retrain=True)
    newest = Registry(tmp_path).decisions("lead_score")[-1]
    assert (newest.decision, newest.code) == ("kept_back", "too_few_since")
    assert newest.values["rows"] == 0
    assert "depuis que celle qui sert a appris" in newest.why("fr")
    assert again.estimator_version == champion.estimator_version


def test_an_old_version_gives_the_old_scores_to_the_bit(scored: Scored) -> None:
    before = scored.con.execute("from scores.lead_scores order by all").fetchall()
    registry = Registry(scored.artifacts)
    con = work_database(invented_leads().with_columns(channel=pl.lit("other")))
    other = run(con, scored.artifacts, retrain=True)
    registry.promote("lead_score", other.estimator_version or "", reason="to try it", now=NOW)
    assert scored.report.estimator_version is not None
    registry.promote("lead_score", scored.report.estimator_version, reason="back", now=NOW)
    run(scored.con, scored.artifacts)
    assert scored.con.execute("from scores.lead_scores order by all").fetchall() == before
    registry.retire("lead_score", reason="asked", now=NOW)
    assert run(scored.con, scored.artifacts).outcome == "retired"
    assert scored.con.execute("from scores.lead_scores").fetchall() == []
    registry.promote("lead_score", scored.report.estimator_version, reason="back", now=NOW)
    run(scored.con, scored.artifacts)
    assert scored.con.execute("from scores.lead_scores order by all").fetchall() == before


def test_training_can_be_asked_for(scored: Scored) -> None:
    asked = run(scored.con, scored.artifacts, retrain=True)
    assert asked.trained
    assert asked.estimator_version == scored.report.estimator_version


def test_a_past_day_gets_an_estimator_of_its_own_that_does_not_serve(scored: Scored) -> None:
    past = run(scored.con, scored.artifacts, as_of=date(2024, 3, 31))
    assert past.trained
    assert past.estimator_version != scored.report.estimator_version
    artifact = Registry(scored.artifacts).served("lead_score")
    assert artifact is not None
    assert artifact.version == scored.report.estimator_version


def test_a_damaged_artifact_is_learned_anew(scored: Scored) -> None:
    version = scored.report.estimator_version
    assert version is not None
    (scored.artifacts / "lead_score" / version / "estimator.skops").write_bytes(b"half")
    again = run(scored.con, scored.artifacts)
    assert again.trained
    assert again.estimator_version == version


def test_the_model_card_tells_the_figures_in_both_languages(scored: Scored) -> None:
    artifact = Registry(scored.artifacts).served("lead_score")
    assert artifact is not None
    auc = f"{artifact.evaluation['learned']['auc']:.3f}"
    assert auc in artifact.card("en")
    assert auc.replace(".", ",") in artifact.card("fr")
    assert "Canal" in artifact.card("fr")
    told = artifact.evaluation["difference"]
    reached = told["information"] / told["information_standard_error"]
    assert f"Beyond the rule**: {reached:.1f} standard errors; 2 are needed" in artifact.card("en")
    assert "erreurs types ; il en faut 2" in artifact.card("fr")


def test_reasons_are_the_strongest_contributions_up_then_down(scored: Scored) -> None:
    for row in scores(scored.con):
        reasons = json.loads(row[5])
        contributions = [reason["contribution"] for reason in reasons]
        ups = [value for value in contributions if value > 0]
        downs = [value for value in contributions if value < 0]
        assert contributions == sorted(ups, reverse=True) + sorted(downs)
        assert len(ups) <= 3
        assert len(downs) <= 3
        assert all(set(reason) == {"feature", "value", "contribution"} for reason in reasons)
        for language in ("fr", "en"):
            assert all(reason_sentence(reason, language) for reason in reasons)


def test_contributions_and_intercept_make_the_stored_probability(scored: Scored) -> None:
    artifact = Registry(scored.artifacts).served("lead_score")
    assert artifact is not None
    served = artifact.estimator(TRUSTED_TYPES)[0]["parts"][0]
    compared = 0
    for _, _, as_of, probability, _, told, _ in scores(scored.con):
        reasons = json.loads(told)
        downs = sum(reason["contribution"] < 0 for reason in reasons)
        if as_of == AS_OF and downs < 3 and len(reasons) - downs < 3:
            logit = served.intercept_ + sum(reason["contribution"] for reason in reasons)
            assert np.log(probability / (1 - probability)) == pytest.approx(logit, abs=3e-3)
            compared += 1
    assert compared > 10


def test_the_older_of_two_alike_open_leads_is_never_likelier(tmp_path: Path) -> None:
    leads = invented_leads()
    twins = pl.concat(
        [
            leads.head(1).with_columns(
                lead_id=pl.lit(f"twin{age}"),
                created_at=pl.lit(datetime(2024, 12, 31, 12) - timedelta(days=age)),  # noqa: DTZ001
                is_converted=pl.lit(False),
                converted_at=pl.lit(None, pl.Datetime("us")),
            )
            for age in (0, 5, 20, 60, 89)
        ]
    )
    con = work_database(pl.concat([leads, twins]))
    run(con, tmp_path)
    found = con.execute("""
        select conversion_probability from scores.lead_scores
        where lead_id like 'twin%' order by substr(lead_id, 5)::int
    """).fetchall()
    probabilities = [probability for (probability,) in found]
    assert len(probabilities) == 5
    assert probabilities == sorted(probabilities, reverse=True)
    assert probabilities[-1] < probabilities[0] / 3


@pytest.mark.parametrize(
    ("leads", "outcome", "words"),
    [
        (invented_leads(10).head(0), "no_leads", "no leads"),
        (invented_leads(40), "too_few_conversions", "too few even for a rate"),
        (
            invented_leads(200).with_columns(is_converted=False, converted_at=None),
            "too_few_conversions",
            "0 conversions",
        ),
        (
            invented_leads(200).with_columns(is_converted=True, converted_at="created_at"),
            "one_class",
            "nearly all",
        ),
    ],
)
def test_too_little_to_go_by_gives_a_verdict_and_no_score(
    tmp_path: Path, leads: pl.DataFrame, outcome: str, words: str
) -> None:
    frame = leads.with_columns(pl.col("converted_at").cast(pl.Datetime("us")))
    con = work_database(frame)
    report = run(con, tmp_path)
    assert report.outcome == outcome
    assert words in report.verdict
    assert report.scored == 0
    assert report.estimator_version is None
    assert scores(con) == []


def test_few_conversions_give_the_rate_of_the_channel(tmp_path: Path) -> None:
    con = work_database(invented_leads(150))
    report = run(con, tmp_path)
    assert report.outcome == "too_few_to_learn"
    assert "base rate by channel" in report.verdict
    assert report.open_scored > 0
    reasons = {reason["feature"] for row in scores(con) for reason in json.loads(row[5])}
    assert reasons <= {"channel", "days_since_created"}


def test_conversions_without_dates_give_the_rate_of_the_channel(tmp_path: Path) -> None:
    leads = invented_leads(800).with_columns(converted_at=pl.lit(None, pl.Datetime("us")))
    report = run(work_database(leads), tmp_path)
    assert report.outcome == "undated_conversions"
    assert report.open_scored > 0
    assert "no date" in report.verdict


def test_a_short_history_cannot_be_tested_and_the_rule_serves(tmp_path: Path) -> None:
    leads = invented_leads().filter(
        pl.col("created_at") > datetime(2024, 7, 20)  # noqa: DTZ001
    )
    report = run(work_database(leads), tmp_path)
    assert report.outcome == "too_short_to_test"


def test_columns_without_any_difference_still_score(tmp_path: Path) -> None:
    leads = invented_leads(1500).select(
        "source", "lead_id", "created_at", "is_converted", "converted_at"
    )
    report = run(work_database(leads), tmp_path)
    assert report.open_scored > 0


@pytest.mark.parametrize("column", sorted(OUTCOME_COLUMNS))
def test_what_is_filled_after_creation_is_refused_as_a_feature(column: str) -> None:
    with pytest.raises(SettingsError, match="it cannot predict"):
        choose_features({column: "VARCHAR", "channel": "VARCHAR"}, [column])
    chosen, ignored = choose_features({column: "VARCHAR", "channel": "VARCHAR"})
    assert [feature.name for feature in chosen] == ["channel"]
    assert ignored == ()


def test_a_column_nobody_declared_is_left_out_and_one_declared_is_read_by_its_type() -> None:
    columns = {"channel": "VARCHAR", "budget": "DECIMAL(18,4)", "colour": "VARCHAR"}
    chosen, ignored = choose_features(columns, ["budget"])
    assert {feature.name: feature.kind for feature in chosen} == {
        "channel": "category",
        "budget": "number",
    }
    assert ignored == ("colour",)


def test_a_declared_column_that_is_not_there_is_named() -> None:
    with pytest.raises(SettingsError, match='"budget" is no column'):
        choose_features({"channel": "VARCHAR"}, ["budget"])


def test_rare_and_new_values_share_a_category_and_missing_ones_stay_missing() -> None:
    leads = invented_leads(100).with_columns(
        channel=pl.Series(["web"] * 60 + ["fair"] * 30 + ["rare"] * 5 + [None] * 5)
    )
    table = read_leads(work_database(leads), 1e9)
    encoder = encoder_of(table)
    [channel] = [item for item in encoder.features if item.name == "channel"]
    assert channel.categories == ("web", "fair", "(other)")
    codes = encoder.encode(table.frame)[:, encoder.names.index("channel")]
    assert np.isnan(codes[95:]).all()
    assert set(codes[:95]) == {0.0, 1.0, 2.0}
    assert FeatureEncoder.from_json(json.loads(json.dumps(encoder.as_json()))) == encoder


def test_a_month_counts_only_once_two_years_are_known() -> None:
    leads = invented_leads(400).with_columns(
        created_month=pl.col("created_at").dt.month().cast(pl.Int32)
    )
    table = read_leads(work_database(leads), 1e9)
    half = table.take(table.created_at < float(np.median(table.created_at)))
    assert "created_month" not in encoder_of(half).names


def test_olist_leads_are_told_better_than_by_the_base_rate_of_their_origin(
    shared_data: Path,
) -> None:
    con = duckdb.connect(config={"threads": 1})
    con.execute("create schema marts")
    folder = shared_data / "olist"
    con.execute(
        """
        create table marts.lead_features as
        select 'olist' as source, mql_id as lead_id, first_contact_date::timestamp as created_at,
            origin as channel, landing_page_id as landing_page,
            isodow(first_contact_date) as created_weekday,
            month(first_contact_date) as created_month,
            won_date is not null as is_converted, won_date::timestamp as converted_at,
            business_segment, lead_type, declared_monthly_revenue
        from read_csv($leads) as leads left join read_csv($deals) as deals using (mql_id)
        """,
        {
            "leads": str(folder / "olist_marketing_qualified_leads_dataset.csv"),
            "deals": str(folder / "olist_closed_deals_dataset.csv"),
        },
    )
    leads = read_leads(con, (date(2018, 10, 18) - date(1970, 1, 1)).days)
    assert leads.ignored_columns == ("business_segment", "declared_monthly_revenue", "lead_type")
    evaluation = train(leads, 90).evaluation
    learned, rule = evaluation["learned"], evaluation["base_rate_by_channel"]
    assert learned["auc"] > rule["auc"] + 0.03
    assert learned["brier"] < rule["brier"]
    assert evaluation["difference"]["brier_gain"] > (
        2 * evaluation["difference"]["brier_gain_standard_error"]
    )


def test_other_values_of_an_open_lead_are_tried_on_what_serves(scored: Scored) -> None:
    artifact = Registry(scored.artifacts).served("lead_score")
    assert artifact is not None
    row = scored.con.sql(
        "select features.* from marts.lead_features as features"
        " inner join scores.lead_scores as given using (source, lead_id)"
        " where given.as_of = $day and landing_page = 'b' order by lead_id limit 1",
        params={"day": AS_OF},
    ).pl()
    lead = row["lead_id"][0]
    told = scored.con.execute(
        "select conversion_probability, lead_grade, reasons from scores.lead_scores"
        " where lead_id = ?",
        [lead],
    ).fetchall()
    asked = lead_what_if(opened(artifact), row, as_of=AS_OF, settings=SETTINGS)
    assert asked is not None
    as_is = asked.tell({})
    [(probability, grade, reasons)] = told
    assert (as_is.probability, as_is.figures["lead_grade"]) == (probability, grade)
    assert as_is.reasons == json.loads(reasons)
    levers = {lever.name: lever for lever in asked.levers}
    assert set(levers) == {"landing_page", "employees_count", "channel"}
    assert levers["landing_page"].choices == ("a", "b", "c", "d")
    assert (levers["employees_count"].low, levers["employees_count"].high) == (1, 499)
    tried = asked.tell({"landing_page": "a", "employees_count": 400.0})
    assert tried.probability > 2 * as_is.probability
    assert {"a", 400} <= {reason["value"] for reason in tried.reasons}
    assert asked.tell({"employees_count": None}).probability < tried.probability
