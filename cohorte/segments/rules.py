"""The rules of segments: a tree of groups over clauses that test one field of the profile.

A clause is met or not met, never in between. A customer whose value is unknown meets a clause only
when it says `unknown: true`; `is_known` and `is_unknown` ask about that very thing. So `none` of a
clause that an unknown value leaves unmet is met.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    Tag,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from cohorte.errors import SettingsError

Operator = Literal[
    "equals",
    "not_equals",
    "in",
    "not_in",
    "contains",
    "starts_with",
    "greater",
    "greater_or_equal",
    "less",
    "less_or_equal",
    "between",
    "is_known",
    "is_unknown",
    "within_days",
    "more_than_days_ago",
]
OPERATORS: tuple[Operator, ...] = get_args(Operator)

MAX_DEPTH = 20
MAX_NODES = 1000
MAX_VALUES = 2000

_NO_VALUE = ("is_known", "is_unknown")
_LIST_VALUE = ("in", "not_in")
_DAYS = ("within_days", "more_than_days_ago")


def _plain(value: Any) -> Any:
    """What YAML reads as a date or a decimal, as JSON writes it."""
    if isinstance(value, datetime):
        raise ValueError("compare with a day, such as 2026-10-31, without a time")
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value) if value % 1 else int(value)
    return value


Text = Annotated[str, Field(max_length=1000)]
Scalar = Annotated[StrictBool | StrictInt | StrictFloat | Text, BeforeValidator(_plain)]


class _Node(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Clause(_Node):
    """A test of one field. Dates are written YYYY-MM-DD, numbers of days as integers."""

    field: Annotated[str, Field(min_length=1, max_length=200)]
    op: Operator
    value: Scalar | list[Scalar] | None = None
    unknown: bool = False

    @property
    def values(self) -> list[Scalar]:
        """The value, or the list's values; empty when the operator takes none."""
        if isinstance(self.value, list):
            return self.value
        return [] if self.value is None else [self.value]

    @model_validator(mode="after")
    def _value_fits_operator(self) -> Clause:
        value = self.value
        if self.op in _NO_VALUE:
            if value is not None or self.unknown:
                raise ValueError(f"{self.op} takes neither value nor unknown")
        elif self.op in _LIST_VALUE:
            if not isinstance(value, list) or not 1 <= len(value) <= MAX_VALUES:
                raise ValueError(f"{self.op} takes a list of 1 to {MAX_VALUES} values")
        elif self.op == "between":
            if not isinstance(value, list) or len(value) != 2:
                raise ValueError("between takes a list of two values, the lower first")
        elif value is None or isinstance(value, list):
            raise ValueError(f"{self.op} takes one value")
        elif self.op in _DAYS:
            least = 1 if self.op == "within_days" else 0
            if (
                isinstance(value, bool)
                or not isinstance(value, int)
                or not least <= value <= 36_500
            ):
                raise ValueError(f"{self.op} takes a whole number of days from {least} to 36500")
        elif self.op in ("contains", "starts_with") and value == "":
            raise ValueError(f"{self.op} takes a text that is not empty")
        return self


class AllOf(_Node):
    """Met when every part is; without parts, by everyone."""

    all: list[AnyNode]


class AnyOf(_Node):
    """Met when at least one part is; without parts, by nobody."""

    any: list[AnyNode]


class NoneOf(_Node):
    """Met when no part is; without parts, by everyone."""

    none: list[AnyNode]


def _kind(node: Any) -> str:
    for kind in ("all", "any", "none"):
        if (isinstance(node, dict) and kind in node) or hasattr(node, kind):
            return kind
    return "clause"


AnyNode = Annotated[
    Annotated[AllOf, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[NoneOf, Tag("none")]
    | Annotated[Clause, Tag("clause")],
    Discriminator(_kind),
]


def _within_limits(data: Any) -> Any:
    """Refuse what is too deep or too long before anything recurses into it."""
    level, nodes, depth = [data], 0, 0
    while level:
        depth += 1
        nodes += len(level)
        if depth > MAX_DEPTH:
            raise ValueError(f"groups are nested deeper than {MAX_DEPTH}")
        if nodes > MAX_NODES:
            raise ValueError(f"the rule has more than {MAX_NODES} parts")
        level = [
            part
            for node in level
            if isinstance(node, dict)
            for kind in ("all", "any", "none")
            if isinstance(node.get(kind), list)
            for part in node[kind]
        ]
    return data


Rule = Annotated[AnyNode, BeforeValidator(_within_limits)]
Group = AllOf | AnyOf | NoneOf
Node = Group | Clause

_ADAPTER: TypeAdapter[Node] = TypeAdapter(Rule)
EVERYONE = AllOf(all=[])


def parse_rule(data: Any, where: str = "rule") -> Node:
    """The rule that JSON or YAML content states; SettingsError when it states none."""
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"] if part not in ("clause",))
        message = first["msg"].removeprefix("Value error, ")
        raise SettingsError(
            f"{path}: {message}" if path else message, where=where, remedy="correct the rule"
        ) from None


def rule_json(rule: Node) -> dict[str, Any]:
    """The rule as JSON content, with nothing that goes without saying."""
    content: dict[str, Any] = rule.model_dump(mode="json", exclude_defaults=True)
    return content


def parts(rule: Node) -> list[Node]:
    """The parts of a group; none of a clause."""
    match rule:
        case AllOf():
            return list(rule.all)
        case AnyOf():
            return list(rule.any)
        case NoneOf():
            return list(rule.none)
        case Clause():
            return []


def clauses(rule: Node) -> Iterator[Clause]:
    """Every clause of the tree, in reading order."""
    if isinstance(rule, Clause):
        yield rule
    for part in parts(rule):
        yield from clauses(part)


def simplified(rule: Node) -> Node | bool:
    """The same rule without empty groups, groups of one and groups inside their like.

    True or False when everyone or nobody meets it, whatever the data.
    """
    if isinstance(rule, Clause):
        return rule
    inner = [simplified(part) for part in parts(rule)]
    if isinstance(rule, AllOf):
        if any(part is False for part in inner):
            return False
        kept = _flattened(inner, AllOf)
        return True if not kept else kept[0] if len(kept) == 1 else AllOf(all=kept)
    if any(part is True for part in inner):
        return isinstance(rule, AnyOf)
    kept = _flattened(inner, AnyOf)
    if isinstance(rule, NoneOf):
        return NoneOf(none=kept) if kept else True
    return False if not kept else kept[0] if len(kept) == 1 else AnyOf(any=kept)


def _flattened(inner: list[Node | bool], kind: type[AllOf] | type[AnyOf]) -> list[Node]:
    kept: list[Node] = []
    for part in inner:
        if isinstance(part, bool):
            continue
        kept.extend(parts(part) if isinstance(part, kind) else [part])
    return kept
