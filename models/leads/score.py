"""Score the leads of a work database: reuse the estimator that serves, or train one.

Which leads get a score:

- **open** leads (not converted, horizon not over): by the estimator that serves, their age
  counted; ``as_of`` is the day looked from;
- **decided** leads (converted, or their horizon is over): the score they would have had the day
  they came in, by an estimator that knew nothing from then on; ``as_of`` is that day. Leads that
  came in before such an estimator could exist have none: the served one has learned from their
  outcome, and would only repeat it.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from cohorte.settings import WorkspaceSettings
from cohorte.warehouse import transaction
from models.challenge import Reason, contest
from models.encoding import FeatureEncoder
from models.leads.deals import DealEstimate, read_deals
from models.leads.features import LeadTable, Refused, read_leads
from models.leads.rules import LeadRules
from models.leads.training import (
    CONVERSIONS_TO_TEST,
    Fold,
    LeadEstimate,
    Part,
    Training,
    train,
)
from models.leads.words import AGE_FEATURE, model_card, verdict_sentence
from models.reasons import reasons_json
from models.registry import Artifact, ArtifactError, Registry
from models.scorecard import AdditiveClassifier
from models.whatif import MOST_LEVERS, Lever, Told, Value, WhatIf, levers_of, with_values

__all__ = ["ESTIMATOR_NAME", "LeadScoreReport", "lead_what_if", "score_leads"]

FloatArray = npt.NDArray[np.float64]

ESTIMATOR_NAME = "lead_score"
TRUSTED_TYPES = (
    "models.scorecard.BaseRateScorer",
    "models.scorecard.AdditiveScorer",
    "models.scorecard.PointsScorer",
    "models.leads.deals.DealValueScorer",
)

GROWTH_BEFORE_RETRAINING = 1.2
RECIPE = 3
"""Raised when the way of learning changes, so that what serves is learned anew."""

GRADES: tuple[tuple[str, float], ...] = (("A", 2.0), ("B", 1.28), ("C", 0.78), ("D", 0.5))
"""Grade and the least expected value, in average leads', that earns it; E below."""


@dataclass(frozen=True)
class LeadScoreReport:
    """What one pass of the lead score did."""

    leads: int
    scored: int
    open_scored: int
    outcome: str
    verdict: str
    """Why the learned score serves, the simple rule does, or none; in English."""
    estimator_version: str | None
    trained: bool
    evaluation: dict[str, Any] = field(default_factory=dict)
    ignored_columns: tuple[str, ...] = ()
    """Columns of ``lead_features`` that nobody declared as known at creation."""
    refused: tuple[Refused, ...] = ()
    """Features that a source declares as entered later."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the verdict's sentence is told from."""


@dataclass(frozen=True)
class Served:
    """An artifact, opened."""

    version: str
    facts: dict[str, Any]
    estimate: LeadEstimate
    folds: tuple[Fold, ...]

    @property
    def learned_until(self) -> float:
        return float(self.facts["window"][1])


def score_leads(
    con: duckdb.DuckDBPyConnection,
    *,
    as_of: date,
    settings: WorkspaceSettings,
    artifacts_dir: Path,
    now: datetime,
    retrain: bool = False,
    extra_features: Sequence[str] = (),
    rules: LeadRules | None = None,
    refused: Collection[Refused] = (),
) -> LeadScoreReport:
    """Write ``scores.lead_scores``, one row per source and lead with a sound score.

    Reads ``marts.lead_features``, and ``marts.opportunities`` for what deals are worth. Trains
    when nothing serves, when what serves does not fit the settings, the columns or the rules any
    more, when the leads with a known outcome grew by a fifth, or when asked. What was learned
    serves when nothing does, when what it reads changed, or when it beats what serves on the
    newest leads by more than its noise. A day before the one that the served estimator looked
    from gets an estimator of its own, kept but not promoted, because the served one knows what
    came later.

    Parameters
    ----------
    as_of
        Day looked from, included, in the workspace's time zone.
    now
        Written into the artifact; changes no score.
    extra_features
        Columns beyond the allow-list that are known when a lead comes in.
    rules
        The points that the workspace states.
    refused
        What the sources declare as entered after a lead came in.

    Raises
    ------
    SettingsError
        When ``extra_features`` or a rule names a column filled later.
    """
    moment = _end_of(as_of, settings.time_zone)
    horizon = settings.lead_scoring.horizon_days
    leads = read_leads(
        con, moment, extra_features, rules=rules, refused=refused, time_zone=settings.time_zone
    )
    registry = Registry(artifacts_dir)
    with threadpool_limits(limits=1):
        served, facts, trained = _estimator(con, leads, horizon, registry, now, retrain, rules)
        if served is None:
            open_leads = decided = _no_scores()
        else:
            open_leads, decided = _score(leads, served, as_of, settings.time_zone, horizon)
    scored = pl.concat((open_leads, decided)).sort("source", "lead_id")
    _write(con, scored)
    return LeadScoreReport(
        leads=len(leads),
        scored=scored.height,
        open_scored=open_leads.height,
        outcome=facts["outcome"],
        verdict=verdict_sentence(facts["outcome"], facts, "en"),
        estimator_version=served.version if served else None,
        trained=trained,
        evaluation=facts.get("evaluation", {}),
        ignored_columns=leads.ignored_columns,
        refused=leads.refused,
        facts=facts,
    )


def lead_what_if(
    served: Served,
    row: pl.DataFrame,
    *,
    as_of: date,
    settings: WorkspaceSettings,
    rules: LeadRules | None = None,
) -> WhatIf | None:
    """An open lead's score, to be told again with other values.

    ``row`` is the lead's of ``lead_features``. None where the rules are no longer those that the
    version was learned beside.
    """
    if served.facts["rules"] != (None if rules is None else rules.as_json()):
        return None
    zone = settings.time_zone

    def read(tried: pl.DataFrame) -> LeadTable:
        with duckdb.connect() as con:
            con.register("tried", tried.to_arrow())
            con.execute("create table lead as from tried")
            moment = _end_of(as_of, zone)
            return read_leads(con, moment, table="lead", rules=rules, time_zone=zone)

    def tell(values: Mapping[str, Value]) -> Told:
        leads = read(with_values(row, values))
        scored = _scored_part(
            leads,
            np.ones(len(leads), dtype=bool),
            served.estimate,
            served,
            ages=leads.as_of - leads.created_at,
            as_of=as_of,
            zone=zone,
        ).row(0, named=True)
        figures = {name: scored[name] for name in ("lead_grade", "expected_value_amount")}
        return Told(scored["conversion_probability"], json.loads(scored["reasons"]), figures)

    leads = read(row)
    if len(leads) == 0:
        return None
    levers: list[Lever] = []
    for part in served.estimate.parts:
        encoder, told = part.encoder, part.contributions(leads)[0]
        if part.is_rules:
            encoder = rules.tested(row) if rules else encoder
            told = np.zeros(len(encoder.features))
        known = {"source", *(lever.name for lever in levers)}
        levers += levers_of(encoder, row, told, known)
    return WhatIf(tuple(levers[:MOST_LEVERS]), tell)


def _end_of(day: date, time_zone: str) -> float:
    """The end of a day in a time zone, in days since 1970-01-01 UTC."""
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=ZoneInfo(time_zone))
    return (midnight - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(days=1)


def _estimator(
    con: duckdb.DuckDBPyConnection,
    leads: LeadTable,
    horizon: int,
    registry: Registry,
    now: datetime,
    retrain: bool,
    rules: LeadRules | None,
) -> tuple[Served | None, dict[str, Any], bool]:
    """What scores, the facts to tell of it, and whether something was learned."""
    if registry.is_retired(ESTIMATOR_NAME) and not retrain:
        return None, {"outcome": "retired"}, False
    served = registry.usable(ESTIMATOR_NAME, opened)
    is_later = served is None or leads.as_of >= served.facts["as_of"]
    if served is not None and is_later and not retrain:
        tried = registry.newest_try(ESTIMATOR_NAME) or served.facts
        if not _is_outgrown(served, tried, leads, horizon, rules):
            return served, served.facts, False
    training = train(leads, horizon, rules, read_deals(con, leads))
    if training.estimate is None or training.method is None:
        facts = {
            "outcome": training.outcome,
            "leads": training.leads,
            "conversions": training.conversions,
            "evaluation": training.evaluation,
        }
        return None, facts, True
    artifact = _save(registry, leads, horizon, training, training.estimate, now, rules)
    challenger = opened(artifact)
    if not is_later:
        return challenger, challenger.facts, True
    decided = _decide(leads, horizon, served, challenger, rules)
    promoted, _ = registry.settle(ESTIMATOR_NAME, artifact.version, decided, now=now)
    if promoted:
        return challenger, challenger.facts, True
    return served, served.facts if served else {"outcome": "retired"}, True


def _decide(
    leads: LeadTable,
    horizon: int,
    champion: Served | None,
    challenger: Served,
    rules: LeadRules | None,
) -> tuple[bool, Reason]:
    """Whether a new fit serves, and why.

    Compared are the challenger's folds cut no earlier than the day the champion looked from: an
    older one would not know outcomes that the champion has learned from. Without conversions
    enough in those, the champion stays.
    """
    if champion is None:
        return True, Reason("nothing_served")
    if champion.version == challenger.version:
        return True, Reason("same_version")
    changed = _changed(champion, leads, horizon, rules)
    if changed is not None:
        return True, changed
    folds = [fold for fold in challenger.folds if fold.cut >= champion.facts["as_of"]]
    newest = _newest_leads(leads, horizon, folds)
    truth = newest.converts_within(horizon)
    positives = int(min(truth.sum(), (~truth).sum()))
    if positives < CONVERSIONS_TO_TEST:
        values = {"positives": positives, "rows": len(newest), "needed": CONVERSIONS_TO_TEST}
        return False, Reason("too_few_since", values)
    challenge = np.zeros(len(newest))
    for fold in folds:
        rows = (newest.created_at > fold.cut) & (newest.created_at <= fold.until)
        if rows.any():
            challenge[rows] = expit(fold.estimate.logit(newest.take(rows)))
    said = expit(champion.estimate.logit(newest))
    day = _date_of(float(newest.created_at[0])).isoformat()
    return contest(truth, challenge, said, version=champion.version, day=day)


def _newest_leads(leads: LeadTable, horizon: int, folds: Sequence[Fold]) -> LeadTable:
    """Decided leads that some of the challenger's folds have scored."""
    tested = np.zeros(len(leads), dtype=bool)
    for fold in folds:
        tested |= (leads.created_at > fold.cut) & (leads.created_at <= fold.until)
    return leads.take(tested & (leads.created_at <= leads.as_of - horizon))


def _changed(
    served: Served, leads: LeadTable, horizon: int, rules: LeadRules | None
) -> Reason | None:
    """What makes a served score answer another question, or read other things."""
    facts = served.facts
    if facts["horizon_days"] != horizon:
        return Reason("question_changed")
    if facts["columns"] != [feature.name for feature in leads.features]:
        return Reason("fields_changed")
    if facts["rules"] != (None if rules is None else rules.as_json()):
        return Reason("rules_changed")
    return None


def _is_outgrown(
    served: Served,
    tried: dict[str, Any],
    leads: LeadTable,
    horizon: int,
    rules: LeadRules | None,
) -> bool:
    if _changed(served, leads, horizon, rules) is not None:
        return True
    return _ripe(leads, horizon) > GROWTH_BEFORE_RETRAINING * int(tried["ripe_leads"])


def _ripe(leads: LeadTable, horizon: int) -> int:
    """Leads whose horizon is over."""
    return int((leads.created_at <= leads.as_of - horizon).sum())


def _save(
    registry: Registry,
    leads: LeadTable,
    horizon: int,
    training: Training,
    estimate: LeadEstimate,
    now: datetime,
    rules: LeadRules | None,
) -> Artifact:
    estimates = [estimate, *(fold.estimate for fold in training.folds)]
    content: dict[str, Any] = {
        "recipe": RECIPE,
        "outcome": training.outcome,
        "method": training.method,
        "as_of": leads.as_of,
        "horizon_days": horizon,
        "window": list(training.window),
        "leads": training.leads,
        "conversions": training.conversions,
        "ripe_leads": _ripe(leads, horizon),
        "base_logit": round(training.base_logit, 12),
        "logit_slope": training.evaluation.get("logit_slope", 1.0),
        "learned_weight": estimate.learned_weight,
        "columns": [feature.name for feature in leads.features],
        "refused": [
            {"feature": one.feature, "field": one.field, "known_at": one.known_at,
             "source": one.source}
            for one in leads.refused
        ],
        "rules": None if rules is None else rules.as_json(),
        "features": estimate.parts[0].encoder.as_json()
        if not estimate.parts[0].is_rules
        else [],
        "open_share": estimate.open_share.tolist(),
        "deals": estimate.deals.as_json() if estimate.deals else None,
        "estimates": [_described(one) for one in estimates],
        "folds": [{"cut": fold.cut, "until": fold.until} for fold in training.folds],
        "trusted_types": list(TRUSTED_TYPES),
    }  # fmt: skip
    return registry.keep(
        ESTIMATOR_NAME,
        training.method or "",
        [_fitted(one) for one in estimates],
        content=content,
        evaluation=training.evaluation,
        card=model_card,
        now=now,
        tables=[
            [_tables(part.scorer) for part in one.parts]
            + ([one.deals.scorer.effects_.tolist()] if one.deals and one.deals.scorer else [])
            for one in estimates
        ],
    )


def _described(estimate: LeadEstimate) -> dict[str, Any]:
    """An estimate without its fitted estimators."""
    return {
        "parts": [
            {"features": part.encoder.as_json(), "weight": part.weight} for part in estimate.parts
        ],
        "deals": estimate.deals.as_json() if estimate.deals else None,
    }


def _fitted(estimate: LeadEstimate) -> dict[str, Any]:
    deals = estimate.deals.scorer if estimate.deals else None
    return {"parts": [part.scorer for part in estimate.parts], "deals": deals}


def _tables(scorer: AdditiveClassifier) -> list[Any]:
    return [
        scorer.intercept_,
        [edges.tolist() for edges in scorer.edges_],
        [values.tolist() for values in scorer.values_],
        scorer.missing_.tolist(),
    ]


def opened(artifact: Artifact) -> Served:
    """A version of the lead score, ready to score."""
    facts = artifact.facts
    if facts.get("recipe") != RECIPE:
        raise ArtifactError(
            "it was learned in the manner of another release",
            where=str(artifact.folder),
            remedy="train again",
        )
    open_share = np.asarray(facts["open_share"], dtype=np.float64)
    estimates = [
        _estimate_of(described, fitted, open_share)
        for described, fitted in zip(
            facts["estimates"], artifact.estimator(TRUSTED_TYPES), strict=True
        )
    ]
    folds = tuple(
        Fold(fold["cut"], fold["until"], estimate)
        for fold, estimate in zip(facts["folds"], estimates[1:], strict=True)
    )
    return Served(artifact.version, facts, estimates[0], folds)


def _estimate_of(
    described: dict[str, Any], fitted: dict[str, Any], open_share: FloatArray
) -> LeadEstimate:
    parts = tuple(
        Part(FeatureEncoder.from_json(part["features"]), scorer, part["weight"])
        for part, scorer in zip(described["parts"], fitted["parts"], strict=True)
    )
    told = described["deals"]
    deals = DealEstimate.from_json(told, fitted["deals"]) if told else None
    return LeadEstimate(parts, open_share, deals)


def _score(
    leads: LeadTable, served: Served, as_of: date, time_zone: str, horizon: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The open leads' scores, and the decided ones'."""
    age = leads.as_of - leads.created_at
    is_open = ~leads.is_converted & (age <= horizon)
    open_leads = _scored_part(
        leads, is_open, served.estimate, served, ages=age, as_of=as_of, zone=time_zone
    )
    parts = [_no_scores()]
    groups = [(fold.cut, fold.until, fold.estimate) for fold in served.folds]
    groups.append((served.learned_until, np.inf, served.estimate))
    for cut, until, estimate in groups:
        rows = ~is_open & (leads.created_at > cut) & (leads.created_at <= until)
        parts.append(
            _scored_part(leads, rows, estimate, served, ages=None, as_of=None, zone=time_zone)
        )
    return open_leads, pl.concat(parts)


SCHEMA: dict[str, Any] = {
    "source": pl.String,
    "lead_id": pl.String,
    "as_of": pl.Date,
    "conversion_probability": pl.Float64,
    "lead_grade": pl.String,
    "reasons": pl.String,
    "learned_probability": pl.Float64,
    "rule_probability": pl.Float64,
    "learned_weight": pl.Float64,
    "fit_points": pl.Int64,
    "behaviour_points": pl.Int64,
    "expected_deal_amount": pl.Float64,
    "expected_value_amount": pl.Float64,
    "estimator_version": pl.String,
}


def _no_scores() -> pl.DataFrame:
    return pl.DataFrame(schema=SCHEMA)


def _scored_part(
    leads: LeadTable,
    rows: npt.NDArray[np.bool_],
    estimate: LeadEstimate,
    served: Served,
    *,
    ages: FloatArray | None,
    as_of: date | None,
    zone: str,
) -> pl.DataFrame:
    """Scores and reasons of some leads; with ``ages``, of leads open for so many days."""
    some = leads.take(rows)
    count = len(some)
    if count == 0:
        return _no_scores()
    contributions = estimate.contributions(some)
    names = estimate.names
    values = some.frame.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    by_age = np.zeros(count)
    if ages is not None:
        by_age = estimate.age_contribution(ages[rows])
        contributions = np.column_stack((contributions, by_age))
        names = [*names, AGE_FEATURE]
        values = values.with_columns(pl.Series(AGE_FEATURE, np.floor(ages[rows])))
    logit = contributions.sum(axis=1) + estimate.intercept
    probability = expit(logit)
    parts = {part.is_rules: expit(part.logit(some) + by_age) for part in estimate.parts}
    ordinary = float(expit(served.facts["base_logit"]))
    deal = None if estimate.deals is None else estimate.deals.amounts(some)
    worth = probability / ordinary
    if deal is not None and estimate.deals is not None:
        worth = worth * deal / estimate.deals.ordinary
    grades = np.full(count, "E")
    for grade, least in reversed(GRADES):
        grades[worth >= least] = grade
    stated = served.facts["rules"]
    rules = stated["rules"] if stated else {}

    def same(value: Any, kind: Any) -> pl.Series:
        return pl.Series([value], dtype=kind).new_from_index(0, count)

    def points(part: str) -> pl.Series:
        if not stated:
            return same(None, pl.Int64)
        met = [
            some.frame[name].to_numpy() * rule["points"]
            for name, rule in rules.items()
            if name.startswith(part)
        ]
        return pl.Series(np.sum(met, axis=0) if met else np.zeros(count)).cast(pl.Int64)

    return pl.DataFrame(
        {
            "source": some.frame["source"],
            "lead_id": some.frame["lead_id"],
            "as_of": same(as_of, pl.Date) if as_of else _days_of(some.created_at, zone),
            "conversion_probability": np.round(probability, 9),
            "lead_grade": grades,
            "reasons": reasons_json(contributions, names, values, rules),
            "learned_probability": np.round(parts[False], 9)
            if False in parts
            else same(None, pl.Float64),
            "rule_probability": np.round(parts[True], 9)
            if True in parts
            else same(None, pl.Float64),
            "learned_weight": same(estimate.learned_weight, pl.Float64),
            "fit_points": points("fit"),
            "behaviour_points": points("behaviour"),
            "expected_deal_amount": same(None, pl.Float64) if deal is None else np.round(deal, 4),
            "expected_value_amount": same(None, pl.Float64)
            if deal is None
            else np.round(probability * deal, 4),
            "estimator_version": same(served.version, pl.String),
        },
        schema=SCHEMA,
    )


def _date_of(moment: float) -> date:
    return date(1970, 1, 1) + timedelta(days=int(moment))


def _days_of(moments: FloatArray, time_zone: str) -> pl.Series:
    microseconds = pl.Series(np.round(moments * 86_400_000_000).astype(np.int64))
    utc = microseconds.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return utc.dt.convert_time_zone(time_zone).dt.date()


def _write(con: duckdb.DuckDBPyConnection, scored: pl.DataFrame) -> None:
    con.register("_lead_scores", scored.to_arrow())
    try:
        with transaction(con):
            con.execute("create schema if not exists scores")
            con.execute("create or replace table scores.lead_scores as from _lead_scores")
    finally:
        con.unregister("_lead_scores")
