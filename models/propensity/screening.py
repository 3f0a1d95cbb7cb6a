"""Features too good to be true: most often filled after the outcome, by it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import numpy as np
import numpy.typing as npt
import polars as pl
from sklearn.metrics import roc_auc_score

from models.encoding import FeatureEncoder, Kind
from models.scorecard import BaseRateScorer

__all__ = ["LIMIT", "MISSING_LIMIT", "too_good"]

LIMIT = 0.95
"""AUC of one feature alone from which it is not believed."""

MISSING_LIMIT = 0.85
"""AUC of whether a feature is filled at all, from which it is not believed."""

CLASSES = 20


def too_good(
    frame: pl.DataFrame,
    did: npt.NDArray[np.bool_],
    kinds: Mapping[str, Kind],
    keep: Collection[str] = (),
) -> dict[str, str]:
    """Features that by themselves nearly tell the outcome, and why each is left out.

    A feature that is filled when the outcome came and empty otherwise was filled after it; one
    that ranks almost perfectly most often was too. This is a screen, not a proof: what is known
    when is declared (``known_at``), and ``keep`` names features to believe all the same.
    """
    found: dict[str, str] = {}
    if not 0 < did.sum() < len(did):
        return found
    for name, kind in kinds.items():
        if name in keep:
            continue
        column = frame[name]
        filled = column.is_not_null().to_numpy()
        by_presence = _auc(did, filled.astype(np.float64))
        if by_presence >= MISSING_LIMIT:
            found[name] = f"filled or not tells the outcome by itself (AUC {by_presence:.3f})"
            continue
        alone = _auc(did, _rate_of_class(column, kind, did))
        if alone >= LIMIT:
            found[name] = f"tells the outcome by itself (AUC {alone:.3f})"
    return found


def _auc(did: npt.NDArray[np.bool_], score: npt.NDArray[np.float64]) -> float:
    area = float(roc_auc_score(did, score))
    return max(area, 1 - area)


def _rate_of_class(
    column: pl.Series, kind: Kind, did: npt.NDArray[np.bool_]
) -> npt.NDArray[np.float64]:
    """The share of the outcome among rows of about the same value."""
    if kind == "number":
        cut = column.cast(pl.Float64).rank("average") * CLASSES / max(len(column), 1)
        column = cut.floor().cast(pl.Int64).cast(pl.String)
    frame = column.alias("value").to_frame()
    encoder = FeatureEncoder.fit(frame, {"value": "category"})
    if not encoder.features:
        return np.zeros(len(did))
    scorer = BaseRateScorer(column=0).fit(encoder.encode(frame), did)
    return np.asarray(scorer.decision_function(encoder.encode(frame)))
