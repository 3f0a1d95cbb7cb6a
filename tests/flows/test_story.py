"""A small company from its files to a published version, end to end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from cohorte.errors import GateError
from cohorte.store import open_store
from cohorte.warehouse import open_served, served_version
from flows import run as running
from flows.run import RunOptions, execute, new_context
from flows.stations import STATIONS
from pipelines.publish import published_hashes
from tests.support.workspaces import MEMBERS, ORDERS, small_shop

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
SAMPLED = ("publish",)


def run(workspace, **options):
    asked = RunOptions(**options)
    return execute(new_context(workspace, asked, NOW), asked)


def ask(workspace, sql):
    _, connection = open_served(workspace)
    with closing(connection):
        return connection.execute(sql).fetchall()


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    workspace = small_shop(tmp_path_factory.mktemp("shop"))
    report = run(workspace)
    assert report.error is None, report.message
    return workspace, report


def test_every_station_tells_its_rows(shop):
    _, report = shop
    assert [station.station for station in report.stations] == list(STATIONS)
    ingest = report.stations[0]
    assert (ingest.rows_in, ingest.accepted, ingest.rejected) == (10, 10, 0)
    assert all(station.seconds > 0 for station in report.stations)


def test_four_cards_are_three_people_by_the_email_they_share(shop):
    workspace, _ = shop
    assert ask(workspace, "select count(*) from customers") == [(3,)]
    assert ask(
        workspace,
        "select count(distinct customer_id) from identities where contact_id in ('M1', 'M3')",
    ) == [(1,)]


def test_revenue_is_of_the_days_up_to_the_one_looked_from(shop):
    workspace, _ = shop
    total = ask(workspace, "select sum(value) from kpi_daily where kpi_id = 'net_revenue'")
    assert total == [(Decimal("88.5"),)]
    assert ask(workspace, "select order_date from orders where order_id = 'T2'") == [
        (date(2026, 10, 31),)
    ]
    assert ask(workspace, "select sum(net_amount) from order_lines") == [(Decimal("1113.5"),)]


def test_a_sale_without_a_customer_is_nobodys(shop):
    workspace, _ = shop
    assert ask(workspace, "select customer_id from orders where order_id = 'T4'") == [(None,)]


def test_every_buyer_has_a_named_segment_and_the_others_are_prospects(shop):
    workspace, _ = shop
    assert ask(workspace, "select count(*) from rfm where rfm_segment = 'prospect'") == [(1,)]
    assert ask(workspace, "select count(*) from rfm where rfm_segment is null") == [(0,)]


def test_consent_follows_the_person_and_absence_means_no(shop):
    workspace, _ = shop
    assert ask(
        workspace,
        "select first_name, is_contactable_email from customer_profiles order by 1",
    ) == [("Anne", True), ("Bruno", False), ("Zoé", False)]


def test_the_run_is_recorded(shop):
    workspace, report = shop
    newest = open_store(workspace.store_url).list_runs()[-1]
    assert (newest.run_id, newest.status, newest.version) == (report.run_id, "succeeded", "v1")
    assert len(newest.stations) == len(STATIONS)


def test_running_again_changes_nothing(shop):
    workspace, report = shop
    again = run(workspace)
    assert again.version == report.version
    assert [(station.rows_in, station.rows_out) for station in again.stations[1:-1]] == [
        (station.rows_in, station.rows_out) for station in report.stations[1:-1]
    ]
    assert again.stations[0].rows_in == 0
    assert again.stations[-1].messages == ("nothing is new: v1 stays",)


@pytest.mark.full  # daily after a delivery, in test_incremental
def test_a_full_refresh_gives_the_same_hashes(shop):
    workspace, report = shop
    again = run(workspace, full_refresh=True)
    assert published_hashes(again.version) == published_hashes(report.version)


@pytest.mark.full  # daily of the models alone, in tests/dbt/test_builds
def test_deliveries_in_another_order_give_the_same_hashes(shop, tmp_path):
    _, report = shop
    header, *orders = ORDERS.splitlines(keepends=True)
    workspace = small_shop(tmp_path, orders=header + "".join(orders[3:]), members=MEMBERS)
    run(workspace)
    (workspace.inbox_dir / "orders_2.csv").write_text(header + "".join(orders[:3]), "cp1252")
    late = run(workspace)
    assert published_hashes(late.version) == published_hashes(report.version)


def test_a_dry_run_writes_nothing(tmp_path):
    workspace = small_shop(tmp_path)
    report = run(workspace, dry_run=True)
    assert (report.status, report.stations[0].rows_in) == ("succeeded", 10)
    assert not workspace.raw_path.exists()
    assert served_version(workspace) is None


def test_a_bad_file_is_told_and_the_rest_goes_on(tmp_path):
    workspace = small_shop(tmp_path)
    (workspace.inbox_dir / "orders_2.csv").write_bytes(b"Ticket;Carte\nT9;M1\n")
    report = run(workspace)
    assert report.version is not None
    told = "\n".join(report.stations[0].messages)
    assert "orders_2.csv" in told
    assert "Date" in told
    assert ask(workspace, "select count(*) from orders") == [(5,)]


def test_a_gate_that_fails_leaves_the_served_version(tmp_path, monkeypatch):
    workspace = small_shop(tmp_path)
    run(workspace)
    with (workspace.root / "cohorte.yml").open("a") as settings:
        settings.write("# With nothing new, nothing would be published.\n")
    from pipelines import gates

    monkeypatch.setattr(gates, "reconciliation_gate", lambda _: gates.Gate("totals", False, "no"))
    report = run(workspace)
    assert (report.status, report.version) == ("failed", None)
    assert isinstance(report.error, GateError)
    assert "the served version stays" in report.message
    assert served_version(workspace).version == "v1"
    newest = open_store(workspace.store_url).list_runs()[0]
    assert newest.status == "failed"


def test_an_unexpected_error_is_recorded_and_raised(tmp_path, monkeypatch):
    workspace = small_shop(tmp_path)

    def broken(_context, _name):
        raise RuntimeError("anne@example.com")

    monkeypatch.setattr(running, "run_station", broken)
    with pytest.raises(RuntimeError):
        run(workspace)
    newest = open_store(workspace.store_url).list_runs()[0]
    assert (newest.status, newest.message) == ("failed", "RuntimeError")


KILLED = """
import os, signal, sys
from datetime import UTC, datetime
from cohorte.workspace import open_workspace
from flows import stations
from flows.run import RunOptions, execute, new_context

name, moment = sys.argv[2:]
work = stations.STATIONS[name]

def killed(context):
    if moment == "after":
        work(context)
    os.kill(os.getpid(), signal.SIGKILL)

stations.STATIONS[name] = killed
options = RunOptions()
now = datetime(2026, 11, 21, 5, tzinfo=UTC)
execute(new_context(open_workspace(sys.argv[1]), options, now), options)
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
@pytest.mark.parametrize(
    ("station", "moment"),
    [
        pytest.param("ingest", "before", marks=pytest.mark.full),
        *(
            pytest.param(name, "after", marks=() if name in SAMPLED else pytest.mark.full)
            for name in STATIONS
        ),
    ],
)
def test_a_run_killed_at_a_station_loses_nothing(shop, tmp_path, station, moment):
    _, report = shop
    workspace = small_shop(tmp_path)
    child = subprocess.run(
        [sys.executable, "-c", KILLED, str(workspace.root), station, moment], check=False
    )
    assert child.returncode == -signal.SIGKILL
    served = served_version(workspace)
    assert (served.version if served else None) == (
        "v1" if (station, moment) == ("publish", "after") else None
    )
    after = run(workspace)
    assert published_hashes(after.version) == published_hashes(report.version)
    statuses = {row.status for row in open_store(workspace.store_url).list_runs()}
    assert statuses == {"succeeded", "interrupted"}
