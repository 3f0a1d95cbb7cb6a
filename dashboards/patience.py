"""Questions that may take a while: asked beside the script, so that whoever waits can stop them.

While a question goes on, its place on the page shows for how long and a button. The button, and
any other change to the page, interrupts the query itself: nobody waits for an answer that is no
longer wanted.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from contextvars import ContextVar
from functools import wraps
from typing import Any, ParamSpec, TypeVar

import streamlit as st
from streamlit.delta_generator import DeltaGenerator
from streamlit.runtime.scriptrunner import add_script_run_ctx, get_script_run_ctx

from cohorte.segments.watch import WATCH, StoppedError
from dashboards.language import words

Parameters = ParamSpec("Parameters")
Result = TypeVar("Result")

SHOWN_AFTER = 0.7
LOOK_SECONDS = 0.2
_STOPPED = "question_stopped"
_inside = threading.local()
_PLACE: ContextVar[tuple[Any, DeltaGenerator] | None] = ContextVar("place", default=None)


def show_here() -> None:
    """What is waited for on this page is told here, so that nothing below it moves."""
    _PLACE.set((get_script_run_ctx(), st.empty()))


def _place() -> DeltaGenerator:
    held = _PLACE.get()
    return held[1] if held is not None and held[0] is get_script_run_ctx() else st.empty()


def stoppable(query: Callable[Parameters, Result]) -> Callable[Parameters, Result]:
    """The same question, which can be stopped; StoppedError then, told in its place."""

    @wraps(query)
    def call(*args: Parameters.args, **kwargs: Parameters.kwargs) -> Result:
        if getattr(_inside, "asking", False) or get_script_run_ctx() is None:
            return query(*args, **kwargs)
        question = f"{query.__name__}{abs(hash(repr((args, kwargs))))}"
        if st.session_state.get(_STOPPED) == question:
            _tell_stopped(question)
            raise StoppedError("the question was stopped")
        return _asked(lambda: query(*args, **kwargs), question)

    return call


def _asked(ask: Callable[[], Result], question: str) -> Result:
    found: list[Result] = []
    failed: list[BaseException] = []

    def work() -> None:
        _inside.asking = True
        try:
            found.append(ask())
        except BaseException as error:  # raised again in the thread of the script
            failed.append(error)

    asking = threading.Thread(target=work, daemon=True)
    add_script_run_ctx(asking, get_script_run_ctx())
    asking.start()
    asking.join(SHOWN_AFTER)
    if asking.is_alive():
        _wait(asking, question)
    if failed:
        raise failed[0]
    return found[0]


def _wait(asking: threading.Thread, question: str) -> None:
    """Until the answer is there; what interrupts the script interrupts the question."""
    _, begun, place = words(), time.monotonic(), _place()
    try:
        with place.container(key=f"waiting-{question}", horizontal=True):
            told = st.empty()
            st.button(
                _("Stop"), icon=":material/stop_circle:", key=f"stop-{question}", type="tertiary",
                on_click=_stop, args=(question,),
            )  # fmt: skip
        while asking.is_alive():
            seconds = int(time.monotonic() - begun + SHOWN_AFTER)
            told.caption(_("Counting for {seconds} s…", seconds=seconds))
            asking.join(LOOK_SECONDS)
    except BaseException:
        while asking.is_alive():
            WATCH.cancel(asking.ident or 0)
            asking.join(LOOK_SECONDS)
        raise
    place.empty()


def _stop(question: str) -> None:
    st.session_state[_STOPPED] = question


def _go_on() -> None:
    st.session_state.pop(_STOPPED, None)


def _tell_stopped(question: str) -> None:
    _ = words()
    with _place().container(
        key=f"stopped-{question}", horizontal=True, vertical_alignment="center"
    ):
        st.caption(_("Stopped."))
        st.button(
            _("Ask again"), icon=":material/replay:", key=f"again-{question}", type="tertiary",
            on_click=_go_on,
        )  # fmt: skip
