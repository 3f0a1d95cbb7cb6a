"""Addresses asked of a certified service: only when declared, once, to the declared host alone."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from cohorte.errors import NotFoundError, SettingsError, SourceError
from cohorte.settings import AddressServiceSettings
from cohorte.warehouse import connect_raw, connect_work
from cohorte.workspace import Workspace
from pipelines.addresses import Address, ReferenceService, check_addresses
from tests.pipelines.workbench import NOW, Bench

LINES = ["1 rue Haute", "rue Basse", "3 rue Neuve", "4 rue Vieille", "5 rue du Port"]
CODES = ["42000", "42000", "99999", "42000", "42000"]


class Post:
    """A service of addresses on this machine, answering as the reference does."""

    def __init__(self, reference: ReferenceService) -> None:
        self.reference = reference
        self.asked: list[dict[str, Any]] = []
        self.tokens: list[str | None] = []
        self.status = 200
        self.later = 0

    def answer(self, body: bytes) -> tuple[int, bytes]:
        if self.later:
            self.later -= 1
            return 503, b""
        addresses = json.loads(body)["addresses"]
        self.asked += addresses
        found = self.reference.check([Address(**one) for one in addresses])
        verdicts = [{"id": a.id, "verdict": a.verdict, "reason": a.reason} for a in found]
        return self.status, json.dumps({"verdicts": verdicts[:-1]}).encode()


@contextmanager
def served(post: Post) -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            post.tokens.append(self.headers["Authorization"])
            status, body = post.answer(self.rfile.read(int(self.headers["Content-Length"])))
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://elsewhere.example/")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/check"
        server.shutdown()


@pytest.fixture
def built(bench: Bench) -> Bench:
    """A workspace whose last run has built five addresses, one of them Belgian, one broken."""
    space = Workspace(bench.root)
    with closing(connect_raw(space)) as raw:
        raw.execute("insert into places (postcode, city) values ('42000', 'ST ETIENNE')")
    with closing(connect_work(space)) as work:
        work.execute(
            "create schema staging; create schema intermediate;"
            " create table staging.stg_contacts as select 'shop' as source, n::varchar as"
            " contact_id, line as address_line, code as postcode, 'X' as city,"
            " case n when 5 then 'BE' else 'FR' end as country_code from (select"
            " unnest(range(1, 6)) as n, unnest(?) as line, unnest(?) as code)",
            [LINES, CODES],
        )
        work.execute(
            "create table intermediate.int_contacts__addresses as select source, contact_id, true"
            " as has_address, case contact_id when '4' then 'missing_city' end as address_problem,"
            " md5(address_line) as address_hash from staging.stg_contacts"
        )
    return bench


@pytest.fixture
def post(built: Bench) -> Iterator[Post]:
    with closing(connect_raw(Workspace(built.root))) as raw:
        made = Post(ReferenceService(raw))
    with served(made) as url:
        declared = {"name": "post", "url": url, "hosts": ["127.0.0.1"], "batch": 2, "retries": 1}
        built.settings(
            address_service=declared | {"token": "${ADDRESS_TOKEN}", "requests_per_minute": 60_000}
        )
        yield made


def ask(bench: Bench, **options: Any) -> dict[str, int]:
    return check_addresses(Workspace(bench.root), now=lambda: NOW, **options)


def test_nothing_leaves_unless_a_service_is_declared(built: Bench) -> None:
    with pytest.raises(SettingsError, match="no address leaves"):
        ask(built)


def test_each_address_is_sent_once_without_a_name(built, post, monkeypatch) -> None:
    monkeypatch.setenv("ADDRESS_TOKEN", "secret")
    assert sum(ask(built).values()) == 3
    assert sorted(one["address_line"] for one in post.asked) == LINES[:1] + LINES[2:3] + LINES[1:2]
    assert set(post.asked[0]) == {"id", "address_line", "postcode", "city", "country_code"}
    assert set(post.tokens) == {"Bearer secret"}
    kept = built.ask("select verdict, reason, service from address_verdicts")
    assert len(kept) == 3
    assert ("uncertain", "no answer", "post") in kept
    sent = len(post.asked)
    assert ask(built) == {}
    assert len(post.asked) == sent


def test_a_batch_that_was_answered_is_kept_though_the_next_fails(built, post, monkeypatch):
    monkeypatch.setenv("ADDRESS_TOKEN", "secret")
    real = post.answer

    def once(body: bytes) -> tuple[int, bytes]:
        return (500, b"") if post.asked else real(body)

    monkeypatch.setattr(post, "answer", once)
    with pytest.raises(SourceError, match="it answers 500"):
        ask(built)
    assert built.ask("select count(*) from address_verdicts") == [(2,)]
    monkeypatch.setattr(post, "answer", real)
    ask(built)
    assert len({one["id"] for one in post.asked}) == len(post.asked) == 3


def test_an_answer_that_says_later_is_waited_for(built, post, monkeypatch) -> None:
    monkeypatch.setenv("ADDRESS_TOKEN", "secret")
    post.later = 1
    assert sum(ask(built).values()) == 3


def test_a_redirection_takes_no_address_elsewhere(built, post, monkeypatch) -> None:
    monkeypatch.setenv("ADDRESS_TOKEN", "secret")
    post.status = 302
    with pytest.raises(SourceError, match="it answers 302"):
        ask(built)
    assert built.ask("select count(*) from address_verdicts") == [(0,)]


def test_an_answer_of_another_form_is_refused(built, post, monkeypatch) -> None:
    monkeypatch.setenv("ADDRESS_TOKEN", "secret")
    monkeypatch.setattr(post, "answer", lambda _: (200, b'{"verdicts": [{"id": "x"}]}'))
    with pytest.raises(SourceError, match="not of the agreed form"):
        ask(built)
    wrong = b'{"verdicts": [{"id": "x", "verdict": "deliverable"}]}'
    monkeypatch.setattr(post, "answer", lambda _: (200, wrong))
    with pytest.raises(SourceError, match="what it was not asked"):
        ask(built)


def test_before_the_first_run_there_is_nothing_to_ask(bench: Bench) -> None:
    bench.settings(
        address_service={"name": "post", "url": "https://a.example", "hosts": ["a.example"]}
    )
    with pytest.raises(NotFoundError, match="no run has built"):
        ask(bench)


@pytest.mark.parametrize(
    ("url", "hosts", "token", "said"),
    [
        ("https://b.example/x", ["a.example"], None, "which hosts does not name"),
        ("http://a.example/x", ["a.example"], None, "must begin with https"),
        ("https://a.example@b.example/x", ["a.example"], None, "which hosts does not name"),
        ("https://a.example/x", ["a.example"], "secret", "token"),
    ],
)
def test_only_an_allowed_host_is_asked_and_its_token_is_not_in_the_file(url, hosts, token, said):
    with pytest.raises(ValueError, match=said):
        AddressServiceSettings(name="post", url=url, hosts=hosts, token=token)
