"""Rules become SQL: sqlglot expressions over the catalogue's columns, with bound values.

Nothing that a person typed is ever part of the SQL's text: fields are looked up in the catalogue,
and each value is checked against its field's type and bound as a parameter.
"""

from __future__ import annotations

from calendar import isleap
from collections.abc import Mapping
from collections.abc import Sequence as Several
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache
from zoneinfo import ZoneInfo

from sqlglot import exp

from cohorte.errors import SettingsError
from cohorte.said import said
from cohorte.segments.catalogue import (
    ACTIVITIES,
    PROFILES,
    Catalogue,
    ProfileField,
    sibling,
    table_of_segments,
)
from cohorte.segments.rules import (
    Aggregate,
    AllOf,
    AnyOf,
    Behaviour,
    Clause,
    Contactable,
    Deciles,
    Event,
    Measure,
    Moved,
    Near,
    Node,
    NoneOf,
    Reference,
    Sequence,
    Share,
    Times,
    Top,
    Window,
    parts,
)
from cohorte.segments.score_days import SCORE_DAYS

Bound = str | int | float | bool | Decimal | date | datetime
ALIAS = "profiles"
DIALECT = "duckdb"
HISTORY = "segment_history"
EARTH_RADIUS_KM = 6371.0088

POINT_CHANNEL = {"email": "email", "sms": "phone", "phone": "phone", "post": "post"}
"""The kind of contact point that a channel uses."""

_LARGEST = Decimal(10) ** 15
_FINEST = Decimal("0.000001")
_ASK_KNOWN = ("is_known", "is_unknown")


@dataclass(frozen=True)
class Query:
    """A SELECT and the values of its named parameters."""

    sql: str
    parameters: dict[str, Bound]


@dataclass
class Binder:
    """Names the values that an expression binds: p1, p2, ..."""

    parameters: dict[str, Bound] = field(default_factory=dict)

    def bind(self, value: Bound) -> exp.Expr:
        name = f"p{len(self.parameters) + 1}"
        self.parameters[name] = value
        return exp.Placeholder(this=name)


def compile_rule(rule: Node, catalogue: Catalogue, as_of: date, relation: str = PROFILES) -> Query:
    """The SELECT of the `customer_id`s that meet the rule, seen from the `as_of` day.

    The rule is an expanded one. SettingsError when it does not fit the catalogue. `relation` is a
    name that the program states, never one that a person typed.
    """
    compiler = Compiler(catalogue, as_of, relation)
    select = profile_select([column("customer_id")], relation).where(compiler.condition(rule))
    return Query(select.sql(DIALECT), compiler.binder.parameters)


def profile_select(columns: Several[exp.Expr], relation: str = PROFILES) -> exp.Select:
    """A SELECT from the profiles, under the alias that conditions refer to."""
    return exp.select(*columns).from_(_table(relation, ALIAS), copy=False)


def _table(relation: str, alias: str) -> exp.Expr:
    return _parsed(relation, alias).copy()


@lru_cache(maxsize=256)
def _parsed(relation: str, alias: str) -> exp.Expr:
    return exp.to_table(relation, dialect=DIALECT).as_(alias)


def column(name: str, table: str = ALIAS) -> exp.Column:
    """A column, of the profiles unless said otherwise. The name is one of the catalogue's."""
    return exp.column(name, table=table, quoted=True)


@dataclass(frozen=True)
class Numbers:
    """The customers that a leaf is about: their numbers, or with `others` everyone but them.

    Those alone whose number comes at least `least` times, and at most `most`. Counting numbers in
    an array costs a tenth of grouping them in the query.
    """

    select: exp.Select
    others: bool = False
    least: int = 1
    most: int | None = None


@dataclass
class Compiler:
    """Turns rules into expressions over the profiles; what is bound gathers in its binder."""

    catalogue: Catalogue
    as_of: date
    relation: str = PROFILES
    binder: Binder = field(default_factory=Binder)
    tables: Mapping[str, str | None] = field(default_factory=dict)

    def beside(self, name: str, alias: str) -> exp.Expr:
        """Another table than the profiles, or what `tables` says stands in its place."""
        relation = self.tables.get(name, sibling(self.relation, name))
        if relation is None:
            raise SettingsError(
                said("{name} of past days are not known to the version served", name=name),
                remedy=said("run the pipeline, or look from the day of the version"),
            )
        return _table(relation, alias)

    def condition(self, rule: Node) -> exp.Expr:
        """The rule as an expression that is true or false for every customer, never null."""
        match rule:
            case AllOf() | AnyOf() | NoneOf():
                return self._group(rule)
            case Clause():
                return self._clause(rule)
            case Near():
                return exp.Coalesce(
                    this=exp.paren(self._is_near(rule)), expressions=[_truth(rule.unknown)]
                )
            case Share():
                return self._is_drawn(rule)
            case _:
                numbers = self.numbers(rule)
                select = self._grouped(numbers)
                met = exp.In(this=column("customer_number"), query=exp.paren(select))
                return exp.not_(met) if numbers.others else met

    def _group(self, rule: AllOf | AnyOf | NoneOf) -> exp.Expr:
        conditions = [self.condition(part) for part in parts(rule)]
        match rule:
            case AllOf():
                return exp.and_(*conditions) if conditions else exp.true()
            case AnyOf():
                return exp.or_(*conditions) if conditions else exp.false()
            case NoneOf():
                return exp.not_(exp.or_(*conditions)) if conditions else exp.true()

    def numbers(self, leaf: Node) -> Numbers:
        """The customer numbers that a leaf, or any rule, is about."""
        match leaf:
            case Behaviour():
                return self._behaviour(leaf)
            case Sequence():
                return self._sequence(leaf)
            case Top():
                return self._top(leaf)
            case Deciles():
                return self._deciles(leaf)
            case Moved():
                return self._moved(leaf)
            case Contactable():
                return self._contactable(leaf)
            case Reference():
                return self._changed(leaf)
            case _:
                select = profile_select([column("customer_number")], self.relation)
                return Numbers(select.where(self.filter(leaf)))

    def unknown(self, leaf: Node) -> exp.Expr | None:
        """Whether the value that a leaf tests is not known; None when it always is."""
        if isinstance(leaf, Clause) and not leaf.unknown and leaf.op not in _ASK_KNOWN:
            return exp.Is(this=column(self.catalogue[leaf.field].name), expression=exp.null())
        if isinstance(leaf, Near) and not leaf.unknown:
            return exp.Is(this=column("latitude"), expression=exp.null())
        return None

    def _clause(self, clause: Clause) -> exp.Expr:
        tested = self.catalogue.check_clause(clause)
        return self._tested(clause, tested, column(tested.name))

    def _tested(
        self, clause: Clause, tested: ProfileField, value: exp.Expr, *, in_filter: bool = False
    ) -> exp.Expr:
        is_null = exp.Is(this=value, expression=exp.null())
        if clause.op == "is_unknown":
            return is_null
        if clause.op == "is_known":
            return exp.not_(is_null)
        met = exp.paren(_test(clause, tested, value, self.catalogue, self.as_of, self.binder))
        if in_filter:
            return exp.or_(met, is_null.copy()) if clause.unknown else met
        return exp.Coalesce(this=met, expressions=[_truth(clause.unknown)])

    def filter(self, rule: Node) -> exp.Expr:
        """The rule as the whole of a WHERE, where null is as good as false.

        Plain comparisons let DuckDB skip what its minima and maxima rule out.
        """
        match rule:
            case AllOf() | AnyOf() if rules := parts(rule):
                joined = exp.and_ if isinstance(rule, AllOf) else exp.or_
                return joined(*(self.filter(part) for part in rules))
            case Clause():
                tested = self.catalogue.check_clause(rule)
                return self._tested(rule, tested, column(tested.name), in_filter=True)
            case _:
                return self.condition(rule)

    # What customers did

    def events(self, event: Event, window: Window, alias: str = "acts") -> exp.Select:
        """The activities that an event means within a window, to choose columns of."""
        behaviour = self.catalogue.behaviour(event.did)
        activities = self.beside(ACTIVITIES, alias)
        select = exp.select().from_(activities)
        kinds = [_text(kind) for kind in behaviour.kinds]
        kind = column("kind", alias)
        select = select.where(
            exp.EQ(this=kind, expression=kinds[0])
            if len(kinds) == 1
            else exp.In(this=kind, expressions=kinds),
            copy=False,
        )
        first, last = window_days(window, self.as_of)
        day = column("activity_date", alias)
        if first is not None:
            select = select.where(exp.GTE(this=day, expression=self.binder.bind(first)), copy=False)
        end = self.binder.bind(last + timedelta(days=1))
        select = select.where(exp.LT(this=day.copy(), expression=end), copy=False)
        for test in event.tests:
            tested = self.catalogue.check_clause(test, behaviour)
            value = column(tested.column_name, alias)
            select = select.where(self._tested(test, tested, value, in_filter=True), copy=False)
        if window.anchor is not None:
            select = self._around(select, window, alias)
        return select

    def _around(self, select: exp.Select, window: Window, alias: str) -> exp.Select:
        """Only what lies after or before the anchor, by its moment and by days."""
        anchor = window.anchor
        assert anchor is not None  # noqa: S101
        pick = exp.Min if anchor.which == "first" else exp.Max
        inner = self.events(anchor, Window(), "anchors").select(
            column("customer_number", "anchors"),
            pick(this=column("occurred_at", "anchors")).as_("anchor_at"),
            pick(this=column("activity_date", "anchors")).as_("anchor_date"),
        )
        inner = inner.group_by(column("customer_number", "anchors"))
        at, day = column("occurred_at", alias), column("activity_date", alias)
        anchor_at, anchor_date = column("anchor_at", "anchor"), column("anchor_date", "anchor")
        after = window.after is not None
        later, earlier = (at, anchor_at) if after else (anchor_at, at)
        on: list[exp.Expr] = [
            exp.EQ(
                this=column("customer_number", alias),
                expression=column("customer_number", "anchor"),
            ),
            exp.GT(this=later, expression=earlier),
        ]
        if window.days is not None:
            apart = (day, anchor_date) if after else (anchor_date, day)
            on.append(_days_apart(*apart, self.binder.bind(window.days)))
        return select.join(inner.subquery("anchor"), on=exp.and_(*on))

    def _behaviour(self, leaf: Behaviour) -> Numbers:
        select = self.events(leaf, leaf.window)
        number = column("customer_number", "acts")
        select = select.select(number)
        if leaf.measure is not None:
            return self._measured(leaf, leaf.measure, select.group_by(number.copy()))
        times = leaf.times or Times(at_least=1)
        if times.at_least is not None:
            return Numbers(select, least=times.at_least)
        if times.at_most is not None:
            return Numbers(select, others=True, least=times.at_most + 1)
        if times.exactly == 0:
            return Numbers(select, others=True)
        return Numbers(select, least=int(times.exactly or 0), most=times.exactly)

    def _grouped(self, numbers: Numbers) -> exp.Select:
        """The customers, where the query itself has to count how often each comes."""
        if numbers.least == 1 and numbers.most is None:
            return numbers.select
        counted = exp.Count(this=exp.Star())
        enough: list[exp.Expr] = [exp.GTE(this=counted, expression=self.binder.bind(numbers.least))]
        if numbers.most is not None:
            most = self.binder.bind(numbers.most)
            enough.append(exp.LTE(this=counted.copy(), expression=most))
        number = numbers.select.selects[0]
        return numbers.select.group_by(number.copy()).having(*enough)

    def _measured(self, leaf: Behaviour, measure: Measure, select: exp.Select) -> Numbers:
        behaviour = self.catalogue.behaviour(leaf.did)
        if measure.of not in behaviour.measures:
            raise SettingsError(
                said('"{did}" has no figure "{figure}"', did=leaf.did, figure=measure.of),
                remedy=said("use one of {names}", names=", ".join(behaviour.measures))
                if behaviour.measures
                else said("count the times"),
            )
        tested = behaviour[measure.of]
        value = column(tested.column_name, "acts")
        if measure.by == "average":
            return self._averaged(measure, tested, value, select)
        figure = self.figure(measure.by, value)
        met = _test(measure.test, tested, figure, self.catalogue, self.as_of, self.binder)
        if measure.by == "sum":
            if met_by_zero(measure):
                return Numbers(select.having(exp.not_(exp.paren(met))), others=True)
            return Numbers(select.having(met))
        if measure.unknown:
            missed = exp.Coalesce(this=exp.not_(exp.paren(met)), expressions=[exp.false()])
            return Numbers(select.having(missed), others=True)
        return Numbers(select.having(met))

    def figure(self, by: Aggregate, value: exp.Expr) -> exp.Expr:
        """A figure over activities: of equal moments, the record's id says which is first."""
        moment = exp.Tuple(expressions=[column("occurred_at", "acts"), column("record_id", "acts")])
        match by:
            case "sum":
                return exp.func("coalesce", exp.Sum(this=value), exp.Literal.number(0))
            case "average":
                return exp.Avg(this=value)
            case "minimum":
                return exp.Min(this=value)
            case "maximum":
                return exp.Max(this=value)
            case "first":
                return exp.func("arg_min", value, moment)
            case "last":
                return exp.func("arg_max", value, moment)

    def _averaged(
        self, measure: Measure, tested: ProfileField, value: exp.Expr, select: exp.Select
    ) -> Numbers:
        """An average is compared as the sum with so many times the value: no rounding enters."""
        summed, counted = exp.Sum(this=value), exp.Count(this=value.copy())
        bounds = [
            exp.Mul(this=counted.copy(), expression=exp.paren(self.binder.bind(each)))
            for each in typed_values(measure.test, tested)
        ]
        if measure.op == "between":
            met: exp.Expr = exp.Between(this=summed, low=bounds[0], high=bounds[1])
        else:
            met = _COMPARISONS[measure.op](this=summed, expression=bounds[0])
        if measure.unknown:
            missed = exp.Coalesce(this=exp.not_(exp.paren(met)), expressions=[exp.false()])
            return Numbers(select.having(missed), others=True)
        return Numbers(select.having(met))

    def _sequence(self, leaf: Sequence) -> Numbers:
        firsts = self.events(leaf.first, leaf.window, "firsts")
        thens = self.events(leaf.then, Window(), "thens").select(exp.Literal.number(1))
        later: list[exp.Expr] = [
            exp.EQ(
                this=column("customer_number", "thens"),
                expression=column("customer_number", "firsts"),
            ),
            exp.GT(this=column("occurred_at", "thens"), expression=column("occurred_at", "firsts")),
        ]
        day = column("activity_date", "thens")
        if leaf.within_days is not None:
            apart = self.binder.bind(leaf.within_days)
            later.append(_days_apart(day, column("activity_date", "firsts"), apart))
        earliest, latest = window_days(leaf.window, self.as_of)
        if earliest is not None:  # a day less: where clocks go back past midnight, days do too
            since = self.binder.bind(earliest - timedelta(days=1))
            later.append(exp.GTE(this=day.copy(), expression=since))
        if leaf.within_days is not None:
            end = self.binder.bind(latest + timedelta(days=leaf.within_days + 1))
            later.append(exp.LT(this=day.copy(), expression=end))
        followed: exp.Expr = exp.Exists(this=thens.where(*later))
        if not leaf.follows:
            followed = exp.not_(followed)
        return Numbers(firsts.select(column("customer_number", "firsts")).where(followed))

    # Ranks, places, draws, consents, other segments

    def _top(self, leaf: Top) -> Numbers:
        by = column(self.catalogue.ranked(leaf.by).name)
        select = profile_select([column("customer_number")], self.relation)
        select = select.where(exp.not_(exp.Is(this=by, expression=exp.null())))
        if leaf.among is not None:
            select = select.where(self.condition(leaf.among))
        select = select.order_by(
            exp.Ordered(this=by.copy(), desc=leaf.order == "highest"), column("customer_id")
        )
        return Numbers(select.limit(leaf.top))

    def _deciles(self, leaf: Deciles) -> Numbers:
        by = column(self.catalogue.ranked(leaf.decile_of).name)
        decile = exp.Window(
            this=exp.Ntile(this=exp.Literal.number(10)),
            order=exp.Order(
                expressions=[exp.Ordered(this=by), exp.Ordered(this=column("customer_id"))]
            ),
        )
        ranked = profile_select([column("customer_number"), decile.as_("decile")], self.relation)
        ranked = ranked.where(exp.not_(exp.Is(this=by.copy(), expression=exp.null())))
        wanted = [self.binder.bind(each) for each in sorted(set(leaf.deciles))]
        select = exp.select(column("customer_number", "ranked")).from_(ranked.subquery("ranked"))
        return Numbers(select.where(exp.In(this=column("decile", "ranked"), expressions=wanted)))

    def _moved(self, leaf: Moved) -> Numbers:
        """Whose score of the last day kept differs, in the way stated, from an earlier one."""
        tested = self.catalogue.moving(leaf.moved)
        now, was = column(tested.name, "today"), column(tested.name, "before")
        select = self.both_days(leaf).select(column("customer_number", "today"))
        select = select.where(exp.NEQ(this=now, expression=was))
        for values, side in ((leaf.was, was), (leaf.now, now)):
            if values is not None:
                clause = Clause(field=leaf.moved, op="in", value=values)
                wanted = [self.binder.bind(each) for each in typed_values(clause, tested)]
                select = select.where(exp.In(this=side.copy(), expressions=wanted))
        for least, later, earlier in ((leaf.rose, now, was), (leaf.fell, was, now)):
            if least is not None:
                select = select.where(self._apart(leaf, least, tested, later, earlier, was))
        return Numbers(select)

    def _apart(
        self,
        leaf: Moved,
        least: float,
        tested: ProfileField,
        more: exp.Expr,
        less: exp.Expr,
        was: exp.Expr,
    ) -> exp.Expr:
        if tested.type not in ("integer", "number"):
            raise SettingsError(
                said('"{field}" neither rises nor falls', field=leaf.moved),
                remedy=said("say what it was and is now"),
            )
        moved = exp.paren(exp.Sub(this=more.copy(), expression=less.copy()))
        by = self.binder.bind(_number(least, tested))
        if not leaf.percent:
            return exp.GTE(this=moved, expression=by)
        hundred = exp.Mul(this=moved, expression=exp.Literal.number(100))
        whole = exp.Mul(this=exp.Abs(this=was.copy()), expression=by)
        return exp.and_(
            exp.GTE(this=hundred, expression=whole),
            exp.NEQ(this=was.copy(), expression=exp.Literal.number(0)),
        )

    def both_days(self, leaf: Moved) -> exp.Select:
        """The scores of `today` beside those of the day `before` that a rule compares with."""
        day = None
        if leaf.since is not None:
            day = _window_day(leaf.since)
        elif leaf.days_ago is not None:
            day = self.as_of - timedelta(days=leaf.days_ago)
        scores = table_of_segments(self.relation, SCORE_DAYS)

        def last(how: type[exp.Binary], bound: exp.Expr) -> exp.Expr:
            day = column("as_of", "days")
            return exp.paren(
                exp.select(exp.Max(this=day))
                .from_(_table(scores, "days"))
                .where(how(this=day.copy(), expression=bound))
            )

        today = last(exp.LTE, self.binder.bind(self.as_of))
        before_run = last(exp.LT, today.copy())
        earlier = before_run if day is None else last(exp.LTE, self.binder.bind(day))
        same = exp.EQ(
            this=column("customer_number", "today"), expression=column("customer_number", "before")
        )
        return (
            exp.select()
            .from_(_table(scores, "today"))
            .join(_table(scores, "before"), on=same)
            .where(
                exp.EQ(this=column("as_of", "today"), expression=today),
                exp.EQ(this=column("as_of", "before"), expression=earlier),
            )
        )

    def _is_near(self, leaf: Near) -> exp.Expr:
        """The haversine distance on a sphere of the earth's mean radius."""
        latitude, longitude = column("latitude"), column("longitude")
        here = [self.binder.bind(float(x)) for x in (leaf.near.latitude, leaf.near.longitude)]

        def half_sine_squared(angle: exp.Expr) -> exp.Expr:
            half = exp.Div(this=exp.func("radians", angle), expression=exp.Literal.number(2))
            return exp.func("pow", exp.func("sin", half), exp.Literal.number(2))

        def cosine(angle: exp.Expr) -> exp.Expr:
            return exp.func("cos", exp.func("radians", angle))

        chord = exp.Add(
            this=half_sine_squared(exp.paren(exp.Sub(this=latitude, expression=here[0]))),
            expression=exp.Mul(
                this=exp.Mul(this=cosine(latitude.copy()), expression=cosine(here[0].copy())),
                expression=half_sine_squared(
                    exp.paren(exp.Sub(this=longitude, expression=here[1]))
                ),
            ),
        )
        arc = exp.func("asin", exp.func("sqrt", exp.func("least", exp.Literal.number(1), chord)))
        distance = exp.Mul(this=self.binder.bind(2 * EARTH_RADIUS_KM), expression=arc)
        return exp.LTE(this=distance, expression=self.binder.bind(float(leaf.km)))

    def _is_drawn(self, leaf: Share) -> exp.Expr:
        """Whether the start of a hash of id and seed lies in the share; hex sorts as numbers do."""
        seed = self.binder.bind(f"|{leaf.seed}")
        hashed = exp.func("md5", exp.func("concat", column("customer_id"), seed, dialect=DIALECT))
        start = exp.func("substr", hashed, exp.Literal.number(1), exp.Literal.number(8))
        return exp.LT(this=start, expression=self.binder.bind(f"{int(leaf.share * 16**8):08x}"))

    def _contactable(self, leaf: Contactable) -> Numbers:
        """Who has a primary, valid contact point with a consent, as audiences do."""
        points = self.beside("contact_points", "points")
        consents = self.beside("consents", "consents")
        point_channel = self.binder.bind(POINT_CHANNEL[leaf.contactable])
        same = [
            exp.EQ(this=column(name, "consents"), expression=column(name, "points"))
            for name in ("customer_id", "contact_point")
        ]
        select = profile_select([column("customer_number")], self.relation)
        select = select.join(
            points,
            on=exp.EQ(this=column("customer_id", "points"), expression=column("customer_id")),
        ).join(consents, on=exp.and_(*same))
        select = select.where(
            exp.not_(exp.func("coalesce", column("is_internal"), exp.false())),
            column("is_primary", "points"),
            exp.EQ(this=column("channel", "points"), expression=point_channel),
            exp.EQ(
                this=column("channel", "consents"), expression=self.binder.bind(leaf.contactable)
            ),
            exp.EQ(this=column("purpose", "consents"), expression=self.binder.bind(leaf.purpose)),
        )
        allowed = exp.and_(
            exp.func("bool_or", column("is_valid", "points")),
            exp.func("bool_and", column("is_granted", "consents")),
        )
        return Numbers(select.group_by(column("customer_number")).having(allowed))

    def _changed(self, leaf: Reference) -> Numbers:
        """Who entered or left a segment by a run of the last days."""
        if leaf.change is None or leaf.last_days is None:
            raise SettingsError(
                said('the reference to "{segment}" is not resolved', segment=leaf.segment),
                remedy=said("expand the rule first"),
            )
        history = _table(table_of_segments(self.relation, HISTORY), "history")
        select = profile_select([column("customer_number")], self.relation)
        select = select.join(
            history,
            on=exp.EQ(this=column("customer_id", "history"), expression=column("customer_id")),
        )
        day = column("as_of", "history")
        since = self.binder.bind(self.as_of - timedelta(days=leaf.last_days))
        return Numbers(
            select.where(
                exp.EQ(
                    this=column("segment_id", "history"),
                    expression=self.binder.bind(leaf.segment),
                ),
                exp.EQ(this=column("change", "history"), expression=self.binder.bind(leaf.change)),
                exp.GT(this=day, expression=since),
                exp.LTE(this=day.copy(), expression=self.binder.bind(self.as_of)),
            )
        )


def _truth(value: bool) -> exp.Expr:
    return exp.true() if value else exp.false()


def _days_apart(later: exp.Expr, earlier: exp.Expr, days: exp.Expr) -> exp.Expr:
    return exp.LTE(this=exp.Sub(this=later, expression=earlier), expression=days)


def met_by_zero(measure: Measure) -> bool:
    """Whether a sum of nothing, which is 0, meets the measure."""
    wanted = [Decimal(str(each)) for each in measure.test.values]
    zero = Decimal(0)
    match measure.op:
        case "equals":
            return zero == wanted[0]
        case "not_equals":
            return zero != wanted[0]
        case "greater":
            return zero > wanted[0]
        case "greater_or_equal":
            return zero >= wanted[0]
        case "less":
            return zero < wanted[0]
        case "less_or_equal":
            return zero <= wanted[0]
        case "between":
            return wanted[0] <= zero <= wanted[1]


def window_days(window: Window, as_of: date) -> tuple[date | None, date]:
    """The first and the last day of a window, both included; None is open. Never after `as_of`."""
    if window.last_days is not None or window.except_last_days is not None:
        first = None if window.last_days is None else as_of - timedelta(days=window.last_days - 1)
        return first, as_of - timedelta(days=window.except_last_days or 0)
    first = None if window.since is None else _window_day(window.since)
    last = as_of if window.until is None else min(_window_day(window.until), as_of)
    if window.since is not None and window.until is not None and window.since > window.until:
        raise SettingsError(
            said(
                "a window from {since} to {until} holds nothing",
                since=window.since,
                until=window.until,
            ),
            remedy=said("write the earlier day first"),
        )
    return first, last


def _window_day(text: str) -> date:
    try:
        if len(text) == 10:
            return date.fromisoformat(text)
    except ValueError:
        pass
    raise SettingsError(
        said('"{text}" is no day', text=text), remedy=said("give a day such as 2026-10-31")
    )


def _test(
    clause: Clause,
    tested: ProfileField,
    value: exp.Expr,
    catalogue: Catalogue,
    as_of: date,
    binder: Binder,
) -> exp.Expr:
    if tested.type in ("date", "timestamp"):
        return _day_test(clause, tested, value, catalogue.time_zone, as_of, binder)
    wanted = [binder.bind(each) for each in typed_values(clause, tested)]
    if tested.type == "list":
        held = exp.func(
            "string_split", exp.func("replace", value, _text(" "), _text("")), _text(",")
        )
        any_held = exp.or_(*(exp.func("list_contains", held.copy(), each) for each in wanted))
        return exp.not_(any_held) if clause.op == "not_in" else any_held
    match clause.op:
        case "contains":
            return exp.func("contains", _folded(value), _folded(wanted[0]))
        case "starts_with":
            return exp.StartsWith(this=_folded(value), expression=_folded(wanted[0]))
        case "in":
            return exp.In(this=value, expressions=wanted)
        case "not_in":
            return exp.not_(exp.In(this=value, expressions=wanted))
        case "between":
            return exp.Between(this=value, low=wanted[0], high=wanted[1])
        case _:
            return _COMPARISONS[clause.op](this=value, expression=wanted[0])


_COMPARISONS: dict[str, type[exp.Binary]] = {
    "equals": exp.EQ,
    "not_equals": exp.NEQ,
    "greater": exp.GT,
    "greater_or_equal": exp.GTE,
    "less": exp.LT,
    "less_or_equal": exp.LTE,
}


def _text(constant: str) -> exp.Expr:
    return exp.Literal.string(constant)


def _folded(value: exp.Expr) -> exp.Expr:
    """Text for searching in: neither case nor accents matter."""
    return exp.func("lower", exp.func("strip_accents", value))


def _day_test(
    clause: Clause,
    tested: ProfileField,
    value: exp.Expr,
    time_zone: str,
    as_of: date,
    binder: Binder,
) -> exp.Expr:
    """Days are compared as half-open ranges, so that a timestamp falls in its local day."""

    def within(first: date | None, last: date | None) -> exp.Expr:
        """From the first day to the last, both included; None is open."""
        bounds: list[exp.Expr] = []
        if first is not None:
            bound = binder.bind(_edge(first, tested, time_zone))
            bounds.append(exp.GTE(this=value, expression=bound))
        if last is not None:
            bound = binder.bind(_edge(last + timedelta(days=1), tested, time_zone))
            bounds.append(exp.LT(this=value, expression=bound))
        return exp.and_(*bounds)

    if clause.op in ("within_days", "more_than_days_ago"):
        first, last = window(clause, as_of)
        return within(first, last)
    if clause.op == "anniversary_in_days":
        return _anniversary(clause, tested, value, time_zone, as_of, binder)
    days = [_day(each, tested) for each in clause.values]
    match clause.op:
        case "equals":
            return within(days[0], days[0])
        case "not_equals":
            return exp.not_(exp.paren(within(days[0], days[0])))
        case "in":
            return exp.or_(*(within(day, day) for day in days))
        case "not_in":
            return exp.not_(exp.paren(exp.or_(*(within(day, day) for day in days))))
        case "greater":
            return within(days[0] + timedelta(days=1), None)
        case "greater_or_equal":
            return within(days[0], None)
        case "less":
            return within(None, days[0] - timedelta(days=1))
        case "less_or_equal":
            return within(None, days[0])
        case _:
            _check_order(days, tested)
            return within(days[0], days[1])


def _anniversary(
    clause: Clause,
    tested: ProfileField,
    value: exp.Expr,
    time_zone: str,
    as_of: date,
    binder: Binder,
) -> exp.Expr:
    """The day of the year is one of the days after `as_of`; of 29 February, 28 in short years."""
    day = value
    if tested.type == "timestamp":
        local = exp.AtTimeZone(this=value, zone=_text("UTC"))
        day = exp.AtTimeZone(this=exp.paren(local), zone=binder.bind(time_zone))
    month_day = exp.Add(
        this=exp.Mul(
            this=exp.Extract(this=exp.var("month"), expression=day),
            expression=exp.Literal.number(100),
        ),
        expression=exp.Extract(this=exp.var("day"), expression=day.copy()),
    )
    coming = [as_of + timedelta(days=ahead) for ahead in range(1, int(str(clause.value)) + 1)]
    wanted = {each.month * 100 + each.day for each in coming}
    if any(each.month == 2 and each.day == 28 and not isleap(each.year) for each in coming):
        wanted.add(229)
    numbers: list[exp.Expr] = [exp.Literal.number(each) for each in sorted(wanted)]
    return exp.In(this=exp.paren(month_day), expressions=numbers)


def window(clause: Clause, as_of: date) -> tuple[date | None, date]:
    """The days that a relative clause covers, both included; None is open.

    `within_days: 30` covers the 30 days that end with `as_of`; `more_than_days_ago: 30` what lies
    before the day that was 30 days before `as_of`.
    """
    days = clause.value
    if isinstance(days, bool) or not isinstance(days, int):
        raise SettingsError(
            said("{test} takes a number of days", test=clause.op), remedy=said("correct the rule")
        )
    if clause.op == "within_days":
        return as_of - timedelta(days=days - 1), as_of
    return None, as_of - timedelta(days=days + 1)


def _edge(day: date, tested: ProfileField, time_zone: str) -> date | datetime:
    """The start of a day: the day itself, or the UTC instant at which it starts locally."""
    if tested.type == "date":
        return day
    local = datetime.combine(day, time(), ZoneInfo(time_zone))
    return local.astimezone(UTC).replace(tzinfo=None)


def typed_values(clause: Clause, tested: ProfileField) -> list[Bound]:
    """The clause's values in the type of its field; SettingsError when one is of another.

    Not for dates and timestamps, which are compared by days.
    """
    values = [_typed(value, tested) for value in clause.values]
    if clause.op == "between":
        _check_order(values, tested)
    return values


def _check_order(values: Several[Bound], tested: ProfileField) -> None:
    low, high = values
    if low > high:  # type: ignore[operator]
        raise SettingsError(
            said(
                '"{field}" is to lie between {low} and {high}, which nothing does',
                field=tested.name,
                low=low,
                high=high,
            ),
            remedy=said("write the lower value first"),
        )


def _typed(value: object, tested: ProfileField) -> Bound:
    if tested.type in ("text", "list") and isinstance(value, str) and "\0" not in value:
        return value
    if tested.type == "boolean" and isinstance(value, bool):
        return value
    if (
        tested.type in ("integer", "number")
        and isinstance(value, int | float)
        and not isinstance(value, bool)
    ):
        return _number(value, tested)
    raise _wrong_type(value, tested)


def _number(value: int | float, tested: ProfileField) -> int | float | Decimal:
    try:
        exact = Decimal(str(value))
        fits = abs(exact) < _LARGEST and exact == exact.quantize(_FINEST)
    except InvalidOperation:
        fits = False
    if not fits:
        raise SettingsError(
            said('"{field}" cannot be compared with {value}', field=tested.name, value=value),
            remedy=said("use a number of at most 15 digits and 6 decimals"),
        )
    if tested.database_type.upper() in ("DOUBLE", "FLOAT"):
        return float(value)
    return int(value) if exact == exact.to_integral_value() else exact


def _day(value: object, tested: ProfileField) -> date:
    try:
        if isinstance(value, str) and len(value) == 10:
            day = date.fromisoformat(value)
            if 1000 <= day.year <= 3000:
                return day
    except ValueError:
        pass
    raise _wrong_type(value, tested)


_EXPECTED: Mapping[str, str] = {
    "text": said("give a text"),
    "list": said("give a text"),
    "integer": said("give a number"),
    "number": said("give a number"),
    "boolean": said("give true or false"),
    "date": said("give a day such as 2026-10-31"),
    "timestamp": said("give a day such as 2026-10-31"),
}


def _wrong_type(value: object, tested: ProfileField) -> SettingsError:
    return SettingsError(
        said('"{field}" is compared with {value}', field=tested.name, value=repr(value)),
        remedy=_EXPECTED[tested.type],
    )
