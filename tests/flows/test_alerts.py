"""Alerts: what counts as a problem, that it is told once, and where it goes."""

from __future__ import annotations

import json
import threading
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer

import duckdb
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.handlers import Message

from cohorte.errors import GateError, SettingsError, SourceError
from cohorte.store import open_store
from cohorte.workspace import open_workspace
from flows import alerts, notify
from flows.notify import Message as Told
from flows.run import RunOptions, RunReport, new_context
from pipelines.gates import Gate
from tests.support.published import build_workspace

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
TOLD = Told("Vernelle", "stale:shop", "stale", "nothing from shop", None, NOW)
SOURCE = """
source: {name}
feeds:
  - feed: contacts
    files: contacts.csv
    entities: {{contacts: {{columns: {{contact_id: id}}}}}}
"""


@pytest.fixture
def workspace(tmp_path):
    return build_workspace(tmp_path / "company", customers=20)


def with_settings(workspace, text):
    path = workspace.root / "cohorte.yml"
    path.write_text(path.read_text(encoding="utf-8") + text, encoding="utf-8")
    return open_workspace(workspace.root)


def source(workspace, name):
    folder = workspace.root / "sources"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yml").write_text(SOURCE.format(name=name), encoding="utf-8")


def failed(workspace, error, gates=(), kind="refresh"):
    context = new_context(workspace, RunOptions(kind=kind), NOW)
    context.station = "publish"
    context.gates_failed = list(gates)
    return context, RunReport(context.run_id, context.as_of, "failed", error=error)


def open_problems(workspace):
    with open_store(workspace.store_url) as store:
        return [alert.problem for alert in store.list_alerts(only_open=True)]


def test_a_failed_run_is_told_by_its_station_and_never_by_its_text(workspace):
    context, report = failed(workspace, SourceError("anne@example.com is no date"))
    problems = alerts.failures(context, report)
    assert "stopped at publish: SourceError" in problems["failure:refresh"][1]
    assert "anne" not in json.dumps(problems)


def test_a_gate_that_did_not_pass_is_told_by_its_name(workspace):
    gates = [
        Gate("rejects", False, "shop: 9 of 10 records rejected"),
        Gate("dbt", False, "unique_orders fail: got anne@example.com"),
    ]
    context, report = failed(workspace, GateError("no"), gates)
    problems = alerts.failures(context, report)
    assert problems["gate:rejects"][1] == "shop: 9 of 10 records rejected"
    assert problems["gate:dbt"][1] == "unique_orders fail"


def test_a_failure_ends_with_the_next_run_of_its_kind_that_succeeds(workspace):
    alerts.after_run(*failed(workspace, SourceError("x")))
    alerts.after_run(*failed(workspace, SourceError("x")))
    alerts.after_run(*failed(workspace, SourceError("x"), kind="retrain"))
    assert sorted(open_problems(workspace)) == ["failure:refresh", "failure:retrain"]
    context, report = failed(workspace, None)
    report.status = "succeeded"
    alerts.after_run(context, report)
    assert open_problems(workspace) == ["failure:retrain"]


def test_a_source_that_brings_nothing_is_stale_unless_the_day_is_pinned(workspace):
    source(workspace, "nowhere")
    assert alerts.of_served(workspace, NOW) == {}
    path = workspace.root / "cohorte.yml"
    lines = path.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if not line.startswith("as_of")]
    path.write_text("\n".join(kept) + "\n", encoding="utf-8")
    problems = alerts.of_served(open_workspace(workspace.root), NOW)
    assert problems["stale:nowhere"] == ("stale", "nowhere never delivered")


def test_a_delivery_out_of_its_usual_range_is_told_as_the_data_screen_shows_it(workspace):
    source(workspace, "shop")
    problems = alerts.check(workspace, NOW)
    assert problems == {
        "volume:shop": (
            "volume",
            "shop brought 20 records on 2026-10-31, usually 80 to 300",
        )
    }
    assert open_problems(workspace) == ["volume:shop"]


def test_scores_past_a_limit_of_their_monitoring_are_in_doubt():
    with closing(duckdb.connect()) as served:
        assert alerts._doubts(served) == {}
        served.execute(
            "create table score_checks as select * from (values"
            " ('lead_score', 'drift', 'channel', 0.4, 0.25, true),"
            " ('lead_score', 'drift', 'month', 0.1, 0.25, false))"
            " as checks (score, measure, subject, value, limit_value, is_alert)"
        )
        assert alerts._doubts(served) == {
            "scores:lead_score:drift:channel": ("scores", "drift of channel is 0.40, limit 0.25")
        }


@pytest.mark.parametrize(
    ("accepted", "usual"),
    [
        ([100] * 6, None),
        ([100, 110, 90, 100, 105, 1000], 100),
        ([100, 110, 90, 100, 105, 10], 100),
        ([100, 110, 90, 100, 105, 300], None),
        ([100, 1000], None),
    ],
)
def test_a_delivery_far_from_the_usual_is_unusual(accepted, usual):
    assert alerts._unusual(accepted, 4) == usual


def test_shares_that_stay_do_not_drift_and_those_that_move_do():
    assert alerts.stability_index({"a": 50, "b": 50}, {"a": 500, "b": 500}) == pytest.approx(0)
    assert alerts.stability_index({"a": 50, "b": 50}, {"a": 90, "b": 10}) > 0.25
    assert alerts.stability_index({}, {"a": 1}) == 0


class Hook:
    """A web server that keeps what it is sent, and answers as it is told to."""

    def __init__(self):
        hook = self
        self.received, self.answers = [], []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                hook.received.append(json.loads(body))
                self.send_response(hook.answers.pop(0) if hook.answers else 204)
                self.send_header("Location", "http://elsewhere.example/")
                self.end_headers()

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook"

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.server.shutdown()
        self.server.server_close()


def test_a_webhook_gets_one_message_a_problem_and_one_when_it_ends(workspace, monkeypatch):
    monkeypatch.setattr(notify, "PAUSES_SECONDS", (0.0, 0.0))
    with Hook() as hook:
        monkeypatch.setenv("HOOK", hook.url)
        ready = with_settings(
            workspace, 'alerts: {webhook: "${HOOK}", webhook_hosts: ["127.0.0.1"]}\n'
        )
        hook.answers = [500]
        for hour in range(3):
            late = {"stale:shop": ("stale", "nothing from shop")}
            alerts.tell(ready, late, {"stale:"}, NOW + timedelta(hours=hour))
        alerts.tell(ready, {}, {"stale:"}, NOW + timedelta(hours=4))
    assert [told["status"] for told in hook.received] == ["began", "began", "ended"]
    assert hook.received[-1]["company"] == ready.settings.company


def test_a_host_that_is_not_allowed_gets_nothing():
    with Hook() as hook:
        with pytest.raises(SettingsError, match="not allowed"):
            notify.post(hook.url, ["hooks.example.com"], TOLD)
        hook.answers = [302]
        with pytest.raises(Exception, match="answered 302"):
            notify.post(hook.url, ["127.0.0.1"], TOLD)
    assert len(hook.received) == 1


def test_a_place_that_does_not_answer_is_logged_and_fails_nothing(workspace, monkeypatch):
    monkeypatch.setattr(notify, "PAUSES_SECONDS", (0.0,))
    ready = with_settings(
        workspace,
        'alerts: {webhook: "http://127.0.0.1:9/x", webhook_hosts: ["127.0.0.1"],'
        " mail: {host: 127.0.0.1, port: 9, sender: a@example.com, to: [b@example.com],"
        " encryption: none}}\n",
    )
    notify.send(ready, TOLD)


class Letters(Message):
    def __init__(self):
        super().__init__()
        self.letters = []

    def handle_message(self, message):
        self.letters.append(message)


class OnAnyPort(Controller):
    """A mail server on the port that the machine gives it."""

    def _trigger_server(self):
        self.port = self.server.sockets[0].getsockname()[1]
        super()._trigger_server()


def test_an_alert_goes_by_mail(workspace):
    letters = Letters()
    server = OnAnyPort(letters, hostname="127.0.0.1", port=0)
    server.start()
    try:
        port = server.port
        ready = with_settings(
            workspace,
            f"alerts: {{mail: {{host: 127.0.0.1, port: {port}, sender: cohorte@example.com,"
            " to: [data@example.com], encryption: none}}\n",
        )
        notify.send(ready, TOLD)
    finally:
        server.stop()
    assert [letter["Subject"] for letter in letters.letters] == ["[Vernelle] problem: stale:shop"]
    assert "nothing from shop" in letters.letters[0].get_payload()


def test_the_password_of_the_mail_server_is_never_written_in_the_settings(workspace):
    ready = with_settings(
        workspace,
        "alerts: {mail: {host: h, sender: a@example.com, to: [b@example.com], password: secret}}\n",
    )
    with pytest.raises(SettingsError, match="password"):
        _ = ready.settings


def test_the_check_without_a_run_tells_what_there_is(workspace):
    assert alerts.check(workspace, NOW) == {}
    assert workspace.settings.as_of == date(2026, 10, 31)
