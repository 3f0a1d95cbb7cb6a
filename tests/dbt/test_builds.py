"""Builds as a whole: of nothing, in any order of delivery, and dbt's own unit tests."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

from pipelines.publish import TOLD_OF_RUNS
from tests.dbt.company_rows import COMPANY, CUSTOMERS, SOURCES
from tests.dbt.lab import LOADED_AT, Lab, Outcome, Row


def redelivered(company: dict[str, list[dict[str, Any]]], seed: int) -> dict[str, list[Row]]:
    """The same content: in another order, by other files, and half of it twice."""
    rng = random.Random(seed)
    entities: dict[str, list[Row]] = {}
    for entity, rows in company.items():
        if entity in ("files", "rejected_rows"):
            continue
        copied: list[dict[str, Any]] = [
            {**row, "_file_id": row.get("_file_id", 1) + 10, "_loaded_at": _loaded(row)}
            for row in rows
        ]
        copied += [
            {**row, "_file_id": row["_file_id"] + 100} for row in copied if row["_file_id"] == 11
        ]
        rng.shuffle(copied)
        entities[entity] = list(copied)
    return entities


def _loaded(row: dict[str, Any]) -> datetime:
    found: datetime = row.get("_loaded_at", LOADED_AT)
    return found + timedelta(days=30)


def test_a_workspace_without_rows_builds_and_passes_and_so_do_dbts_unit_tests(lab: Lab) -> None:
    outcome = lab.build({}, unit_tests=True)
    assert [result for result in outcome.results if not result.is_good] == []
    assert sum(result.kind == "unit_test" for result in outcome.results) == 5
    assert {name for name, rows in outcome.tables().items() if rows} == {"rfm_segments"}


def test_order_and_repetition_of_deliveries_change_no_published_row(
    lab: Lab, company: Outcome
) -> None:
    again = lab.build(redelivered(COMPANY, seed=3), customers=CUSTOMERS, sources=SOURCES)
    assert again.failed == []
    tables = again.tables()
    for name, rows in company.tables().items():
        if name not in TOLD_OF_RUNS:
            assert tables[name] == rows, name
