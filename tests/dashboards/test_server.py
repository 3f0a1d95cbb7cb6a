import asyncio
from typing import Any

import pytest

from dashboards import server

SHELL = (
    '<!DOCTYPE html><html lang="en"><head><link rel="preload" href="./static/media/S.woff2"'
    ' as="font" /><title>Streamlit</title></head><body><noscript>Streamlit</noscript></body></html>'
)


def ask(
    path: str, headers: dict[bytes, bytes], query: bytes = b""
) -> tuple[dict[bytes, bytes], str]:
    """What the middleware makes of a page that the app answers in two parts."""
    sent: list[dict[str, Any]] = []

    async def inner(scope: Any, receive: Any, send: Any) -> None:
        assert b"if-none-match" not in dict(scope["headers"])
        kind = (b"content-type", b"text/html; charset=utf-8")
        length = (b"content-length", str(len(SHELL)).encode())
        await send({"type": "http.response.start", "status": 200, "headers": [kind, length]})
        await send({"type": "http.response.body", "body": SHELL[:90].encode(), "more_body": True})
        await send({"type": "http.response.body", "body": SHELL[90:].encode()})

    async def collect(message: dict[str, Any]) -> None:
        sent.append(message)

    scope = {"type": "http", "path": path, "headers": list(headers.items()), "query_string": query}
    asyncio.run(server.Shell(inner)(scope, None, collect))
    body = b"".join(message.get("body", b"") for message in sent[1:]).decode()
    return dict(sent[0]["headers"]), body


@pytest.mark.parametrize(
    ("accepted", "query", "language"),
    [
        (b"fr-FR,fr;q=0.9", b"", "fr"),
        (b"en-GB", b"lang=fr", "fr"),
        (b"de", b"", "en"),
        (b"fr", b"lang=%3Cscript%3E", "fr"),
    ],
)
def test_the_page_is_ours_and_speaks_the_language_asked_for(
    accepted: bytes, query: bytes, language: str
) -> None:
    headers, html = ask("/customers", {b"accept-language": accepted, b"if-none-match": b"x"}, query)
    assert f'<html lang="{language}">' in html
    assert "<title>Cohorte</title>" in html
    assert "Streamlit" not in html
    assert "cohorte_theme=(light|dark)" in html
    assert "Choisir un fichier" in html
    assert "preload" not in html
    assert int(headers[b"content-length"]) == len(html.encode())


def test_browsers_are_told_to_protect_the_page() -> None:
    headers, _html = ask("/", {})
    assert headers[b"content-security-policy"] == b"frame-ancestors 'self'"
    assert headers[b"x-content-type-options"] == b"nosniff"
