"""Customers' numbers: each below their count once, and kept by who stays."""

from __future__ import annotations

from collections.abc import Iterator

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.numbers import NUMBERS, lay_customer_numbers

IDS = st.sets(st.integers(0, 30).map("C{:03d}".format))


@pytest.fixture(scope="module")
def work() -> Iterator[duckdb.DuckDBPyConnection]:
    with duckdb.connect(":memory:") as con:
        con.execute("create schema marts")
        con.execute("create table marts.customers (customer_id varchar)")
        yield con


def numbers_of(work: duckdb.DuckDBPyConnection, ids: list[str]) -> dict[str, int]:
    """The numbers once these are the customers."""
    work.execute("delete from marts.customers")
    work.execute("insert into marts.customers select unnest($ids::varchar[])", {"ids": ids})
    lay_customer_numbers(work)
    rows = work.execute(f"select customer_id, customer_number from {NUMBERS}").fetchall()
    found = dict(rows)
    assert len(rows) == len(found)
    return found


def written(work: duckdb.DuckDBPyConnection) -> list[tuple[int]]:
    """Another one when the table is written anew."""
    return work.execute(
        "select table_oid from duckdb_tables() where table_name = 'customer_numbers'"
    ).fetchall()


@settings(max_examples=40, deadline=None)
@given(st.lists(IDS, min_size=1, max_size=4))
def test_numbers_are_dense_and_who_stays_keeps_theirs_unless_a_gap_must_be_filled(
    work: duckdb.DuckDBPyConnection, days: list[set[str]]
) -> None:
    def one_after_another(*, backwards: bool) -> list[dict[str, int]]:
        work.execute(f"drop table if exists {NUMBERS}")
        return [numbers_of(work, sorted(ids, reverse=backwards)) for ids in days]

    before: dict[str, int] = {}
    told = one_after_another(backwards=False)
    for ids, numbers in zip(days, told, strict=True):
        assert numbers.keys() == ids
        assert sorted(numbers.values()) == list(range(len(ids)))
        staying = before.keys() & ids
        moved = {each for each in staying if numbers[each] != before[each]}
        assert moved == {each for each in staying if before[each] >= len(ids)}
        assert len(moved) <= max(0, len(before) - len(ids))
        before = numbers
    assert told == one_after_another(backwards=True), "the order of the rows tells nothing"


def test_new_customers_take_the_numbers_of_those_gone_then_the_next(work) -> None:
    work.execute(f"drop table if exists {NUMBERS}")
    assert numbers_of(work, ["B", "D", "A"]) == {"A": 0, "B": 1, "D": 2}
    assert numbers_of(work, ["A", "D", "F", "C"]) == {"A": 0, "C": 1, "D": 2, "F": 3}
    assert numbers_of(work, ["C", "F"]) == {"C": 1, "F": 0}


def test_what_is_right_is_not_written_again(work) -> None:
    numbers_of(work, ["A", "B"])
    once = written(work)
    numbers_of(work, ["B", "A"])
    assert written(work) == once
    numbers_of(work, ["A", "C"])
    assert written(work) != once
