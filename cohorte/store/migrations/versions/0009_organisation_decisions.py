"""Decisions on two accounts beside those on two contacts."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "identity_decisions",
        sa.Column("kind", sa.String(20), nullable=False, server_default="person"),
    )


def downgrade() -> None:
    op.drop_column("identity_decisions", "kind")
