"""Indexes by which retention and the claims of ordered deliveries read no more than they need."""

import sqlalchemy as sa
from alembic import op

revision = "0170"
down_revision = "0160"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create them."""
    ended = sa.text("status IN ('completed', 'partially_failed', 'failed', 'cancelled')")
    sending = sa.text("order_key IS NOT NULL AND status = 'sending'")
    op.create_index("message_ended_idx", "message", ["send_at", "id"], postgresql_where=ended, sqlite_where=ended)
    op.create_index(
        "delivery_order_sending_idx", "delivery", ["order_key"], postgresql_where=sending, sqlite_where=sending
    )
    op.create_index("occurrence_message_id_idx", "occurrence", ["message_id"])


def downgrade() -> None:
    """Drop them."""
    op.drop_index("occurrence_message_id_idx", "occurrence")
    op.drop_index("delivery_order_sending_idx", "delivery")
    op.drop_index("message_ended_idx", "message")
