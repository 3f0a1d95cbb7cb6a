"""An additive score as one SELECT: probability and strongest reasons in a single pass of a table.

Each feature's table becomes a balanced tree of CASE, so a value costs as many comparisons as its
table has binary digits of intervals. Memory is the database's: rows stream through.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

from models.encoding import EncodedFeature, FeatureEncoder
from models.scorecard import AdditiveClassifier

__all__ = ["ScoreSql", "identifier", "literal"]

FloatArray = npt.NDArray[np.float64]

REASONS = 3
LEAST_REASON = 0.0005
MOST_BRANCHES = 16
"""Categories over which a map is faster than comparisons."""

UNIT = 1_000_000_000
"""Reasons are told to a thousand-millionth of the logit."""


def identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


@dataclass(frozen=True)
class ScoreSql:
    """The expressions of an additive score over the columns of a table.

    ``columns`` says which expression holds a feature's value, where it is not the column of its
    name.
    """

    encoder: FeatureEncoder
    scorer: AdditiveClassifier
    columns: Mapping[str, str]

    def select(
        self,
        relation: str,
        keys: Sequence[str],
        *,
        reasons: Literal["json", "codes"] | None = "json",
    ) -> str:
        """One row per row of ``relation``: the keys, ``logit``, ``probability`` and the reasons.

        ``json`` tells the strongest contributions, at most three, as a list with features and
        values. ``codes`` tells them as numbers, twice as fast: ``reason_1`` to ``reason_3`` are
        places among the features, ``contribution_1`` to ``contribution_3`` what they add.

        ``relation`` and ``keys`` are names that the program states.
        """
        features = self.encoder.features
        count = len(features)
        held = [f"{self._value(feature)} as x{at}" for at, feature in enumerate(features)]
        source = f"(select {', '.join([*keys, *held])} from {relation}) as held"
        adds = [f"{self._table(at)} as c{at}" for at in range(count)]
        source = f"(select {', '.join(['*', *adds])} from {source}) as looked_up"
        total = " + ".join([_number(self.scorer.intercept_), *(f"c{at}" for at in range(count))])
        added = ["*", f"{total} as logit", *(self._packed(count) if reasons and count else [])]
        source = f"(select {', '.join(added)} from {source}) as added"
        shown = [*keys, "logit", "1 / (1 + exp(-logit)) as probability"]
        if reasons and count:
            greatest = _greatest([f"k{at}" for at in range(count)])
            source = f"(select *, {greatest} as r1 from {source}) as ranked1"
            for rank in range(2, REASONS + 1):
                source = f"(select *, {self._next(count, rank)} from {source}) as ranked{rank}"
            if reasons == "json":
                shown.append(self._reasons() + " as reasons")
            else:
                shown += self._codes(min(count, REASONS))
        elif reasons == "json":
            shown.append("'[]' as reasons")
        return f"select {', '.join(shown)} from {source}"

    def _value(self, feature: EncodedFeature) -> str:
        column = self.columns.get(feature.name, identifier(feature.name))
        if feature.kind == "category":
            return f"cast({column} as varchar)"
        number = f"cast({column} as double)"
        return f"case when isnan({number}) then null else {number} end"

    def _table(self, at: int) -> str:
        feature, values = self.encoder.features[at], self.scorer.values_[at]
        missing = _number(self.scorer.missing_[at])
        if len(values) == 0:
            return missing
        if feature.kind == "category":
            has_other = len(values) == len(feature.categories)
            fallback = _number(values[-1]) if has_other else missing
            found = sorted(zip(feature.categories[: len(values)], values.tolist(), strict=True))
            tree = _category_tree(f"x{at}", found, fallback)
        else:
            tree = _interval_tree(f"x{at}", *_merged(self.scorer.edges_[at], values))
        return f"case when x{at} is null then {missing} else {tree} end"

    def _json(self, at: int) -> str:
        """The value as JSON."""
        if self.encoder.features[at].kind == "category":
            return f"coalesce(to_json(x{at})::varchar, 'null')"
        return f"coalesce(cast(x{at} as varchar), 'null')"

    @staticmethod
    def _packed(count: int) -> list[str]:
        """Contribution and place in one whole number, so that the greatest tells both."""
        return [
            f"cast(abs(c{at}) * {UNIT} as bigint) * 256"
            f" + case when c{at} > 0 then {2 * at + 1} else {2 * at} end as k{at}"
            for at in range(count)
        ]

    @staticmethod
    def _next(count: int, rank: int) -> str:
        before = f"r{rank - 1}"
        rest = [f"case when k{at} < {before} then k{at} else -1 end" for at in range(count)]
        return f"{_greatest(rest)} as r{rank}"

    @staticmethod
    def _codes(count: int) -> list[str]:
        return [
            part
            for rank in range(1, count + 1)
            for part in (
                f"cast((r{rank} & 255) >> 1 as utinyint) as reason_{rank}",
                f"(r{rank} >> 8) * (2 * (r{rank} & 1) - 1) * 1e-9::double as contribution_{rank}",
            )
        ]

    def _reasons(self) -> str:
        """JSON of the ranked reasons that are not next to nothing."""
        names = self.encoder.names
        least = round(LEAST_REASON * UNIT) * 256
        parts = []
        for rank in range(1, REASONS + 1):
            packed = f"r{rank}"
            place = f"((({packed}) % 256) // 2)"
            value = _pick(place, [self._json(at) for at in range(len(names))])
            opening = _pick(place, [literal(_opening(name)) for name in names])
            size = f"round(({packed} // 256) / {UNIT}.0, 9)"
            signed = f"case when {packed} % 2 = 1 then {size} else -{size} end"
            comma = "''" if rank == 1 else "', '"
            parts.append(
                f"case when {packed} >= {least} then {comma} || {opening} || {value}"
                f" || ', \"contribution\": ' || cast({signed} as varchar) || '}}' else '' end"
            )
        return "'[' || " + " || ".join(parts) + " || ']'"


def _opening(name: str) -> str:
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'{{"feature": "{escaped}", "value": '


def _greatest(parts: list[str]) -> str:
    return parts[0] if len(parts) == 1 else f"greatest({', '.join(parts)})"


def _pick(place: str, choices: list[str]) -> str:
    """The choice at a place, by halving."""
    return _pick_between(place, choices, 0)


def _pick_between(place: str, choices: list[str], first: int) -> str:
    if len(choices) == 1:
        return choices[0]
    half = len(choices) // 2
    low = _pick_between(place, choices[:half], first)
    high = _pick_between(place, choices[half:], first + half)
    return f"case when {place} < {first + half} then {low} else {high} end"


def _merged(edges: FloatArray, values: FloatArray) -> tuple[list[float], list[float]]:
    """Neighbouring intervals of equal value as one."""
    kept_edges, kept_values = [], [float(values[0])]
    for edge, value in zip(edges.tolist(), values[1:].tolist(), strict=True):
        if value != kept_values[-1]:
            kept_edges.append(float(edge))
            kept_values.append(float(value))
    return kept_edges, kept_values


def _interval_tree(column: str, edges: list[float], values: list[float]) -> str:
    if not edges:
        return _number(values[0])
    middle = len(edges) // 2
    low = _interval_tree(column, edges[:middle], values[: middle + 1])
    high = _interval_tree(column, edges[middle + 1 :], values[middle + 1 :])
    return f"case when {column} <= {_number(edges[middle])} then {low} else {high} end"


def _category_tree(column: str, found: list[tuple[str, float]], fallback: str) -> str:
    if len(found) > MOST_BRANCHES:
        names = ", ".join(literal(value) for value, _ in found)
        numbers = ", ".join(_number(number) for _, number in found)
        return f"coalesce(map([{names}], [{numbers}])[{column}], {fallback})"
    if len(found) == 1:
        value, number = found[0]
        return f"case when {column} = {literal(value)} then {_number(number)} else {fallback} end"
    middle = len(found) // 2
    low = _category_tree(column, found[:middle], fallback)
    high = _category_tree(column, found[middle:], fallback)
    return f"case when {column} < {literal(found[middle][0])} then {low} else {high} end"


def _number(value: float) -> str:
    return f"({float(value)!r}::double)"
