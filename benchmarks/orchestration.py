"""What orchestration adds to a run, and whether the build database stays bounded.

``python -m benchmarks.orchestration overhead`` runs the demo company plainly and as a flow on a
Prefect server that runs already, in turns, and prints seconds and CPU-seconds of both.
``python -m benchmarks.orchestration daily`` publishes thirty daily deliveries one by one, then
builds the same data afresh, and prints the sizes and times of both.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import sys
import tempfile
from contextlib import closing
from pathlib import Path
from typing import Any

import duckdb

from benchmarks.__main__ import measure
from cohorte.workspace import Workspace, make_workspace, open_workspace
from flows.prefect_flow import scheduling_server
from pipelines.demo import generate

TIMES = 3
DAYS = 30
SPLIT = ("shops/tickets_*.csv", "email/events_*.csv", "webshop/orders_*.jsonl")
"""What comes in daily: the last file of each, by its lines."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("what", choices=["overhead", "daily"])
    parser.add_argument("--customers", type=int, default=20_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        measured = {"overhead": overhead, "daily": daily}[asked.what]
        print(json.dumps(measured(Path(scratch), asked.customers), indent=2))


def company(root: Path, customers: int) -> Workspace:
    workspace = make_workspace(root, "demo")
    generate(workspace.root, customers=customers, seed=7)
    return workspace


def overhead(scratch: Path, customers: int) -> dict[str, Any]:
    """Runs that build everything anew from raw, plain and in Prefect, by turns."""
    workspace = company(scratch / "company", customers)
    command = [sys.executable, "-m", "flows.cli", "run", "--json", "-w", str(workspace.root)]
    measure([*command, "--plain"])
    command.append("--full-refresh")
    seconds: dict[str, list[float]] = {"plain": [], "prefect": []}
    cpu: dict[str, list[float]] = {"plain": [], "prefect": []}
    with scheduling_server(workspace) as address:
        for _ in range(TIMES):
            for name, arguments in (("plain", ["--plain"]), ("prefect", [])):
                ran = measure([*command, *arguments], {"PREFECT_API_URL": address})
                seconds[name].append(round(ran.seconds, 2))
                cpu[name].append(round(ran.cpu_seconds, 2))
    plain, prefect = (statistics.median(seconds[name]) for name in ("plain", "prefect"))
    return {
        "customers": customers,
        "seconds": seconds,
        "cpu_seconds": cpu,
        "added_seconds": round(prefect - plain, 2),
        "allowed_seconds": round(max(5.0, plain / 10), 2),
    }


def daily(scratch: Path, customers: int) -> dict[str, Any]:
    """Thirty runs, each with one more day of the company's files, against one run of all."""
    whole = company(scratch / "whole", customers)
    days = scratch / "days"
    make_workspace(days, "demo")
    shutil.rmtree(days / "inbox")
    later = _split(whole.root / "inbox", days / "inbox")
    sizes, times = [], []
    for day in range(DAYS + 1):
        for name, text in later[day].items():
            path = days / "inbox" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(text)
        ran = measure([sys.executable, "-m", "flows.cli", "run", "--plain", "-w", str(days)])
        sizes.append((days / "warehouse" / "work.duckdb").stat().st_size)
        times.append(round(ran.seconds, 1))
        print(day, sizes[-1], times[-1], file=sys.stderr, flush=True)
    fresh = scratch / "fresh"
    make_workspace(fresh, "demo")
    shutil.copytree(days / "inbox", fresh / "inbox", dirs_exist_ok=True)
    command = [sys.executable, "-m", "flows.cli", "run", "--plain", "-w", str(fresh)]
    measure(command)
    again = measure([*command, "--full-refresh"])
    fresh_bytes = (fresh / "warehouse" / "work.duckdb").stat().st_size
    return {
        "customers": customers,
        "bytes_by_day": sizes,
        "seconds_by_day": times,
        "fresh_bytes": fresh_bytes,
        "size_ratio": round(sizes[-1] / fresh_bytes, 2),
        "fresh_seconds": round(again.seconds, 1),
        "last_seconds": times[-1],
        "time_ratio": round(times[-1] / again.seconds, 2),
        "same": _totals(open_workspace(days)) == _totals(open_workspace(fresh)),
    }


def _split(inbox: Path, target: Path) -> list[dict[str, bytes]]:
    """The first day's files, and for each day after it a thirtieth of what comes in daily."""
    later: list[dict[str, bytes]] = [{} for _ in range(DAYS + 1)]
    split = {sorted(inbox.glob(pattern))[-1] for pattern in SPLIT}
    for path in sorted(inbox.rglob("*")):
        if not path.is_file() or path.name.startswith("."):
            continue
        name = path.relative_to(inbox)
        lines = path.read_bytes().splitlines(keepends=True) if path in split else []
        if not lines:
            later[0][name.as_posix()] = path.read_bytes()
            continue
        head = lines.pop(0) if path.suffix == ".csv" else b""
        for day in range(DAYS + 1):
            piece = lines[len(lines) * day // (DAYS + 1) : len(lines) * (day + 1) // (DAYS + 1)]
            named = name.with_name(f"{name.stem}_{day:02d}{name.suffix}")
            later[day][named.as_posix()] = head + b"".join(piece)
    target.mkdir(parents=True)
    return later


def _totals(workspace: Workspace) -> list[tuple[Any, ...]]:
    version = max(
        workspace.versions_dir.glob("v*.duckdb"), key=lambda path: int(path.stem.removeprefix("v"))
    )
    with closing(duckdb.connect(str(version), read_only=True)) as connection:
        return connection.execute(
            "select (select count(*) from orders), (select sum(net_amount) from order_lines)"
        ).fetchall()


if __name__ == "__main__":
    main()
