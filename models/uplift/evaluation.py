"""How well people are ranked by what a campaign changes for them.

Sort people by score. After the first k of them, with n1 treated and n0 controls among the k, y1 and
y0 of whom had the outcome, the **Qini curve** is ``y1 - y0 * n1 / n0``: outcomes gained among the
treated. The **Qini coefficient** is the area between the curve and the straight line to its end,
over the same area for the best order possible (treated with the outcome first, then those on whom
nothing depends, controls with the outcome last). 0 is chance, 1 is the best possible.

The **uplift curve** is ``(y1 / n1 - y0 / n0) * k``, and **AUUC** the area below it over the number
of people squared: the mean gain a person while working down the list.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import erfc, sqrt
from typing import Any

import numpy as np
import numpy.typing as npt

from models.measures import rounded

__all__ = ["Effect", "auuc", "compare_rankings", "effect", "qini", "qini_curve"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Effect:
    """The mean effect of a treatment on a yes-or-no outcome, intention to treat."""

    effect: float
    standard_error: float
    low: float
    high: float
    p_value: float

    @classmethod
    def of(cls, difference: float, error: float) -> Effect:
        """With its 95 % interval and two-sided test, from its standard error."""
        half = 1.959964 * error
        z = abs(difference) / error if error else 0.0
        return cls(difference, error, difference - half, difference + half, erfc(z / sqrt(2)))


def effect(y: FloatArray, treated: BoolArray) -> Effect:
    """Difference of the two groups' rates, with its 95 % interval and two-sided test."""
    rates = [float(y[group].mean()) for group in (treated, ~treated)]
    sizes = [int(group.sum()) for group in (treated, ~treated)]
    difference = rates[0] - rates[1]
    error = sqrt(sum(rate * (1 - rate) / size for rate, size in zip(rates, sizes, strict=True)))
    return Effect.of(difference, error)


def qini_curve(score: FloatArray, y: FloatArray, treated: BoolArray) -> FloatArray:
    """Outcomes gained among the treated, after each person down the list, from 0 people on.

    People of equal score are taken together: within them the curve is straight.
    """
    order = np.argsort(-score, kind="stable")
    ends = _ends(score[order])
    reached = _reached(y[order], treated[order])[:, ends]
    gained = _gained(*reached)
    places = np.arange(len(score) + 1)
    return np.asarray(np.interp(places, np.append(0, ends + 1), np.append(0.0, gained)))


def qini(score: FloatArray, y: FloatArray, treated: BoolArray) -> float:
    """The Qini coefficient; see the module."""
    curve = qini_curve(score, y, treated)
    chance = curve[-1] * np.arange(len(curve)) / (len(curve) - 1)
    best_score = np.where(treated, y, -y).astype(np.float64)
    best = qini_curve(best_score, y, treated)
    room = np.trapezoid(best - chance)
    return float(np.trapezoid(curve - chance) / room) if room > 0 else 0.0


def auuc(score: FloatArray, y: FloatArray, treated: BoolArray) -> float:
    """Area under the uplift curve; see the module."""
    order = np.argsort(-score, kind="stable")
    ends = _ends(score[order])
    n1, n0, y1, y0 = _reached(y[order], treated[order])[:, ends]
    with np.errstate(divide="ignore", invalid="ignore"):
        uplift = np.where((n1 > 0) & (n0 > 0), y1 / n1 - y0 / n0, 0.0) * (ends + 1)
    size = len(score)
    curve = np.interp(np.arange(size + 1), np.append(0, ends + 1), np.append(0.0, uplift))
    return float(np.trapezoid(curve) / size**2)


def compare_rankings(
    scores: Mapping[str, FloatArray],
    y: FloatArray,
    treated: BoolArray,
    *,
    resamples: int = 200,
    seed: int = 0,
) -> dict[str, Any]:
    """Qini and AUUC of several rankings with 90 % intervals, and each one's gain over the others.

    People are drawn anew within the treated and the controls, the same draw for all rankings, so
    that a gain's interval is a paired one. ``gains`` maps ``a over b`` to the interval of a's Qini
    less b's: a ranking is worth having over another only where it lies above 0.
    """
    random = np.random.default_rng(seed)
    groups = [np.flatnonzero(treated), np.flatnonzero(~treated)]
    drawn: dict[str, list[tuple[float, float]]] = {name: [] for name in scores}
    for _ in range(resamples):
        rows = np.concatenate([random.choice(group, len(group)) for group in groups])
        for name, score in scores.items():
            part = score[rows], y[rows], treated[rows]
            drawn[name].append((qini(*part), auuc(*part)))
    told: dict[str, Any] = {"rankings": {}, "gains": {}}
    values = {name: np.array(pairs) for name, pairs in drawn.items()}
    for name, score in scores.items():
        low, high = np.quantile(values[name], (0.05, 0.95), axis=0)
        told["rankings"][name] = {
            "qini": rounded(qini(score, y, treated)),
            "qini_interval": [rounded(low[0]), rounded(high[0])],
            "auuc": rounded(auuc(score, y, treated)),
            "auuc_interval": [rounded(low[1]), rounded(high[1])],
        }
        for other in scores:
            if other != name:
                gain = values[name][:, 0] - values[other][:, 0]
                ends = np.quantile(gain, (0.05, 0.95))
                told["gains"][f"{name} over {other}"] = [rounded(end) for end in ends]
    return told


def _ends(ordered: FloatArray) -> npt.NDArray[np.intp]:
    """The last place of each run of equal scores."""
    return np.append(np.flatnonzero(np.diff(ordered)), len(ordered) - 1)


def _reached(y: FloatArray, treated: BoolArray) -> FloatArray:
    """Treated, controls, and the outcomes of both, after each person."""
    return np.cumsum([treated, ~treated, y * treated, y * ~treated], axis=1, dtype=np.float64)


def _gained(n1: FloatArray, n0: FloatArray, y1: FloatArray, y0: FloatArray) -> FloatArray:
    return np.asarray(y1 - np.divide(y0 * n1, n0, out=np.zeros_like(y1), where=n0 > 0))
