"""A run with something going wrong at one station; in a process of its own, under the shim.

Arguments: the workspace, the control file, the station, and the moment: the number of the write
to stop at, or 0 for the end of the station.
"""

from __future__ import annotations

import json
import mmap
import os
import signal
import struct
import sys
from datetime import UTC, datetime
from pathlib import Path

from cohorte.workspace import open_workspace
from flows import stations
from flows.run import RunOptions, execute, new_context

LAYOUT = struct.Struct("6l")
ARMED, FAULT, NTH, COUNT, FIRED, PROCESS = range(6)
COUNTING, KILL, FULL, BROKEN = range(4)
NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)


class Control:
    """The words that the shim reads and writes."""

    def __init__(self, path: Path) -> None:
        with path.open("r+b") as file:
            self._map = mmap.mmap(file.fileno(), LAYOUT.size)

    def __getitem__(self, index: int) -> int:
        return LAYOUT.unpack(self._map[:])[index]

    def __setitem__(self, index: int, value: int) -> None:
        words = list(LAYOUT.unpack(self._map[:]))
        words[index] = value
        self._map[:] = LAYOUT.pack(*words)


def main(root: str, control_path: str, station: str, nth: int) -> None:
    control = Control(Path(control_path))
    control[PROCESS] = os.getpid()
    counts = {}

    def watched(name, work):
        def run(context):
            if name != station and station != "all":
                return work(context)
            control[COUNT] = 0
            control[NTH] = nth
            control[ARMED] = 1
            done = work(context)
            counts[name] = control[COUNT]
            if control[FAULT] == COUNTING:
                control[ARMED] = 0
            elif not control[FIRED]:
                at_the_end(control)
            return done

        return run

    for name, work in list(stations.STATIONS.items()):
        stations.STATIONS[name] = watched(name, work)
    options = RunOptions()
    report = execute(new_context(open_workspace(root), options, NOW), options)
    print(json.dumps({"counts": counts, "message": report.message, "status": report.status}))
    sys.exit(report.error.exit_code if report.error else 0)


def at_the_end(control: Control) -> None:
    """The station wrote less than was expected, or its end is the moment asked for."""
    if control[FAULT] == KILL:
        control[FIRED] = 1
        os.kill(os.getpid(), signal.SIGKILL)
    elif control[FAULT] == FULL:
        control[FIRED] = 1
    else:
        control[NTH] = control[COUNT] + 1


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4]))
