"""What `streamlit run` serves: the screens, in an HTML shell that is ours from the first byte.

Streamlit's page names Streamlit, claims to be English and preloads a font we do not use until its
script has run; here it carries our name, the language asked for and the ground colour at once.
"""

from __future__ import annotations

import asyncio
import gc
import importlib
import pkgutil
import re
import threading
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.middleware import Middleware
from streamlit.starlette import App

from cohorte.errors import CohorteError
from cohorte.i18n import LANGUAGES, language_of
from cohorte.warehouse import shown_version
from cohorte.workspace import open_workspace
from dashboards import theme, warm, widgets

RUN_BY_STREAMLIT = ("app", "server", "screens")

HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"same-origin"),
    (b"content-security-policy", b"frame-ancestors 'self'"),
]
NOT_PASSED_ON = (b"accept-encoding", b"if-none-match", b"if-modified-since")
OUTDATED = (b"content-length", b"etag", b"last-modified")
# Streamlit keeps a colour scheme by path; ours is one for all pages, chosen in the header. It is
# put in its place before Streamlit looks.
_SCHEME = (
    "<script>try{const c=(document.cookie.match(/(?:^|; )"
    + theme.COOKIE
    + "=(light|dark)/)||[])[1],k=`stActiveTheme-${location.pathname}-v2`;"
    "if(c){localStorage.setItem(k,JSON.stringify(c==='dark'?'Dark':'Light'));"
    "document.documentElement.style.background=c==='dark'?'"
    + f"{theme.PAIRS['canvas'][1]}':'{theme.PAIRS['canvas'][0]}'"
    + "}else localStorage.removeItem(k)}catch{}</script>"
)
_GROUND = (
    f"<style>html{{background:{theme.PAIRS['canvas'][0]}}}"
    f"@media(prefers-color-scheme:dark){{html{{background:{theme.PAIRS['canvas'][1]}}}}}</style>"
)


class Shell:
    """ASGI middleware: our HTML around the screens, and headers that browsers protect by."""

    def __init__(self, app: Any) -> None:
        self.app = app

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        wanted = [pair for pair in scope["headers"] if pair[0] not in NOT_PASSED_ON]
        is_page = "." not in scope["path"].rsplit("/", 1)[-1] and "_stcore" not in scope["path"]
        if is_page:
            scope = scope | {"headers": wanted}
        started: dict[str, Any] = {}
        parts: list[bytes] = []

        async def sent(message: Any) -> None:
            if message["type"] == "http.response.start":
                message = message | {"headers": [*message["headers"], *HEADERS]}
                kind = dict(message["headers"]).get(b"content-type", b"")
                if is_page and kind.startswith(b"text/html"):
                    started.update(message)
                    return
            elif started:
                parts.append(message.get("body", b""))
                if message.get("more_body"):
                    return
                html = page(b"".join(parts).decode(), language_asked(scope)).encode()
                kept = [p for p in started["headers"] if p[0] not in OUTDATED]
                length = (b"content-length", str(len(html)).encode())
                await send(started | {"headers": [*kept, length]})
                message = {"type": "http.response.body", "body": html}
            await send(message)

        await self.app(scope, receive, sent)


def language_asked(scope: Any) -> str:
    """The language of a request: what its address says, else the browser's first choice."""
    asked = parse_qs(scope.get("query_string", b"").decode("latin-1")).get("lang", [""])[0]
    if asked in LANGUAGES:
        return asked
    accepted = dict(scope["headers"]).get(b"accept-language", b"").decode("latin-1")
    return language_of(accepted.split(",")[0].strip())


def page(html: str, language: str) -> str:
    """Streamlit's HTML shell made ours."""
    html = html.replace('<html lang="en">', f'<html lang="{language}">', 1)
    head = f"<title>Cohorte</title>{_GROUND}{_SCHEME}{widgets.script()}"
    html = re.sub(r"<title>.*?</title>", lambda _found: head, html, count=1)
    html = html.replace("./favicon.png", "./app/static/icon.png", 1)
    html = re.sub(r'<link\s+rel="preload"[^>]*?as="font"[^>]*>', "", html, flags=re.DOTALL)
    needs = (
        "Cohorte a besoin de JavaScript."
        if language == "fr"
        else "Cohorte needs JavaScript to run."
    )
    return re.sub(
        r"<noscript>.*?</noscript>", f"<noscript><p>{needs}</p></noscript>", html, flags=re.DOTALL
    )


@asynccontextmanager
async def _ready(_app: App) -> AsyncIterator[None]:
    """Before the server answers: the code of all pages is there, and the served version is read
    through; then its pages are gone through. What is wrong with it is said to who asks for a page.
    """
    for module in pkgutil.iter_modules([str(Path(__file__).parent)]):
        if module.name not in RUN_BY_STREAMLIT:
            importlib.import_module(f"dashboards.{module.name}")
    with suppress(CohorteError):
        shown_version(open_workspace())
    # What is there for good is out of the way of the collector of memory.
    gc.collect()
    gc.freeze()
    ended = threading.Event()
    loop = asyncio.get_running_loop()
    threading.Thread(target=warm.keep_warm, args=(loop, ended), daemon=True).start()
    yield
    ended.set()


app = App(Path(__file__).with_name("app.py"), lifespan=_ready, middleware=[Middleware(Shell)])
