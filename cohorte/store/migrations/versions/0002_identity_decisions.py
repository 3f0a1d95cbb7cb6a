"""What people decided about two records: the same person, not the same, unknown."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INSTANT = sa.DateTime(timezone=True)


def upgrade() -> None:
    op.create_table(
        "identity_decisions",
        sa.Column("decision_id", sa.Integer, autoincrement=True, nullable=False),
        sa.Column("source_a", sa.String(80), nullable=False),
        sa.Column("contact_a", sa.String(200), nullable=False),
        sa.Column("source_b", sa.String(80), nullable=False),
        sa.Column("contact_b", sa.String(200), nullable=False),
        sa.Column("verdict", sa.String(20), nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("decided_by", sa.Text, nullable=False),
        sa.Column("decided_at", INSTANT, nullable=False),
        sa.Column("withdrawn_by", sa.Text),
        sa.Column("withdrawn_at", INSTANT),
        sa.PrimaryKeyConstraint("decision_id", name="pk_identity_decisions"),
        sa.CheckConstraint(
            "verdict in ('same', 'not_same', 'unknown')", name="ck_identity_decisions_verdict"
        ),
    )
    op.create_index(
        "ix_identity_decisions_source_a_contact_a_source_b_contact_b",
        "identity_decisions",
        ["source_a", "contact_a", "source_b", "contact_b"],
    )


def downgrade() -> None:
    op.drop_table("identity_decisions")
