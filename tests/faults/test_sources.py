"""A source that is down, or whose file ends midway, costs its own delivery and no other."""

from __future__ import annotations

import gzip
import socket
from contextlib import closing
from datetime import UTC, datetime

from cohorte.warehouse import connect_raw
from pipelines.ingest import ingest
from tests.support.workspaces import MEMBERS, ORDERS, SOURCE, small_shop

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)
LATER = datetime(2026, 11, 21, 6, tzinfo=UTC)
DATABASE = """
source: erp
feeds:
  - feed: customers
    format: database
    url: postgresql://nobody@127.0.0.1:{port}/erp?connect_timeout=3
    table: customers
    entities: {{contacts: {{columns: {{contact_id: id}}}}}}
"""


def orders_loaded(workspace):
    with closing(connect_raw(workspace)) as raw:
        return raw.execute("select count(distinct order_id) from orders").fetchall()[0][0]


def test_a_database_that_is_down_is_told_and_the_other_sources_go_on(tmp_path):
    workspace = small_shop(tmp_path)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    (tmp_path / "sources" / "erp.yml").write_text(DATABASE.format(port=port), "utf-8")
    report = ingest(workspace, now=NOW)
    assert any("customers" in message for message in report.messages)
    assert orders_loaded(workspace) == 5
    assert report.count("loaded") == 2


def test_a_folder_that_is_away_is_told_and_its_files_are_taken_when_it_is_back(tmp_path):
    workspace = small_shop(tmp_path)
    away = tmp_path / "away"
    workspace.inbox_dir.rename(away)
    report = ingest(workspace, now=NOW)
    assert report.count("missing") == 2
    away.rename(workspace.inbox_dir)
    assert ingest(workspace, now=LATER).count("loaded") == 2
    assert orders_loaded(workspace) == 5


def test_a_file_that_ended_midway_is_set_aside_and_the_whole_one_taken(tmp_path):
    workspace = small_shop(tmp_path)
    source = tmp_path / "sources" / "shop.yml"
    source.write_text(SOURCE.replace("orders*.csv", "orders*.csv.gz"), "utf-8")
    (workspace.inbox_dir / "orders.csv").unlink()
    whole = gzip.compress(ORDERS.encode("cp1252") * 50)
    target = workspace.inbox_dir / "orders.csv.gz"
    target.write_bytes(whole[: len(whole) // 2])
    report = ingest(workspace, now=NOW)
    assert report.count("quarantined") == 1
    assert any("orders.csv.gz" in message for message in report.messages)
    assert orders_loaded(workspace) == 0
    target.write_bytes(gzip.compress(ORDERS.encode("cp1252")))
    report = ingest(workspace, now=LATER)
    assert report.count("loaded") == 1
    assert orders_loaded(workspace) == 5


def test_a_file_cut_within_a_line_gives_its_whole_lines_once_it_came_again(tmp_path):
    text = MEMBERS.encode()
    workspace = small_shop(tmp_path)
    target = workspace.inbox_dir / "members.csv"
    target.write_bytes(text[:-40])
    ingest(workspace, now=NOW)
    target.write_bytes(text)
    ingest(workspace, now=LATER)
    with closing(connect_raw(workspace)) as raw:
        found = raw.execute(
            "select birth_date is not null from contacts where contact_id = 'M4'"
            " order by _loaded_at desc limit 1"
        ).fetchall()
    assert found == [(True,)]
