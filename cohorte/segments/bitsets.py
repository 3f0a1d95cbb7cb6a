"""Sets of customers as bits: one bit a customer number, set when the customer is in.

What a leaf of a rule asks is answered once by DuckDB and kept, so that groups cost the time of a
few thousand machine words, and changing one clause of a rule asks that clause alone. Customer
numbers hold within one version: so do these sets.
"""

from __future__ import annotations

import json
import threading
from collections import OrderedDict
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from cohorte.segments.columns import HeldColumns
from cohorte.segments.rules import Node, rule_json

Bits = npt.NDArray[np.uint8]
KEPT = 1000


@dataclass(frozen=True)
class CustomerSet:
    """Some of `size` customers, numbered from 0."""

    bits: Bits
    size: int

    def __and__(self, other: CustomerSet) -> CustomerSet:
        return CustomerSet(self.bits & other.bits, self.size)

    def __or__(self, other: CustomerSet) -> CustomerSet:
        return CustomerSet(self.bits | other.bits, self.size)

    def __sub__(self, other: CustomerSet) -> CustomerSet:
        return CustomerSet(self.bits & ~other.bits, self.size)

    def __invert__(self) -> CustomerSet:
        return everyone(self.size) - self

    def __len__(self) -> int:
        return int(np.bitwise_count(self.bits).sum())

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int) or not 0 <= number < self.size:
            return False
        return bool(self.bits[number // 8] >> (7 - number % 8) & 1)

    def flags(self) -> npt.NDArray[np.bool_]:
        """Of each number, whether the customer is in."""
        return np.unpackbits(self.bits, count=self.size).view(np.bool_)

    def numbers(self) -> npt.NDArray[np.int64]:
        """The customer numbers, ascending."""
        return np.flatnonzero(self.flags())


def nobody(size: int) -> CustomerSet:
    return CustomerSet(np.zeros((size + 7) // 8, np.uint8), size)


def everyone(size: int) -> CustomerSet:
    return CustomerSet(np.packbits(np.ones(size, np.bool_)), size)


def marked(flags: npt.NDArray[np.bool_]) -> CustomerSet:
    """The customers whose flag is set."""
    return CustomerSet(np.packbits(flags), len(flags))


def set_of(
    numbers: npt.NDArray[np.int32], size: int, least: int = 1, most: int | None = None
) -> CustomerSet:
    """The customers whose numbers occur so many times, in any order."""
    if least == 1 and most is None:
        flags = np.zeros(size, np.bool_)
        flags[numbers] = True
    else:
        counts = np.bincount(numbers, minlength=size)
        flags = counts >= least
        if most is not None:
            flags &= counts <= most
    return marked(flags)


class Answers:
    """What leaves were answered, by what was asked; the oldest answers give way. And what is held.

    One for a version, shared by threads.
    """

    def __init__(self, kept: int = KEPT) -> None:
        self._kept = kept
        self._sets: OrderedDict[str, CustomerSet] = OrderedDict()
        self._lock = threading.Lock()
        self.size: int | None = None
        self.columns = HeldColumns()

    @staticmethod
    def key(leaf: Node, *context: object) -> str:
        return json.dumps([rule_json(leaf), *map(str, context)], sort_keys=True)

    def find(self, key: str) -> CustomerSet | None:
        with self._lock:
            found = self._sets.get(key)
            if found is not None:
                self._sets.move_to_end(key)
            return found

    def keep(self, key: str, found: CustomerSet) -> None:
        with self._lock:
            self._sets[key] = found
            while len(self._sets) > self._kept:
                self._sets.popitem(last=False)
