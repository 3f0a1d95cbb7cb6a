"""What the tests of faults share: a company with a version served and a delivery that waits, a
reader that never stops asking, and a run in which something goes wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from cohorte.errors import NotFoundError
from cohorte.warehouse import open_served
from cohorte.workspace import Workspace, open_workspace
from flows.run import RunOptions, execute, new_context
from tests.faults.child import FAULT, LAYOUT, NOW, Control
from tests.support.workspaces import MEMBERS, ORDERS, small_shop

BEFORE = datetime(2026, 11, 21, 5, tzinfo=UTC)
REPOSITORY = Path(__file__).resolve().parents[2]
ASKS_EVERY_SECONDS = 0.1
TOTALS = """
    select
        (select min(version) from version_info), (select count(*) from orders),
        (select sum(net_amount) from order_lines), (select count(*) from customers),
        (select sum(value) from kpi_daily where kpi_id = 'net_revenue')
"""


def run(workspace: Workspace, **options):
    asked = RunOptions(**options)
    return execute(new_context(workspace, asked, NOW), asked)


def company(root: Path) -> Workspace:
    """A workspace that serves v1 of a part of its data, the rest of which has just come in."""
    header, *orders = ORDERS.splitlines(keepends=True)
    first, *members = MEMBERS.splitlines(keepends=True)
    workspace = small_shop(
        root, orders=header + "".join(orders[:3]), members=first + "".join(members[:3])
    )
    options = RunOptions()
    assert execute(new_context(workspace, options, BEFORE), options).version.version == "v1"
    (workspace.inbox_dir / "orders_2.csv").write_text(header + "".join(orders[3:]), "cp1252")
    (workspace.inbox_dir / "members_2.csv").write_text(first + members[3], "utf-8")
    return workspace


def copy_of(workspace: Workspace, root: Path) -> Workspace:
    shutil.copytree(workspace.root, root)
    return open_workspace(root)


def totals(workspace: Workspace):
    _, connection = open_served(workspace)
    with closing(connection):
        return connection.execute(TOTALS).fetchall()[0]


@dataclass
class Reader:
    """Asks for totals ten times a second, each time of what is served then."""

    workspace: Workspace
    seen: set = field(default_factory=set)
    failures: list = field(default_factory=list)
    asked: int = 0

    def __enter__(self):
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._ask)
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join()

    def _ask(self):
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                self.seen.add(totals(self.workspace))
            except NotFoundError as error:
                self.failures.append(str(error))
            except Exception as error:  # whatever a reader may meet is what is tested
                self.failures.append(repr(error))
            self.asked += 1
            self._stop.wait(max(0.0, ASKS_EVERY_SECONDS - (time.monotonic() - begun)))


@dataclass(frozen=True)
class Ended:
    code: int
    fired: bool
    told: dict
    complaint: str


def run_with_fault(
    workspace: Workspace, shim: Path, scratch: Path, fault: int, station: str, nth: int
) -> Ended:
    """Run the pipeline in a process where something goes wrong at a station."""
    path = scratch / "control"
    path.write_bytes(bytes(LAYOUT.size))
    control = Control(path)
    control[FAULT] = fault
    environment = os.environ | {
        "LD_PRELOAD": str(shim),
        "FAULT_CONTROL": str(path),
        "FAULT_ROOT": str(workspace.root),
        "PYTHONPATH": str(REPOSITORY),
        "PYTHONDONTWRITEBYTECODE": "1",
    }
    child = subprocess.run(
        [
            *(sys.executable, "-m", "tests.faults.child"),
            *(str(workspace.root), str(path), station, str(nth)),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    lines = child.stdout.splitlines()
    told = json.loads(lines[-1]) if lines and lines[-1].startswith("{") else {}
    from tests.faults.child import FIRED

    return Ended(child.returncode, bool(control[FIRED]), told, child.stderr)
