"""How well a clustering finds the people: measured against a truth, never used to make it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cohorte.intervals import likely_range

__all__ = ["DecidedQuality", "Quality", "Share", "measure_quality", "quality_by_decisions"]

Codes = npt.NDArray[np.int64]


@dataclass(frozen=True)
class Quality:
    """Agreement of a clustering with the truth.

    Pairwise figures count all true pairs, those that no rule ever looked at included; B-cubed
    figures are means over records.
    """

    records: int
    true_pairs: int
    found_pairs: int
    correct_pairs: int
    b_cubed_precision: float
    b_cubed_recall: float

    @property
    def precision(self) -> float:
        return self.correct_pairs / self.found_pairs if self.found_pairs else 1.0

    @property
    def recall(self) -> float:
        return self.correct_pairs / self.true_pairs if self.true_pairs else 1.0

    @property
    def f1(self) -> float:
        pairs = self.found_pairs + self.true_pairs
        return 2 * self.correct_pairs / pairs if pairs else 1.0

    @property
    def b_cubed_f1(self) -> float:
        total = self.b_cubed_precision + self.b_cubed_recall
        return 2 * self.b_cubed_precision * self.b_cubed_recall / total if total else 0.0

    def __str__(self) -> str:
        return (
            f"pairwise P {self.precision:.4f} R {self.recall:.4f} F1 {self.f1:.4f}"
            f" ({self.correct_pairs} of {self.found_pairs} found, {self.true_pairs} true);"
            f" B-cubed P {self.b_cubed_precision:.4f} R {self.b_cubed_recall:.4f}"
            f" F1 {self.b_cubed_f1:.4f}"
        )


def measure_quality(found: Sequence[Hashable], truth: Sequence[Hashable]) -> Quality:
    """Compare two labellings of the same records, in the same order.

    Examples
    --------
    >>> print(measure_quality(["a", "a", "b"], [1, 1, 1]).recall)
    0.3333333333333333
    """
    if len(found) != len(truth):
        raise ValueError(f"{len(found)} labels found for {len(truth)} true ones")
    found_codes, true_codes = _codes(found), _codes(truth)
    found_sizes, true_sizes = np.bincount(found_codes), np.bincount(true_codes)
    both = found_codes * (int(true_codes.max(initial=0)) + 1) + true_codes
    _, inverse, both_sizes = np.unique(both, return_inverse=True, return_counts=True)
    shared = both_sizes[inverse]
    return Quality(
        records=len(found_codes),
        true_pairs=_pairs(true_sizes),
        found_pairs=_pairs(found_sizes),
        correct_pairs=_pairs(both_sizes),
        b_cubed_precision=_mean(shared / found_sizes[found_codes]) if len(shared) else 1.0,
        b_cubed_recall=_mean(shared / true_sizes[true_codes]) if len(shared) else 1.0,
    )


def _codes(labels: Sequence[Hashable]) -> Codes:
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(label, len(numbers)) for label in labels], dtype=np.int64)


def _pairs(sizes: Codes) -> int:
    return int((sizes.astype(np.int64) * (sizes - 1) // 2).sum())


def _mean(values: npt.NDArray[np.float64]) -> float:
    return float(values.mean())


@dataclass(frozen=True)
class Share:
    """A share seen in a sample, with the interval that holds it 95 times in 100 (Wilson)."""

    seen: int
    of: int

    @property
    def value(self) -> float:
        return self.seen / self.of if self.of else 0.0

    @property
    def interval(self) -> tuple[float, float]:
        return likely_range(self.seen, self.of)


@dataclass(frozen=True)
class DecidedQuality:
    """What people's decisions say of the machine's links.

    ``precision`` is of probable links that people looked at, ``waiting`` of pairs in the grey
    zone that are one person. What blocking never proposed is in neither.
    """

    precision: Share
    waiting: Share
    joined_pairs: int
    waiting_pairs: int

    @property
    def recall(self) -> tuple[float, float, float]:
        """Share of true pairs, of those joined or waiting, that are joined; and its interval."""

        def found(precision: float, waiting: float) -> float:
            return _ratio(self.joined_pairs * precision, self.waiting_pairs * waiting)

        (low, high), (fewest, most) = self.precision.interval, self.waiting.interval
        return (
            found(self.precision.value, self.waiting.value), found(low, most), found(high, fewest)
        )  # fmt: skip


def quality_by_decisions(
    decided: Sequence[tuple[str, float]],
    *,
    join_probability: float,
    review_probability: float,
    joined_pairs: int,
    waiting_pairs: int,
) -> DecidedQuality:
    """Quality from (verdict, probability) of pairs that people decided.

    Examples
    --------
    >>> seen = [("same", 0.99)] * 9 + [("not_same", 0.97), ("same", 0.6), ("not_same", 0.7)]
    >>> found = quality_by_decisions(
    ...     seen, join_probability=0.95, review_probability=0.5, joined_pairs=90, waiting_pairs=20
    ... )
    >>> found.precision.value, found.waiting.value, round(found.recall[0], 2)
    (0.9, 0.5, 0.89)
    """
    certain = [(v, p) for v, p in decided if v in ("same", "not_same")]
    bands = []
    for low, high in ((join_probability, 1.1), (review_probability, join_probability)):
        verdicts = [verdict for verdict, probability in certain if low <= probability < high]
        bands.append(Share(verdicts.count("same"), len(verdicts)))
    return DecidedQuality(bands[0], bands[1], joined_pairs, waiting_pairs)


def _ratio(found: float, missed: float) -> float:
    return found / (found + missed) if found + missed else 1.0
