"""A message, its deliveries and the claim by which a worker holds one, as frozen values.

Every time is aware and in UTC, in whole milliseconds: what the database keeps is what the values say.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

__all__ = [
    "AttachmentRef",
    "Channel",
    "Claim",
    "Delivery",
    "DeliveryStatus",
    "Expansion",
    "InvalidMessage",
    "Members",
    "Message",
    "MessageStatus",
    "NewMessage",
    "Page",
    "Recipient",
    "Trace",
    "Variant",
    "provider",
    "via",
]


class Channel(StrEnum):
    """The ways out: those that come along, and those that others have added by ``Channel.add``."""

    WEBHOOK = "webhook"
    EMAIL = "email"
    SMS = "sms"
    SLACK = "slack"
    APPRISE = "apprise"
    WHATSAPP = "whatsapp"
    FACEBOOK = "facebook"
    INSTAGRAM = "instagram"
    LINKEDIN = "linkedin"

    @classmethod
    def add(cls, name: str) -> "Channel":
        """Return the channel of this name, which is one from now on; every process has to add it."""
        with suppress(ValueError):
            return cls(name)
        added = str.__new__(cls, name)
        added._name_, added._value_ = name.upper(), name
        _ADDED[name] = added
        return added

    @classmethod
    def _missing_(cls, value: object) -> "Channel | None":
        return _ADDED.get(str(value))


_ADDED: Final[dict[str, Channel]] = {}


def via(channel: Channel, account: str | None) -> str:
    """Return what an account is called with its channel: ``sms:marketing``, or ``sms`` for the one without a name."""
    return channel.value if account is None else f"{channel.value}:{account}"


def provider(channel: Channel, account: str | None, address: str) -> str:
    """Return what fails as one: an account's provider; of a channel without accounts, the server of an address."""
    if channel in (Channel.WEBHOOK, Channel.APPRISE):
        return f"{channel.value} {urlsplit(address).netloc.rpartition('@')[2]}"
    return via(channel, account)


class DeliveryStatus(StrEnum):
    """Where one delivery stands. ``lifecycle.NEXT`` holds the legal moves between these."""

    SCHEDULED = "scheduled"  # waits for its time
    QUEUED = "queued"  # due, and its hint is on the stream
    SENDING = "sending"  # claimed by a worker
    ACCEPTED = "accepted"  # the channel took it; whether it arrived is not said
    DELIVERED = "delivered"  # the channel says that it arrived
    RETRY_WAIT = "retry_wait"  # failed for now, waits for the next attempt
    UNKNOWN = "unknown"  # sent, but no answer came, and sending again could deliver twice
    DEAD = "dead"  # refused for good, or attempts used up
    SUPPRESSED = "suppressed"  # the address must not be written to
    EXPIRED = "expired"  # its time had passed before it could be sent
    CANCELLED = "cancelled"
    BOUNCED = "bounced"  # taken at first, returned later


class MessageStatus(StrEnum):
    """Where a message stands: derived from its deliveries by ``lifecycle.message_status``."""

    SCHEDULED = "scheduled"
    IN_PROGRESS = "in_progress"
    COMPLETED = "completed"
    PARTIALLY_FAILED = "partially_failed"
    FAILED = "failed"
    CANCELLED = "cancelled"


class InvalidMessage(ValueError):
    """A message that cannot be taken: no recipient, one recipient twice, or a time without zone."""


@dataclass(frozen=True, slots=True)
class Recipient:
    """An address on a channel, and where its owner lives: quiet hours go by that clock."""

    channel: Channel
    address: str
    zone: str | None = None  # IANA name; None: the zone of the channel's quiet hours
    account: str | None = None  # of the sender on the channel; None: the one without a name

    @property
    def via(self) -> str:
        """The channel, and the account on it."""
        return via(self.channel, self.account)


@dataclass(frozen=True, slots=True)
class Members:
    """The members that an audience had at some moment: who comes later is not among them."""

    list_id: str
    upto: int  # the last one's place in the list
    count: int


@dataclass(frozen=True, slots=True)
class Expansion:
    """How far a message to many has come on its way to a delivery for each of an audience's members."""

    made: int  # deliveries, those of its own recipients among them
    total: int  # that there will be
    done: bool = False
    members: Members | None = None  # as it is handed in


@dataclass(frozen=True, slots=True)
class Variant:
    """What one channel says instead of the message's own words."""

    channel: Channel
    subject: str
    body: str
    html: str | None = None


@dataclass(frozen=True, slots=True)
class AttachmentRef:
    """A file that goes along, with its content."""

    name: str
    media_type: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Trace:
    """What ties a message to the request that brought it: goes along on every attempt."""

    request_id: str | None = None  # X-Request-Id
    traceparent: str | None = None  # W3C Trace Context

    @property
    def trace_id(self) -> str | None:
        """The trace that it belongs to, for the log."""
        return self.traceparent.split("-")[1] if self.traceparent else None


@dataclass(frozen=True, slots=True, kw_only=True)
class NewMessage:
    """A message as it is handed in. Raises InvalidMessage."""

    subject: str
    body: str
    recipients: tuple[Recipient, ...]  # one delivery each, in this order
    send_at: datetime | None = None  # None, or an instant that has passed: at once
    expires_at: datetime | None = None  # no attempt starts at or after it
    urgent: bool = False  # quiet hours do not hold it back
    ordered: bool = False  # each address gets its ordered messages one after the other, by send_at
    variants: tuple[Variant, ...] = ()  # at most one a channel
    attachments: tuple[str, ...] = ()  # ids
    template: str | None = None  # "name@version", where the words came from
    schedule_id: str | None = None  # whose occurrence this is
    trace: Trace = Trace()
    html: str | None = None  # the body once more, for channels that carry it
    members: Members | None = None  # too many for one transaction: their deliveries are made by and by

    def __post_init__(self) -> None:
        if not self.recipients and self.members is None:
            raise InvalidMessage("a message needs at least one recipient")
        if len({(each.channel, each.address) for each in self.recipients}) < len(self.recipients):
            raise InvalidMessage("a recipient is named twice")
        if self.send_at is not None and self.send_at.tzinfo is None:
            raise InvalidMessage("send_at needs a time zone")


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """One message on its way to one address."""

    id: str
    channel: Channel
    address: str
    status: DeliveryStatus
    attempts: int  # started, whatever became of them
    last_error: str | None  # in words, of the latest attempt that failed
    zone: str | None = None
    account: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message that is kept, with its deliveries in the order of its recipients: the first ones, if it has many."""

    id: str
    subject: str
    body: str
    send_at: datetime
    created_at: datetime
    status: MessageStatus
    deliveries: tuple[Delivery, ...]
    expires_at: datetime | None = None
    urgent: bool = False
    ordered: bool = False
    variants: tuple[Variant, ...] = ()
    attachments: tuple[str, ...] = ()
    template: str | None = None
    schedule_id: str | None = None
    trace: Trace = Trace()
    html: str | None = None
    expansion: Expansion | None = None  # None: it had all its deliveries from the start
    counts: Mapping[DeliveryStatus, int] | None = None  # of all the deliveries that an expansion has made


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """The right of one worker to send one delivery, until the claim lapses, and all that it needs for it."""

    delivery_id: str  # also the key by which a channel can tell a repetition
    message_id: str
    channel: Channel
    address: str
    subject: str
    body: str
    attempt: int  # 1 for the first
    first_attempt_at: datetime
    epoch: int  # grows with every claim of the delivery; what an older epoch writes is not taken
    uncounted: int = 0  # attempts that the retry policy does not count: throttled ones, and those before a replay
    attachments: tuple[AttachmentRef, ...] = ()
    trace: Trace = Trace()
    due_at: datetime | None = None  # when it was to leave
    html: str | None = None
    account: str | None = None  # of the sender on the channel

    @property
    def via(self) -> str:
        """The channel, and the account on it: what has limits, a quota and a circuit of its own."""
        return via(self.channel, self.account)

    @property
    def provider(self) -> str:
        """Whom an attempt waits for."""
        return provider(self.channel, self.account, self.address)

    @property
    def counted(self) -> int:
        """The number of this attempt as the retry policy counts: 1 for the first."""
        return self.attempt - self.uncounted


@dataclass(frozen=True, slots=True)
class Page:
    """Some messages, newest first, and the cursor of the next page; None: there is none."""

    items: tuple[Message, ...]
    next: str | None
