"""Questions that can be stopped: after a time, or by whoever asked.

One thread watches all of them and interrupts the connection of a question that is due, again and
again until the question has ended: an interruption that falls between two queries is lost.
"""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import duckdb

from cohorte.errors import CohorteError
from cohorte.said import said

AGAIN_SECONDS = 0.1


class StoppedError(CohorteError):
    """A question was stopped by whoever asked it."""


@dataclass
class _Question:
    con: duckdb.DuckDBPyConnection
    thread: int
    until: float
    is_cancelled: bool = False


class Watch:
    """The questions under way. `limited` is entered by the thread that asks."""

    def __init__(self) -> None:
        self._questions: dict[int, _Question] = {}
        self._numbers = itertools.count()
        self._changed = threading.Condition()
        self._watcher: threading.Thread | None = None

    @contextmanager
    def limited(self, con: duckdb.DuckDBPyConnection, seconds: float) -> Iterator[None]:
        """Interrupts what takes longer, as CohorteError; what was cancelled, as StoppedError."""
        question = _Question(con, threading.get_ident(), time.monotonic() + seconds)
        number = next(self._numbers)
        with self._changed:
            self._questions[number] = question
            if self._watcher is None:
                self._watcher = threading.Thread(target=self._look, daemon=True)
                self._watcher.start()
            if len(self._questions) == 1:
                self._changed.notify()
        try:
            yield
        except duckdb.InterruptException:
            if question.is_cancelled:
                raise StoppedError("the question was stopped") from None
            raise CohorteError(
                said("the question was stopped after {seconds:g} s", seconds=seconds),
                remedy=said("narrow the rule, or ask for less of it"),
            ) from None
        finally:
            with self._changed:
                del self._questions[number]

    def cancel(self, thread: int) -> None:
        """Stop what a thread is asking."""
        with self._changed:
            for question in self._questions.values():
                if question.thread == thread:
                    question.is_cancelled = True
                    question.con.interrupt()

    def _look(self) -> None:
        while True:
            with self._changed:
                self._changed.wait_for(lambda: bool(self._questions))
                self._interrupt_due()
            time.sleep(AGAIN_SECONDS)

    def _interrupt_due(self) -> None:
        """In a function of its own: the sleeping watcher holds no connection."""
        for question in self._questions.values():
            if question.is_cancelled or question.until < time.monotonic():
                question.con.interrupt()


WATCH = Watch()
