"""What the whole publisher keeps: limits, schedules, templates, audiences, attachments, events, replayed answers."""

import sqlalchemy as sa
from alembic import op

revision = "0101"
down_revision = "0100"
branch_labels = None
depends_on = None

EXPIRING = "expires_at IS NOT NULL AND status IN ('scheduled', 'queued', 'retry_wait')"
ORDERED = "order_key IS NOT NULL AND status IN ('scheduled', 'queued', 'sending', 'retry_wait')"
DEAD = "status IN ('dead', 'unknown')"
MESSAGE_COLUMNS = (
    "expires_at",
    "cancelled_at",
    "urgent",
    "ordered",
    "template",
    "schedule_id",
    "request_id",
    "traceparent",
)
DELIVERY_COLUMNS = ("zone", "expires_at", "order_key", "order_at", "uncounted", "deferred", "slot_at")
KEY_COLUMNS = ("scopes", "expires_at", "revoked_at", "last_used_at")
TABLES = (
    "endpoint_event",
    "endpoint",
    "occurrence",
    "schedule",
    "audience_member",
    "audience",
    "template_version",
    "template",
    "message_attachment",
    "attachment",
    "channel_pace",
    "channel_limits",
    "suppression",
    "idempotency",
    "message_variant",
)


def upgrade() -> None:
    """Add the columns and tables. Rows that are there keep their meaning: every new column may be absent or is 0."""
    _widen()
    _create_limits()
    _create_content()
    _create_schedules()
    _create_endpoints()


def downgrade() -> None:
    """Take them away again, with what they hold."""
    for table in TABLES:
        op.drop_table(table)
    op.drop_index("message_schedule_id_idx", "message")
    for index in ("delivery_expiry_idx", "delivery_order_idx", "delivery_dead_idx"):
        op.drop_index(index, "delivery")
    for column in MESSAGE_COLUMNS:
        op.drop_column("message", column)
    for column in DELIVERY_COLUMNS:
        op.drop_column("delivery", column)
    for column in KEY_COLUMNS:
        op.drop_column("api_key", column)


def _widen() -> None:
    op.add_column("message", sa.Column("expires_at", sa.BigInteger))
    op.add_column("message", sa.Column("cancelled_at", sa.BigInteger))
    op.add_column("message", sa.Column("urgent", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("message", sa.Column("ordered", sa.Boolean, nullable=False, server_default=sa.false()))
    op.add_column("message", sa.Column("template", sa.Text))
    op.add_column("message", sa.Column("schedule_id", sa.String(36)))
    op.add_column("message", sa.Column("request_id", sa.String(128)))
    op.add_column("message", sa.Column("traceparent", sa.String(128)))
    op.create_index("message_schedule_id_idx", "message", ["schedule_id", "id"])
    op.add_column("delivery", sa.Column("zone", sa.Text))
    op.add_column("delivery", sa.Column("expires_at", sa.BigInteger))
    op.add_column("delivery", sa.Column("order_key", sa.String(64)))
    op.add_column("delivery", sa.Column("order_at", sa.BigInteger))
    op.add_column("delivery", sa.Column("uncounted", sa.Integer, nullable=False, server_default="0"))
    op.add_column("delivery", sa.Column("deferred", sa.String(16)))
    op.add_column("delivery", sa.Column("slot_at", sa.BigInteger))
    _create_partial_index("delivery_expiry_idx", "delivery", ["expires_at"], EXPIRING)
    _create_partial_index("delivery_order_idx", "delivery", ["order_key", "order_at", "id"], ORDERED)
    _create_partial_index("delivery_dead_idx", "delivery", ["id"], DEAD)
    op.add_column("api_key", sa.Column("scopes", sa.Text, nullable=False, server_default="admin"))
    op.add_column("api_key", sa.Column("expires_at", sa.BigInteger))
    op.add_column("api_key", sa.Column("revoked_at", sa.BigInteger))
    op.add_column("api_key", sa.Column("last_used_at", sa.BigInteger))


def _create_limits() -> None:
    op.create_table(
        "idempotency",
        sa.Column("owner", sa.String(12), nullable=False),
        sa.Column("route", sa.String(64), nullable=False),
        sa.Column("key", sa.String(255), nullable=False),
        sa.Column("fingerprint", sa.String(64), nullable=False),
        sa.Column("status", sa.Integer, nullable=False),
        sa.Column("location", sa.Text),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("owner", "route", "key", name="idempotency_pkey"),
    )
    op.create_index("idempotency_created_at_idx", "idempotency", ["created_at"])
    op.create_table(
        "suppression",
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("channel", "address", name="suppression_pkey"),
    )
    op.create_table(
        "channel_limits",
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("rate_per_s", sa.Float),
        sa.Column("concurrency", sa.Integer),
        sa.Column("quiet_start", sa.String(5)),
        sa.Column("quiet_end", sa.String(5)),
        sa.Column("quiet_zone", sa.Text),
        sa.Column("lost_answer", sa.String(8), nullable=False, server_default="review"),
        sa.PrimaryKeyConstraint("channel", name="channel_limits_pkey"),
    )
    op.create_table(
        "channel_pace",
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("free_at_us", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("channel", name="channel_pace_pkey"),
    )


def _create_content() -> None:
    op.create_table(
        "message_variant",
        sa.Column("message_id", sa.String(36), nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.PrimaryKeyConstraint("message_id", "channel", name="message_variant_pkey"),
        _foreign("message_variant", "message_id", "message.id", cascade=True),
    )
    op.create_table(
        "attachment",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("name", sa.Text, nullable=False),
        sa.Column("media_type", sa.Text, nullable=False),
        sa.Column("size", sa.Integer, nullable=False),
        sa.Column("sha256", sa.String(64), nullable=False),
        sa.Column("content", sa.LargeBinary, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="attachment_pkey"),
    )
    op.create_index("attachment_created_at_idx", "attachment", ["created_at"])
    op.create_table(
        "message_attachment",
        sa.Column("message_id", sa.String(36), nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("attachment_id", sa.String(36), nullable=False),
        sa.PrimaryKeyConstraint("message_id", "position", name="message_attachment_pkey"),
        _foreign("message_attachment", "message_id", "message.id", cascade=True),
        _foreign("message_attachment", "attachment_id", "attachment.id"),
    )
    op.create_index("message_attachment_attachment_id_idx", "message_attachment", ["attachment_id"])
    op.create_table(
        "template",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("latest", sa.Integer, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="template_pkey"),
    )
    op.create_table(
        "template_version",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("version", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("subject", sa.Text, nullable=False),
        sa.Column("body", sa.Text, nullable=False),
        sa.Column("variants", sa.Text, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", "version", name="template_version_pkey"),
        _foreign("template_version", "name", "template.name", cascade=True),
    )
    op.create_table(
        "audience",
        sa.Column("name", sa.String(64), nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("name", name="audience_pkey"),
    )
    op.create_table(
        "audience_member",
        sa.Column("audience", sa.String(64), nullable=False),
        sa.Column("position", sa.Integer, autoincrement=False, nullable=False),
        sa.Column("channel", sa.String(32), nullable=False),
        sa.Column("address", sa.Text, nullable=False),
        sa.Column("zone", sa.Text),
        sa.PrimaryKeyConstraint("audience", "position", name="audience_member_pkey"),
        sa.UniqueConstraint("audience", "channel", "address", name="audience_member_audience_channel_address_key"),
        _foreign("audience_member", "audience", "audience.name", cascade=True),
    )


def _create_schedules() -> None:
    op.create_table(
        "schedule",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("cron", sa.Text, nullable=False),
        sa.Column("zone", sa.Text, nullable=False),
        sa.Column("misfire", sa.String(16), nullable=False),
        sa.Column("misfire_limit", sa.Integer, nullable=False),
        sa.Column("ends_at", sa.BigInteger),
        sa.Column("content", sa.Text, nullable=False),
        sa.Column("next_at", sa.BigInteger),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="schedule_pkey"),
    )
    _create_partial_index("schedule_next_at_idx", "schedule", ["next_at", "id"], "state = 'active'")
    op.create_table(
        "occurrence",
        sa.Column("schedule_id", sa.String(36), nullable=False),
        sa.Column("nominal_at", sa.BigInteger, autoincrement=False, nullable=False),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("message_id", sa.String(36)),
        sa.Column("detail", sa.Text),
        sa.Column("decided_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("schedule_id", "nominal_at", name="occurrence_pkey"),
        _foreign("occurrence", "schedule_id", "schedule.id", cascade=True),
    )


def _create_endpoints() -> None:
    op.create_table(
        "endpoint",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("secret", sa.Text, nullable=False),
        sa.Column("previous_secret", sa.Text),
        sa.Column("previous_until", sa.BigInteger),
        sa.Column("state", sa.String(16), nullable=False),
        sa.Column("failing_since", sa.BigInteger),
        sa.Column("last_error", sa.Text),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="endpoint_pkey"),
    )
    op.create_table(
        "endpoint_event",
        sa.Column("id", sa.String(36), nullable=False),
        sa.Column("endpoint_id", sa.String(36), nullable=False),
        sa.Column("payload", sa.Text, nullable=False),
        sa.Column("attempts", sa.Integer, nullable=False),
        sa.Column("due_at", sa.BigInteger, nullable=False),
        sa.Column("created_at", sa.BigInteger, nullable=False),
        sa.PrimaryKeyConstraint("id", name="endpoint_event_pkey"),
        _foreign("endpoint_event", "endpoint_id", "endpoint.id", cascade=True),
    )
    op.create_index("endpoint_event_due_at_idx", "endpoint_event", ["due_at", "id"])
    op.create_index("endpoint_event_endpoint_id_idx", "endpoint_event", ["endpoint_id"])


def _foreign(table: str, column: str, target: str, *, cascade: bool = False) -> sa.ForeignKeyConstraint:
    name = f"{table}_{column}_fkey"
    return sa.ForeignKeyConstraint([column], [target], name=name, ondelete="CASCADE" if cascade else None)


def _create_partial_index(name: str, table: str, columns: list[str], predicate: str) -> None:
    where = sa.text(predicate)
    op.create_index(name, table, columns, postgresql_where=where, sqlite_where=where)
