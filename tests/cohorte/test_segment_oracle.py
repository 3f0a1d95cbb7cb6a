"""Rules over what customers did find whom an independent evaluation in Polars finds.

The oracle is written from the documentation of the language: it filters and joins whole frames,
where the compiler makes one SELECT and the engine sets of bits.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import duckdb
import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cohorte.segments import (
    EVERYONE,
    AllOf,
    AnyOf,
    Behaviour,
    Clause,
    Contactable,
    Deciles,
    Event,
    Moved,
    Near,
    Node,
    NoneOf,
    Population,
    Reference,
    Sequence,
    Share,
    Times,
    Top,
    Window,
    count,
    customers_meeting,
    expand,
    happened,
    members,
    open_population,
    parse_rule,
    parts,
    population_on,
    rule_json,
    sizes_by_query,
    tally,
    total,
)
from tests.support.published import AS_OF, build_published

KINDS = {
    "ordered": ["order"],
    "bought": ["purchase"],
    "returned": ["return"],
    "filled_cart": ["cart_abandoned", "cart_ordered"],
    "opened_email": ["email_opened"],
    "opened_ticket": ["ticket"],
    "answered_survey": ["survey"],
    "visited": ["web_visit"],
}
COLUMNS = {"store": "subject", "priority": "subject", "survey": "category"}
CITY = {"field": "city", "op": "in", "value": ["Lyon", "Paris"]}
LIBRARY: dict[str, Node] = {
    "buyers": parse_rule({"did": "ordered"}),
    "lyon_or_paris": parse_rule({"any": [CITY, {"segment": "buyers", "off": True}]}),
    "both": parse_rule({"all": [{"segment": "buyers"}, {"segment": "lyon_or_paris"}]}),
}


@pytest.fixture(scope="module")
def population(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Population]:
    path = build_published(tmp_path_factory.mktemp("oracle") / "v7.duckdb", customers=300)
    with duckdb.connect(str(path), read_only=True) as con:
        names = {key: {"en": key, "fr": key} for key in LIBRARY}
        yield open_population(con).with_segments(LIBRARY, names)


class Oracle:
    """Evaluates trees over frames of the whole company."""

    def __init__(self, con: duckdb.DuckDBPyConnection) -> None:
        self.as_of = AS_OF
        self.profiles = con.sql("from customer_profiles order by customer_id").pl()
        self.activities = con.sql("from activities").pl()
        self.scores = con.sql("from score_days").pl()
        self.history = con.sql("from segment_history").pl()
        self.everyone = set(self.profiles["customer_number"])
        self.id_of = dict(self.profiles.select("customer_number", "customer_id").rows())

    def numbers(self, rule: Node) -> set[int]:
        return self.surely(rule)[2]

    def surely(self, rule: Node) -> tuple[set[int], set[int], set[int]]:
        """Who surely meets the rule, who surely does not, and the members."""
        if isinstance(rule, AllOf | AnyOf | NoneOf):
            told = [self.surely(part) for part in parts(rule)]
            yes, no, inside = (
                [each[place] for each in told] for place in (0, 1, 2)
            )  # fmt: skip
            every = self.everyone
            if isinstance(rule, AllOf):
                return (
                    every.intersection(*yes),
                    set().union(*no),
                    every.intersection(*inside),
                )
            some, none = set().union(*yes), every.intersection(*no)
            if isinstance(rule, AnyOf):
                return some, none, set().union(*inside)
            return none, some, every - set().union(*inside)
        met, unknown = self.leaf(rule)
        return met - unknown, self.everyone - met - unknown, met

    def leaf(self, leaf: Node) -> tuple[set[int], set[int]]:
        match leaf:
            case Clause():
                met = self.test(self.profiles, leaf, leaf.field)
                unknown = self.profiles.filter(pl.col(leaf.field).is_null())
                asks = leaf.op in ("is_known", "is_unknown") or leaf.unknown
                return set(met["customer_number"]), (
                    set() if asks else set(unknown["customer_number"])
                )
            case Behaviour():
                return self.behaviour(leaf), set()
            case Sequence():
                return self.sequence(leaf), set()
            case Near():
                return self.near(leaf)
            case Moved():
                return self.moved(leaf), set()
            case Deciles():
                return self.deciles(leaf), set()
            case Top():
                return self.top(leaf), set()
            case Share():
                return self.share(leaf), set()
            case Contactable():
                flag = f"is_contactable_{leaf.contactable}"
                return set(self.profiles.filter(pl.col(flag))["customer_number"]), set()
            case Reference():
                first = self.as_of - timedelta(days=(leaf.last_days or 1) - 1)
                ids = self.history.filter(
                    (pl.col("segment_id") == leaf.segment)
                    & (pl.col("change") == leaf.change)
                    & pl.col("as_of").is_between(first, self.as_of)
                )["customer_id"]
                found = self.profiles.filter(pl.col("customer_id").is_in(ids.to_list()))
                return set(found["customer_number"]), set()
            case _:
                raise AssertionError(leaf)

    def test(self, frame: pl.DataFrame, clause: Clause, column: str) -> pl.DataFrame:
        value = pl.col(column)
        if clause.op == "is_known":
            return frame.filter(value.is_not_null())
        if clause.op == "is_unknown":
            return frame.filter(value.is_null())
        wanted = clause.values
        comparable = value.cast(pl.Float64) if frame[column].dtype.is_numeric() else value
        match clause.op:
            case "in":
                met = comparable.is_in(wanted)
            case "not_in":
                met = ~comparable.is_in(wanted)
            case "greater":
                met = comparable > wanted[0]
            case "less_or_equal":
                met = comparable <= wanted[0]
            case "equals":
                met = comparable == wanted[0]
            case "between":
                met = comparable.is_between(wanted[0], wanted[1])
            case "within_days":
                met = value.is_between(self.as_of - timedelta(days=int(wanted[0]) - 1), self.as_of)
            case _:
                raise AssertionError(clause.op)
        return frame.filter(met.fill_null(clause.unknown))

    def events(self, event: Event, window: Window) -> pl.DataFrame:
        found = self.activities.filter(pl.col("kind").is_in(KINDS[event.did]))
        found = found.filter(pl.col("activity_date") <= self.as_of)
        for test in event.where:
            found = self.test(found, test, COLUMNS.get(test.field, test.field))
        if window.last_days:
            found = found.filter(pl.col("activity_date") > self.as_of - timedelta(window.last_days))
        if window.except_last_days:
            last = self.as_of - timedelta(window.except_last_days)
            found = found.filter(pl.col("activity_date") <= last)
        if window.since:
            found = found.filter(pl.col("activity_date") >= date.fromisoformat(window.since))
        if window.until:
            found = found.filter(pl.col("activity_date") <= date.fromisoformat(window.until))
        if window.anchor is None:
            return found
        anchors = self.events(window.anchor, Window()).sort("occurred_at")
        anchors = anchors.unique(
            "customer_number", keep=window.anchor.which, maintain_order=True
        ).select("customer_number", at="occurred_at", day="activity_date")
        found = found.join(anchors, on="customer_number")
        apart = (pl.col("activity_date") - pl.col("day")).dt.total_days()
        if window.after is not None:
            found = found.filter(pl.col("occurred_at") > pl.col("at"))
        else:
            found, apart = found.filter(pl.col("occurred_at") < pl.col("at")), -apart
        return found if window.days is None else found.filter(apart <= window.days)

    def behaviour(self, leaf: Behaviour) -> set[int]:
        rows: dict[int, list[dict[str, Any]]] = {number: [] for number in self.everyone}
        for row in self.events(leaf, leaf.window).sort("occurred_at", "record_id").to_dicts():
            rows[row["customer_number"]].append(row)
        return {number for number, did in rows.items() if self.did_enough(leaf, did)}

    def did_enough(self, leaf: Behaviour, did: list[dict[str, Any]]) -> bool:
        if leaf.measure is None:
            times = leaf.times or Times(at_least=1)
            if times.at_least is not None:
                return len(did) >= times.at_least
            if times.at_most is not None:
                return len(did) <= times.at_most
            return len(did) == times.exactly
        measure = leaf.measure
        known = [float(row[measure.of]) for row in did if row[measure.of] is not None]
        if measure.by == "sum":
            figure = round(math.fsum(known), 4)
        elif not known:
            return measure.unknown
        else:
            figure = {
                "average": math.fsum(known) / len(known),
                "minimum": min(known),
                "maximum": max(known),
                "first": known[0],
                "last": known[-1],
            }[measure.by]
        low, high = measure.value if isinstance(measure.value, list) else [measure.value] * 2
        return {
            "greater": figure > low,
            "less": figure < low,
            "equals": figure == low,
            "between": low <= figure <= high,
        }[measure.op]

    def sequence(self, leaf: Sequence) -> set[int]:
        firsts = self.events(leaf.first, leaf.window)
        thens = self.events(leaf.then, Window())
        after: dict[int, list[tuple[Any, date]]] = {}
        for number, at, day in thens.select(
            "customer_number", "occurred_at", "activity_date"
        ).rows():
            after.setdefault(number, []).append((at, day))
        found = set()
        for number, at, day in firsts.select(
            "customer_number", "occurred_at", "activity_date"
        ).rows():
            followed = any(
                then_at > at
                and (leaf.within_days is None or (then_day - day).days <= leaf.within_days)
                for then_at, then_day in after.get(number, [])
            )
            if followed is leaf.follows:
                found.add(number)
        return found

    def moved(self, leaf: Moved) -> set[int]:
        days = set(self.scores["as_of"])
        latest = max((day for day in days if day <= self.as_of), default=None)
        if latest is None:
            return set()
        bound = latest - timedelta(days=1)
        if leaf.days_ago is not None:
            bound = self.as_of - timedelta(days=leaf.days_ago)
        elif leaf.since is not None:
            bound = date.fromisoformat(leaf.since)
        earlier = max((day for day in days if day <= bound), default=None)
        if earlier is None:
            return set()
        was = dict(self.scores.filter(as_of=earlier).select("customer_number", leaf.moved).rows())
        today = self.scores.filter(as_of=latest).select("customer_number", leaf.moved)
        found = set()
        for number, now in today.rows():
            before = was.get(number)
            if now is None or before is None or now == before:
                continue
            rise = 0.0 if isinstance(now, str) else float(now - before)
            least = (leaf.rose or leaf.fell or 0) * (
                abs(float(before)) / 100 if leaf.percent else 1
            )
            met = [
                leaf.was is None or before in leaf.was,
                leaf.now is None or now in leaf.now,
                leaf.rose is None or rise >= least,
                leaf.fell is None or -rise >= least,
                not leaf.percent or before != 0,
            ]
            if all(met):
                found.add(number)
        return found & self.everyone

    def near(self, leaf: Near) -> tuple[set[int], set[int]]:
        met, unknown = set(), set()
        here = (math.radians(leaf.near.latitude), math.radians(leaf.near.longitude))
        for number, latitude, longitude in self.profiles.select(
            "customer_number", "latitude", "longitude"
        ).rows():
            if latitude is None:
                unknown.add(number)
                continue
            there = (math.radians(latitude), math.radians(longitude))
            central = math.acos(
                min(
                    1.0,
                    math.sin(here[0]) * math.sin(there[0])
                    + math.cos(here[0]) * math.cos(there[0]) * math.cos(here[1] - there[1]),
                )
            )
            if central * 6371.0088 <= leaf.km:
                met.add(number)
        return met, unknown

    def ranked(self, by: str, descending: bool, among: set[int]) -> list[int]:
        known = self.profiles.filter(
            pl.col(by).is_not_null() & pl.col("customer_number").is_in(list(among))
        )
        return known.sort(by, "customer_id", descending=[descending, False])[
            "customer_number"
        ].to_list()

    def top(self, leaf: Top) -> set[int]:
        among = self.everyone if leaf.among is None else self.numbers(leaf.among)
        return set(self.ranked(leaf.by, leaf.order == "highest", among)[: leaf.top])

    def deciles(self, leaf: Deciles) -> set[int]:
        ranked = self.ranked(leaf.decile_of, False, self.everyone)
        small, large_ones = divmod(len(ranked), 10)
        found, start = set(), 0
        for decile in range(1, 11):
            size = small + (decile <= large_ones)
            if decile in leaf.deciles:
                found |= set(ranked[start : start + size])
            start += size
        return found

    def share(self, leaf: Share) -> set[int]:
        from hashlib import md5

        return {
            number
            for number, customer_id in self.id_of.items()
            if int(md5(f"{customer_id}|{leaf.seed}".encode()).hexdigest()[:8], 16)  # noqa: S324
            < int(leaf.share * 16**8)
        }


ENTITIES = {
    "order": "orders", "purchase": "orders", "return": "orders", "cart_abandoned": "carts",
    "cart_ordered": "carts", "ticket": "tickets", "survey": "surveys",
    "web_visit": "web_events", "lead": "leads", "opportunity_won": "opportunities",
}  # fmt: skip


class PastOracle(Oracle):
    """The same as of an earlier day, of what had been delivered by a day.

    Only what the marts' SQL counts for the day is taken over: amounts, RFM.
    """

    def __init__(self, then: Population, known_by: date) -> None:
        con = then.con
        super().__init__(con)
        self.as_of = then.as_of
        late = con.sql("from late_facts").pl().filter(pl.col("loaded_date") > known_by)
        self.whole = set(
            late.filter(pl.col("record_id").is_null()).select("entity", "source").rows()
        )
        self.late = set(late.select("entity", "source", "record_id").rows())
        identities = con.sql("from identities").pl().select("source", "contact_id", "customer_id")
        came = {
            customer
            for source, contact, customer in identities.rows()
            if self.in_time("contacts", source, contact)
        }
        self.everyone = {
            number
            for number, customer, created in self.profiles.select(
                "customer_number", "customer_id", "created_date"
            ).rows()
            if customer in came and (created is None or created <= self.as_of)
        }
        counted = con.sql(f"from {then.relation}").pl()
        reached = self.reached(con, known_by)
        self.profiles = (
            counted.filter(pl.col("customer_number").is_in(list(self.everyone)))
            .with_columns(
                (
                    pl.concat_str("customer_id", pl.lit(f":{channel}")).is_in(list(reached))
                    & ~pl.col("is_internal")
                ).alias(f"is_contactable_{channel}")
                for channel in ("email", "sms", "phone", "post")
            )
            .sort("customer_id")
        )
        self.id_of = {number: self.id_of[number] for number in self.everyone}
        self.activities = self.did_by_then(con).filter(
            pl.col("customer_number").is_in(list(self.everyone))
        )

    def in_time(self, entity: str, source: str, record: str) -> bool:
        return (entity, source) not in self.whole and (entity, source, record) not in self.late

    def did_by_then(self, con: duckdb.DuckDBPyConnection) -> pl.DataFrame:
        ordered = dict(con.sql("select source || order_id, order_date from orders").fetchall())
        carts = dict(
            con.sql(
                "select source || cart_id, order_id from carts where not is_abandoned"
            ).fetchall()
        )
        kinds = []
        for kind, source, record in self.activities.select("kind", "source", "record_id").rows():
            entity = ENTITIES.get(kind, "email_events" if "email" in kind else "interactions")
            whole_record = record.rsplit(":", 1)[0] if kind == "purchase" else record
            if not self.in_time(entity, source, whole_record):
                kinds.append(None)
                continue
            order = carts.get(source + record) if kind == "cart_ordered" else None
            day = ordered.get(f"{source}{order}")
            was_open = day is not None and (
                day > self.as_of or not self.in_time("orders", source, str(order))
            )
            kinds.append("cart_abandoned" if was_open else kind)
        return self.activities.with_columns(kind=pl.Series(kinds, dtype=pl.String)).drop_nulls(
            "kind"
        )

    def reached(self, con: duckdb.DuckDBPyConnection, known_by: date) -> set[str]:
        """Each customer and channel, as "C1:email", whose address was good and allowed."""

        def over(day: date) -> datetime:
            after = datetime.combine(day + timedelta(days=1), time(), ZoneInfo("Europe/Paris"))
            return after.astimezone(UTC).replace(tzinfo=None)

        said: dict[tuple[str, str, str], tuple[datetime, bool]] = {}
        rows = con.sql(
            "select customer_id, channel, contact_point, recorded_at, is_granted, loaded_at"
            " from consent_statements where purpose = 'marketing' order by recorded_at"
        ).fetchall()
        for customer, channel, point, recorded_at, is_granted, loaded_at in rows:
            if recorded_at < over(self.as_of) and loaded_at < over(known_by):
                said[customer, channel, point] = (recorded_at, is_granted)
        good = set(
            con.sql(
                "select customer_id, contact_point from contact_points"
                " where is_valid and is_primary"
            ).fetchall()
        )
        return {
            f"{customer}:{channel}"
            for (customer, channel, point), (_at, is_granted) in said.items()
            if is_granted and (customer, point) in good
        }


@pytest.fixture(scope="module")
def oracle(population: Population) -> Oracle:
    return Oracle(population.con)


# Random trees

_WHERE = {
    "ordered": [
        {"field": "channel", "op": "in", "value": ["web", "store"]},
        {"field": "store", "op": "is_unknown"},
        {"field": "amount", "op": "greater", "value": 50},
    ],
    "bought": [
        {"field": "category", "op": "in", "value": ["Jardin", "Bain"]},
        {"field": "category", "op": "not_in", "value": ["Jardin"]},
        {"field": "quantity", "op": "greater", "value": 1},
    ],
    "opened_ticket": [{"field": "priority", "op": "in", "value": ["high"], "unknown": True}],
    "answered_survey": [
        {"field": "survey", "op": "in", "value": ["nps"]},
        {"field": "score", "op": "between", "value": [9, 10]},
    ],
    "opened_email": [{"field": "campaign", "op": "is_known"}],
    "visited": [],
    "returned": [],
    "filled_cart": [{"field": "quantity", "op": "greater", "value": 2}],
}
COLUMNS["campaign"] = "campaign_id"
_DAYS = st.sampled_from([1, 7, 30, 90, 365, 800])


@st.composite
def _events(draw: st.DrawFn, did: str | None = None) -> dict[str, Any]:
    chosen = did or draw(st.sampled_from(list(KINDS)))
    where = draw(st.lists(st.sampled_from(_WHERE[chosen]), max_size=2)) if _WHERE[chosen] else []
    return {"did": chosen, "where": where}


@st.composite
def _windows(draw: st.DrawFn) -> dict[str, Any]:
    match draw(st.sampled_from(["ever", "last", "older", "between", "anchor", "anchor"])):
        case "last":
            return {"last_days": draw(_DAYS)}
        case "older":
            return {"last_days": 900, "except_last_days": draw(st.sampled_from([7, 200]))}
        case "between":
            return {"since": "2025-06-01", "until": draw(st.sampled_from(["2025-12-31", None]))}
        case "anchor":
            anchor = {**draw(_events()), "which": draw(st.sampled_from(["first", "last"]))}
            days = draw(st.sampled_from([None, 30, 200]))
            return {draw(st.sampled_from(["after", "before"])): anchor, "days": days}
        case _:
            return {}


@st.composite
def _behaviours(draw: st.DrawFn) -> Node:
    window = draw(_windows())
    if draw(st.booleans()):
        how = draw(st.sampled_from(["at_least", "at_most", "exactly"]))
        least = 1 if how == "at_least" else 0
        times = {how: draw(st.integers(least, 4))}
        return parse_rule({**draw(_events()), "times": times, "window": window})
    did, of = draw(
        st.sampled_from(
            [("ordered", "amount"), ("bought", "quantity"), ("answered_survey", "score")]
        )
    )
    op = draw(st.sampled_from(["greater", "less", "equals", "between"]))
    value: Any = draw(st.sampled_from([0, 2, 9, 50.5, 120]))
    measure = {
        "by": draw(st.sampled_from(["sum", "average", "minimum", "maximum", "first", "last"])),
        "of": of,
        "op": op,
        "value": [value, value + 40] if op == "between" else value,
        "unknown": draw(st.booleans()),
    }
    return parse_rule({**draw(_events(did)), "measure": measure, "window": window})


_SEQUENCES = st.builds(
    lambda first, then, within, follows, window: parse_rule(
        {"first": first, "then": then, "within_days": within, "follows": follows, "window": window}
    ),
    _events(),
    _events(),
    st.sampled_from([None, 0, 3, 60]),
    st.booleans(),
    _windows(),
)
_OTHERS: st.SearchStrategy[Node] = st.sampled_from(
    [
        parse_rule(each)
        for each in (
            {"field": "city", "op": "not_in", "value": ["Lyon"]},
            {"field": "age", "op": "greater", "value": 40},
            {"field": "age", "op": "less_or_equal", "value": 40, "unknown": True},
            {"field": "last_nps_score", "op": "is_known"},
            {"field": "last_order_date", "op": "within_days", "value": 200},
            {"field": "lifetime_net_revenue", "op": "between", "value": [20, 300]},
            {"near": {"latitude": 45.76, "longitude": 4.85}, "km": 300},
            {"near": {"latitude": 48.8, "longitude": 2.3}, "km": 150, "unknown": False},
            {"decile_of": "lifetime_net_revenue", "deciles": [1, 10]},
            {"decile_of": "age", "deciles": [5]},
            {"top": 40, "by": "lifetime_net_revenue"},
            {"top": 25, "by": "age", "order": "lowest", "among": {"none": [{"did": "ordered"}]}},
            {"moved": "rfm_segment", "was": ["at_risk"]},
            {"moved": "rfm_segment", "was": ["at_risk", "lost"], "now": ["loyal"], "days_ago": 30},
            {"moved": "rfm_segment", "now": ["champions"], "since": "2026-10-29"},
            {"moved": "monetary_score", "fell": 2, "days_ago": 20},
            {"moved": "monetary_score", "rose": 1},
            {"moved": "expected_value", "rose": 20, "percent": True},
            {"moved": "expected_value", "fell": 9, "percent": True, "days_ago": 31},
            {"moved": "order_probability"},
            {"moved": "order_probability", "since": "2020-01-01"},
            {"share": 0.3, "seed": "x"},
            {"share": 0.5},
            {"contactable": "email", "purpose": "marketing"},
            {"segment": "both"},
            {"segment": "champions", "change": "entered", "last_days": 1},
            {"segment": "champions", "change": "left", "last_days": 400},
            {"field": "city", "op": "is_unknown", "off": True},
        )
    ]
)


def _groups(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    lists = st.lists(inner, max_size=3)
    return (
        lists.map(lambda found: AllOf(all=found))
        | lists.map(lambda found: AnyOf(any=found))
        | lists.map(lambda found: NoneOf(none=found))
    )


RULES = st.recursive(_behaviours() | _SEQUENCES | _OTHERS, _groups, max_leaves=6)


def _agrees(population: Population, oracle: Oracle, rule: Node) -> None:
    assert parse_rule(rule_json(rule)) == rule
    plain = expand(rule, LIBRARY)
    surely, surely_not, inside = oracle.surely(plain)
    found = members(population, rule, ["customer_id"])["customer_id"].to_list()
    assert found == sorted(oracle.id_of[number] for number in inside)
    assert set(customers_meeting(population, rule).numbers().tolist()) == inside
    told = tally(population, rule)
    assert (told.met, told.not_met) == (len(surely), len(surely_not))
    assert told.met + told.not_met + told.unknown == total(population)
    assert told.members == len(inside) == count(population, rule)
    if not rule.off:
        assert count(population, NoneOf(none=[rule])) == total(population) - len(inside)


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large]


@settings(max_examples=60, deadline=None, suppress_health_check=QUIET)
@given(rule=RULES)
def test_what_customers_did_is_found_as_an_independent_evaluation_finds_it(
    population: Population, oracle: Oracle, rule: Node
) -> None:
    _agrees(population, oracle, rule)


@pytest.mark.full
@settings(max_examples=3000, deadline=None, suppress_health_check=QUIET)
@given(rule=RULES)
def test_thousands_of_trees_agree_with_an_independent_evaluation(
    population: Population, oracle: Oracle, rule: Node
) -> None:
    _agrees(population, oracle, rule)


@pytest.fixture(scope="module", params=[(20, 20), (90, 30), (260, 260)], ids=str)
def past(request: pytest.FixtureRequest, population: Population) -> tuple[Population, PastOracle]:
    """The company as it stood some days ago, without what was delivered later than a day."""
    back, known = (AS_OF - timedelta(days=each) for each in request.param)
    then = population_on(population, back, known_by=known)
    return then, PastOracle(then, known)


@settings(max_examples=15, deadline=None, suppress_health_check=QUIET)
@given(rule=RULES)
def test_a_past_day_is_found_as_an_independent_evaluation_finds_it(
    past: tuple[Population, PastOracle], rule: Node
) -> None:
    then, oracle = past
    _surely, _surely_not, inside = oracle.surely(expand(rule, LIBRARY))
    found = members(then, rule, ["customer_id"])["customer_id"].to_list()
    assert found == sorted(oracle.id_of[number] for number in inside)
    assert set(customers_meeting(then, rule).numbers().tolist()) == inside
    assert count(then, rule) == len(inside)


def test_a_past_day_is_told_from_what_was_done_and_allowed_by_then(
    past: tuple[Population, PastOracle],
) -> None:
    then, oracle = past
    seen = then.con.execute(
        f"select kind, source, record_id from {then.tables['activities']}"
        f" semi join {then.relation} using (customer_number) where activity_date <= $day",
        {"day": then.as_of},
    ).fetchall()
    did = oracle.activities.filter(pl.col("activity_date") <= then.as_of)
    assert sorted(seen) == sorted(did.select("kind", "source", "record_id").rows())
    flags = sorted(name for name in oracle.profiles.columns if name.startswith("is_contactable_"))
    asked = ["customer_id", *flags]
    assert members(then, EVERYONE, asked).rows() == oracle.profiles.select(asked).rows()


def test_late_facts_count_unless_asked_not_to(population: Population) -> None:
    day = AS_OF - timedelta(days=90)
    anew, by_then = population_on(population, day), population_on(population, day, known_by=day)
    for stated in (
        {"did": "ordered"},
        {"field": "is_contactable_email", "op": "equals", "value": True},
        {"contactable": "email", "purpose": "marketing"},
        {"all": []},
    ):
        rule = parse_rule(stated)
        assert 0 < count(by_then, rule) < count(anew, rule)


def test_sets_and_the_one_query_count_the_same(population: Population) -> None:
    rules = {
        "cats": parse_rule(
            {"did": "bought", "times": {"at_least": 2}, "where": [_WHERE["bought"][0]]}
        ),
        "quiet": parse_rule({"did": "opened_email", "times": {"exactly": 0}}),
    }
    both = {name: count(population, rule) for name, rule in rules.items()}
    assert sizes_by_query(population, rules) == both
    assert min(both.values()) > 0


def test_whether_a_behaviour_happened_is_told_of_everyone(population: Population) -> None:
    rule = parse_rule({"did": "ordered", "window": {"last_days": 365}})
    assert isinstance(rule, Behaviour)
    told = happened(population, rule)
    assert told.height == total(population)
    assert told["happened"].sum() == count(population, rule)
    assert told["customer_id"].is_sorted()
