"""``python -m pipelines.demo FOLDER``: generate the demo company into a folder."""

from __future__ import annotations

import argparse
import sys
import time
from datetime import date
from pathlib import Path

from pipelines.demo import generate


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m pipelines.demo", description=__doc__)
    parser.add_argument("folder", type=Path, help="where inbox/ and truth/ are written")
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=7)
    parser.add_argument("--until", type=date.fromisoformat, default=date(2026, 10, 31))
    asked = parser.parse_args()
    started = time.monotonic()

    def report(what: str, done: int, steps: int) -> None:
        sys.stderr.write(f"\r{done:3}/{steps} {what:10}")
        sys.stderr.flush()

    company = generate(
        asked.folder,
        customers=asked.customers,
        seed=asked.seed,
        until=asked.until,
        progress=report if sys.stderr.isatty() else None,
    )
    print(
        f"{company.company}: {company.customers:,} customers, {len(company.files)} files,"
        f" {company.bytes / 1e6:,.0f} MB in {time.monotonic() - started:.1f} s"
    )


if __name__ == "__main__":
    main()
