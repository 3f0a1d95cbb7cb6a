"""``cohorte sources``: add, list, check, rejects."""

from __future__ import annotations

import csv

import pytest
from typer.testing import CliRunner

from cohorte.errors import NotFoundError, SourceError
from flows.cli import app
from tests.pipelines.workbench import Bench

PEOPLE = "Code client;Nom;Courriel;Code postal;Ville;Né le\n" + "".join(
    f"C{n};Durand{n};d{n}@x.fr;6900{n % 9 + 1};Lyon;{n % 28 + 1:02}/05/1980\n" for n in range(40)
)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path / "company")


def cohorte(bench: Bench, *arguments: object, typed: str = ""):
    command = ["sources", *map(str, arguments), "-w", str(bench.root)]
    result = CliRunner(env={"COLUMNS": "240"}).invoke(app, command, input=typed)
    if result.exception and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_file_never_seen_is_added_listed_checked_and_mended(bench):
    path = bench.deliver("clients.csv", PEOPLE + "C99;X;x@y.fr;69001;Lyon;31/02/1980\n")
    added = cohorte(bench, "add", path, "--yes", "--name", "crm")
    assert added.exit_code == 0, added.output
    assert (bench.root / "sources" / "crm.yml").is_file()
    assert "not_a_date" in added.output
    assert not (bench.root / "warehouse" / "raw.duckdb").exists()
    bench.ingest()
    assert "crm" in cohorte(bench, "list").output
    checked = cohorte(bench, "check", "crm")
    assert "41 records, 40 accepted, 1 rejected" in checked.output
    export = bench.root / "rejects.csv"
    cohorte(bench, "rejects", "crm", "--export", export)
    with export.open(encoding="utf-8") as file:
        (row,) = csv.DictReader(file)
    assert (row["file"], row["line"], row["value"]) == ("clients.csv", "42", "31/02/1980")
    text = (bench.root / "sources" / "crm.yml").read_text()
    mended = text.replace("column: Né le", "column: Né le\n          values: {31/02/1980: null}")
    assert mended != text
    (bench.root / "sources" / "crm.yml").write_text(mended)
    assert ' "earlier_mapping": 1' in cohorte(bench, "list", "--json").output
    replayed = cohorte(bench, "rejects", "crm", "--replay").output
    assert "1 read again" in " ".join(replayed.split())
    assert bench.ask("select count(*) from contacts") == [(41,)]
    assert bench.ask("select count(*) from rejected_rows") == [(0,)]


def test_a_person_answers_what_is_in_doubt(bench):
    text = "a;b;c\n" + "".join(f"{n};x{n}@y.fr;Lyon\n" for n in range(20))
    path = bench.deliver("f.csv", text)
    done = cohorte(bench, "add", path, "--name", "crm", typed="contacts\na\ny\n")
    assert done.exit_code == 0, done.output
    assert "contact_id: a" in (bench.root / "sources" / "crm.yml").read_text()


def test_suggestions_that_do_not_suffice_fail_clearly_and_write_nothing(bench):
    path = bench.deliver("f.csv", "a;b\n" + "".join(f"{n};{n}\n" for n in range(20)))
    with pytest.raises(SourceError, match="no entity has all the columns"):
        cohorte(bench, "add", path, "--yes")
    assert list((bench.root / "sources").iterdir()) == []


def test_an_export_never_gives_a_spreadsheet_a_formula(bench):
    bench.orders()
    bench.ingest_one(
        "orders.csv", "Ticket,Date,Montant,Client\n=1+1,no,1,C\n" + "T,2026-01-01,1,C\n" * 40
    )
    export = bench.root / "rejects.csv"
    cohorte(bench, "rejects", "--export", export)
    assert "'=1+1,no,1,C" in export.read_text()


def test_an_unknown_source_is_told(bench):
    bench.orders()
    with pytest.raises(NotFoundError, match='no source "crm"'):
        cohorte(bench, "check", "crm")


def test_columns_left_out_are_mapped_without_touching_the_rest(bench):
    bench.deliver("orders_1.csv", "Ticket,Date,Montant,Client\nT1,2026-01-01,5,C1\n")
    bench.orders()
    bench.ingest()
    header = "Ticket,Date,Montant,Client,Boutique\n"
    bench.deliver("orders_2.csv", header + "T2,2026-01-02,5,C1,Lyon\n")
    bench.ingest()
    path = bench.root / "sources" / "shop.yml"
    before = path.read_text(encoding="utf-8")
    assert cohorte(bench, "map", "shop", typed="-\n").output.strip().endswith("Nothing to map.")
    assert path.read_text(encoding="utf-8") == before
    cohorte(bench, "map", "shop", typed="orders.store\ny\n")
    assert set(before.splitlines()) < set(path.read_text(encoding="utf-8").splitlines())
    bench.ingest()
    assert bench.ask("select order_id, store from orders order by 1") == [
        ("T1", None),
        ("T2", "Lyon"),
    ]


def test_a_replay_says_what_it_cannot_read(bench):
    bench.orders()
    path = bench.deliver("orders_1.csv", "Ticket,Date,Montant,Client\nT1,soon,5,C1\n")
    bench.ingest()
    path.unlink()
    source = bench.root / "sources" / "shop.yml"
    text = source.read_text(encoding="utf-8")
    source.write_text(text.replace("Date", "Datum"), encoding="utf-8")
    told = " ".join(cohorte(bench, "rejects", "--replay").output.split())
    assert "1 files stand by an earlier mapping, 1 of them put aside whole" in told
    assert "orders_1.csv; deliver them again" in told
