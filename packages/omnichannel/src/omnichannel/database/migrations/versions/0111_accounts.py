"""Several accounts on one channel, and what each has used of its daily quota."""

import sqlalchemy as sa
from alembic import op

revision = "0111"
down_revision = "0110"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add columns and a table: what runs on the revision before does not miss them."""
    op.add_column("delivery", sa.Column("account", sa.String(32)))
    op.add_column("audience_member", sa.Column("account", sa.String(32)))
    op.add_column("channel_limits", sa.Column("daily_quota", sa.Integer))
    op.create_table(
        "channel_day",
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("day", sa.Integer, nullable=False),
        sa.Column("used", sa.Integer, nullable=False),
        sa.PrimaryKeyConstraint("channel", "day", name="channel_day_pkey"),
    )


def downgrade() -> None:
    """Drop them."""
    op.drop_table("channel_day")
    op.drop_column("channel_limits", "daily_quota")
    op.drop_column("audience_member", "account")
    op.drop_column("delivery", "account")
