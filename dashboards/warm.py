"""Go through the pages of a version as soon as it is served, before anyone asks for them.

What a page works out is kept under the version (see `queries`), so whoever comes first waits as
little as the next. The visitor is a session like any other, without a browser: it knows nothing of
the pages but their names, and of people one customer's id.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import CancelledError
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.runtime import Runtime
from streamlit.runtime.session_manager import SessionClient

from cohorte.errors import CohorteError
from cohorte.warehouse import open_served, shown_version, version_path
from cohorte.workspace import Workspace, open_workspace

SCREENS = Path(__file__).parent / "screens"
FIRST = (
    "overview",
    "customers",
    "overview?period=30d",
    "segments",
    "overview?period=12m",
    "explore",
    "sales",
)
"""Where people mostly begin; the other pages follow. No page twice in a row: its fields would keep
what they hold."""
WORTH_IT_BYTES = 200_000_000
"""A smaller version answers at once."""
LOOK_SECONDS = 5.0
PATIENCE_SECONDS = 120.0


def keep_warm(loop: asyncio.AbstractEventLoop, ended: threading.Event) -> None:
    """Go through the pages of the version served, and of each that comes after it."""
    visited = None
    while not ended.is_set():
        with suppress(CohorteError, CancelledError):
            workspace = open_workspace()
            info = shown_version(workspace)
            if info is not None and info.version != visited:
                visited = info.version
                if version_path(workspace, visited).stat().st_size >= WORTH_IT_BYTES:
                    asked = pages(_somebody(workspace))
                    asyncio.run_coroutine_threadsafe(visit(asked), loop).result()
        ended.wait(LOOK_SECONDS)


def pages(customer_id: str | None = None) -> list[str]:
    """All pages as addresses, those first that most people begin with, and one customer's."""
    begun = {page.partition("?")[0] for page in FIRST}
    known = sorted(path.stem for path in SCREENS.glob("*.py"))
    someone = [] if customer_id is None else [f"customer?id={customer_id}"]
    return [*FIRST, *someone, *(name for name in known if name not in begun)]


def _somebody(workspace: Workspace) -> str | None:
    """A customer with much on their page: what it needs is loaded with it."""
    _, connection = open_served(workspace)
    with closing(connection):
        found = connection.execute(
            "select customer_id from customer_profiles order by lifetime_orders_count desc limit 1"
        ).fetchone()
    return found[0] if found else None


async def visit(pages: list[str]) -> None:
    """Show pages to nobody, one after the other."""
    runtime, nobody = Runtime.instance(), Nobody()
    session = runtime.connect_session(nobody, user_info={})
    try:
        for page in pages:
            nobody.shown.clear()
            message = BackMsg()
            name, _, asked = page.partition("?")
            message.rerun_script.page_name, message.rerun_script.query_string = name, asked
            runtime.handle_backmsg(session, message)
            with suppress(TimeoutError):
                await asyncio.wait_for(nobody.shown.wait(), PATIENCE_SECONDS)
    finally:
        runtime.close_session(session)


class Nobody(SessionClient):
    """Takes what pages send, and knows when one is whole."""

    def __init__(self) -> None:
        self.shown = asyncio.Event()

    def write_forward_msg(self, msg: ForwardMsg) -> None:
        """Look only for the end of a page."""
        if msg.WhichOneof("type") == "script_finished":
            self.shown.set()

    @property
    def client_context(self) -> Any:
        """No request brought this visitor."""
        return None
