"""Runs in the order they began, whatever the clock said, and of what kind; alerts."""

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0002"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "alerts",
        sa.Column("alert_id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("problem", sa.String(200), nullable=False),
        sa.Column("kind", sa.String(40), nullable=False),
        sa.Column("detail", sa.Text, nullable=False),
        sa.Column("run_id", sa.String(80)),
        sa.Column("began_at", INSTANT, nullable=False),
        sa.Column("ended_at", INSTANT),
        sa.PrimaryKeyConstraint("alert_id", name="pk_alerts"),
    )
    op.create_index("ix_alerts_ended_at", "alerts", ["ended_at"])
    with op.batch_alter_table("runs") as runs:
        runs.add_column(sa.Column("number", sa.Integer, nullable=False, server_default="0"))
        runs.add_column(sa.Column("kind", sa.String(40), nullable=False, server_default="refresh"))
    op.execute(
        "update runs set number = (select count(*) from runs as earlier where"
        " (earlier.started_at, earlier.run_id) <= (runs.started_at, runs.run_id))"
    )
    op.create_index("ix_runs_number", "runs", ["number"])


def downgrade() -> None:
    op.drop_index("ix_runs_number", "runs")
    with op.batch_alter_table("runs") as runs:
        runs.drop_column("kind")
        runs.drop_column("number")
    op.drop_table("alerts")
