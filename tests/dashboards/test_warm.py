"""Pages are gone through before anyone asks for them."""

from __future__ import annotations

import asyncio
import gc
import threading
from collections.abc import Callable
from typing import Any

import pytest
import streamlit as st
from streamlit.runtime import Runtime
from streamlit.starlette import App

from cohorte.workspace import ENVIRONMENT_VARIABLE, Workspace
from dashboards import queries, server, warm
from dashboards.periods import LABELS
from tests.dashboards.conftest import APP

PATIENCE = 120.0


@pytest.fixture
def asked(served: Workspace, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """What the pages ask of the version from here on; nothing ran or was kept before."""
    monkeypatch.setenv(ENVIRONMENT_VARIABLE, str(served.root))
    monkeypatch.setattr(Runtime, "_instance", None)
    asked: list[str] = []
    rows: Callable[..., Any] = queries.Cursor.rows

    def noted(cursor: queries.Cursor, sql: str, *parameters: Any) -> Any:
        asked.append(sql)
        return rows(cursor, sql, *parameters)

    monkeypatch.setattr(queries.Cursor, "rows", noted)
    st.cache_data.clear()
    return asked


def test_who_comes_after_the_visit_asks_nothing_of_the_version(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    visits: list[int] = []
    visit = warm.visit

    async def serve() -> None:
        """Start the server, let it go through its pages, and end it."""
        gone_through, messages = asyncio.Event(), asyncio.Queue[Any]()

        async def noted(names: list[str]) -> None:
            await visit(names)
            visits.append(len(asked))
            gone_through.set()

        async def said(message: Any) -> None:
            assert not message["type"].endswith("failed"), message

        monkeypatch.setattr(warm, "visit", noted)
        messages.put_nowait({"type": "lifespan.startup"})
        app = App(APP, lifespan=server._ready)
        life = asyncio.create_task(app({"type": "lifespan"}, messages.get, said))
        await asyncio.wait_for(gone_through.wait(), PATIENCE)
        await noted(["customers?q=a"])
        await noted(["customers?q=b"])
        messages.put_nowait({"type": "lifespan.shutdown"})
        await life

    monkeypatch.setattr(gc, "freeze", lambda: None)
    monkeypatch.setattr(warm, "WORTH_IT_BYTES", 0)
    monkeypatch.setattr(
        warm, "pages", lambda somebody: [f"customer?id={somebody}", "customers?q=a", "runs"]
    )
    asyncio.run(serve())
    first, second, other = visits
    assert first > 0
    assert second == first
    assert other > second


def test_a_small_version_is_left_to_those_who_ask(
    asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class EndsAtOnce(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            self.set()
            return True

    monkeypatch.setattr(warm, "visit", lambda names: pytest.fail("it was gone through"))
    loop = asyncio.new_event_loop()
    warm.keep_warm(loop, EndsAtOnce())
    loop.close()
    assert asked == []


def test_every_page_is_gone_through_those_first_that_people_begin_with() -> None:
    pages = warm.pages("C1")
    assert pages[: len(warm.FIRST) + 1] == [*warm.FIRST, "customer?id=C1"]
    plain = [page for page in pages if "?" not in page]
    assert sorted(plain) == sorted({path.stem for path in warm.SCREENS.glob("*.py")})
    asked = {page for page in pages if page.startswith("overview?")}
    assert asked == {f"overview?period={key}" for key in LABELS if key != "90d"}
