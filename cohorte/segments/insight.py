"""What a segment is made of: how it splits, overlaps, differs from the rest, and would change."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import polars as pl
from sqlglot import exp

from cohorte.errors import SettingsError
from cohorte.said import said
from cohorte.segments.bitsets import CustomerSet
from cohorte.segments.catalogue import ProfileField
from cohorte.segments.compile import Compiler, column, profile_select
from cohorte.segments.population import Population, customers_meeting, total
from cohorte.segments.rules import Node

MOST_OVERLAPPED = 10
MOST_VALUES = 12
_SAYS_NOTHING = ("customer_id", "full_name", "first_name", "last_name", "email", "phone")


@dataclass(frozen=True)
class Slice:
    """A value of a field: members and customers who have it; None is not known."""

    value: Any
    members_count: int
    customers_count: int


@dataclass(frozen=True)
class Breakdown:
    """How members split by a field, beside all customers; the commonest among members first."""

    field: str
    members_count: int
    customers_count: int
    slices: list[Slice]


def breakdown(population: Population, rule: Node, field: str, most: int = MOST_VALUES) -> Breakdown:
    """How the members of a rule split by a field. Numbers of many values split by tenths."""
    tested = population.catalogue[field]
    compiler = population.compiler()
    member = compiler.condition(population.plain(rule))
    value = _sliced(population, tested)
    selected = profile_select(
        [value.as_("value"), exp.Case().when(member, 1).else_(0).as_("is_member")],
        population.relation,
    )
    counts = (
        exp.select(
            exp.column("value"),
            exp.Sum(this=exp.column("is_member")).as_("members_count"),
            exp.Count(this=exp.Star()).as_("customers_count"),
        )
        .from_(selected.subquery("valued"))
        .group_by(exp.column("value"))
        .order_by(
            exp.column("members_count").desc(), exp.column("customers_count").desc(),
            exp.column("value"),
        )
    )  # fmt: skip
    rows = population.frame(counts, compiler).rows()
    slices = [Slice(value, int(inside or 0), int(all_)) for value, inside, all_ in rows]
    return Breakdown(
        field,
        sum(each.members_count for each in slices),
        sum(each.customers_count for each in slices),
        slices[:most],
    )


def _sliced(population: Population, tested: ProfileField) -> exp.Expr:
    """The value itself, or for numbers of many values the lower bound of a rounded band."""
    value = column(tested.name)
    if tested.type == "timestamp":
        return exp.cast(exp.func("date_trunc", exp.Literal.string("month"), value), "date")
    if tested.type == "date":
        return exp.cast(exp.func("date_trunc", exp.Literal.string("month"), value), "date")
    if tested.type not in ("integer", "number"):
        return value
    compiler = population.compiler()
    spread = profile_select(
        [
            exp.Count(this=exp.Distinct(expressions=[value.copy()])).as_("values_count"),
            exp.func("quantile_cont", value.copy(), exp.Literal.number("0.9")).as_("high"),
            exp.func("quantile_cont", value.copy(), exp.Literal.number("0.1")).as_("low"),
        ],
        population.relation,
    )
    values, high, low = population.frame(spread, compiler).row(0)
    if not values or values <= MOST_VALUES or high is None:
        return value
    width = _round_width(float(high) - float(low))
    return exp.Mul(
        this=exp.func("floor", exp.Div(this=value, expression=exp.Literal.number(str(width)))),
        expression=exp.Literal.number(str(width)),
    )


def _round_width(spread: float) -> float:
    """A tenth of a spread, rounded to 1, 2 or 5 times a power of ten."""
    rough = max(spread / 10, 1e-6)
    power = 10.0 ** math.floor(math.log10(rough))
    return float(next(step * power for step in (1, 2, 5, 10) if step * power >= rough * 0.999))


@dataclass(frozen=True)
class Intersection:
    """Customers who are in exactly these segments of those compared."""

    segments: tuple[str, ...]
    customers_count: int


@dataclass(frozen=True)
class Overlap:
    """Segments compared: their sizes, and every combination that someone is in, the largest first.

    The combinations do not overlap; with those in none they add up to all customers.
    """

    sizes: dict[str, int]
    intersections: list[Intersection]
    in_none: int


def overlap(population: Population, segments: Mapping[str, Node]) -> Overlap:
    """How up to ten segments overlap; SettingsError for more."""
    if not 1 <= len(segments) <= MOST_OVERLAPPED:
        raise SettingsError(
            said("{count} segments cannot be compared at once", count=len(segments)),
            remedy=said("choose 1 to {most}", most=MOST_OVERLAPPED),
        )
    sets = {name: customers_meeting(population, rule) for name, rule in segments.items()}
    pattern = np.zeros(total(population), np.uint16)
    for position, members in enumerate(sets.values()):
        pattern[members.numbers()] |= np.uint16(1 << position)
    found, counts = np.unique(pattern, return_counts=True)
    names = list(sets)
    intersections = [
        Intersection(
            tuple(name for position, name in enumerate(names) if code >> position & 1), int(size)
        )
        for code, size in zip(found.tolist(), counts.tolist(), strict=True)
        if code
    ]
    return Overlap(
        sizes={name: len(members) for name, members in sets.items()},
        intersections=sorted(
            intersections, key=lambda each: (-each.customers_count, each.segments)
        ),
        in_none=total(population) - sum(each.customers_count for each in intersections),
    )


@dataclass(frozen=True)
class Difference:
    """How members differ from the rest in a field.

    For numbers, means and Cohen's d: the difference in standard deviations. For shares of a
    `value`, shares and Cohen's h: the difference of their arcsines. Of either, 0.2 is small, 0.5
    medium and 0.8 large.
    """

    field: str
    kind: Literal["mean", "share"]
    value: Any
    members: float
    rest: float
    effect: float


def differences(population: Population, rule: Node, most: int = 12) -> list[Difference]:
    """In what the members differ most from everyone else, the largest effect first.

    At most one line a field. None when everyone or nobody is a member.
    """
    members = customers_meeting(population, rule)
    if not 0 < len(members) < total(population):
        return []
    compiler = population.compiler()
    member = compiler.condition(population.plain(rule))
    found = [
        *_means(population, member.copy(), compiler),
        *_shares(population, member, compiler),
    ]
    strongest: dict[str, Difference] = {}
    for each in sorted(found, key=lambda each: -abs(each.effect)):
        strongest.setdefault(each.field, each)
    return [each for each in strongest.values() if abs(each.effect) >= 0.1][:most]


def _means(population: Population, member: exp.Expr, compiler: Compiler) -> list[Difference]:
    fields = [
        each.name
        for each in population.catalogue
        if each.type in ("integer", "number") and each.name not in ("latitude", "longitude")
    ]
    figures: list[exp.Expr] = [exp.Case().when(member, 1).else_(0).as_("is_member")]
    for position, name in enumerate(fields):
        value = exp.cast(column(name), "double")
        figures += [
            exp.Avg(this=value).as_(f"mean_{position}"),
            exp.func("var_samp", value.copy()).as_(f"variance_{position}"),
            exp.Count(this=value.copy()).as_(f"count_{position}"),
        ]
    select = profile_select(figures, population.relation).group_by(exp.column("is_member"))
    groups = {row["is_member"]: row for row in population.frame(select, compiler).to_dicts()}
    found = []
    for position, name in enumerate(fields):
        one, rest = (
            [groups[side][f"{what}_{position}"] for what in ("mean", "variance", "count")]
            for side in (1, 0)
        )
        if one[2] < 2 or rest[2] < 2:
            continue
        pooled = ((one[2] - 1) * one[1] + (rest[2] - 1) * rest[1]) / (one[2] + rest[2] - 2)
        if pooled > 0:
            effect = (one[0] - rest[0]) / math.sqrt(pooled)
            found.append(Difference(name, "mean", None, one[0], rest[0], effect))
    return found


def _shares(population: Population, member: exp.Expr, compiler: Compiler) -> list[Difference]:
    """Shares of each value of texts and booleans, in one pass over the profiles."""
    fields = [
        each.name
        for each in population.catalogue
        if each.type in ("text", "boolean") and each.name not in _SAYS_NOTHING
        and each.group not in ("other",) and not each.name.endswith("_id")
    ]  # fmt: skip
    valued = profile_select(
        [
            exp.Case().when(member, 1).else_(0).as_("is_member"),
            *(exp.cast(column(name), "varchar").as_(name, quoted=True) for name in fields),
        ],
        population.relation,
    )
    frame = population.frame(valued, compiler)
    inside, outside = frame.filter(pl.col("is_member") == 1), frame.filter(pl.col("is_member") == 0)
    found = []
    for name in fields:
        most = frame[name].drop_nulls().value_counts(sort=True).head(50)[name].to_list()
        for value in most:
            one = _share(inside, name, value)
            rest = _share(outside, name, value)
            effect = 2 * (math.asin(math.sqrt(one)) - math.asin(math.sqrt(rest)))
            found.append(Difference(name, "share", value, one, rest, effect))
    return found


def _share(frame: pl.DataFrame, name: str, value: str) -> float:
    return float((frame[name] == value).sum() or 0) / frame.height


@dataclass(frozen=True)
class Impact:
    """What another rule would change: who would enter, leave and stay."""

    before: int
    after: int
    entering: CustomerSet
    leaving: CustomerSet

    @property
    def entered(self) -> int:
        return len(self.entering)

    @property
    def left(self) -> int:
        return len(self.leaving)


def impact(population: Population, before: Node, after: Node) -> Impact:
    """Who would enter and who would leave if one rule took the place of another."""
    old, new = (customers_meeting(population, rule) for rule in (before, after))
    return Impact(len(old), len(new), new - old, old - new)
