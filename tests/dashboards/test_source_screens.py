"""The screens of the sources: a file never seen is mapped, tried, written; quality is shown."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import yaml

from cohorte.workspace import Workspace
from tests.dashboards.conftest import RunScreen, said

PEOPLE = "N° client;Nom;Courriel;Ville;Naissance\n" + "".join(
    f"C{n};Durand{n};d{n}@x.fr;Lyon;{n % 28 + 1:02}/05/1980\n" for n in range(30)
)


@pytest.fixture
def company(tmp_path: Path) -> Path:
    """A new workspace, nothing published, with one file that no source reads."""
    (tmp_path / "cohorte.yml").write_text("company: Neuve\nlanguage: fr\n", encoding="utf-8")
    (tmp_path / "sources").mkdir()
    (tmp_path / "inbox").mkdir()
    path = tmp_path / "inbox" / "clients_2026.csv"
    path.write_text(PEOPLE + "C99;X;x@y.fr;Lyon;31/02/1980\n", encoding="utf-8")
    os.utime(path, (1_700_000_000, 1_700_000_000))
    return tmp_path


def test_a_file_is_mapped_tried_and_written_before_anything_is_published(
    screen: RunScreen, company: Path
) -> None:
    app = screen("add_source", root=company)
    assert not app.exception
    app.selectbox(key="inbox-file").select("clients_2026.csv").run()
    assert not app.exception
    assert "ressemble à : contacts" in said(app)
    app.button(key="try").click().run()
    assert not app.exception
    assert "31/02/1980" in said(app)
    assert list((company / "sources").iterdir()) == []
    app.button(key="write-it").click().run()
    assert not app.exception
    declared = yaml.safe_load((company / "sources" / "clients.yml").read_text(encoding="utf-8"))
    assert declared["feeds"][0]["files"] == "clients_*.csv"
    assert declared["feeds"][0]["entities"]["contacts"]["columns"] == {
        "contact_id": "N° client",
        "last_name": "Nom",
        "birth_date": {"column": "Naissance", "formats": ["%d/%m/%Y"]},
        "email": "Courriel",
        "city": "Ville",
    }
    assert [source.source for source in Workspace(company).sources()] == ["clients"]


def test_a_column_unmapped_by_a_person_is_left_out(screen: RunScreen, company: Path) -> None:
    app = screen("add_source", root=company)
    app.selectbox(key="inbox-file").select("clients_2026.csv").run()
    app.multiselect(key="map-0-contacts-4").set_value([]).run()
    app.button(key="try").click().run()
    app.button(key="write-it").click().run()
    text = (company / "sources" / "clients.yml").read_text(encoding="utf-8")
    assert "birth_date" not in text


def test_what_a_mapping_lacks_is_said_and_it_cannot_be_tried(
    screen: RunScreen, company: Path
) -> None:
    app = screen("add_source", root=company)
    app.selectbox(key="inbox-file").select("clients_2026.csv").run()
    app.selectbox(key="entity-0-clients_2026").select("orders").run()
    assert not app.exception
    assert "il manque" in said(app)
    assert app.button(key="try").disabled


def test_a_file_that_does_not_read_is_explained_in_french(screen: RunScreen, company: Path) -> None:
    (company / "inbox" / "vide.csv").write_bytes(b"")
    app = screen("add_source", root=company)
    app.selectbox(key="inbox-file").select("vide.csv").run()
    assert "vide.csv : le fichier est vide ; exportez-le à nouveau" in said(app)


def test_a_source_of_the_same_name_is_not_overwritten(screen: RunScreen, company: Path) -> None:
    (company / "sources" / "clients.yml").write_text(
        "source: clients\nfeeds:\n  - feed: x\n    files: x.csv\n    entities:\n"
        "      contacts: {columns: {contact_id: id}}\n",
        encoding="utf-8",
    )
    app = screen("add_source", root=company)
    app.selectbox(key="inbox-file").select("clients_2026.csv").run()
    app.button(key="try").click().run()
    app.button(key="write-it").click().run()
    assert "il y a déjà une source clients" in said(app)
    assert "x.csv" in (company / "sources" / "clients.yml").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["fr", "en"])
def test_the_data_screen_shows_odd_days_columns_addresses_and_rejected_rows(
    screen: RunScreen, language: str
) -> None:
    app = screen("data", lang=language)
    assert not app.exception
    shown = said(app)
    assert {"fr": "peu d’enregistrements", "en": "few records"}[language] in shown
    assert {"fr": "code postal inconnu", "en": "unknown postal code"}[language] in shown
    assert "birth_date" in shown
    assert "31/02/1980" in shown


def test_what_a_source_leaves_out_is_mapped_on_the_screen(screen: RunScreen, company: Path) -> None:
    (company / "sources" / "clients.yml").write_text(
        "source: clients\nfeeds:\n  - feed: x\n    files: clients_*.csv\n    date_formats:"
        ' ["%d/%m/%Y"]\n    entities:\n      contacts:\n        columns:\n'
        "          contact_id: N° client   # theirs\n          birth_date: Naissance\n",
        encoding="utf-8",
    )
    app = screen("add_source", root=company)
    app.selectbox(key="left-out-of").select("clients").run()
    assert not app.exception
    assert [app.selectbox(key=f"left-clients-{number}").value for number in range(3)] == [
        "contacts.last_name",
        "contacts.email",
        "contacts.city",
    ]
    app.selectbox(key="left-clients-0").select("contacts.full_name").run()
    app.button(key="write-left-out").click().run()
    assert not app.exception
    text = (company / "sources" / "clients.yml").read_text(encoding="utf-8")
    assert "contact_id: N° client   # theirs" in text
    assert text.splitlines()[-3:] == [
        '          full_name: "Nom"',
        '          email: "Courriel"',
        '          city: "Ville"',
    ]
