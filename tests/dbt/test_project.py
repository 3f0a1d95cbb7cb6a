"""The project itself: Python's contracts and dbt's agree, everything is described and tested."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from cohorte.contracts import contracts
from cohorte.paths import dbt_dir
from cohorte.warehouse import RAW_DDL

MODELS = dbt_dir() / "models"


def declared(path: str) -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((MODELS / path).read_text(encoding="utf-8"))
    return found


SOURCES = {source["name"]: source for source in declared("staging/_sources.yml")["sources"]}
RAW_TABLES = {table["name"]: table for table in SOURCES["raw"]["tables"]}
MARTS = {
    model["name"]: model
    for page in ("_marts.yml", "_activities.yml", "_quality.yml")
    for model in declared(f"marts/{page}")["models"]
}


@pytest.mark.parametrize("entity", contracts())
def test_a_source_of_dbt_has_the_names_and_types_of_the_contract(entity: str) -> None:
    found = [(column["name"], column["data_type"]) for column in RAW_TABLES[entity]["columns"]]
    assert found == [
        (column.name, column.duckdb_type.lower()) for column in contracts()[entity].columns
    ]


def test_dbt_knows_no_raw_table_that_the_warehouse_does_not_make() -> None:
    ours = {
        "files", "rejected_rows", "column_counts", "entity_counts", "snapshots", "address_verdicts",
        "again_counts",
    }  # fmt: skip
    assert set(RAW_TABLES) == set(contracts()) | ours
    for name in ours:
        for column in RAW_TABLES[name]["columns"]:
            assert f"{column['name']} {column['data_type']}" in " ".join(RAW_DDL.split())


@pytest.mark.parametrize("name", MARTS)
def test_a_mart_says_its_grain_and_describes_every_column(name: str) -> None:
    mart = MARTS[name]
    assert mart["description"].startswith("One ")
    assert mart["config"]["meta"]["grain"]
    for column in mart["columns"]:
        assert column["data_type"], column["name"]
        assert column["description"].endswith("."), column["name"]


@pytest.mark.parametrize("name", MARTS)
def test_a_mart_has_a_test_of_its_key(name: str) -> None:
    if name == "touchpoints":
        pytest.skip("a view of interactions, whose key is tested")
    (test,) = [
        test["has_one_row_per"] for test in MARTS[name]["data_tests"] if "has_one_row_per" in test
    ]
    assert ", ".join(test["arguments"]["columns"]) == MARTS[name]["config"]["meta"]["grain"]


def test_every_model_is_declared_with_a_description() -> None:
    for folder in ("staging", "intermediate", "marts"):
        described = {
            model["name"]
            for path in (MODELS / folder).glob("_*.yml")
            for model in declared(f"{folder}/{path.name}").get("models", [])
            if model["description"]
        }
        assert described == {path.stem for path in (MODELS / folder).glob("*.sql")}


def test_a_mart_uses_no_function_of_one_engine_outside_macros() -> None:
    forbidden = ("arg_max", "arg_min", "list(", "struct_pack", "unnest", "regexp_", "strftime",
                 "date_diff", "epoch", " exclude ", "::", "to_hex", "asof ", "qualify ",
                 "at time zone", "group by all", "filter (")  # fmt: skip
    for folder in ("intermediate", "marts"):
        for path in (MODELS / folder).glob("*.sql"):
            text = path.read_text(encoding="utf-8").lower()
            assert [word for word in forbidden if word in text] == [], path.name
