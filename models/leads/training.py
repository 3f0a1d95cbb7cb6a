"""Learning a lead score and finding out, on later leads, whether it is worth more than a rule.

Every test is a time split with a gap: a fold's estimator learns from the leads whose horizon had
passed on its day, and is tested on leads that came in after it. The same folds give decided leads
the score that they would have had when they came in.

A lead is worth learning from when it came in after the first conversion on record (before it,
nobody wrote conversions down) and at least a horizon before the day looked from.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from models.encoding import FeatureEncoder
from models.leads.features import LeadTable, encoder_of
from models.measures import measure, paired_gain, rounded
from models.scorecard import AdditiveClassifier, AdditiveScorer, BaseRateScorer, platt_slope

__all__ = ["Fold", "LeadEstimate", "Method", "Outcome", "Training", "train"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

Method = Literal["learned", "base_rate"]
Outcome = Literal[
    "learned", "no_better_than_base_rate", "too_few_to_learn", "too_short_to_test",
    "undated_conversions", "one_class", "too_few_conversions", "no_leads",
]  # fmt: skip

CONVERSIONS_TO_LEARN = 50
CONVERSIONS_FOR_A_RATE = 10
CONVERSIONS_TO_TEST = 20
UNDATED_LIMIT = 0.2
FOLDS = 5
BACKTEST_DAYS = 365.0
HALF_LIFE_DAYS = 365.0


@dataclass(frozen=True)
class LeadEstimate:
    """A fitted score with all that it needs to read leads."""

    encoder: FeatureEncoder
    scorer: AdditiveClassifier
    open_share: FloatArray
    """Share of the conversions still to come after 0, 1, ..., horizon whole days."""

    def logit(self, leads: LeadTable) -> FloatArray:
        """Log-odds of a conversion within the horizon, as seen when the lead came in."""
        return self.scorer.decision_function(self._matrix(leads))

    def uncalibrated(self, logits: FloatArray) -> FloatArray:
        """The logits as the trees gave them."""
        if isinstance(self.scorer, AdditiveScorer):
            return (logits - self.scorer.level_shift_) / self.scorer.logit_slope
        return logits

    def contributions(self, leads: LeadTable) -> FloatArray:
        """What each feature adds to the logit: one row per lead, one column per feature."""
        return self.scorer.explain(self._matrix(leads))

    def age_contribution(self, ages_days: FloatArray) -> FloatArray:
        """What it takes from the logit that a lead is still open after so many days.

        Of the leads that would convert, a share has done so by then; those that would not are
        all still there. The odds shrink by the share yet to come, whatever the lead.
        """
        days = np.clip(np.floor(ages_days), 0, len(self.open_share) - 1).astype(np.intp)
        return np.asarray(np.log(self.open_share[days]), dtype=np.float64)

    def _matrix(self, leads: LeadTable) -> FloatArray:
        matrix = self.encoder.encode(leads.frame)
        return matrix if matrix.shape[1] else np.zeros((len(leads), 1))


@dataclass(frozen=True)
class Fold:
    """An estimator as it would have been on a past day; it scores leads that came in later."""

    cut: float
    until: float
    estimate: LeadEstimate


@dataclass(frozen=True)
class Training:
    """What came out of learning: an estimate to serve, or the reason why there is none."""

    outcome: Outcome
    method: Method | None
    estimate: LeadEstimate | None
    folds: tuple[Fold, ...]
    evaluation: dict[str, Any]
    window: tuple[float, float]
    leads: int
    conversions: int
    base_logit: float


def train(leads: LeadTable, horizon_days: int) -> Training:
    """Learn from the leads as known at ``leads.as_of``, test on time splits, and choose.

    The learned score serves when, on the pooled test leads, neither its AUC nor its Brier score
    is worse than those of the base rate by channel; else the base rate serves.
    """
    learnable = leads.take(_learnable(leads, leads.as_of, horizon_days))
    outcomes = learnable.converts_within(horizon_days)
    conversions = int(outcomes.sum())
    window = (
        (float(learnable.created_at[0]), float(learnable.created_at[-1]))
        if len(learnable)
        else (leads.as_of, leads.as_of)
    )

    def result(
        outcome: Outcome, method: Method | None, folds: list[Fold], evaluation: dict[str, Any]
    ) -> Training:
        slope = float(evaluation.get("logit_slope", 1.0))
        estimate = None if method is None else _fit(leads, leads.as_of, horizon_days, method, slope)
        weights = _recency(learnable, leads.as_of)
        rate = float(np.average(outcomes, weights=weights)) if len(learnable) else 0.0
        base_logit = float(np.log(rate / (1 - rate))) if 0 < rate < 1 else 0.0
        return Training(
            outcome, method, estimate, tuple(folds), evaluation, window, len(learnable),
            conversions, base_logit,
        )  # fmt: skip

    if len(leads) == 0:
        return result("no_leads", None, [], {})
    if conversions < CONVERSIONS_FOR_A_RATE:
        return result("too_few_conversions", None, [], {})
    if len(learnable) - conversions < CONVERSIONS_FOR_A_RATE:
        return result("one_class", None, [], {})
    undated = learnable.is_converted & np.isnan(learnable.converted_at)
    if undated.sum() > UNDATED_LIMIT * learnable.is_converted.sum():
        return result("undated_conversions", "base_rate", [], {})
    enough = conversions >= CONVERSIONS_TO_LEARN
    if enough:
        folds, evaluation = _back_test(
            leads, horizon_days, ("learned", "base_rate"), CONVERSIONS_TO_LEARN
        )
    if not enough or evaluation["test"]["conversions"] < CONVERSIONS_TO_TEST:
        folds, evaluation = _back_test(leads, horizon_days, ("base_rate",), CONVERSIONS_FOR_A_RATE)
        outcome: Outcome = "too_short_to_test" if enough else "too_few_to_learn"
        return result(outcome, "base_rate", folds["base_rate"], evaluation)
    learned, rule = evaluation["learned"], evaluation["base_rate_by_channel"]
    if learned["auc"] < rule["auc"] or learned["brier"] > rule["brier"]:
        return result("no_better_than_base_rate", "base_rate", folds["base_rate"], evaluation)
    return result("learned", "learned", folds["learned"], evaluation)


def _learnable(leads: LeadTable, as_of: float, horizon_days: int) -> BoolArray:
    """Leads whose outcome within the horizon is known at ``as_of``."""
    recorded = leads.converted_at[leads.converted_at <= as_of]
    first = recorded.min() if len(recorded) else -np.inf
    return (leads.created_at >= first) & (leads.created_at <= as_of - horizon_days)


def _recency(leads: LeadTable, as_of: float) -> FloatArray:
    return np.asarray(0.5 ** ((as_of - leads.created_at) / HALF_LIFE_DAYS), dtype=np.float64)


def _fit(
    leads: LeadTable, as_of: float, horizon_days: int, method: Method, slope: float = 1.0
) -> LeadEstimate:
    """An estimate from what was known at ``as_of``; both outcomes must be among it."""
    known = leads.known_at(as_of)
    learnable = known.take(_learnable(known, as_of, horizon_days))
    outcomes = learnable.converts_within(horizon_days)
    only = ("channel",) if method == "base_rate" else None
    encoder = encoder_of(learnable, only)
    matrix = encoder.encode(learnable.frame)
    if not matrix.shape[1]:
        matrix = np.zeros((len(learnable), 1))
    scorer: AdditiveClassifier
    if method == "learned":
        scorer = AdditiveScorer(
            categorical_features=encoder.categorical or None,
            logit_slope=slope,
            random_state=0,
        )
    else:
        scorer = BaseRateScorer(column=0 if encoder.features else None)
    scorer.fit(matrix, outcomes, sample_weight=_recency(learnable, as_of))
    delays = (learnable.converted_at - learnable.created_at)[outcomes]
    return LeadEstimate(encoder, scorer, _open_share(delays, horizon_days))


def _open_share(delays_days: FloatArray, horizon_days: int) -> FloatArray:
    delays = np.sort(delays_days[~np.isnan(delays_days)])
    passed = np.searchsorted(delays, np.arange(horizon_days + 1), side="left")
    share = (len(delays) - passed + 0.5) / (len(delays) + 0.5)
    share[0] = 1.0
    return np.asarray(np.round(np.minimum.accumulate(share), 12), dtype=np.float64)


def _back_test(
    leads: LeadTable, horizon_days: int, methods: tuple[Method, ...], conversions_first: int
) -> tuple[dict[Method, list[Fold]], dict[str, Any]]:
    """Score each past lead by what was known before it came in, and compare with its outcome."""
    folds: dict[Method, list[Fold]] = {method: [] for method in methods}
    learnable = leads.take(_learnable(leads, leads.as_of, horizon_days))
    outcomes = learnable.converts_within(horizon_days)
    ripe = np.sort(learnable.created_at[outcomes] + horizon_days)
    first = float(ripe[conversions_first - 1]) if len(ripe) >= conversions_first else np.inf
    first = max(first, float(learnable.created_at[-1]) - BACKTEST_DAYS)
    tested = learnable.take(learnable.created_at > first)
    if len(tested) == 0:
        return folds, {"test": {"leads": 0, "conversions": 0}}
    inner = np.quantile(tested.created_at, np.arange(1, FOLDS) / FOLDS, method="lower")
    cuts = np.unique(np.append(first, inner))
    ends = np.append(cuts[1:], float(learnable.created_at[-1]))
    logits = {method: np.full(len(tested), np.nan) for method in methods}
    plain = {method: np.full(len(tested), np.nan) for method in methods}
    overall = np.full(len(tested), np.nan)
    truth = tested.converts_within(horizon_days)
    still_open: list[dict[str, FloatArray]] = []
    for cut, end in zip(cuts, ends, strict=True):
        rows = (tested.created_at > cut) & (tested.created_at <= end)
        known = leads.known_at(cut)
        past = known.take(_learnable(known, cut, horizon_days))
        overall[rows] = past.converts_within(horizon_days).mean()
        for method in methods:
            ripe_rows = ~np.isnan(plain[method]) & (tested.created_at <= cut - horizon_days)
            slope = _slope(plain[method][ripe_rows], truth[ripe_rows])
            estimate = _fit(leads, cut, horizon_days, method, slope)
            logits[method][rows] = estimate.logit(tested.take(rows))
            plain[method][rows] = estimate.uncalibrated(logits[method][rows])
            folds[method].append(Fold(float(cut), float(end), estimate))
        still_open.append(_open_at(learnable, cut, horizon_days, folds[methods[0]][-1].estimate))
    names = {"learned": "learned", "base_rate": "base_rate_by_channel"}
    scores = {names[method]: expit(logits[method]) for method in methods}
    evaluation: dict[str, Any] = {
        "horizon_days": horizon_days,
        "test": {
            "leads": len(tested),
            "conversions": int(truth.sum()),
            "from": float(tested.created_at[0]),
            "to": float(tested.created_at[-1]),
        },
        "cuts": [float(cut) for cut in cuts],
        "base_rate": _metrics(truth, overall),
        **{name: _metrics(truth, score) for name, score in scores.items()},
        "open_leads": _open_metrics(still_open),
    }
    if "learned" in methods:
        evaluation["logit_slope"] = _slope(plain["learned"], truth)
        evaluation["difference"] = _difference(truth, scores)
    if "channel" in tested.frame.columns:
        evaluation["channels"] = _by_channel(tested, truth, scores)
    return folds, evaluation


def _slope(logits: FloatArray, truth: BoolArray) -> float:
    """Calibration from out-of-time logits whose outcome is known; 1 where there are too few."""
    if min(truth.sum(), (~truth).sum()) < CONVERSIONS_TO_TEST:
        return 1.0
    return round(platt_slope(logits, truth.astype(np.int64), np.ones(len(truth))), 6)


def _open_at(
    learnable: LeadTable, cut: float, horizon_days: int, estimate: LeadEstimate
) -> dict[str, FloatArray]:
    """Leads open on a past day, what was expected of them, and what came."""
    converted_before = learnable.converted_at <= cut
    rows = (
        (learnable.created_at <= cut)
        & (learnable.created_at > cut - horizon_days)
        & ~converted_before
    )
    some = learnable.take(rows)
    logit = estimate.logit(some)
    return {
        "truth": some.converts_within(horizon_days).astype(np.float64),
        "score": expit(logit + estimate.age_contribution(cut - some.created_at)),
        "ageless": expit(logit),
    }


def _open_metrics(days: list[dict[str, FloatArray]]) -> dict[str, Any]:
    truth = np.concatenate([day["truth"] for day in days]).astype(bool)
    if len(np.unique(truth)) < 2:
        return {"leads": len(truth), "conversions": int(truth.sum())}
    ageless = _metrics(truth, np.concatenate([day["ageless"] for day in days]))
    return {
        **_metrics(truth, np.concatenate([day["score"] for day in days])),
        "without_age": {"auc": ageless["auc"], "brier": ageless["brier"]},
    }


def _metrics(truth: BoolArray, score: FloatArray) -> dict[str, Any]:
    return measure(truth, score, rows="leads", positives="conversions")


def _difference(truth: BoolArray, scores: dict[str, FloatArray]) -> dict[str, float]:
    """Gain in Brier score over the base rate by channel, paired, with its standard error."""
    gain, error = paired_gain(truth, scores["learned"], scores["base_rate_by_channel"])
    return {"brier_gain": gain, "brier_gain_standard_error": rounded(error)}


def _by_channel(
    tested: LeadTable, truth: BoolArray, scores: dict[str, FloatArray]
) -> list[dict[str, Any]]:
    score = next(iter(scores.values()))
    channels = tested.frame["channel"].fill_null("").to_numpy()
    rows = []
    for channel in np.unique(channels):
        at = channels == channel
        rows.append(
            {
                "channel": str(channel) or None,
                "leads": int(at.sum()),
                "observed": rounded(truth[at].mean()),
                "predicted": rounded(score[at].mean()),
            }
        )
    return sorted(rows, key=lambda row: (-row["leads"], row["channel"] or ""))
