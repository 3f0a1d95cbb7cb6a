"""Two real companies: the figures that are known of them come out.

A slice of each always, the whole under the marker ``full``. Figures: ``../shared/data/README.md``.
"""

from __future__ import annotations

import random
import shutil
from contextlib import closing
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pytest

from cohorte.warehouse import open_served
from cohorte.workspace import make_workspace
from flows.run import RunOptions, execute, new_context
from pipelines.publish import published_hashes

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)


def run(workspace):
    report = execute(new_context(workspace, RunOptions(), NOW), RunOptions())
    assert report.error is None, report.message
    return report


def ask(workspace, sql):
    _, connection = open_served(workspace)
    with closing(connection):
        return connection.execute(sql).fetchall()


def slice_of_olist(origin: Path, target: Path, share: int) -> None:
    """The files with every ``share``-th person's orders, whole in themselves."""
    target.mkdir()
    with closing(duckdb.connect()) as connection:

        def copy(name, where="true"):
            connection.execute(
                f"copy (select * from read_csv('{origin / name}.csv', all_varchar = true)"
                f" where {where}) to '{target / name}.csv' (header)"
            )

        people = f"hash(customer_unique_id) % {share} = 0"
        customers = (
            f"select customer_id from read_csv('{origin / 'olist_customers_dataset'}.csv',"
            f" all_varchar = true) where {people}"
        )
        orders = (
            f"select order_id from read_csv('{origin / 'olist_orders_dataset'}.csv',"
            f" all_varchar = true) where customer_id in ({customers})"
        )
        copy("olist_customers_dataset", people)
        copy("olist_orders_dataset", f"customer_id in ({customers})")
        for name in ("order_items", "order_payments"):
            copy(f"olist_{name}_dataset", f"order_id in ({orders})")
        copy("olist_order_reviews_SAMPLE", f"order_id in ({orders})")
    for path in origin.iterdir():
        if not (target / path.name).exists() and "geolocation" not in path.name:
            shutil.copyfile(path, target / path.name)
    with closing(duckdb.connect()) as connection:
        name = "olist_geolocation_dataset.parquet"
        connection.execute(
            f"copy (select * from '{origin / name}' using sample 1 percent (system, 7))"
            f" to '{target / name}'"
        )


def test_a_slice_of_olist_ties_to_its_files(shared_data, tmp_path):
    slice_of_olist(shared_data / "olist", tmp_path / "files", 50)
    workspace = make_workspace(tmp_path / "olist", "olist", tmp_path / "files")
    run(workspace)
    with closing(duckdb.connect()) as connection:

        def count(name, what):
            path = tmp_path / "files" / f"olist_{name}_dataset.csv"
            return connection.execute(
                f"select {what} from read_csv('{path}', all_varchar = true)"
            ).fetchall()

        assert ask(workspace, "select count(*) from customers") == count(
            "customers", "count(distinct customer_unique_id)"
        )
        assert ask(workspace, "select count(*) from orders") == count("orders", "count(*)")
        assert ask(workspace, "select count(*) from order_lines") == count(
            "order_items", "count(*)"
        )
        assert ask(workspace, "select sum(amount) from payments") == count(
            "order_payments", "sum(payment_value::decimal(18, 2))"
        )
        assert ask(workspace, "select sum(net_amount) from order_lines") == count(
            "order_items", "sum(price::decimal(18, 2))"
        )
    assert ask(workspace, "select count(*), count(*) filter (is_converted) from leads") == [
        (8000, 842)
    ]


@pytest.mark.full
def test_the_whole_of_olist(shared_data, tmp_path):
    workspace = make_workspace(tmp_path / "olist", "olist", shared_data / "olist")
    run(workspace)
    assert ask(workspace, "select count(*) from identities") == [(99_441,)]
    assert ask(workspace, "select count(*) from customers") == [(96_096,)]
    assert ask(workspace, "select count(*) from orders") == [(99_441,)]
    assert ask(workspace, "select count(*) from order_lines") == [(112_650,)]
    assert ask(workspace, "select sum(amount) from payments") == [(Decimal("16008872.12"),)]
    assert ask(workspace, "select count(*) from orders where status = 'delivered'") == [(96_478,)]
    assert ask(
        workspace,
        "select count(*) from (select customer_id from orders group by 1 having count(*) > 1)",
    ) == [(2_997,)]
    assert ask(workspace, "select count(*) from leads") == [(8_000,)]
    assert ask(workspace, "select count(*) from opportunities") == [(842,)]
    placed = ask(workspace, "select count(latitude) / count(*) from customers")[0][0]
    assert placed > 0.99


DAYS = ("2010-12-01", "2010-12-02", "2010-12-03", "2010-12-05")


def slice_of_online_retail(origin: Path, target: Path) -> None:
    """Four days, and of the year before the same four: every line of these is delivered twice."""
    (target / "by-day").mkdir(parents=True)
    for day in DAYS:
        shutil.copyfile(origin / "by-day" / f"{day}.csv", target / "by-day" / f"{day}.csv")
    name = "online_retail_II_year2009_2010.parquet"
    with closing(duckdb.connect()) as connection:
        connection.execute(
            f"copy (select * from '{origin / name}' where InvoiceDate::date between"
            f" '2010-11-29' and '2010-12-05') to '{target / name}'"
        )


def test_a_slice_of_online_retail_counts_a_double_delivery_once(shared_data, tmp_path):
    origin = shared_data / "online_retail"
    slice_of_online_retail(origin, tmp_path / "files")
    workspace = make_workspace(tmp_path / "both", "online_retail", tmp_path / "files")
    both = run(workspace)
    with closing(duckdb.connect()) as connection:
        earlier = connection.execute(
            f"select count(*) from '{tmp_path}/files/*.parquet' where InvoiceDate < '2010-12-01'"
        ).fetchall()[0][0]
        days = connection.execute(
            f"select count(*) from read_csv('{tmp_path}/files/by-day/*.csv')"
        ).fetchall()[0][0]
    assert ask(workspace, "select count(*) from order_lines") == [(earlier + days,)]
    assert ask(workspace, "select count(*) from orders where customer_id is null")[0][0] > 0
    assert both.stations[0].rows_in > earlier + days

    (tmp_path / "drop" / "by-day").mkdir(parents=True)
    piecemeal = make_workspace(tmp_path / "days", "online_retail", tmp_path / "drop")
    files = sorted(path for path in (tmp_path / "files").rglob("*") if path.is_file())
    random.Random(7).shuffle(files)
    for path in files[:2], files[2:]:
        for file in path:
            shutil.copyfile(file, tmp_path / "drop" / file.relative_to(tmp_path / "files"))
        last = run(piecemeal)
    for file in files:
        again = file.with_name(f"again_{file.name}")
        target = tmp_path / "drop" / again.relative_to(tmp_path / "files")
        shutil.copyfile(file, target)
    twice = run(piecemeal)
    assert published_hashes(last.version) == published_hashes(both.version)
    assert published_hashes(twice.version) == published_hashes(both.version)


@pytest.mark.full
def test_the_whole_of_online_retail_in_any_order_twice_over(shared_data, tmp_path):
    origin = shared_data / "online_retail"
    workspace = make_workspace(tmp_path / "once", "online_retail", origin)
    once = run(workspace)
    assert ask(workspace, "select count(*) from order_lines") == [(1_044_847,)]
    assert ask(workspace, "select count(*) from customers") == [(5_942,)]
    assert ask(workspace, "select count(*) from orders") == [(53_628,)]
    assert ask(workspace, "select count(*) from customers where full_name like '%?%'") == [(0,)]

    drop = tmp_path / "drop"
    (drop / "by-day").mkdir(parents=True)
    piecemeal = make_workspace(tmp_path / "days", "online_retail", drop)
    files = [*sorted((origin / "by-day").glob("*.csv")), *origin.glob("*.parquet")]
    random.Random(7).shuffle(files)
    for begin in range(0, len(files), 62):
        for file in files[begin : begin + 62]:
            shutil.copyfile(file, drop / file.relative_to(origin))
        last = run(piecemeal)
    assert published_hashes(last.version) == published_hashes(once.version)
