"""Links become clusters: the strongest first, a join made only where the whole agrees.

Chaining is the danger: two people who each resemble a third become one. So two groups are joined
only when the mean weight of all links between their records is high enough, those not looked at
or found wanting counted against it, and never across a pair that must stay apart.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

__all__ = ["ClusterLimits", "Refusal", "cluster"]

IntArray = npt.NDArray[np.int64]
FloatArray = npt.NDArray[np.float64]


@dataclass(frozen=True)
class ClusterLimits:
    """When two groups of records are one person. Weights are log2 of the odds."""

    join_weight: float = 4.25
    """Weight from which a link proposes a join: probability .95."""

    mean_weight: float = 0.0
    """Mean weight of the links between two groups from which they are joined."""

    unseen_weight: float = -1.0
    """What a pair that blocking did not propose counts for."""

    cap: float = 10.0
    """What one link counts for at most."""

    veto_weight: float = -20.0
    """What a pair that contradicts itself counts for."""

    max_records: int = 200
    """Records that one customer may have by probable links; a larger one is not joined further."""


@dataclass(frozen=True)
class Refusal:
    """A link strong enough that was not followed, and why."""

    record_a: int
    record_b: int
    reason: str


def cluster(
    records: int,
    first: IntArray,
    second: IntArray,
    weights: FloatArray,
    *,
    exact: npt.NDArray[np.bool_] | None = None,
    together: Iterable[tuple[int, int]] = (),
    apart: Iterable[tuple[int, int]] = (),
    exclusive: dict[int, int] | None = None,
    distinct: dict[int, int] | None = None,
    limits: ClusterLimits | None = None,
) -> tuple[IntArray, list[Refusal]]:
    """Smallest record of each record's cluster, and the joins refused.

    ``together`` pairs are joined first, in their order, whatever else is known of them; ``apart``
    pairs never end in one cluster. ``exact`` marks links by a shared key, which need no support
    from the rest of their groups. ``exclusive`` gives records a group in which no two may be one
    person (the records of a source whose ids are unique people); ``distinct`` gives records a
    value, such as a registration number, of which one cluster never has two. The result does not
    hang on the order of the links: they are taken by weight, then by records.
    """
    limits = limits or ClusterLimits()
    together, apart, exclusive = list(together), list(apart), exclusive or {}
    distinct = distinct or {}
    if exact is None:
        exact = np.zeros(len(first), np.bool_)
    labels, left, numbers = _join_pairs(
        records, first, second, weights, exact, together, apart, {*exclusive, *distinct}, limits
    )
    old = np.flatnonzero(left)
    inside = left[first] & left[second]

    def renumbered(pairs: list[tuple[int, int]]) -> list[tuple[int, int]]:
        return [(int(numbers[a]), int(numbers[b])) for a, b in pairs if left[a] and left[b]]

    found, refusals = _join_groups(
        len(old),
        numbers[first[inside]],
        numbers[second[inside]],
        weights[inside],
        exact[inside],
        renumbered(together),
        renumbered(apart),
        {int(numbers[record]): group for record, group in exclusive.items() if left[record]},
        {int(numbers[record]): value for record, value in distinct.items() if left[record]},
        limits,
    )
    labels[old] = old[found]
    return labels, [
        Refusal(int(old[refusal.record_a]), int(old[refusal.record_b]), refusal.reason)
        for refusal in refusals
    ]


def _join_pairs(
    records: int,
    first: IntArray,
    second: IntArray,
    weights: FloatArray,
    exact: npt.NDArray[np.bool_],
    together: list[tuple[int, int]],
    apart: list[tuple[int, int]],
    constrained: set[int],
    limits: ClusterLimits,
) -> tuple[IntArray, npt.NDArray[np.bool_], IntArray]:
    """Settle what needs no thought: records without a strong link, and two with one and no more.

    Returns labels, which records are left to be looked at, and their numbers among those left.
    Most customers are settled here, at a hundredth of the cost.
    """
    strong = weights >= limits.join_weight
    said = np.array(together, np.int64).reshape(-1, 2)
    a = np.concatenate([first[strong], said[:, 0]])
    b = np.concatenate([second[strong], said[:, 1]])
    graph = coo_array((np.ones(len(a), np.int8), (a, b)), shape=(records, records))
    _, component = connected_components(graph, directed=False)
    sizes = np.bincount(component, minlength=1)
    bound = np.zeros(records, np.bool_)
    for pairs in (together, apart):
        bound[[record for pair in pairs for record in pair]] = True
    bound[list(constrained)] = True
    left = (sizes[component] > 1) if records else bound
    plain = strong & (exact | (weights >= limits.mean_weight)) & (limits.max_records >= 2)
    plain &= sizes[component[first]] == 2
    plain &= ~bound[first] & ~bound[second]
    labels = np.arange(records, dtype=np.int64)
    labels[second[plain]] = np.minimum(first[plain], second[plain])
    labels[first[plain]] = labels[second[plain]]
    left[first[plain]] = left[second[plain]] = False
    return labels, left, np.cumsum(left, dtype=np.int64) - 1


def _join_groups(
    records: int,
    first: IntArray,
    second: IntArray,
    weights: FloatArray,
    exact: npt.NDArray[np.bool_],
    together: list[tuple[int, int]],
    apart: list[tuple[int, int]],
    exclusive: dict[int, int],
    distinct: dict[int, int],
    limits: ClusterLimits,
) -> tuple[IntArray, list[Refusal]]:
    parent = list(range(records))
    members: dict[int, list[int]] = {}
    forbidden: dict[int, set[int]] = {}
    groups: dict[int, set[int]] = {}

    def find(record: int) -> int:
        while parent[record] != record:
            parent[record] = parent[parent[record]]
            record = parent[record]
        return record

    for a, b in apart:
        forbidden.setdefault(a, set()).add(b)
        forbidden.setdefault(b, set()).add(a)

    between: dict[int, dict[int, tuple[float, int]]] = {}
    capped = np.clip(weights, limits.veto_weight, limits.cap)
    for a, b, weight in zip(first.tolist(), second.tolist(), capped.tolist(), strict=True):
        between.setdefault(a, {})[b] = (weight, 1)
        between.setdefault(b, {})[a] = (weight, 1)

    def size(root: int) -> int:
        return len(members[root]) if root in members else 1

    def hindrance(a: int, b: int) -> str | None:
        small, large = (a, b) if size(a) <= size(b) else (b, a)
        of_large = set(members.get(large, (large,)))
        for record in members.get(small, (small,)):
            if not of_large.isdisjoint(forbidden.get(record, ())):
                return "kept_apart"
        if exclusive:
            held_a = groups.get(a) or {exclusive[a]} if a in exclusive else groups.get(a, set())
            held_b = groups.get(b) or {exclusive[b]} if b in exclusive else groups.get(b, set())
            if not held_a.isdisjoint(held_b):
                return "unique_in_source"
        if a in distinct and b in distinct and distinct[a] != distinct[b]:
            return "distinct"
        return None

    def join(a: int, b: int) -> None:
        keep, gone = (a, b) if a < b else (b, a)
        parent[gone] = keep
        members.setdefault(keep, [keep]).extend(members.pop(gone, [gone]))
        if exclusive:
            held = groups.setdefault(keep, {exclusive[keep]} if keep in exclusive else set())
            held |= groups.pop(gone, {exclusive[gone]} if gone in exclusive else set())
        if gone in distinct:
            distinct.setdefault(keep, distinct[gone])
        theirs = between.pop(gone, {})
        mine = between.setdefault(keep, {})
        mine.pop(gone, None)
        for other, (weight, count) in theirs.items():
            if other == keep:
                continue
            held_weight, held_count = mine.get(other, (0.0, 0))
            mine[other] = (held_weight + weight, held_count + count)
            neighbours = between[other]
            neighbours.pop(gone, None)
            neighbours[keep] = mine[other]

    for a, b in together:
        root_a, root_b = find(a), find(b)
        if root_a != root_b and hindrance(root_a, root_b) != "kept_apart":
            join(root_a, root_b)

    refusals: list[Refusal] = []
    strong = np.flatnonzero(weights >= limits.join_weight)
    order = strong[np.lexsort((second[strong], first[strong], -np.round(weights[strong], 6)))]
    proposed = zip(
        first[order].tolist(), second[order].tolist(), exact[order].tolist(), strict=True
    )
    for a, b, is_exact in proposed:
        root_a, root_b = find(a), find(b)
        if root_a == root_b:
            continue
        reason = hindrance(root_a, root_b)
        if reason is None and not is_exact:
            pairs = size(root_a) * size(root_b)
            if size(root_a) + size(root_b) > limits.max_records:
                reason = "too_many_records"
            else:
                weight, seen = between[root_a].get(root_b, (0.0, 0))
                total = weight + limits.unseen_weight * (pairs - seen)
                if total < limits.mean_weight * pairs:
                    reason = "weak_as_a_whole"
        if reason is None:
            join(root_a, root_b)
        else:
            refusals.append(Refusal(a, b, reason))
    return np.fromiter((find(record) for record in range(records)), np.int64, records), refusals
