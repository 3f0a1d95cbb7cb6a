"""A question that runs long can be stopped, and whoever leaves it does not wait for it."""

from __future__ import annotations

import threading
from unittest.mock import MagicMock

import duckdb
import pytest
from streamlit.testing.v1 import AppTest

from cohorte.segments.watch import WATCH, StoppedError
from dashboards import patience


class Rerun(BaseException):
    """What Streamlit raises in a script whose page was changed."""


def test_what_interrupts_the_script_interrupts_its_question(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    begun, ended = threading.Event(), []

    def ask() -> None:
        with duckdb.connect() as con:
            try:
                with WATCH.limited(con, 600):
                    begun.set()
                    con.execute(
                        "select sum(sin(a.range * b.range)) from range(1000000) as a,"
                        " range(1000000) as b"
                    ).fetchall()
            except StoppedError:
                ended.append("stopped")
                raise

    page = MagicMock()
    page.empty.return_value.caption.side_effect = Rerun
    monkeypatch.setattr(patience, "st", page)
    monkeypatch.setattr(patience, "words", lambda: lambda said, **_: said)
    monkeypatch.setattr(patience, "SHOWN_AFTER", 0.01)
    with pytest.raises(Rerun):
        patience._asked(ask, "q1")
    assert begun.is_set()
    assert ended == ["stopped"]


def _page() -> None:
    import streamlit as st

    from cohorte.segments.watch import StoppedError
    from dashboards import patience

    @patience.stoppable
    def question(number: int) -> int:
        st.session_state["asked"] = st.session_state.get("asked", 0) + 1
        if number == 13:
            raise ValueError("unlucky")
        return number * 2

    name = "stop" if "stop" in st.session_state else None
    if name:
        st.session_state[patience._STOPPED] = st.session_state.pop("stop")
    try:
        st.write(str(question(st.session_state.get("number", 4))))
    except (ValueError, StoppedError) as error:
        st.write(f"ended: {error}")


def test_an_answer_comes_back_and_so_does_what_went_wrong() -> None:
    app = AppTest.from_function(_page, default_timeout=120).run()
    assert [each.value for each in app.markdown] == ["8"]
    app.session_state["number"] = 13
    app.run()
    assert [each.value for each in app.markdown] == ["ended: unlucky"]


def test_a_stopped_question_is_not_asked_until_one_asks_again() -> None:
    app = AppTest.from_function(_page, default_timeout=120).run()
    app.session_state["stop"] = f"question{abs(hash(repr(((4,), {}))))}"
    app.run()
    assert [each.value for each in app.markdown] == ["ended: the question was stopped"]
    assert app.session_state["asked"] == 1
    app.button[0].click().run()
    assert [each.value for each in app.markdown] == ["8"]
    assert app.session_state["asked"] == 2
