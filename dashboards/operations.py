"""What the page of runs does to a workspace: start a run, serve another version, read logs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import deque
from datetime import datetime
from pathlib import Path
from typing import Any, get_args

from cohorte.errors import CohorteError
from cohorte.settings import Comparison, IdentitySettings
from cohorte.store import Store
from cohorte.warehouse import VersionInfo, set_served, writer_lock
from cohorte.workspace import Workspace

LOG_FILES = 5
LOG_LINES = 400
OUTPUT = "run-from-screen.log"


def start_run(workspace: Workspace, store: Store, *, who: str, at: datetime, full: bool) -> None:
    """Start a run in a process of its own, which outlives this one."""
    store.audit("run.asked", "workspace", workspace.root.name, who=who, at=at)
    workspace.logs_dir.mkdir(parents=True, exist_ok=True)
    command = [sys.executable, "-m", "flows.cli", "run", "--plain", "-w", str(workspace.root)]
    with (workspace.logs_dir / OUTPUT).open("wb") as output:
        subprocess.Popen(
            [*command, "--full-refresh"] if full else command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env=_environment(),
        )


def _environment() -> dict[str, str]:
    home = str(Path(__file__).resolve().parents[1])
    inherited = os.environ.get("PYTHONPATH")
    paths = os.pathsep.join([home, inherited] if inherited else [home])
    return os.environ | {"PYTHONPATH": paths}


def rehearse_identity(workspace: Workspace, settings: IdentitySettings) -> dict[str, Any]:
    """What segments and KPIs would be after a run with other settings of identity.

    The stations run on a copy, in a process of their own. CohorteError when it does not end well.
    """
    command = [
        sys.executable, "-m", "flows.cli", "identity", "simulate", "-w", str(workspace.root),
        "--rehearse", "--as-json", "--method", settings.method,
        "--false-merge-cost", str(settings.false_merge_cost),
        "--max-names-per-value", str(settings.max_names_per_value),
    ]  # fmt: skip
    for key in settings.exact_keys:
        command += ["--exact-key", key]
    for name in get_args(Comparison):
        command += ["--weight", f"{name}={settings.comparison_weights.get(name, 1.0):g}"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=_environment()
    )
    if done.returncode:
        raise CohorteError((done.stderr or done.stdout).strip().rpartition("\n")[2])
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def serve_version(
    workspace: Workspace, store: Store, version: str, *, who: str, at: datetime
) -> VersionInfo:
    """Serve a version kept. Raises LockedError while a run is going on, NotFoundError when the
    version is not kept or not whole."""
    with writer_lock(workspace, f"rollback to {version}", at):
        info = set_served(workspace, version)
    store.audit("version.served", "version", version, who=who, at=at)
    return info


def log_lines(workspace: Workspace, run_id: str) -> list[dict[str, Any]]:
    """What the log says of one run, the last lines of it."""
    found: deque[dict[str, Any]] = deque(maxlen=LOG_LINES)
    names = ["cohorte.log", *(f"cohorte.log.{number}" for number in range(1, LOG_FILES))]
    for name in reversed(names):
        path = workspace.logs_dir / name
        if not path.is_file():
            continue
        with path.open(encoding="utf-8", errors="replace") as file:
            for line in file:
                if run_id in line:
                    try:
                        entry = json.loads(line)
                    except ValueError:
                        continue
                    if entry.get("run_id") == run_id:
                        found.append(entry)
    return list(found)
