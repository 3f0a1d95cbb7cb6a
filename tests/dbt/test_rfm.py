"""RFM: ties never split, order of rows does not matter, every cell has one name.

The compiled SQL of the model runs directly in DuckDB on invented features.
"""

from __future__ import annotations

import csv
from collections import Counter
from fractions import Fraction
from math import floor
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cohorte.paths import dbt_dir
from tests.dbt.lab import Lab, Outcome

SEGMENTS_CSV = dbt_dir() / "seeds" / "rfm_segments.csv"

Person = tuple[int | None, int, int, bool]
"""Days since the last order (none without orders), orders and revenue in the window, business."""

PEOPLE = st.lists(
    st.one_of(
        st.tuples(st.integers(0, 40), st.integers(0, 6), st.integers(-5, 30), st.booleans()),
        st.tuples(st.none(), st.just(0), st.just(0), st.booleans()),
    ),
    max_size=40,
)
QUICKLY = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


class Scorer:
    """The compiled model over a table of people that is filled anew each time."""

    def __init__(self, sql: str) -> None:
        self.sql = sql
        self.connection = duckdb.connect()
        self.connection.execute("attach ':memory:' as work")
        for schema in ("marts", "intermediate"):
            self.connection.execute(f"create schema work.{schema}")
        self.connection.execute(
            """
            create table work.marts.customer_features (
                customer_id varchar, as_of date, days_since_last_order bigint,
                orders_count bigint, net_revenue decimal(18, 4)
            )
            """
        )
        self.connection.execute(
            "create table work.intermediate.int_customers__golden_records"
            " (customer_id varchar, is_business boolean)"
        )
        self.connection.execute(
            "create table work.marts.rfm_segments as"
            f" from read_csv('{SEGMENTS_CSV}', header = true)"
        )

    def scores(self, people: list[Person]) -> list[tuple[str, str]]:
        """Code (empty without orders) and segment of each person, in the order given."""
        features = self.connection
        features.execute("delete from work.marts.customer_features")
        features.execute("delete from work.intermediate.int_customers__golden_records")
        for number, (days, orders, revenue, is_business) in enumerate(people):
            features.execute(
                "insert into work.marts.customer_features values (?, '2026-06-30', ?, ?, ?)",
                [str(number), days, orders, revenue],
            )
            features.execute(
                "insert into work.intermediate.int_customers__golden_records values (?, ?)",
                [str(number), is_business],
            )
        rows = features.execute(
            "select coalesce(rfm_code, ''), rfm_segment from"
            f" ({self.sql}) as scored order by customer_id::integer"
        )
        return rows.fetchall()


@pytest.fixture(scope="module")
def scorer(lab: Lab, company: Outcome) -> Scorer:
    assert "rfm" in {result.name for result in company.results}
    (path,) = Path(lab.session.target_dir).glob("compiled/*/models/marts/rfm.sql")
    return Scorer(path.read_text(encoding="utf-8"))


def score(below: int, tied: int, total: int, levels: int, lowest: int) -> int:
    """The score as the specification writes it."""
    return min(5, lowest + floor(levels * (below + Fraction(tied, 2)) / total))


def expected_code(person: Person, people: list[Person]) -> str:
    """The three scores of one person among people, counted one by one."""
    days, orders, revenue, is_business = person
    if days is None:
        return ""
    peers = [peer for peer in people if peer[0] is not None and peer[3] == is_business]
    later = [peer[0] for peer in peers if peer[0] is not None]
    recency = score(sum(peer > days for peer in later), later.count(days), len(later), 5, 1)
    often = [peer[1] for peer in peers if peer[1] > 1]
    frequency = (
        score(sum(peer < orders for peer in often), often.count(orders), len(often), 4, 2)
        if orders > 1
        else 1
    )
    spent = [peer[2] for peer in peers]
    monetary = score(sum(peer < revenue for peer in spent), spent.count(revenue), len(spent), 5, 1)
    return f"{recency}{frequency}{monetary}"


def test_each_of_the_25_cells_has_exactly_one_name() -> None:
    with SEGMENTS_CSV.open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    cells = Counter((row["recency_score"], row["frequency_monetary_score"]) for row in rows)
    assert set(cells) == {(r, fm) for r in "12345" for fm in "12345"}
    assert set(cells.values()) == {1}
    names = {
        (row["rfm_segment"], row["name_en"], row["name_fr"], row["sort_order"]) for row in rows
    }
    assert len(names) == len({name for name, *_ in names}) == 11


def test_a_case_computed_by_hand(scorer: Scorer) -> None:
    people: list[Person] = [
        (1, 5, 500, False),
        (10, 2, 40, False),
        (10, 1, 40, False),
        (50, 1, 10, False),
        (400, 0, 0, False),
        (3, 3, 90, True),
        (None, 0, 0, False),
    ]
    # Recency of the five consumers from the most recent: mid-ranks .9, .6, .6, .3, .1.
    # Frequency of the two repeat buyers: .25 and .75 of four levels. Money: .9, .6, .6, .3, .1.
    assert scorer.scores(people) == [
        ("555", "champions"),
        ("434", "loyal"),
        ("414", "potential_loyalists"),
        ("212", "hibernating"),
        ("111", "lost"),
        ("343", "loyal"),
        ("", "prospect"),
    ]


@pytest.mark.parametrize("count", [0, 1, 2, 7])
def test_any_number_of_customers_is_scored(scorer: Scorer, count: int) -> None:
    people: list[Person] = [(day, day, day, False) for day in range(count)]
    assert [code for code, _ in scorer.scores(people)] == [
        expected_code(person, people) for person in people
    ]


@QUICKLY
@given(people=PEOPLE)
def test_scores_are_those_of_the_specification(scorer: Scorer, people: list[Person]) -> None:
    assert [code for code, _ in scorer.scores(people)] == [
        expected_code(person, people) for person in people
    ]


@QUICKLY
@given(people=PEOPLE, shuffle=st.randoms(use_true_random=False))
def test_permuting_the_rows_changes_nothing(scorer: Scorer, people: list[Person], shuffle) -> None:  # type: ignore[no-untyped-def]
    order = list(range(len(people)))
    shuffle.shuffle(order)
    scores = scorer.scores(people)
    permuted = scorer.scores([people[place] for place in order])
    assert permuted == [scores[place] for place in order]


@QUICKLY
@given(
    people=PEOPLE, newcomer=st.tuples(st.integers(0, 40), st.integers(0, 6), st.integers(-5, 30))
)
def test_adding_a_customer_never_splits_a_tie(
    scorer: Scorer, people: list[Person], newcomer: tuple[int, int, int]
) -> None:
    enlarged: list[Person] = [*people, (*newcomer, False)]
    scores: dict[Person, set[tuple[str, str]]] = {}
    for person, scored in zip(enlarged, scorer.scores(enlarged), strict=True):
        scores.setdefault(person, set()).add(scored)
    assert all(len(found) == 1 for found in scores.values())
