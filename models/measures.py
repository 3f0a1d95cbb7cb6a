"""How well probabilities did, once it is known what came."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import roc_auc_score

from cohorte.i18n import format_number

__all__ = ["figure", "lift", "measure", "population_stability", "rounded"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

CALIBRATION_GROUPS = 10
LEAST_PROBABILITY = 1e-12
LEAST_SHARE = 1e-4


def rounded(value: Any) -> float:
    return round(float(value), 9)


def figure(value: float | None, language: str, decimals: int = 3) -> str:
    """A figure of a verdict, a card or a reason; a dash where there is none."""
    return "–" if value is None else format_number(value, language, decimals)


def measure(
    truth: BoolArray, score: FloatArray, *, rows: str = "rows", positives: str = "positives"
) -> dict[str, Any]:
    """AUC, Brier score, log-loss and calibration in ten groups of equal size.

    ``rows`` and ``positives`` name the counts. The AUC is None when only one outcome came.
    """
    clipped = np.clip(score, LEAST_PROBABILITY, 1 - LEAST_PROBABILITY)
    log_loss = -np.where(truth, np.log(clipped), np.log1p(-clipped)).mean()
    order = np.argsort(score, kind="stable")
    groups = [group for group in np.array_split(order, CALIBRATION_GROUPS) if len(group)]
    table = [
        {
            rows: len(group),
            "predicted": rounded(score[group].mean()),
            "observed": rounded(truth[group].mean()),
        }
        for group in groups
    ]
    error = sum(row[rows] * abs(row["predicted"] - row["observed"]) for row in table)
    return {
        rows: len(truth),
        positives: int(truth.sum()),
        "auc": rounded(roc_auc_score(truth, score)) if 0 < truth.sum() < len(truth) else None,
        "brier": rounded(np.square(score - truth).mean()),
        "log_loss": rounded(log_loss),
        "predicted_rate": rounded(score.mean()),
        "observed_rate": rounded(truth.mean()),
        "calibration_error": rounded(error / len(truth)),
        "calibration": table,
    }


def lift(
    truth: BoolArray, score: FloatArray, shares: Sequence[float] = (0.05, 0.1, 0.2, 0.3, 0.5, 1.0)
) -> list[dict[str, float]]:
    """Of the best so many by score: the rate of positives, and how many of all they hold."""
    order = np.argsort(-score, kind="stable")
    reached = np.cumsum(truth[order])
    found = []
    for share in shares:
        size = max(round(share * len(truth)), 1)
        held = float(reached[size - 1])
        found.append(
            {
                "share": share,
                "size": size,
                "precision": rounded(held / size),
                "recall": rounded(held / max(truth.sum(), 1)),
            }
        )
    return found


def population_stability(reference: Sequence[float], current: Sequence[float]) -> float:
    """PSI between two distributions over the same classes: .1 is a shift, .25 a large one."""
    before = np.maximum(np.asarray(reference, dtype=np.float64), LEAST_SHARE)
    now = np.maximum(np.asarray(current, dtype=np.float64), LEAST_SHARE)
    return rounded(((now - before) * np.log(now / before)).sum())
