"""Time segments on a company of a million: ours, PostgreSQL with indexes, and the plain scan.

`python -m benchmarks.segments --customers 1000000`: 10 orders, 25 lines and 20 events a customer.
Every question is asked five times after one to warm up; medians. *ours* answers from an empty
cache of sets, *edited* with all rows of the rule answered but the one that changed, *one query* as
a single SELECT. The floor reads the columns that the question touches, whole, and adds them up.
PostgreSQL is asked when its programs are found; its counts must be ours.
"""

from __future__ import annotations

import argparse
import itertools
import os
import shutil
import socket
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.__main__ import machine
from cohorte.segments import (
    Answers,
    Node,
    Population,
    build_catalogue,
    count,
    customers_meeting,
    evaluate_memberships,
    parse_rule,
    sizes_by_query,
    why,
)
from cohorte.segments.catalogue import build_behaviours
from cohorte.segments.library import Segment

AS_OF = date(2026, 10, 31)
ROUNDS = 5
CATEGORIES = ("Garden", "Bath", "Kitchen", "Paper", "Linen", "Toys", "Office", "Shoes")
EACH = {
    "cart_abandoned": 1, "email_clicked": 4, "email_opened": 5, "email_sent": 5, "order": 10,
    "purchase": 25, "web_visit": 5,
}  # fmt: skip
"""Things done by an average customer in two years: 10 orders, 25 lines, 20 events."""
SINCE_90, SINCE_30 = "date '2026-08-03'", "date '2026-10-02'"

ATTRIBUTES: dict[str, Any] = {
    "all": [
        {"field": "city", "op": "in", "value": ["City 1", "City 2", "City 3"]},
        {"field": "age", "op": "between", "value": [30, 59]},
        {"field": "rfm_segment", "op": "in", "value": ["champions", "loyal"]},
        {"field": "is_contactable_email", "op": "equals", "value": True},
    ]
}
THREE_LEVELS: dict[str, Any] = {
    "all": [
        {"field": "age", "op": "between", "value": [30, 59]},
        {"any": [
            {"did": "bought", "times": {"at_least": 2}, "window": {"last_days": 90},
             "where": [{"field": "category", "op": "in", "value": ["Garden"]}]},
            {"all": [
                {"field": "rfm_segment", "op": "in", "value": ["champions"]},
                {"field": "is_contactable_email", "op": "equals", "value": True},
            ]},
        ]},
        {"none": [{"did": "opened_email", "window": {"last_days": 30}}]},
    ]
}  # fmt: skip
SEQUENCE: dict[str, Any] = {
    "first": {"did": "abandoned_cart"},
    "then": {"did": "ordered"},
    "within_days": 3,
    "follows": False,
    "window": {"last_days": 90},
}

IN_POSTGRES = {
    "attributes": """
        select count(*) from customers where city in ('City 1', 'City 2', 'City 3')
        and age between 30 and 59 and rfm_segment in ('champions', 'loyal')
        and is_contactable_email""",
    "three levels": f"""
        select count(*) from customers c where age between 30 and 59
        and (
            (select count(*) from lines l where l.customer = c.customer
                and l.category = 'Garden' and l.day >= {SINCE_90}) >= 2
            or (rfm_segment = 'champions' and is_contactable_email)
        )
        and not exists (select 1 from events e where e.customer = c.customer
            and e.kind = 'email_opened' and e.day >= {SINCE_30})""",
    "sequence": f"""
        select count(distinct customer) from events e
        where kind = 'cart_abandoned' and day >= {SINCE_90} and not exists (
            select 1 from orders o where o.customer = e.customer and o.at > e.at
                and o.day <= e.day + 3)""",
}
FLOORS = {
    "attributes": "select sum(hash(city, age, rfm_segment, is_contactable_email))"
    " from customer_profiles",
    "three levels": "select sum(hash(age, rfm_segment, is_contactable_email)),"
    f" (select sum(customer_number) + count(category) from activities where kind = 'purchase'"
    f" and activity_date >= {SINCE_90}), (select sum(customer_number) from activities"
    f" where kind = 'email_opened' and activity_date >= {SINCE_30}) from customer_profiles",
    "sequence": "select sum(customer_number + epoch(occurred_at)) from activities"
    f" where kind in ('cart_abandoned', 'order') and activity_date >= {SINCE_90}",
}


def make(path: Path, customers: int) -> duckdb.DuckDBPyConnection:
    """A published database of invented customers with what segments read."""
    con = duckdb.connect(str(path))
    con.execute("set threads = 2; set memory_limit = '8GB'")
    con.execute(
        """
        create table customer_profiles as select
            printf('C%08d', i) as customer_id, i::integer as customer_number,
            'City ' || (hash(i, 1) % 400) as city, (18 + hash(i, 2) % 70)::bigint as age,
            ['champions', 'loyal', 'at_risk', 'lost', 'prospect'][1 + (hash(i, 3) % 5)::int]
                as rfm_segment,
            hash(i, 4) % 100 < 55 as is_contactable_email,
            (hash(i, 5) % 2000)::decimal(18, 4) as lifetime_net_revenue, false as is_internal
        from range($customers) as t(i)
        """,
        {"customers": customers},
    )
    con.execute(
        "create table customers as select customer_id, 'shop' as birth_date_source,"
        " 'shop' as address_source from customer_profiles"
    )
    con.execute(
        """
        create table gathered (
            customer_number integer, kind varchar, activity_date date, occurred_at timestamp,
            source varchar, record_id varchar, channel varchar, campaign_id varchar,
            subject varchar, category varchar, product_id varchar, product_name varchar,
            amount decimal(18, 4), quantity decimal(18, 4), score bigint
        )
        """
    )
    for tag, (kind, share) in enumerate(EACH.items()):
        con.execute(
            f"""
            insert into gathered
            select
                (hash(i, {tag}) % {customers})::integer, '{kind}',
                date '2026-10-31' - (hash(i, {tag}, 1) % 730)::integer as activity_date,
                cast(date '2026-10-31' - (hash(i, {tag}, 1) % 730)::integer as timestamp)
                    + to_seconds((hash(i, {tag}, 2) % 86400)::integer),
                'shop', 'r' || i, 'web', null, null,
                case when '{kind}' = 'purchase' then
                    {list(CATEGORIES)}[1 + (hash(i, {tag}, 3) % {len(CATEGORIES)})::int] end,
                null, null, ((hash(i, {tag}, 4) % 20000) / 100)::decimal(18, 4), 1, null
            from range({int(share * customers)}) as t(i)
            """
        )
    con.execute(  # as the mart is kept
        """
        create table activities as from gathered
        order by kind, date_trunc('month', activity_date), category, activity_date
        """
    )
    con.execute("drop table gathered")
    con.execute("checkpoint")
    return con


def population(con: duckdb.DuckDBPyConnection) -> Population:
    """The customers, with nothing answered yet."""
    profiles, activities = (
        dict(con.sql(f"select column_name, column_type from (describe {name})").fetchall())
        for name in ("customer_profiles", "activities")
    )
    catalogue = replace(build_catalogue(profiles), behaviours=build_behaviours(activities))
    return Population(con, catalogue, AS_OF)


@dataclass(frozen=True)
class Taken:
    """Milliseconds of the clock, and of the processor: on a busy machine look at the second."""

    wall: float
    cpu: float

    def __str__(self) -> str:
        return f"{self.wall:.1f} ms ({self.cpu:.1f} CPU-ms)"


def median_ms(ask: Callable[[], Any], rounds: int = ROUNDS) -> Taken:
    """The medians of several, after one that does not count."""
    ask()
    wall, cpu = [], []
    for _ in range(rounds):
        begun, used = time.perf_counter(), time.process_time()
        ask()
        wall.append((time.perf_counter() - begun) * 1000)
        cpu.append((time.process_time() - used) * 1000)
    return Taken(statistics.median(wall), statistics.median(cpu))


@dataclass
class Postgres:
    """A server of our own over a socket, with the same facts and the indexes they need."""

    psql: list[str]

    def ask(self, sql: str) -> str:
        done = subprocess.run([*self.psql, "-c", sql], check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def timed(self, sql: str, rounds: int) -> tuple[float, int]:
        """Median milliseconds as the server measures them, and the count."""
        script = "\\timing on\n" + f"{sql};\n" * (rounds + 1)
        done = subprocess.run(
            self.psql, input=script, check=True, capture_output=True, text=True
        ).stdout.splitlines()
        times = [float(line.split()[1]) for line in done if line.startswith("Time:")]
        return statistics.median(times[1:] or times), int(
            next(line for line in done if line.strip().isdigit())
        )


@contextmanager
def postgres(con: duckdb.DuckDBPyConnection, folder: Path) -> Iterator[Postgres | None]:
    """PostgreSQL with the company loaded; None where its programs are not found.

    A folder that holds a server already is not loaded again.
    """
    found = shutil.which("initdb") or next(
        (str(path) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))), None
    )
    client = shutil.which("psql")
    if found is None or client is None:
        yield None
        return
    programs, data = Path(found).parent, folder / "postgres"
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    is_new = not (data / "loaded").exists()
    if is_new:
        shutil.rmtree(data, ignore_errors=True)
        data.mkdir()
    if as_user:
        shutil.chown(data, "postgres")
        folder.chmod(0o755)

    def run(*command: str) -> None:
        subprocess.run([*as_user, *command], check=True, stdout=subprocess.DEVNULL, cwd=data)

    if is_new:
        run(str(programs / "initdb"), "-D", str(data / "db"), "-A", "trust", "-U", "postgres")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    options = (
        f"-p {port} -k {data} -c shared_buffers=2GB -c work_mem=256MB -c fsync=off"
        " -c maintenance_work_mem=1GB -c max_wal_size=8GB -c max_parallel_workers_per_gather=2"
        " -c jit=off"
    )
    control = [str(programs / "pg_ctl"), "-D", str(data / "db"), "-l", str(data / "log"), "-w"]
    run(*control, "-o", options, "start")
    try:
        psql = [client, "-h", str(data), "-p", str(port), "-U", "postgres", "-qtA"]
        server = Postgres(psql)
        if is_new:
            _load(con, server, folder)
            (data / "loaded").touch()
        yield server
    finally:
        run(*control, "-m", "fast", "stop")


def _load(con: duckdb.DuckDBPyConnection, server: Postgres, folder: Path) -> None:
    tables = {
        "customers": (
            "customer int, city text, age int, rfm_segment text, is_contactable_email boolean",
            (
                "select customer_number, city, age, rfm_segment, is_contactable_email"
                " from customer_profiles"
            ),
        ),
        "lines": (
            "customer int, category text, day date",
            (
                "select customer_number, category, activity_date from activities"
                " where kind = 'purchase'"
            ),
        ),
        "orders": (
            "customer int, at timestamp, day date",
            (
                "select customer_number, occurred_at, activity_date from activities"
                " where kind = 'order'"
            ),
        ),
        "events": (
            "customer int, kind text, at timestamp, day date",
            (
                "select customer_number, kind, occurred_at, activity_date from activities"
                " where kind not in ('order', 'purchase')"
            ),
        ),
    }
    for name, (columns, query) in tables.items():
        path = folder / f"{name}.csv"
        con.execute(f"copy ({query}) to '{path}' (header false)")
        server.ask(f"create unlogged table {name} ({columns})")
        with path.open("rb") as rows:
            subprocess.run(
                [*server.psql, "-c", f"copy {name} from stdin (format csv)"], stdin=rows, check=True
            )
        path.unlink()
    for index in (
        "customers (customer)",
        "customers (rfm_segment, city, age)",
        "customers (age)",
        "lines (customer, category, day)",
        "lines (category, day)",
        "events (customer, kind, day)",
        "events (kind, day)",
        "orders (customer, at)",
    ):
        server.ask(f"create index on {index}")
    server.ask("vacuum analyze")


def fifty() -> list[Segment]:
    """Fifty segments that share some of their parts, as a company's do."""
    rules = []
    for place in range(50):
        city = {"field": "city", "op": "in", "value": [f"City {place}", f"City {place + 1}"]}
        bought = {
            "did": "bought",
            "times": {"at_least": 1 + place % 3},
            "window": {"last_days": 30 * (1 + place % 4)},
            "where": [
                {"field": "category", "op": "in", "value": [CATEGORIES[place % len(CATEGORIES)]]}
            ],
        }
        quiet = {"none": [{"did": "opened_email", "window": {"last_days": 30}}]}
        rules.append({"all": [{"any": [city, bought]}, quiet] if place % 2 else [bought]})
    return [
        Segment(f"s{place}", {"en": f"S{place}"}, parse_rule(rule), "file", {})
        for place, rule in enumerate(rules)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.segments", description=__doc__)
    parser.add_argument("--customers", type=int, default=1_000_000)
    parser.add_argument("--without-postgres", action="store_true")
    parser.add_argument("--quick", action="store_true", help="counts alone")
    parser.add_argument(
        "--folder", type=Path, help="where to make the company and the server, and keep them"
    )
    asked = parser.parse_args()
    print(f"{machine()}; {asked.customers:,} customers", flush=True)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="cohorte-segments-"))
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"company-{asked.customers}.duckdb"
    try:
        con = duckdb.connect(str(path)) if path.exists() else make(path, asked.customers)
        con.execute("set threads = 2")
        measure(con, folder, quick=asked.quick, with_postgres=not asked.without_postgres)
    finally:
        if not asked.folder:
            shutil.rmtree(folder, ignore_errors=True)


def measure(
    con: duckdb.DuckDBPyConnection, folder: Path, *, quick: bool, with_postgres: bool
) -> None:
    """Ask every question of everyone, and print a line a question."""
    people = population(con)
    rules = {
        "attributes": parse_rule(ATTRIBUTES),
        "three levels": parse_rule(THREE_LEVELS),
        "sequence": parse_rule(SEQUENCE),
    }
    found: dict[str, dict[str, Taken]] = {}
    counts: dict[str, int] = {}
    for name, rule in rules.items():
        counts[name] = count(people, rule)
        assert sizes_by_query(people, {"": rule})[""] == counts[name]
        found[name] = {
            "ours": median_ms(lambda rule=rule: count(_fresh(people), rule)),  # type: ignore[misc]
            "edited": median_ms(_editing(people, rule)),
            "again": median_ms(lambda rule=rule: count(people, rule)),  # type: ignore[misc]
            "one query": median_ms(
                lambda rule=rule: sizes_by_query(people, {"": rule})  # type: ignore[misc]
            ),
            "floor": median_ms(lambda name=name: con.execute(FLOORS[name]).fetchall()),  # type: ignore[misc]
        }
        told = "; ".join(f"{how} {taken}" for how, taken in found[name].items())
        print(f"{name}, {counts[name]:,} customers: {told}", flush=True)
    if quick:
        return
    print(f"why, from nothing: {median_ms(_asking_why(people))}", flush=True)
    warm = people
    customers_meeting(warm, rules["three levels"])
    print(
        "why, with the segment on screen:"
        f" {median_ms(lambda: why(warm, rules['three levels'], 'C00000042', 'en'))}",
        flush=True,
    )
    begun, used = time.perf_counter(), time.process_time()
    evaluated = evaluate_memberships(
        con, fifty(), as_of=AS_OF, version="v1", relation="customer_profiles"
    )
    seconds, cpu = time.perf_counter() - begun, time.process_time() - used
    print(
        f"refresh of 50 segments, {sum(evaluated.values()):,} members:"
        f" {seconds:.1f} s ({cpu:.1f} CPU-s)",
        flush=True,
    )
    if with_postgres:
        with postgres(con, folder) as server:
            if server is None:
                print("PostgreSQL is left out: initdb or psql is not found.")
                return
            for name, sql in IN_POSTGRES.items():
                taken, told = server.timed(sql, 3 if name == "three levels" else ROUNDS)
                assert told == counts[name], (name, told, counts[name])
                ours = found[name]["ours"].wall
                print(f"PostgreSQL, {name}: {taken:.0f} ms, {taken / ours:.0f} × ours", flush=True)


def _fresh(people: Population) -> Population:
    answers = Answers()
    answers.size, answers.columns = people.answers.size, people.answers.columns
    return replace(people, answers=answers)


def _asking_why(people: Population) -> Callable[[], Any]:
    rule = parse_rule(THREE_LEVELS)
    return lambda: why(_fresh(people), rule, "C00000042", "en")


_EDITS = itertools.count(1)


def _editing(people: Population, rule: Node) -> Callable[[], Any]:
    """The rule with another first attribute each time; what stays is answered already."""

    def edit() -> int:
        changed = parse_rule(
            {
                "all": [
                    {"field": "lifetime_net_revenue", "op": "greater", "value": next(_EDITS)},
                    rule.model_dump(mode="json", exclude_defaults=True),
                ]
            }
        )
        return count(people, changed)

    return edit


if __name__ == "__main__":
    main()
