"""Opening the application store, and everything that is read from it or written to it.

Writes take the database's write lock at once, so that two processes queue instead of failing.
What is returned is detached: plain objects that can be read after the call.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sqlite3
import time
import unicodedata
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, Connection, Engine, create_engine, event, func, inspect, select, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DatabaseError, IntegrityError, OperationalError
from sqlalchemy.orm import Session
from sqlalchemy.pool import ConnectionPoolEntry

from cohorte.errors import CohorteError, NotFoundError, SettingsError
from cohorte.said import said
from cohorte.store.migrations import HEAD
from cohorte.store.tables import (
    Alert,
    AuditEntry,
    Correction,
    Export,
    IdentityDecision,
    IdentityKind,
    IdentityVerdict,
    Note,
    Preference,
    Run,
    RunStatus,
    SegmentDefinition,
    StoredSegment,
    Target,
    User,
)

Row = TypeVar("Row")
Result = TypeVar("Result")

_BUSY_SECONDS = 20
_MIGRATION_LOCK = 7_203_451_190


def open_store(url: str) -> Store:
    """Open the store at an SQLAlchemy URL, making or upgrading its tables.

    Safe to repeat, and for several processes at once. SettingsError when the URL cannot be used
    or the store was made by a newer program.
    """
    try:
        parsed = make_url(url)
        if parsed.get_backend_name() == "sqlite" and parsed.database not in (None, "", ":memory:"):
            Path(str(parsed.database)).parent.mkdir(parents=True, exist_ok=True)
        engine = _engine(url)
        _upgrade(engine)
    except (ArgumentError, ModuleNotFoundError) as error:
        raise SettingsError(
            f"the store's URL cannot be used: {error}",
            where="store_url",
            remedy="give an SQLAlchemy URL of SQLite or PostgreSQL; for the latter, install"
            " cohorte[postgresql]",
        ) from error
    except (DatabaseError, sqlite3.DatabaseError) as error:
        raise SettingsError(
            f"the store does not open: {getattr(error, 'orig', error)}",
            where="store_url",
            remedy="check that the database is there and may be written; a damaged store.db is"
            " replaced by its last good copy when a run begins",
        ) from error
    return Store(engine)


def with_driver(url: str) -> URL:
    """The URL as SQLAlchemy takes it: PostgreSQL is reached by psycopg unless it says otherwise."""
    parsed = make_url(url)
    if parsed.drivername == "postgresql":
        return parsed.set(drivername="postgresql+psycopg")
    return parsed


def _engine(url: str) -> Engine:
    options: dict[str, Any] = {
        "json_serializer": lambda value: json.dumps(value, ensure_ascii=False, sort_keys=True)
    }
    parsed = with_driver(url)
    if parsed.get_backend_name() != "sqlite":
        return create_engine(parsed, pool_pre_ping=True, **options)
    engine = create_engine(url, connect_args={"timeout": _BUSY_SECONDS}, **options)

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: ConnectionPoolEntry) -> None:
        connection.isolation_level = None
        connection.execute("pragma foreign_keys = on")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        is_write = connection.get_execution_options().get("cohorte_write", False)
        connection.exec_driver_sql("begin immediate" if is_write else "begin")

    _use_write_ahead_log(engine)
    return engine


def _use_write_ahead_log(engine: Engine) -> None:
    """Switch the file to WAL, once and for all; the switch does not wait for locks by itself."""
    deadline = time.monotonic() + _BUSY_SECONDS
    while True:
        connection = engine.raw_connection()
        try:
            cursor = connection.cursor()
            mode = cursor.execute("pragma journal_mode").fetchone()
            if mode is None or mode[0] != "wal":
                cursor.execute("pragma journal_mode = wal").fetchone()
            return
        except Exception as error:
            if "locked" not in str(error) or time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        finally:
            connection.close()


def _upgrade(engine: Engine) -> None:
    if _schema_version(engine) == HEAD:
        return
    with engine.execution_options(cohorte_write=True).begin() as connection:
        if connection.dialect.name == "postgresql":
            connection.execute(text("select pg_advisory_xact_lock(:key)"), {"key": _MIGRATION_LOCK})
        _run_migrations(connection)


def _schema_version(engine: Engine) -> str | None:
    with engine.connect() as connection:
        if not inspect(connection).has_table("alembic_version"):
            return None
        return connection.execute(text("select version_num from alembic_version")).scalar()


def _run_migrations(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "cohorte.store:migrations")
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    try:
        command.upgrade(config, "head")
    except CommandError as error:
        raise SettingsError(
            f"the store was made by a newer Cohorte ({error})",
            where="store_url",
            remedy="upgrade Cohorte, or restore the store's backup",
        ) from error


class Store:
    """The application store. Times are arguments: aware datetimes."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._write_engine = engine.execution_options(cohorte_write=True)

    def close(self) -> None:
        """Give the connections back."""
        self._engine.dispose()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @contextmanager
    def _reading(self) -> Iterator[Session]:
        with Session(self._engine, expire_on_commit=False) as session:
            yield session

    @contextmanager
    def _writing(self) -> Iterator[Session]:
        try:
            with Session(self._write_engine, expire_on_commit=False) as session, session.begin():
                yield session
        except OperationalError as error:
            raise CohorteError(
                said("the store cannot be written: {error}", error=error.orig),
                where="store",
                remedy=said(
                    "see that no other program holds it and the disk has room, then do it again"
                ),
            ) from error

    # Segments

    def save_segment(
        self,
        name: str,
        rule: dict[str, Any],
        *,
        author: str,
        at: datetime,
        segment_id: str | None = None,
        description: str = "",
        replaces: int | None = None,
        tags: Sequence[str] | None = None,
    ) -> StoredSegment:
        """Save a new segment, or a new definition of the segment `segment_id`.

        Without `tags` those it has stay; they are no part of its definitions. `replaces` is the
        rule_version that the author had before them; CohorteError when someone has saved another
        since. NotFoundError for an unknown `segment_id`. Saving what is saved already changes
        nothing.
        """
        if not name.strip():
            raise CohorteError(said("a segment needs a name"), remedy=said("name it"))
        if segment_id is None:
            return _retried(lambda: self._add_segment(name, rule, author, at, description, tags))
        with self._writing() as session:
            segment = _found(session.get(StoredSegment, segment_id), f"segment {segment_id}")
            if replaces is not None and segment.rule_version != replaces:
                raise CohorteError(
                    said(
                        "someone saved version {number} of it meanwhile",
                        number=segment.rule_version,
                    ),
                    where=said('segment "{name}"', name=segment.name),
                    remedy=said("look at their version, then save yours again"),
                )
            if tags is not None:
                segment.tags = sorted(set(tags))
            if (segment.name, segment.rule, segment.description) == (name, rule, description):
                return segment
            segment.name, segment.rule, segment.description = name, rule, description
            segment.rule_version += 1
            segment.updated_at = at
            session.add(_definition(segment, author, at))
            session.add(_entry(at, author, "segment.changed", "segment", segment.segment_id))
            return segment

    def _add_segment(
        self,
        name: str,
        rule: dict[str, Any],
        author: str,
        at: datetime,
        description: str,
        tags: Sequence[str] | None,
    ) -> StoredSegment:
        with self._writing() as session:
            segment = StoredSegment(
                segment_id=_free_segment_id(session, name),
                name=name,
                description=description,
                rule=rule,
                rule_version=1,
                owner=author,
                tags=sorted(set(tags or ())),
                created_at=at,
                updated_at=at,
                archived_at=None,
            )
            session.add(segment)
            session.flush()
            session.add(_definition(segment, author, at))
            session.add(_entry(at, author, "segment.made", "segment", segment.segment_id))
            return segment

    def segment(self, segment_id: str) -> StoredSegment:
        """One segment, archived or not; NotFoundError when there is none."""
        with self._reading() as session:
            return _found(session.get(StoredSegment, segment_id), f"segment {segment_id}")

    def list_segments(self, *, with_archived: bool = False) -> list[StoredSegment]:
        """The segments, by name."""
        query = select(StoredSegment).order_by(StoredSegment.name, StoredSegment.segment_id)
        if not with_archived:
            query = query.where(StoredSegment.archived_at.is_(None))
        with self._reading() as session:
            return list(session.scalars(query))

    def segment_definitions(self, segment_id: str) -> list[SegmentDefinition]:
        """Every definition that a segment has had, newest first."""
        query = (
            select(SegmentDefinition)
            .where(SegmentDefinition.segment_id == segment_id)
            .order_by(SegmentDefinition.rule_version.desc())
        )
        with self._reading() as session:
            return list(session.scalars(query))

    def archive_segment(self, segment_id: str, *, who: str, at: datetime) -> StoredSegment:
        """Take a segment out of use; its definitions stay. NotFoundError when there is none."""
        return self._set_archived(segment_id, who, at, at, "segment.archived")

    def restore_segment(self, segment_id: str, *, who: str, at: datetime) -> StoredSegment:
        """Bring an archived segment back into use. NotFoundError when there is none."""
        return self._set_archived(segment_id, who, at, None, "segment.restored")

    def _set_archived(
        self, segment_id: str, who: str, at: datetime, archived_at: datetime | None, action: str
    ) -> StoredSegment:
        with self._writing() as session:
            segment = _found(session.get(StoredSegment, segment_id), f"segment {segment_id}")
            if (segment.archived_at is None) != (archived_at is None):
                segment.archived_at = archived_at
                session.add(_entry(at, who, action, "segment", segment_id))
            return segment

    # Runs

    def start_run(self, run_id: str, *, as_of: date, at: datetime, kind: str = "refresh") -> Run:
        """Note that a run of this process starts.

        Called with the workspace's writer lock held: a run still marked running cannot be, so it
        is marked interrupted.
        """
        with self._writing() as session:
            for dead in session.scalars(select(Run).where(Run.status == "running")):
                dead.status = "interrupted"
                dead.ended_at = at
                dead.message = said(
                    "the process {process} on {host} ended without finishing",
                    process=dead.process_id,
                    host=dead.host,
                )
            run = Run(
                run_id=run_id,
                number=1 + (session.scalar(select(func.max(Run.number))) or 0),
                kind=kind,
                started_at=at,
                ended_at=None,
                status="running",
                as_of=as_of,
                stations=[],
                version=None,
                message="",
                process_id=os.getpid(),
                host=socket.gethostname(),
            )
            session.add(run)
            return run

    def finish_run(
        self,
        run_id: str,
        status: RunStatus,
        *,
        at: datetime,
        stations: Sequence[dict[str, Any]] = (),
        version: str | None = None,
        message: str = "",
    ) -> Run:
        """Note how a run ended. `stations` holds one dictionary per station, as shown to people."""
        with self._writing() as session:
            run = _found(session.get(Run, run_id), f"run {run_id}")
            run.status, run.ended_at, run.stations = status, at, list(stations)
            run.version, run.message = version, message
            return run

    def list_runs(self, limit: int = 50) -> list[Run]:
        """The latest runs, the last to begin first, whatever the clock said."""
        newest = select(Run).order_by(Run.number.desc(), Run.run_id.desc())
        with self._reading() as session:
            return list(session.scalars(newest.limit(limit)))

    # Alerts

    def keep_alerts(
        self,
        problems: Mapping[str, tuple[str, str]],
        *,
        looked_at: Collection[str],
        at: datetime,
        run_id: str | None = None,
    ) -> tuple[list[Alert], list[Alert]]:
        """Set the open alerts to the problems there are: those that began, those that ended.

        ``problems`` maps a problem's name to its kind and detail; ``looked_at`` are the beginnings
        of the names that were looked for, so that an alert of another name stays as it is.
        """
        with self._writing() as session:
            still = {
                alert.problem: alert
                for alert in session.scalars(select(Alert).where(Alert.ended_at.is_(None)))
                if alert.problem.startswith(tuple(looked_at))
            }
            ended = [alert for problem, alert in still.items() if problem not in problems]
            for alert in ended:
                alert.ended_at = at
            began = [
                Alert(
                    problem=problem,
                    kind=kind,
                    detail=detail,
                    run_id=run_id,
                    began_at=at,
                    ended_at=None,
                )
                for problem, (kind, detail) in problems.items()
                if problem not in still
            ]
            session.add_all(began)
            return began, ended

    def list_alerts(self, *, only_open: bool = False, limit: int = 50) -> list[Alert]:
        """The latest alerts, newest first."""
        newest = select(Alert).order_by(Alert.alert_id.desc()).limit(limit)
        if only_open:
            newest = newest.where(Alert.ended_at.is_(None))
        with self._reading() as session:
            return list(session.scalars(newest))

    # Exports

    def log_export(
        self,
        *,
        who: str,
        segment_id: str,
        segment_name: str,
        rows_count: int,
        purpose: str,
        channel: str,
        columns: Sequence[str],
        file_name: str,
        version: str | None,
        at: datetime,
    ) -> Export:
        """Note that a file of people was made: who, which, how many, what for."""
        with self._writing() as session:
            export = Export(
                who=who,
                segment_id=segment_id,
                segment_name=segment_name,
                rows_count=rows_count,
                purpose=purpose,
                channel=channel,
                columns=list(columns),
                file_name=file_name,
                version=version,
                exported_at=at,
            )
            session.add(export)
            session.flush()
            detail = {"export_id": export.export_id, "rows_count": rows_count, "purpose": purpose}
            session.add(_entry(at, who, "segment.exported", "segment", segment_id, detail))
            return export

    def list_exports(self, segment_id: str | None = None, limit: int = 100) -> list[Export]:
        """The latest exports, of one segment or of all, newest first."""
        query = select(Export).order_by(Export.exported_at.desc(), Export.export_id.desc())
        if segment_id is not None:
            query = query.where(Export.segment_id == segment_id)
        with self._reading() as session:
            return list(session.scalars(query.limit(limit)))

    # Notes

    def add_note(
        self, subject_kind: str, subject_id: str, note: str, *, author: str, at: datetime
    ) -> Note:
        """Leave a note on a customer, a segment or a campaign."""
        with self._writing() as session:
            added = Note(
                subject_kind=subject_kind,
                subject_id=subject_id,
                text=note,
                author=author,
                created_at=at,
                updated_at=at,
            )
            session.add(added)
            return added

    def list_notes(self, subject_kind: str, subject_id: str) -> list[Note]:
        """The notes on one subject, newest first."""
        query = (
            select(Note)
            .where(Note.subject_kind == subject_kind, Note.subject_id == subject_id)
            .order_by(Note.created_at.desc(), Note.note_id.desc())
        )
        with self._reading() as session:
            return list(session.scalars(query))

    def delete_note(self, note_id: int, *, who: str, at: datetime) -> None:
        """Delete a note for good; NotFoundError when there is none."""
        with self._writing() as session:
            note = _found(session.get(Note, note_id), f"note {note_id}")
            session.add(_entry(at, who, "note.deleted", note.subject_kind, note.subject_id))
            session.delete(note)

    # Identity

    def decide_identity(
        self,
        one: tuple[str, str],
        other: tuple[str, str],
        verdict: IdentityVerdict,
        *,
        who: str,
        at: datetime,
        reason: str = "",
        kind: IdentityKind = "person",
    ) -> IdentityDecision:
        """Say whether two contacts, or accounts, each (source, id), are one.

        Rules over the machine from the next run on; a later decision on the pair replaces it.
        Raises CohorteError when both are the same record.
        """
        if one == other:
            raise CohorteError(
                said("{source} {record} is one record", source=one[0], record=one[1]),
                remedy=said("name two different records"),
            )
        (source_a, contact_a), (source_b, contact_b) = sorted((one, other))
        with self._writing() as session:
            decision = IdentityDecision(
                source_a=source_a,
                contact_a=contact_a,
                source_b=source_b,
                contact_b=contact_b,
                kind=kind,
                verdict=verdict,
                reason=reason,
                decided_by=who,
                decided_at=at,
            )
            session.add(decision)
            session.add(
                _entry(
                    at,
                    who,
                    f"identity.{verdict}",
                    "contacts" if kind == "person" else "accounts",
                    f"{source_a} {contact_a}",
                    {"other": f"{source_b} {contact_b}", "reason": reason},
                )
            )
            return decision

    def withdraw_identity_decision(self, decision_id: int, *, who: str, at: datetime) -> None:
        """Take a decision back: the machine decides again. NotFoundError when there is none."""
        with self._writing() as session:
            decision = _found(
                session.get(IdentityDecision, decision_id), f"identity decision {decision_id}"
            )
            if decision.withdrawn_at is None:
                decision.withdrawn_at, decision.withdrawn_by = at, who
                session.add(
                    _entry(at, who, "identity.withdrawn", "identity_decision", str(decision_id))
                )

    def list_identity_decisions(
        self, kind: IdentityKind = "person", *, with_withdrawn: bool = False
    ) -> list[IdentityDecision]:
        """Decisions in the order they were made; of those that hold, the latest of each pair."""
        query = (
            select(IdentityDecision)
            .where(IdentityDecision.kind == kind)
            .order_by(IdentityDecision.decision_id)
        )
        with self._reading() as session:
            decisions = list(session.scalars(query))
        if with_withdrawn:
            return decisions
        latest = {
            (held.source_a, held.contact_a, held.source_b, held.contact_b): held
            for held in decisions
            if held.withdrawn_at is None
        }
        return sorted(latest.values(), key=lambda held: held.decision_id)

    def correct(
        self,
        record: tuple[str, str],
        values: Mapping[str, str],
        *,
        who: str,
        at: datetime,
    ) -> list[Correction]:
        """Set values of a person right, by one of their records, each (source, contact_id).

        They rule over every source from the next run on; a later correction of a field replaces
        the one before.
        """
        source, contact_id = record
        made = [
            Correction(
                source=source,
                contact_id=contact_id,
                field=field,
                value=value,
                author=who,
                made_at=at,
            )
            for field, value in values.items()
        ]
        with self._writing() as session:
            session.add_all(made)
            session.add(
                _entry(
                    at, who, "customer.corrected", "contacts", f"{source} {contact_id}",
                    {"fields": sorted(values)},
                )
            )  # fmt: skip
            return made

    def withdraw_correction(self, correction_id: int, *, who: str, at: datetime) -> None:
        """Take a correction back: the sources rule again. NotFoundError when there is none."""
        with self._writing() as session:
            held = _found(session.get(Correction, correction_id), f"correction {correction_id}")
            if held.withdrawn_at is None:
                held.withdrawn_at, held.withdrawn_by = at, who
                session.add(
                    _entry(at, who, "customer.correction_withdrawn", "correction",
                        str(correction_id))
                )  # fmt: skip

    def list_corrections(
        self, records: Collection[tuple[str, str]] | None = None
    ) -> list[Correction]:
        """Corrections that hold, of some records or of all, in the order they were made."""
        query = (
            select(Correction)
            .where(Correction.withdrawn_at.is_(None))
            .order_by(Correction.correction_id)
        )
        with self._reading() as session:
            held = list(session.scalars(query))
        if records is None:
            return held
        wanted = set(records)
        return [row for row in held if (row.source, row.contact_id) in wanted]

    # Targets

    def set_target(
        self,
        kpi_id: str,
        start_date: date,
        end_date: date,
        target_value: Decimal,
        *,
        author: str,
        at: datetime,
        scope: str = "",
    ) -> Target:
        """Set the objective for a KPI over half-open dates, replacing one of the same scope."""
        with self._writing() as session:
            target = session.scalars(
                select(Target).where(
                    Target.kpi_id == kpi_id,
                    Target.start_date == start_date,
                    Target.end_date == end_date,
                    Target.scope == scope,
                )
            ).one_or_none()
            if target is None:
                target = Target(
                    kpi_id=kpi_id, start_date=start_date, end_date=end_date, scope=scope
                )
                session.add(target)
            target.target_value, target.author, target.updated_at = target_value, author, at
            detail = {"kpi_id": kpi_id, "target_value": str(target_value), "scope": scope}
            session.add(_entry(at, author, "target.set", "kpi", kpi_id, detail))
            return target

    def list_targets(self, kpi_id: str | None = None) -> list[Target]:
        """The objectives, of one KPI or of all, earliest first."""
        query = select(Target).order_by(Target.start_date, Target.kpi_id, Target.scope)
        if kpi_id is not None:
            query = query.where(Target.kpi_id == kpi_id)
        with self._reading() as session:
            return list(session.scalars(query))

    def remove_target(self, target_id: int, *, who: str, at: datetime) -> None:
        """Take an objective away; NotFoundError when there is none of that id."""
        with self._writing() as session:
            target = _found(session.get(Target, target_id), f"target {target_id}")
            detail = {"target_value": str(target.target_value), "scope": target.scope}
            session.add(_entry(at, who, "target.removed", "kpi", target.kpi_id, detail))
            session.delete(target)

    # What people arranged for themselves

    def set_preference(self, user_id: str, name: str, value: Any) -> None:
        """Keep a person's choice; None takes it away."""
        with self._writing() as session:
            held = session.get(Preference, (user_id, name))
            if value is None:
                if held is not None:
                    session.delete(held)
            elif held is None:
                session.add(Preference(user_id=user_id, name=name, value=value))
            else:
                held.value = value

    def preferences(self, user_id: str) -> dict[str, Any]:
        """A person's choices by name."""
        with self._reading() as session:
            held = session.scalars(select(Preference).where(Preference.user_id == user_id))
            return {each.name: each.value for each in held}

    # Users and audit

    def save_user(
        self,
        user_id: str,
        *,
        at: datetime,
        full_name: str = "",
        role: str = "marketer",
        language: str | None = None,
        is_active: bool = True,
    ) -> User:
        """Add a person, or change what is kept of them."""
        with self._writing() as session:
            user = session.get(User, user_id)
            if user is None:
                user = User(user_id=user_id, created_at=at)
                session.add(user)
            user.full_name, user.role = full_name, role
            user.language, user.is_active = language, is_active
            return user

    def list_users(self) -> list[User]:
        """Everyone, active or not."""
        with self._reading() as session:
            return list(session.scalars(select(User).order_by(User.user_id)))

    def audit(
        self,
        action: str,
        subject_kind: str,
        subject_id: str,
        *,
        who: str,
        at: datetime,
        detail: dict[str, Any] | None = None,
    ) -> None:
        """Remember an act, such as ("customer.seen", "customer", customer_id)."""
        with self._writing() as session:
            session.add(_entry(at, who, action, subject_kind, subject_id, detail))

    def list_audit(self, limit: int = 200) -> list[AuditEntry]:
        """The latest acts, newest first."""
        query = select(AuditEntry).order_by(AuditEntry.entry_id.desc()).limit(limit)
        with self._reading() as session:
            return list(session.scalars(query))


def _definition(segment: StoredSegment, author: str, at: datetime) -> SegmentDefinition:
    return SegmentDefinition(
        segment_id=segment.segment_id,
        rule_version=segment.rule_version,
        name=segment.name,
        description=segment.description,
        rule=segment.rule,
        author=author,
        saved_at=at,
    )


def _entry(
    at: datetime,
    who: str,
    action: str,
    subject_kind: str,
    subject_id: str,
    detail: dict[str, Any] | None = None,
) -> AuditEntry:
    return AuditEntry(
        occurred_at=at,
        who=who,
        action=action,
        subject_kind=subject_kind,
        subject_id=subject_id,
        detail=detail or {},
    )


def _found(row: Row | None, what: str) -> Row:
    if row is None:
        raise NotFoundError(f"there is no {what}", remedy="choose one that the list shows")
    return row


def _free_segment_id(session: Session, name: str) -> str:
    """Such as "big-spenders-1". The hyphen keeps it apart from segments kept as files."""
    ascii_name = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", ascii_name).strip("-")[:50].strip("-") or "segment"
    taken = set(
        session.scalars(
            select(StoredSegment.segment_id).where(StoredSegment.segment_id.startswith(f"{slug}-"))
        )
    )
    number = 1
    while f"{slug}-{number}" in taken:
        number += 1
    return f"{slug}-{number}"


def _retried(work: Callable[[], Result], times: int = 5) -> Result:
    """Run again what another process's insert of the same key made fail."""
    for _ in range(times - 1):
        try:
            return work()
        except IntegrityError:
            continue
    return work()
