"""Features of a day past are the mart's own SQL, and nothing that came later enters them."""

from __future__ import annotations

import shutil
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import duckdb
import pytest

from models.asof import MARK, CustomersAt
from models.leads.features import read_leads
from tests.dbt.lab import AS_OF, Lab, Outcome

Rows = list[tuple[Any, ...]]
DAY = AS_OF - timedelta(days=200)
TIME_ZONE = "Europe/Paris"


@pytest.fixture(scope="module")
def sql(lab: Lab, company: Outcome) -> str:
    """`customer_features` rendered for the day that stands for any."""
    shutil.copyfile(company.work_path, lab.work_path)
    shutil.copyfile(company.raw_path, lab.raw_path)
    return lab.session.compile("customer_features", MARK)


@pytest.fixture
def work(company: Outcome, tmp_path: Path) -> Path:
    """The company's marts, all of them tables, so that they can be written to."""
    path = tmp_path / "work.duckdb"
    shutil.copyfile(company.work_path, path)
    with duckdb.connect(str(path)) as con:
        con.execute(f"attach '{company.raw_path}' as raw (read_only)")
        views = con.sql(
            "select view_name from duckdb_views() where schema_name = 'marts'"
        ).fetchall()
        for (view,) in views:
            con.execute(f"create table marts.{view}_rows as from marts.{view}")
            con.execute(f"drop view marts.{view}")
            con.execute(f"alter table marts.{view}_rows rename to {view}")
    return path


def features(path: Path, sql: str, day: date) -> Rows:
    with duckdb.connect(str(path)) as con:
        customers = CustomersAt(con, sql, TIME_ZONE)
        return con.sql(f"from {customers.relation(day)} order by all").fetchall()


def test_a_day_past_and_today_read_the_same_sql(
    lab: Lab, company: Outcome, sql: str, work: Path
) -> None:
    assert sql.replace(MARK.isoformat(), DAY.isoformat()) == lab.session.compile(
        "customer_features", DAY
    )
    today = company.rows("from customer_features")
    known = set(features(work, sql, AS_OF))
    assert known <= set(today)
    left_out = [row for row in today if row not in known]
    assert all(row[3] is None for row in left_out), "only people without an order are unknown"


def test_facts_dated_after_the_day_change_no_feature(sql: str, work: Path) -> None:
    before = features(work, sql, DAY)
    assert before, "somebody is known on the day"
    with duckdb.connect(str(work)) as con:
        for table, day in (
            ("orders", "order_date"),
            ("order_lines", "order_date"),
            ("interactions", "interaction_date"),
            ("surveys", "answered_at::date"),
            ("carts", "created_at::date"),
        ):
            con.execute(f"delete from marts.{table} where {day} > ?", [DAY + timedelta(days=1)])
        con.execute(
            "update marts.carts set is_abandoned = true, order_id = null"
            " where order_id not in (select order_id from marts.orders)"
        )
    assert features(work, sql, DAY) == before


def test_facts_added_after_the_day_change_no_feature(sql: str, work: Path) -> None:
    before = features(work, sql, DAY)
    later = DAY + timedelta(days=1)
    with duckdb.connect(str(work)) as con:
        con.execute(
            "insert into marts.orders by name select * replace ('late' as order_id, ? as"
            " order_date, ?::timestamp + interval 12 hour as ordered_at) from marts.orders",
            [later, later],
        )
        con.execute(
            "insert into marts.interactions by name select * replace (? as interaction_date,"
            " ?::timestamp + interval 12 hour as occurred_at) from marts.interactions",
            [later, later],
        )
    assert features(work, sql, DAY) == before


def test_what_was_delivered_later_was_not_known_then(sql: str, work: Path) -> None:
    with duckdb.connect(str(work)) as con:
        [(source, order_id, customer)] = con.execute(
            "select source, order_id, customer_id from marts.orders where is_order"
            " and customer_id is not null and order_date <= ? order by order_date desc limit 1",
            [DAY],
        ).fetchall()
        con.execute("create schema if not exists segments")
        con.execute(
            "create or replace table segments.late_facts"
            " (entity varchar, source varchar, record_id varchar, loaded_date date)"
        )
        con.execute(
            "insert into segments.late_facts values ('orders', $source, null, $first),"
            " ('orders', $source, $order, $late)",
            {
                "source": source,
                "order": order_id,
                "first": DAY - timedelta(days=30),
                "late": DAY + timedelta(days=9),
            },
        )

    def at(day: date, *, known_then: bool = True) -> Rows:
        with duckdb.connect(str(work)) as con:
            customers = CustomersAt(con, sql, TIME_ZONE)
            found = con.sql(
                f"from {customers.relation(day, known_then=known_then)} order by all"
            ).fetchall()
            customers.close()
            left = con.sql("select table_name from duckdb_tables() where temporary").fetchall()
            assert not [name for (name,) in left if name.startswith(("customers_", "late_"))]
            return found

    then, whole = at(DAY), at(DAY, known_then=False)
    assert {row[0] for row in set(whole) - set(then)} == {customer}
    assert at(DAY + timedelta(days=9)) == at(DAY + timedelta(days=9), known_then=False)
    before = DAY - timedelta(days=31)
    assert at(before) == at(before, known_then=False), "history counts by the days it bears"
    with duckdb.connect(str(work)) as con:
        for table in ("orders", "order_lines"):
            con.execute(
                f"delete from marts.{table} where source = ? and order_id = ?", [source, order_id]
            )
        con.execute(
            "delete from marts.interactions where source = ? and record_id = ?"
            " and kind in ('order', 'return')",
            [source, order_id],
        )
    assert at(DAY, known_then=False) == then


def test_of_a_lead_counts_what_had_been_delivered_when_it_was(
    lab: Lab, sql: str, work: Path
) -> None:
    """Lead l2 came in on 2 May and became an opportunity on 12 May."""
    select = lab.session.compile("lead_features", AS_OF)
    before = "source = 'shop' and customer_id = (select customer_id from marts.leads"
    before += " where lead_id = 'l2')"
    with duckdb.connect(str(work)) as con:
        [(order_id,)] = con.execute(
            f"select max(order_id) from marts.orders where is_order and {before}"
            " and ordered_at < timestamp '2026-05-01'"
        ).fetchall()
        con.execute(
            "insert into marts.interactions by name select * replace ('visit' as record_id,"
            " 'web_visit' as kind, timestamp '2026-05-01 10:00' as occurred_at,"
            " date '2026-05-01' as interaction_date) from marts.interactions"
            f" where {before} limit 1"
        )

    def lead(**delivered: tuple[str, str]) -> dict[str, Any]:
        """What is known of the lead when records came late, each an entity's, by their days."""
        with duckdb.connect(str(work)) as con:
            con.execute("delete from segments.late_facts")
            for entity, (record, day) in delivered.items():
                con.execute(
                    "insert into segments.late_facts values ($1, 'shop', null, '2026-01-01'),"
                    " ($1, 'shop', $2, $3)",
                    [entity, record, day],
                )
            found = con.execute(f"from ({select}) where lead_id = 'l2'")
            names = [column[0] for column in found.description]
            return dict(zip(names, found.fetchall()[0], strict=True))

    counts = ("orders_count_before", "web_visits_90d_before")
    whole, order, visit = lead(), (str(order_id), "2026-05-09"), ("visit", "2026-05-03")
    assert whole["known_at"] == whole["created_at"]
    assert whole["conversion_known_at"] == whole["converted_at"]
    late = lead(orders=order, web_events=visit, opportunities=("d1", "2026-06-20"))
    assert [whole[name] - late[name] for name in counts] == [1, 1]
    assert late["conversion_known_at"] == datetime(2026, 6, 20, 22)  # noqa: DTZ001
    assert late["converted_at"] == whole["converted_at"], "the outcome is told from what came since"
    together = lead(leads=("l2", "2026-05-03"), orders=order, web_events=visit)
    assert [whole[name] - together[name] for name in counts] == [1, 0]
    assert together["known_at"] == datetime(2026, 5, 3, 22)  # noqa: DTZ001
    with duckdb.connect(str(work)) as con:
        con.execute("delete from marts.orders where order_id = ? and source = 'shop'", [order_id])
        con.execute("delete from marts.interactions where record_id = 'visit'")
    without = lead(opportunities=("d1", "2026-06-20"))
    assert without == late, "what came later is as if it did not exist"

    with duckdb.connect(str(work)) as con:
        lead(leads=("l2", "2026-05-03"), opportunities=("d1", "2026-06-20"))
        con.execute("create schema if not exists told")
        con.execute(f"create table told.features as {select}")

        def known(day: date) -> list[tuple[str, bool]]:
            moment = float((day - date(1970, 1, 1)).days) + 22 / 24
            leads = read_leads(con, moment, table="told.features")
            return list(zip(leads.frame["lead_id"], leads.is_converted.tolist(), strict=True))

        assert known(date(2026, 5, 2)) == [("l1", False)]
        assert known(date(2026, 5, 3)) == [("l1", False), ("l2", False)]
        assert known(date(2026, 6, 19)) == [("l1", False), ("l2", False)]
        assert known(date(2026, 6, 20)) == [("l1", False), ("l2", True)]


def test_a_cart_ordered_later_was_abandoned_until_then(sql: str, work: Path) -> None:
    with duckdb.connect(str(work)) as con:
        [(customer, source, order_id, ordered)] = con.execute(
            "select customer_id, source, order_id, order_date from marts.orders"
            " where customer_id is not null and is_order order by order_date desc limit 1"
        ).fetchall()
        con.execute("delete from marts.carts")
        con.execute(
            "insert into marts.carts by name select ? as source, 'cart' as cart_id,"
            " ? as customer_id, ?::timestamp - interval 10 day as created_at,"
            " false as is_abandoned, ? as order_id",
            [source, customer, ordered, order_id],
        )

    def is_abandoned(day: date) -> bool:
        with duckdb.connect(str(work)) as con:
            relation = CustomersAt(con, sql, TIME_ZONE).relation(day)
            [(found,)] = con.execute(
                f"select has_abandoned_cart_30d from {relation} where customer_id = ?", [customer]
            ).fetchall()
        return bool(found)

    assert is_abandoned(ordered - timedelta(days=2))
    assert not is_abandoned(ordered)
