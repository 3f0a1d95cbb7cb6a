"""Learning a lead score and finding out, on later leads, whether it is worth more than a rule.

Every test is a time split with a gap: a fold's estimator learns from the leads whose horizon had
passed on its day, and is tested on leads that came in after it. The same folds give decided leads
the score that they would have had when they came in.

Beside it may stand a rule score, points that the company states. The two are blended in log-odds,
by a weight that starts from the evidence and is corrected by the test: see ``blend_weight``.

A lead is worth learning from when it came in after the first conversion on record (before it,
nobody wrote conversions down) and at least a horizon before the day looked from.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy.special import expit

from models.challenge import beats_rule
from models.encoding import EncodedFeature, FeatureEncoder
from models.leads.deals import DealEstimate, Deals, fit_deals
from models.leads.features import LeadTable, encoder_of
from models.leads.rules import LeadRules
from models.measures import measure, rounded
from models.scorecard import (
    AdditiveClassifier,
    AdditiveScorer,
    BaseRateScorer,
    PointsScorer,
    calibration_slope,
)

__all__ = ["Fold", "LeadEstimate", "Method", "Outcome", "Part", "Training", "blend_weight", "train"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

Method = Literal["learned", "base_rate", "rules"]
Outcome = Literal[
    "learned", "no_better_than_base_rate", "too_few_to_learn", "too_short_to_test",
    "undated_conversions", "rules_alone", "one_class", "too_few_conversions", "no_leads",
]  # fmt: skip

CONVERSIONS_TO_LEARN = 50
CONVERSIONS_FOR_A_RATE = 10
CONVERSIONS_TO_TEST = 20
UNDATED_LIMIT = 0.2
FOLDS = 5
BACKTEST_DAYS = 365.0
HALF_LIFE_DAYS = 365.0
RULE_STRENGTH = 50.0
"""Conversions at which what is learned and what the rules say weigh alike."""

RATE_STRENGTH = 20.0
"""Leads' worth of the rate that the rules expect without points."""

WEIGHTS_TRIED = 21


@dataclass(frozen=True)
class Part:
    """An additive score, and how much of the whole it is."""

    encoder: FeatureEncoder
    scorer: AdditiveClassifier
    weight: float = 1.0

    @property
    def is_rules(self) -> bool:
        return isinstance(self.scorer, PointsScorer)

    def logit(self, leads: LeadTable) -> FloatArray:
        return self.scorer.decision_function(self._matrix(leads))

    def contributions(self, leads: LeadTable) -> FloatArray:
        """What each feature adds to the logit of the whole."""
        told = self.scorer.explain(self._matrix(leads))
        return self.weight * told[:, : len(self.encoder.features)]

    def _matrix(self, leads: LeadTable) -> FloatArray:
        matrix = self.encoder.encode(leads.frame)
        return matrix if matrix.shape[1] else np.zeros((len(leads), 1))


@dataclass(frozen=True)
class LeadEstimate:
    """A fitted score with all that it needs to read leads: what is learned, the rules, or both."""

    parts: tuple[Part, ...]
    open_share: FloatArray
    """Share of the conversions still to come after 0, 1, ..., horizon whole days."""
    deals: DealEstimate | None = None

    @property
    def names(self) -> list[str]:
        return [name for part in self.parts for name in part.encoder.names]

    @property
    def intercept(self) -> float:
        return sum(part.weight * part.scorer.intercept_ for part in self.parts)

    @property
    def learned_weight(self) -> float:
        return sum(part.weight for part in self.parts if not part.is_rules)

    def logit(self, leads: LeadTable) -> FloatArray:
        """Log-odds of a conversion within the horizon, as seen when the lead came in."""
        logits = sum(part.weight * part.logit(leads) for part in self.parts)
        return np.asarray(logits, dtype=np.float64)

    def uncalibrated(self, logits: FloatArray) -> FloatArray:
        """The logits of a learned score as the trees gave them."""
        scorer = self.parts[0].scorer
        if isinstance(scorer, AdditiveScorer):
            return (logits - scorer.level_shift_) / scorer.logit_slope
        return logits

    def contributions(self, leads: LeadTable) -> FloatArray:
        """What each feature adds to the logit: one row per lead, one column per name."""
        return np.hstack([part.contributions(leads) for part in self.parts])

    def age_contribution(self, ages_days: FloatArray) -> FloatArray:
        """What it takes from the logit that a lead is still open after so many days.

        Of the leads that would convert, a share has done so by then; those that would not are
        all still there. The odds shrink by the share yet to come, whatever the lead.
        """
        days = np.clip(np.floor(ages_days), 0, len(self.open_share) - 1).astype(np.intp)
        return np.asarray(np.log(self.open_share[days]), dtype=np.float64)

    def blended(self, rules: LeadEstimate, weight: float) -> LeadEstimate:
        """This one and a rule score, in the share that each deserves."""
        mine = tuple(replace(part, weight=weight) for part in self.parts)
        theirs = tuple(replace(part, weight=1 - weight) for part in rules.parts)
        return replace(self, parts=(*mine, *theirs))


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


def blend_weight(conversions: int, best: float = 0.5, tested: int = 0) -> float:
    """The share of what is learned beside the rules, between 0 and 1.

    Without a test it is c / (c + 50) for c conversions learned from: as a mean drawn towards what
    was believed before. ``best`` is the share that would have had the lowest Brier score on later
    leads; it counts as much as the conversions among them, the first share as 50.
    """
    before = conversions / (conversions + RULE_STRENGTH)
    weight = (RULE_STRENGTH * before + tested * best) / (RULE_STRENGTH + tested)
    return round(weight, 6)


def train(
    leads: LeadTable,
    horizon_days: int,
    rules: LeadRules | None = None,
    deals: Deals | None = None,
) -> Training:
    """Learn from the leads as known at ``leads.as_of``, test on time splits, and choose.

    The learned score serves when, on the pooled test leads, it beats the base rate by channel by
    more than its noise; else the base rate serves. Where the company states rules they are blended
    with either, and serve alone where too few converted to learn.
    """
    learnable = leads.take(_learnable(leads, leads.as_of, horizon_days))
    outcomes = learnable.converts_within(horizon_days)
    conversions = int(outcomes.sum())
    window = (
        (float(learnable.created_at[0]), float(learnable.created_at[-1]))
        if len(learnable)
        else (leads.as_of, leads.as_of)
    )

    def fitted(as_of: float, method: Method, slope: float = 1.0) -> LeadEstimate:
        estimate = _fit(leads, as_of, horizon_days, method, slope, rules)
        return replace(estimate, deals=fit_deals(leads, deals, as_of) if deals else None)

    def result(
        outcome: Outcome, method: Method | None, folds: list[Fold], evaluation: dict[str, Any]
    ) -> Training:
        weights = _recency(learnable, leads.as_of)
        rate = float(np.average(outcomes, weights=weights)) if len(learnable) else 0.0
        base_logit = float(np.log(rate / (1 - rate))) if 0 < rate < 1 else 0.0
        estimate = None
        if method is not None:
            estimate = fitted(leads.as_of, method, float(evaluation.get("logit_slope", 1.0)))
            folds = [replace(fold, estimate=_with_deals(fold, leads, deals)) for fold in folds]
        if method == "rules" and estimate is not None:
            base_logit = estimate.intercept
        elif rules is not None and estimate is not None:
            told = evaluation.get("best_learned_weight")
            tested = evaluation["test"]["conversions"] if told is not None else 0
            weight = blend_weight(conversions, told or 0.0, tested)
            estimate = estimate.blended(fitted(leads.as_of, "rules"), weight)
        return Training(
            outcome, method, estimate, tuple(folds), evaluation, window, len(learnable),
            conversions, base_logit,
        )  # fmt: skip

    if len(leads) == 0:
        return result("no_leads", None, [], {})
    if conversions < CONVERSIONS_FOR_A_RATE:
        if rules is not None and conversions < max(len(learnable), 1):
            return result("rules_alone", "rules", [], {})
        return result("too_few_conversions", None, [], {})
    if len(learnable) - conversions < CONVERSIONS_FOR_A_RATE:
        return result("one_class", None, [], {})
    undated = learnable.is_converted & np.isnan(learnable.converted_at)
    if undated.sum() > UNDATED_LIMIT * learnable.is_converted.sum():
        return result("undated_conversions", "base_rate", [], {})
    beside: tuple[Method, ...] = () if rules is None else ("rules",)
    enough = conversions >= CONVERSIONS_TO_LEARN
    if enough:
        folds, evaluation = _back_test(
            leads, horizon_days, ("learned", "base_rate", *beside), CONVERSIONS_TO_LEARN, rules
        )
    if not enough or evaluation["test"]["conversions"] < CONVERSIONS_TO_TEST:
        folds, evaluation = _back_test(
            leads, horizon_days, ("base_rate", *beside), CONVERSIONS_FOR_A_RATE, rules
        )
        outcome: Outcome = "too_short_to_test" if enough else "too_few_to_learn"
        method: Method = "base_rate"
    else:
        wins = evaluation.pop("wins")
        outcome = "learned" if wins else "no_better_than_base_rate"
        method = "learned" if wins else "base_rate"
    own = folds[method]
    if rules is not None and own:
        own = _blended(leads, horizon_days, own, folds["rules"], evaluation)
    return result(outcome, method, own, evaluation)


def _with_deals(fold: Fold, leads: LeadTable, deals: Deals | None) -> LeadEstimate:
    if deals is None:
        return fold.estimate
    return replace(fold.estimate, deals=fit_deals(leads, deals, fold.cut))


def _blended(
    leads: LeadTable,
    horizon_days: int,
    learned: list[Fold],
    rules: list[Fold],
    evaluation: dict[str, Any],
) -> list[Fold]:
    """The folds of both together, each by the evidence of its day; how that did is told beside.

    Also finds the share of the learned part that would have done best on all of them.
    """
    mine, theirs, together, truths, blended = [], [], [], [], []
    ripe = leads.take(_learnable(leads, leads.as_of, horizon_days))
    for own, stated in zip(learned, rules, strict=True):
        known = leads.known_at(own.cut)
        past = known.take(_learnable(known, own.cut, horizon_days))
        weight = blend_weight(int(past.converts_within(horizon_days).sum()))
        blended.append(replace(own, estimate=own.estimate.blended(stated.estimate, weight)))
        tested = ripe.take((ripe.created_at > own.cut) & (ripe.created_at <= own.until))
        truths.append(tested.converts_within(horizon_days))
        mine.append(own.estimate.logit(tested))
        theirs.append(stated.estimate.logit(tested))
        together.append(blended[-1].estimate.logit(tested))
    truth, one, other = np.concatenate(truths), np.concatenate(mine), np.concatenate(theirs)
    shares = np.linspace(0, 1, WEIGHTS_TRIED)
    off = [np.square(expit(share * one + (1 - share) * other) - truth).mean() for share in shares]
    evaluation["best_learned_weight"] = rounded(shares[int(np.argmin(off))])
    evaluation["blend"] = _metrics(truth, expit(np.concatenate(together)))
    return blended


def _learnable(leads: LeadTable, as_of: float, horizon_days: int) -> BoolArray:
    """Leads whose outcome within the horizon is known at ``as_of``."""
    recorded = leads.converted_at[leads.converted_at <= as_of]
    first = recorded.min() if len(recorded) else -np.inf
    return (leads.created_at >= first) & (leads.created_at <= as_of - horizon_days)


def _recency(leads: LeadTable, as_of: float) -> FloatArray:
    return np.asarray(0.5 ** ((as_of - leads.created_at) / HALF_LIFE_DAYS), dtype=np.float64)


def _fit(
    leads: LeadTable,
    as_of: float,
    horizon_days: int,
    method: Method,
    slope: float = 1.0,
    rules: LeadRules | None = None,
) -> LeadEstimate:
    """An estimate from what was known at ``as_of``; both outcomes must be among it.

    Rules need neither: their level starts from the rate that they state.
    """
    known = leads.known_at(as_of)
    learnable = known.take(_learnable(known, as_of, horizon_days))
    outcomes = learnable.converts_within(horizon_days)
    delays = (learnable.converted_at - learnable.created_at)[outcomes]
    open_share = _open_share(delays, horizon_days)
    weights = _recency(learnable, as_of)
    if method == "rules" and rules is not None:
        return LeadEstimate((_rules_part(learnable, outcomes, weights, rules),), open_share)
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
    scorer.fit(matrix, outcomes, sample_weight=weights)
    return LeadEstimate((Part(encoder, scorer),), open_share)


def _rules_part(
    learnable: LeadTable, outcomes: BoolArray, weights: FloatArray, rules: LeadRules
) -> Part:
    columns = [column for column, _ in rules.stated()]
    encoder = FeatureEncoder(tuple(EncodedFeature(column, "number") for column in columns))
    met = np.vstack((encoder.encode(learnable.frame), np.zeros((2, len(columns)))))
    rate = rules.rate_without_points
    prior = RATE_STRENGTH * np.array([rate, 1 - rate])
    scorer = PointsScorer(
        points=[rule.points for _, rule in rules.stated()],
        points_to_double_odds=rules.points_to_double_odds,
    )
    scorer.fit(
        met,
        np.concatenate((outcomes, [True, False])),
        sample_weight=np.concatenate((weights, prior)),
    )
    return Part(encoder, scorer)


def _open_share(delays_days: FloatArray, horizon_days: int) -> FloatArray:
    delays = np.sort(delays_days[~np.isnan(delays_days)])
    passed = np.searchsorted(delays, np.arange(horizon_days + 1), side="left")
    share = (len(delays) - passed + 0.5) / (len(delays) + 0.5)
    share[0] = 1.0
    return np.asarray(np.round(np.minimum.accumulate(share), 12), dtype=np.float64)


def _back_test(
    leads: LeadTable,
    horizon_days: int,
    methods: tuple[Method, ...],
    conversions_first: int,
    rules: LeadRules | None = None,
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
            slope = calibration_slope(plain[method][ripe_rows], truth[ripe_rows])
            estimate = _fit(leads, cut, horizon_days, method, slope, rules)
            logits[method][rows] = estimate.logit(tested.take(rows))
            plain[method][rows] = estimate.uncalibrated(logits[method][rows])
            folds[method].append(Fold(float(cut), float(end), estimate))
        still_open.append(_open_at(learnable, cut, horizon_days, folds[methods[0]][-1].estimate))
    names = {"learned": "learned", "base_rate": "base_rate_by_channel", "rules": "rules"}
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
        evaluation["logit_slope"] = calibration_slope(plain["learned"], truth)
        evaluation["wins"], evaluation["difference"] = beats_rule(
            truth, scores["learned"], scores["base_rate_by_channel"]
        )
    if "channel" in tested.frame.columns:
        evaluation["channels"] = _by_channel(tested, truth, scores)
    return folds, evaluation


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
