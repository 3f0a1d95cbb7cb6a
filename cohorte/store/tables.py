"""The tables of the application store. Instants are aware datetimes in UTC on the Python side."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any, Literal

from sqlalchemy import (
    JSON,
    CheckConstraint,
    DateTime,
    Dialect,
    ForeignKey,
    Index,
    MetaData,
    Numeric,
    String,
    Text,
    UniqueConstraint,
)
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator, TypeEngine

from cohorte.said import Said, packed, unpacked

RunStatus = Literal["running", "succeeded", "failed", "interrupted"]
IdentityKind = Literal["person", "organisation"]
IdentityVerdict = Literal["same", "not_same", "unknown"]


class Instant(TypeDecorator[datetime]):
    """A moment. Aware in Python; PostgreSQL keeps the zone, SQLite the UTC clock."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} is naive; pass an aware datetime")
        instant = value.astimezone(UTC)
        return instant if dialect.name == "postgresql" else instant.replace(tzinfo=None)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC) if value.tzinfo else value.replace(tzinfo=UTC)


class Telling(TypeDecorator[str]):
    """A text that keeps what it was made of, so that it can be told in another language."""

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return json.dumps(packed(value)) if isinstance(value, Said) else value

    def process_result_value(self, value: str | None, dialect: Dialect) -> str | None:
        if value is None or not value.startswith('{"said": '):
            return value
        found: str = unpacked(json.loads(value))
        return found


class ExactDecimal(TypeDecorator[Decimal]):
    """A decimal of 4 places, exact in every database; SQLite, which has none, keeps its text."""

    impl = Numeric(18, 4)
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        if dialect.name == "sqlite":
            return dialect.type_descriptor(String(24))
        return dialect.type_descriptor(Numeric(18, 4))

    def process_bind_param(self, value: Decimal | None, dialect: Dialect) -> Any:
        if value is None:
            return None
        exact = Decimal(value).quantize(Decimal("0.0001"))
        return str(exact) if dialect.name == "sqlite" else exact

    def process_result_value(self, value: Any, dialect: Dialect) -> Decimal | None:
        return None if value is None else Decimal(value)


class Base(DeclarativeBase):
    """All tables of the store."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {
        datetime: Instant,
        Decimal: ExactDecimal,
        dict[str, Any]: JSON,
        list[dict[str, Any]]: JSON,
        list[str]: JSON,
        str: Text,
    }


class StoredSegment(Base):
    """One row per segment made on screen: its definition as it is now."""

    __tablename__ = "segments"

    segment_id: Mapped[str] = mapped_column(String(80), primary_key=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    rule: Mapped[dict[str, Any]]
    rule_version: Mapped[int] = mapped_column(default=1)
    owner: Mapped[str]
    tags: Mapped[list[str]] = mapped_column(default=list)
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]
    archived_at: Mapped[datetime | None]


class SegmentDefinition(Base):
    """One row per definition that a segment has had."""

    __tablename__ = "segment_versions"

    segment_id: Mapped[str] = mapped_column(
        String(80), ForeignKey("segments.segment_id", ondelete="CASCADE"), primary_key=True
    )
    rule_version: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]
    description: Mapped[str] = mapped_column(default="")
    rule: Mapped[dict[str, Any]]
    author: Mapped[str]
    saved_at: Mapped[datetime]


class Run(Base):
    """One row per pass of the pipeline; ``number`` is its place among them, whatever the clock
    said."""

    __tablename__ = "runs"
    __table_args__ = (
        CheckConstraint(
            "status in ('running', 'succeeded', 'failed', 'interrupted')", name="status"
        ),
        Index(None, "started_at"),
        Index(None, "number"),
    )

    run_id: Mapped[str] = mapped_column(String(80), primary_key=True)
    number: Mapped[int] = mapped_column(server_default="0")
    kind: Mapped[str] = mapped_column(String(40), server_default="refresh")
    started_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]
    status: Mapped[str] = mapped_column(String(20), default="running")
    as_of: Mapped[date]
    stations: Mapped[list[dict[str, Any]]] = mapped_column(default=list)
    version: Mapped[str | None]
    message: Mapped[str] = mapped_column(Telling, default="")
    process_id: Mapped[int]
    host: Mapped[str]


class Alert(Base):
    """One row per problem that was told; it ends when the problem is gone."""

    __tablename__ = "alerts"
    __table_args__ = (Index(None, "ended_at"),)

    alert_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    problem: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(40))
    detail: Mapped[str] = mapped_column(Telling)
    run_id: Mapped[str | None] = mapped_column(String(80))
    began_at: Mapped[datetime]
    ended_at: Mapped[datetime | None]


class Export(Base):
    """One row per file of people that left the product."""

    __tablename__ = "exports"
    __table_args__ = (Index(None, "segment_id", "exported_at"),)

    export_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    who: Mapped[str]
    segment_id: Mapped[str] = mapped_column(String(80))
    segment_name: Mapped[str]
    rows_count: Mapped[int]
    purpose: Mapped[str]
    channel: Mapped[str]
    columns: Mapped[list[str]]
    file_name: Mapped[str]
    version: Mapped[str | None]
    exported_at: Mapped[datetime]


class Note(Base):
    """One row per note that someone left on a customer, a segment or a campaign."""

    __tablename__ = "notes"
    __table_args__ = (Index(None, "subject_kind", "subject_id"),)

    note_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    subject_kind: Mapped[str] = mapped_column(String(40))
    subject_id: Mapped[str] = mapped_column(String(200))
    text: Mapped[str]
    author: Mapped[str]
    created_at: Mapped[datetime]
    updated_at: Mapped[datetime]


class Target(Base):
    """One row per objective: a KPI's value aimed at over half-open dates, in a scope.

    `scope` names what the target is for, such as "team:Nord"; empty for the whole company.
    """

    __tablename__ = "targets"
    __table_args__ = (
        UniqueConstraint("kpi_id", "start_date", "end_date", "scope"),
        CheckConstraint("end_date > start_date", name="dates"),
    )

    target_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    kpi_id: Mapped[str] = mapped_column(String(80))
    start_date: Mapped[date]
    end_date: Mapped[date]
    scope: Mapped[str] = mapped_column(String(200), default="")
    target_value: Mapped[Decimal]
    author: Mapped[str]
    updated_at: Mapped[datetime]


class User(Base):
    """One row per person who may use the product."""

    __tablename__ = "users"

    user_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    full_name: Mapped[str] = mapped_column(default="")
    role: Mapped[str] = mapped_column(String(40), default="marketer")
    language: Mapped[str | None] = mapped_column(String(8))
    is_active: Mapped[bool] = mapped_column(default=True)
    created_at: Mapped[datetime]


class Preference(Base):
    """One row per thing that a person arranged for themselves; user "" is whoever is not named."""

    __tablename__ = "preferences"

    user_id: Mapped[str] = mapped_column(String(200), primary_key=True)
    name: Mapped[str] = mapped_column(String(80), primary_key=True)
    value: Mapped[Any] = mapped_column(JSON)


class AuditEntry(Base):
    """One row per act worth remembering: who did what to what. Append-only."""

    __tablename__ = "audit_log"
    __table_args__ = (Index(None, "subject_kind", "subject_id"), Index(None, "occurred_at"))

    entry_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    occurred_at: Mapped[datetime]
    who: Mapped[str]
    action: Mapped[str] = mapped_column(String(80))
    subject_kind: Mapped[str] = mapped_column(String(40))
    subject_id: Mapped[str] = mapped_column(String(200))
    detail: Mapped[dict[str, Any]]


class IdentityDecision(Base):
    """One row per decision on whether two records are one; only withdrawal changes it.

    The records are contacts, or accounts where ``kind`` is organisation. The pair is kept in one
    order: (source_a, contact_a) before (source_b, contact_b).
    """

    __tablename__ = "identity_decisions"
    __table_args__ = (
        CheckConstraint("verdict in ('same', 'not_same', 'unknown')", name="verdict"),
        Index(None, "source_a", "contact_a", "source_b", "contact_b"),
    )

    decision_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    source_a: Mapped[str] = mapped_column(String(80))
    contact_a: Mapped[str] = mapped_column(String(200))
    source_b: Mapped[str] = mapped_column(String(80))
    contact_b: Mapped[str] = mapped_column(String(200))
    kind: Mapped[str] = mapped_column(String(20), default="person", server_default="person")
    verdict: Mapped[str] = mapped_column(String(20))
    reason: Mapped[str] = mapped_column(default="")
    decided_by: Mapped[str]
    decided_at: Mapped[datetime]
    withdrawn_by: Mapped[str | None]
    withdrawn_at: Mapped[datetime | None]


class Correction(Base):
    """One row per value of a person set right; only withdrawal changes it.

    Kept by source record, never by customer id, so that it outlives merges, splits and reloads.
    """

    __tablename__ = "corrections"
    __table_args__ = (Index(None, "source", "contact_id"),)

    correction_id: Mapped[int] = mapped_column(primary_key=True, autoincrement=True)
    source: Mapped[str] = mapped_column(String(80))
    contact_id: Mapped[str] = mapped_column(String(200))
    field: Mapped[str] = mapped_column(String(40))
    value: Mapped[str]
    author: Mapped[str]
    made_at: Mapped[datetime]
    withdrawn_by: Mapped[str | None]
    withdrawn_at: Mapped[datetime | None]
