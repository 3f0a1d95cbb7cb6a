"""How well a clustering finds the people: measured against a truth, never used to make it."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

__all__ = ["Quality", "measure_quality"]

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
