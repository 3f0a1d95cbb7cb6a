"""An additive score as one SELECT: probability and strongest reasons in a single pass of a table.

What a value adds is one whole number: its contribution in thousand-millionths of a thousandth, and
below it the place of the feature and the sign. The numbers of a row add up to the logit, and the
largest of them are the reasons: nothing is worked out twice. A value finds its number by a
dictionary joined in, where it is one of many categories or of a range of whole numbers, else by a
balanced tree of CASE. Features that add nothing are not looked at. Memory is the database's: rows
stream through.
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
MOST_BRANCHES = 6
"""Categories, or intervals between whole numbers, over which a dictionary beats comparisons."""

MOST_NUMBERS = 4096
"""Whole numbers that a dictionary spans, at most."""

UNIT = 1_000_000_000_000
"""What is added is kept to a million-millionth of the logit."""


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
        values. ``codes`` tells them as numbers, several times as fast: ``reason_1`` to
        ``reason_3`` are places among the features, ``contribution_1`` to ``contribution_3`` what
        they add.

        ``relation`` and ``keys`` are names that the program states.
        """
        used = [at for at in range(len(self.encoder.features)) if not self._is_idle(at)]
        features = self.encoder.features
        held = [f"{self._value(features[at])} as x{at}" for at in used]
        source = f"(select {', '.join([*keys, *held])} from {relation}) as held"
        tables = {at: self._table(at) for at in used}
        joined = "".join(join for _, join in tables.values())
        adds = [f"{expression} as s{at}" for at, (expression, _) in tables.items()]
        source = f"(select {', '.join(['held.*', *adds])} from {source}{joined}) as looked_up"
        whole = " + ".join(f"s{at}" for at in used) or "0"
        logit = f"{_number(self.scorer.intercept_)} + ({whole}) / {float(UNIT * self.width)!r}"
        added = ["*", f"{logit} as logit"]
        if reasons:
            added += [f"abs(s{at}) as k{at}" for at in used]
        source = f"(select {', '.join(added)} from {source}) as added"
        shown = [*keys, "logit", "1 / (1 + exp(-logit)) as probability"]
        if reasons and used:
            greatest = _greatest([f"k{at}" for at in used])
            source = f"(select *, {greatest} as r1 from {source}) as ranked1"
            for rank in range(2, REASONS + 1):
                source = f"(select *, {self._next(used, rank)} from {source}) as ranked{rank}"
            if reasons == "json":
                shown.append(self._reasons(used) + " as reasons")
            else:
                shown += self._codes(min(len(used), REASONS))
        elif reasons == "json":
            shown.append("'[]' as reasons")
        return f"select {', '.join(shown)} from {source}"

    @property
    def width(self) -> int:
        """What a contribution is multiplied by, to make room for twice the place and the sign."""
        return 1 << max(8, (2 * len(self.encoder.features)).bit_length())

    def _is_idle(self, at: int) -> bool:
        """Whether a feature adds nothing, whatever its value."""
        return not (np.any(self.scorer.values_[at]) or self.scorer.missing_[at])

    def _value(self, feature: EncodedFeature) -> str:
        column = self.columns.get(feature.name, identifier(feature.name))
        if feature.kind == "category":
            return f"cast({column} as varchar)"
        number = f"cast({column} as double)"
        return f"case when isnan({number}) then null else {number} end"

    def _table(self, at: int) -> tuple[str, str]:
        """The number that a feature's value adds, and the join that it needs."""
        feature, values = self.encoder.features[at], self.scorer.values_[at]
        missing = self._packed(at, self.scorer.missing_[at])
        if len(values) == 0:
            return str(missing), ""
        packed = [self._packed(at, value) for value in values]
        if feature.kind == "category":
            has_other = len(values) == len(feature.categories)
            fallback = packed[-1] if has_other else missing
            names = [literal(name) for name in feature.categories[: len(values)]]
            if len(names) > MOST_BRANCHES:
                join = _dictionary(at, names, packed, "varchar", f"x{at}")
                found = f"coalesce(t{at}.added, {fallback})"
                return f"case when x{at} is null then {missing} else {found} end", join
            tree = _category_tree(f"x{at}", sorted(zip(names, packed, strict=True)), fallback)
            return f"case when x{at} is null then {missing} else {tree} end", ""
        edges, packed = _merged(self.scorer.edges_[at], packed)
        if _spans_whole_numbers(edges) and len(packed) > MOST_BRANCHES:
            low, high = int(edges[0]), int(edges[-1]) + 1
            numbers = range(low, high + 1)
            places = np.searchsorted(edges, np.arange(low, high + 1), side="left")
            index = (
                f"cast(case when x{at} <= {low} then {low} when x{at} > {high - 1} then {high}"
                f" else ceil(x{at}) end as integer)"
            )
            told = [packed[place] for place in places]
            join = _dictionary(at, [str(each) for each in numbers], told, "integer", index)
            return f"case when x{at} is null then {missing} else t{at}.added end", join
        tree = _interval_tree(f"x{at}", edges, packed)
        return f"case when x{at} is null then {missing} else {tree} end", ""

    def _packed(self, at: int, value: float) -> int:
        """A contribution, the place of its feature and its sign in one whole number."""
        size = round(abs(float(value)) * UNIT) * self.width
        return size + 2 * at + 1 if value > 0 else -(size + 2 * at)

    def _json(self, at: int) -> str:
        """The value as JSON."""
        if self.encoder.features[at].kind == "category":
            return f"coalesce(to_json(x{at})::varchar, 'null')"
        return f"coalesce(cast(x{at} as varchar), 'null')"

    @staticmethod
    def _next(used: Sequence[int], rank: int) -> str:
        before = f"r{rank - 1}"
        rest = [f"case when k{at} < {before} then k{at} else -1 end" for at in used]
        return f"{_greatest(rest)} as r{rank}"

    def _codes(self, count: int) -> list[str]:
        mask, shift, unit = self.width - 1, self.width.bit_length() - 1, repr(float(UNIT))
        return [
            part
            for rank in range(1, count + 1)
            for part in (
                f"cast((r{rank} & {mask}) >> 1 as usmallint) as reason_{rank}",
                f"(r{rank} >> {shift}) * (2 * (r{rank} & 1) - 1) / {unit} as contribution_{rank}",
            )
        ]

    def _reasons(self, used: Sequence[int]) -> str:
        """JSON of the ranked reasons that are not next to nothing."""
        names = self.encoder.names
        least, width = round(LEAST_REASON * UNIT) * self.width, self.width
        parts = []
        for rank in range(1, REASONS + 1):
            packed = f"r{rank}"
            place = f"(({packed} % {width}) // 2)"
            value = _pick(place, [(at, self._json(at)) for at in used])
            opening = _pick(place, [(at, literal(_opening(names[at]))) for at in used])
            size = f"round(({packed} // {width}) / {float(UNIT)!r}, 9)"
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


def _pick(place: str, choices: Sequence[tuple[int, str]]) -> str:
    """The choice at a place, by halving; ``choices`` are in order of their places."""
    if len(choices) == 1:
        return choices[0][1]
    half = len(choices) // 2
    low, high = _pick(place, choices[:half]), _pick(place, choices[half:])
    return f"case when {place} < {choices[half][0]} then {low} else {high} end"


def _merged(edges: FloatArray, packed: Sequence[int]) -> tuple[list[float], list[int]]:
    """Neighbouring intervals of equal value as one; where nothing lies beyond, nothing is asked."""
    kept_edges, kept = [], [packed[0]]
    for edge, number in zip(edges.tolist(), packed[1:], strict=True):
        if number != kept[-1] and np.isfinite(edge):
            kept_edges.append(float(edge))
            kept.append(number)
    return kept_edges, kept


def _spans_whole_numbers(edges: Sequence[float]) -> bool:
    """Whether a value lies in the interval of the whole number above it, and there are not many."""
    return (
        bool(edges)
        and all(edge.is_integer() for edge in edges)
        and edges[-1] - edges[0] < MOST_NUMBERS
        and max(abs(edges[0]), abs(edges[-1])) < 2**30
    )


def _dictionary(at: int, keys: Sequence[str], packed: Sequence[int], kind: str, index: str) -> str:
    """A join of what each key adds, as ``t<at>.added``."""
    numbers = ", ".join(str(number) for number in packed)
    return (
        f" left join (select unnest([{', '.join(keys)}]::{kind}[]) as key,"
        f" unnest([{numbers}]::bigint[]) as added) as t{at} on t{at}.key = {index}"
    )


def _interval_tree(column: str, edges: list[float], packed: list[int]) -> str:
    if not edges:
        return f"{packed[0]}::bigint"
    middle = len(edges) // 2
    low = _interval_tree(column, edges[:middle], packed[: middle + 1])
    high = _interval_tree(column, edges[middle + 1 :], packed[middle + 1 :])
    return f"case when {column} <= {_number(edges[middle])} then {low} else {high} end"


def _category_tree(column: str, found: list[tuple[str, int]], fallback: int) -> str:
    """``found``: the categories as literals, in order, with what they add."""
    if len(found) == 1:
        value, number = found[0]
        return f"case when {column} = {value} then {number}::bigint else {fallback}::bigint end"
    middle = len(found) // 2
    low = _category_tree(column, found[:middle], fallback)
    high = _category_tree(column, found[middle:], fallback)
    return f"case when {column} < {found[middle][0]} then {low} else {high} end"


def _number(value: float) -> str:
    return f"({float(value)!r}::double)"
