"""Why someone is in a segment or not: the verdict of each part, with what it rests on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlglot import exp

from cohorte.errors import NotFoundError
from cohorte.i18n import translator
from cohorte.segments import rules
from cohorte.segments.catalogue import ProfileField, RowsBehind, sibling
from cohorte.segments.compile import column, profile_select
from cohorte.segments.describe import describe_part, say_value
from cohorte.segments.population import Population, customers_meeting
from cohorte.segments.rules import (
    AnyOf,
    Behaviour,
    Clause,
    Deciles,
    Event,
    Moved,
    Near,
    Node,
    NoneOf,
    Reference,
    Top,
    Window,
    is_group,
    parts,
    without_off,
)

ROWS_SHOWN = 20
_EPOCH = date(1, 1, 1)


@dataclass(frozen=True)
class SourceRow:
    """A record that a verdict rests on."""

    source: str
    record_id: str
    day: date | None
    kind: str
    text: str = ""
    amount: Decimal | None = None


@dataclass(frozen=True)
class Reason:
    """One part of a rule for one customer: whether it is met, and why.

    `value` is what the part looks at, in words: a field's value, or how many times something was
    done. `rows_count` counts the records behind it, of which `rows` are the latest.
    """

    rule: Node
    said: str
    is_met: bool
    value: str = ""
    is_known: bool = True
    rows: Sequence[SourceRow] = ()
    rows_count: int = 0
    parts: Sequence[Reason] = ()

    def leaves(self) -> Iterator[Reason]:
        """The parts that have none, in reading order."""
        if not self.parts:
            yield self
        for part in self.parts:
            yield from part.leaves()


def why(population: Population, rule: Node, customer_id: str, language: str) -> Reason:
    """The verdict of each part of a rule for a customer; NotFoundError when there is no such."""
    select = profile_select([exp.Star()], population.relation)
    compiler = population.compiler()
    bound = compiler.binder.bind(customer_id)
    found = population.frame(
        select.where(exp.EQ(this=column("customer_id"), expression=bound)), compiler
    )
    if found.is_empty():
        raise NotFoundError(
            f'there is no customer "{customer_id}"', remedy="search the list of customers"
        )
    return _Examiner(population, found.row(0, named=True), language).reason(without_off(rule))


class _Examiner:
    def __init__(self, population: Population, profile: dict[str, Any], language: str) -> None:
        self.population = population
        self.profile = profile
        self.number = int(profile["customer_number"])
        self.language = language
        self._ = translator(language)

    def reason(self, rule: Node) -> Reason:
        is_met = self.number in customers_meeting(self.population, rule)
        said = describe_part(rule, self.language, self.population.catalogue, self.population.as_of)
        if is_group(rule):
            return Reason(rule, said, is_met, parts=[self.reason(part) for part in parts(rule)])
        match rule:
            case Reference(change=None):
                inner = without_off(self.population.segments[rule.segment])
                return Reason(rule, said, is_met, parts=[self.reason(inner)])
            case Top() if rule.among is not None:
                among = self.reason(rule.among)
                return Reason(rule, said, is_met, value=self._field(rule.by), parts=[among])
            case Clause():
                return self._clause(rule, said, is_met)
            case Behaviour():
                return self._did(rule, said, is_met)
            case rules.Sequence():
                firsts = self._rows(rule.first, rule.window)
                thens = self._rows(rule.then, Window())
                rows = sorted([*firsts, *thens], key=lambda row: row.day or _EPOCH)
                return Reason(rule, said, is_met, rows=rows[-ROWS_SHOWN:], rows_count=len(rows))
            case Near():
                known = self.profile.get("latitude") is not None
                place = self.profile.get("city") or ""
                return Reason(rule, said, is_met, value=str(place), is_known=known)
            case Moved():
                return Reason(rule, said, is_met, *self._before_and_now(rule))
            case Deciles():
                return Reason(rule, said, is_met, value=self._field(rule.decile_of))
            case Top():
                return Reason(rule, said, is_met, value=self._field(rule.by))
            case _:
                return Reason(rule, said, is_met)

    def _before_and_now(self, rule: Moved) -> tuple[str, bool]:
        """What a score was and is, in words, and whether both are known."""
        compiler = self.population.compiler()
        tested = self.population.catalogue.moving(rule.moved)
        select = compiler.both_days(rule).select(
            column(tested.name, "before").as_("was"), column(tested.name, "today").as_("now")
        )
        mine = compiler.binder.bind(self.number)
        select = select.where(exp.EQ(this=column("customer_number", "today"), expression=mine))
        rows = self.population.frame(select, compiler).rows()
        was, now = rows[0] if rows else (None, None)
        told = f"{self._value(was, tested)} → {self._value(now, tested)}"
        return told, None not in (was, now)

    def _field(self, name: str) -> str:
        tested = self.population.catalogue[name]
        return self._value(self.profile.get(name), tested)

    def _value(self, value: Any, tested: ProfileField) -> str:
        if value is None:
            return self._("not known")
        if isinstance(value, bool):
            return self._("yes") if value else self._("no")
        return say_value(value, tested, self.language, self.population.catalogue)

    def _clause(self, clause: Clause, said: str, is_met: bool) -> Reason:
        tested = self.population.catalogue.check_clause(clause)
        value = self.profile.get(tested.name)
        rows = [] if tested.rows is None else self._behind(tested.rows)
        told = self._value(value, tested)
        if tested.source is not None and (source := self._source_of(tested.source)):
            told = self._("{value}, from {source}", value=told, source=source)
        return Reason(
            clause,
            said,
            is_met,
            value=told,
            is_known=value is not None,
            rows=rows[-ROWS_SHOWN:],
            rows_count=len(rows),
        )

    def _behind(self, behind: RowsBehind) -> list[SourceRow]:
        window = Window() if behind.last_days is None else Window(last_days=behind.last_days)
        known = self.population.catalogue.behaviours
        rows = [
            row for did in behind.did if did in known for row in self._rows(Event(did=did), window)
        ]
        return sorted(rows, key=lambda row: row.day or _EPOCH)

    def _source_of(self, source_column: str) -> str:
        """The source that a value of the customer was taken from."""
        compiler = self.population.compiler()
        select = (
            exp.select(column(source_column, "customers"))
            .from_(exp.to_table(sibling(self.population.relation, "customers")).as_("customers"))
            .where(
                exp.EQ(
                    this=column("customer_id", "customers"),
                    expression=compiler.binder.bind(str(self.profile["customer_id"])),
                )
            )
        )
        found = self.population.frame(select, compiler)
        return str(found.item(0, 0) or "") if found.height else ""

    def _did(self, leaf: Behaviour, said: str, is_met: bool) -> Reason:
        rows = self._rows(leaf, leaf.window)
        kind = self.population.catalogue.behaviour(leaf.did)
        if leaf.measure is None:
            value = self._.ngettext("{count} time", "{count} times", len(rows))
        else:
            tested = kind[leaf.measure.of]
            value = self._value(self._figure(leaf), tested)
        return Reason(
            leaf, said, is_met, value=value, rows=rows[-ROWS_SHOWN:], rows_count=len(rows)
        )

    def _figure(self, leaf: Behaviour) -> Any:
        """The measure of this customer alone."""
        measure = leaf.measure
        assert measure is not None  # noqa: S101
        tested = self.population.catalogue.behaviour(leaf.did)[measure.of]
        compiler = self.population.compiler()
        value = column(tested.column_name, "acts")
        select = compiler.events(leaf, leaf.window).where(self._mine(compiler.binder.bind))
        figure = compiler.figure(measure.by, value)
        found = self.population.frame(select.select(figure.as_("figure")), compiler).item(0, 0)
        return Decimal(0) if found is None and measure.by == "sum" else found

    def _mine(self, bind: Any) -> exp.Expr:
        return exp.EQ(this=column("customer_number", "acts"), expression=bind(self.number))

    def _rows(self, event: Event, window: Window) -> list[SourceRow]:
        """What this customer did, the earliest first."""
        compiler = self.population.compiler()
        names = (
            "source", "record_id", "activity_date", "occurred_at", "kind", "product_name",
            "category", "subject", "score", "amount",
        )  # fmt: skip
        select = compiler.events(event, window).select(*(column(name, "acts") for name in names))
        select = select.where(self._mine(compiler.binder.bind))
        select = select.order_by(column("occurred_at", "acts"), column("record_id", "acts"))
        return [_source_row(row) for row in self.population.frame(select, compiler).to_dicts()]


def _source_row(row: dict[str, Any]) -> SourceRow:
    score = None if row["score"] is None else str(row["score"])
    told = [row["product_name"], row["category"], row["subject"], score]
    day = row["activity_date"]
    return SourceRow(
        source=str(row["source"] or ""),
        record_id=str(row["record_id"] or ""),
        day=day.date() if isinstance(day, datetime) else day,
        kind=str(row["kind"]),
        text=" · ".join(str(each) for each in told if each),
        amount=row["amount"],
    )


@dataclass(frozen=True)
class Change:
    """A leaf that would have to turn, and into what."""

    reason: Reason
    to_met: bool


def smallest_change(reason: Reason, to_met: bool = True) -> list[Change]:
    """The fewest leaves whose turning makes the whole met; none when it is already.

    Each leaf counts once; of equally small changes, the one that reads first.
    """
    if reason.is_met is to_met:
        return []
    if not reason.parts:
        return [Change(reason, to_met)]
    inner = not to_met if isinstance(reason.rule, NoneOf) else to_met
    each = [smallest_change(part, inner) for part in reason.parts]
    if isinstance(reason.rule, Top):
        return [*each[0], Change(reason, to_met)]
    one_suffices = isinstance(reason.rule, AnyOf) if to_met else not isinstance(reason.rule, AnyOf)
    if is_group(reason.rule) and one_suffices:
        return min(each, key=len)
    return [change for changes in each for change in changes]


def change_in_words(change: Change, language: str) -> str:
    """What would have to be so, as a clause that follows "Customers"."""
    _ = translator(language)
    said = change.reason.said
    if change.to_met:
        return _("to be among those {who}", who=said)
    return _("no longer to be among those {who}", who=said)
