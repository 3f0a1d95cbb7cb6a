"""The rules of segments: a tree of groups over leaves.

A leaf tests a field of the profile, what someone did, one thing after another, membership of
another segment, a distance, a consent, a rank or a reproducible draw. A leaf is met or not met,
never in between. A customer whose value is unknown meets a clause only when it says
`unknown: true`; `is_known` and `is_unknown` ask about that very thing. So `none` of a clause that
an unknown value leaves unmet is met. A node that says `off: true` is as if it were not there.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, TypeGuard, get_args

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
from cohorte.said import said
from cohorte.yamlfile import mistake_said

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
    "anniversary_in_days",
]
OPERATORS: tuple[Operator, ...] = get_args(Operator)

MAX_DEPTH = 20
MAX_NODES = 1000
MAX_VALUES = 2000

_NO_VALUE = ("is_known", "is_unknown")
_LIST_VALUE = ("in", "not_in")
_DAYS = ("within_days", "more_than_days_ago", "anniversary_in_days")


def _plain(value: Any) -> Any:
    """What YAML reads as a date or a decimal, as JSON writes it."""
    if isinstance(value, datetime):
        raise ValueError(said("compare with a day, such as 2026-10-31, without a time"))
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Decimal):
        return float(value) if value % 1 else int(value)
    return value


Text = Annotated[str, Field(max_length=1000)]
Scalar = Annotated[StrictBool | StrictInt | StrictFloat | Text, BeforeValidator(_plain)]


class _Part(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Node(_Part):
    off: bool = False


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
                raise ValueError(said("{op} takes neither value nor unknown", op=self.op))
        elif self.op in _LIST_VALUE:
            if not isinstance(value, list) or not 1 <= len(value) <= MAX_VALUES:
                raise ValueError(
                    said("{op} takes a list of 1 to {most} values", op=self.op, most=MAX_VALUES)
                )
        elif self.op == "between":
            if not isinstance(value, list) or len(value) != 2:
                raise ValueError(said("between takes a list of two values, the lower first"))
        elif value is None or isinstance(value, list):
            raise ValueError(said("{op} takes one value", op=self.op))
        elif self.op in _DAYS:
            least = 0 if self.op == "more_than_days_ago" else 1
            most = 366 if self.op == "anniversary_in_days" else 36_500
            if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
                raise ValueError(
                    said(
                        "{op} takes a whole number of days from {least} to {most}",
                        op=self.op,
                        least=least,
                        most=most,
                    )
                )
        elif self.op in ("contains", "starts_with") and value == "":
            raise ValueError(said("{op} takes a text that is not empty", op=self.op))
        return self


Name = Annotated[str, Field(min_length=1, max_length=200)]
Days = Annotated[StrictInt, Field(ge=1, le=36_500)]
Number = StrictInt | StrictFloat


class Event(_Part):
    """Something that customers do, such as ordered, with tests of the thing itself."""

    did: Name
    where: Annotated[list[Clause], Field(max_length=20)] = []

    @property
    def tests(self) -> list[Clause]:
        """The tests of the thing that are not switched off."""
        return [test for test in self.where if not test.off]


class Anchor(Event):
    """The first or the last time that a customer did something, up to `as_of`."""

    which: Literal["first", "last"] = "first"


class Window(_Part):
    """When: one of the last days, between two days, or days around an anchor. Empty: ever.

    `last_days: 30` are the 30 days that end with `as_of`; `except_last_days: 10` leaves out the
    last 10 of them. `since` and `until` are days, both included. `after` an anchor are the moments
    later than it up to `days` days on, `before` those earlier; without `days`, any.
    """

    last_days: Days | None = None
    except_last_days: Days | None = None
    since: Annotated[Text, BeforeValidator(_plain)] | None = None
    until: Annotated[Text, BeforeValidator(_plain)] | None = None
    after: Anchor | None = None
    before: Anchor | None = None
    days: Days | None = None

    @model_validator(mode="after")
    def _one_kind(self) -> Window:
        relative = self.last_days is not None or self.except_last_days is not None
        dated = self.since is not None or self.until is not None
        anchored = self.after is not None or self.before is not None
        if relative + dated + anchored > 1 or (self.after and self.before):
            raise ValueError(
                said("a window is of the last days, or between days, or around an event")
            )
        if self.days is not None and not anchored:
            raise ValueError(said("days belongs to after or before"))
        if self.last_days and self.except_last_days and self.except_last_days >= self.last_days:
            raise ValueError(said("except_last_days leaves nothing of last_days"))
        return self

    @property
    def anchor(self) -> Anchor | None:
        return self.after or self.before


class Times(_Part):
    """How many times: exactly one of the three."""

    at_least: Annotated[StrictInt, Field(ge=1, le=1_000_000)] | None = None
    at_most: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = None
    exactly: Annotated[StrictInt, Field(ge=0, le=1_000_000)] | None = None

    @model_validator(mode="after")
    def _one(self) -> Times:
        stated = [each for each in (self.at_least, self.at_most, self.exactly) if each is not None]
        if len(stated) != 1:
            raise ValueError(said("say at_least, at_most or exactly how many times"))
        return self


Comparison = Literal[
    "equals", "not_equals", "greater", "greater_or_equal", "less", "less_or_equal", "between"
]
Aggregate = Literal["sum", "average", "minimum", "maximum", "first", "last"]


class Measure(_Part):
    """A figure over the things done, compared. The sum of nothing is 0; others are unknown."""

    by: Aggregate
    of: Name
    op: Comparison
    value: Number | list[Number]
    unknown: bool = False

    @property
    def test(self) -> Clause:
        """The comparison as a clause of the figure."""
        return Clause(field=self.of, op=self.op, value=self.value, unknown=self.unknown)  # type: ignore[arg-type]

    @model_validator(mode="after")
    def _value_fits_operator(self) -> Measure:
        _ = self.test
        return self


class Behaviour(_Node, Event):
    """Did something so many times, or with a figure over it, in a window. `exactly: 0`: did not."""

    times: Times | None = None
    measure: Measure | None = None
    window: Window = Window()

    @model_validator(mode="after")
    def _times_or_measure(self) -> Behaviour:
        if self.times is not None and self.measure is not None:
            raise ValueError(said("say times or measure, not both"))
        return self


class Sequence(_Node):
    """One thing and then another within days of it; with `follows: false`, and then not.

    The first lies in the window; what follows is later than it, at most `within_days` days on (the
    same calendar day is 0 days on), and no later than `as_of`.
    """

    first: Event
    then: Event
    within_days: Annotated[StrictInt, Field(ge=0, le=36_500)] | None = None
    follows: bool = True
    window: Window = Window()


class Reference(_Node):
    """Who is in another segment; with `change`, who entered or left it in the last days of runs."""

    segment: Name
    change: Literal["entered", "left"] | None = None
    last_days: Days | None = None

    @model_validator(mode="after")
    def _days_of_a_change(self) -> Reference:
        if (self.change is None) != (self.last_days is None):
            raise ValueError(said("change and last_days go together"))
        return self


class Point(_Part):
    """A place on earth, in degrees; `name` is what people call it."""

    latitude: Annotated[Number, Field(ge=-90, le=90)]
    longitude: Annotated[Number, Field(ge=-180, le=180)]
    name: Annotated[str, Field(max_length=200)] = ""


class Near(_Node):
    """Within so many kilometres of a point, as the crow flies."""

    near: Point
    km: Annotated[Number, Field(gt=0, le=20_000)]
    unknown: bool = False


class Contactable(_Node):
    """May be contacted on a channel for a purpose."""

    contactable: Literal["email", "sms", "phone", "post"]
    purpose: Name


class Deciles(_Node):
    """In some tenths of the customers ranked by a field; the tenth decile holds the highest."""

    decile_of: Name
    deciles: Annotated[list[Annotated[StrictInt, Field(ge=1, le=10)]], Field(min_length=1)]


class Moved(_Node):
    """A score that is another than it was: since the run before, some days ago, or a day.

    `was` and `now` are values that it had and has; `rose` and `fell` say by how much at least,
    with `percent` in hundredths of what it was. Of none of them any change will do. Compared with
    the last day kept that is as long ago; who had no score then, or has none now, is not meant.
    """

    moved: Name
    was: Annotated[list[Scalar], Field(min_length=1, max_length=MAX_VALUES)] | None = None
    now: Annotated[list[Scalar], Field(min_length=1, max_length=MAX_VALUES)] | None = None
    rose: Annotated[Number, Field(gt=0)] | None = None
    fell: Annotated[Number, Field(gt=0)] | None = None
    percent: bool = False
    days_ago: Days | None = None
    since: Annotated[Text, BeforeValidator(_plain)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> Moved:
        by_value = self.was is not None or self.now is not None
        if by_value + (self.rose is not None) + (self.fell is not None) > 1:
            raise ValueError(said("say was and now, or rose, or fell"))
        if self.percent and self.rose is None and self.fell is None:
            raise ValueError(said("percent belongs to rose or fell"))
        if self.days_ago is not None and self.since is not None:
            raise ValueError(said("say days_ago or since, not both"))
        return self


class Top(_Node):
    """The first so many of a rule by a field; those without a value are not ranked."""

    top: Annotated[StrictInt, Field(ge=1, le=100_000_000)]
    by: Name
    order: Literal["highest", "lowest"] = "highest"
    among: AnyNode | None = None


class Share(_Node):
    """A random share of all customers, the same ones for the same seed, run after run."""

    share: Annotated[Number, Field(gt=0, lt=1)]
    seed: Annotated[str, Field(max_length=200)] = ""


class AllOf(_Node):
    """Met when every part is; without parts, by everyone."""

    all: list[AnyNode]


class AnyOf(_Node):
    """Met when at least one part is; without parts, by nobody."""

    any: list[AnyNode]


class NoneOf(_Node):
    """Met when no part is; without parts, by everyone."""

    none: list[AnyNode]


_KINDS = (
    "all", "any", "none", "did", "first", "segment", "near", "contactable", "decile_of", "moved",
    "top", "share",
)  # fmt: skip


def _kind(node: Any) -> str:
    for kind in _KINDS:
        if (isinstance(node, dict) and kind in node) or hasattr(node, kind):
            return kind
    return "clause"


AnyNode = Annotated[
    Annotated[AllOf, Tag("all")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[NoneOf, Tag("none")]
    | Annotated[Behaviour, Tag("did")]
    | Annotated[Sequence, Tag("first")]
    | Annotated[Reference, Tag("segment")]
    | Annotated[Near, Tag("near")]
    | Annotated[Contactable, Tag("contactable")]
    | Annotated[Deciles, Tag("decile_of")]
    | Annotated[Moved, Tag("moved")]
    | Annotated[Top, Tag("top")]
    | Annotated[Share, Tag("share")]
    | Annotated[Clause, Tag("clause")],
    Discriminator(_kind),
]


def _listed(inner: Any) -> list[Any]:
    if isinstance(inner, list):
        return inner
    return [] if inner is None else [inner]


def _within_limits(data: Any) -> Any:
    """Refuse what is too deep or too long before anything recurses into it."""
    level, nodes, depth = [data], 0, 0
    while level:
        depth += 1
        nodes += len(level)
        if depth > MAX_DEPTH:
            raise ValueError(said("groups are nested deeper than {most}", most=MAX_DEPTH))
        if nodes > MAX_NODES:
            raise ValueError(said("the rule has more than {most} parts", most=MAX_NODES))
        level = [
            part
            for node in level
            if isinstance(node, dict)
            for kind in ("all", "any", "none", "among")
            for part in _listed(node.get(kind))
        ]
    return data


Rule = Annotated[AnyNode, BeforeValidator(_within_limits)]
Group = AllOf | AnyOf | NoneOf
Leaf = (
    Clause | Behaviour | Sequence | Reference | Near | Contactable | Deciles | Moved | Top | Share
)  # fmt: skip
Node = Group | Leaf

_ADAPTER: TypeAdapter[Node] = TypeAdapter(Rule)
EVERYONE = AllOf(all=[])


def parse_rule(data: Any, where: str = "rule") -> Node:
    """The rule that JSON or YAML content states; SettingsError when it states none."""
    try:
        return _ADAPTER.validate_python(data)
    except ValidationError as error:
        first = error.errors()[0]
        path = ".".join(str(part) for part in first["loc"] if part != "clause")
        what = mistake_said(first)
        raise SettingsError(
            said("{key}: {what}", key=path, what=what) if path else what,
            where=where,
            remedy=said("correct the rule"),
        ) from None


def rule_json(rule: Node) -> dict[str, Any]:
    """The rule as JSON content, with nothing that goes without saying."""
    content: dict[str, Any] = rule.model_dump(mode="json", exclude_defaults=True)
    return content


def parts(rule: Node) -> list[Node]:
    """The parts of a group; none of a leaf."""
    match rule:
        case AllOf():
            return list(rule.all)
        case AnyOf():
            return list(rule.any)
        case NoneOf():
            return list(rule.none)
        case _:
            return []


def with_parts(group: Group, inner: list[Node]) -> Group:
    """The same kind of group over other parts."""
    match group:
        case AllOf():
            return AllOf(all=inner)
        case AnyOf():
            return AnyOf(any=inner)
        case NoneOf():
            return NoneOf(none=inner)


def is_group(rule: Node) -> TypeGuard[Group]:
    return isinstance(rule, AllOf | AnyOf | NoneOf)


def leaves(rule: Node) -> Iterator[Leaf]:
    """Every leaf of the tree, in reading order; what a Top ranks is inside it."""
    if not is_group(rule):
        yield rule  # type: ignore[misc]
    for part in parts(rule):
        yield from leaves(part)


def clauses(rule: Node) -> Iterator[Clause]:
    """Every clause of the tree, in reading order."""
    for leaf in leaves(rule):
        if isinstance(leaf, Clause):
            yield leaf
        elif isinstance(leaf, Top) and leaf.among is not None:
            yield from clauses(leaf.among)


def references(rule: Node) -> Iterator[Reference]:
    """Every reference to another segment, in reading order, without what is switched off."""
    for leaf in leaves(without_off(rule)):
        if isinstance(leaf, Reference):
            yield leaf
        elif isinstance(leaf, Top) and leaf.among is not None:
            yield from references(leaf.among)


def without_off(rule: Node) -> Node:
    """The rule without what is switched off; everyone when that is all of it."""
    if rule.off:
        return EVERYONE
    if isinstance(rule, Top) and rule.among is not None:
        return rule.model_copy(update={"among": without_off(rule.among)})
    if not is_group(rule):
        return rule
    return with_parts(rule, [without_off(part) for part in parts(rule) if not part.off])


def expand(rule: Node, segments: Mapping[str, Node]) -> Node:
    """The rule that says everything itself: without what is off, references replaced.

    `segments` are the rules by segment id. SettingsError for a segment that is not there, for a
    circle of segments, and when the whole becomes too long. References to changes stay.
    """
    return _Expansion(segments).of(without_off(rule), ())


class _Expansion:
    """Replaces references, and counts what it makes so that no doubling of them runs away."""

    def __init__(self, segments: Mapping[str, Node]) -> None:
        self.segments = segments
        self.size = 0

    def of(self, rule: Node, path: tuple[str, ...]) -> Node:
        self.size += 1
        if self.size > MAX_NODES:
            raise SettingsError(
                said(
                    "with the segments it refers to, the rule has more than {most} parts",
                    most=MAX_NODES,
                ),
                remedy=said("shorten it"),
            )
        if isinstance(rule, Reference) and rule.change is None:
            return self.of(self._referred(rule, path), (*path, rule.segment))
        if isinstance(rule, Top) and rule.among is not None:
            return rule.model_copy(update={"among": self.of(rule.among, path)})
        if not is_group(rule):
            return rule
        return with_parts(rule, [self.of(part, path) for part in parts(rule)])

    def _referred(self, rule: Reference, path: tuple[str, ...]) -> Node:
        if rule.segment in path:
            circle = " → ".join([*path[path.index(rule.segment) :], rule.segment])
            raise SettingsError(
                said("segments refer to each other in a circle: {circle}", circle=circle),
                remedy=said("take one of the references out"),
            )
        if rule.segment not in self.segments:
            raise SettingsError(
                said(
                    'the rule refers to the segment "{segment}", which is not there',
                    segment=rule.segment,
                ),
                remedy=said("choose one that the list of segments shows"),
            )
        if len(path) >= MAX_DEPTH:
            raise SettingsError(
                said("segments refer to each other more than {most} deep", most=MAX_DEPTH),
                remedy=said("shorten it"),
            )
        return without_off(self.segments[rule.segment])


def simplified(rule: Node) -> Node | bool:
    """The same rule without empty groups, groups of one and groups inside their like.

    True or False when everyone or nobody meets it, whatever the data.
    """
    if not is_group(rule):
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
