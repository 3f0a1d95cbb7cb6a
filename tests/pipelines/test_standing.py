"""What stands is left alone, what does not is built: by content, through a kill, model by model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing

import duckdb
import pytest

from cohorte.paths import dbt_dir
from pipelines import standing
from pipelines.dbt_session import DbtSession
from tests.support.dbt_project import session_in, write_project

SOURCES = """
version: 2
sources:
  - {name: raw, database: raw, schema: main, tables: [{name: sales}, {name: people}]}
"""
REPLACING = "macros/materializations.sql"
FILES = {
    REPLACING: (dbt_dir() / REPLACING).read_text("utf-8"),
    "models/_sources.yml": SOURCES,
    "models/sold.sql": (
        "{{ config(tags=['stage'], materialized='view') }}"
        " select distinct id, amount from {{ source('raw', 'sales') }}"
    ),
    "models/kept.sql": "{{ config(tags=['stage']) }} select * from {{ ref('sold') }}",
    "models/named.sql": "{{ config(tags=['stage']) }} select * from {{ source('raw', 'people') }}",
    "models/totals.sql": (
        "{{ config(tags=['unify']) }} select sum(amount) as total from {{ ref('kept') }}"
    ),
    "models/dated.sql": (
        "{{ config(tags=['unify']) }} select '{{ var(\"as_of\") }}' as day from {{ ref('named') }}"
    ),
    "tests/assert_enough.sql": "select * from {{ ref('totals') }} where total < {{ var('least') }}",
}
EVERYTHING = {"sold", "kept", "named", "totals", "dated", "assert_enough"}


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DbtSession]:
    folder = tmp_path_factory.mktemp("standing")
    write_project(folder, FILES)
    with duckdb.connect(str(folder / "raw.duckdb")) as raw:
        raw.execute("create table people as select 1 as id")
        raw.execute("create table sales as select 1 as id, 10 as amount")
    with session_in(folder) as opened:
        yield opened


def built(session: DbtSession, **options: object) -> set[str]:
    """What is built or tested now, station after station."""
    return {
        node.name
        for station in ("stage", "unify")
        for node in session.build(f"tag:{station}", **options)  # type: ignore[arg-type]
    }


def arrive(session: DbtSession, *rows: tuple[int, int]) -> None:
    with duckdb.connect(str(session.raw_path)) as raw:
        raw.executemany("insert into sales values (?, ?)", [list(row) for row in rows])


def in_work(session: DbtSession, sql: str) -> list[tuple[object, ...]]:
    with closing(duckdb.connect(str(session.work_path))) as work:
        work.execute("attach ? as raw (read_only)", [str(session.raw_path)])
        return work.execute(sql).fetchall()


@pytest.fixture(autouse=True)
def settled(session: DbtSession) -> None:
    session.variables = {"as_of": "2026-06-30"}
    built(session)
    assert built(session) == set()


def test_what_arrives_is_built_through_to_what_reads_it_and_no_further(session) -> None:
    arrive(session, (2, 5))
    assert built(session) == {"sold", "kept", "totals", "assert_enough"}
    assert in_work(session, "from totals") == [(15,)]


def test_what_comes_out_as_it_was_is_read_no_further(session) -> None:
    arrive(session, (1, 10))
    assert built(session) == {"sold", "kept"}


def test_a_variable_is_asked_only_by_what_names_it(session) -> None:
    session.variables = {"as_of": "2026-07-01"}
    assert built(session) == {"dated"}
    assert in_work(session, "from dated") == [("2026-07-01",)]


def test_a_test_that_found_something_asks_again_until_it_does_not(session) -> None:
    session.variables |= {"least": 10_000}
    for _ in range(2):
        (found,) = session.build("tag:unify")
        assert (found.name, found.status) == ("assert_enough", "fail")
    session.variables |= {"least": 1}
    assert built(session) == {"assert_enough"}


def test_a_table_that_is_gone_is_built_again(session) -> None:
    in_work(session, "drop table totals")
    assert built(session) == {"totals", "assert_enough"}


def test_a_relation_takes_the_place_of_one_of_another_kind(session) -> None:
    in_work(session, "drop view sold; create table sold as select 9 as id, 9 as amount")
    in_work(session, "drop table kept; create view kept as select 9 as id")
    built(session, again={"sold", "kept"})
    kinds = "select table_name, table_type from information_schema.tables where table_name in"
    assert sorted(in_work(session, f"{kinds} ('sold', 'kept')")) == [
        ("kept", "BASE TABLE"),
        ("sold", "VIEW"),
    ]
    assert (9, 9) not in in_work(session, "from kept")


def test_what_no_model_makes_any_more_goes(session) -> None:
    in_work(session, "create table of_old as select 1 as one")
    built(session)
    with pytest.raises(duckdb.CatalogException):
        in_work(session, "from of_old")


def test_a_build_that_fails_or_is_killed_leaves_nothing_standing(session) -> None:
    arrive(session, (3, 7))
    with duckdb.connect(str(session.raw_path)) as raw:
        raw.execute("alter table sales rename amount to price")
    assert {node.status for node in session.build("tag:stage")} == {"error", "skipped"}
    assert in_work(session, "select node from built.nodes where node like '%.kept'") == []
    with duckdb.connect(str(session.raw_path)) as raw:
        raw.execute("alter table sales rename price to amount")
    assert {"sold", "kept", "totals"} <= built(session)


def test_everything_is_built_when_it_is_asked(session) -> None:
    assert built(session, full_refresh=True) == EVERYTHING
    assert built(session, again={"named"}) >= {"named"}


def test_a_database_of_another_code_or_of_more_holes_than_rows_is_not_gone_on_with(tmp_path):
    with closing(duckdb.connect(str(tmp_path / "work.duckdb"))) as work:
        assert not standing.begun_by(work, "today")
        standing.begin(work, "today")
        assert standing.begun_by(work, "today")
        assert not standing.begun_by(work, "tomorrow")
        work.execute("create table large as select random() as x from range(2000000)")
        work.execute("checkpoint")
        work.execute("drop table large")
        work.execute("checkpoint")
        assert not standing.begun_by(work, "today")
