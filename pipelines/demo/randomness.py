"""Random streams: one a decision, so that a change in one leaves the others as they were."""

from __future__ import annotations

from typing import Any
from zlib import crc32

import numpy as np
import numpy.typing as npt

Numbers = npt.NDArray[Any]
Flags = npt.NDArray[np.bool_]
Generator = np.random.Generator


class Dice:
    """Hands out a generator per name; the same seed and name give the same numbers."""

    def __init__(self, seed: int) -> None:
        self._seed = seed

    def of(self, *name: str | int) -> Generator:
        words = "/".join(str(word) for word in name)
        return np.random.Generator(np.random.PCG64([self._seed, crc32(words.encode())]))


def happens(rng: Generator, probability: Numbers | float, size: int) -> Flags:
    """One independent yes or no each, at the probability given (one for all, or one each)."""
    return np.asarray(rng.random(size) < probability, dtype=np.bool_)


def weighted(rng: Generator, weights: Numbers, size: int) -> Numbers:
    """Positions 0 … len(weights) − 1, drawn in proportion to the weights."""
    steps = np.cumsum(np.asarray(weights, dtype=np.float64))
    drawn = np.searchsorted(steps, rng.random(size) * steps[-1], side="right")
    return np.asarray(np.minimum(drawn, len(steps) - 1))


def weighted_by_row(rng: Generator, weights: Numbers) -> Numbers:
    """One position per row of a matrix of weights."""
    steps = np.cumsum(weights, axis=1)
    mark = rng.random(len(weights)) * steps[:, -1]
    return np.asarray(np.minimum((steps < mark[:, None]).sum(axis=1), weights.shape[1] - 1))


def scrambled(count: int, modulus: int, multiplier: int, offset: int) -> Numbers:
    """``count`` different numbers below ``modulus`` in no visible order.

    ``multiplier`` and ``modulus`` have no common divisor, 10,000 divides ``modulus``, and
    ``count`` is at most ``modulus``.
    """
    spread = (np.arange(count, dtype=np.int64) * multiplier + offset) % modulus
    turned = spread % 10_000 * (modulus // 10_000) + spread // 10_000
    return (turned * multiplier + offset) % modulus
