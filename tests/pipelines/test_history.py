"""What runs keep of the scores of each day, and which days a version carries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

from cohorte.segments import count, parse_rule
from cohorte.segments.catalogue import load_catalogue
from cohorte.segments.population import Population
from cohorte.segments.score_days import TRACKED, days_carried
from cohorte.warehouse import connect_writer
from cohorte.workspace import Workspace
from pipelines.history import lay_score_days, remember, show_history

DAY = date(2026, 10, 31)


@pytest.fixture
def workspace(tmp_path: Path) -> Workspace:
    (tmp_path / "cohorte.yml").write_text("company: Jardin\ncurrency: EUR\n")
    return Workspace(tmp_path)


@pytest.fixture
def work(workspace: Workspace) -> Iterator[duckdb.DuckDBPyConnection]:
    with closing(
        connect_writer(workspace.work_path, workspace.settings, workspace.temp_dir)
    ) as con:
        con.execute("create schema marts; create schema scores; create schema segments")
        columns = ", ".join(f"null::{kind} as {name}" for name, kind in TRACKED.items())
        con.execute(
            "create table marts.customer_profiles as select 'C' || i as customer_id,"
            f" i::integer as customer_number, {columns} from range(10) as t(i)"
        )
        con.execute(
            "create table segments.segment_sizes (segment_id varchar, segment_name varchar,"
            " customers_count bigint);"
            "create table scores.lead_scores (source varchar, lead_id varchar,"
            " conversion_probability double, lead_grade varchar, estimator_version varchar);"
            "create table scores.customer_scores (customer_id varchar, order_probability double,"
            " expected_orders double, expected_value double, estimator_version varchar)"
        )
        yield con


def _run(workspace: Workspace, con: duckdb.DuckDBPyConnection, day: date, scores: str) -> None:
    con.execute(f"update marts.customer_profiles set {scores}")
    lay_score_days(workspace, con, day)
    remember(workspace, con, day)


def _moved(con: duckdb.DuckDBPyConnection, **rule: object) -> int:
    relation = "marts.customer_profiles"
    people = Population(con, load_catalogue(con, relation), DAY, relation)
    return count(people, parse_rule(rule))


def test_rules_find_what_moved_since_an_earlier_run(
    workspace: Workspace, work: duckdb.DuckDBPyConnection
) -> None:
    month_ago, week_ago = DAY - timedelta(days=30), DAY - timedelta(days=7)
    _run(workspace, work, month_ago, "rfm_segment = 'champions', expected_value = 100")
    _run(workspace, work, week_ago, "expected_value = 100 + customer_number * 10")
    work.execute("update marts.customer_profiles set customer_id = 'new' where customer_number = 9")
    _run(workspace, work, DAY, "rfm_segment = if(customer_number < 3, 'lost', rfm_segment)")
    days = work.execute("select as_of, count(*) from segments.score_days group by 1 order by 1")
    assert days.fetchall() == [(month_ago, 9), (week_ago, 9), (DAY, 10)]
    assert _moved(work, moved="rfm_segment", was=["champions"], now=["lost"], days_ago=28) == 3
    assert _moved(work, moved="rfm_segment") == 3
    assert _moved(work, moved="expected_value", days_ago=7) == 0
    assert _moved(work, moved="expected_value", rose=20, percent=True, days_ago=28) == 7
    assert _moved(work, moved="expected_value", rose=80, since=month_ago) == 1
    assert _moved(work, moved="expected_value", fell=1, since=month_ago) == 0
    assert _moved(work, moved="expected_value", since=month_ago - timedelta(days=1)) == 0


def test_a_day_looked_from_again_takes_its_own_place(
    workspace: Workspace, work: duckdb.DuckDBPyConnection
) -> None:
    for _ in range(2):
        _run(workspace, work, DAY, "rfm_segment = 'loyal'")
    _run(workspace, work, DAY + timedelta(days=1), "rfm_segment = 'loyal'")
    rows = work.execute("select count(*) from segments.score_days").fetchall()
    assert rows == [(20,)]


def test_versions_carry_few_days_and_the_newest_of_each_age() -> None:
    every_day = [DAY - timedelta(days=ago) for ago in range(1, 500)]
    carried = [(DAY - day).days for day in days_carried(every_day, DAY)]
    assert carried == [365, 180, 90, 60, 28, 21, 14, 7, 6, 5, 4, 3, 2, 1]
    weekly = [DAY - timedelta(days=7 * week) for week in range(9)]
    assert [(DAY - day).days for day in days_carried(weekly, DAY)] == [28, 21, 14, 7]


def test_a_lead_has_a_row_a_day_on_which_its_score_was_another(
    workspace: Workspace, work: duckdb.DuckDBPyConnection
) -> None:
    told = (0.2, 0.2, 0.5, 0.5)
    for number, probability in enumerate(told):
        work.execute("delete from scores.lead_scores")
        work.execute(
            "insert into scores.lead_scores values ('crm', 'moves', ?, 'B', 'v1'),"
            " ('crm', 'stays', 0.1, 'E', 'v1')",
            [probability],
        )
        day = DAY - timedelta(days=len(told) - number)
        lay_score_days(workspace, work, day)
        remember(workspace, work, day)
    show_history(workspace, work)
    rows = work.execute("""
        select lead_id, as_of, conversion_probability from scores.lead_score_history order by all
    """).fetchall()
    assert rows == [
        ("moves", DAY - timedelta(days=4), 0.2),
        ("moves", DAY - timedelta(days=2), 0.5),
        ("stays", DAY - timedelta(days=4), 0.1),
    ]
