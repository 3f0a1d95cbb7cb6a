"""People's decisions, from the command line to the customers and back."""

from __future__ import annotations

import json
from contextlib import closing
from datetime import UTC, datetime

import duckdb
import pytest
from typer.testing import CliRunner

from cohorte.store import open_store
from cohorte.workspace import open_workspace
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
    accounts = CliRunner().invoke(identity_cli.app, ["train", "--accounts", "-w", str(shop.root)])
    assert accounts.exit_code == 1
    assert "pairs of accounts state one number, 50 are needed to learn from" in accounts.output


@pytest.fixture
def corrected(tmp_path):
    """A shop that declares how names and addresses are chosen."""
    workspace = small_shop(tmp_path / "shop")
    workspace.make_folders()
    settings = workspace.root / "cohorte.yml"
    settings.write_text(
        settings.read_text(encoding="utf-8")
        + "identity:\n  survivorship: {name: most_complete, address: most_frequent}\n",
        encoding="utf-8",
    )
    return open_workspace(workspace.root)


def run_to_customers(workspace):
    context = new_context(workspace, RunOptions(), NOW)
    try:
        for station in ("ingest", "stage", "identify", "unify"):
            run_station(context, station)
        assert not context.dbt_failures
    finally:
        context.close()
    with closing(duckdb.connect(str(workspace.work_path), read_only=True)) as work:
        work.execute("use marts")
        rows = work.execute(
            "select full_name, email, email_source, city, name_source from customers"
            " where customer_id = (select customer_id from identities where contact_id = 'M3')"
        )
        names = [column[0] for column in rows.description]
        return dict(zip(names, rows.fetchall()[0], strict=True))


def test_a_correction_rules_over_the_sources_and_outlives_a_reload(corrected):
    with open_store(corrected.store_url) as store:
        (made, *_) = store.correct(
            ("shop", "M1"), {"email": "anne@new.example", "city": "Lille"}, who="a test", at=NOW
        )
        assert [held.field for held in store.list_corrections()] == ["email", "city"]
    found = run_to_customers(corrected)
    assert (found["email"], found["email_source"], found["city"]) == (
        "anne@new.example", "correction", "Lille",
    )  # fmt: skip
    assert found["full_name"].lower() == "anne martin"
    members = next(corrected.inbox_dir.glob("members*.csv"))
    changed = members.read_text(encoding="utf-8").replace("75011;Paris", "75012;Paris")
    members.with_name("members_2.csv").write_text(changed, encoding="utf-8")
    with open_store(corrected.store_url) as store:
        store.withdraw_correction(store.list_corrections()[1].correction_id, who="a test", at=NOW)
    found = run_to_customers(corrected)
    assert (found["email"], found["city"].lower()) == ("anne@new.example", "paris")
    assert made.field == "email"


def test_a_simulation_says_what_a_run_then_does(shop):
    before, _ = identify(shop)
    told = json.loads(
        call(shop, "simulate", "--without", "email", "--weight", "email=0", "--as-json")
    )
    assert told["figures"]["customers"] == [3, 4]
    assert (told["splits"], told["merges"]) == (1, 0)
    assert {row[3] for row in told["split_samples"][0]} == {"M1", "M3"}
    assert identify(shop)[0] == before

    settings = shop.root / "cohorte.yml"
    kept = settings.read_text(encoding="utf-8")
    keys = "[person_id, external_id, loyalty_number, phone]"
    settings.write_text(f"{kept}identity: {{exact_keys: {keys}}}\n", encoding="utf-8")
    after, _ = identify(open_workspace(shop.root))
    moved = {contact for contact in before if before[contact] != after[contact]}
    assert len(set(after.values())) == told["figures"]["customers"][1]
    assert len(moved) == told["records_moved"]
    settings.write_text(kept, encoding="utf-8")
    assert identify(open_workspace(shop.root))[0] == before


def test_identity_runs_by_itself(shop):
    assert "4 records, 3 customers" in call(shop, "run")
    assert "4 records, 3 customers" in call(shop, "run", "--accept-changes")


def test_a_correction_that_cannot_be_is_refused(shop):
    identify(shop)
    for words, told in (
        (["shop:M1", "shoe_size=41"], "shoe_size"),
        (["shop:M1", "birth_date=31/02/1980"], "not a date"),
        (["shop:M1", "email=nobody"], "not an e-mail"),
        (["shop:M1", "phone=12"], "not a phone number"),
        (["shop:M9", "city=Lille"], "M9"),
    ):
        result = CliRunner().invoke(identity_cli.app, ["correct", *words, "-w", str(shop.root)])
        assert result.exit_code != 0
        assert told in str(result.exception)
    call(shop, "correct", "shop:M1", "city=Lille", "phone=06 12 34 56 78")
    with open_store(shop.store_url) as store:
        kept = {held.field: held.value for held in store.list_corrections()}
    assert kept == {"city": "Lille", "phone": "+33612345678"}


def test_accounts_are_decided_apart_from_people(shop):
    identify(shop)
    with closing(duckdb.connect(str(shop.work_path))) as work:
        work.execute("""
            insert into identity.organisations
            values ('crm', 'A1', 'O1', 'single'), ('erp', 'A9', 'O2', 'single')
        """)
    assert "is kept" in call(shop, "merge", "crm:A1", "erp:A9", "--accounts")
    with open_store(shop.store_url) as store:
        (decision,) = store.list_identity_decisions("organisation")
        assert (decision.contact_a, decision.contact_b, decision.verdict) == ("A1", "A9", "same")
        assert "A9" not in {held.contact_b for held in store.list_identity_decisions()}
    refused = CliRunner().invoke(
        identity_cli.app, ["merge", "crm:A1", "erp:A9", "-w", str(shop.root)]
    )
    assert refused.exit_code
