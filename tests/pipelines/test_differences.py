"""A table takes the rows of another by the rows that differ alone."""

from __future__ import annotations

from collections import Counter

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipelines.differences import write_differences
from pipelines.standing import table_hash

ROW = st.tuples(
    st.one_of(st.none(), st.integers(0, 3)),
    st.one_of(st.none(), st.sampled_from(["", "a", "é"])),
    st.one_of(st.none(), st.sampled_from([0.0, -0.5, 1e300])),
)
ROWS = st.lists(ROW, max_size=60)
EVERYTHING = 1_000_000


@pytest.fixture(scope="module")
def con():
    with duckdb.connect() as connection:
        yield connection


def lay(con: duckdb.DuckDBPyConnection, table: str, rows: list[tuple]) -> None:
    con.execute(f"create or replace table {table} (n integer, word varchar, x double)")
    if rows:
        con.executemany(f"insert into {table} values (?, ?, ?)", rows)


@settings(max_examples=25, deadline=None)
@given(old=ROWS, new=ROWS, common=ROWS)
def test_any_table_becomes_any_other_row_by_row(con, old, new, common):
    lay(con, "old", [*common, *old])
    lay(con, "new", [*new, *common])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("pipelines.differences.NEARLY_ALL", 1)
        written = write_differences(con, "new", "old", most=EVERYTHING)
    assert written is not None
    assert Counter(con.execute("from old").fetchall()) == Counter([*new, *common])
    assert written.info == table_hash(con, "new")
    gone, come = Counter(old) - Counter(new), Counter(new) - Counter(old)
    assert written.rows >= max(gone.total(), come.total())
    assert (written.rows == 0) == (gone.total() == come.total() == 0)


def many(con: duckdb.DuckDBPyConnection, table: str, query: str) -> None:
    con.execute(f"create or replace table {table} as {query}")


def test_few_rows_of_a_large_table_leave_the_others_where_they_are(con):
    many(con, "old", "select range as n, 'w' || range as word from range(50000) order by n")
    many(con, "new", "select n, word from old where n % 9000 > 0 union all select -1, 'new'")
    written = write_differences(con, "new", "old", most=50)
    assert written is not None
    assert written.rows == 6
    places = con.execute("select rowid, n from old order by rowid").fetchall()
    assert places[-1][1] == -1
    assert all(place == n for place, n in places[:-1])
    assert written.info == table_hash(con, "new")


def test_more_rows_than_asked_for_are_not_written(con):
    many(con, "old", "select range as n from range(50000)")
    many(con, "new", "select case when n < 40 then -n - 1 else n end as n from old")
    before = table_hash(con, "old")
    assert write_differences(con, "new", "old", most=39) is None
    many(con, "other", "select n + 60000 as n from old")
    assert write_differences(con, "other", "old", most=EVERYTHING) is None
    assert table_hash(con, "old") == before
    assert write_differences(con, "new", "old", most=40) is not None


@pytest.mark.parametrize(
    "query",
    [
        "select 1::bigint as n",
        "select 1 as m",
        "select 1 as n, 2 as m",
    ],
)
def test_other_columns_are_not_written_row_by_row(con, query):
    many(con, "old", "select 1 as n")
    many(con, "new", query)
    assert write_differences(con, "new", "old", most=EVERYTHING) is None
    assert write_differences(con, "new", "nowhere", most=EVERYTHING) is None


def test_new_rows_are_added_in_their_order(con):
    many(con, "old", "select range as n from range(1000)")
    many(con, "new", "select n from old union all select unnest([5000, 3000, 4000])")
    assert write_differences(con, "new", "old", most=10, order="n") is not None
    assert con.execute("select n from old where n >= 1000").fetchall() == [
        (3000,),
        (4000,),
        (5000,),
    ]
