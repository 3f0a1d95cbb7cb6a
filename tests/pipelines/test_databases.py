"""PostgreSQL and MariaDB for real, DuckDB files and SQLite: whole, by query, incremental."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import duckdb
import pytest
import sqlalchemy

from tests.pipelines.workbench import Bench
from tests.support.servers import mariadb, postgresql

ENTITIES = {
    "orders": {
        "columns": {
            "order_id": "no",
            "ordered_at": "sold",
            "gross_amount": "total",
            "contact_id": "client",
        }
    }
}
Execute = Callable[..., None]


@pytest.fixture(scope="module", params=["postgresql", "mariadb", "duckdb", "sqlite"])
def database(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Execute]]:
    """An address to read from, and what executes a statement there."""
    if request.param in ("duckdb", "sqlite"):
        path = tmp_path_factory.mktemp("db") / f"shop.{request.param}"
        if request.param == "duckdb":

            def execute(*statements: str) -> None:
                with duckdb.connect(str(path)) as connection:
                    for statement in statements:
                        connection.execute(statement)

            yield f"duckdb:///{path}", execute
            return
        yield f"sqlite:///{path}", by_sqlalchemy(f"sqlite:///{path}")
    elif request.param == "postgresql":
        with postgresql() as url:
            yield url, by_psql(url)
    else:
        with mariadb() as url:
            yield url, by_sqlalchemy(url.replace("mysql:", "mysql+pymysql:"))


def by_sqlalchemy(url: str) -> Execute:
    engine = sqlalchemy.create_engine(url)

    def execute(*statements: str) -> None:
        with engine.begin() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement.replace("%", "%%"))

    return execute


def by_psql(url: str) -> Execute:
    import adbc_driver_postgresql.dbapi

    def execute(*statements: str) -> None:
        with adbc_driver_postgresql.dbapi.connect(url) as connection:
            with connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
            connection.commit()

    return execute


@pytest.fixture
def shop(database: tuple[str, Execute], bench: Bench) -> tuple[Bench, str, Execute]:
    url, execute = database
    execute(
        "drop table if exists tickets",
        "create table tickets (no varchar(20), sold timestamp, total decimal(12,2),"
        " client varchar(100), rank_no bigint)",
        "insert into tickets values ('A1', '2026-01-05 10:00:00', 12.50, 'Zoé; \"x\"', 1),"
        " ('A2', '2026-02-05 23:59:59', -3, null, 2)",
    )
    return bench, url, execute


def declare(bench: Bench, url: str, **keys: object) -> None:
    feed = {"feed": "t", "format": "database", "url": url, "entities": ENTITIES} | keys
    if "query" not in feed and "table" not in feed:
        feed["table"] = "tickets"
    bench.source(feed)


def test_a_table_arrives_whole_and_once(shop):
    bench, url, _ = shop
    declare(bench, url)
    (report,) = bench.ingest().files
    assert (report.status, report.accepted, report.rejected) == ("loaded", 2, 0)
    assert bench.ask(
        "select order_id, ordered_at::varchar, gross_amount::varchar, contact_id, _line"
        " from orders order by 1"
    ) == [
        ("A1", "2026-01-05 10:00:00", "12.5000", 'Zoé; "x"', 1),
        ("A2", "2026-02-05 23:59:59", "-3.0000", None, 2),
    ]
    assert bench.ask("select distinct _extra from orders order by 1") == [
        ('{"rank_no":"1"}',),
        ('{"rank_no":"2"}',),
    ]
    assert bench.ingest().files[0].status == "known"


def test_a_query_may_hold_a_percent_sign(shop):
    bench, url, _ = shop
    declare(bench, url, query="select * from tickets where client like 'Zo%'")
    assert bench.ingest().files[0].accepted == 1


def test_an_incremental_table_gives_what_is_new(shop):
    bench, url, execute = shop
    declare(bench, url, incremental="sold")
    assert bench.ingest().files[0].records == 2
    execute(
        "insert into tickets values ('A3', '2026-03-01 00:00:00', 7, 'c', 3),"
        " ('A0', '2025-12-31 00:00:00', 7, 'late', 4)"
    )
    assert bench.ingest().files[0].records == 2
    assert bench.ask("select distinct order_id from orders order by 1") == [
        ("A1",),
        ("A2",),
        ("A3",),
    ]
    assert bench.ingest().files[0].records == 1
    assert bench.ingest().files[0].status == "known"


def test_an_incremental_query_on_a_number_gives_what_is_new(shop):
    bench, url, execute = shop
    declare(bench, url, query="select * from tickets", incremental="rank_no")
    bench.ingest()
    execute("insert into tickets values ('A9', '2026-03-01 00:00:00', 7, 'c', 10)")
    assert bench.ingest().files[0].records == 2
    execute("insert into tickets values ('A10', '2026-03-01 00:00:00', 7, 'c', 11)")
    assert bench.ingest().files[0].records == 2
    assert bench.ask("select count(distinct order_id) from orders") == [(4,)]


def test_a_mended_mapping_reads_the_whole_again(shop):
    bench, url, execute = shop
    declare(bench, url, incremental="sold")
    bench.ingest()
    execute("insert into tickets values ('A3', '2026-03-01 00:00:00', 7, 'c', 3)")
    bench.ingest()
    columns = ENTITIES["orders"]["columns"] | {"store": {"constant": "Lyon"}}
    declare(bench, url, incremental="sold", entities={"orders": {"columns": columns}})
    assert bench.ingest().files[0].records == 3
    assert bench.ask("select count(*), count(store) from orders") == [(3, 3)]


def test_a_table_that_is_not_there_is_told(shop):
    bench, url, _ = shop
    declare(bench, url, table="nothing_such")
    (report,) = bench.ingest().files
    assert report.status == "quarantined"
    assert "the database does not answer" in report.messages[0]
    assert "correct url, table or query" in report.messages[0]


@pytest.mark.parametrize(
    "url",
    ["postgresql:///x?host=/nowhere", "mysql://root@localhost/x?unix_socket=/nowhere", "no url"],
)
def test_a_database_that_is_not_there_is_told_without_its_password(bench, url):
    declare(bench, url.replace("root@", "root:secret@"))
    (report,) = bench.ingest().files
    assert report.status == "quarantined"
    assert "secret" not in report.messages[0]


STREAM = """
import resource, sys
from pathlib import Path
from tests.pipelines.workbench import Bench
report = Bench.again(sys.argv[1])
print(report.records, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.full
def test_a_large_table_is_streamed(shop):
    """Two million rows of 400 MB pass in a process that keeps under 900 MB."""
    bench, url, execute = shop
    if not url.startswith("postgresql"):
        pytest.skip("one database is enough")
    bench.settings(memory_limit="300MB")
    execute(
        "insert into tickets select 'N' || n, timestamp '2026-01-01' + n * interval '1 second',"
        " n, repeat('x', 90), n from generate_series(1, 2000000) n"
    )
    declare(bench, url)
    done = subprocess.run(
        [sys.executable, "-c", STREAM, str(bench.root)],
        capture_output=True,
        text=True,
        check=True,
        cwd=Path(__file__).parents[2],
    )
    # DuckDB draws a bar for whoever runs by `-c`: that is taken for a person at a prompt.
    records, megabytes = map(int, done.stdout.split()[-2:])
    assert records == 2_000_002
    assert megabytes < 900
