"""Scores and segment sizes of past days: state, kept in ``warehouse/history.duckdb``.

One day holds one set of rows, whatever run or back-fill wrote it last: remembering a day again
replaces it.
"""

from __future__ import annotations

from contextlib import closing
from datetime import date
from pathlib import Path

import duckdb

from cohorte.segments.score_days import SCORE_DAYS, TRACKED, days_carried, scores_today
from cohorte.warehouse import connect_writer, transaction
from cohorte.workspace import Workspace

DDL = """
create table if not exists segment_size_history (
    segment_id varchar, segment_name varchar, as_of date, customers_count bigint
);
create table if not exists lead_score_history (
    source varchar, lead_id varchar, as_of date, conversion_probability double,
    lead_grade varchar, estimator_version varchar
);
create table if not exists profile_score_history (
    customer_id varchar, as_of date
);
create table if not exists customer_score_history (
    customer_id varchar, as_of date, order_probability double, expected_orders double,
    expected_value double, estimator_version varchar
);
"""

_TRACKED = ", ".join(f"score_days.{name}" for name in TRACKED)

READ_FROM_WORK = {
    "segment_size_history": "select segment_id, segment_name, $as_of as as_of, customers_count"
    " from segments.segment_sizes order by segment_id",
    "profile_score_history": f"select profiles.customer_id, score_days.as_of, {_TRACKED}"
    " from segments.score_days inner join marts.customer_profiles as profiles"
    " using (customer_number)"
    " where score_days.as_of = $as_of order by profiles.customer_id",
    "lead_score_history": "select source, lead_id, $as_of as as_of, conversion_probability,"
    " lead_grade, estimator_version from scores.lead_scores order by source, lead_id",
    "customer_score_history": "select customer_id, $as_of as as_of, order_probability,"
    " expected_orders, expected_value, estimator_version from scores.customer_scores"
    " order by customer_id",
}

PUBLISHED = {
    "scores.lead_score_history": """
        select source, lead_id, as_of, conversion_probability, lead_grade, estimator_version
        from (
            select *, lag(conversion_probability) over of_lead as probability_before,
                lag(estimator_version) over of_lead as version_before
            from history.lead_score_history
            window of_lead as (partition by source, lead_id order by as_of)
        )
        where conversion_probability is distinct from probability_before
            or estimator_version is distinct from version_before
        order by source, lead_id, as_of
    """,
    "segments.segment_size_history": "select segment_id, segment_name, as_of, customers_count"
    " from history.segment_size_history order by as_of, segment_id",
    "scores.score_history": """
        select
            'lead' as score, as_of, estimator_version, count(*) as scored_count,
            avg(conversion_probability) as mean_probability,
            cast(null as decimal(18, 4)) as expected_value_amount
        from history.lead_score_history group by as_of, estimator_version
        union all
        select
            'value', as_of, estimator_version, count(*), avg(order_probability),
            cast(sum(cast(expected_value as decimal(18, 4))) as decimal(18, 4))
        from history.customer_score_history group by as_of, estimator_version
        order by as_of, score, estimator_version
    """,
}
"""What versions show of it: sizes, one row a score, day and estimator, and one row a lead and day
on which its score was another than the day before."""


def history_path(workspace: Workspace) -> Path:
    return workspace.root / "warehouse" / "history.duckdb"


def remember(workspace: Workspace, work: duckdb.DuckDBPyConnection, as_of: date) -> int:
    """Keep the scores and segment sizes that the build database holds as those of a day; rows."""
    path = history_path(workspace)
    with closing(connect_writer(path, workspace.settings, workspace.temp_dir)) as history:
        history.execute(DDL)
        for name, kind in TRACKED.items():
            history.execute(
                f"alter table profile_score_history add column if not exists {name} {kind}"
            )
    _attach(work, path, "")
    rows = 0
    try:
        with transaction(work):
            for table, query in READ_FROM_WORK.items():
                work.execute(f"delete from history.{table} where as_of = $as_of", {"as_of": as_of})
                work.execute(f"insert into history.{table} by name {query}", {"as_of": as_of})
                counted = work.execute(
                    f"select count(*) from history.{table} where as_of = $as_of", {"as_of": as_of}
                )
                rows += int(counted.fetchall()[0][0])
    finally:
        work.execute("detach history")
    return rows


def lay_score_days(workspace: Workspace, work: duckdb.DuckDBPyConnection, as_of: date) -> None:
    """Lay today's scores into the build database, and those of some days that runs kept."""
    work.execute("create schema if not exists segments")
    work.execute(
        f"create or replace table segments.{SCORE_DAYS} as"
        f" {scores_today('marts.customer_profiles')} order by customer_number",
        {"as_of": as_of},
    )
    path = history_path(workspace)
    if not path.is_file():
        return
    _attach(work, path, "(read_only)")
    try:
        known = work.execute(
            "select column_name from duckdb_columns() where database_name = 'history'"
            " and table_name = 'profile_score_history'"
        ).fetchall()
        columns = ["as_of", *(name for name in TRACKED if (name,) in known)]
        if ("as_of",) not in known:
            return
        days = work.execute("select distinct as_of from history.profile_score_history").fetchall()
        listed = ", ".join(f"past.{name}" for name in columns)
        work.execute(
            f"insert into segments.{SCORE_DAYS} by name"
            f" select profiles.customer_number, {listed}"
            " from history.profile_score_history as past"
            " inner join marts.customer_profiles as profiles using (customer_id)"
            " where list_contains($days, past.as_of)",  # they lie by day as runs added them
            {"days": days_carried([day for (day,) in days], as_of)},
        )
    finally:
        work.execute("detach history")


def show_history(workspace: Workspace, work: duckdb.DuckDBPyConnection) -> None:
    """Lay what versions show of the past into the build database."""
    path = history_path(workspace)
    if not path.is_file():
        return
    _attach(work, path, "(read_only)")
    try:
        for table, query in PUBLISHED.items():
            work.execute(f"create or replace table {table} as {query}")
    finally:
        work.execute("detach history")


def _attach(work: duckdb.DuckDBPyConnection, path: Path, how: str) -> None:
    quoted = str(path).replace("'", "''")
    work.execute(f"attach '{quoted}' as history {how}")
