"""The templates read as they are, and the example of the blank one works on files as it says."""

from __future__ import annotations

import json
import shutil
import sqlite3
from pathlib import Path

import pytest
import xlsxwriter

from cohorte.paths import templates_dir
from cohorte.segments import leaves
from cohorte.sources import read_source
from cohorte.warehouse import connect_reader
from cohorte.workspace import make_workspace
from models.leads import read_lead_rules
from models.leads.features import FEATURES
from pipelines.ingest import ingest
from tests.pipelines.workbench import NOW


@pytest.mark.parametrize(
    "path", sorted(templates_dir().glob("*/sources/*.yml")), ids=lambda path: path.stem
)
def test_the_sources_of_a_template_read(path: Path):
    assert read_source(path).feeds


def test_the_blank_template_starts_without_a_source(tmp_path):
    workspace = make_workspace(tmp_path / "company", "blank")
    assert workspace.sources() == []
    assert ingest(workspace, now=NOW).files == []


def test_the_blank_template_shows_rules_for_leads_that_read(tmp_path):
    workspace = make_workspace(tmp_path / "company", "blank")
    assert read_lead_rules(workspace.root) is None, "nothing counts before it is renamed"
    (workspace.root / "lead_rules.yml.sample").rename(workspace.root / "lead_rules.yml")
    rules = read_lead_rules(workspace.root)
    assert rules.fit
    assert rules.behaviour
    fields = {leaf.field for _, rule in rules.stated() for leaf in leaves(rule.when)}
    assert fields <= FEATURES.keys()


def test_the_example_of_the_blank_template_reads_files_as_it_says(tmp_path, monkeypatch):
    workspace = make_workspace(tmp_path / "company", "blank")
    sources, inbox = workspace.root / "sources", workspace.inbox_dir
    shutil.copy(sources / "example.yml.sample", sources / "shop.yml")
    (inbox / "members_1.csv").write_text(
        "Member no;First name;Surname;E-mail;Mobile;Born;Postcode;Town;Changed on;Newsletter\n"
        "7;Zoé;Durand; zoe@example.com ;06;12/12/1999;13001;Marseille;01/02/2026 10:00;yes\n",
        encoding="cp1252",
    )
    (inbox / "tickets_1.csv").write_text(
        "Ticket;Member no;Date;Line;Article;Label;Quantity;Net\n"
        "T1;7;03/02/2026 11:00;1;A;Tea;2;20,50\nR2;7;04/02/2026 11:00;1;A;Tea;-2;-20,50\n",
        encoding="utf-8",
    )
    order = {
        "id": "W1",
        "customer": {"email": "zoe@example.com"},
        "created_at": "2026-02-05T10:00Z",
    }
    order |= {"lines": [{"sku": "A", "quantity": 1, "price": 10.25}] * 2}  # type: ignore[dict-item]
    (inbox / "web").mkdir()
    (inbox / "web" / "1.jsonl").write_text(json.dumps(order) + "\n", encoding="utf-8")
    with xlsxwriter.Workbook(inbox / "accounts.xlsx") as book:
        sheet = book.add_worksheet("Accounts")
        sheet.write_row(0, 0, ["Code", "Name", "Town"])
        sheet.write_row(1, 0, ["X", "Example SA", "Lyon"])
    database = tmp_path / "support.db"
    with sqlite3.connect(database) as support:
        support.execute("create table tickets (id, customer, created_at, state)")
        support.execute("insert into tickets values (1, '7', '2026-02-06 10:00:00', 'open')")
    support.close()
    monkeypatch.setenv("SUPPORT_DATABASE_URL", f"sqlite:///{database}")
    report = ingest(workspace, now=NOW)
    assert {file.status for file in report.files} == {"loaded"}
    assert report.messages == []
    assert report.rows == {
        "contacts": 1,
        "consents": 1,
        "order_lines": 4,
        "orders": 3,
        "accounts": 1,
        "tickets": 1,
    }
    raw = connect_reader(workspace.raw_path)
    answers = raw.execute("select order_id, status from orders order by 1").fetchall()
    consents = raw.execute("select is_granted, recorded_at::varchar from consents").fetchall()
    raw.close()
    assert answers == [("R2", "returned"), ("T1", "completed"), ("W1", None)]
    assert consents == [(True, "2026-02-01 09:00:00")]
