"""Sets of records with the truth known, staged as dbt stages them."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa

from models.identity import Decision, FullLimits, ResolutionReport, resolve_fully
from models.identity.evaluation import Quality, measure_quality
from models.identity.stable_ids import MAP_DDL

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
COLUMNS = {
    "source": "varchar",
    "contact_id": "varchar",
    "person_id": "varchar",
    "external_id": "varchar",
    "loyalty_number": "varchar",
    "full_name_key": "varchar",
    "first_name_key": "varchar",
    "last_name_key": "varchar",
    "email_key": "varchar",
    "phone_key": "varchar",
    "birth_date": "date",
    "postcode": "varchar",
    "city_key": "varchar",
    "address_line": "varchar",
    "job_title": "varchar",
    "created_at": "timestamp",
}

Record = dict[str, Any]


def folded(expression: str) -> str:
    """SQL of dbt's ``fold_text``."""
    return (
        f"nullif(trim(regexp_replace(lower(strip_accents({expression})), '[^a-z0-9]+', ' ', 'g')),"
        " '')"
    )


class Company:
    """Staged contacts and a map of ids, resolved as often as a test likes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        self.con = duckdb.connect(config={"threads": 2})
        self.con.execute("create schema staging")
        self.con.execute(f"attach '{folder / 'identity.duckdb'}' as map")
        self.con.execute(MAP_DDL.format(map="map"))

    def stage_query(self, query: str) -> None:
        """Stage what a query yields; the contract's columns that it lacks are null."""
        given = {
            name for name, *_ in self.con.execute(f"select * from ({query}) limit 0").description
        }
        columns = ", ".join(
            f"{name}::{kind} as {name}" if name in given else f"null::{kind} as {name}"
            for name, kind in COLUMNS.items()
        )
        self.con.execute(
            f"create or replace table staging.stg_contacts as select {columns} from ({query})"
        )

    def stage(self, records: Sequence[Record]) -> None:
        given = pa.table(
            {
                name: pa.array([record.get(name) for record in records], pa.string())
                for name in COLUMNS
            }
        )
        self.con.register("given", given)
        self.stage_query("from given")
        self.con.unregister("given")

    def resolve(
        self,
        *,
        decisions: Sequence[Decision] = (),
        limits: FullLimits | None = None,
        now: datetime = NOW,
        unique_sources: frozenset[str] = frozenset(),
        keeps_state: bool = False,
    ) -> ResolutionReport:
        return resolve_fully(
            self.con,
            folder=self.folder / "artifact",
            now=now,
            decisions=decisions,
            limits=limits,
            unique_sources=unique_sources,
            state=self.folder / "state.duckdb" if keeps_state else None,
        )

    def ids(self) -> dict[str, str]:
        """Customer id by contact id."""
        return dict(
            self.con.execute("select contact_id, customer_id from identity_current").fetchall()
        )

    def groups(self) -> list[set[str]]:
        """Contact ids that are one customer, in a fixed order."""
        found: dict[str, set[str]] = {}
        for contact_id, customer_id in self.ids().items():
            found.setdefault(customer_id, set()).add(contact_id)
        return sorted(found.values(), key=sorted)

    def quality(self, truth: str) -> Quality:
        """Against a query that yields source, contact_id and person."""
        rows = self.con.execute(
            f"select customer_id, person from identity_current join ({truth}) as truth"
            " using (source, contact_id) where person is not null"
        ).fetchall()
        return measure_quality([row[0] for row in rows], [row[1] for row in rows])


def historical(company: Company, folder: Path, people: int | None = None) -> str:
    """Stage the historical figures, all or those of so many people; returns the truth's query."""
    path = folder / "identity" / "historical_figures_with_errors_50k.parquet"
    chosen = f"from '{path}'"
    if people is not None:
        chosen = (
            f"from '{path}' where cluster in"
            f" (select distinct cluster from '{path}' order by md5(cluster) limit {people})"
        )
    company.stage_query(f"""
        select 'history' as source, unique_id as contact_id, {folded("full_name")} as full_name_key,
            {folded("first_name")} as first_name_key, {folded("surname")} as last_name_key,
            try_cast(dob as date) as birth_date, upper(postcode_fake) as postcode,
            {folded("birth_place")} as city_key, occupation as job_title
        {chosen}
    """)
    return f"select 'history' as source, unique_id as contact_id, cluster as person from '{path}'"


def fake(company: Company, folder: Path) -> str:
    """Stage fake_1000; returns the truth's query."""
    path = folder / "identity" / "fake_1000.csv"
    company.stage_query(f"""
        select 'fake' as source, unique_id as contact_id,
            {folded("first_name")} as first_name_key, {folded("surname")} as last_name_key,
            lower(email) as email_key, dob as birth_date, {folded("city")} as city_key
        from '{path}'
    """)
    return (
        "select 'fake' as source, unique_id::varchar as contact_id, cluster as person"
        f" from '{path}'"
    )


_GIVEN = (
    "anne bruno camille denis elise fabrice gaelle hugo ines jerome karine laurent monique nathan"
    " odile patrick quentin robert sophie thierry ursule victor william xavier yvonne zoe"
)
_SYLLABLES = (
    "bar", "cou", "del", "fon", "gre", "lan", "mar", "nor", "pel", "rou", "sau", "tur", "val",
    "vil", "cam", "dor",
)  # fmt: skip


def invented(people: int = 420, seed: int = 11) -> tuple[list[Record], dict[str, int]]:
    """Records of invented people in two sources, with typing errors; and who is who."""
    import random

    dice = random.Random(seed)
    givens = _GIVEN.split()
    records: list[Record] = []
    truth: dict[str, int] = {}
    for person in range(people):
        given = dice.choice(givens)
        family = "".join(dice.choice(_SYLLABLES) for _ in range(3))
        born = f"{dice.randint(1940, 2004)}-{dice.randint(1, 12):02}-{dice.randint(1, 28):02}"
        postcode = f"{dice.randint(1, 95):02}{dice.randint(0, 9)}00"
        mailbox = f"{given}.{family}@{dice.choice(['a', 'b', 'c', 'd', 'e'])}.fr"
        phone = f"+336{dice.randint(10_000_000, 99_999_999)}"
        for source in ("shop", "web", "crm")[: dice.choice([1, 2, 2, 3])]:
            contact_id = f"{source}{person}"
            records.append({
                "source": source,
                "contact_id": contact_id,
                "first_name_key": given,
                "last_name_key": _mistyped(family, dice) if dice.random() < 0.2 else family,
                "email_key": mailbox if dice.random() < 0.6 else None,
                "phone_key": phone if dice.random() < 0.6 else None,
                "birth_date": born if dice.random() < 0.7 else None,
                "postcode": postcode if dice.random() < 0.8 else None,
            })  # fmt: skip
            truth[contact_id] = person
    return records, truth


def _mistyped(word: str, dice: Any) -> str:
    place = dice.randrange(len(word) - 1)
    return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
