"""A rule says what it means, and nothing that a person types becomes SQL."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import duckdb
import polars as pl
import pytest
import sqlglot
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlglot import exp

from cohorte.errors import SettingsError
from cohorte.segments import (
    EVERYONE,
    AllOf,
    AnyOf,
    Clause,
    Node,
    NoneOf,
    Population,
    build_catalogue,
    compile_rule,
    count,
    members,
    parse_rule,
    parts,
    rule_json,
    sample,
    sizes,
    total,
    value_counts,
)

AS_OF = date(2026, 10, 31)
TIME_ZONE = "Europe/Paris"

# A little of each type; the values meet the edges of days, of a clock change, of case and accents.
CITIES = [None, "Paris", "PARIS", "Saint-Étienne", "saint etienne", "L'Haÿ", "100 %", "a_b", "1"]
NUMBERS = [None, -1, 0, 1, 2, 3, 5, 10]
AMOUNTS = [None, Decimal("-0.5"), Decimal(0), Decimal("10.1000"), Decimal("10.1001"), Decimal(99)]
DOUBLES = [None, -0.25, 0.0, 0.1, 0.5, 1.0]
FLAGS = [None, True, False]
DAYS = [None, *(AS_OF + timedelta(days=offset) for offset in (-400, -31, -30, -29, -1, 0, 1))]
INSTANTS = [
    None,
    datetime(2026, 10, 24, 21, 59, 59),  # noqa: DTZ001
    datetime(2026, 10, 24, 22, 0, 0),  # noqa: DTZ001
    datetime(2026, 10, 25, 22, 59, 59),  # noqa: DTZ001
    datetime(2026, 10, 25, 23, 0, 0),  # noqa: DTZ001
    datetime(2026, 10, 31, 22, 59, 59),  # noqa: DTZ001
    datetime(2026, 10, 31, 23, 0, 0),  # noqa: DTZ001
    datetime(2025, 1, 1, 12, 0, 0),  # noqa: DTZ001
]
SOURCES = [None, "shop", "shop,web", "web, sales", "webshop"]

COLUMNS = {
    "customer_id": "VARCHAR",
    "city": "VARCHAR",
    "age": "BIGINT",
    "net_revenue": "DECIMAL(18,4)",
    "lead_conversion_probability": "DOUBLE",
    "is_contactable_email": "BOOLEAN",
    "last_order_date": "DATE",
    "last_interaction_at": "TIMESTAMP",
    "sources": "VARCHAR",
}
CATALOGUE = build_catalogue(COLUMNS, time_zone=TIME_ZONE)
VALUES: dict[str, list[Any]] = {
    "city": CITIES,
    "age": NUMBERS,
    "net_revenue": AMOUNTS,
    "lead_conversion_probability": DOUBLES,
    "is_contactable_email": FLAGS,
    "last_order_date": DAYS,
    "last_interaction_at": INSTANTS,
    "sources": SOURCES,
}


def _profiles() -> pl.DataFrame:
    """Every value of each field meets many of the others'."""
    size = 400
    steps = [1, 3, 7, 11, 13, 17, 19, 23]
    columns = {
        name: [values[(row * step + row // len(values)) % len(values)] for row in range(size)]
        for step, (name, values) in zip(steps, VALUES.items(), strict=True)
    }
    schema = {
        "city": pl.String,
        "age": pl.Int64,
        "net_revenue": pl.Decimal(18, 4),
        "lead_conversion_probability": pl.Float64,
        "is_contactable_email": pl.Boolean,
        "last_order_date": pl.Date,
        "last_interaction_at": pl.Datetime("us"),
        "sources": pl.String,
    }
    frame = pl.DataFrame(columns, schema=schema)
    ids = pl.Series("customer_id", [f"C{row:04d}" for row in range(size)])
    return frame.insert_column(0, ids)


PROFILES = _profiles()


@pytest.fixture(scope="module")
def population() -> Population:
    con = duckdb.connect()
    con.register("profiles_frame", PROFILES)
    columns = ", ".join(f'{name}::{kind} as "{name}"' for name, kind in COLUMNS.items())
    con.execute(f"create table customer_profiles as select {columns} from profiles_frame")
    return Population(con, CATALOGUE, AS_OF)


# The oracle: the same trees in Polars, written from the documentation and not from the compiler.


def _folded(text: pl.Expr) -> pl.Expr:
    for accented, plain in {"É": "E", "é": "e", "ÿ": "y"}.items():
        text = text.str.replace_all(accented, plain, literal=True)
    return text.str.to_lowercase()


def _fold(text: str) -> str:
    return text.replace("É", "E").replace("é", "e").replace("ÿ", "y").lower()


def _local_day(name: str) -> pl.Expr:
    if COLUMNS[name] == "DATE":
        return pl.col(name)
    return pl.col(name).dt.replace_time_zone("UTC").dt.convert_time_zone(TIME_ZONE).dt.date()


def _day(value: Any) -> pl.Expr:
    return pl.lit(date.fromisoformat(value))


_COMPARE: dict[str, Callable[[pl.Expr, pl.Expr], pl.Expr]] = {
    "equals": lambda left, right: left == right,
    "not_equals": lambda left, right: left != right,
    "greater": lambda left, right: left > right,
    "greater_or_equal": lambda left, right: left >= right,
    "less": lambda left, right: left < right,
    "less_or_equal": lambda left, right: left <= right,
}


def _literal(name: str, value: Any) -> pl.Expr:
    if COLUMNS[name].startswith("DECIMAL"):
        return pl.lit(Decimal(str(value))).cast(pl.Decimal(28, 8))
    if COLUMNS[name] in ("DATE", "TIMESTAMP"):
        return _day(value)
    if COLUMNS[name] == "BIGINT":
        return pl.lit(float(value))
    return pl.lit(value)


def _operand(name: str) -> pl.Expr:
    if COLUMNS[name].startswith("DECIMAL"):
        return pl.col(name).cast(pl.Decimal(28, 8))
    if COLUMNS[name] in ("DATE", "TIMESTAMP"):
        return _local_day(name)
    return pl.col(name).cast(pl.Float64) if COLUMNS[name] == "BIGINT" else pl.col(name)


def _oracle_clause(clause: Clause) -> pl.Expr:
    name, value = clause.field, clause.value
    known = pl.col(name).is_not_null()
    operand = _operand(name)
    if clause.op == "is_known":
        return known
    if clause.op == "is_unknown":
        return ~known
    if name == "sources":
        wanted = clause.values
        held = pl.col(name).str.replace_all(" ", "").str.split(",")
        met = pl.any_horizontal([held.list.contains(each) for each in wanted])
        met = ~met if clause.op == "not_in" else met
    elif clause.op == "contains":
        met = _folded(pl.col(name)).str.contains(_fold(value), literal=True)
    elif clause.op == "starts_with":
        met = _folded(pl.col(name)).str.starts_with(_fold(value))
    elif clause.op == "within_days":
        age = (pl.lit(AS_OF) - operand).dt.total_days()
        met = (age >= 0) & (age < value)
    elif clause.op == "more_than_days_ago":
        met = (pl.lit(AS_OF) - operand).dt.total_days() > value
    elif clause.op == "anniversary_in_days":
        coming = [AS_OF + timedelta(days=ahead + 1) for ahead in range(int(str(value)))]
        met = operand.dt.strftime("%m-%d").is_in([f"{day:%m-%d}" for day in coming])
    elif clause.op in ("in", "not_in"):
        met = pl.any_horizontal([operand == _literal(name, each) for each in clause.values])
        met = ~met if clause.op == "not_in" else met
    elif clause.op == "between":
        low, high = (_literal(name, each) for each in clause.values)
        met = (operand >= low) & (operand <= high)
    else:
        met = _COMPARE[clause.op](operand, _literal(name, value))
    return pl.when(known).then(met).otherwise(pl.lit(clause.unknown))


def _oracle(rule: Node) -> pl.Expr:
    if isinstance(rule, Clause):
        return _oracle_clause(rule)
    met = [_oracle(part) for part in parts(rule)]
    if isinstance(rule, AllOf):
        return pl.all_horizontal(met) if met else pl.lit(True)
    some = pl.any_horizontal(met) if met else pl.lit(False)
    return ~some if isinstance(rule, NoneOf) else some


def _ids(rule: Node) -> list[str]:
    return PROFILES.filter(_oracle(rule)).sort("customer_id")["customer_id"].to_list()


def _scalars(name: str) -> st.SearchStrategy[Any]:
    known = [value for value in VALUES[name] if value is not None]
    if COLUMNS[name] in ("DATE", "TIMESTAMP"):
        days = st.dates(AS_OF - timedelta(days=420), AS_OF + timedelta(days=3))
        edges = st.sampled_from([AS_OF, AS_OF - timedelta(days=6), AS_OF - timedelta(days=7)])
        return (days | edges).map(date.isoformat)
    if name == "city":
        return st.sampled_from([*known, "x", "Paris'; drop table customer_profiles; --"])
    if name == "sources":
        return st.sampled_from(["shop", "web", "sales", "support"])
    if COLUMNS[name] == "BIGINT":
        return st.integers(-2, 12) | st.sampled_from([0.5, 2.5])
    if COLUMNS[name].startswith("DECIMAL"):
        return st.sampled_from([-0.5, 0, 10.1, 10.1001, 10.10005, 50, 99])
    return st.sampled_from(known)


@st.composite
def _clauses(draw: st.DrawFn) -> Clause:
    tested = draw(st.sampled_from([CATALOGUE[name] for name in VALUES]))
    op = draw(st.sampled_from(tested.operators))
    value: Any = None
    scalars = _scalars(tested.name)
    if op in ("within_days", "more_than_days_ago", "anniversary_in_days"):
        value = draw(st.sampled_from([1, 2, 7, 30, 31, 365]))
    elif op in ("in", "not_in"):
        value = draw(st.lists(scalars, min_size=1, max_size=3))
    elif op == "between":
        value = sorted(draw(st.tuples(scalars, scalars)))
    elif op in ("contains", "starts_with"):
        pieces = ["par", "É", "etienne", "%", "_", "'", "1", "P", "shop", "web"]
        value = draw(st.sampled_from(pieces))
    elif op not in ("is_known", "is_unknown"):
        value = draw(scalars)
    unknown = op not in ("is_known", "is_unknown") and draw(st.booleans())
    return Clause(field=tested.name, op=op, value=value, unknown=unknown)


def _groups(inner: st.SearchStrategy[Node]) -> st.SearchStrategy[Node]:
    lists = st.lists(inner, max_size=4)
    return (
        lists.map(lambda found: AllOf(all=found))
        | lists.map(lambda found: AnyOf(any=found))
        | lists.map(lambda found: NoneOf(none=found))
    )


RULES: st.SearchStrategy[Node] = st.recursive(_clauses(), _groups, max_leaves=12)


def _agrees(population: Population, rule: Node) -> None:
    found = members(population, rule)["customer_id"].to_list()
    assert found == _ids(rule)
    assert count(population, rule) == len(found)
    opposite = NoneOf(none=[rule])
    assert count(population, rule) + count(population, opposite) == total(population)


QUIET = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow]


@settings(max_examples=120, deadline=None, suppress_health_check=QUIET)
@given(rule=RULES)
def test_the_compiled_rule_finds_whom_an_independent_evaluation_finds(
    population: Population, rule: Node
) -> None:
    _agrees(population, rule)


@pytest.mark.full
@settings(max_examples=5000, deadline=None, suppress_health_check=QUIET)
@given(rule=RULES)
def test_thousands_of_rules_find_whom_an_independent_evaluation_finds(
    population: Population, rule: Node
) -> None:
    _agrees(population, rule)


@settings(max_examples=100, deadline=None)
@given(rule=RULES)
def test_a_rule_survives_json(rule: Node) -> None:
    assert parse_rule(rule_json(rule)) == rule


def test_an_unknown_value_meets_a_clause_only_when_it_says_so(population: Population) -> None:
    unknown = count(population, Clause(field="age", op="is_unknown"))
    assert unknown > 0
    strict = Clause(field="age", op="not_equals", value=3)
    lenient = Clause(field="age", op="not_equals", value=3, unknown=True)
    assert count(population, lenient) == count(population, strict) + unknown
    equal = Clause(field="age", op="equals", value=3)
    assert count(population, NoneOf(none=[equal])) == count(population, lenient)


def test_a_day_of_a_timestamp_is_a_day_of_the_companys_time_zone(population: Population) -> None:
    """25 October 2026 lasts 25 hours in Paris, from 22:00 UTC to 23:00 UTC."""
    met = members(
        population,
        Clause(field="last_interaction_at", op="equals", value="2026-10-25"),
        ["last_interaction_at"],
    )["last_interaction_at"]
    assert sorted(met.unique().to_list()) == INSTANTS[2:4]


def test_within_days_ends_with_as_of_and_more_than_days_ago_begins_before(
    population: Population,
) -> None:
    def days(op: str, value: int) -> list[date]:
        rule = parse_rule({"field": "last_order_date", "op": op, "value": value})
        return sorted(members(population, rule, ["last_order_date"])["last_order_date"].unique())

    assert days("within_days", 30) == [AS_OF - timedelta(days=29), AS_OF - timedelta(days=1), AS_OF]
    assert days("within_days", 1) == [AS_OF]
    assert days("more_than_days_ago", 30) == [
        AS_OF - timedelta(days=400),
        AS_OF - timedelta(days=31),
    ]


def test_searching_text_ignores_case_and_accents_but_no_wildcards(population: Population) -> None:
    def cities(op: str, value: str) -> set[str]:
        rule = parse_rule({"field": "city", "op": op, "value": value})
        return set(members(population, rule, ["city"])["city"])

    assert cities("contains", "ÉTIENNE") == {"Saint-Étienne", "saint etienne"}
    assert cities("starts_with", "paris") == {"Paris", "PARIS"}
    assert cities("contains", "%") == {"100 %"}
    assert cities("contains", "_") == {"a_b"}
    assert cities("equals", "paris") == set()


def test_empty_groups_are_everyone_or_nobody(population: Population) -> None:
    counts = sizes(population, {"all": EVERYONE, "any": AnyOf(any=[]), "none": NoneOf(none=[])})
    assert counts == {"all": 400, "any": 0, "none": 400}


def test_sizes_of_many_rules_equal_their_counts(population: Population) -> None:
    rules = {
        str(number): parse_rule({"field": "age", "op": "greater", "value": number % 12})
        for number in range(120)
    }
    together = sizes(population, rules)
    assert together["3"] == count(population, rules["3"])
    assert list(together) == list(rules)


def test_a_sample_is_the_same_for_the_same_seed(population: Population) -> None:
    first, again = (sample(population, EVERYONE, size=5, seed=7) for _ in range(2))
    assert first.equals(again)
    assert first.height == 5
    assert not first.equals(sample(population, EVERYONE, size=5, seed=8))


def test_the_values_of_a_field_are_counted_and_searched(population: Population) -> None:
    counted = value_counts(population, "city")
    assert counted["customers_count"].sum() == 400
    assert set(value_counts(population, "city", search="PÂRIS")["value"]) == {"Paris", "PARIS"}
    among = parse_rule({"field": "city", "op": "equals", "value": "Paris"})
    assert value_counts(population, "city", among)["value"].to_list() == ["Paris"]


HOSTILE = [
    "'; drop table customer_profiles; --",
    '" or 1=1 --',
    "$p1",
    "$1",
    "?",
    ":p1",
    "{{ var }}",
    "%s",
    "\\'; select 1; --",
    "'' or ''=''",
    "/* */",
    "*/ or true /*",
    "x') or (1=1",
    "’ or 1=1",
    "\u2028drop",
    "a\nb\r\t",
    "read_csv('/etc/passwd')",
    "null",
    "true",
    "𝕏" * 50,
    "e' OR pg_sleep(5)--",
    "customer_profiles",
    '"',
    "'",
    ";",
    "\\",
    "`",
    "[]",
    "(select email)",
]
SHAPES: list[dict[str, Any]] = [
    {"field": "city", "op": op, "value": "HERE"}
    for op in ("equals", "not_equals", "contains", "starts_with")
] + [
    {"field": "city", "op": "in", "value": ["Paris", "HERE"]},
    {"field": "city", "op": "not_in", "value": ["HERE", "Lyon"]},
    {"field": "sources", "op": "contains", "value": "HERE"},
    {"none": [{"any": [{"field": "city", "op": "equals", "value": "HERE", "unknown": True}]}]},
]


def _put(shape: Any, value: str) -> Any:
    if isinstance(shape, dict):
        return {key: _put(part, value) for key, part in shape.items()}
    if isinstance(shape, list):
        return [_put(part, value) for part in shape]
    return value if shape == "HERE" else shape


@pytest.mark.parametrize("shape", SHAPES, ids=lambda shape: str(shape)[:60])
def test_hostile_values_never_change_the_query(
    population: Population, shape: dict[str, Any]
) -> None:
    plain = compile_rule(parse_rule(_put(shape, "plain")), CATALOGUE, AS_OF)
    for value in HOSTILE:
        query = compile_rule(parse_rule(_put(shape, value)), CATALOGUE, AS_OF)
        assert query.sql == plain.sql
        assert value in query.parameters.values()
        assert 0 <= count(population, parse_rule(_put(shape, value))) <= 400
    (statement,) = sqlglot.parse(plain.sql, dialect="duckdb")
    assert isinstance(statement, exp.Select)


@pytest.mark.parametrize("field", [*HOSTILE, "", "City", "city ", "rowid", "profiles.city"])
def test_a_field_that_is_not_in_the_catalogue_is_refused(field: str) -> None:
    with pytest.raises(SettingsError):
        compile_rule(parse_rule({"field": field, "op": "equals", "value": "x"}), CATALOGUE, AS_OF)


def test_hostile_searches_and_columns_are_values_or_refused(population: Population) -> None:
    for value in HOSTILE:
        assert value_counts(population, "city", search=value).height <= len(CITIES)
        with pytest.raises(SettingsError):
            members(population, EVERYONE, [value])


@pytest.mark.parametrize(
    ("clause", "message"),
    [
        ({"field": "age", "op": "equals", "value": "3"}, "compared with '3'"),
        ({"field": "age", "op": "equals", "value": True}, "compared with True"),
        ({"field": "age", "op": "greater", "value": 1e30}, "at most 15 digits"),
        ({"field": "age", "op": "greater", "value": float("inf")}, "at most 15 digits"),
        ({"field": "age", "op": "between", "value": [5, 2]}, "lower value first"),
        ({"field": "age", "op": "contains", "value": "3"}, "cannot be tested by contains"),
        ({"field": "age", "op": "within_days", "value": 3}, "cannot be tested by within_days"),
        ({"field": "city", "op": "equals", "value": 3}, "compared with 3"),
        ({"field": "city", "op": "contains", "value": ""}, "not empty"),
        ({"field": "city", "op": "in", "value": []}, "list of 1 to"),
        ({"field": "city", "op": "in", "value": "Paris"}, "list of 1 to"),
        ({"field": "city", "op": "equals"}, "takes one value"),
        ({"field": "city", "op": "equals", "value": ["Paris"]}, "takes one value"),
        ({"field": "city", "op": "is_known", "value": "x"}, "neither value nor unknown"),
        ({"field": "city", "op": "like", "value": "x"}, "Input should be"),
        ({"field": "city", "op": "equals", "value": "x", "sql": "1"}, "not permitted"),
        ({"field": "last_order_date", "op": "equals", "value": "31/10/2026"}, "2026-10-31"),
        ({"field": "last_order_date", "op": "within_days", "value": 0}, "from 1 to 36500"),
        ({"field": "last_order_date", "op": "within_days", "value": "30"}, "whole number"),
        ({"field": "is_contactable_email", "op": "equals", "value": "yes"}, "true or false"),
        ({"all": [], "any": []}, "not permitted"),
        ({}, "field"),
        ([], "rule"),
    ],
)
def test_a_rule_that_makes_no_sense_says_what_is_wrong(clause: Any, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        compile_rule(parse_rule(clause), CATALOGUE, AS_OF)


def test_rules_too_deep_or_too_long_are_refused_at_once() -> None:
    deep: dict[str, Any] = {"all": []}
    for _ in range(3000):
        deep = {"all": [deep]}
    with pytest.raises(SettingsError, match="nested deeper"):
        parse_rule(deep)
    with pytest.raises(SettingsError, match="more than"):
        parse_rule({"any": [{"field": "age", "op": "is_known"}] * 5000})
