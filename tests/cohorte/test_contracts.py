"""The contracts hold together."""

from __future__ import annotations

import duckdb
import pytest

from cohorte.contracts import LINEAGE_COLUMNS, contract, contracts


def test_every_key_is_of_columns_that_exist_and_every_column_is_described():
    for declared in contracts().values():
        assert set(declared.key) <= set(declared.column_names)
        assert all(column.description.endswith(".") for column in declared.columns)
        assert declared.grain.startswith("One row per ")
        assert set(declared.title) == {"en", "fr"}


def test_a_key_that_is_not_optional_is_required():
    for declared in contracts().values():
        if not declared.key_optional:
            assert set(declared.key) <= set(declared.required)


@pytest.mark.parametrize("entity", contracts())
def test_the_raw_table_has_the_contract_and_the_lineage(entity):
    connection = duckdb.connect()
    connection.execute(contract(entity).raw_ddl())
    connection.execute(contract(entity).raw_ddl())
    found = dict(
        connection.execute(
            "select column_name, data_type from duckdb_columns() where table_name = ?", [entity]
        ).fetchall()
    )
    wanted = {column.name: column.duckdb_type for column in contract(entity).columns}
    assert found == wanted | LINEAGE_COLUMNS
