"""First tables: segments, runs, exports, notes, targets, users, audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)
DECIMAL = sa.Numeric(18, 4).with_variant(sa.String(24), "sqlite")


def upgrade() -> None:
    op.create_table(
        "segments",
        sa.Column("segment_id", sa.String(80), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("rule", sa.JSON, nullable=False),
        sa.Column("rule_version", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.Column("archived_at", INSTANT),
        sa.PrimaryKeyConstraint("segment_id", name="pk_segments"),
    )
    op.create_table(
        "segment_versions",
        sa.Column("segment_id", sa.String(80), nullable=False),
        sa.Column("rule_version", sa.Integer, nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("description", sa.Text, nullable=False),
        sa.Column("rule", sa.JSON, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("saved_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("segment_id", "rule_version", name="pk_segment_versions"),
        sa.ForeignKeyConstraint(
            ["segment_id"],
            ["segments.segment_id"],
            name="fk_segment_versions_segment_id_segments",
            ondelete="CASCADE",
        ),
    )
    op.create_table(
        "runs",
        sa.Column("run_id", sa.String(80), nullable=False),
        sa.Column("started_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.Column("status", sa.String(20), nullable=False),
        sa.Column("as_of", sa.Date, nullable=False),
        sa.Column("stations", sa.JSON, nullable=False),
        sa.Column("version", sa.Text),
        sa.Column("message", sa.Text, nullable=False),
        sa.Column("process_id", sa.Integer, nullable=False),
        sa.Column("host", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("run_id", name="pk_runs"),
        sa.CheckConstraint(
            "status in ('running', 'succeeded', 'failed', 'interrupted')", name="ck_runs_status"
        ),
    )
    op.create_index("ix_runs_started_at", "runs", ["started_at"])
    op.create_table(
        "exports",
        sa.Column("export_id", sa.Integer, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("segment_id", sa.String(80), nullable=False),
        sa.Column("segment_name", sa.Text, nullable=False),
        sa.Column("rows_count", sa.Integer, nullable=False),
        sa.Column("purpose", sa.Text, nullable=False),
        sa.Column("channel", sa.Text, nullable=False),
        sa.Column("columns", sa.JSON, nullable=False),
        sa.Column("file_name", sa.Text, nullable=False),
        sa.Column("version", sa.Text),
        sa.Column("exported_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("export_id", name="pk_exports"),
    )
    op.create_index("ix_exports_segment_id_exported_at", "exports", ["segment_id", "exported_at"])
    op.create_table(
        "notes",
        sa.Column("note_id", sa.Integer, nullable=False),
        sa.Column("subject_kind", sa.String(40), nullable=False),
        sa.Column("subject_id", sa.String(200), nullable=False),
        sa.Column("text", sa.Text, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("note_id", name="pk_notes"),
    )
    op.create_index("ix_notes_subject_kind_subject_id", "notes", ["subject_kind", "subject_id"])
    op.create_table(
        "targets",
        sa.Column("target_id", sa.Integer, nullable=False),
        sa.Column("kpi_id", sa.String(80), nullable=False),
        sa.Column("start_date", sa.Date, nullable=False),
        sa.Column("end_date", sa.Date, nullable=False),
        sa.Column("scope", sa.String(200), nullable=False),
        sa.Column("target_value", DECIMAL, nullable=False),
        sa.Column("author", sa.Text, nullable=False),
        sa.Column("updated_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("target_id", name="pk_targets"),
        sa.UniqueConstraint(
            "kpi_id",
            "start_date",
            "end_date",
            "scope",
            name="uq_targets_kpi_id_start_date_end_date_scope",
        ),
        sa.CheckConstraint("end_date > start_date", name="ck_targets_dates"),
    )
    op.create_table(
        "users",
        sa.Column("user_id", sa.String(200), nullable=False),
        sa.Column("full_name", sa.Text, nullable=False),
        sa.Column("role", sa.String(40), nullable=False),
        sa.Column("language", sa.String(8)),
        sa.Column("is_active", sa.Boolean, nullable=False),
        sa.Column("created_at", INSTANT, nullable=False),
        sa.PrimaryKeyConstraint("user_id", name="pk_users"),
    )
    op.create_table(
        "audit_log",
        sa.Column("entry_id", sa.Integer, nullable=False),
        sa.Column("occurred_at", INSTANT, nullable=False),
        sa.Column("who", sa.Text, nullable=False),
        sa.Column("action", sa.String(80), nullable=False),
        sa.Column("subject_kind", sa.String(40), nullable=False),
        sa.Column("subject_id", sa.String(200), nullable=False),
        sa.Column("detail", sa.JSON, nullable=False),
        sa.PrimaryKeyConstraint("entry_id", name="pk_audit_log"),
    )
    op.create_index(
        "ix_audit_log_subject_kind_subject_id", "audit_log", ["subject_kind", "subject_id"]
    )
    op.create_index("ix_audit_log_occurred_at", "audit_log", ["occurred_at"])


def downgrade() -> None:
    for table in (
        "audit_log",
        "users",
        "targets",
        "notes",
        "exports",
        "runs",
        "segment_versions",
        "segments",
    ):
        op.drop_table(table)
