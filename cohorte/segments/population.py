"""Who meets a rule: counts, members, samples, sizes and the values that a field takes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import date

import duckdb
import polars as pl
from sqlglot import exp

from cohorte.segments.bitsets import Answers, CustomerSet, everyone, marked, nobody, set_of
from cohorte.segments.catalogue import PROFILES, Catalogue, load_catalogue, version_context
from cohorte.segments.columns import CODE, HeldColumn
from cohorte.segments.compile import (
    DIALECT,
    Compiler,
    Numbers,
    Query,
    column,
    profile_select,
)
from cohorte.segments.rules import (
    AllOf,
    AnyOf,
    Behaviour,
    Clause,
    Group,
    Node,
    NoneOf,
    expand,
    is_group,
    parts,
)
from cohorte.segments.watch import WATCH

SIZES_AT_ONCE = 50
LIMIT_SECONDS = 60.0


@dataclass(frozen=True)
class Population:
    """The customers of a database as seen from its `as_of` day. One per thread: `con` is.

    `segments` are the rules that references mean, by segment id. No question takes longer than
    `limit_seconds`; `answers` are shared by all populations of one version. On a day of the past
    other tables stand in the place of some (`tables`), and `only` those who were known then count.
    """

    con: duckdb.DuckDBPyConnection
    catalogue: Catalogue
    as_of: date
    relation: str = PROFILES
    segments: Mapping[str, Node] = field(default_factory=dict)
    answers: Answers = field(default_factory=Answers, compare=False)
    limit_seconds: float = LIMIT_SECONDS
    tables: Mapping[str, str | None] = field(default_factory=dict)
    only: Node | None = None

    def compiler(self) -> Compiler:
        return Compiler(self.catalogue, self.as_of, self.relation, tables=self.tables)

    def plain(self, rule: Node) -> Node:
        """The rule without references and what is off."""
        said = expand(rule, self.segments)
        return said if self.only is None else AllOf(all=[said, self.only])

    def with_segments(
        self, segments: Mapping[str, Node], names: Mapping[str, Mapping[str, str]]
    ) -> Population:
        """The same customers, with other segments to refer to."""
        catalogue = replace(self.catalogue, segment_names=names)
        return replace(self, catalogue=catalogue, segments=segments)

    @contextmanager
    def limited(self) -> Iterator[None]:
        """Interrupts what takes too long: CohorteError says so."""
        with WATCH.limited(self.con, self.limit_seconds):
            yield

    def frame(self, select: exp.Expr, compiler: Compiler) -> pl.DataFrame:
        """What a composed query finds."""
        with self.limited():
            found: pl.DataFrame = self.con.sql(
                select.sql(DIALECT), params=compiler.binder.parameters or None
            ).pl()
        return found


def open_population(con: duckdb.DuckDBPyConnection) -> Population:
    """The population of a published version."""
    as_of, time_zone, currency = version_context(con)
    catalogue = load_catalogue(con, time_zone=time_zone, currency=currency)
    return Population(con, catalogue, as_of)


def customers_meeting(population: Population, rule: Node) -> CustomerSet:
    """The customers who meet the rule, as a set; leaves answered before are not asked again."""
    return _meeting(population, population.plain(rule))


def _meeting(population: Population, rule: Node) -> CustomerSet:
    if not is_group(rule):
        return _answer(population, rule)
    size = total(population)
    together, others = _in_one_look(population, rule)
    sets = [_meeting(population, part) for part in others]
    if together is not None:
        sets.append(_answer(population, together))
    if isinstance(rule, AllOf):
        found = everyone(size)
        for each in sets:
            found = found & each
        return found
    found = nobody(size)
    for each in sets:
        found = found | each
    return ~found if isinstance(rule, NoneOf) else found


def _in_one_look(population: Population, group: Group) -> tuple[Group | None, list[Node]]:
    """The parts of a group that one scan of the profiles answers at once, and the others.

    None when fewer than two parts are left to ask: what was answered before is not asked again.
    """
    read: list[Node] = []
    others: list[Node] = []
    for part in parts(group):
        (read if _is_read(population, part) else others).append(part)
    if len(read) < 2:
        return None, parts(group)
    for clause in read:
        _note_read(population, clause)
    return (AllOf(all=read) if isinstance(group, AllOf) else AnyOf(any=read)), others


def _is_read(population: Population, leaf: Node) -> bool:
    """Whether it takes a look at the profiles to answer a leaf."""
    if not isinstance(leaf, Clause):
        return False
    return (
        population.answers.find(_key(population, leaf)) is None and _held(population, leaf) is None
    )


def _held(population: Population, clause: Clause) -> HeldColumn | None:
    """The column that a clause tests, if it is in memory."""
    name = population.catalogue[clause.field].name
    with population.limited():
        return population.answers.columns.find(
            population.con, population.relation, name, total(population)
        )


def _note_read(population: Population, leaf: Node) -> None:
    if isinstance(leaf, Clause):
        name = population.catalogue[leaf.field].name
        population.answers.columns.was_read(population.relation, name)


def _key(population: Population, leaf: Node, *more: str) -> str:
    return Answers.key(leaf, population.as_of, population.relation, *more)


def _answer(population: Population, leaf: Node) -> CustomerSet:
    key = _key(population, leaf)
    found = population.answers.find(key)
    if found is not None:
        return found
    compiler = population.compiler()
    if isinstance(leaf, Clause) and (held := _held(population, leaf)):
        found = _among(held, compiler.filter(leaf), compiler)
    else:
        _note_read(population, leaf)
        numbers = compiler.numbers(leaf)
        found = _ask(population, numbers, compiler)
        found = ~found if numbers.others else found
    population.answers.keep(key, found)
    return found


def _ask(population: Population, numbers: Numbers, compiler: Compiler) -> CustomerSet:
    size = total(population)
    with population.limited():
        result = population.con.execute(numbers.select.sql(DIALECT), compiler.binder.parameters)
        found = next(iter(result.fetchnumpy().values()))
    return set_of(found, size, numbers.least, numbers.most)


def _among(held: HeldColumn, met: exp.Expr, compiler: Compiler) -> CustomerSet:
    """Those whose value meets a condition, asked of the values alone."""
    select = profile_select([column(CODE)], held.relation).where(met)
    return marked(held.having(select.sql(DIALECT), compiler.binder.parameters))


@dataclass(frozen=True)
class Tally:
    """Of all customers, those who surely meet a rule, surely do not, and the rest.

    For the `unknown` the answer hangs on a value that is not known. `counted_in` of them count as
    members all the same: a rule's groups settle what a clause leaves open.
    """

    met: int
    not_met: int
    unknown: int
    counted_in: int

    @property
    def members(self) -> int:
        return self.met + self.counted_in


def tally(population: Population, rule: Node) -> Tally:
    """How many meet the rule, do not, or cannot be told; together, all customers."""
    plain = population.plain(rule)
    surely, surely_not = _sure(population, plain)
    unknown = ~(surely | surely_not)
    members_ = _meeting(population, plain)
    return Tally(len(surely), len(surely_not), len(unknown), len(unknown & members_))


def _sure(population: Population, rule: Node) -> tuple[CustomerSet, CustomerSet]:
    """Those who meet the rule whatever the unknown values are, and those who do not."""
    if not is_group(rule):
        met, unknown = _answer(population, rule), _unknown(population, rule)
        return met - unknown, ~(met | unknown)
    size = total(population)
    pairs = [_sure(population, part) for part in parts(rule)]
    if isinstance(rule, AllOf):
        met, not_met = everyone(size), nobody(size)
        for yes, no in pairs:
            met, not_met = met & yes, not_met | no
        return met, not_met
    met, not_met = nobody(size), everyone(size)
    for yes, no in pairs:
        met, not_met = met | yes, not_met & no
    return (not_met, met) if isinstance(rule, NoneOf) else (met, not_met)


def _unknown(population: Population, leaf: Node) -> CustomerSet:
    compiler = population.compiler()
    unknown = compiler.unknown(leaf)
    if unknown is None:
        return nobody(total(population))
    key = _key(population, leaf, "unknown")
    found = population.answers.find(key)
    if found is None:
        select = profile_select([column("customer_number")], population.relation).where(unknown)
        found = _ask(population, Numbers(select), compiler)
        population.answers.keep(key, found)
    return found


def count(population: Population, rule: Node) -> int:
    """How many customers meet the rule."""
    return sizes(population, {"": rule})[""]


def sizes(population: Population, rules: Mapping[str, Node]) -> dict[str, int]:
    """How many customers meet each rule."""
    if population.catalogue.is_numbered:
        return {name: len(customers_meeting(population, rule)) for name, rule in rules.items()}
    return sizes_by_query(population, rules)


def sizes_by_query(population: Population, rules: Mapping[str, Node]) -> dict[str, int]:
    """The same by SELECTs over the profiles: for versions whose customers have no numbers yet."""
    found: dict[str, int] = {}
    names = list(rules)
    for start in range(0, len(names), SIZES_AT_ONCE):
        batch = names[start : start + SIZES_AT_ONCE]
        compiler = population.compiler()
        counts = [
            _count_where(compiler.condition(population.plain(rules[name]))).as_(f"size_{position}")
            for position, name in enumerate(batch)
        ]
        frame = population.frame(profile_select(counts, population.relation), compiler)
        found.update({name: int(size) for name, size in zip(batch, frame.row(0), strict=True)})
    return found


def _count_where(met: exp.Expr) -> exp.Expr:
    """Zero, unlike DuckDB's count_if, where there is no row."""
    return exp.Count(this=exp.Case().when(met, exp.Literal.number(1)))


def total(population: Population) -> int:
    """How many customers there are."""
    if population.answers.size is None:
        sql = profile_select([exp.Count(this=exp.Star())], population.relation).sql(DIALECT)
        population.answers.size = int(population.con.execute(sql).fetchall()[0][0])
    return population.answers.size


def members(
    population: Population,
    rule: Node,
    columns: Sequence[str] = ("customer_id",),
    limit: int | None = None,
    offset: int = 0,
) -> pl.DataFrame:
    """The customers who meet the rule, by customer_id, with the fields asked for.

    SettingsError for a field that the catalogue does not have.
    """
    compiler = population.compiler()
    select = _fields(population, columns)
    select = select.where(compiler.condition(population.plain(rule)))
    select = select.order_by(column("customer_id"))
    if limit is not None:
        select = select.limit(limit).offset(offset)
    return population.frame(select, compiler)


def sample(
    population: Population,
    rule: Node,
    columns: Sequence[str] = ("customer_id",),
    size: int = 20,
    seed: int = 0,
) -> pl.DataFrame:
    """A random few of the customers who meet the rule; the same ones for the same seed."""
    compiler = population.compiler()
    drawn = exp.func(
        "md5",
        exp.func("concat", column("customer_id"), compiler.binder.bind(str(seed)), dialect=DIALECT),
    )
    select = _fields(population, columns)
    select = select.where(compiler.condition(population.plain(rule)))
    select = select.order_by(drawn, column("customer_id")).limit(size)
    return population.frame(select, compiler)


def value_counts(
    population: Population,
    name: str,
    rule: Node | None = None,
    search: str = "",
    limit: int = 100,
) -> pl.DataFrame:
    """The values that a field takes and how many customers have each, the commonest first.

    Columns `value` and `customers_count`; unknown is a value, null. `rule` restricts who is
    counted, `search` the values, by a part of their text whatever its case and accents.
    """
    compiler = population.compiler()
    value = column(population.catalogue[name].name)
    select = profile_select(
        [value.as_("value"), exp.Count(this=exp.Star()).as_("customers_count")],
        population.relation,
    )
    if rule is not None:
        select = select.where(compiler.condition(population.plain(rule)))
    if search:
        select = select.where(_contains(value, compiler.binder.bind(search)))
    select = select.group_by(value.copy())
    select = select.order_by(exp.column("customers_count").desc(), exp.column("value")).limit(limit)
    return population.frame(select, compiler)


def _contains(value: exp.Expr, searched: exp.Expr) -> exp.Expr:
    text = exp.cast(value.copy(), "varchar")
    return exp.func(
        "contains",
        exp.func("lower", exp.func("strip_accents", text)),
        exp.func("lower", exp.func("strip_accents", searched)),
    )


def activity_values(
    population: Population,
    behaviour: str,
    name: str,
    search: str = "",
    limit: int = 100,
    rule: Node | None = None,
) -> pl.DataFrame:
    """The values that a field of a behaviour takes: `value`, `customers_count`, commonest first.

    Counted are the customers who ever did it with that value, up to `as_of`; with `rule` those of
    them who meet it.
    """
    compiler = population.compiler()
    tested = population.catalogue.behaviour(behaviour)[name]
    value = column(tested.column_name, "acts")
    leaf = Behaviour(did=behaviour)
    counted = exp.Count(this=exp.Distinct(expressions=[column("customer_number", "acts")]))
    select = compiler.events(leaf, leaf.window).select(
        value.as_("value"), counted.as_("customers_count")
    )
    select = select.where(exp.not_(exp.Is(this=value.copy(), expression=exp.null())))
    if search:
        select = select.where(_contains(value, compiler.binder.bind(search)))
    if rule is not None:
        met = profile_select([column("customer_number")], population.relation)
        met = met.where(compiler.condition(population.plain(rule)))
        number = column("customer_number", "acts")
        select = select.where(exp.In(this=number, query=exp.paren(met)))
    select = select.group_by(value.copy())
    select = select.order_by(exp.column("customers_count").desc(), exp.column("value")).limit(limit)
    return population.frame(select, compiler)


def happened(population: Population, behaviour: Behaviour) -> pl.DataFrame:
    """One row per customer, by customer_id: whether the behaviour happened, in `happened`.

    The window of the behaviour may lie anywhere up to the population's `as_of`; pass a population
    with another `as_of` (`dataclasses.replace`) to look from another day.
    """
    compiler = population.compiler()
    select = profile_select(
        [column("customer_id"), compiler.condition(behaviour).as_("happened")], population.relation
    )
    return population.frame(select.order_by(column("customer_id")), compiler)


def member_query(population: Population, rule: Node) -> Query:
    """The compiled rule over the population's relation."""
    compiler = population.compiler()
    select = profile_select([column("customer_id")], population.relation)
    select = select.where(compiler.condition(population.plain(rule)))
    return Query(select.sql(DIALECT), compiler.binder.parameters)


def _fields(population: Population, columns: Sequence[str]) -> exp.Select:
    chosen = [column(population.catalogue[name].name) for name in columns]
    return profile_select(chosen, population.relation)
