"""Station ingest in a process of its own: a parser that crashes takes one delivery, not the run.

The child says what it is about to read and what became of it, a line of JSON each. When it dies,
the delivery it was reading is put aside, the others go on in a new child. Where several were read
together the new child reads them one by one. Its memory is bounded by the system, so a parser that
asks for too much dies alone. It ends by itself when its parent does.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from cohorte.errors import CohorteError
from cohorte.logs import logger
from cohorte.said import packed, said, unpacked
from cohorte.warehouse import connect_raw
from cohorte.workspace import Workspace
from pipelines.connectors.extract import QuarantineError
from pipelines.ingest import (
    FileReport,
    IngestReport,
    Progress,
    Reading,
    ingest,
    log_delivery,
    quarantine_unread,
)

MAXIMUM_CRASHES = 100
SPARE_BYTES = 3_000_000_000
UNITS = {"MB": 10**6, "GB": 10**9, "MiB": 2**20, "GiB": 2**30}


@dataclass
class _Child:
    """What a child told before it ended."""

    is_whole: bool = False
    reading: tuple[Reading, ...] = ()
    code: int = 0


def ingest_isolated(
    workspace: Workspace,
    *,
    now: datetime,
    only_sources: Iterable[str] | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
) -> IngestReport:
    """Take in what is new, as :func:`pipelines.ingest.ingest` does, in a process of its own.

    Raises what that raises; CohorteError when the process dies without a delivery to blame.
    """
    started = time.perf_counter()
    report = IngestReport(is_dry_run=dry_run)
    asked: dict[str, Any] = {
        "root": str(workspace.root),
        "now": now.isoformat(),
        "only_sources": None if only_sources is None else sorted(only_sources),
        "dry_run": dry_run,
        "one_by_one": False,
        "passed_over": [],
    }
    for _ in range(MAXIMUM_CRASHES):
        child = _run(asked, report, progress)
        if child.is_whole:
            report.seconds = time.perf_counter() - started
            return report
        if not child.reading:
            break
        if len(child.reading) > 1:
            asked["one_by_one"] = True
            continue
        (culprit,) = child.reading
        error = _crashed(culprit, child.code)
        if dry_run:
            asked["passed_over"].append(culprit.content_hash)
            told = FileReport(
                culprit.source, culprit.feed, culprit.name, "quarantined", messages=(error.said,)
            )
        else:
            with connect_raw(workspace) as connection:
                told = quarantine_unread(workspace, connection, culprit, error, now)
        report.files.append(told)
        log_delivery(told)
    raise CohorteError(
        said(
            "taking in the sources ended with code {code}, and no file is to blame", code=child.code
        ),
        where="station ingest",
        remedy=said("see that the machine has memory and disk, then run again"),
    )


def _crashed(reading: Reading, code: int) -> QuarantineError:
    return QuarantineError(
        "parser_crashed",
        said("reading it ended the reading process (code {code})", code=code),
        where=reading.name,
        remedy=said(
            "the file is damaged or hostile: export it again; it is not read until it changes"
        ),
    )


def _run(asked: dict[str, Any], report: IngestReport, progress: Progress | None) -> _Child:
    """One child, its messages taken as they come."""
    settled = {(file.source, file.feed, file.name) for file in report.files}
    reader, writer = os.pipe()
    process = subprocess.Popen(
        [sys.executable, "-m", __name__, str(writer)],
        stdin=subprocess.PIPE,
        pass_fds=(writer,),
    )
    os.close(writer)
    found = _Child()
    error: CohorteError | None = None
    try:
        assert process.stdin is not None  # noqa: S101
        process.stdin.write(json.dumps(asked).encode() + b"\n")
        process.stdin.flush()
        with os.fdopen(reader, encoding="utf-8") as lines:
            for line in lines:
                try:
                    heard = json.loads(line)
                except ValueError:
                    break
                match heard.pop("kind"):
                    case "reading":
                        found.reading = tuple(Reading(**one) for one in heard["deliveries"])
                    case "told":
                        file = _report(heard["file"])
                        if (file.source, file.feed, file.name) in settled:
                            continue
                        report.files.append(file)
                        log_delivery(file)
                        if progress is not None:
                            progress(file, heard["done"], heard["total"])
                    case "error":
                        error = _error(heard)
                    case "end":
                        found.is_whole = True
        found.code = process.wait()
    finally:
        process.kill()
        process.wait()
        if process.stdin is not None:
            process.stdin.close()
    if error is not None:
        raise error
    return found


def _report(heard: dict[str, Any]) -> FileReport:
    heard["messages"] = tuple(map(unpacked, heard["messages"]))
    heard["rows"] = tuple((entity, count) for entity, count in heard["rows"])
    return FileReport(**heard)


def _error(heard: dict[str, Any]) -> CohorteError:
    """The child's error as one of the same kind."""
    kinds = {kind.__name__: kind for kind in _kinds(CohorteError)}
    kind = kinds.get(heard["type"], CohorteError)
    if kind is CohorteError or kind.__init__ is not CohorteError.__init__:
        error = CohorteError(
            unpacked(heard["message"]), remedy=unpacked(heard["remedy"]), where=heard["where"]
        )
        error.exit_code = heard["exit_code"]
        return error
    return kind(unpacked(heard["message"]), remedy=unpacked(heard["remedy"]), where=heard["where"])


def _kinds(kind: type[CohorteError]) -> list[type[CohorteError]]:
    return [kind, *(below for one in kind.__subclasses__() for below in _kinds(one))]


def _child(pipe: int) -> None:
    """What the child does: ingest, telling each step."""
    asked = json.loads(sys.stdin.readline())
    threading.Thread(target=_end_with_parent, daemon=True).start()
    workspace = Workspace(Path(asked["root"]))
    with os.fdopen(pipe, "w", encoding="utf-8", buffering=1) as out:

        def say(kind: str, **values: Any) -> None:
            out.write(json.dumps({"kind": kind} | values, default=str) + "\n")

        try:
            _bound_memory(workspace.settings.memory_limit)
            ingest(
                workspace,
                now=datetime.fromisoformat(asked["now"]),
                only_sources=asked["only_sources"],
                dry_run=asked["dry_run"],
                one_by_one=asked["one_by_one"],
                passed_over=asked["passed_over"],
                reading=lambda those: say("reading", deliveries=[asdict(one) for one in those]),
                progress=lambda file, done, total: say(
                    "told",
                    file=asdict(file) | {"messages": [packed(one) for one in file.messages]},
                    done=done,
                    total=total,
                ),
            )
            say("end")
        except CohorteError as error:
            say(
                "error",
                type=type(error).__name__,
                message=packed(error.message),
                remedy=packed(error.remedy),
                where=error.where,
                exit_code=error.exit_code,
            )


def _end_with_parent() -> None:
    """The parent holds the other end of the standard input until it ends."""
    sys.stdin.read()
    os._exit(1)


def _bound_memory(memory_limit: str) -> None:
    """No more than DuckDB's share, as much again for what comes and goes, and room for Python."""
    try:
        import resource
    except ImportError:
        logger().warning("this system bounds no memory")
        return
    match = re.fullmatch(r"([\d.]+)(\w+)", memory_limit)
    if match:
        allowed = int(2 * float(match.group(1)) * UNITS[match.group(2)]) + SPARE_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (allowed, allowed))


if __name__ == "__main__":
    _child(int(sys.argv[1]))
