"""A version is published whole or not at all."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, date, datetime

import duckdb
import pytest

from cohorte.errors import CohorteError
from cohorte.i18n import translator
from cohorte.said import told
from cohorte.sources import Source
from cohorte.warehouse import (
    connect_reader,
    connect_work,
    list_versions,
    served_version,
    set_served,
    version_path,
)
from cohorte.workspace import open_workspace
from pipelines import publish as publishing
from pipelines.gates import dbt_gate, reconciliation_gate, rejects_gate
from pipelines.publish import Publication, publish, published_hashes
from pipelines.standing import table_hash

PUBLICATION = Publication("run-1", date(2026, 11, 20), datetime(2026, 11, 21, 5, tzinfo=UTC))

MARTS = """
create schema if not exists marts;
create or replace table marts.customers as select range as customer_id from range(5);
create or replace table marts.orders as
    select 'o' || range as order_id, 'c' || range as customer_id from range(3);
create or replace table marts.order_lines as from marts.orders;
create or replace table marts.leads as select 1 as lead_id where false;
create or replace table marts.kpi_daily as
    select 'net_revenue' as kpi_id, 12.34::decimal(38,4) as value;
create or replace table marts.source_quality as select now() as loaded_at;
create or replace table marts.reconciliation as
    select 'shop' as source, 'orders' as measure, 3 as source_value, 3 as published_value,
        0 as difference;
"""


@pytest.fixture
def workspace(tmp_path):
    (tmp_path / "cohorte.yml").write_text("company: Test\nkeep_versions: 2\n", encoding="utf-8")
    opened = open_workspace(tmp_path)
    opened.make_folders()
    return opened


@pytest.fixture
def work(workspace):
    with closing(duckdb.connect(str(workspace.raw_path))) as raw:
        raw.execute(
            "create table files as select 'shop' as source, 100 as records, 2 as rejected,"
            " 'loaded' as status"
        )
    with closing(connect_work(workspace)) as connection:
        connection.execute(MARTS)
        yield connection


def test_a_mart_that_is_a_view_of_published_tables_stays_one_and_takes_no_room(workspace, work):
    work.execute(
        "create view marts.big_orders as (select order_id from work.marts.orders as o"
        " where o.order_id > 'o0')"
    )
    work.execute("create schema staging")
    work.execute("create table staging.names as select 'Anne' as name")
    work.execute("create view marts.people as select name from staging.names")
    info = publish(workspace, work, PUBLICATION)
    with closing(connect_reader(version_path(workspace, info.version))) as served:
        assert served.execute("select count(*) from big_orders").fetchall() == [(2,)]
        assert served.execute("select name from people").fetchall() == [("Anne",)]
        views = "select view_name from duckdb_views() where not internal"
        assert served.execute(views).fetchall() == [("big_orders",)]
    assert "people" in info.tables


def test_a_version_holds_the_marts_and_says_what_it_is(workspace, work):
    info = publish(workspace, work, PUBLICATION)
    assert (info.version, info.key_figures["net_revenue"]) == ("v1", "12.3400")
    assert served_version(workspace) == info
    with closing(connect_reader(version_path(workspace, "v1"))) as reader:
        assert reader.execute("select count(*) from orders").fetchall() == [(3,)]
        assert reader.execute("select version, company from version_info").fetchall() == [
            ("v1", "Test")
        ]


def test_the_same_content_has_the_same_hashes_in_any_order_of_rows(workspace, work):
    first = publish(workspace, work, PUBLICATION)
    work.execute("create or replace table marts.orders as from marts.orders order by order_id desc")
    second = publish(workspace, work, PUBLICATION)
    assert published_hashes(first) == published_hashes(second)
    assert "source_quality" not in second.tables
    work.execute("update marts.orders set order_id = 'other' where order_id = 'o1'")
    assert published_hashes(publish(workspace, work, PUBLICATION)) != published_hashes(first)


def test_a_row_twice_is_not_the_row_once(work):
    once = table_hash(work, "marts.orders")
    work.execute("insert into marts.orders from marts.orders")
    assert table_hash(work, "marts.orders").hash != once.hash


@pytest.mark.parametrize("moment", ["_verify", "_flush", "sha256_of", "set_served"])
def test_a_failure_on_the_way_leaves_the_version_served(workspace, work, monkeypatch, moment):
    publish(workspace, work, PUBLICATION)

    def fail(*_arguments):
        raise OSError("disk full")

    with monkeypatch.context() as patch:
        patch.setattr(publishing, moment, fail)
        with pytest.raises(OSError, match="disk full"):
            publish(workspace, work, PUBLICATION)
    assert served_version(workspace).version == "v1"
    info = publish(workspace, work, PUBLICATION)
    assert served_version(workspace) == info
    assert not list(workspace.build_dir.iterdir())


def test_old_versions_go_but_never_the_one_served(workspace, work):
    for _ in range(3):
        publish(workspace, work, PUBLICATION)
    assert [info.version for info in list_versions(workspace)] == ["v3", "v2"]
    set_served(workspace, "v2")
    publish(workspace, work, PUBLICATION)
    publish(workspace, work, PUBLICATION)
    assert served_version(workspace).version == "v5"
    assert [info.version for info in list_versions(workspace)] == ["v5", "v4"]


def test_a_reader_keeps_its_version_while_another_is_published(workspace, work):
    publish(workspace, work, PUBLICATION)
    with closing(connect_reader(version_path(workspace, "v1"))) as reader:
        work.execute("delete from marts.orders")
        publish(workspace, work, PUBLICATION)
        assert reader.execute("select count(*) from orders").fetchall() == [(3,)]


def test_a_file_that_reads_back_short_is_not_served(workspace, work, monkeypatch):
    def twice(connection, table):
        info = table_hash(connection, table)
        return info.model_copy(update={"rows": info.rows + 1})

    monkeypatch.setattr(publishing, "content_hash", twice)
    with pytest.raises(CohorteError, match="reads back"):
        publish(workspace, work, PUBLICATION)
    assert served_version(workspace) is None


def test_a_total_that_does_not_tie_closes_the_gate(work):
    assert reconciliation_gate(work).passed
    work.execute("update marts.reconciliation set published_value = 2, difference = 1")
    gate = reconciliation_gate(work)
    assert not gate.passed
    assert "shop orders: source 3, published 2" in gate.detail
    assert told(gate.detail, translator("fr")) == "shop orders : source 3, publié 2"


@pytest.mark.parametrize(("limit", "passed"), [(0.05, True), (0.02, True), (0.01, False)])
def test_rejects_over_a_sources_limit_close_the_gate(workspace, work, limit, passed):
    feed = {"feed": "a", "files": "a.csv", "entities": {}}
    source = Source(source="shop", reject_limit=limit, feeds=[feed])
    assert rejects_gate(work, workspace.settings, [source]).passed is passed


def test_a_failed_test_of_dbt_closes_the_gate():
    assert dbt_gate([]).passed
    assert not dbt_gate(["assert_x fail: 3 rows"]).passed


def test_a_large_table_is_written_in_the_order_of_its_customers_range_by_range(
    workspace, work, monkeypatch
):
    monkeypatch.setattr(publishing, "SORTED_ROWS", 1_000)
    work.execute(
        "create or replace table marts.carts as select range as cart_id,"
        " case when range % 50 > 0 then 'C' || lpad((hash(range) % 97)::varchar, 3, '0') end"
        " as customer_id from range(10500)"
    )
    expected = table_hash(work, "marts.carts")
    info = publish(workspace, work, PUBLICATION)
    with closing(connect_reader(version_path(workspace, info.version))) as reader:
        assert table_hash(reader, "carts") == expected
        found = [row[0] for row in reader.execute("select customer_id from carts").fetchall()]
    known = [each for each in found if each is not None]
    assert known == sorted(known)
    assert len(found) - len(known) == 210
