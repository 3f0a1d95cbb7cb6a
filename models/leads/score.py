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
import math
from collections.abc import Sequence
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
from models.encoding import FeatureEncoder
from models.leads.features import LeadTable, read_leads
from models.leads.training import Fold, LeadEstimate, Training, train
from models.leads.words import AGE_FEATURE, model_card, verdict_sentence
from models.registry import Artifact, Registry
from models.scorecard import AdditiveClassifier

__all__ = ["ESTIMATOR_NAME", "LeadScoreReport", "score_leads"]

FloatArray = npt.NDArray[np.float64]

ESTIMATOR_NAME = "lead_score"
TRUSTED_TYPES = (
    "models.scorecard.BaseRateScorer",
    "models.scorecard.AdditiveScorer",
)

GROWTH_BEFORE_RETRAINING = 1.2
RECIPE = 1
"""Raised when the way of learning changes, so that what serves is learned anew."""

GRADES: tuple[tuple[str, float], ...] = (("A", 0.7), ("B", 0.25), ("C", -0.25), ("D", -0.7))
"""Grade and the least log-odds, against the average lead's, that earn it; E below."""

REASONS_PER_SIDE = 3
LEAST_REASON = 0.0005


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


@dataclass(frozen=True)
class _Served:
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
) -> LeadScoreReport:
    """Write ``scores.lead_scores``, one row per source and lead with a sound score.

    Reads ``marts.lead_features``. Trains when nothing serves, when what serves does not fit the
    settings or the columns any more, when the leads with a known outcome grew by a fifth, or when
    asked. A day before the one that the served estimator looked from gets an estimator of its
    own, kept but not promoted, because the served one knows what came later.

    Parameters
    ----------
    as_of
        Day looked from, included, in the workspace's time zone.
    now
        Written into the artifact; changes no score.
    extra_features
        Columns beyond the allow-list that are known when a lead comes in.

    Raises
    ------
    SettingsError
        When ``extra_features`` names a column filled later.
    """
    moment = _end_of(as_of, settings.time_zone)
    horizon = settings.lead_scoring.horizon_days
    leads = read_leads(con, moment, extra_features)
    registry = Registry(artifacts_dir)
    with threadpool_limits(limits=1, user_api="openmp"):
        served, facts, trained = _estimator(leads, horizon, registry, now, retrain)
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
    )


def _end_of(day: date, time_zone: str) -> float:
    """The end of a day in a time zone, in days since 1970-01-01 UTC."""
    midnight = datetime.combine(day + timedelta(days=1), time(), tzinfo=ZoneInfo(time_zone))
    return (midnight - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(days=1)


def _estimator(
    leads: LeadTable, horizon: int, registry: Registry, now: datetime, retrain: bool
) -> tuple[_Served | None, dict[str, Any], bool]:
    served = None if retrain else registry.usable(ESTIMATOR_NAME, _opened)
    promote = True
    if served is not None:
        promote = leads.as_of >= served.facts["as_of"]
        if promote and not _is_outgrown(served, leads, horizon):
            return served, served.facts, False
    training = train(leads, horizon)
    if training.estimate is None or training.method is None:
        facts = {
            "outcome": training.outcome,
            "leads": training.leads,
            "conversions": training.conversions,
            "evaluation": training.evaluation,
        }
        return None, facts, True
    artifact = _save(registry, leads, horizon, training, training.estimate, now)
    if promote:
        reason = verdict_sentence(training.outcome, artifact.facts, "en")
        registry.promote(ESTIMATOR_NAME, artifact.version, reason=reason, now=now)
    opened = _opened(artifact)
    return opened, opened.facts, True


def _is_outgrown(served: _Served, leads: LeadTable, horizon: int) -> bool:
    facts = served.facts
    if facts["horizon_days"] != horizon or facts["recipe"] != RECIPE:
        return True
    if facts["columns"] != [feature.name for feature in leads.features]:
        return True
    ripe = int((leads.created_at <= leads.as_of - horizon).sum())
    return ripe > GROWTH_BEFORE_RETRAINING * int(facts["ripe_leads"])


def _save(
    registry: Registry,
    leads: LeadTable,
    horizon: int,
    training: Training,
    estimate: LeadEstimate,
    now: datetime,
) -> Artifact:
    scorers = [estimate.scorer, *(fold.estimate.scorer for fold in training.folds)]
    content: dict[str, Any] = {
        "recipe": RECIPE,
        "outcome": training.outcome,
        "method": training.method,
        "as_of": leads.as_of,
        "horizon_days": horizon,
        "window": list(training.window),
        "leads": training.leads,
        "conversions": training.conversions,
        "ripe_leads": int((leads.created_at <= leads.as_of - horizon).sum()),
        "base_logit": round(training.base_logit, 12),
        "logit_slope": training.evaluation.get("logit_slope", 1.0),
        "columns": [feature.name for feature in leads.features],
        "features": estimate.encoder.as_json(),
        "open_share": estimate.open_share.tolist(),
        "folds": [
            {
                "cut": fold.cut,
                "until": fold.until,
                "features": fold.estimate.encoder.as_json(),
            }
            for fold in training.folds
        ],
        "trusted_types": list(TRUSTED_TYPES),
    }
    return registry.keep(
        ESTIMATOR_NAME,
        training.method or "",
        scorers,
        content=content,
        evaluation=training.evaluation,
        card=model_card,
        now=now,
        tables=[_tables(scorer) for scorer in scorers],
    )


def _tables(scorer: AdditiveClassifier) -> list[Any]:
    return [
        scorer.intercept_,
        [edges.tolist() for edges in scorer.edges_],
        [values.tolist() for values in scorer.values_],
        scorer.missing_.tolist(),
    ]


def _opened(artifact: Artifact) -> _Served:
    facts = artifact.facts
    scorers = artifact.estimator(TRUSTED_TYPES)
    open_share = np.asarray(facts["open_share"], dtype=np.float64)
    folds = tuple(
        Fold(
            fold["cut"],
            fold["until"],
            LeadEstimate(FeatureEncoder.from_json(fold["features"]), scorer, open_share),
        )
        for fold, scorer in zip(facts["folds"], scorers[1:], strict=True)
    )
    estimate = LeadEstimate(FeatureEncoder.from_json(facts["features"]), scorers[0], open_share)
    return _Served(artifact.version, facts, estimate, folds)


def _score(
    leads: LeadTable, served: _Served, as_of: date, time_zone: str, horizon: int
) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The open leads' scores, and the decided ones'."""
    age = leads.as_of - leads.created_at
    is_open = ~leads.is_converted & (age <= horizon)
    open_leads = _scored_part(
        leads, is_open, served.estimate, served, ages=age, as_of=as_of, zone=time_zone
    )
    parts = []
    groups = [(fold.cut, fold.until, fold.estimate) for fold in served.folds]
    groups.append((served.learned_until, np.inf, served.estimate))
    for cut, until, estimate in groups:
        rows = ~is_open & (leads.created_at > cut) & (leads.created_at <= until)
        parts.append(
            _scored_part(leads, rows, estimate, served, ages=None, as_of=None, zone=time_zone)
        )
    return open_leads, pl.concat(parts)


def _no_scores() -> pl.DataFrame:
    return pl.DataFrame(
        schema={
            "source": pl.String,
            "lead_id": pl.String,
            "as_of": pl.Date,
            "conversion_probability": pl.Float64,
            "lead_grade": pl.String,
            "reasons": pl.String,
            "estimator_version": pl.String,
        }
    )


def _scored_part(
    leads: LeadTable,
    rows: npt.NDArray[np.bool_],
    estimate: LeadEstimate,
    served: _Served,
    *,
    ages: FloatArray | None,
    as_of: date | None,
    zone: str,
) -> pl.DataFrame:
    """Scores and reasons of some leads; with ``ages``, of leads open for so many days."""
    some = leads.take(rows)
    if len(some) == 0:
        return _no_scores()
    contributions = estimate.contributions(some)
    names = estimate.encoder.names
    logit = contributions.sum(axis=1) + estimate.scorer.intercept_
    values = some.frame.with_row_index("row").with_columns(pl.col("row").cast(pl.Int64))
    if ages is not None:
        by_age = estimate.age_contribution(ages[rows])
        logit = logit + by_age
        contributions = np.column_stack((contributions[:, : len(names)], by_age))
        names = [*names, AGE_FEATURE]
        values = values.with_columns(pl.Series(AGE_FEATURE, np.floor(ages[rows])))
    lift = logit - float(served.facts["base_logit"])
    grades = np.full(len(some), "E")
    for grade, least in reversed(GRADES):
        grades[lift >= least] = grade
    days = (
        pl.Series([as_of]).new_from_index(0, len(some))
        if as_of is not None
        else _days_of(some.created_at, zone)
    )
    return pl.DataFrame(
        {
            "source": some.frame["source"],
            "lead_id": some.frame["lead_id"],
            "as_of": days,
            "conversion_probability": np.round(expit(logit), 9),
            "lead_grade": grades,
            "reasons": _reasons(contributions[:, : len(names)], names, values),
            "estimator_version": pl.Series([served.version]).new_from_index(0, len(some)),
        }
    )


def _days_of(moments: FloatArray, time_zone: str) -> pl.Series:
    microseconds = pl.Series(np.round(moments * 86_400_000_000).astype(np.int64))
    utc = microseconds.cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
    return utc.dt.convert_time_zone(time_zone).dt.date()


def _reasons(contributions: FloatArray, names: list[str], values: pl.DataFrame) -> pl.Series:
    """The strongest reasons up, then down, of each row, as JSON."""
    count = len(contributions)
    if not names:
        return pl.Series(["[]"]).new_from_index(0, count)
    order = np.argsort(-contributions, axis=1, kind="stable")
    place = np.empty_like(order)
    np.put_along_axis(place, order, np.arange(len(names))[None, :], axis=1)
    from_below = len(names) - 1 - place
    told = ((contributions > LEAST_REASON) & (place < REASONS_PER_SIDE)) | (
        (contributions < -LEAST_REASON) & (from_below < REASONS_PER_SIDE)
    )
    frames = []
    for at, name in enumerate(names):
        rows = np.flatnonzero(told[:, at])
        side = np.where(contributions[rows, at] > 0, place[rows, at], 1000 + from_below[rows, at])
        frames.append(
            pl.DataFrame(
                {
                    "row": rows,
                    "rank": side,
                    "reason": pl.Series(
                        _reason_texts(name, values[name].gather(rows), contributions[rows, at]),
                        dtype=pl.String,
                    ),
                }
            )
        )
    texts = (
        pl.concat(frames)
        .sort("row", "rank")
        .group_by("row", maintain_order=True)
        .agg(pl.col("reason").str.join(", "))
    )
    joined = pl.DataFrame({"row": np.arange(count)}).join(texts, on="row", how="left")
    return "[" + joined.sort("row")["reason"].fill_null("") + "]"


def _reason_texts(name: str, values: pl.Series, contributions: FloatArray) -> list[str]:
    distinct: dict[Any, str] = {value: _json_value(value) for value in values.unique().to_list()}
    quoted = json.dumps(name)
    return [
        f'{{"feature": {quoted}, "value": {distinct[value]}, "contribution": {contribution:.6f}}}'
        for value, contribution in zip(values.to_list(), contributions.tolist(), strict=True)
    ]


def _json_value(value: Any) -> str:
    if isinstance(value, float):
        value = int(value) if value.is_integer() else value if math.isfinite(value) else None
    return json.dumps(value, ensure_ascii=False)


def _write(con: duckdb.DuckDBPyConnection, scored: pl.DataFrame) -> None:
    con.register("_lead_scores", scored.to_arrow())
    con.execute("begin transaction")
    try:
        con.execute("create schema if not exists scores")
        con.execute("""
            create or replace table scores.lead_scores as
            select source::varchar as source, lead_id::varchar as lead_id, as_of::date as as_of,
                conversion_probability::double as conversion_probability,
                lead_grade::varchar as lead_grade, reasons::varchar as reasons,
                estimator_version::varchar as estimator_version
            from _lead_scores
        """)
        con.execute("commit")
    except BaseException:
        con.execute("rollback")
        raise
    finally:
        con.unregister("_lead_scores")
