"""Train a propensity, let it serve if it deserves to, and score today's customers with it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from cohorte.i18n import LANGUAGES
from cohorte.segments import describe
from models.asof import CustomersAt, population_of, write_members
from models.challenge import Reason, contest
from models.encoding import FeatureEncoder, Kind
from models.monitoring import (
    REFUSAL_LIMIT,
    Check,
    History,
    drift_checks,
    outcome_checks,
    reference_of,
)
from models.propensity.definition import Propensity
from models.propensity.training import NOT_FEATURES, Day, Training, read_examples, train
from models.propensity.words import model_card, verdict_sentence
from models.registry import Artifact, Registry
from models.scorecard import AdditiveScorer
from models.sqlscore import ScoreSql, identifier
from models.whatif import Told, Value, WhatIf, levers_of, with_values

__all__ = [
    "PropensityReport",
    "TrainReport",
    "add_to_profiles",
    "create_table",
    "score_propensity",
    "train_propensity",
    "what_if",
]

FloatArray = npt.NDArray[np.float64]

TRUSTED_TYPES = ("models.scorecard.AdditiveScorer",)
RECIPE = 2
LOOKED_AT = 50_000
"""Customers whose features are compared with those learned from, at most."""

TABLE = "scores.propensity_scores"
PROFILES = "marts.customer_profiles"
SCHEMA = """propensity varchar, customer_id varchar, as_of date, horizon_days bigint,
    probability double, reasons varchar, estimator_version varchar"""


@dataclass(frozen=True)
class TrainReport:
    """What a training did; ``reason`` says why the version serves or does not."""

    outcome: str
    verdict: str
    version: str | None = None
    is_promoted: bool = False
    reason: str = ""
    evaluation: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class PropensityReport:
    """What one pass over today's customers did."""

    name: str
    outcome: str
    verdict: str
    customers: int = 0
    scored: int = 0
    estimator_version: str | None = None
    checks: tuple[Check, ...] = ()


@dataclass(frozen=True)
class Served:
    """An artifact, opened."""

    version: str
    facts: dict[str, Any]
    encoder: FeatureEncoder
    scorer: AdditiveScorer

    @property
    def learned_until(self) -> date:
        return date.fromisoformat(self.facts["as_of"])

    def probability(self, frame: pl.DataFrame) -> FloatArray:
        return np.asarray(self.scorer.predict_proba(self.encoder.encode(frame))[:, 1])


def what_if(served: Served, row: pl.DataFrame) -> WhatIf:
    """A customer's score, to be told again with other values; ``row`` are their features."""

    def contributions(tried: pl.DataFrame) -> FloatArray:
        return np.asarray(served.scorer.explain(served.encoder.encode(tried))[0])

    def tell(values: Mapping[str, Value]) -> Told:
        tried = with_values(row, values)
        reasons = [
            {"feature": name, "value": tried[name][0], "contribution": float(contribution)}
            for name, contribution in zip(served.encoder.names, contributions(tried), strict=False)
        ]
        return Told(float(served.probability(tried)[0]), reasons)

    return WhatIf(tuple(levers_of(served.encoder, row, contributions(row))), tell)


def opened(artifact: Artifact) -> Served:
    """A version of a propensity, ready to score."""
    facts = artifact.facts
    encoder = FeatureEncoder.from_json(facts["features"])
    return Served(artifact.version, facts, encoder, artifact.estimator(TRUSTED_TYPES))


def train_propensity(
    customers: CustomersAt,
    asked: Propensity,
    *,
    as_of: date,
    registry: Registry,
    now: datetime,
) -> TrainReport:
    """Learn anew from the days until ``as_of`` and decide whether the result serves.

    It serves when nothing does, when the question changed, or when it beats what serves on the
    newest day by more than the noise; otherwise it is kept, with the reason.
    """
    with threadpool_limits(limits=1):
        examples = read_examples(customers, asked, as_of)
        training = train(examples, asked)
    if training.scorer is None or training.encoder is None:
        facts = {**training.facts, "name": asked.propensity}
        return TrainReport(training.outcome, verdict_sentence(training.outcome, facts, "en"))
    artifact = _keep(
        customers, asked, training, training.encoder, training.scorer, as_of, registry, now
    )
    verdict = verdict_sentence(training.outcome, artifact.facts, "en")
    decided = _decide(asked, training, artifact, registry)
    promoted, reason = registry.settle(asked.estimator_name, artifact.version, decided, now=now)
    return TrainReport(
        training.outcome,
        verdict,
        artifact.version,
        promoted,
        reason.sentence("en"),
        training.evaluation,
    )


def _keep(
    customers: CustomersAt,
    asked: Propensity,
    training: Training,
    encoder: FeatureEncoder,
    scorer: AdditiveScorer,
    as_of: date,
    registry: Registry,
    now: datetime,
) -> Artifact:
    catalogue = customers.population(as_of).catalogue
    ahead = as_of + timedelta(days=asked.within_days)
    relation = customers.relation(as_of)
    customers.mark_members(as_of, asked.who, "asked_of")
    frame = _looked_at(customers.con, relation, encoder)
    said = scorer.predict_proba(encoder.encode(frame))[:, 1]
    kinds: dict[str, Kind] = {item.name: item.kind for item in encoder.features}
    content: dict[str, Any] = {
        "recipe": RECIPE,
        "outcome": training.outcome,
        "method": training.method,
        "title": {str(code): text for code, text in asked.name.items()},
        "question": asked.question(),
        "who": {code: describe(asked.who, code, catalogue, as_of) for code in LANGUAGES},
        "will": {code: describe(asked.will, code, catalogue, ahead) for code in LANGUAGES},
        "as_of": as_of.isoformat(),
        "horizon_days": asked.within_days,
        "window": [training.facts["days"][-1], training.facts["days"][0]],
        **training.facts,
        "left_out": training.left_out,
        "features": encoder.as_json(),
        "features_sql": customers.digest,
        "reference": reference_of(frame, kinds, np.asarray(said)),
        "trusted_types": list(TRUSTED_TYPES),
    }
    return registry.keep(
        asked.estimator_name,
        training.method,
        scorer,
        content=content,
        evaluation=training.evaluation,
        card=model_card,
        now=now,
        tables=[
            scorer.intercept_,
            [edges.tolist() for edges in scorer.edges_],
            [values.tolist() for values in scorer.values_],
            scorer.missing_.tolist(),
        ],
    )


def _decide(
    asked: Propensity, training: Training, artifact: Artifact, registry: Registry
) -> tuple[bool, Reason]:
    """Whether the new version serves, and why."""
    champion = registry.usable(asked.estimator_name, opened)
    if champion is None:
        return True, Reason("nothing_served")
    if champion.facts["question"] != asked.question():
        return True, Reason("question_changed")
    if champion.facts["recipe"] != RECIPE:
        return True, Reason("recipe_changed")
    if champion.version == artifact.version:
        return True, Reason("same_version")
    if champion.learned_until > opened(artifact).learned_until:
        return False, Reason("earlier_day")
    if training.newest is None:
        return False, Reason("no_day")
    return compare(champion, training.newest, training.challenge)


def compare(champion: Served, newest: Day, challenge: FloatArray) -> tuple[bool, Reason]:
    """On the newest day, what a fit that had not seen it says against what serves."""
    day = newest.day.isoformat()
    if champion.learned_until > newest.day:
        until = champion.learned_until + timedelta(days=int(champion.facts["horizon_days"]))
        return False, Reason("not_yet", {"day": day, "until": until.isoformat()})
    said = champion.probability(newest.frame)
    return contest(newest.did, challenge, said, version=champion.version, day=day)


def create_table(con: duckdb.DuckDBPyConnection) -> None:
    """Make ``scores.propensity_scores`` anew, empty."""
    con.execute("create schema if not exists scores")
    con.execute(f"create or replace table {TABLE} ({SCHEMA})")


def score_propensity(
    con: duckdb.DuckDBPyConnection,
    asked: Propensity,
    *,
    as_of: date,
    registry: Registry,
    time_zone: str,
    relation: str = "marts.customer_features",
    scores_before: str | None = None,
    keep_always: bool = False,
) -> PropensityReport:
    """Write the scores of those the question is asked of; one SELECT over their features.

    Trains nothing. Where the scores moved too far from those learned from, the scores before
    (``scores_before``, a table of the same columns) stay and a check raises an alert.
    """
    name = asked.estimator_name
    served, refused = _version_for(asked, as_of, registry)
    if served is None:
        return _unscored(asked, refused, {"as_of": as_of.isoformat()})
    population = population_of(con, relation, as_of, time_zone)
    customers = write_members(population, asked.who, "asked_of")
    frame = _looked_at(con, relation, served.encoder)
    said = served.probability(frame)
    checks = drift_checks(name, served.version, as_of, served.facts["reference"], frame, said)
    history = History(registry.root, name)
    due = history.due(as_of, asked.within_days)
    if due is not None:
        write_members(population, asked.will, "who_did")
        came = con.sql("select customer_id from who_did").pl()["customer_id"]
        checks += outcome_checks(name, as_of, due, history.read(due), came)
    moved = next((check for check in checks if check.measure == "score_drift"), None)
    if moved is not None and moved.value > REFUSAL_LIMIT:
        kept = _keep_before(con, asked, scores_before)
        facts = {"drifted": "score", "psi": moved.value}
        verdict = verdict_sentence("drifted", facts, "en")
        return PropensityReport(
            name, "drifted", verdict, customers, kept, served.version, tuple(checks)
        )
    sql = ScoreSql(served.encoder, served.scorer, {}).select(
        f"(select * from {relation} where customer_id in (select customer_id from asked_of))",
        ["customer_id"],
    )
    con.execute(
        f"""
        insert into {TABLE}
        select $name, customer_id, $as_of, $horizon, round(probability, 9), reasons, $version
        from ({sql}) as scored
        """,
        {
            "name": asked.propensity,
            "as_of": as_of,
            "horizon": asked.within_days,
            "version": served.version,
        },
    )
    given = con.sql(
        f"select customer_id as id, probability, estimator_version from {TABLE}"
        " where propensity = ? and as_of = ?",
        params=[asked.propensity, as_of],
    ).pl()
    history.keep(as_of, given, always=keep_always)
    coverage = given.height / max(customers, 1)
    checks.append(Check(name, as_of, served.version, "coverage", round(coverage, 9)))
    verdict = verdict_sentence(served.facts["outcome"], served.facts, "en")
    return PropensityReport(
        name, "scored", verdict, customers, given.height, served.version, tuple(checks)
    )


def add_to_profiles(con: duckdb.DuckDBPyConnection, asked: Sequence[Propensity]) -> int:
    """Give ``marts.customer_profiles`` a column per propensity scored; their number.

    Writes ``scores.propensities`` as well: what each is called, where segments look for names.
    """
    con.execute("create schema if not exists scores")
    con.execute("""
        create or replace table scores.propensities (
            propensity varchar, name_en varchar, name_fr varchar, horizon_days bigint, as_of date
        )
    """)
    added = 0
    for one in asked:
        found = con.execute(
            f"select max(horizon_days), max(as_of) from {TABLE} where propensity = ?",
            [one.propensity],
        ).fetchall()
        horizon, as_of = found[0]
        if as_of is None:
            continue
        column = identifier(one.estimator_name)
        con.execute(f"alter table {PROFILES} add column if not exists {column} double")
        con.execute(
            f"update {PROFILES} as profiles set {column} = scored.probability from {TABLE} as"
            " scored where scored.propensity = ? and scored.customer_id = profiles.customer_id",
            [one.propensity],
        )
        con.execute(
            "insert into scores.propensities values (?, ?, ?, ?, ?)",
            [one.propensity, one.title("en"), one.title("fr"), horizon, as_of],
        )
        added += 1
    return added


def _version_for(asked: Propensity, day: date, registry: Registry) -> tuple[Served | None, str]:
    """What serves; for a day before it learned, the newest version that had learned by then."""
    name = asked.estimator_name
    if registry.is_retired(name):
        return None, "retired"
    served = registry.usable(name, opened)
    if served is None:
        return None, "not_trained"
    if served.facts["question"] != asked.question():
        return None, "another_question"
    if served.learned_until <= day:
        return served, ""
    earlier = [
        version
        for version in (opened(registry.load(name, each)) for each in registry.versions(name))
        if version.learned_until <= day and version.facts["question"] == asked.question()
    ]
    return max(earlier, key=lambda version: version.learned_until, default=None), "not_learned_yet"


def _unscored(asked: Propensity, outcome: str, facts: Mapping[str, Any]) -> PropensityReport:
    verdict = verdict_sentence(outcome, {**facts, "name": asked.propensity}, "en")
    return PropensityReport(asked.estimator_name, outcome, verdict)


def _keep_before(
    con: duckdb.DuckDBPyConnection, asked: Propensity, scores_before: str | None
) -> int:
    if scores_before is None:
        return 0
    con.execute(
        f"insert into {TABLE} select * from {scores_before} where propensity = ?",
        [asked.propensity],
    )
    count = con.execute(f"select count(*) from {TABLE} where propensity = ?", [asked.propensity])
    return int(count.fetchall()[0][0])


def _looked_at(
    con: duckdb.DuckDBPyConnection, relation: str, encoder: FeatureEncoder
) -> pl.DataFrame:
    """Features of those asked of, of some where they are many; which, hangs on their ids."""
    there = {
        name for (name,) in con.sql(f"select column_name from (describe {relation})").fetchall()
    }
    columns = [
        f"try_cast({identifier(item.name)} as {'double' if item.kind == 'number' else 'varchar'})"
        f" as {identifier(item.name)}"
        for item in encoder.features
        if item.name in there and item.name not in NOT_FEATURES
    ]
    found: pl.DataFrame = con.sql(f"""
        select {", ".join(["customer_id", *columns])}
        from {relation}
        where customer_id in (select customer_id from asked_of)
        order by hash(customer_id), customer_id
        limit {LOOKED_AT}
    """).pl()
    return found
