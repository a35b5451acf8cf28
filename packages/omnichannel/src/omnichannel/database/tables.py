"""The tables. Times are UTC in integer milliseconds on every database; ids are text (``messages.ids``).

The predicates of the partial indexes are kept as text: PostgreSQL uses such an index only where the statement repeats
the predicate literally, so the statements take it from here.
"""

from typing import Final

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    false,
    text,
)

__all__ = [
    "DEAD",
    "ENDED",
    "EXPIRING",
    "ORDERED",
    "ORDERED_SENDING",
    "OTHER_ORDERED",
    "OTHER_ORDERED_SENDING",
    "PIECED",
    "QUEUED",
    "SENDING",
    "WAITING",
    "attempt",
    "delivery",
    "message",
    "message_variant",
    "metadata",
    "stream_counter",
    "stream_hint",
    "stream_position",
]

metadata: Final = MetaData(
    naming_convention={
        "pk": "%(table_name)s_pkey",
        "fk": "%(table_name)s_%(column_0_N_name)s_fkey",
        "uq": "%(table_name)s_%(column_0_N_name)s_key",
        "ix": "%(table_name)s_%(column_0_N_name)s_idx",
        "ck": "%(table_name)s_%(constraint_name)s_check",
    }
)

WAITING: Final = text("status IN ('scheduled', 'retry_wait')")
QUEUED: Final = text("status = 'queued'")
SENDING: Final = text("status = 'sending'")
NAMED: Final = text("provider_id IS NOT NULL")
EXPIRING: Final = text("expires_at IS NOT NULL AND status IN ('scheduled', 'queued', 'retry_wait')")
_ORDERED: Final = "{0}order_key IS NOT NULL AND {0}status IN ('scheduled', 'queued', 'sending', 'retry_wait')"
_ORDERED_SENDING: Final = "{0}order_key IS NOT NULL AND {0}status = 'sending'"
ORDERED: Final = text(_ORDERED.format(""))
ORDERED_SENDING: Final = text(_ORDERED_SENDING.format(""))
OTHER_ORDERED: Final = text(_ORDERED.format("other."))  # of deliveries that a statement calls "other"
OTHER_ORDERED_SENDING: Final = text(_ORDERED_SENDING.format("other."))
PIECED: Final = text("piece IS NOT NULL AND status IN ('scheduled', 'queued', 'sending', 'retry_wait')")
DEAD: Final = text("status IN ('dead', 'unknown')")
ENDED: Final = text("status IN ('completed', 'partially_failed', 'failed', 'cancelled')")

message: Final = Table(
    "message",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("send_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("status", String(16), nullable=False),  # derived from the deliveries, kept for lists
    Column("expires_at", BigInteger),
    Column("cancelled_at", BigInteger),
    Column("urgent", Boolean, nullable=False, server_default=false()),
    Column("ordered", Boolean, nullable=False, server_default=false()),
    Column("template", Text),  # "name@version"
    Column("schedule_id", String(36)),
    Column("request_id", String(128)),
    Column("traceparent", String(128)),
    Column("html", Text),
    Column("in_pieces", Boolean, nullable=False, server_default=false()),  # has a row of ``expansion``
    Index("message_status_id_idx", "status", "id"),
    Index("message_schedule_id_idx", "schedule_id", "id"),
    Index("message_ended_idx", "send_at", "id", postgresql_where=ENDED, sqlite_where=ENDED),
)

delivery: Final = Table(
    "delivery",
    metadata,
    Column("id", String(36), primary_key=True),
    Column("message_id", ForeignKey(message.c.id), nullable=False),
    Column("position", Integer, nullable=False),  # place among the message's recipients
    Column("channel", String(32), nullable=False),
    Column("address", Text, nullable=False),
    Column("status", String(16), nullable=False),
    Column("attempts", Integer, nullable=False),
    Column("last_error", Text),
    Column("due_at", BigInteger, nullable=False),  # of the next attempt
    Column("rung_at", BigInteger),  # when it was last put on the stream
    Column("epoch", Integer, nullable=False),  # grows with every claim
    Column("claim_until", BigInteger),  # of the latest claim
    Column("first_attempt_at", BigInteger),
    Column("zone", Text),  # the recipient's
    Column("expires_at", BigInteger),  # the message's
    Column("order_key", String(64)),  # same for all that wait for each other
    Column("order_at", BigInteger),  # the message's send_at
    Column("uncounted", Integer, nullable=False, server_default="0"),  # attempts that the retry policy leaves out
    Column("deferred", String(16)),  # why it has not left though it was due
    Column("slot_at", BigInteger),  # its place in the channel's rate
    Column("account", String(32)),  # of the sender on the channel; NULL: the one without a name
    Column("piece", Integer),  # of an audience's expansion, 0 for the message's own recipients; NULL: it has none
    UniqueConstraint("message_id", "position"),
    Index("delivery_piece_idx", "message_id", "id", postgresql_where=PIECED, sqlite_where=PIECED),
    Index("delivery_expiry_idx", "expires_at", postgresql_where=EXPIRING, sqlite_where=EXPIRING),
    Index("delivery_order_idx", "order_key", "order_at", "id", postgresql_where=ORDERED, sqlite_where=ORDERED),
    Index("delivery_order_sending_idx", "order_key", postgresql_where=ORDERED_SENDING, sqlite_where=ORDERED_SENDING),
    Index("delivery_dead_idx", "id", postgresql_where=DEAD, sqlite_where=DEAD),
    Index("delivery_due_idx", "due_at", "id", postgresql_where=WAITING, sqlite_where=WAITING),
    Index("delivery_rung_idx", "rung_at", postgresql_where=QUEUED, sqlite_where=QUEUED),
    Index("delivery_lapse_idx", "claim_until", postgresql_where=SENDING, sqlite_where=SENDING),
)

message_variant: Final = Table(
    "message_variant",
    metadata,
    Column("message_id", ForeignKey(message.c.id, ondelete="CASCADE"), primary_key=True),
    Column("channel", String(32), primary_key=True),
    Column("subject", Text, nullable=False),
    Column("body", Text, nullable=False),
    Column("html", Text),
)
"""What a channel says instead of the message's own words."""

attempt: Final = Table(
    "attempt",
    metadata,
    Column("delivery_id", ForeignKey(delivery.c.id), primary_key=True),
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("epoch", Integer, nullable=False),
    Column("owner", Text, nullable=False),  # the worker
    Column("started_at", BigInteger, nullable=False),
    Column("ended_at", BigInteger),  # NULL: under way, or its worker was lost just now
    Column("outcome", String(16)),
    Column("detail", Text),
    Column("provider_id", Text),
    Index("attempt_provider_id_idx", "provider_id", postgresql_where=NAMED, sqlite_where=NAMED),
)

stream_counter: Final = Table(
    "stream_counter",
    metadata,
    Column("id", Integer, primary_key=True, autoincrement=False),
    Column("last", BigInteger, nullable=False),
    CheckConstraint("id = 1", name="single"),
)
"""One row. Its lock is held to the commit, so hints become visible in the order of their numbers."""

stream_hint: Final = Table(
    "stream_hint",
    metadata,
    Column("number", BigInteger, primary_key=True, autoincrement=False),
    Column("delivery_id", String(36), nullable=False),
    Column("rung_at", BigInteger, nullable=False),
)

stream_position: Final = Table(
    "stream_position",
    metadata,
    Column("consumer_group", String(64), primary_key=True),
    Column("number", BigInteger, nullable=False),  # the last hint that the group has dealt with
    Column("heard_at", BigInteger, nullable=False, server_default="0"),  # when a member of it was last there
)
