"""Learn a propensity on days past, test it on later ones, and decide what serves.

On a day, the customers who meet ``who`` are read as they were known then; the label is whether
they meet ``will`` so many days later. A test day is scored by an estimator that learned from days
whose labels were known by then: the gap is the horizon itself. That chronological result decides;
the shuffled one, by customer over the same days, stands beside it to show how much time takes away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from scipy.special import expit

from models.asof import CustomersAt
from models.challenge import beats_rule
from models.encoding import FeatureEncoder, Kind, kind_of
from models.measures import lift, measure
from models.propensity.definition import Propensity
from models.propensity.screening import too_good
from models.scorecard import AdditiveScorer, calibration_slope

__all__ = ["Day", "Examples", "Outcome", "Training", "read_examples", "train"]

FloatArray = npt.NDArray[np.float64]
BoolArray = npt.NDArray[np.bool_]

Outcome = Literal[
    "learned", "no_better_than_rule", "too_few_positives", "one_class", "too_short_to_test",
    "nobody",
]  # fmt: skip

MOST_DAYS = 8
"""Days learned from and tested on, at most, the newest."""

TEST_DAYS = 3
STEP_DAYS = 45
"""Days past lie about so far apart."""

MOST_ROWS = 20_000
"""Customers a day, at most; which, hangs on their ids."""

LEAST_POSITIVES = 50
LEAST_TESTED = 20
HALF_LIFE_DAYS = 365.0
SHUFFLED_PARTS = 3
BINS = 64
COARSE_BINS = 16

NOT_FEATURES = frozenset({
    "customer_id", "as_of", "first_order_date", "last_order_date", "last_interaction_at",
    "customer_number",
})  # fmt: skip
"""Ids and dates; the days since them are features."""


@dataclass(frozen=True)
class Day:
    """Customers as they were known on a day; ``did`` is empty where the label is not known yet."""

    day: date
    frame: pl.DataFrame
    did: BoolArray


@dataclass(frozen=True)
class Examples:
    """The days past of one question, the newest first, and the kind of each feature."""

    days: tuple[Day, ...]
    kinds: dict[str, Kind]
    step: int
    """Days between one day and the one before."""
    asked_of: int = 0
    """Rows that there were; those of ``days`` were drawn from them."""


@dataclass(frozen=True)
class Training:
    """What came out: a scorer to serve, or the reason why there is none."""

    outcome: Outcome
    encoder: FeatureEncoder | None = None
    scorer: AdditiveScorer | None = None
    evaluation: dict[str, Any] = field(default_factory=dict)
    facts: dict[str, Any] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)
    """Features not used, and why."""
    newest: Day | None = None
    challenge: FloatArray = field(default_factory=lambda: np.empty(0))
    """What an estimator that had not seen the newest day says of it."""

    @property
    def method(self) -> str:
        return "learned" if self.outcome == "learned" else "rule"


def step_of(within_days: int) -> int:
    """A whole part of the horizon near ``STEP_DAYS``, so that a label's day is a day of ours."""
    for parts in range(max(1, round(within_days / STEP_DAYS)), 1, -1):
        if within_days % parts == 0:
            return within_days // parts
    return within_days


def read_examples(customers: CustomersAt, asked: Propensity, as_of: date) -> Examples:
    """Read the days past whose label is known on ``as_of``."""
    con = customers.con
    first = con.execute(
        "select min(order_date) from marts.orders where customer_id is not null"
    ).fetchall()[0][0]
    step = step_of(asked.within_days)
    earliest = None if first is None else first + timedelta(days=asked.within_days)
    days: list[Day] = []
    kinds: dict[str, Kind] = {}
    asked_of = 0
    for number in range(MOST_DAYS):
        day = as_of - timedelta(days=asked.within_days + number * step)
        if earliest is None or day < earliest:
            break
        relation = customers.relation(day)
        asked_of += customers.mark_members(day, asked.who, "asked_of")
        later = day + timedelta(days=asked.within_days)
        customers.mark_members(later, asked.will, "who_did", known_then=False)
        columns = con.sql(f"select column_name, column_type from (describe {relation})").fetchall()
        kinds = {
            name: kind_of(kind)
            for name, kind in columns
            if name not in NOT_FEATURES and name not in asked.leave_out
        }
        selected = ", ".join(
            f'try_cast("{name}" as {"double" if kind == "number" else "varchar"}) as "{name}"'
            for name, kind in kinds.items()
        )
        frame = con.sql(f"""
            select customer_id, {selected},
                customer_id in (select customer_id from who_did) as _did
            from {relation}
            where customer_id in (select customer_id from asked_of)
            order by hash(customer_id), customer_id
            limit {MOST_ROWS}
        """).pl()
        days.append(Day(day, frame.drop("_did"), frame["_did"].to_numpy().astype(bool)))
    return Examples(tuple(days), kinds, step, asked_of)


def train(examples: Examples, asked: Propensity) -> Training:
    """Learn from the days past, after testing on the newest of them how that did before."""
    known = examples.days
    gap = asked.within_days // examples.step
    facts: dict[str, Any] = {
        "days": [day.day.isoformat() for day in known],
        "customers": sum(day.frame.height for day in known),
        "asked_of": examples.asked_of,
        "positives": int(sum(day.did.sum() for day in known)),
    }
    refused = _refusal(known, gap)
    if refused is not None:
        return Training(refused, facts=facts)
    left_out = too_good(known[0].frame, known[0].did, examples.kinds, asked.keep)
    kinds = {name: kind for name, kind in examples.kinds.items() if name not in left_out}
    tests = [
        number
        for number in range(TEST_DAYS)
        if number + gap < len(known) and _is_learnable(known[number + gap :])
    ]
    best = _best_feature(known[gap:], kinds)
    plain: list[FloatArray] = []
    logits: dict[str, list[FloatArray]] = {"learned": [], "rule": []}
    truths: list[BoolArray] = []
    for number in reversed(tests):
        past, tested = known[number + gap :], known[number]
        ripe = [at for at, earlier in enumerate(reversed(tests)) if earlier >= number + gap]
        ripe = [at for at in ripe if at < len(plain)]
        slope = calibration_slope(
            np.concatenate([np.empty(0), *(plain[at] for at in ripe)]),
            np.concatenate([np.empty(0, bool), *(truths[at] for at in ripe)]),
        )
        encoder, scorer = _fit(past, kinds, slope)
        said = scorer.decision_function(encoder.encode(tested.frame))
        plain.append((said - scorer.level_shift_) / slope)
        logits["learned"].append(said)
        rule_encoder, rule = _fit(past, {best: kinds[best]}, 1.0)
        logits["rule"].append(rule.decision_function(rule_encoder.encode(tested.frame)))
        truths.append(tested.did)
    truth = np.concatenate(truths)
    scores = {name: expit(np.concatenate(parts)) for name, parts in logits.items()}
    evaluation: dict[str, Any] = {
        "horizon_days": asked.within_days,
        "counts": "chronological",
        "test_days": [known[number].day.isoformat() for number in reversed(tests)],
        "rule_feature": best,
        **{name: measure(truth, score) for name, score in scores.items()},
        "base_rate": measure(truth, np.full(len(truth), _rate(known[gap:]))),
        "lift": lift(truth, scores["learned"]),
        "shuffled": _shuffled(known, kinds),
        "logit_slope": calibration_slope(np.concatenate(plain), truth),
    }
    who = pl.concat([known[number].frame["customer_id"] for number in reversed(tests)])
    wins, evaluation["difference"] = beats_rule(truth, scores["learned"], scores["rule"], who)
    outcome: Outcome = "learned" if wins else "no_better_than_rule"
    chosen = kinds if wins else {best: kinds[best]}
    slope = evaluation["logit_slope"] if wins else 1.0
    encoder, scorer = _fit(known, chosen, slope)
    newest = scores["learned" if wins else "rule"][-known[0].frame.height :]
    return Training(
        outcome, encoder, scorer, evaluation, facts, left_out, known[0], np.asarray(newest)
    )


def _refusal(known: Sequence[Day], gap: int) -> Outcome | None:
    if sum(day.frame.height for day in known) == 0:
        return "too_short_to_test" if not known else "nobody"
    positives = int(sum(day.did.sum() for day in known))
    if positives < LEAST_POSITIVES:
        return "too_few_positives"
    if sum(day.frame.height for day in known) - positives < LEAST_POSITIVES:
        return "one_class"
    if len(known) <= gap or not _is_learnable(known[gap:]):
        return "too_short_to_test"
    tested = known[0]
    if min(tested.did.sum(), (~tested.did).sum()) < LEAST_TESTED:
        return "too_few_positives" if tested.did.sum() < LEAST_TESTED else "one_class"
    return None


def _is_learnable(days: Sequence[Day]) -> bool:
    positives = sum(int(day.did.sum()) for day in days)
    others = sum(day.frame.height for day in days) - positives
    return min(positives, others) >= LEAST_POSITIVES


def _rate(days: Sequence[Day]) -> float:
    return float(np.concatenate([day.did for day in days]).mean())


def _pooled(days: Sequence[Day]) -> tuple[pl.DataFrame, BoolArray, FloatArray]:
    """The rows of several days, their labels, and weights that halve every year."""
    newest = max(day.day for day in days)
    weights = [
        np.full(day.frame.height, 0.5 ** ((newest - day.day).days / HALF_LIFE_DAYS)) for day in days
    ]
    return (
        pl.concat([day.frame for day in days]),
        np.concatenate([day.did for day in days]),
        np.concatenate(weights),
    )


def _fit(
    days: Sequence[Day], kinds: Mapping[str, Kind], slope: float
) -> tuple[FeatureEncoder, AdditiveScorer]:
    frame, did, weights = _pooled(days)
    return _fit_rows(frame, did, weights, kinds, slope)


def _fit_rows(
    frame: pl.DataFrame,
    did: BoolArray,
    weights: FloatArray,
    kinds: Mapping[str, Kind],
    slope: float = 1.0,
) -> tuple[FeatureEncoder, AdditiveScorer]:
    encoder = FeatureEncoder.fit(frame, kinds, max_categories=BINS - 1)
    matrix = encoder.encode(frame)
    if not encoder.features:
        matrix = np.zeros((frame.height, 1))
    scorer = AdditiveScorer(
        categorical_features=encoder.categorical or None,
        max_bins=BINS,
        logit_slope=slope,
        random_state=0,
    )
    return encoder, scorer.fit(matrix, did, sample_weight=weights)


def _best_feature(days: Sequence[Day], kinds: Mapping[str, Kind]) -> str:
    """The feature that by itself tells most, on the days learned from: what a simple rule uses."""
    frame, did, weights = _pooled(days)
    losses = {}
    for name, kind in kinds.items():
        encoder = FeatureEncoder.fit(frame, {name: kind}, max_categories=COARSE_BINS - 1)
        if not encoder.features:
            continue
        scorer = AdditiveScorer(
            max_iter=20,
            learning_rate=0.3,
            max_bins=COARSE_BINS,
            curve_share=0.0,
            line_share=0.0,
            categorical_features=encoder.categorical or None,
            random_state=0,
        ).fit(encoder.encode(frame), did, sample_weight=weights)
        said = scorer.predict_proba(encoder.encode(frame))[:, 1]
        losses[name] = float(np.average(np.square(said - did), weights=weights))
    return min(losses, key=lambda name: (losses[name], name)) if losses else next(iter(kinds))


def _shuffled(days: Sequence[Day], kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The score of customers left out of the fit, days mixed: what time does not get to spoil."""
    frame, did, weights = _pooled(days)
    part = (frame["customer_id"].hash(seed=1) % SHUFFLED_PARTS).to_numpy()
    said = np.zeros(len(did))
    for number in range(SHUFFLED_PARTS):
        rest = part != number
        if len(np.unique(did[rest])) < 2 or rest.all():
            continue
        encoder, scorer = _fit_rows(frame.filter(pl.Series(rest)), did[rest], weights[rest], kinds)
        held = frame.filter(pl.Series(~rest))
        said[~rest] = scorer.predict_proba(encoder.encode(held))[:, 1]
    figures = measure(did, said)
    figures.pop("calibration")
    return figures
