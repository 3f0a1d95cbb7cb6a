"""People's decisions, from the command line to the customers and back."""

from __future__ import annotations

from contextlib import closing
from datetime import UTC, datetime

import duckdb
import pytest
from typer.testing import CliRunner

from flows import identity_cli
from flows.run import RunOptions, new_context
from flows.stations import run_station
from models.identity.resolution import map_path
from tests.support.workspaces import small_shop

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    workspace = small_shop(tmp_path_factory.mktemp("shop"))
    workspace.make_folders()
    context = new_context(workspace, RunOptions(), NOW)
    try:
        for station in ("ingest", "stage"):
            run_station(context, station)
    finally:
        context.close()
    return workspace


def identify(workspace):
    context = new_context(workspace, RunOptions(only="identify"), NOW)
    result = run_station(context, "identify")
    with closing(duckdb.connect(str(workspace.work_path), read_only=True)) as work:
        ids = work.execute("select contact_id, customer_id from identity.identity_map").fetchall()
    return dict(ids), result


def call(workspace, *words):
    result = CliRunner().invoke(identity_cli.app, [*words, "-w", str(workspace.root)])
    assert result.exit_code == 0, result.output
    return result.output


def test_a_decision_is_applied_explained_and_taken_back(shop):
    before, result = identify(shop)
    assert (result.rows_in, result.rows_out) == (4, 3)
    assert "exact links alone" in result.messages[0]
    assert before["M1"] == before["M3"]

    assert "decision 1 is kept" in call(shop, "merge", "shop:M1", "shop:M4")
    assert "decision 2 is kept" in call(shop, "unmerge", "shop:M1", "shop:M3")
    after, _ = identify(shop)
    assert after["M1"] == after["M4"] != after["M3"]
    retired = next(old for old in before.values() if old not in after.values())
    told = call(shop, "explain", retired)
    assert f"merged into {after['M1']}" in told
    assert "declared" in told
    assert "kept_apart" in told
    assert '"declared": 2' in call(shop, "report", "--as-json")

    call(shop, "withdraw", "1")
    call(shop, "withdraw", "2")
    again, _ = identify(shop)
    assert again == before


def test_the_map_of_ids_outlives_the_work_database(shop):
    before, _ = identify(shop)
    with closing(duckdb.connect(str(map_path(shop)), read_only=True)) as ids:
        rows = ids.execute("select count(*) from identity_map where valid_to is null").fetchall()
    assert rows == [(4,)]
    assert identify(shop)[0] == before


def test_a_record_that_is_not_there_is_refused(shop):
    identify(shop)
    result = CliRunner().invoke(
        identity_cli.app, ["merge", "shop:M1", "shop:M9", "-w", str(shop.root)]
    )
    assert result.exit_code != 0
    assert "M9" in str(result.exception)


def test_training_on_too_little_says_so(shop):
    identify(shop)
    result = CliRunner().invoke(identity_cli.app, ["train", "-w", str(shop.root)])
    assert result.exit_code == 1
    assert "too few to learn from" in result.output
