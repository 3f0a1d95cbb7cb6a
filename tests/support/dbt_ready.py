"""dbt of the tests of runs: one process reads the project, and each session is a fork of it.

Reading costs seconds, and a small company's run little more. What a session then does is the
program's own (``pipelines.dbt_session.serve``), in a process of its own.
"""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import pipelines.dbt_session
from cohorte.paths import dbt_dir
from pipelines.dbt_session import DbtSession, serve

TARGET = "COHORTE_TESTS_DBT_TARGET"
READY: Any = None

if TARGET in os.environ:
    os.environ |= {
        "COHORTE_WORK_DB": "work.duckdb",
        "COHORTE_RAW_DB": "raw.duckdb",
        "COHORTE_TEMP_DIR": "temp",
        "COHORTE_MEMORY_LIMIT": "2GB",
        "COHORTE_THREADS": "2",
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
        "DO_NOT_TRACK": "1",
    }
    READY = pipelines.dbt_session._Project(dbt_dir(), Path(os.environ[TARGET]))


class _Fork:
    """A session's process, with the part of ``subprocess.Popen`` that a session uses."""

    def __init__(self, process: Any, requests: Connection, replies: Connection) -> None:
        self._process = process
        self.stdin = os.fdopen(os.dup(requests.fileno()), "w", encoding="utf-8")
        self.stdout = os.fdopen(os.dup(replies.fileno()), encoding="utf-8")
        self.kill = process.kill

    def wait(self) -> int:
        self._process.join()
        return int(self._process.exitcode)


def starter(folder: Path, start_anew: Callable[[DbtSession], Any]) -> Callable[[DbtSession], Any]:
    """What starts a session: a fork where its cache of the project is `folder`, else anew."""

    def start(session: DbtSession) -> Any:
        return _forked(session) if session.target_dir == folder else start_anew(session)

    return start


def _forked(session: DbtSession) -> _Fork:
    context = multiprocessing.get_context("forkserver")
    asked, requests = context.Pipe(duplex=False)
    answers, replies = context.Pipe(duplex=False)
    process = context.Process(
        target=_session,
        args=(
            session._environment(),
            session.work_path.parent,
            session._log_path,
            asked,
            replies,
        ),
        daemon=True,
    )
    process.start()
    asked.close()
    replies.close()
    return _Fork(process, requests, answers)


def _session(
    environment: Mapping[str, str], folder: Path, log: Path, asked: Connection, replies: Connection
) -> None:
    os.environ.clear()
    os.environ |= environment
    os.chdir(folder)
    with log.open("w", encoding="utf-8") as written:
        os.dup2(written.fileno(), 1)
        os.dup2(written.fileno(), 2)
    pipelines.dbt_session._Project = lambda *_: READY  # type: ignore[assignment,misc]
    with (
        os.fdopen(os.dup(asked.fileno()), encoding="utf-8") as lines,
        os.fdopen(os.dup(replies.fileno()), "w", encoding="utf-8") as out,
    ):
        serve(lines, out)
