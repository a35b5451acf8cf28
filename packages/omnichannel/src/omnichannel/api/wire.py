"""What goes over the API's wire, as types: the OpenAPI document is made from these."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final
from unicodedata import category

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field

from omnichannel.messages.model import Channel, DeliveryStatus, MessageStatus, NewMessage, Recipient

__all__ = [
    "ChannelList",
    "ChannelOut",
    "DeliveryOut",
    "EchoOut",
    "ListQuery",
    "MessageIn",
    "MessageOut",
    "MessagePage",
    "ProblemOut",
    "RecipientIn",
]

SUBJECT_LENGTH: Final = 500  # characters
BODY_LENGTH: Final = 100_000  # characters
ADDRESS_LENGTH: Final = 2048  # characters; a channel's own limit may be lower
RECIPIENTS: Final = 1000  # of one message
NOT_IN_A_LINE: Final = frozenset({"Cc", "Zl", "Zp"})  # Unicode's controls, line and paragraph separators
RFC_3339: Final = re.compile(r"\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)")


def _rfc_3339(value: Any) -> Any:
    if isinstance(value, str) and RFC_3339.fullmatch(value):
        return value
    raise ValueError("must be an RFC 3339 time with a zone, such as 2030-01-01T09:00:00Z")


def _in_utc(value: datetime) -> datetime:
    try:
        return value.astimezone(UTC)
    except OverflowError:
        raise ValueError("must lie between the years 1 and 9999 in UTC") from None


def _without_nul(value: str) -> str:
    if "\0" in value:
        raise ValueError("must not hold the character U+0000")
    return value


def _one_line(value: str) -> str:
    if any(category(char) in NOT_IN_A_LINE for char in value):
        raise ValueError("must be one line without control characters")
    return value


def _distinct(recipients: "list[RecipientIn]") -> "list[RecipientIn]":
    first: dict[RecipientIn, int] = {}
    for place, recipient in enumerate(recipients):
        if first.setdefault(recipient, place) != place:
            raise ValueError(f"names one recipient twice: /recipients/{first[recipient]} and /recipients/{place}")
    return recipients


Instant = Annotated[AwareDatetime, BeforeValidator(_rfc_3339), AfterValidator(_in_utc)]


class _Refusing(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class _Telling(BaseModel):
    model_config = ConfigDict(from_attributes=True, frozen=True)


class RecipientIn(_Refusing):
    """An address on a channel."""

    channel: Channel
    address: Annotated[str, Field(min_length=1, max_length=ADDRESS_LENGTH), AfterValidator(_without_nul)]


class MessageIn(_Refusing):
    """A message to be sent to each of its recipients, at once or at a time."""

    model_config = ConfigDict(
        json_schema_extra={
            "example": {
                "subject": "Launch",
                "body": "We are live.",
                "send_at": "2030-01-01T09:00:00Z",
                "recipients": [
                    {"channel": "webhook", "address": "https://example.com/hook"},
                    {"channel": "email", "address": "ada@example.com"},
                ],
            }
        }
    )

    subject: Annotated[str, Field(min_length=1, max_length=SUBJECT_LENGTH), AfterValidator(_one_line)]
    body: Annotated[str, Field(min_length=1, max_length=BODY_LENGTH), AfterValidator(_without_nul)]
    send_at: Annotated[Instant | None, Field(description="Absent, null or past: the message is sent at once.")] = None
    recipients: Annotated[list[RecipientIn], Field(min_length=1, max_length=RECIPIENTS), AfterValidator(_distinct)]

    def message(self) -> NewMessage:
        """Return the message that this asks for."""
        return NewMessage(
            subject=self.subject,
            body=self.body,
            recipients=tuple(Recipient(recipient.channel, recipient.address) for recipient in self.recipients),
            send_at=self.send_at,
        )


class DeliveryOut(_Telling):
    """One message on its way to one address."""

    id: str
    channel: Channel
    address: str
    status: DeliveryStatus
    attempts: Annotated[int, Field(description="Attempts started, whatever became of them.")]
    last_error: Annotated[str | None, Field(description="Why the latest attempt that failed did so.")]


class MessageOut(_Telling):
    """A message as it stands."""

    id: str
    status: MessageStatus
    send_at: datetime
    created_at: datetime
    deliveries: tuple[DeliveryOut, ...]


class MessagePage(_Telling):
    """Some messages, newest first."""

    items: tuple[MessageOut, ...]
    next: Annotated[str | None, Field(description="The `cursor` of the next page; null: this is the last.")]


class ListQuery(_Refusing):
    """Which messages to list."""

    status: MessageStatus | None = None
    limit: Annotated[int, Field(ge=1, le=200)] = 50
    cursor: Annotated[str | None, Field(min_length=1, max_length=500, description="`next` of the page before.")] = None


class ChannelOut(_Telling):
    """A channel, and whether it can be used here."""

    name: Channel
    configured: bool
    healthy: Annotated[bool, Field(description="Whether the channel's server answers; false if not configured.")]


class ChannelList(_Telling):
    """Every channel there is."""

    items: tuple[ChannelOut, ...]


class EchoOut(BaseModel):
    """What a worker answered."""

    text: str
    worker: Annotated[str, Field(description="The address of the worker that answered, `ip:port`.")]


class FieldErrorOut(BaseModel):
    """One field that is wrong."""

    pointer: Annotated[str | None, Field(description="JSON pointer (RFC 6901) into the body.")] = None
    parameter: Annotated[str | None, Field(description="Name of a query or path parameter.")] = None
    detail: str


class ProblemOut(BaseModel):
    """A refusal (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    instance: str
    errors: tuple[FieldErrorOut, ...] = ()
