"""``cohorte segments`` on a served company."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import polars as pl
import pytest
from typer.testing import CliRunner

from cohorte.store import open_store
from cohorte.workspace import Workspace
from flows.segments_cli import app
from tests.support.published import build_workspace

BUYERS = """
segment: buyers
name: {en: Buyers, fr: Acheteurs}
tags: [sales]
rule:
  all:
    - {did: ordered, times: {at_least: 2}}
"""
READERS = """
segment: readers
name: Readers
rule:
  any:
    - {did: opened_email}
    - {segment: buyers}
"""


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    made = build_workspace(tmp_path_factory.mktemp("cli") / "company", 120, language="en")
    (made.segments_dir / "buyers.yml").write_text(BUYERS, encoding="utf-8")
    (made.segments_dir / "readers.yml").write_text(READERS, encoding="utf-8")
    return made


def told(workspace: Workspace, *arguments: str) -> str:
    result = CliRunner().invoke(app, [*arguments, "-w", str(workspace.root)])
    assert result.exit_code == 0, (result.output, result.exception)
    return result.output


def test_the_list_has_every_segment_with_its_size(workspace: Workspace) -> None:
    rows = json.loads(told(workspace, "list", "--json"))
    sizes = {row["segment"]: row["customers"] for row in rows}
    assert sizes["buyers"] == int(told(workspace, "count", "buyers"))
    assert sizes["readers"] >= sizes["buyers"] > 0


def test_a_file_is_counted_without_being_in_the_workspace(
    workspace: Workspace, tmp_path: Path
) -> None:
    path = tmp_path / "anything.yml"
    path.write_text(BUYERS, encoding="utf-8")
    assert told(workspace, "count", str(path)) == told(workspace, "count", "buyers")


def test_a_day_of_the_past_counts_fewer_and_the_future_is_refused(workspace: Workspace) -> None:
    before = int(told(workspace, "count", "buyers", "--as-of", "2025-06-30"))
    assert 0 < before < int(told(workspace, "count", "buyers"))
    arguments = ["count", "buyers", "--as-of", "2027-01-01", "-w", str(workspace.root)]
    result = CliRunner().invoke(app, arguments)
    assert "knows nothing after 2026-10-31" in str(result.exception)


def test_reasons_are_told_for_who_is_in_and_who_is_out(workspace: Workspace) -> None:
    members = json.loads(told(workspace, "members", "buyers", "--json", "--limit", "120"))
    inside = members[0]["customer_id"]
    reason = json.loads(told(workspace, "why", "readers", inside, "--json"))
    assert reason["is_in"] is True
    assert reason["to_enter"] == []
    everyone = json.loads(told(workspace, "members", "readers", "--json", "--limit", "120"))
    ids = {row["customer_id"] for row in everyone}
    outside = next(f"C{n:06d}" for n in range(1, 121) if f"C{n:06d}" not in ids)
    said = told(workspace, "why", "readers", outside)
    assert f"{outside} is not in" in said
    assert "smallest change" in said


def test_push_saves_pull_writes_and_both_say_the_same(workspace: Workspace, tmp_path: Path) -> None:
    path = tmp_path / "lapsed.yml"
    path.write_text(BUYERS.replace("buyers", "lapsed").replace("Buyers", "Lapsed"), "utf-8")
    told(workspace, "push", str(path))
    again = told(workspace, "push", str(path))
    assert "definition 1" in again
    with open_store(workspace.store_url) as store:
        (saved,) = [each for each in store.list_segments() if each.name == "Lapsed"]
    assert saved.tags == ["sales"]
    folder = tmp_path / "pulled"
    (written,) = told(workspace, "pull", "Lapsed", "--to", str(folder)).splitlines()
    assert told(workspace, "count", written) == told(workspace, "count", "Lapsed")
    result = CliRunner().invoke(
        app, ["pull", "Lapsed", "--to", str(folder), "-w", str(workspace.root)]
    )
    assert "is there already" in str(result.exception)
    path.write_text(path.read_text("utf-8").replace("at_least: 2", "at_least: 4"), "utf-8")
    assert "definition 2" in told(workspace, "push", str(path))
    changed = told(workspace, "diff", "Lapsed@1", "Lapsed")
    assert "at_least: 4" in changed
    assert "0 enter" in changed


def test_an_overlap_adds_up(workspace: Workspace) -> None:
    found = json.loads(told(workspace, "overlap", "buyers", "readers", "--json"))
    combined = sum(each["customers"] for each in found["combinations"])
    assert combined + found["in_none"] == 120
    both = [each for each in found["combinations"] if len(each["segments"]) == 2]
    assert both[0]["customers"] == found["sizes"]["buyers"]


def test_exports_hold_the_same_people_in_every_format(workspace: Workspace) -> None:
    columns = ["--columns", "full_name,phone"]
    paths = {}
    for kind in ("csv", "xlsx", "parquet"):
        out = told(workspace, "export", "buyers", "--format", kind, *columns)
        paths[kind] = Path(out.strip().splitlines()[-1].rpartition(" (")[0])
    with paths["csv"].open(encoding="utf-8-sig") as file:
        rows = list(csv.DictReader(file))
    sheet = pl.read_excel(paths["xlsx"], infer_schema_length=0)
    table = pl.read_parquet(paths["parquet"])
    ids = table["customer_id"].to_list()
    assert ids
    assert [row["customer_id"] for row in rows] == ids == sheet["customer_id"].to_list()
    assert sheet["phone"].to_list() == table["phone"].to_list()
    assert sheet["phone"].dtype == pl.String
    with open_store(workspace.store_url) as store:
        entries = store.list_exports("buyers")
    assert [entry.rows_count for entry in entries[:3]] == [len(ids)] * 3
    checked = told(workspace, "export", "buyers", "--check")
    assert "0 more, 0 fewer" in checked
    assert f'{len(ids)} were in "Buyers"' in told(workspace, "export", "readers", "--check")
