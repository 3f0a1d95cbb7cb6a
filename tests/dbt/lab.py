"""A place to run the dbt project on hand-made rows: one dbt process for all that is tried."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from pathlib import Path
from typing import Any

import duckdb

from cohorte.contracts import contracts
from cohorte.settings import WorkspaceSettings
from cohorte.warehouse import RAW_DDL
from pipelines.dbt_session import DbtSession, NodeResult, run_variables
from pipelines.numbers import lay_customer_numbers

AS_OF = date(2026, 6, 30)
LOADED_AT = datetime.fromisoformat("2026-07-01 04:00")
STATIONS = ("stage", "unify", "features", "profile")

Row = Mapping[str, Any]


@dataclass(frozen=True)
class Outcome:
    """What a build left: the results of its nodes, and the database to ask."""

    results: list[NodeResult]
    work_path: Path
    raw_path: Path

    @property
    def failed(self) -> list[str]:
        return [result.name for result in self.results if not result.is_good]

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows of a query in which marts, staging and raw tables are named with schema."""
        with duckdb.connect(str(self.work_path)) as connection:
            connection.execute(f"attach '{self.raw_path}' as raw (read_only)")
            connection.execute("set search_path = 'marts'")
            return connection.execute(query, list(values)).fetchall()

    def one(self, query: str, *values: Any) -> Any:
        """The only value, or the only row, that a query yields."""
        rows = self.rows(query, *values)
        assert len(rows) == 1, f"{len(rows)} rows: {query}"
        return rows[0][0] if len(rows[0]) == 1 else rows[0]

    def tables(self) -> dict[str, list[tuple[Any, ...]]]:
        """Every mart's rows in an order of their own, to compare two builds."""
        names = self.rows("select table_name from duckdb_tables() where schema_name = 'marts'")
        return {name: self.rows(f"select * from {name} order by all") for (name,) in names}


class Lab:
    """Builds the project again and again in one folder, by one dbt process."""

    def __init__(self, folder: Path) -> None:
        self.raw_path = folder / "raw.duckdb"
        self.work_path = folder / "work.duckdb"
        self.builds = 0
        self.settings = WorkspaceSettings(company="Lab")
        self.session = DbtSession(
            work_path=self.work_path,
            raw_path=self.raw_path,
            target_dir=folder / "dbt",
            temp_dir=folder / "temp",
            variables=run_variables(self.settings, [], AS_OF),
        )

    def build(
        self,
        entities: Mapping[str, Sequence[Row]],
        *,
        customers: Mapping[tuple[str, str], str] | None = None,
        as_of: date = AS_OF,
        corrections: Sequence[tuple[str, str, str]] = (),
        stations: Sequence[str] = STATIONS,
        unit_tests: bool = False,
        anew: bool = True,
        **variables: Any,
    ) -> Outcome:
        """Build the stations on these rows, each contact a customer unless `customers` says.

        `corrections` are customer, field and value; not `anew`, it goes on with what stands.
        """
        if anew:
            self.work_path.unlink(missing_ok=True)
        write_raw(self.raw_path, entities)
        self.session.variables = run_variables(self.settings, [], as_of) | variables
        results: list[NodeResult] = []
        for station in stations:
            if station == "unify":
                self._identify(customers or {}, corrections)
            if station == "features":
                with duckdb.connect(str(self.work_path)) as work:
                    lay_customer_numbers(work)
            results += self.session.build(f"tag:{station}", unit_tests=unit_tests)
        self.builds += 1
        kept = self.work_path.parent / f"build_{self.builds}"
        kept.mkdir()
        shutil.copyfile(self.work_path, kept / self.work_path.name)
        shutil.copyfile(self.raw_path, kept / self.raw_path.name)
        return Outcome(results, kept / self.work_path.name, kept / self.raw_path.name)

    def _identify(
        self,
        customers: Mapping[tuple[str, str], str],
        corrections: Sequence[tuple[str, str, str]],
    ) -> None:
        with duckdb.connect(str(self.work_path)) as connection:
            records = connection.execute(
                "select source, contact_id from staging.stg_contacts order by all"
            ).fetchall()
            rows = [
                (source, contact, customers.get((source, contact), f"{source}-{contact}"), "single")
                for source, contact in records
            ]
            for table, told in (("identity_map", rows), ("corrections", corrections)):
                connection.execute(f"delete from identity.{table}")
                if told:
                    marks = ", ".join("?" for _ in told[0])
                    connection.executemany(
                        f"insert into identity.{table} values ({marks})", list(told)
                    )


def write_raw(path: Path, entities: Mapping[str, Sequence[Row]]) -> None:
    """A raw database with these rows, each as in a delivery of its own source's file.

    Keys with an underscore set the lineage: `_source` (shop), `_file_id` (1), `_loaded_at`,
    `_version`. `files` and `rejected_rows` are taken as they are.
    """
    path.unlink(missing_ok=True)
    with duckdb.connect(str(path)) as connection:
        for contract in contracts().values():
            connection.execute(contract.raw_ddl())
        connection.execute(RAW_DDL)
        for entity, rows in entities.items():
            for line, row in enumerate(rows, start=1):
                given = dict(row)
                if entity in contracts():
                    given = {
                        "_source": "shop",
                        "_file_id": 1,
                        "_line": line,
                        "_loaded_at": LOADED_AT,
                    } | given
                names = ", ".join(f'"{name}"' for name in given)
                marks = ", ".join("?" for _ in given)
                connection.execute(
                    f"insert into {entity} ({names}) values ({marks})", list(given.values())
                )
        for entity, contract in contracts().items():
            values = ", ".join(f'"{name}"' for name in contract.column_names)
            connection.execute(
                f"update {entity} set _row_hash = md5_number_lower(row({values})::varchar)"
            )
            connection.execute(
                f"""
                update {entity} set _occurrence = counted.occurrence
                from (
                    select rowid as id, row_number() over (
                        partition by _source, _file_id, _row_hash order by _line
                    ) as occurrence
                    from {entity}
                ) as counted
                where {entity}.rowid = counted.id
                """
            )
