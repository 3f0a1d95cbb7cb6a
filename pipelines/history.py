"""Scores and segment sizes of past days: state, kept in ``warehouse/history.duckdb``.

One day holds one set of rows, whatever run or back-fill wrote it last: remembering a day again
replaces it.
"""

from __future__ import annotations

from contextlib import closing
from datetime import date
from pathlib import Path

import duckdb

from cohorte.warehouse import connect_writer
from cohorte.workspace import Workspace

DDL = """
create table if not exists segment_size_history (
    segment_id varchar, segment_name varchar, as_of date, customers_count bigint
);
create table if not exists lead_score_history (
    source varchar, lead_id varchar, as_of date, conversion_probability double,
    lead_grade varchar, estimator_version varchar
);
create table if not exists customer_score_history (
    customer_id varchar, as_of date, order_probability double, expected_orders double,
    expected_value double, estimator_version varchar
);
"""

READ_FROM_WORK = {
    "segment_size_history": "select segment_id, segment_name, $as_of, customers_count"
    " from segments.segment_sizes order by segment_id",
    "lead_score_history": "select source, lead_id, $as_of, conversion_probability, lead_grade,"
    " estimator_version from scores.lead_scores order by source, lead_id",
    "customer_score_history": "select customer_id, $as_of, order_probability, expected_orders,"
    " expected_value, estimator_version from scores.customer_scores order by customer_id",
}

PUBLISHED = {
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
"""What versions show of it: sizes, and one row a score, day and estimator."""


def history_path(workspace: Workspace) -> Path:
    return workspace.root / "warehouse" / "history.duckdb"


def remember(workspace: Workspace, work: duckdb.DuckDBPyConnection, as_of: date) -> int:
    """Keep the scores and segment sizes that the build database holds as those of a day; rows."""
    path = history_path(workspace)
    with closing(connect_writer(path, workspace.settings, workspace.temp_dir)) as history:
        history.execute(DDL)
    _attach(work, path, "")
    rows = 0
    try:
        work.execute("begin")
        try:
            for table, query in READ_FROM_WORK.items():
                work.execute(f"delete from history.{table} where as_of = $as_of", {"as_of": as_of})
                work.execute(f"insert into history.{table} {query}", {"as_of": as_of})
                counted = work.execute(
                    f"select count(*) from history.{table} where as_of = $as_of", {"as_of": as_of}
                )
                rows += int(counted.fetchall()[0][0])
        except BaseException:
            work.execute("rollback")
            raise
        work.execute("commit")
    finally:
        work.execute("detach history")
    return rows


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
