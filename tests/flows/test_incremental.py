"""A run does what is new, and comes to what a build of everything comes to."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from cohorte.store import open_store
from cohorte.warehouse import open_served
from cohorte.workspace import Workspace, open_workspace
from flows import stations
from flows.run import RunOptions, RunReport, execute, new_context
from pipelines.dbt_session import DbtSession
from pipelines.publish import published_hashes
from tests.support.workspaces import ORDERS, small_shop

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
CRM = """
source: crm
feeds:
  - feed: people
    files: people_*.csv
    entities:
      contacts:
        mode: snapshot
        columns: {contact_id: id, full_name: name, email: mail, postcode: zip}
"""
HEADER = ORDERS.splitlines(keepends=True)[0]


class Done:
    """A run: what it reported, the dbt nodes it built or tested, the stations it went through."""

    def __init__(self, workspace: Workspace, **options: object) -> None:
        self.nodes: set[str] = set()
        self.stations: list[str] = []
        build = DbtSession.build

        def watched(session: DbtSession, select: str, **how: object):
            found = build(session, select, **how)  # type: ignore[arg-type]
            self.nodes |= {node.name for node in found if node.kind == "model"}
            return found

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(DbtSession, "build", watched)
            for name, station in stations.STATIONS.items():
                patch.setitem(stations.STATIONS, name, self._told(name, station))
            asked = RunOptions(**options)  # type: ignore[arg-type]
            opened = open_workspace(workspace.root)  # as a process of its own would
            self.report: RunReport = execute(new_context(opened, asked, NOW), asked)
        assert self.report.error is None, self.report.message

    def _told(self, name: str, station: stations.Station) -> stations.Station:
        def run(context: stations.RunContext) -> stations.StationResult:
            self.stations.append(name)
            return station(context)

        return run


@pytest.fixture(scope="module")
def shop(tmp_path_factory) -> Workspace:
    workspace = small_shop(tmp_path_factory.mktemp("shop"))
    (workspace.root / "sources" / "crm.yml").write_text(CRM, encoding="utf-8")
    people = "id,name,mail,zip\nP1,Zoé Durand,zoe@example.com,13001\nP2,Max Petit,,69003\n"
    deliver(workspace, "people_2026-01-01.csv", people)
    Done(workspace)
    return workspace


def deliver(workspace: Workspace, name: str, content: str) -> None:
    (workspace.inbox_dir / name).write_text(
        content, encoding="cp1252" if "order" in name else "utf-8"
    )


def copied(workspace: Workspace, folder: Path) -> Workspace:
    shutil.copytree(workspace.root, folder)
    return open_workspace(folder)


def numbers(workspace: Workspace) -> dict[str, int]:
    """What each customer goes by in the version served, in every table that says so."""
    _info, served = open_served(workspace)
    with served:
        told = [
            dict(served.execute(f"select customer_id, customer_number from {table}").fetchall())
            for table in ("customer_profiles", "customer_features")
        ]
    assert told[0] == told[1]
    assert sorted(told[0].values()) == list(range(len(told[0])))
    return told[0]


def by_id(workspace: Workspace) -> list[list[tuple[object, ...]]]:
    """The tables of the version served that know customers by number, with ids instead."""
    _info, served = open_served(workspace)
    with served:
        return [
            served.execute(
                f"select customer_id, known.* exclude (customer_number) from {table} as known"
                " left join customer_features using (customer_number) order by all"
            ).fetchall()
            for table in ("activities", "score_days")
        ]


def buyers(workspace: Workspace) -> set[str]:
    _info, served = open_served(workspace)
    with served:
        return {each for (each,) in served.execute("select customer_id from orders").fetchall()}


def decide(workspace: Workspace, verdict: str, *records: tuple[str, str]) -> None:
    one, other = records or (("shop", "M4"), ("shop", "M2"))
    with open_store(workspace.store_url) as store:
        store.decide_identity(one, other, verdict, who="anne", at=NOW)


def test_with_nothing_new_nothing_is_done(shop, monkeypatch):
    monkeypatch.setattr(DbtSession, "__enter__", None)
    again = Done(shop)
    assert again.stations == ["ingest"]
    assert again.report.version.version == "v1"


def test_a_delivery_is_built_through_to_what_reads_it(shop, tmp_path):
    workspace = copied(shop, tmp_path / "company")
    deliver(workspace, "orders_9.csv", HEADER + "T9;M2;20/10/2026 18:00;1;A;Thé;1;10,25\n")
    new = Done(workspace)
    assert "identify" not in new.stations
    assert {"orders", "order_lines", "customer_features"} <= new.nodes
    assert not {"stg_contacts", "identities", "contact_points", "consents"} & new.nodes
    whole = Done(workspace, full_refresh=True)
    assert published_hashes(whole.report.version) == published_hashes(new.report.version)
    assert {"stg_contacts", "identities", "contact_points"} <= whole.nodes


@pytest.mark.full
def test_a_run_after_whatever_comes_is_as_one_over_everything(shop, tmp_path):
    """Late, again, replaced and closing deliveries, people's decisions, settings, days."""
    workspace = copied(shop, tmp_path / "company")

    def settings(text):
        with (workspace.root / "cohorte.yml").open("a") as file:
            file.write(text)

    line = "T{0};M2;{1}/10/2026 18:00;1;A;Thé;1;{0},25\n"
    happenings = {
        "late": lambda: deliver(workspace, "orders_3.csv", HEADER + line.format(7, "01")),
        "again": lambda: deliver(workspace, "orders_4.csv", HEADER + line.format(7, "01")),
        "replaced": lambda: deliver(workspace, "orders_3.csv", HEADER + line.format(8, "02")),
        "closing": lambda: deliver(
            workspace,
            "people_2026-02-01.csv",
            "id,name,mail,zip\nP1,Zoé Durand,z@example.com,13001\n",
        ),
        "somebody": lambda: deliver(
            workspace,
            "people_2026-03-01.csv",
            "id,name,mail,zip\nP1,Zoé Durand,z@example.com,13001\nP3,Éva Roux,eva@example.com,\n",
        ),
        "merged": lambda: decide(workspace, "same"),
        "unmerged": lambda: decide(workspace, "not_same"),
        "settings": lambda: settings("rfm: {window_days: 200}\n"),
        "trust": lambda: (workspace.root / "sources" / "crm.yml").write_text(
            CRM.replace("source: crm", "source: crm\ntrust: 1"), encoding="utf-8"
        ),
        "nothing": lambda: None,
    }
    whole = copied(workspace, tmp_path / "whole")
    for name, happen in happenings.items():
        happen()
        before = numbers(workspace)
        new = Done(workspace)
        now = numbers(workspace)
        kept = {each: number for each, number in before.items() if number < len(now)}
        assert {each: now[each] for each in kept if each in now}.items() <= kept.items(), name
        shutil.rmtree(whole.root)
        whole = copied(workspace, tmp_path / "whole")
        told = published_hashes(Done(whole, full_refresh=True).report.version)
        assert told == published_hashes(new.report.version), name
        assert by_id(whole) == by_id(workspace), name
    first, second = (
        published_hashes(Done(workspace, as_of=NOW.date(), full_refresh=how).report.version)
        for how in (False, True)
    )
    assert first == second


@pytest.mark.full
def test_numbers_that_moved_are_told_to_every_table(shop, tmp_path):
    """Who did nothing is gone, so that somebody of whom nothing is new takes the number."""
    workspace = copied(shop, tmp_path / "company")
    records = ("crm", "P1"), ("crm", "P2")

    def is_told_to_all():
        whole = copied(workspace, tmp_path / "whole")
        Done(whole, full_refresh=True)
        assert by_id(whole) == by_id(workspace)
        shutil.rmtree(whole.root)

    deliver(workspace, "orders_9.csv", HEADER + "T9;M4;20/10/2026 18:00;1;A;Thé;1;10,25\n")
    Done(workspace)
    before = numbers(workspace)
    decide(workspace, "same", *records)
    Done(workspace)
    merged = numbers(workspace)
    assert {each for each in merged if merged[each] != before[each]} & buyers(workspace)
    is_told_to_all()
    decide(workspace, "not_same", *records)
    Done(workspace)
    assert before.keys() == numbers(workspace).keys()
    is_told_to_all()
