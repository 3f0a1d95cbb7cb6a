"""Ingestion against DuckDB's own reader: ``python -m benchmarks.ingest --rows 1000000``.

A clean file of orders goes to ``raw`` with its checks, rejects, hashes and lineage, and to a table
with declared types by DuckDB's ``read_csv``: the ratio is what to compare between machines. Then
incremental passes with 1, 10 and 100 % new data, and phones and e-mails normalised a second.
Figures are CPU-seconds and wall seconds of this process.
"""

from __future__ import annotations

import argparse
import json
import re
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import phonenumbers
from jinja2 import Environment

from cohorte.clock import now
from cohorte.paths import dbt_dir
from cohorte.workspace import Workspace
from pipelines.ingest import ingest
from pipelines.phones import declare, numbering_plans

COLUMNS = {
    "order_id": "varchar",
    "contact_id": "varchar",
    "ordered_at": "timestamp",
    "status": "varchar",
    "channel": "varchar",
    "store": "varchar",
    "currency_code": "varchar",
    "gross_amount": "decimal(18,4)",
    "discount_amount": "decimal(18,4)",
    "tax_amount": "decimal(18,4)",
    "net_amount": "decimal(18,4)",
    "updated_at": "timestamp",
}
FILES = 100
THREADS = 2


def invent(path: Path, first: int, rows: int) -> None:
    """A clean file of orders."""
    with duckdb.connect(config={"threads": THREADS}) as connection:
        connection.execute(f"""
            copy (
                select
                    'O' || n as order_id, 'C' || n % 99991 as contact_id,
                    timestamp '2024-01-01' + to_seconds(n * 7 % 60000000) as ordered_at,
                    ['completed', 'delivered', 'returned'][1 + n % 3] as status,
                    ['shop', 'web', 'phone'][1 + n % 3] as channel,
                    'Boutique ' || n % 40 as store, 'EUR' as currency_code,
                    (n % 50000 / 100.0)::decimal(18,2) as gross_amount,
                    (n % 700 / 100.0)::decimal(18,2) as discount_amount,
                    (n % 9000 / 100.0)::decimal(18,2) as tax_amount,
                    (n % 41000 / 100.0)::decimal(18,2) as net_amount,
                    timestamp '2025-01-01' + to_seconds(n * 3 % 30000000) as updated_at
                from range({first}, {first + rows}) as numbers(n)
            ) to '{path}' (header, delimiter ',')
        """)


def workspace(root: Path) -> Workspace:
    """A workspace of one source of such files."""
    (root / "sources").mkdir(parents=True)
    (root / "inbox").mkdir()
    (root / "cohorte.yml").write_text(
        f"company: Bench\ntime_zone: UTC\nthreads: {THREADS}\nsettle_seconds: 0\n"
    )
    columns = "".join(f"          {name}: {name}\n" for name in COLUMNS)
    (root / "sources" / "shop.yml").write_text(
        "source: shop\nfeeds:\n  - feed: orders\n    files: orders_*.csv\n    entities:\n"
        f"      orders:\n        version: updated_at\n        columns:\n{columns}"
    )
    return Workspace(root)


def timed(work: Callable[[], Any]) -> tuple[float, float, Any]:
    """Wall seconds, CPU-seconds, and what the work gave."""
    wall, cpu = time.perf_counter(), time.process_time()
    result = work()
    return time.perf_counter() - wall, time.process_time() - cpu, result


def against_duckdb(folder: Path, rows: int) -> dict[str, Any]:
    """One clean file both ways, DuckDB's before and after ours."""
    space = workspace(folder / "one")
    path = space.inbox_dir / "orders_1.csv"
    invent(path, 0, rows)
    types = ", ".join(f"'{name}': '{kind}'" for name, kind in COLUMNS.items())

    def by_duckdb() -> None:
        target = folder / "plain.duckdb"
        target.unlink(missing_ok=True)
        with duckdb.connect(str(target), config={"threads": THREADS}) as connection:
            connection.execute(
                f"create table orders as from read_csv('{path}', columns = {{{types}}},"
                " header = true, auto_detect = false)"
            )

    before = timed(by_duckdb)
    wall, cpu, report = timed(lambda: ingest(space, now=now()))
    after = timed(by_duckdb)
    assert (report.accepted, report.rejected) == (rows, 0)
    floor_wall, floor_cpu = (before[0] + after[0]) / 2, (before[1] + after[1]) / 2
    megabytes = path.stat().st_size / 1e6
    return {
        "megabytes": round(megabytes),
        "megabytes_a_second": round(megabytes / wall),
        "rows_a_second": round(rows / wall),
        "cpu_seconds": round(cpu, 2),
        "duckdb_cpu_seconds": round(floor_cpu, 2),
        "ratio_cpu": round(cpu / floor_cpu, 2),
        "ratio_wall": round(wall / floor_wall, 2),
    }


def incremental(folder: Path, rows: int) -> dict[str, Any]:
    """A full pass over many files, then passes with a share of new ones, then one with none."""
    space = workspace(folder / "many")
    each = rows // FILES
    for number in range(FILES):
        invent(space.inbox_dir / f"orders_{number:04}.csv", number * each, each)
    _, full, _ = timed(lambda: ingest(space, now=now()))
    found: dict[str, Any] = {"full_cpu_seconds": round(full, 2)}
    number = FILES
    for percent in (0, 1, 10, 100):
        for _ in range(FILES * percent // 100):
            invent(space.inbox_dir / f"orders_{number:04}.csv", number * each, each)
            number += 1
        _, cpu, report = timed(lambda: ingest(space, now=now()))
        assert report.accepted == each * FILES * percent // 100
        found[f"new_{percent}_percent_cpu_seconds"] = round(cpu, 2)
    return found


class Macros:
    """Macros of the dbt project for DuckDB, rendered without dbt."""

    def __init__(self, name: str, **variables: Any) -> None:
        text = (dbt_dir() / "macros" / f"{name}.sql").read_text(encoding="utf-8")
        environment = Environment(extensions=["jinja2.ext.do"])  # noqa: S701
        self._module = environment.from_string(text).make_module(
            {"cohorte": self, "adapter": None, "var": variables.__getitem__}
        )

    def __getattr__(self, name: str) -> Callable[..., str]:
        found = getattr(self._module, f"duckdb__{name}", None) or getattr(self._module, name)
        return lambda *arguments: str(found(*arguments))


def normalised(rows: int) -> dict[str, Any]:
    """Phones and e-mails a second, by the SQL of staging; the phones beside the library's speed."""
    plans = numbering_plans()
    phones = Macros("normalise_phone", phone_plans=plans, country_code="FR")
    emails = Macros("normalise_email")
    with duckdb.connect(config={"threads": THREADS}) as connection:
        connection.execute(
            "create table people as select"
            " case n % 3 when 0 then '06 ' else '+33 (0)6 ' end || (10 + n % 19)"
            " || '.34.' || lpad((n // 97 % 100)::varchar, 2, '0') || '.' ||"
            " lpad((n % 97)::varchar, 2, '0') as phone,"
            " case n % 4 when 0 then ' <Mailto:Zoe+' || n || '@Gmail.com>' else 'zoe.' || n ||"
            f" '@exemple.fr' end as email from range({rows}) as numbers(n)"
        )
        declare(connection)
        digits = phones.phone_digits("phone", "'FR'")
        key = phones.normalise_phone("phone", "digits", "'FR'")
        phone_wall, _, valid = timed(
            lambda: connection.execute(
                f"select count({key}) from (select phone, {digits} as digits from people)"
            ).fetchall()[0][0]
        )
        assert valid == rows
        address = emails.normalise_email("email")
        email_key = emails.email_key("address")
        email_wall, _, _ = timed(
            lambda: connection.execute(
                f"select count({email_key}) from (select {address} as address from people)"
            ).fetchall()
        )
        texts = [row[0] for row in connection.execute("from people limit 5000").fetchall()]
    library_wall, _, _ = timed(
        lambda: [
            phonenumbers.format_number(
                phonenumbers.parse(re.sub(r"\(0\)", "", text), "FR"),
                phonenumbers.PhoneNumberFormat.E164,
            )
            for text in texts
        ]
    )
    return {
        "phones_a_second": round(rows / phone_wall),
        "emails_a_second": round(rows / email_wall),
        "phones_a_second_by_phonenumbers": round(len(texts) / library_wall),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {
            "rows": asked.rows,
            "one_file": against_duckdb(folder, asked.rows),
            "incremental": incremental(folder, asked.rows),
            "normalised": normalised(asked.rows),
        }
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
