"""Structured logs: one JSON object a line, with counts and names of things, never personal data.

Only the fields named here are written, so that a value of a row cannot slip into a log.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from logging.handlers import RotatingFileHandler
from pathlib import Path

NAME = "cohorte"
FIELDS = (
    "run_id", "station", "source", "feed", "entity", "file", "version", "rows_in", "accepted",
    "rejected", "rows_out", "seconds", "status", "reason", "gate", "segment", "estimator", "count",
    "problem", "channel",
)  # fmt: skip

_about: ContextVar[dict[str, object]] = ContextVar("about", default={})  # noqa: B039


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: time, level, message and the fields allowed."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        line |= _about.get()
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[0]:
            line["error"] = record.exc_info[0].__name__
        return json.dumps(line, ensure_ascii=False, default=str)


def logger() -> logging.Logger:
    return logging.getLogger(NAME)


@contextmanager
def log_about(**fields: object) -> Iterator[None]:
    """Every line written inside carries these fields: the run, its station."""
    token = _about.set(_about.get() | {name: fields[name] for name in FIELDS if name in fields})
    try:
        yield
    finally:
        _about.reset(token)


def log_to(folder: Path) -> None:
    """Write the logs to ``cohorte.log`` in the folder, five files of 5 MB kept."""
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cohorte.log"
    log = logger()
    for handler in list(log.handlers):
        if isinstance(handler, RotatingFileHandler):
            if Path(handler.baseFilename) == path.resolve():
                return
            log.removeHandler(handler)
            handler.close()
    handler = RotatingFileHandler(path, maxBytes=5_000_000, backupCount=4, encoding="utf-8")
    handler.setFormatter(JsonFormatter())
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    log.propagate = False
