"""The tables of what the API keeps besides messages. Times and ids as in ``database.tables``."""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

from omnichannel.database.tables import message, metadata

__all__ = [
    "ACTIVE_SCHEDULE",
    "UNFINISHED",
    "attachment",
    "audience",
    "channel_limits",
    "channel_pace",
    "endpoint",
    "endpoint_event",
    "expansion",
    "idempotency",
    "list_member",
    "member_list",
    "message_attachment",
    "occurrence",
    "schedule",
    "suppression",
    "template",
    "template_version",
]

ACTIVE_SCHEDULE: Final = text("state = 'active'")
UNFINISHED: Final = text("NOT done")

idempotency: Final = Table(
    "idempotency",
    metadata,
    Column("owner", String(12), primary_key=True),  # id of the API key; empty where keys are off
    Column("route", String(64), primary_key=True),
    Column("key", String(255), primary_key=True),
    Column("fingerprint", String(64), nullable=False),  # of the request's body
    Column("status", Integer, nullable=False),
    Column("location", Text),
    Column("body", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("idempotency_created_at_idx", "created_at"),
)
"""Answers to be given again. A row is written in the transaction of what it answers for."""

suppression: Final = Table(
    "suppression",
    metadata,
    Column("channel", String(32), primary_key=True),
    Column("address", Text, primary_key=True),
    Column("reason", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
)

channel_limits: Final = Table(
    "channel_limits",
    metadata,
    Column("channel", String(32), primary_key=True),  # or "sms:marketing", for an account with a name
    Column("rate_per_s", Float),
    Column("concurrency", Integer),
    Column("quiet_start", String(5)),  # HH:MM
    Column("quiet_end", String(5)),
    Column("quiet_zone", Text),
    Column("lost_answer", String(8), nullable=False, server_default="review"),
    Column("daily_quota", Integer),
)

channel_pace: Final = Table(
    "channel_pace",
    metadata,
    Column("channel", String(32), primary_key=True),
    Column("free_at_us", BigInteger, nullable=False),  # microseconds: when the next attempt may start
)
"""Locked after deliveries and before messages, by claims alone."""

attachment: Final = Table(
    "attachment",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("name", Text, nullable=False),
    Column("media_type", Text, nullable=False),
    Column("size", Integer, nullable=False),  # bytes
    Column("sha256", String(64), nullable=False),
    Column("content", LargeBinary, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("attachment_created_at_idx", "created_at"),
)

message_attachment: Final = Table(
    "message_attachment",
    metadata,
    Column("message_id", ForeignKey(message.c.id, ondelete="CASCADE"), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("attachment_id", ForeignKey(attachment.c.id), nullable=False),
    Index("message_attachment_attachment_id_idx", "attachment_id"),
)

template: Final = Table(
    "template",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("latest", Integer, nullable=False),  # its newest version
    Column("created_at", BigInteger, nullable=False),
)

template_version: Final = Table(
    "template_version",
    metadata,
    Column("name", ForeignKey(template.c.name, ondelete="CASCADE"), primary_key=True),
    Column("version", Integer, primary_key=True, autoincrement=False),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("variants", Text, nullable=False),  # JSON: channel -> {subject, body, html}
    Column("created_at", BigInteger, nullable=False),
    Column("html", Text),
)
"""Never changed: a message says which version its words came from."""

member_list: Final = Table(
    "member_list",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("members", Integer, nullable=False),
    Column("places", Integer, nullable=False),  # given out so far: a place is not used again
    Column("dropped_at", BigInteger),  # when its audience got another list or went; NULL: it is an audience's
)
"""Recipients that belong together. It outlives its audience as long as messages are on their way to it."""

list_member: Final = Table(
    "list_member",
    metadata,
    Column("list_id", ForeignKey(member_list.c.id), primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("channel", String(32), nullable=False),
    Column("address", Text, nullable=False),
    Column("zone", Text),
    Column("account", String(32)),
    UniqueConstraint("list_id", "channel", "address"),
)

audience: Final = Table(
    "audience",
    metadata,
    Column("name", String(64), primary_key=True),
    Column("created_at", BigInteger, nullable=False),
    Column("list_id", String(64), nullable=False, server_default=""),
)

expansion: Final = Table(
    "expansion",
    metadata,
    Column("message_id", ForeignKey(message.c.id, ondelete="CASCADE"), primary_key=True),
    Column("list_id", String(64), nullable=False),
    Column("own", Integer, nullable=False),  # places of the message's own recipients: a member's come after them
    Column("passed", Integer, nullable=False),  # place in the list of the last member who has been looked at
    Column("upto", Integer, nullable=False),  # place in the list of the last member there was
    Column("made", Integer, nullable=False),  # deliveries
    Column("total", Integer, nullable=False),  # deliveries there will be
    Column("pieces", Integer, nullable=False),
    Column("stopped", Boolean, nullable=False, server_default=false()),  # cancelled: what is left is not to be sent
    Column("done", Boolean, nullable=False, server_default=false()),
    Index("expansion_unfinished_idx", "message_id", postgresql_where=UNFINISHED, sqlite_where=UNFINISHED),
)
"""Messages whose deliveries are made a piece at a time. Locked before deliveries and messages."""

schedule: Final = Table(
    "schedule",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("state", String(16), nullable=False),
    Column("cron", Text, nullable=False),
    Column("zone", Text, nullable=False),
    Column("misfire", String(16), nullable=False),
    Column("misfire_limit", Integer, nullable=False),
    Column("ends_at", BigInteger),
    Column("content", Text, nullable=False),  # JSON: the message of each occurrence
    Column("next_at", BigInteger),  # nominal time of the next occurrence; NULL: there is none
    Column("created_at", BigInteger, nullable=False),
    Index("schedule_next_at_idx", "next_at", "id", postgresql_where=ACTIVE_SCHEDULE, sqlite_where=ACTIVE_SCHEDULE),
)

occurrence: Final = Table(
    "occurrence",
    metadata,
    Column("schedule_id", ForeignKey(schedule.c.id, ondelete="CASCADE"), primary_key=True),
    Column("nominal_at", BigInteger, primary_key=True, autoincrement=False),
    Column("state", String(16), nullable=False),  # sent, skipped, failed
    Column("message_id", String(36)),
    Column("detail", Text),
    Column("decided_at", BigInteger, nullable=False),
    Index("occurrence_message_id_idx", "message_id"),
)
"""The primary key is what makes several schedulers safe: an occurrence is decided once."""

endpoint: Final = Table(
    "endpoint",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("url", Text, nullable=False),
    Column("secret", Text, nullable=False),  # whsec_…, sealed
    Column("previous_secret", Text),  # sealed too; signs beside the new one while its receiver changes over
    Column("previous_until", BigInteger),
    Column("state", String(16), nullable=False),  # active, disabled
    Column("failing_since", BigInteger),
    Column("last_error", Text),
    Column("created_at", BigInteger, nullable=False),
)

endpoint_event: Final = Table(
    "endpoint_event",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("endpoint_id", ForeignKey(endpoint.c.id, ondelete="CASCADE"), nullable=False),
    Column("payload", Text, nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("due_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Index("endpoint_event_due_at_idx", "due_at", "id"),
    Index("endpoint_event_endpoint_id_idx", "endpoint_id"),
)
"""Events on their way to the senders: written with what they tell of, deleted when they are acknowledged."""
