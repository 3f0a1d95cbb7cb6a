"""Lookalikes of a segment: everybody else, by how much they are like its members.

The ranker may not look at what defines the segment: fields that its rule tests are left out, and so
is whatever tells members by itself. A customer is scored by an estimator that did not see them.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import duckdb
import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import roc_auc_score
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from models.encoding import FeatureEncoder, Kind, kind_of
from models.measures import rounded
from models.propensity.screening import too_good
from models.propensity.training import BINS, NOT_FEATURES
from models.scorecard import AdditiveScorer, level_shift, platt_slope
from models.sqlscore import identifier

__all__ = ["Lookalikes", "find_lookalikes"]

FloatArray = npt.NDArray[np.float64]

PARTS = 3
LEAST_MEMBERS = 50
SIZES = (100, 250, 500, 1000, 2500, 5000, 10_000, 25_000, 50_000, 100_000)


@dataclass(frozen=True)
class Lookalikes:
    """Who is not in a segment, the likest first, and what to expect at each size."""

    outcome: str
    """``ranked``, or ``too_few_members``, ``nobody_else``, ``nothing_to_go_by``."""
    members: int
    ranked: pl.DataFrame
    """customer_id, probability: how often customers of such a score are members."""
    auc: float | None = None
    expected: tuple[dict[str, float], ...] = ()
    """Per size: the mean probability of the first so many, and how often it exceeds chance."""
    left_out: tuple[str, ...] = ()


def find_lookalikes(
    con: duckdb.DuckDBPyConnection,
    members: Collection[str],
    relation: str,
    tested: Collection[str] = (),
) -> Lookalikes:
    """Rank who is not among ``members``.

    Parameters
    ----------
    relation
        A table of customer features; a name that the program states.
    tested
        Fields that the segment's rule tests.
    """
    columns = con.sql(f"select column_name, column_type from (describe {relation})").fetchall()
    kinds: dict[str, Kind] = {
        name: kind_of(kind)
        for name, kind in columns
        if name not in NOT_FEATURES and name not in tested
    }
    selected = [
        f"try_cast({identifier(name)} as {'double' if kind == 'number' else 'varchar'})"
        f" as {identifier(name)}"
        for name, kind in kinds.items()
    ]
    frame: pl.DataFrame = con.sql(
        f"select {', '.join(['customer_id', *selected])} from {relation} order by customer_id"
    ).pl()
    inside = frame["customer_id"].is_in(pl.Series(list(members), dtype=pl.String).implode())
    label = inside.to_numpy()
    nobody = pl.DataFrame(schema={"customer_id": pl.String, "probability": pl.Float64})
    count = int(label.sum())
    if count < LEAST_MEMBERS:
        return Lookalikes("too_few_members", count, nobody)
    if count == len(label):
        return Lookalikes("nobody_else", count, nobody)
    left_out = too_good(frame, label, kinds)
    kinds = {name: kind for name, kind in kinds.items() if name not in left_out}
    encoder = FeatureEncoder.fit(frame, kinds, max_categories=BINS - 1)
    if not encoder.features:
        return Lookalikes("nothing_to_go_by", count, nobody, left_out=tuple(sorted(left_out)))
    with threadpool_limits(limits=1):
        probability = _unseen(encoder, frame, label)
    others = frame.select("customer_id").with_columns(probability=probability.round(9))
    others = others.filter(~inside).sort("probability", "customer_id", descending=[True, False])
    rate = others["probability"].mean()
    expected = tuple(
        {
            "size": float(size),
            "precision": rounded(others["probability"].head(size).mean()),
            "lift": rounded(
                float(others["probability"].head(size).mean()) / max(float(rate), 1e-12)  # type: ignore[arg-type]
            ),
        }
        for size in (*(each for each in SIZES if each < others.height), others.height)
    )
    area = rounded(roc_auc_score(label, probability))
    return Lookalikes("ranked", count, others, area, expected, tuple(sorted(left_out)))


def _unseen(
    encoder: FeatureEncoder, frame: pl.DataFrame, label: npt.NDArray[np.bool_]
) -> FloatArray:
    """Each customer's probability by an estimator learned from the others, calibrated."""
    matrix = encoder.encode(frame)
    part = (frame["customer_id"].hash(seed=1) % PARTS).to_numpy()
    logits = np.zeros(len(label))
    for number in range(PARTS):
        rest = part != number
        scorer = AdditiveScorer(
            categorical_features=encoder.categorical or None, max_bins=BINS, random_state=0
        ).fit(matrix[rest], label[rest])
        logits[~rest] = scorer.decision_function(matrix[~rest])
    target, weights = label.astype(np.int64), np.ones(len(label))
    slope = platt_slope(logits, target, weights)
    shift = level_shift(slope * logits, target, weights)
    return np.asarray(1 / (1 + np.exp(-(slope * logits + shift))))
