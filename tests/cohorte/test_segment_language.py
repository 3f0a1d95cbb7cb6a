"""The language beyond clauses: refused nonsense, hostile texts, references, sentences, reasons."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import duckdb
import pytest
import sqlglot
from sqlglot import exp

from cohorte.errors import CohorteError, NotFoundError, SettingsError
from cohorte.segments import (
    EVERYONE,
    Answers,
    Population,
    Reason,
    breakdown,
    change_in_words,
    changes_since,
    compile_rule,
    count,
    describe,
    differences,
    evaluate_memberships,
    impact,
    members,
    members_on,
    open_population,
    overlap,
    parse_rule,
    population_on,
    rule_json,
    size_history,
    sizes_by_query,
    smallest_change,
    total,
    why,
)
from cohorte.segments.library import Segment, definition_changes, segment_templates
from cohorte.segments.watch import WATCH, StoppedError
from tests.support.published import AS_OF, build_published

JARDIN = {"field": "category", "op": "in", "value": ["Jardin"]}


@pytest.fixture(scope="module")
def population(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Population]:
    path = build_published(tmp_path_factory.mktemp("language") / "v7.duckdb", customers=200)
    with duckdb.connect(str(path), read_only=True) as con:
        yield open_population(con)


# Hostile texts

HOSTILE = [
    f"{before}{core}{after}"
    for before in ("", "'", '"', "x') ", "\\")
    for core in (
        "; drop table customers; --", " or 1=1", "$p1", "?", ":p1", "{{ var }}", "%s", "/* */",
        "(select email from customers)", "read_csv('/etc/passwd')", "\u202e", "\u2028", "null",
        "attach ':memory:' as x", "𝕏", "a\nb", "--", "pg_sleep(5)",
    )
    for after in ("", "'", ")")
]  # fmt: skip
VALUE_SHAPES: list[dict[str, Any]] = [
    {"did": "bought", "where": [{"field": "category", "op": "equals", "value": "HERE"}]},
    {"did": "bought", "where": [{"field": "product", "op": "contains", "value": "HERE"}]},
    {
        "first": {"did": "visited", "where": [{"field": "page", "op": "in", "value": ["HERE"]}]},
        "then": {"did": "ordered", "where": [{"field": "store", "op": "in", "value": ["HERE"]}]},
        "within_days": 3,
    },
    {"did": "ordered", "window": {"after": {"did": "opened_ticket", "where": [
        {"field": "priority", "op": "not_equals", "value": "HERE"}]}, "days": 9}},
    {"contactable": "email", "purpose": "HERE"},
    {"share": 0.5, "seed": "HERE"},
    {"moved": "rfm_segment", "was": ["HERE"], "now": ["x", "HERE"]},
    {"segment": "HERE", "change": "entered", "last_days": 3},
    {"near": {"latitude": 1, "longitude": 1, "name": "HERE"}, "km": 3},
    {"top": 3, "by": "age", "among": {"field": "city", "op": "equals", "value": "HERE"}},
]  # fmt: skip
NAME_SHAPES: list[dict[str, Any]] = [
    {"did": "HERE"},
    {"did": "bought", "where": [{"field": "HERE", "op": "equals", "value": "x"}]},
    {"did": "ordered", "measure": {"by": "sum", "of": "HERE", "op": "greater", "value": 1}},
    {"did": "ordered", "window": {"before": {"did": "HERE"}}},
    {"first": {"did": "HERE"}, "then": {"did": "ordered"}},
    {"first": {"did": "ordered"}, "then": {"did": "HERE"}},
    {"decile_of": "HERE", "deciles": [1]},
    {"top": 3, "by": "HERE"},
    {"did": "ordered", "window": {"since": "HERE"}},
    {"segment": "HERE"},
]


def _put(shape: Any, value: str) -> Any:
    return json.loads(json.dumps(shape).replace('"HERE"', json.dumps(value)))


@pytest.mark.parametrize("shape", VALUE_SHAPES, ids=lambda shape: str(shape)[:50])
def test_hostile_texts_never_change_the_query(
    population: Population, shape: dict[str, Any]
) -> None:
    def compiled(text: str) -> Any:
        rule = parse_rule(_put(shape, text))
        return compile_rule(rule, population.catalogue, population.as_of)

    plain = compiled("plain")
    for text in HOSTILE:
        assert compiled(text).sql == plain.sql
    for text in HOSTILE[:: len(HOSTILE) // 6]:
        assert 0 <= count(population, parse_rule(_put(shape, text))) <= 200
    (statement,) = sqlglot.parse(plain.sql, dialect="duckdb")
    assert isinstance(statement, exp.Select)


@pytest.mark.parametrize("shape", NAME_SHAPES, ids=lambda shape: str(shape)[:50])
def test_hostile_names_are_refused(population: Population, shape: dict[str, Any]) -> None:
    for text in HOSTILE:
        with pytest.raises(SettingsError):
            count(population, parse_rule(_put(shape, text)))


def test_hundreds_of_hostile_strings_are_tried() -> None:
    assert len(set(HOSTILE)) * (len(VALUE_SHAPES) + len(NAME_SHAPES)) > 4000


@pytest.mark.parametrize(
    ("rule", "message"),
    [
        ({"did": "ordered", "times": {}}, "at_least, at_most or exactly"),
        ({"did": "ordered", "times": {"at_least": 1, "at_most": 2}}, "at_least, at_most"),
        ({"did": "ordered", "window": {"days": 3}}, "belongs to after or before"),
        ({"did": "ordered", "window": {"last_days": 3, "since": "2026-01-01"}}, "a window is"),
        ({"did": "ordered", "window": {"last_days": 3, "except_last_days": 3}}, "leaves nothing"),
        ({"did": "ordered", "window": {"since": "2026-02-01", "until": "2026-01-01"}}, "earlier"),
        ({"did": "visited", "measure": {"by": "sum", "of": "amount", "op": "less", "value": 1}},
         "no figure"),
        ({"did": "visited", "where": [JARDIN]}, "no field"),
        ({"did": "bought", "where": [{**JARDIN, "value": [3]}]}, "compared with 3"),
        ({"segment": "x", "change": "entered"}, "go together"),
        ({"decile_of": "city", "deciles": [1]}, "cannot be ranked"),
        ({"decile_of": "age", "deciles": [11]}, "less than or equal to 10"),
        ({"near": {"latitude": 91, "longitude": 0}, "km": 1}, "less than or equal to 90"),
        ({"share": 1.5}, "less than 1"),
        ({"field": "birth_date", "op": "anniversary_in_days", "value": 367}, "1 to 366"),
    ],
)  # fmt: skip
def test_what_makes_no_sense_is_refused_with_a_reason(
    population: Population, rule: Any, message: str
) -> None:
    with pytest.raises(SettingsError, match=message):
        count(population, parse_rule(rule))


# References


def _with(population: Population, **rules: Any) -> Population:
    parsed = {name: parse_rule(rule) for name, rule in rules.items()}
    return population.with_segments(parsed, {name: {"en": name.upper()} for name in rules})


def test_segments_unite_intersect_and_differ(population: Population) -> None:
    known = _with(
        population,
        buyers={"did": "ordered"},
        lyon={"field": "city", "op": "equals", "value": "Lyon"},
    )
    a, b = {"segment": "buyers"}, {"segment": "lyon"}

    def size(rule: Any) -> int:
        return count(known, parse_rule(rule))

    assert size({"any": [a, b]}) == size(a) + size(b) - size({"all": [a, b]})
    assert size({"all": [a, {"none": [b]}]}) == size(a) - size({"all": [a, b]})
    sentence = describe(parse_rule({"all": [a, {"none": [b]}]}), "en", known.catalogue, AS_OF)
    assert "who are in the segment “BUYERS”" in sentence


def test_a_circle_of_segments_is_refused_by_its_names(population: Population) -> None:
    known = _with(population, a={"all": [{"segment": "b"}]}, b={"none": [{"segment": "a"}]})
    with pytest.raises(SettingsError, match="in a circle: a → b → a"):
        count(known, parse_rule({"segment": "a"}))


def test_references_that_double_do_not_run_away(population: Population) -> None:
    rules = {f"s{n}": {"all": [{"segment": f"s{n + 1}"}] * 2} for n in range(19)}
    known = _with(population, **rules, s19={"did": "ordered"})
    with pytest.raises(SettingsError, match="more than 1000 parts"):
        count(known, parse_rule({"segment": "s0"}))


# Time


def test_windows_are_half_open_at_days_of_the_companys_clock(population: Population) -> None:
    last = population.con.sql("select max(activity_date) from activities where kind = 'order'")
    day = last.fetchall()[0][0]
    since = {"did": "ordered", "window": {"since": day.isoformat(), "until": day.isoformat()}}
    back = (AS_OF - day).days + 1
    assert count(population, parse_rule(since)) > 0
    assert count(population, parse_rule({"did": "ordered", "window": {"last_days": back}})) > 0
    if back > 1:
        nobody = {"did": "ordered", "window": {"last_days": back - 1}}
        assert count(population, parse_rule(nobody)) == 0


def test_customers_as_they_stood_on_as_of_are_those_of_the_profiles(
    population: Population,
) -> None:
    then = population_on(population, AS_OF)
    con = population.con
    names = [row[0] for row in con.sql(f"describe {then.relation}").fetchall()]
    assert {"lifetime_net_revenue", "favourite_category", "rfm_segment", "age"} <= set(names)
    assert {"expected_value", "order_probability", "has_abandoned_cart_30d"} <= set(names)
    assert {"is_contactable_email", "is_contactable_sms", "is_contactable_post"} <= set(names)
    columns = ", ".join(names)
    differing = con.sql(
        f"(select {columns} from {then.relation} except select {columns} from customer_profiles)"
    ).fetchall()
    assert differing == []


def test_an_earlier_day_knows_nothing_later(population: Population) -> None:
    day = AS_OF - timedelta(days=200)
    rule = parse_rule({"field": "lifetime_orders_count", "op": "greater_or_equal", "value": 1})
    did = parse_rule({"did": "ordered"})
    earlier = population_on(population, day)
    assert count(earlier, rule) == count(earlier, did)
    assert 0 < count(earlier, did) < count(population, did)
    by_then = population.con.execute(
        "select sum(reporting_net_amount) from orders inner join customer_profiles"
        " using (customer_id) where status <> 'cancelled' and order_date <= $day",
        {"day": day},
    ).fetchall()
    spent = members(earlier, EVERYONE, ["lifetime_net_revenue"])["lifetime_net_revenue"].sum()
    assert [(spent,)] == by_then
    with pytest.raises(SettingsError, match='no field "next_order_category"'):
        count(earlier, parse_rule({"field": "next_order_category", "op": "is_known"}))
    with pytest.raises(SettingsError, match="knows nothing after"):
        population_on(population, AS_OF + timedelta(days=1))
    with pytest.raises(SettingsError, match="choose a day from"):
        population_on(population, day, known_by=AS_OF - timedelta(days=500))


def test_scores_of_a_past_day_are_those_of_the_last_run_by_then(population: Population) -> None:
    scored = parse_rule({"field": "expected_value", "op": "is_known"})
    long_ago, lately = (population_on(population, AS_OF - timedelta(days)) for days in (40, 20))
    assert count(long_ago, scored) == 0
    (kept,) = population.con.execute(
        "select count(score_days.expected_value) from score_days inner join customer_profiles"
        " using (customer_number) where score_days.as_of = $day and created_date <= $looked_from",
        {"day": AS_OF - timedelta(days=31), "looked_from": AS_OF - timedelta(days=20)},
    ).fetchall()
    assert count(lately, scored) == kept[0] > 0


def test_a_birthday_is_a_day_of_the_year(population: Population) -> None:
    rule = parse_rule({"field": "birth_date", "op": "anniversary_in_days", "value": 60})
    coming = {(AS_OF + timedelta(days=ahead)).strftime("%m-%d") for ahead in range(1, 61)}
    found = members(population, rule, ["birth_date"])["birth_date"]
    known = members(population, EVERYONE, ["birth_date"])["birth_date"].drop_nulls()
    assert sorted(found) == sorted(day for day in known if day.strftime("%m-%d") in coming)
    assert len(found) > 0


# Sentences


@pytest.mark.parametrize(
    ("rule", "english", "french"),
    [
        (
            {"did": "bought", "times": {"at_least": 2}, "where": [JARDIN],
             "window": {"last_days": 90}},
            ("Customers who bought a product at least 2 times in the last 90 days (from 3 August "
            "2026 to 31 October 2026) (counting only those where the category is “Jardin”)."),
            ("Clients qui ont acheté un produit au moins 2 fois au cours des 90 derniers jours (du "
            "3 août 2026 au 31 octobre 2026) (en ne comptant que les cas où la catégorie est "
            "« Jardin »)."),
        ),
        (
            {"did": "ordered", "times": {"exactly": 0}},
            "Customers who did not order.",
            "Clients qui n’ont pas commandé.",
        ),
        (
            {"did": "opened_email", "window": {"after": {"did": "ordered"}, "days": 30}},
            "Customers who opened an e-mail in the 30 days after their first order.",
            ("Clients qui ont ouvert un e-mail dans les 30 jours qui suivent leur première "
            "commande."),
        ),
        (
            {"first": {"did": "abandoned_cart"}, "then": {"did": "ordered"}, "within_days": 3,
             "follows": False},
            "Customers who abandoned a cart, then did not order within 3 days.",
            ("Clients qui ont abandonné un panier, puis n’ont pas commandé dans un délai de 3 "
            "jours."),
        ),
        (
            {"did": "ordered", "measure": {"by": "sum", "of": "amount", "op": "greater",
                                           "value": 300}},
            "Customers whose total amount of orders is above €300.",
            "Clients dont le total du montant des commandes dépasse 300 €.",
        ),
        (
            {"near": {"latitude": 45.76, "longitude": 4.84, "name": "Lyon"}, "km": 20},
            "Customers who live within 20 km of Lyon.",
            "Clients qui habitent à 20 km au plus de Lyon.",
        ),
        (
            {"top": 100, "by": "lifetime_net_revenue", "among": {"did": "ordered"}},
            "The 100 with the highest lifetime net revenue, among customers who ordered.",
            "Les 100 de tête selon le CA net total, parmi les clients qui ont commandé.",
        ),
        (
            {"all": [{"did": "ordered"}, {"field": "city", "op": "is_known", "off": True}]},
            "Customers who ordered.",
            "Clients qui ont commandé.",
        ),
    ],
)  # fmt: skip
def test_what_customers_did_reads_as_a_sentence(
    population: Population, rule: Any, english: str, french: str
) -> None:
    parsed = parse_rule(rule)
    assert describe(parsed, "en", population.catalogue, AS_OF) == english
    said = describe(parsed, "fr", population.catalogue, AS_OF)
    assert said.replace("\xa0", " ").replace("\u202f", " ") == french


@pytest.mark.parametrize("key", segment_templates())
def test_every_template_counts_and_reads_in_both_languages(
    population: Population, key: str
) -> None:
    template = segment_templates()[key]
    assert 0 <= count(population, template.rule) < 200
    for language in ("en", "fr"):
        assert template.name[language]
        assert len(describe(template.rule, language, population.catalogue, AS_OF)) > 30


# Reasons

NESTED = parse_rule(
    {
        "all": [
            {"did": "ordered", "times": {"at_least": 3}},
            {"any": [
                {"field": "city", "op": "equals", "value": "Lyon"},
                {"all": [{"did": "visited"}, {"did": "opened_email"}]},
            ]},
            {"none": [{"did": "returned"}]},
        ]
    }
)  # fmt: skip


def _leaf_verdicts(reason: Reason) -> list[bool]:
    return [leaf.is_met for leaf in reason.leaves()]


def test_the_reasons_of_everyone_add_up_to_who_is_in(population: Population) -> None:
    inside = set(members(population, NESTED)["customer_id"])
    assert 0 < len(inside) < 200
    for customer_id in members(population, EVERYONE)["customer_id"][::7]:
        reason = why(population, NESTED, customer_id, "en")
        three, lyon, visited, opened, returned = _leaf_verdicts(reason)
        assert reason.is_met is (customer_id in inside)
        assert reason.is_met is (three and (lyon or (visited and opened)) and not returned)
        orders = next(reason.leaves())
        assert orders.rows_count >= 3 or not three
        assert len(orders.rows) == min(orders.rows_count, 20)


def test_the_smallest_change_brings_them_in_and_nothing_smaller_does(
    population: Population,
) -> None:
    outside = members(population, parse_rule({"none": [rule_json(NESTED)]}))["customer_id"]
    for customer_id in outside[::9]:
        reason = why(population, NESTED, customer_id, "en")
        leaves = list(reason.leaves())
        turned = {id(change.reason) for change in smallest_change(reason)}

        def holds(flipped: set[int], leaves: list[Reason] = leaves) -> bool:
            three, lyon, visited, opened, returned = (
                leaf.is_met is not (id(leaf) in flipped) for leaf in leaves
            )
            return three and (lyon or (visited and opened)) and not returned

        assert holds(turned)
        fewest = min(
            bin(mask).count("1")
            for mask in range(2 ** len(leaves))
            if holds({id(leaf) for at, leaf in enumerate(leaves) if mask >> at & 1})
        )
        assert len(turned) == fewest
        for change in smallest_change(reason):
            assert "those" in change_in_words(change, "en")


def test_a_reason_names_the_records_and_the_source_of_a_value(population: Population) -> None:
    rule = parse_rule(
        {"all": [{"field": "lifetime_orders_count", "op": "greater", "value": 0},
                 {"field": "city", "op": "is_known"}]}
    )  # fmt: skip
    customer_id = members(population, rule)["customer_id"][0]
    orders, city = why(population, rule, customer_id, "en").leaves()
    assert {(row.source, row.record_id) for row in orders.rows} == set(
        population.con.execute(
            "select source, order_id from orders where is_order and customer_id = ?", [customer_id]
        ).fetchall()
    )
    assert "from shop" in city.value
    with pytest.raises(NotFoundError):
        why(population, rule, "nobody", "en")


# What a segment is made of


def test_parts_of_a_breakdown_add_up_to_the_segment(population: Population) -> None:
    rule = parse_rule({"did": "ordered"})
    for field in ("rfm_segment", "city", "lifetime_net_revenue", "first_order_date", "is_internal"):
        split = breakdown(population, rule, field, most=1000)
        assert (
            split.members_count
            == count(population, rule)
            == sum(each.members_count for each in split.slices)
        )
        assert split.customers_count == 200


def test_overlaps_add_up_to_all_customers(population: Population) -> None:
    rules = {
        "a": parse_rule({"did": "ordered"}),
        "b": parse_rule({"did": "visited"}),
        "c": parse_rule({"field": "city", "op": "equals", "value": "Lyon"}),
    }
    found = overlap(population, rules)
    assert found.in_none + sum(each.customers_count for each in found.intersections) == 200
    for name, rule in rules.items():
        parts = [each.customers_count for each in found.intersections if name in each.segments]
        assert sum(parts) == found.sizes[name] == count(population, rule)
    with pytest.raises(SettingsError, match="choose 1 to 10"):
        overlap(population, {str(n): EVERYONE for n in range(11)})


def test_what_makes_a_segment_is_what_sets_it_apart(population: Population) -> None:
    rule = parse_rule({"field": "lifetime_orders_count", "op": "greater_or_equal", "value": 5})
    found = differences(population, rule)
    effects = [abs(each.effect) for each in found]
    assert effects == sorted(effects, reverse=True)
    (orders,) = [each for each in found if each.field == "lifetime_orders_count"]
    mean = members(population, rule, ["lifetime_orders_count"])["lifetime_orders_count"].mean()
    assert orders.members == pytest.approx(mean)
    assert orders.members > 5 > orders.rest
    assert orders.effect > 0.8
    assert differences(population, EVERYONE) == []


def test_an_impact_is_who_enters_and_who_leaves(population: Population) -> None:
    before = parse_rule({"did": "ordered"})
    after = parse_rule({"did": "visited"})
    found = impact(population, before, after)
    assert found.after == found.before + found.entered - found.left
    assert found.entered == count(population, parse_rule({"all": [
        {"did": "visited"}, {"none": [{"did": "ordered"}]}]}))  # fmt: skip
    assert definition_changes(before, after) == [("-", "did: ordered"), ("+", "did: visited")]


def test_a_question_that_takes_too_long_is_stopped(population: Population) -> None:
    hurried = replace(population, limit_seconds=0.05)
    with pytest.raises(CohorteError, match=r"stopped after 0\.05 s"), hurried.limited():
        hurried.con.execute(
            "select sum(sin(a.range * b.range)) from range(1000000) as a, range(1000000) as b"
        ).fetchall()


def test_a_question_is_stopped_by_another_thread(population: Population) -> None:
    begun, told = threading.Event(), []

    def ask() -> None:
        try:
            with population.limited():
                begun.set()
                population.con.execute(
                    "select sum(sin(a.range * b.range)) from range(1000000) as a,"
                    " range(1000000) as b"
                ).fetchall()
        except CohorteError as error:
            told.append(error)

    asking = threading.Thread(target=ask)
    asking.start()
    assert begun.wait(120)
    WATCH.cancel(threading.get_ident())  # what others ask goes on
    assert asking.is_alive()
    WATCH.cancel(asking.ident or 0)
    asking.join(120)
    assert [type(error) for error in told] == [StoppedError]
    assert count(population, EVERYONE) == 200


@pytest.mark.parametrize("field", ["city", "age", "last_nps_score", "is_contactable_email"])
def test_columns_held_in_memory_answer_as_the_table_does(
    population: Population, field: str
) -> None:
    known = population.con.execute(f"select max({field}) from customer_profiles").fetchall()[0][0]
    clauses = [
        {"field": field, "op": op, **({} if value is None else {"value": value}), **extra}
        for op, value in (
            ("equals", known), ("not_equals", known), ("is_unknown", None), ("is_known", None)
        )
        for extra in ([{}] if value is None else [{}, {"unknown": True}])
    ]  # fmt: skip
    rules = {str(place): parse_rule(clause) for place, clause in enumerate(clauses)}
    held = replace(population, answers=Answers())
    assert {name: count(held, rule) for name, rule in rules.items()} == sizes_by_query(
        population, rules
    )
    column = held.answers.columns.find(held.con, held.relation, field, total(held))
    assert column is not None
    assert column.values_count < 100


# Over time


def _run(con: Any, rule: Any, version: str, day: Any, *, first: bool = False) -> None:
    con.execute("drop table if exists was; drop table if exists told")
    if not first:
        con.execute("create table was as from segments.segment_memberships")
        con.execute("create table told as from segments.segment_history")
    segment = Segment("old", {"en": "Old"}, parse_rule(rule), "file", {})
    evaluate_memberships(
        con, [segment], as_of=day, version=version, relation="customer_profiles",
        previous=None if first else "was", history=None if first else "told",
    )  # fmt: skip


def test_history_gives_back_who_was_in_on_every_day() -> None:
    con = duckdb.connect()
    con.execute(
        "create table customer_profiles as select 'C' || range as customer_id,"
        " range::integer as customer_number, range as age from range(10)"
    )
    days = [AS_OF - timedelta(days=back) for back in (20, 10, 0)]
    sizes = []
    for place, (day, least) in enumerate(zip(days, (3, 5, 4), strict=True)):
        rule = {"field": "age", "op": "greater_or_equal", "value": least}
        _run(con, rule, f"v{place + 8}", day, first=place == 0)
        rows = con.sql("select customer_id from segments.segment_memberships").fetchall()
        sizes.append({row[0] for row in rows})
    con.execute("create view segment_history as from segments.segment_history")
    for day, inside in zip(days, sizes, strict=True):
        assert set(members_on(con, "old", day)["customer_id"]) == inside
        assert set(members_on(con, "old", day + timedelta(days=5))["customer_id"]) == inside
    assert members_on(con, "old", days[0] - timedelta(days=1)).is_empty()
    points = size_history(con)["old"]
    assert [(p.version, p.entered, p.left, p.customers_count) for p in points] == [
        ("v8", 7, 0, 7), ("v9", 0, 2, 5), ("v10", 1, 0, 6),
    ]  # fmt: skip
    assert changes_since(con, days[1]) == {"old": (1, 0)}
