"""The format of a workspace's files: an older one is upgraded, a newer one refused.

The store has its own steps, by Alembic; raw gains the columns of new contracts when it is
opened; what is derived is built anew. What is left, the layout of the folder, has a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from cohorte import __version__
from cohorte.errors import SettingsError
from cohorte.logs import logger
from cohorte.warehouse import write_atomically
from cohorte.workspace import Workspace

FORMAT = 1


def found_format(workspace: Workspace) -> int:
    """The format that a workspace is in; 0 before it was written down.

    Raises SettingsError when a newer program made it, or its note does not read.
    """
    path = format_path(workspace)
    if not path.is_file():
        return 0
    try:
        note = json.loads(path.read_text(encoding="utf-8"))
        number, program = int(note["format"]), str(note["program"])
    except (ValueError, KeyError, TypeError):
        raise SettingsError(
            "the note of the workspace's format does not read",
            where=f"warehouse/{path.name}",
            remedy="remove it, if this Cohorte is the one that used the workspace last",
        ) from None
    if number > FORMAT:
        raise SettingsError(
            f"the workspace was last used by a newer Cohorte ({program}, format {number};"
            f" this one is {__version__}, format {FORMAT})",
            where=str(workspace.root),
            remedy="upgrade Cohorte, or restore a backup made by this one",
        )
    return number


def settle_format(workspace: Workspace) -> None:
    """Bring the workspace to this program's format; the writer's lock is held.

    Raises SettingsError when it is of a newer one.
    """
    found = found_format(workspace)
    for number in range(found, FORMAT):
        STEPS[number](workspace)
    if found < FORMAT:
        note = {"format": FORMAT, "program": __version__}
        write_atomically(format_path(workspace), json.dumps(note) + "\n")
        logger().info("workspace upgraded", extra={"count": FORMAT})


def format_path(workspace: Workspace) -> Path:
    return workspace.root / "warehouse" / "format.json"


def _forget_the_build(workspace: Workspace) -> None:
    """0 to 1: what an unnumbered release built goes; the run builds it anew."""
    for name in ("work.duckdb", "work.duckdb.wal"):
        (workspace.root / "warehouse" / name).unlink(missing_ok=True)


STEPS: dict[int, Callable[[Workspace], None]] = {0: _forget_the_build}
