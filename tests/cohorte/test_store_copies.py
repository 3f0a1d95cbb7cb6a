"""Copies of the store: whole, of any database, and back."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import UTC, date, datetime
from decimal import Decimal

import pytest

from cohorte.errors import SettingsError
from cohorte.store import open_store
from cohorte.store.copies import _copy_tables, _engine, copy_store, load_store, problem_of

NOW = datetime(2026, 11, 21, 5, tzinfo=UTC)


@pytest.fixture
def url(tmp_path):
    """A store with something of most kinds in it."""
    address = f"sqlite:///{tmp_path / 'store.db'}"
    with open_store(address) as store:
        store.save_segment("Paris", {"field": "city"}, author="anne", at=NOW)
        store.start_run("r1", as_of=date(2026, 11, 20), at=NOW)
        store.finish_run("r1", "succeeded", at=NOW, stations=[{"station": "ingest"}])
        store.set_target(
            "net_revenue", date(2026, 1, 1), date(2027, 1, 1), Decimal("10.5"), author="a", at=NOW
        )
        store.decide_identity(("shop", "M1"), ("crm", "9"), "same", who="anne", at=NOW)
    return address


def content(path):
    with closing(sqlite3.connect(path)) as database:
        tables = [
            name
            for (name,) in database.execute(
                "select name from sqlite_master where type = 'table' order by name"
            )
        ]
        return {name: database.execute(f'select * from "{name}"').fetchall() for name in tables}


def test_a_copy_holds_everything_though_somebody_writes(url, tmp_path):
    with open_store(url) as store:
        store.add_note("customer", "C1", "called", author="a", at=NOW)
        copy_store(url, tmp_path / "copy.db")
    assert problem_of(tmp_path / "copy.db") is None
    assert content(tmp_path / "copy.db") == content(tmp_path / "store.db")


def test_another_database_s_tables_are_copied_row_by_row(url, tmp_path):
    open_store(f"sqlite:///{tmp_path / 'other.db'}").close()
    with _engine(url) as source, _engine(f"sqlite:///{tmp_path / 'other.db'}") as target:
        _copy_tables(source, target)
    copied, original = content(tmp_path / "other.db"), content(tmp_path / "store.db")
    for counters in (copied, original):
        counters.pop("sqlite_sequence", None)
    assert copied == original


def test_a_store_moves_to_postgresql_and_back(url, tmp_path, postgresql_store):
    copy_store(url, tmp_path / "copy.db")
    load_store(tmp_path / "copy.db", postgresql_store)
    with pytest.raises(SettingsError, match="not empty"):
        load_store(tmp_path / "copy.db", postgresql_store)
    copy_store(postgresql_store, tmp_path / "back.db")
    moved, original = content(tmp_path / "back.db"), content(tmp_path / "store.db")
    for counters in (moved, original):
        counters.pop("sqlite_sequence", None)
    assert moved == original
    with open_store(postgresql_store) as store:
        store.add_note("customer", "C1", "called", author="a", at=NOW)
        store.decide_identity(("shop", "M2"), ("crm", "9"), "same", who="anne", at=NOW)
        assert len(store.list_identity_decisions()) == 2


def test_a_copy_becomes_a_store_again_but_never_over_one(url, tmp_path):
    copy_store(url, tmp_path / "copy.db")
    back = f"sqlite:///{tmp_path / 'elsewhere' / 'store.db'}"
    load_store(tmp_path / "copy.db", back)
    with open_store(back) as store:
        assert [segment.name for segment in store.list_segments()] == ["Paris"]
    with pytest.raises(SettingsError, match="already"):
        load_store(tmp_path / "copy.db", back)
