"""The accounts behind channels: how they fare, and how far they are proven."""

import sqlalchemy as sa
from alembic import op

revision = "0150"
down_revision = "0101"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the table."""
    op.create_table(
        "channel_account",
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("failures", sa.Integer, nullable=False),
        sa.Column("paused_until", sa.BigInteger),
        sa.Column("last_error", sa.Text),
        sa.Column("last_error_at", sa.BigInteger),
        sa.Column("last_success_at", sa.BigInteger),
        sa.Column("proven", sa.String(8)),
        sa.Column("proven_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("channel", name="channel_account_pkey"),
    )


def downgrade() -> None:
    """Drop it."""
    op.drop_table("channel_account")
