"""Leases, members and parked records of a stream outside the database; when a group of the embedded one was there."""

import sqlalchemy as sa
from alembic import op

revision = "0100"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the tables, and note of every group that it was never there yet."""
    op.add_column("stream_position", sa.Column("heard_at", sa.BigInteger, nullable=False, server_default="0"))
    op.create_table(
        "stream_shard",
        sa.Column("stream", sa.String(128), nullable=False),
        sa.Column("consumer_group", sa.String(64), nullable=False),
        sa.Column("shard", sa.String(128), nullable=False),
        sa.Column("parents", sa.Text, nullable=False),
        sa.Column("state", sa.String(8), nullable=False),
        sa.Column("owner", sa.String(128)),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("beats", sa.BigInteger, nullable=False),
        sa.Column("asked_by", sa.String(128)),
        sa.Column("checkpoint", sa.Text),
        sa.Column("heard_until", sa.BigInteger),
        sa.PrimaryKeyConstraint("stream", "consumer_group", "shard", name="stream_shard_pkey"),
    )
    op.create_table(
        "stream_member",
        sa.Column("stream", sa.String(128), nullable=False),
        sa.Column("consumer_group", sa.String(64), nullable=False),
        sa.Column("member", sa.String(128), nullable=False),
        sa.Column("beats", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stream", "consumer_group", "member", name="stream_member_pkey"),
    )
    op.create_table(
        "stream_parked",
        sa.Column("stream", sa.String(128), nullable=False),
        sa.Column("shard", sa.String(128), nullable=False),
        sa.Column("sequence", sa.String(128), nullable=False),
        sa.Column("data", sa.LargeBinary, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("parked_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("stream", "shard", "sequence", name="stream_parked_pkey"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("stream_parked", "stream_member", "stream_shard"):
        op.drop_table(table)
    op.drop_column("stream_position", "heard_at")
