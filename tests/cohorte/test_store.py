"""The application store keeps what people enter, exactly, and for several processes at once."""

from __future__ import annotations

import multiprocessing
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from pathlib import Path

import pytest

from cohorte.errors import CohorteError, NotFoundError, SettingsError
from cohorte.i18n import translator
from cohorte.said import told
from cohorte.store import Store, open_store
from cohorte.store.migrations import HEAD
from cohorte.store.tables import Base

AT = datetime(2026, 11, 21, 9, 30, tzinfo=UTC)
RULE = {"all": [{"field": "city", "op": "equals", "value": "Nîmes"}]}


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("postgresql_store"))


@pytest.fixture
def store(url: str) -> Iterator[Store]:
    with open_store(url) as opened:
        yield opened


def test_opening_twice_changes_nothing_and_keeps_what_was_saved(url: str) -> None:
    with open_store(url) as store:
        store.save_segment("Nîmes", RULE, author="ana", at=AT)
    with open_store(url) as store:
        assert [segment.name for segment in store.list_segments()] == ["Nîmes"]


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
def test_sqlite_runs_in_wal_mode_with_foreign_keys(store: Store) -> None:
    with store._engine.connect() as connection:
        assert connection.exec_driver_sql("pragma journal_mode").scalar() == "wal"
        assert connection.exec_driver_sql("pragma foreign_keys").scalar() == 1


def test_the_migrations_make_the_tables_that_the_program_declares(store: Store) -> None:
    from alembic.autogenerate import compare_metadata
    from alembic.config import Config
    from alembic.migration import MigrationContext
    from alembic.script import ScriptDirectory

    with store._engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    config = Config()
    config.set_main_option("script_location", "cohorte.store:migrations")
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_current_head() == HEAD


def _save_one(url: str) -> str:
    with open_store(url) as store:
        return store.save_segment("Même nom", RULE, author="ana", at=AT).segment_id


def test_processes_that_open_a_new_store_at_once_all_succeed(url: str) -> None:
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(3, mp_context=context) as pool:
        made = sorted(pool.map(_save_one, [url] * 6))
    assert made == [f"meme-nom-{number}" for number in range(1, 7)]


def test_a_store_of_a_newer_program_is_refused_with_a_remedy(url: str) -> None:
    with open_store(url) as store, store._engine.begin() as connection:
        connection.exec_driver_sql("update alembic_version set version_num = '9999'")
    with pytest.raises(SettingsError, match=r"newer Cohorte.*upgrade Cohorte"):
        open_store(url)


@pytest.mark.parametrize("bad", ["no url at all", "sqlite:////proc/none/store.db", "mystery://x"])
def test_a_url_that_cannot_be_used_says_so(bad: str) -> None:
    with pytest.raises((SettingsError, OSError)):
        open_store(bad)


def test_saving_a_segment_again_keeps_every_definition(store: Store) -> None:
    first = store.save_segment("Fidèles", RULE, author="ana", at=AT)
    other = {"any": []}
    later = AT + timedelta(hours=1)
    changed = store.save_segment(
        "Fidèles", other, author="ben", at=later, segment_id=first.segment_id, replaces=1
    )
    assert (changed.rule_version, changed.rule, changed.owner) == (2, other, "ana")
    assert changed.updated_at == later
    definitions = store.segment_definitions(first.segment_id)
    assert [(d.rule_version, d.author, d.rule) for d in definitions] == [
        (2, "ben", other),
        (1, "ana", RULE),
    ]


def test_saving_the_same_definition_adds_no_version(store: Store) -> None:
    first = store.save_segment("Fidèles", RULE, author="ana", at=AT)
    again = store.save_segment("Fidèles", RULE, author="ben", at=AT, segment_id=first.segment_id)
    assert again.rule_version == 1
    assert len(store.segment_definitions(first.segment_id)) == 1


def test_a_save_over_someone_elses_is_refused(store: Store) -> None:
    first = store.save_segment("Fidèles", RULE, author="ana", at=AT)
    segment_id = first.segment_id
    store.save_segment("Fidèles", {"any": []}, author="ben", at=AT, segment_id=segment_id)
    with pytest.raises(CohorteError, match="someone saved version 2"):
        store.save_segment("Moi", RULE, author="ana", at=AT, segment_id=segment_id, replaces=1)


def test_segments_of_one_name_get_ids_of_their_own(store: Store) -> None:
    names = ["Été à Nîmes", "Été à Nîmes", "ete a nimes", "🎁"]
    made = [store.save_segment(name, RULE, author="ana", at=AT).segment_id for name in names]
    assert made == ["ete-a-nimes-1", "ete-a-nimes-2", "ete-a-nimes-3", "segment-1"]


def test_archived_segments_leave_the_list_and_can_come_back(store: Store) -> None:
    segment_id = store.save_segment("Fidèles", RULE, author="ana", at=AT).segment_id
    assert store.archive_segment(segment_id, who="ben", at=AT).archived_at == AT
    assert store.list_segments() == []
    assert [s.segment_id for s in store.list_segments(with_archived=True)] == [segment_id]
    store.restore_segment(segment_id, who="ben", at=AT)
    assert [s.segment_id for s in store.list_segments()] == [segment_id]
    assert [entry.action for entry in store.list_audit()] == [
        "segment.restored",
        "segment.archived",
        "segment.made",
    ]


def test_what_is_not_there_is_not_found(store: Store) -> None:
    with pytest.raises(NotFoundError, match="segment nobody"):
        store.archive_segment("nobody", who="ana", at=AT)
    with pytest.raises(NotFoundError, match="run r1"):
        store.finish_run("r1", "failed", at=AT)


def test_instants_come_back_as_they_went_in_whatever_their_zone(store: Store) -> None:
    paris = datetime(2026, 11, 21, 10, 30, tzinfo=timezone(timedelta(hours=1)))
    segment = store.save_segment("Fidèles", RULE, author="ana", at=paris)
    assert store.segment(segment.segment_id).created_at == AT
    with pytest.raises(Exception, match="naive"):
        store.save_segment("x", RULE, author="ana", at=datetime(2026, 1, 1))  # noqa: DTZ001


def test_a_run_left_running_is_marked_interrupted_when_the_next_starts(store: Store) -> None:
    store.start_run("r1", as_of=date(2026, 11, 20), at=AT)
    later = AT + timedelta(days=1)
    store.start_run("r2", as_of=date(2026, 11, 21), at=later)
    stations = [{"station": "load", "rows_out": 12, "seconds": 0.4}]
    store.finish_run("r2", "succeeded", at=later, stations=stations, version="v3")
    second, first = store.list_runs()
    assert (first.run_id, first.status, first.ended_at) == ("r1", "interrupted", later)
    assert str(first.process_id) in first.message
    assert told(first.message, translator("fr")).startswith(f"le processus {first.process_id} sur")
    assert (second.status, second.version, second.stations) == ("succeeded", "v3", stations)


def test_of_runs_begun_at_one_instant_the_last_to_end_is_the_newest(store: Store) -> None:
    for hour, run_id in enumerate(("b", "c", "a")):
        store.start_run(run_id, as_of=date(2026, 11, 20), at=AT)
        store.finish_run(run_id, "succeeded", at=AT + timedelta(hours=hour))
    store.start_run("0", as_of=date(2026, 11, 20), at=AT)
    assert [run.run_id for run in store.list_runs()] == ["0", "a", "c", "b"]


def test_an_export_is_logged_and_audited_together(store: Store) -> None:
    store.log_export(
        who="ana",
        segment_id="fideles-1",
        segment_name="Fidèles",
        rows_count=120,
        purpose="marketing",
        channel="email",
        columns=["customer_id", "email"],
        file_name="fideles.csv",
        version="v3",
        at=AT,
    )
    (export,) = store.list_exports("fideles-1")
    assert (export.rows_count, export.columns) == (120, ["customer_id", "email"])
    assert store.list_exports("other") == []
    (entry,) = store.list_audit()
    assert (entry.action, entry.detail["rows_count"]) == ("segment.exported", 120)


def test_notes_are_kept_by_subject_newest_first(store: Store) -> None:
    store.add_note("customer", "C1", "Rappeler lundi", author="ana", at=AT)
    store.add_note("customer", "C1", "Fait", author="ben", at=AT + timedelta(minutes=1))
    store.add_note("customer", "C2", "Autre", author="ben", at=AT)
    notes = store.list_notes("customer", "C1")
    assert [note.text for note in notes] == ["Fait", "Rappeler lundi"]
    store.delete_note(notes[0].note_id, who="ana", at=AT)
    assert [note.text for note in store.list_notes("customer", "C1")] == ["Rappeler lundi"]


def test_a_target_is_exact_and_replaced_in_its_scope(store: Store) -> None:
    start, end = date(2026, 1, 1), date(2027, 1, 1)
    for value in ("0.1", "1234567890.1234"):
        store.set_target("net_revenue", start, end, Decimal(value), author="ana", at=AT)
    store.set_target("net_revenue", start, end, Decimal(5), author="ana", at=AT, scope="team:Nord")
    whole, team = store.list_targets("net_revenue")
    assert (whole.target_value, whole.scope) == (Decimal("1234567890.1234"), "")
    assert (team.target_value, team.scope) == (Decimal(5), "team:Nord")


def test_a_user_is_added_then_changed(store: Store) -> None:
    store.save_user("ana@exemple.fr", at=AT, full_name="Ana", role="manager")
    store.save_user("ana@exemple.fr", at=AT, full_name="Ana", role="admin", is_active=False)
    (user,) = store.list_users()
    assert (user.role, user.is_active) == ("admin", False)


def test_the_latest_decision_on_two_records_holds_until_it_is_withdrawn(store: Store) -> None:
    shop, crm = ("shop", "M1"), ("crm", "C9")
    store.decide_identity(shop, crm, "same", who="ana", at=AT)
    later = store.decide_identity(crm, shop, "not_same", who="bob", at=AT, reason="brothers")
    (held,) = store.list_identity_decisions()
    assert (held.source_a, held.contact_a, held.verdict) == ("crm", "C9", "not_same")
    store.withdraw_identity_decision(later.decision_id, who="bob", at=AT)
    (held,) = store.list_identity_decisions()
    assert held.verdict == "same"
    assert len(store.list_identity_decisions(with_withdrawn=True)) == 2
    assert [entry.action for entry in store.list_audit(3)] == [
        "identity.withdrawn",
        "identity.not_same",
        "identity.same",
    ]


def test_a_record_cannot_be_decided_against_itself(store: Store) -> None:
    with pytest.raises(CohorteError, match="one record"):
        store.decide_identity(("shop", "M1"), ("shop", "M1"), "same", who="ana", at=AT)
    with pytest.raises(NotFoundError):
        store.withdraw_identity_decision(7, who="ana", at=AT)
