"""A run rehearsed with other settings comes to what such a run then does."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import pytest

from cohorte.errors import SettingsError
from cohorte.kpis.figures import kpi_values, last_days
from cohorte.warehouse import open_served
from cohorte.workspace import SETTINGS_FILE, Workspace, open_workspace
from dashboards.operations import rehearse_identity
from flows import rehearsal
from flows.run import RunOptions, execute, new_context
from tests.support.published import build_workspace
from tests.support.workspaces import small_shop

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
CAME_AGAIN = """
segment: came_again
name: {en: Came again, fr: Revenus}
rule:
  all:
    - {field: lifetime_orders_count, op: greater_or_equal, value: 2}
"""


def run(workspace: Workspace) -> None:
    options = RunOptions()
    context = new_context(workspace, options, NOW)
    context.accept_changes = True
    try:
        report = execute(context, options)
    finally:
        context.close()
    assert report.status == "succeeded", report


@pytest.mark.full
def test_segments_and_kpis_of_a_rehearsal_are_those_of_the_run(tmp_path: Path) -> None:
    workspace = small_shop(tmp_path)
    (tmp_path / "segments").mkdir()
    (tmp_path / "segments" / "came_again.yml").write_text(CAME_AGAIN, encoding="utf-8")
    run(workspace)
    asked = workspace.settings.identity.model_copy(update={"exact_keys": ("person_id",)})
    kept = {path: path.read_bytes() for path in workspace.work_path.parent.glob("*.duckdb")}
    found = rehearsal.rehearse(workspace, asked, now=NOW)
    assert {path: path.read_bytes() for path in kept} == kept
    assert list(workspace.temp_dir.iterdir()) == []
    assert found.customers == (3, 4)
    assert found.segments == {"came_again": (1, 0)}
    assert found.kpis["net_revenue"] == (Decimal("50.50"), Decimal("50.50"))
    assert found.kpis["active_customers"] == (1, 2)
    assert found.kpis["purchase_frequency"] == (Decimal(2), Decimal(1))

    from_screen = rehearse_identity(workspace, asked)
    assert from_screen["customers"] == list(found.customers)
    assert from_screen["segments"] == {"came_again": [1, 0]}
    assert from_screen["kpis"]["active_customers"] == ["1", "2"]

    with (tmp_path / SETTINGS_FILE).open("a", encoding="utf-8") as settings:
        settings.write("identity: {exact_keys: [person_id]}\n")
    changed = open_workspace(tmp_path)
    run(changed)
    info, served = open_served(changed)
    with served:
        values = kpi_values(served, rehearsal.KPIS, last_days(365, info.as_of))
        (customers,) = served.execute("select count(*) from customers").fetchall()[0]
        (members,) = served.execute("select count(*) from segment_memberships").fetchall()[0]
    assert (found.customers[1], found.segments["came_again"][1]) == (customers, members)
    assert {name: after for name, (_, after) in found.kpis.items()} == {
        name: value.value for name, value in values.items()
    }


def test_a_workspace_too_large_is_not_rehearsed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = build_workspace(tmp_path / "served", customers=20)
    monkeypatch.setattr(rehearsal, "LARGEST", 5)
    with pytest.raises(SettingsError, match="too many to rehearse"):
        rehearsal.rehearse(workspace, workspace.settings.identity, now=NOW)
