"""The assistant: what a file never seen holds, and a source that takes it in."""

from __future__ import annotations

import gzip
import json
import zipfile
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import xlsxwriter
import yaml

from cohorte.errors import SettingsError, SourceError
from cohorte.workspace import Workspace
from pipelines.assistant import (
    Look,
    draft_source,
    look_at,
    map_columns,
    parsed_source,
    propose_columns,
    source_yaml,
    write_source,
)
from pipelines.assistant.draft import pattern_of
from pipelines.assistant.profiles import profile
from pipelines.assistant.sample import read_samples
from pipelines.assistant.suggest import folded
from pipelines.ingest import rehearse
from tests.pipelines.workbench import NOW, Bench

PEOPLE = (
    "N° client;Civilité;Nom;Prénom;Courriel;Tél. portable;Code postal;Ville;Date de naissance;"
    "Modifié le\n"
    + "".join(
        f"C{n:03};{'Mme' if n % 2 else 'M.'};Dupont{n};Zoé;zoe{n}@exemple.fr;06 12 34 56 {n:02};"
        f"{69000 + n};Lyon;{n % 28 + 1:02}/07/1980;{n % 28 + 1:02}/11/2026 09:30\n"
        for n in range(60)
    )
)
LINES = (
    "Numéro commande;Date commande;Code client;Référence article;Désignation;Qté;"
    "Prix unitaire HT;Montant HT;Total TTC;Statut commande\n"
    + "".join(
        f"F{n // 2};{n // 2 % 28 + 1:02}/11/2026;C{n // 2 % 9};A{n % 7};Savon;{n % 3 + 1};"
        f"1 234,50;{(n % 3 + 1) * 1234},50;9 999,00;{'Livrée' if n % 4 < 2 else 'Annulée'}\n"
        for n in range(80)
    )
)


def look(bench: Bench, name: str, content: str | bytes, entity: str | None = None) -> Look:
    path = bench.deliver(name, content)
    return look_at(path, Workspace(bench.root), entity)[0]


def draft(bench: Bench, *looks: Look) -> dict[str, Any]:
    pairs = [(one, one.suggestions) for one in looks]
    return draft_source(Workspace(bench.root), pairs, "shop")


def columns(declared: dict[str, Any], entity: str) -> dict[str, Any]:
    return dict(declared["feeds"][0]["entities"][entity]["columns"])


def test_a_french_file_of_people_maps_by_itself(bench):
    declared = draft(bench, look(bench, "clients_2026.csv", PEOPLE.encode("cp1252")))
    feed = declared["feeds"][0]
    assert (feed["files"], feed["encoding"], feed["delimiter"]) == ("clients_*.csv", "cp1252", ";")
    assert columns(declared, "contacts") == {
        "contact_id": "N° client",
        "first_name": "Prénom",
        "last_name": "Nom",
        "salutation": "Civilité",
        "birth_date": {"column": "Date de naissance", "formats": ["%d/%m/%Y"]},
        "email": "Courriel",
        "phone": "Tél. portable",
        "postcode": "Code postal",
        "city": "Ville",
        "updated_at": {"column": "Modifié le", "formats": ["%d/%m/%Y %H:%M"]},
    }
    assert feed["entities"]["contacts"]["version"] == "updated_at"


def test_lines_of_orders_give_orders_of_what_is_the_same_in_all_their_lines(bench):
    declared = draft(bench, look(bench, "export.csv", LINES))
    feed = declared["feeds"][0]
    assert (feed["decimal"], feed["thousands"]) == (",", " ")
    assert columns(declared, "order_lines") == {
        "order_id": "Numéro commande",
        "product_id": "Référence article",
        "product_name": "Désignation",
        "quantity": "Qté",
        "unit_price": "Prix unitaire HT",
        "net_amount": "Montant HT",
    }
    orders = columns(declared, "orders")
    assert feed["entities"]["orders"]["distinct"] is True
    assert orders["gross_amount"] == "Total TTC"
    assert "net_amount" not in orders
    assert orders["status"] == {
        "column": "Statut commande",
        "values": {"Livrée": "delivered", "Annulée": "cancelled"},
    }
    source = parsed_source(source_yaml(declared), "shop")
    tried = rehearse(Workspace(bench.root), source, now=NOW)
    assert (tried.report.records, tried.report.rejected) == (80, 0)
    assert {preview.entity: preview.count for preview in tried.previews} == {
        "order_lines": 80,
        "orders": 40,
    }


def test_english_headers_map_as_well(bench):
    text = "Order ID,Order Date,Customer ID,Total Amount,Currency,Order Status\n" + "".join(
        f"O{n},2026-01-{n % 28 + 1:02}T10:00:00Z,C{n},{n}.5,EUR,completed\n" for n in range(50)
    )
    assert columns(draft(bench, look(bench, "orders.csv", text)), "orders") == {
        "order_id": "Order ID",
        "contact_id": "Customer ID",
        "ordered_at": "Order Date",
        "status": "Order Status",
        "currency_code": "Currency",
        "gross_amount": "Total Amount",
    }


def test_contents_tell_what_headers_do_not(bench):
    text = "a;b;c\n" + "".join(f"{n};x{n}@y.fr;06 11 22 33 {n:02}\n" for n in range(40))
    found = look(bench, "f.csv", text)
    assert found.profiles["b"].pattern == "email"
    assert found.profiles["c"].pattern == "phone"
    assert columns(draft(bench, found), "contacts") == {
        "contact_id": {"column": "b", "transform": "lower"},
        "email": "b",
        "phone": "c",
    }


def test_ids_that_the_company_knows_tell_a_column(bench):
    bench.source(
        {
            "feed": "p",
            "files": "p.csv",
            "entities": {"products": {"columns": {"product_id": "id"}}},
        }
    )
    bench.deliver("p.csv", "id,x\n" + "".join(f"P-{n},1\n" for n in range(50)))
    bench.ingest()
    text = "Commande;Machin;Qté\n" + "".join(f"F{n // 2};P-{n % 40};1\n" for n in range(60))
    found = look(bench, "lignes.csv", text)
    assert found.known["Machin"]["product_id"] == 1.0
    match = found.suggestions[0].matches["product_id"]
    assert (match.column, match.why) == ("Machin", "known values")


def test_what_nothing_tells_suggests_nothing(bench):
    found = look(bench, "f.csv", "a;b\n" + "".join(f"{n};{n * 2}\n" for n in range(30)))
    assert found.suggestions == []


def test_a_workbook_is_looked_at_sheet_by_sheet_below_its_titles(bench):
    path = bench.inbox / "crm.xlsx"
    with xlsxwriter.Workbook(path) as book:
        sheet = book.add_worksheet("Clients")
        sheet.merge_range(0, 0, 0, 2, "Extraction du 21/11/2026")
        sheet.write_row(2, 0, ["Code client", "Nom", "E-mail"])
        for n in range(10):
            sheet.write_row(3 + n, 0, [f"C{n}", "Durand", f"d{n}@x.fr"])
        other = book.add_worksheet("Affaires")
        other.write_row(0, 0, ["N° affaire", "Intitulé", "Étape", "Montant", "Créée le"])
        for n in range(10):
            other.write_row(1 + n, 0, [f"A{n}", "Site", "Gagnée", 10.5, "2026-01-01"])
        book.add_worksheet("Vide")
    looks = look_at(path, Workspace(bench.root))
    assert [one.suggestions[0].entity for one in looks] == ["contacts", "opportunities"]
    declared = draft(bench, *looks)
    assert [feed["feed"] for feed in declared["feeds"]] == ["clients", "affaires"]
    assert declared["feeds"][0]["header_row"] == 3
    source = parsed_source(source_yaml(declared), "shop")
    assert rehearse(Workspace(bench.root), source, now=NOW).report.accepted == 20


def test_nested_json_gives_orders_and_their_lines(bench):
    rows = [
        {
            "id": f"W{n}",
            "created_at": "2026-01-01T10:00:00+01:00",
            "customer": {"email": f"a{n}@x.fr"},
            "lines": [{"sku": "A", "qty": 2, "price": 3.5}, {"sku": "B", "qty": 1, "price": 1}],
        }
        for n in range(20)
    ]
    found = look(bench, "orders.jsonl", "\n".join(map(json.dumps, rows)) + "\n")
    declared = draft(bench, found)
    assert columns(declared, "order_lines") == {
        "order_id": "$.id",
        "product_id": "@.sku",
        "quantity": "@.qty",
        "unit_price": "@.price",
    }
    assert columns(declared, "orders")["contact_id"] == {
        "column": "$.customer.email",
        "transform": "lower",
    }
    document = look(bench, "orders.json", json.dumps({"data": rows}, indent=1))
    assert document.sample.declared == {"format": "json", "records": "$.data"}


@pytest.mark.parametrize("kind", ["parquet", "gzip", "zip", "utf-16", "cp850"])
def test_other_kinds_of_files_read_as_the_plain_one(bench, kind):
    path = bench.inbox / "clients.bin"
    if kind == "parquet":
        rows = [line.split(";") for line in PEOPLE.splitlines()]
        pl.DataFrame(rows[1:], schema=rows[0], orient="row").write_parquet(path)
    elif kind == "gzip":
        path.write_bytes(gzip.compress(PEOPLE.encode()))
    elif kind == "zip":
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("clients.csv", PEOPLE)
    else:
        path.write_bytes(PEOPLE.encode(kind))
    found = look_at(path, Workspace(bench.root))[0]
    assert found.suggestions[0].entity == "contacts"
    assert "Prénom" in found.profiles
    declared = draft(bench, found)
    source = parsed_source(source_yaml(declared), "shop")
    tried = rehearse(Workspace(bench.root), source, now=NOW)
    assert (tried.report.accepted, tried.report.rejected) == (60, 0)


def test_fixed_places_are_found(bench):
    text = "".join(f" {n:05} {20260100 + n % 28 + 1} {n:6.2f}\n" for n in range(40))
    (sample,) = read_samples(bench.deliver("f.txt", text))
    assert sample.format == "fixed_width"
    assert [field["start"] for field in sample.declared["fields"]] == [1, 8, 17]
    assert sample.rows[0] == ["00000", "20260101", "0.00"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "the file is empty"),
        (b"only one column\nof words\n", "no delimiter splits"),
        (bytes([0x40, 0xC1, 0x40, 0xC2, 0x40, 0xFF]) * 30, "EBCDIC"),
    ],
)
def test_what_cannot_be_looked_at_says_why_and_what_to_do(bench, content, message):
    path = bench.deliver("f.txt", content)
    with pytest.raises(SourceError, match=message) as caught:
        read_samples(path)
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("values", "kind", "details"),
    [
        (["2026-01-31", "2026-02-01"], "date", {"formats": ()}),
        (["2026-01-31T10:00:00Z", "2026-02-01T10:00:00Z"], "timestamp", {"formats": ()}),
        (["31/01/2026", "01/02/2026"], "date", {"formats": ("%d/%m/%Y",), "is_ambiguous": False}),
        (["01/02/2026", "03/04/2026"], "date", {"formats": ("%d/%m/%Y",), "is_ambiguous": True}),
        (["31/01/26 10:05"], "timestamp", {"formats": ("%d/%m/%y %H:%M",)}),
        (["20260131", "20260201"], "date", {"formats": ("%Y%m%d",)}),
        (["1,5", "2"], "decimal", {"decimal": ","}),
        (["1 234,5", "12,00"], "decimal", {"decimal": ",", "thousands": " "}),
        (["1\u202f234,5", "2"], "decimal", {"decimal": ",", "thousands": " "}),
        (["1.234,50"], "decimal", {"decimal": ",", "thousands": "."}),
        (["1,234.50"], "decimal", {"decimal": ".", "thousands": ","}),
        (["1'234.50"], "decimal", {"decimal": ".", "thousands": "'"}),
        (["12", "-3"], "integer", {}),
        (["0612345678"], "text", {"pattern": "phone"}),
        (["01000", "75011"], "text", {"pattern": "postcode"}),
        (["oui", "non", "oui"], "boolean", {}),
        (["O", "N"], "boolean", {}),
        (["EUR", "USD"], "text", {"pattern": "currency"}),
        (["", None, "NULL"], "empty", {"filled": 0.0}),
    ],
)
def test_the_profile_of_a_column(values, kind, details):
    found = profile("x", values)
    assert found.kind == kind
    assert {name: getattr(found, name) for name in details} == details


def test_month_comes_first_where_the_company_writes_so(bench):
    assert profile("x", ["01/02/2026"], month_first=True).formats == ("%m/%d/%Y",)


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("orders_2026-01-31.csv", "orders_*.csv"),
        ("events_2026-T4.csv", "events_*.csv"),
        ("2026-01-31.csv", "????-??-??.csv"),
        ("a/clients.csv.gz", "a/clients.csv.gz"),
        ("export (12).csv", "export (*).csv"),
        ("x[1].csv", "x?1?.csv"),
    ],
)
def test_a_pattern_meets_the_file_and_those_to_come(tmp_path, name, pattern):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    path.touch()
    assert pattern_of(path, tmp_path) == pattern
    assert path in tmp_path.glob(pattern)


def test_headers_fold_to_bare_words():
    assert folded("N° de Téléphone") == "n de telephone"
    assert folded("orderDate") == "order date"


def test_a_source_is_written_once_and_only_when_it_reads(bench):
    found = look(bench, "clients.csv", PEOPLE)
    text = source_yaml(draft(bench, found))
    workspace = Workspace(bench.root)
    path = write_source(workspace, "shop", text)
    assert yaml.safe_load(path.read_text())["source"] == "shop"
    assert workspace.sources()[0].source == "shop"
    with pytest.raises(SettingsError, match="there is a source shop already"):
        write_source(workspace, "shop", text)
    with pytest.raises(SettingsError, match="is no entity"):
        write_source(workspace, "shop", text.replace("contacts:", "people:"), replace=True)
    assert path.read_text() == text


def test_files_elsewhere_keep_their_folder(bench, tmp_path):
    path = tmp_path / "exports" / "clients.csv"
    path.parent.mkdir()
    path.write_text(PEOPLE)
    declared = draft(bench, *look_at(path, Workspace(bench.root)))
    assert declared["folder"] == str(path.parent)
    assert declared["feeds"][0]["files"] == "clients.csv"


def test_columns_that_no_mapping_reads_are_proposed(bench):
    bench.source(
        {
            "feed": "c",
            "files": "clients*.csv",
            "entities": {"contacts": {"columns": {"contact_id": "N° client", "email": "Courriel"}}},
        }
    )
    bench.deliver("clients.csv", PEOPLE)
    workspace = Workspace(bench.root)
    found = {one.column: one.target for one in propose_columns(workspace, workspace.sources()[0])}
    assert found["Ville"] == "contacts.city"
    assert found["Tél. portable"] == "contacts.phone"


WRITTEN = """# of the tills
source: shop
feeds:
  - feed: c
    files: clients*.jsonl
    format: json_lines
    entities:
      contacts:
        columns:
          contact_id: id
          gender:
            column: $.who.sex
            values:
              H: male   # as they write it
      # each line of a ticket
      order_lines:
        explode: $.lines
        columns: {order_id: id, quantity: "@.pieces"}
"""


def test_new_keys_of_json_are_told_proposed_and_mapped_in_place(bench):
    path = bench.root / "sources" / "shop.yml"
    path.write_text(WRITTEN, encoding="utf-8")
    old = '{"id": "%d", "who": {"sex": "H"}, "lines": [{"pieces": 1}]}\n'
    new = (
        '{"id": "%d", "who": {"sex": "H", "mail": "x%d@y.fr"}, "ville": "Lyon",'
        ' "lines": [{"pieces": 1, "article": "A7"}]}\n'
    )
    bench.deliver("clients_1.jsonl", "".join(old % n for n in range(5)))
    bench.deliver("clients_2.jsonl", "".join(new % (n, n) for n in range(5, 10)))
    bench.deliver("clients_3.jsonl", old % 77)
    bench.deliver("clients_4.jsonl", new % (78, 78))
    one, two, three, four = bench.ingest().files
    assert one.messages == three.messages == four.messages == ()
    (told,) = two.messages
    assert 'new column "$.ville", "$.who.mail", "@.article", kept in _extra' in told
    workspace = Workspace(bench.root)
    (source,) = workspace.sources()
    proposals = propose_columns(workspace, source)
    assert {one.column: one.target for one in proposals} == {
        "$.who.mail": "contacts.email",
        "$.ville": "contacts.city",
        "@.article": "order_lines.product_id",
    }
    text = map_columns(workspace, source, [one.addition(one.target) for one in proposals])
    assert all(line in text for line in WRITTEN.splitlines()[:-1])
    path.write_text(text, encoding="utf-8")
    assert bench.ingest().records == 12
    assert bench.ask("select count(*), count(city), count(email) from contacts") == [(12, 6, 6)]
    assert bench.ask("select count(*), count(product_id) from order_lines") == [(12, 6)]


def test_a_rehearsal_shows_rows_rejects_and_writes_nothing(bench):
    found = look(bench, "clients.csv", PEOPLE + "C999;M.;X;Y;a@b.fr;0;1;L;31/02/1980;\n")
    workspace = Workspace(bench.root)
    source = parsed_source(source_yaml(draft(bench, found)), "shop")
    tried = rehearse(workspace, source, now=NOW, rows=5)
    assert len(tried.previews[0].rows) == 5
    (refused,) = tried.rejected
    assert (refused.line, refused.column, refused.reason, refused.value) == (
        62, "birth_date", "not_a_date", "31/02/1980",
    )  # fmt: skip
    assert not workspace.raw_path.exists()
    assert list((bench.root / "sources").iterdir()) == []


def test_a_broken_line_does_not_hide_that_lines_are_json(bench):
    text = "".join(f'{{"id": "{n}", "ville": "Lyon, Rhône"}}\n' for n in range(30))
    found = look(bench, "clients.jsonl", text + '{"id": "30", "vil')
    assert found.sample.format == "json_lines"
    assert found.column_names == ["$.id", "$.ville"]


REAL = {
    "olist/olist_orders_dataset.csv": (
        "orders",
        {"order_id", "contact_id", "ordered_at", "status"},
    ),
    "olist/olist_order_items_dataset.csv": (
        "order_lines",
        {"order_id", "line_number", "unit_price"},
    ),
    "olist/olist_order_payments_dataset.csv": ("payments", {"order_id", "amount", "method"}),
    "olist/olist_customers_dataset.csv": ("contacts", {"contact_id", "postcode", "city"}),
    "olist/olist_order_reviews_SAMPLE.csv": ("surveys", {"survey_id", "score", "order_id"}),
    "olist/olist_marketing_qualified_leads_dataset.csv": ("leads", {"lead_id", "created_at"}),
    "online_retail/by-day/2010-12-01.csv": ("order_lines", {"order_id", "quantity", "product_id"}),
}


@pytest.mark.parametrize("name", REAL)
def test_real_files_map_by_themselves(shared_data: Path, bench: Bench, name: str):
    entity, wanted = REAL[name]
    (found,) = look_at(shared_data / name, Workspace(bench.root))
    assert found.suggestions[0].entity == entity
    assert wanted <= set(found.suggestions[0].matches)
