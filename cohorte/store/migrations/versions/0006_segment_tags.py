"""Tags of segments."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("segments", sa.Column("tags", sa.JSON, nullable=False, server_default="[]"))


def downgrade() -> None:
    op.drop_column("segments", "tags")
