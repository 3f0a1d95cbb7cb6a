"""From a KPI back to what was delivered."""

from __future__ import annotations

import json
import re

import pytest

from cohorte.kpis import catalogue
from cohorte.kpis.lineage import FILE, lineage, tables_of
from cohorte.paths import dbt_dir

MADE_OF = json.loads(FILE.read_text(encoding="utf-8"))


def test_what_is_written_down_is_what_the_models_say() -> None:
    """`make docs` writes it from dbt's manifest; a model or a ref since then shows here."""
    models = {path.stem: path.read_text("utf-8") for path in dbt_dir().glob("models/**/*.sql")}
    assert set(models) <= set(MADE_OF)
    for name, sql in models.items():
        stated = set(re.findall(r"ref\('(\w+)'\)", sql))
        assert stated <= set(MADE_OF[name]), name
        assert {each for each in MADE_OF[name] if "." not in each} <= set(MADE_OF), name


@pytest.mark.parametrize("kpi_id", catalogue())
def test_every_kpi_leads_back_to_what_was_delivered(kpi_id: str) -> None:
    nodes = lineage(kpi_id)
    assert nodes[-1].name == f"kpi.{kpi_id}"
    assert set(nodes[-1].parents) == set(tables_of(kpi_id)) <= set(MADE_OF)
    assert any(node.kind == "delivered" for node in nodes)
    steps = {node.name: node.step for node in nodes}
    for node in nodes:
        assert all(steps[parent] < node.step for parent in node.parents)


def test_the_backlog_of_tickets_comes_of_tickets_and_who_asked() -> None:
    found = {node.name: node.kind for node in lineage("ticket_backlog")}
    assert found["raw.tickets"] == "delivered"
    assert found["identity.identity_map"] == "computed"
    assert found["tickets"] == "mart"
