"""An HTTP interface of the tests' own: pages, tokens, rates, answers that say later."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from cohorte.errors import SettingsError
from tests.pipelines.workbench import Bench

ENTITIES = {
    "orders": {
        "columns": {"order_id": "$.id", "ordered_at": "$.at", "gross_amount": "$.amounts.total"}
    }
}
ROWS = [
    {"id": f"R{n:02}", "at": f"2026-01-{n + 1:02}T10:00:00Z", "amounts": {"total": n + 0.25}}
    for n in range(25)
]
Answer = tuple[int, dict[str, str], Any]


class Interface:
    """A server that answers as a test tells it, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, str], dict[str, str]]] = []
        self.answer: Callable[[str, dict[str, str]], Answer] = lambda path, query: (200, {}, [])
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = {name: values[0] for name, values in parse_qs(parts.query).items()}
                outer.asked.append((parts.path, query, dict(self.headers.items())))
                status, headers, body = outer.answer(parts.path, query)
                content = body if isinstance(body, bytes) else json.dumps(body).encode()
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def interface() -> Iterator[Interface]:
    served = Interface()
    yield served
    served.server.shutdown()
    served.server.server_close()


def declare(bench: Bench, interface: Interface, **keys: Any) -> None:
    rest = {"retries": 2, "requests_per_minute": 60_000} | keys.pop("rest", {})
    feed = {"feed": "api", "format": "rest", "url": f"{interface.url}/orders", "rest": rest}
    bench.source(feed | {"entities": ENTITIES} | keys)


def page(rows: list[Any], number: int, size: int = 10) -> list[Any]:
    return rows[number * size : (number + 1) * size]


PAGINGS: dict[str, tuple[dict[str, Any], Callable[[str, dict[str, str]], Answer]]] = {
    "page": (
        {"paging": "page", "size_parameter": "size", "page_size": 10},
        lambda path, query: (200, {}, {"data": page(ROWS, int(query["page"]) - 1)}),
    ),
    "offset": (
        {"paging": "offset", "page_parameter": "skip"},
        lambda path, query: (200, {}, {"data": ROWS[int(query["skip"]) :][:10]}),
    ),
    "cursor": (
        {"paging": "cursor", "page_parameter": "after", "next_path": "$.next"},
        lambda path, query: (
            200,
            {},
            {
                "data": page(ROWS, int(query.get("after", 0))),
                "next": int(query.get("after", 0)) + 1 if int(query.get("after", 0)) < 2 else None,
            },
        ),
    ),
    "link": (
        {"paging": "link"},
        lambda path, query: (
            200,
            {"Link": f'</orders?p={int(query.get("p", 0)) + 1}>; rel="next"'}
            if int(query.get("p", 0)) < 2
            else {},
            {"data": page(ROWS, int(query.get("p", 0)))},
        ),
    ),
}


@pytest.mark.parametrize("paging", PAGINGS)
def test_every_page_arrives_and_the_same_answer_enters_once(bench, interface, paging):
    rest, interface.answer = PAGINGS[paging]
    declare(bench, interface, rest=rest, records="$.data")
    (report,) = bench.ingest().files
    assert (report.status, report.accepted) == ("loaded", 25)
    assert bench.ask(
        "select count(distinct order_id), sum(gross_amount)::varchar, max(_line) from orders"
    ) == [(25, "306.2500", 25)]
    assert bench.ingest().files[0].status == "known"


def test_the_token_comes_from_the_environment(bench, interface, monkeypatch):
    interface.answer = lambda path, query: (200, {}, ROWS)
    declare(bench, interface, rest={"headers": {"Authorization": "Bearer ${SHOP_TOKEN}"}})
    monkeypatch.delenv("SHOP_TOKEN", raising=False)
    (report,) = bench.ingest().files
    assert "SHOP_TOKEN is not set" in report.messages[0]
    monkeypatch.setenv("SHOP_TOKEN", "s3cret")
    assert bench.ingest().files[0].accepted == 25
    assert interface.asked[-1][2]["Authorization"] == "Bearer s3cret"
    assert "s3cret" not in repr(bench.ask("from files"))


def test_an_answer_that_says_later_is_asked_for_again(bench, interface):
    answers = iter(
        [(429, {"Retry-After": "0"}, {}), (503, {"Retry-After": "0"}, {}), (200, {}, ROWS)]
    )
    interface.answer = lambda path, query: next(answers)
    declare(bench, interface)
    assert bench.ingest().files[0].accepted == 25
    assert len(interface.asked) == 3


def test_an_answer_that_stays_away_is_told_and_nothing_enters(bench, interface):
    interface.answer = lambda path, query: (503, {"Retry-After": "0"}, {})
    declare(bench, interface)
    (report,) = bench.ingest().files
    assert report.status == "quarantined"
    assert "it answers 503" in report.messages[0]
    assert len(interface.asked) == 3


@pytest.mark.parametrize("status", [401, 403, 404])
def test_a_refusal_is_not_asked_again(bench, interface, status):
    interface.answer = lambda path, query: (status, {}, {})
    declare(bench, interface)
    assert f"it answers {status}" in bench.ingest().files[0].messages[0]
    assert len(interface.asked) == 1


def test_a_page_that_fails_lets_none_of_the_others_enter(bench, interface):
    def answer(path: str, query: dict[str, str]) -> Answer:
        if query["page"] == "2":
            return 500, {"Retry-After": "0"}, {}
        return 200, {}, page(ROWS, 0)

    interface.answer = answer
    declare(bench, interface, rest={"paging": "page"})
    assert bench.ingest().files[0].status == "quarantined"
    assert bench.ask("select count(*) from orders") == [(0,)]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"<html>Login</html>", "its answer is no JSON"),
        ({"error": "x"}, "there is no list"),
        (b"[" * 100_000, "its answer is no JSON"),
    ],
)
def test_an_answer_of_another_kind_is_told(bench, interface, body, said):
    interface.answer = lambda path, query: (200, {}, body)
    declare(bench, interface)
    assert said in bench.ingest().files[0].messages[0]


def test_a_cursor_that_leads_to_itself_ends(bench, interface):
    interface.answer = lambda path, query: (200, {}, {"data": ROWS, "next": "same"})
    declare(bench, interface, records="$.data", rest={"paging": "cursor", "next_path": "$.next"})
    assert "leads to itself" in bench.ingest().files[0].messages[0]


def test_the_token_is_sent_to_no_other_host(bench, interface):
    interface.answer = lambda path, query: (
        200,
        {},
        {"data": ROWS, "next": "http://evil.example/orders"},
    )
    declare(bench, interface, records="$.data", rest={"paging": "link", "next_path": "$.next"})
    assert "another host, evil.example" in bench.ingest().files[0].messages[0]


def test_requests_keep_under_their_rate(bench, interface):
    rest, interface.answer = PAGINGS["page"]
    declare(bench, interface, records="$.data", rest=rest | {"requests_per_minute": 600})
    begun = time.monotonic()
    bench.ingest()
    assert len(interface.asked) == 3
    assert time.monotonic() - begun >= 0.2


def test_an_incremental_interface_is_asked_for_what_is_new(bench, interface):
    interface.answer = lambda path, query: (
        200,
        {},
        [row for row in ROWS if str(row["at"]) >= query.get("since", "")],
    )
    declare(bench, interface, incremental="$.at", rest={"since_parameter": "since"})
    assert bench.ingest().files[0].records == 25
    assert bench.ingest().files[0].records == 1
    assert interface.asked[-1][1] == {"since": "2026-01-25T10:00:00Z"}


def test_an_interface_that_is_not_there_is_told(bench, interface):
    declare(bench, interface, url="http://127.0.0.1:1/orders", rest={"retries": 0})
    assert "it does not answer" in bench.ingest().files[0].messages[0]


def test_a_rest_feed_without_an_address_is_a_mistake(bench, interface):
    declare(bench, interface, url="")
    with pytest.raises(SettingsError, match="states url"):
        bench.ingest()
