"""Whether scores can still be believed: drift, coverage, and past scores against what came.

Scores are kept as they were given, a file a week and score under ``artifacts/<name>/history``:
once their horizon is over they are compared with the outcome. Drift is the population stability
index of today's features and scores against those of the day on which the version was learned.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl

from models.encoding import Kind
from models.measures import lift, measure, population_stability, rounded

__all__ = [
    "DRIFT_LIMIT",
    "Check",
    "History",
    "drift_checks",
    "follow",
    "has_moved_too_far",
    "outcome_checks",
    "reference_of",
    "write_checks",
]

FloatArray = npt.NDArray[np.float64]

DRIFT_LIMIT = 0.25
"""PSI from which an alert is raised."""

REFUSAL_LIMIT = 1.0
"""PSI of a score from which the scores before stay."""

CALIBRATION_LIMIT = 0.05
HELD = "held_back"
"""The check that says that today's scores were not used."""

LEAST_TO_HOLD = 100
"""Scores from which their distribution says enough to hold them back."""

COVERAGE_LIMIT = 0.5
CLASSES = 10
MOST_CATEGORIES = 30
LATE_DAYS = 7
"""An outcome is looked at no later than so many days after its horizon."""

SCHEMA = """score varchar, as_of date, estimator_version varchar, measure varchar, subject varchar,
    value double, limit_value double, is_alert boolean"""


@dataclass(frozen=True)
class Check:
    """One figure about a score; ``subject`` is a feature or the day of past scores."""

    score: str
    as_of: date
    estimator_version: str
    measure: str
    value: float
    limit: float | None = None
    subject: str | None = None
    is_alert: bool = False


def write_checks(con: duckdb.DuckDBPyConnection, checks: Iterable[Check]) -> None:
    """Write ``scores.score_checks`` anew."""
    con.execute("create schema if not exists scores")
    con.execute(f"create or replace table scores.score_checks ({SCHEMA})")
    rows = [
        (
            one.score, one.as_of, one.estimator_version, one.measure, one.subject, one.value,
            one.limit, one.is_alert,
        )
        for one in checks
    ]  # fmt: skip
    if rows:
        con.executemany("insert into scores.score_checks values (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def write_verdicts(
    con: duckdb.DuckDBPyConnection,
    as_of: date,
    verdicts: Iterable[tuple[str, str, int, Mapping[str, Any]]],
) -> None:
    """Write ``scores.score_verdicts`` anew: why each score serves, or does not.

    Of each score the verdict's code, how many were scored, and what its sentence is told from;
    where something was scored, its version says that already.
    """
    con.execute("create schema if not exists scores")
    con.execute("""
        create or replace table scores.score_verdicts (
            score varchar, as_of date, outcome varchar, scored bigint, facts varchar
        )
    """)
    for score, outcome, scored, facts in verdicts:
        told = json.dumps({} if scored else facts, sort_keys=True, default=str)
        con.execute(
            "insert into scores.score_verdicts values (?, ?, ?, ?, ?)",
            [score, as_of, outcome, scored, told],
        )


def reference_of(
    frame: pl.DataFrame, kinds: Mapping[str, Kind], score: FloatArray
) -> dict[str, Any]:
    """The distributions of features and scores, to compare later ones with."""
    features = {name: _classes(frame[name], kind) for name, kind in kinds.items()}
    return {"score": _classes(pl.Series(score), "number"), "features": features}


def drift_checks(
    score_name: str,
    version: str,
    as_of: date,
    reference: Mapping[str, Any],
    frame: pl.DataFrame,
    score: FloatArray,
) -> list[Check]:
    """PSI of the scores and of each feature, and the share of missing values."""
    if len(score) == 0 or not reference:
        return []
    found = [_drift(score_name, version, as_of, "score_drift", None, reference["score"], score)]
    for name, classes in reference["features"].items():
        if name not in frame.columns:
            continue
        column = frame[name]
        found.append(_drift(score_name, version, as_of, "feature_drift", name, classes, column))
        missing = rounded(column.null_count() / len(column))
        found.append(Check(score_name, as_of, version, "missing_share", missing, None, name))
    return found


def _drift(
    score_name: str,
    version: str,
    as_of: date,
    kind: str,
    subject: str | None,
    classes: Mapping[str, Any],
    values: pl.Series | FloatArray,
) -> Check:
    column = values if isinstance(values, pl.Series) else pl.Series(values)
    psi = population_stability(classes["shares"], _shares(column, classes))
    return Check(score_name, as_of, version, kind, psi, DRIFT_LIMIT, subject, psi > DRIFT_LIMIT)


def _classes(column: pl.Series, kind: Kind) -> dict[str, Any]:
    if kind == "number":
        known = column.cast(pl.Float64).drop_nulls().drop_nans().to_numpy()
        cuts = np.arange(1, CLASSES) / CLASSES
        edges = np.unique(np.quantile(known, cuts)) if len(known) else np.empty(0)
        classes: dict[str, Any] = {"kind": kind, "edges": edges.tolist()}
    else:
        counts = (
            column.drop_nulls()
            .value_counts()
            .sort(["count", column.name], descending=[True, False])
        )
        values = [str(value) for value in counts[column.name].head(MOST_CATEGORIES)]
        classes = {"kind": kind, "values": values}
    return classes | {"shares": _shares(column, classes)}


def _shares(column: pl.Series, classes: Mapping[str, Any]) -> list[float]:
    """Shares of the classes, of what is in none, and of what is missing."""
    if classes["kind"] == "number":
        values = column.cast(pl.Float64).fill_null(np.nan).to_numpy()
        known = values[~np.isnan(values)]
        edges = np.asarray(classes["edges"])
        counts = np.bincount(np.searchsorted(edges, known, side="left"), minlength=len(edges) + 1)
        missing = len(values) - len(known)
    else:
        found = dict(column.drop_nulls().cast(pl.String).value_counts().rows())
        inside = [int(found.get(value, 0)) for value in classes["values"]]
        missing = column.null_count()
        counts = np.array([*inside, len(column) - sum(inside) - missing])
    total = max(len(column), 1)
    return [rounded(count / total) for count in (*counts.tolist(), missing)]


class History:
    """The scores of one estimator as they were given: a file a week, by the day looked from."""

    def __init__(self, root: Path, name: str) -> None:
        self.folder = root / name / "history"

    def keep(self, as_of: date, scores: pl.DataFrame, *, always: bool = False) -> bool:
        """Keep ``id``, ``probability`` and ``estimator_version``, once a week unless told."""
        days = self.days()
        if not always and days and as_of < days[-1] + timedelta(days=7):
            return False
        self.folder.mkdir(parents=True, exist_ok=True)
        target = self.folder / f"{as_of.isoformat()}.parquet"
        draft = target.with_suffix(".writing")
        scores.sort("id").write_parquet(draft, compression="zstd")
        draft.replace(target)
        return True

    def days(self) -> list[date]:
        return sorted(date.fromisoformat(path.stem) for path in self.folder.glob("*.parquet"))

    def read(self, day: date) -> pl.DataFrame:
        return pl.read_parquet(self.folder / f"{day.isoformat()}.parquet")

    def first_of(self, version: str) -> date | None:
        """The first day on which a version scored."""
        for day in self.days():
            head = pl.scan_parquet(self.folder / f"{day.isoformat()}.parquet").head(1).collect()
            if head.height and head["estimator_version"][0] == version:
                return day
        return None

    def due(self, as_of: date, horizon_days: int) -> date | None:
        """The newest day whose horizon ended on ``as_of`` or in the week before."""
        ended = [day for day in self.days() if day + timedelta(days=horizon_days) <= as_of]
        newest = max(ended, default=None)
        if newest is None or newest + timedelta(days=horizon_days + LATE_DAYS) < as_of:
            return None
        return newest


def follow(
    history: History,
    score_name: str,
    as_of: date,
    horizon_days: int,
    given: pl.DataFrame,
    came: Callable[[date], pl.Series],
) -> list[Check]:
    """Compare today's scores with the first of their version, and past ones with what came.

    Keeps today's for later, unless they moved too far. ``given`` has ``id``, ``probability`` and
    ``estimator_version``; ``came`` tells the ids for whom the outcome came after scores of a day.
    """
    checks: list[Check] = []
    due = history.due(as_of, horizon_days)
    if due is not None:
        checks += outcome_checks(score_name, as_of, due, history.read(due), came(due))
    if given.height == 0:
        return checks
    version = str(given["estimator_version"][0])
    first = history.first_of(version)
    if first is not None and first != as_of:
        reference = reference_of(pl.DataFrame(), {}, history.read(first)["probability"].to_numpy())
        said = given["probability"].to_numpy()
        checks += drift_checks(score_name, version, as_of, reference, pl.DataFrame(), said)
        moved = checks[-1].value
        if moved > REFUSAL_LIMIT and given.height >= LEAST_TO_HOLD:
            held = Check(score_name, as_of, version, HELD, moved, REFUSAL_LIMIT, is_alert=True)
            return [*checks, held]
    history.keep(as_of, given)
    checks.append(Check(score_name, as_of, version, "scored", float(given.height)))
    return checks


def has_moved_too_far(checks: Iterable[Check]) -> bool:
    """Whether scores moved so far from the first of their version that those before stay."""
    return any(check.measure == HELD for check in checks)


def outcome_checks(
    score_name: str, as_of: date, day: date, past: pl.DataFrame, came: Sequence[str] | pl.Series
) -> list[Check]:
    """Past scores of ``day`` against the ids for whom the outcome came by the horizon."""
    if past.height == 0:
        return []
    truth = past["id"].is_in(pl.Series(came, dtype=pl.String).implode()).to_numpy()
    said = past["probability"].to_numpy()
    version = str(past["estimator_version"][0])
    figures = measure(truth, said)
    subject = day.isoformat()
    top = lift(truth, said, (0.1,))[0]["precision"]
    rate = figures["observed_rate"]
    told = {
        "past_predicted_rate": figures["predicted_rate"],
        "past_observed_rate": rate,
        "past_brier": figures["brier"],
    }
    if figures["auc"] is not None:
        told["past_auc"] = figures["auc"]
    if rate > 0:
        told["past_top_tenth_lift"] = rounded(top / rate)
    checks = [
        Check(score_name, as_of, version, name, value, None, subject)
        for name, value in told.items()
    ]
    error = figures["calibration_error"]
    noise = 2 * float(np.sqrt(max(rate * (1 - rate), 1e-9) * 10 / past.height))
    limit = rounded(max(CALIBRATION_LIMIT, noise))
    checks.append(
        Check(
            score_name, as_of, version, "past_calibration_error", error, limit, subject,
            error > limit,
        )
    )  # fmt: skip
    return checks
