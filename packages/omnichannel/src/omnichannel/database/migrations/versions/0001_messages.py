"""Messages, deliveries, attempts and the embedded stream."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create the first tables."""
    op.create_table(
        "message",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("send_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.PrimaryKeyConstraint("id", name="message_pkey"),
    )
    op.create_index("message_status_id_idx", "message", ["status", "id"])
    op.create_table(
        "delivery",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("message_id", sa.String(36), nullable=False),
        sa.Column("position", sa.Integer, nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("status", sa.String(16), nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("last_error", sa.Text),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("rung_at", sa.BigInteger),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("claim_until", sa.BigInteger),
        sa.Column("first_attempt_at", sa.BigInteger),
        sa.PrimaryKeyConstraint("id", name="delivery_pkey"),
        sa.ForeignKeyConstraint(["message_id"], ["message.id"], name="delivery_message_id_fkey"),
        sa.UniqueConstraint("message_id", "position", name="delivery_message_id_position_key"),
    )
    _create_partial_index("delivery_due_idx", ["due_at", "id"], "status IN ('scheduled', 'retry_wait')")
    _create_partial_index("delivery_rung_idx", ["rung_at"], "status = 'queued'")
    _create_partial_index("delivery_lapse_idx", ["claim_until"], "status = 'sending'")
    op.create_table(
        "attempt",
        sa.Column("delivery_id", sa.String(36), nullable=False),
        sa.Column("number", sa.Integer, nullable=False),
        sa.Column("epoch", sa.Integer, nullable=False),
        sa.Column("owner", sa.Text, nullable=False),
        sa.Column("started_at", sa.BigInteger, nullable=False),
        sa.Column("ended_at", sa.BigInteger),
        sa.Column("outcome", sa.String(16)),
        sa.Column("detail", sa.Text),
        sa.Column("provider_id", sa.Text),
        sa.PrimaryKeyConstraint("delivery_id", "number", name="attempt_pkey"),
        sa.ForeignKeyConstraint(["delivery_id"], ["delivery.id"], name="attempt_delivery_id_fkey"),
    )
    counter = op.create_table(
        "stream_counter",
        sa.Column("id", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("last", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="stream_counter_pkey"),
        sa.CheckConstraint("id = 1", name="stream_counter_single_check"),
    )
    op.bulk_insert(counter, [{"id": 1, "last": 0}])
    op.create_table(
        "stream_hint",
        sa.Column("number", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("delivery_id", sa.String(36), nullable=False),
        sa.Column("rung_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("number", name="stream_hint_pkey"),
    )
    op.create_table(
        "stream_position",
        sa.Column("consumer_group", sa.String(64), nullable=False),
        sa.Column("number", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("consumer_group", name="stream_position_pkey"),
    )


def downgrade() -> None:
    """Drop them."""
    for table in ("stream_position", "stream_hint", "stream_counter", "attempt", "delivery", "message"):
        op.drop_table(table)


def _create_partial_index(name: str, columns: list[str], predicate: str) -> None:
    where = sa.text(predicate)
    op.create_index(name, "delivery", columns, postgresql_where=where, sqlite_where=where)
