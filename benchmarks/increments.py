"""What a run costs when little is new: ``python -m benchmarks.increments``.

The demo company without its last records, then one run of each kind: the first, one with nothing
new, one with the last of one feed, one with the last of most feeds. CPU-seconds by station, of the
run and its children. ``--share`` says how much of a feed comes later; ``--check`` compares the
published hashes with those of a build of everything.
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

import psutil

from cohorte.clock import now
from cohorte.workspace import Workspace, make_workspace, open_workspace
from flows import run
from pipelines.demo import generate
from pipelines.publish import published_hashes

ONE = ("email/events_*.csv",)
MOST = ("shops/tickets_*.csv", "webshop/orders_*.jsonl", "webshop/customers_*.jsonl")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--share", type=float, default=0.01)
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--folder", type=Path, help="keep the company of each step there")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        root = asked.folder or Path(scratch)
        company = root / "company"
        make_workspace(company, "demo")
        generate(company, customers=asked.customers, seed=7)
        workspace = open_workspace(company)
        one, most = (_hold_back(workspace, feeds, asked.share) for feeds in (ONE, MOST))
        steps: dict[str, dict[Path, bytes]] = {"first": {}, "nothing": {}, "one": one, "most": most}
        for name, files in steps.items():
            if asked.folder:
                shutil.copytree(company, root / f"before_{name}")
            print(json.dumps({name: step(workspace, files)}), flush=True)
        if asked.check:
            whole = root / "whole"
            shutil.copytree(company, whole)
            built = {"whole": step(open_workspace(whole), {}, full_refresh=True)}
            print(json.dumps(built), flush=True)
            same = published_hashes(_published(workspace)) == published_hashes(
                _published(open_workspace(whole))
            )
            print(json.dumps({"same": same}))


def step(workspace: Workspace, files: dict[Path, bytes], **options: Any) -> dict[str, float]:
    """Deliver files and run; the CPU-seconds of each station and of all."""
    for path, text in files.items():
        path.write_bytes(text)
    spent: dict[str, float] = {}

    def timed(name: str, station: Any) -> Any:
        begun = _cpu_seconds()
        result = station()
        spent[name] = round(_cpu_seconds() - begun, 1)
        return result

    asked = run.RunOptions(**options)
    begun = _cpu_seconds()
    report = run.execute(run.new_context(workspace, asked, now()), asked, timed)
    if report.error is not None:
        raise report.error
    return spent | {"run": round(_cpu_seconds() - begun, 1)}


def _cpu_seconds() -> float:
    """Of this process and its children, those that ended included."""
    own = psutil.Process()
    spent = 0.0
    for process in (own, *own.children(recursive=True)):
        times = process.cpu_times()
        spent += times.user + times.system + times.children_user + times.children_system
    return spent


def _hold_back(workspace: Workspace, feeds: tuple[str, ...], share: float) -> dict[Path, bytes]:
    """Take a share of each feed, its last lines, out of the inbox, to be delivered later."""
    later = {}
    for pattern in feeds:
        paths = sorted(workspace.inbox_dir.glob(pattern))
        texts = [path.read_bytes().splitlines(keepends=True) for path in paths]
        last = texts[-1]
        head = last[:1] if paths[-1].suffix == ".csv" else []
        held = int(sum(map(len, texts)) * share)
        later[paths[-1].with_stem(f"{paths[-1].stem}_later")] = b"".join(head + last[-held:])
        paths[-1].write_bytes(b"".join(last[:-held]))
    return later


def _published(workspace: Workspace) -> Any:
    from cohorte.warehouse import served_version

    return served_version(workspace)


if __name__ == "__main__":
    main()
