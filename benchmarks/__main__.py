"""Run the pipeline on companies of several sizes and print what each station costs.

Each company is run in a process of its own while its memory is sampled; the floor, one plain
DuckDB scan of the same source files, runs in another, before and after. The ratio of the two is
what to compare between machines: these are noisy.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import duckdb
import psutil

REPOSITORY = Path(__file__).resolve().parent.parent
SAMPLE_SECONDS = 0.1


@dataclass(frozen=True)
class Measured:
    """One process and its children: wall and CPU seconds, and the memory over time, in bytes."""

    seconds: float
    cpu_seconds: float
    output: str
    memory: list[tuple[float, int]]

    def peak(self, begin: float = 0.0, end: float = float("inf")) -> int:
        return max((used for at, used in self.memory if begin <= at <= end), default=0)


def measure(command: list[str], environment: dict[str, str] | None = None) -> Measured:
    """Run a command to its end; RuntimeError with its last words when it fails."""
    begun = time.monotonic()
    before = os.times()
    with (
        tempfile.TemporaryFile("w+") as told,
        tempfile.TemporaryFile("w+") as complained,
        subprocess.Popen(
            command, stdout=told, stderr=complained, env=os.environ | (environment or {})
        ) as process,
    ):
        memory = []
        while process.poll() is None:
            memory.append((time.monotonic() - begun, _memory(process.pid)))
            time.sleep(SAMPLE_SECONDS)
        seconds = time.monotonic() - begun
        after = os.times()
        told.seek(0)
        complained.seek(0)
        output = told.read()
        if process.returncode:
            raise RuntimeError(f"{' '.join(command)}\n{output[-2000:]}{complained.read()[-4000:]}")
    cpu = (after.children_user + after.children_system) - (
        before.children_user + before.children_system
    )
    return Measured(seconds, cpu, output, memory)


def _memory(pid: int) -> int:
    """Resident bytes of a process and its children."""
    total = 0
    try:
        root = psutil.Process(pid)
        for process in (root, *root.children(recursive=True)):
            total += process.memory_info().rss
    except psutil.Error:
        pass
    return total


def scan(folder: Path) -> None:
    """The floor: read every source file once with DuckDB and touch every value.

    Lines that DuckDB cannot decode are skipped: it has no cp1252.
    """
    connection = duckdb.connect()
    connection.execute("set threads = 2")
    for pattern, reader in (
        ("*.csv", "read_csv({}, ignore_errors = true)"),
        ("*.jsonl", "read_ndjson({}, ignore_errors = true)"),
        ("*.parquet", "read_parquet({})"),
    ):
        groups: dict[Path, list[Path]] = {}
        for path in sorted(folder.rglob(pattern)):
            if "truth" not in path.parts:
                groups.setdefault(path.parent, []).append(path)
        for paths in groups.values():
            for path in paths:
                source = reader.format("'" + str(path).replace("'", "''") + "'")
                connection.execute(f"select count(*), sum(hash(t)) from {source} as t").fetchall()
    if excel := sorted(path for path in folder.rglob("*.xlsx")):
        import polars

        for path in excel:
            polars.read_excel(path, sheet_id=0)


def bench(name: str, workspace: Path, sources: Path) -> dict[str, Any]:
    """Floor, run, floor again; the figures as a dictionary."""
    floor_command = [sys.executable, "-m", "benchmarks", "--scan", str(sources)]
    floors = [measure(floor_command)]
    command = [sys.executable, "-m", "flows.cli", "run", "--plain", "--json", "-w", str(workspace)]
    run = measure(command)
    floors.append(measure(floor_command))
    report = json.loads(run.output)
    floor = min(floors, key=lambda measured: measured.seconds)
    start = run.seconds - sum(station["seconds"] for station in report["stations"])
    stations, at = [], start
    for station in report["stations"]:
        seconds = station["seconds"]
        stations.append(
            {
                "station": station["station"],
                "rows": station["rows_in"],
                "seconds": round(seconds, 2),
                "rows_per_second": round(station["rows_in"] / seconds) if seconds else 0,
                "peak_mb": round(run.peak(at, at + seconds) / 1e6),
            }
        )
        at += seconds
    return {
        "company": name,
        "source_mb": round(sum(p.stat().st_size for p in sources.rglob("*") if p.is_file()) / 1e6),
        "seconds": round(run.seconds, 1),
        "cpu_seconds": round(run.cpu_seconds, 1),
        "peak_mb": round(run.peak() / 1e6),
        "scan_seconds": round(floor.seconds, 2),
        "scan_cpu_seconds": round(floor.cpu_seconds, 2),
        "ratio": round(run.seconds / floor.seconds, 1),
        "cpu_ratio": round(run.cpu_seconds / floor.cpu_seconds, 1),
        "key_figures": report["version"]["key_figures"],
        "stations": stations,
    }


def machine() -> str:
    """The machine in a line, with no name of its own."""
    memory = psutil.virtual_memory().total / 1024**3
    return (
        f"{os.cpu_count()} cores {platform.machine()}, {memory:.0f} GiB, Python"
        f" {platform.python_version()}, DuckDB {duckdb.__version__}, {platform.system()}"
    )


def show(figures: dict[str, Any]) -> None:
    """Print one company's figures as Markdown, ready for ``docs/performance.md``."""
    print(f"\n### {figures['company']}\n")
    print("| station | rows in | seconds | rows/s | peak MB |\n|---|---:|---:|---:|---:|")
    for station in figures["stations"]:
        print(
            f"| {station['station']} | {station['rows']:,} | {station['seconds']} |"
            f" {station['rows_per_second']:,} | {station['peak_mb']:,} |"
        )
    print(
        f"\n{figures['source_mb']} MB of sources; whole run {figures['seconds']} s,"
        f" {figures['cpu_seconds']} CPU-s, peak {figures['peak_mb']:,} MB; plain scan"
        f" {figures['scan_seconds']} s, {figures['scan_cpu_seconds']} CPU-s;"
        f" **ratio {figures['ratio']}** (CPU {figures['cpu_ratio']})."
    )


def make(folder: Path, *arguments: str) -> Path:
    command = [sys.executable, "-m", "flows.cli", "init", str(folder), *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    return folder


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--customers", type=int, action="append", help="size of a demo company")
    parser.add_argument("--olist", action="store_true", help="the Olist company too")
    parser.add_argument("--json", type=Path, help="write the figures here as well")
    parser.add_argument("--folder", type=Path, help="where to make the workspaces, and keep them")
    parser.add_argument("--scan", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.scan:
        scan(asked.scan)
        return
    everything = not asked.customers and not asked.olist
    sizes = asked.customers or ([100_000, 1_000_000] if everything else [])
    found = []
    print(f"{machine()}; {datetime.now(UTC):%Y-%m-%d}", flush=True)
    folder = asked.folder or Path(tempfile.mkdtemp(prefix="cohorte-bench-"))
    try:
        olist = REPOSITORY.parent / "shared" / "data" / "olist"
        if asked.olist or everything:
            if olist.is_dir():
                made = make(folder / "olist", "--template", "olist", "--source-dir", str(olist))
                found.append(bench("Olist", made, olist))
                show(found[-1])
            else:
                print("Olist is left out: its data is not there.")
        for size in sizes:
            made = make(folder / f"demo-{size}", "--template", "demo", "--customers", str(size))
            found.append(bench(f"demo, {size:,} customers", made, made / "inbox"))
            show(found[-1])
            if not asked.folder:
                shutil.rmtree(made)
    finally:
        if not asked.folder:
            shutil.rmtree(folder, ignore_errors=True)
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=2), encoding="utf-8")


if __name__ == "__main__":
    main()
