"""What goes over the API's wire, as types: the OpenAPI document is made from these."""

import re
from datetime import UTC, datetime
from typing import Annotated, Any, Final, Self
from unicodedata import category

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    JsonValue,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from omnichannel.channels.breaker import Circuit
from omnichannel.channels.credentials import ACCOUNT_NAME
from omnichannel.database.message_rows import SHOWN, MessageFilter
from omnichannel.messages.model import Channel, DeliveryStatus, MessageStatus, Recipient
from omnichannel.messages.recurrence import InvalidRecurrence, find_zone

__all__ = [
    "BATCH",
    "RECIPIENTS",
    "AccountName",
    "Address",
    "BatchIn",
    "BatchOut",
    "Body",
    "ChannelLimitsOut",
    "ChannelList",
    "ChannelOut",
    "ContentIn",
    "Cursor",
    "DeliveryOut",
    "DeliveryPage",
    "DeliveryQuery",
    "EchoOut",
    "FieldErrorOut",
    "Html",
    "Instant",
    "Limit",
    "ListQuery",
    "MessageIn",
    "MessageOut",
    "MessagePage",
    "Name",
    "NameQuery",
    "PageQuery",
    "ProblemOut",
    "RecipientIn",
    "Recipients",
    "Refusing",
    "Subject",
    "Telling",
    "TemplateUse",
    "WordsIn",
    "Zone",
]

SUBJECT_LENGTH: Final = 500  # characters
BODY_LENGTH: Final = 100_000  # characters
HTML_LENGTH: Final = 200_000  # characters
ADDRESS_LENGTH: Final = 2048  # characters; a channel's own limit may be lower
RECIPIENTS: Final = 1000  # named in one message, and members of an audience in one request
BATCH: Final = 1000  # messages in one request
ATTACHMENTS: Final = 10  # of one message
VARIABLES: Final = 200  # of a template
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


def _is_zone(value: str) -> str:
    try:
        find_zone(value)
    except InvalidRecurrence as exc:
        raise ValueError(exc.reason) from None
    return value


def _absent(value: Any) -> bool:
    return value is None


Instant = Annotated[AwareDatetime, BeforeValidator(_rfc_3339), AfterValidator(_in_utc)]
Subject = Annotated[str, Field(min_length=1, max_length=SUBJECT_LENGTH), AfterValidator(_one_line)]
Body = Annotated[str, Field(min_length=1, max_length=BODY_LENGTH), AfterValidator(_without_nul)]
Html = Annotated[
    str,
    Field(min_length=1, max_length=HTML_LENGTH, description="The body once more, as HTML: for email and webhooks."),
    AfterValidator(_without_nul),
]
Address = Annotated[str, Field(min_length=1, max_length=ADDRESS_LENGTH), AfterValidator(_without_nul)]
Zone = Annotated[str, Field(max_length=64, examples=["Europe/Madrid"]), AfterValidator(_is_zone)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$", description="Lower case, digits, `.`, `_`, `-`.")]
AccountName = Annotated[str, Field(pattern=f"^{ACCOUNT_NAME}$", max_length=32, examples=["marketing"])]
Limit = Annotated[int, Field(ge=1, le=200)]
Cursor = Annotated[str | None, Field(min_length=1, max_length=500, description="`next` of the page before.")]


class Refusing(BaseModel):
    """What a caller sends: a field that we do not know is refused by its name."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Telling(BaseModel):
    """What we answer."""

    model_config = ConfigDict(from_attributes=True, frozen=True)


class RecipientIn(Refusing):
    """An address on a channel."""

    channel: Channel
    address: Address
    zone: Annotated[Zone | None, Field(description="Where the recipient lives: quiet hours go by that clock.")] = None
    account: Annotated[AccountName | None, Field(description="By which account of the channel it is sent.")] = None

    def recipient(self) -> Recipient:
        """Return the recipient that this names."""
        return Recipient(self.channel, self.address, self.zone, self.account)


Recipients = Annotated[list[RecipientIn], Field(min_length=1, max_length=RECIPIENTS), AfterValidator(_distinct)]


class WordsIn(Refusing):
    """What one channel says instead of the message's own words."""

    subject: Subject
    body: Body
    html: Html | None = None


class TemplateUse(Refusing):
    """A template, and what to put into its places."""

    name: Name
    version: Annotated[int | None, Field(ge=1, description="Absent: the newest.")] = None
    variables: Annotated[dict[str, JsonValue], Field(max_length=VARIABLES)] = {}


class ContentIn(Refusing):
    """What is said and to whom: words or a template, recipients or an audience or both."""

    template: TemplateUse | None = None
    audience: Annotated[
        Name | None, Field(description="Its members, as they are by now, are added to the recipients.")
    ] = None
    subject: Annotated[Subject | None, Field(validate_default=True)] = None
    body: Annotated[Body | None, Field(validate_default=True)] = None
    html: Html | None = None
    recipients: Annotated[Recipients | None, Field(validate_default=True)] = None
    variants: Annotated[
        dict[Channel, WordsIn], Field(description="By channel: what it says instead of `subject` and `body`.")
    ] = {}
    urgent: Annotated[bool, Field(description="Quiet hours do not hold it back.")] = False
    ordered: Annotated[
        bool, Field(description="Each address gets its ordered messages one after the other, by `send_at`.")
    ] = False
    attachments: Annotated[list[str], Field(max_length=ATTACHMENTS, description="Ids of attachments.")] = []

    @field_validator("subject", "body", mode="before")
    @classmethod
    def _said_once(cls, value: Any, info: ValidationInfo) -> Any:
        templated = info.data.get("template") is not None
        if value is None and not templated:
            raise PydanticCustomError("missing", "Field required")
        if value is not None and templated:
            raise ValueError("must be absent: the template says it")
        return value

    @field_validator("html")
    @classmethod
    def _html_said_once(cls, value: str | None, info: ValidationInfo) -> str | None:
        if value is not None and info.data.get("template") is not None:
            raise ValueError("must be absent: the template says it")
        return value

    @field_validator("recipients", mode="before")
    @classmethod
    def _goes_somewhere(cls, value: Any, info: ValidationInfo) -> Any:
        if value is None and info.data.get("audience") is None:
            raise PydanticCustomError("missing", "Field required")
        return value

    @model_validator(mode="after")
    def _variants_are_its_own(self) -> Self:
        if self.template is not None and self.variants:
            raise ValueError("variants must be absent: the template says them")
        return self


class MessageIn(ContentIn):
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

    send_at: Annotated[Instant | None, Field(description="Absent, null or past: the message is sent at once.")] = None
    expires_at: Annotated[Instant | None, Field(description="No attempt starts at or after it.")] = None

    @field_validator("expires_at")
    @classmethod
    def _has_time(cls, value: datetime | None, info: ValidationInfo) -> datetime | None:
        send_at = info.data.get("send_at")
        if value is not None and send_at is not None and value <= send_at:
            raise ValueError("must be after send_at")
        return value


class BatchIn(Refusing):
    """Many messages: all of them are taken, or none."""

    messages: Annotated[list[MessageIn], Field(min_length=1, max_length=BATCH)]


class DeliveryOut(Telling):
    """One message on its way to one address."""

    id: str
    channel: Channel
    address: str
    status: DeliveryStatus
    attempts: Annotated[int, Field(description="Attempts started, whatever became of them.")]
    last_error: Annotated[str | None, Field(description="Why the latest attempt that failed did so.")]
    account: Annotated[str | None, Field(exclude_if=_absent, description="By which account it is sent.")] = None


class ExpansionOut(Telling):
    """How far the deliveries of a message to many have been made."""

    made: Annotated[int, Field(description="Deliveries that there are.")]
    total: Annotated[int, Field(description="Deliveries that there will be, at most.")]
    done: Annotated[bool, Field(description="Whether every recipient has its delivery.")]


class MessageOut(Telling):
    """A message as it stands."""

    id: str
    status: MessageStatus
    send_at: datetime
    created_at: datetime
    deliveries: Annotated[
        tuple[DeliveryOut, ...], Field(description=f"The first {SHOWN:,}; `GET …/deliveries` tells of all of them.")
    ]
    expansion: Annotated[
        ExpansionOut | None, Field(exclude_if=_absent, description="Of a message whose deliveries are made by and by.")
    ] = None
    counts: Annotated[
        dict[DeliveryStatus, int] | None,
        Field(exclude_if=_absent, description="With `expansion`, when one message is asked for: deliveries by status."),
    ] = None
    expires_at: Annotated[datetime | None, Field(exclude_if=_absent)] = None
    template: Annotated[str | None, Field(exclude_if=_absent, description="`name@version`.")] = None
    schedule_id: Annotated[str | None, Field(exclude_if=_absent)] = None


class BatchOut(Telling):
    """The messages of a batch, in the order in which they were sent in."""

    items: tuple[MessageOut, ...]


class MessagePage(Telling):
    """Some messages, newest first."""

    items: tuple[MessageOut, ...]
    next: Annotated[str | None, Field(description="The `cursor` of the next page; null: this is the last.")]


class DeliveryPage(Telling):
    """Some deliveries of a message, in the order of its recipients."""

    items: tuple[DeliveryOut, ...]
    next: Annotated[str | None, Field(description="The `cursor` of the next page; null: this is the last.")]


class PageQuery(Refusing):
    """Which page of a list."""

    limit: Limit = 50
    cursor: Cursor = None


class NameQuery(Refusing):
    """Which page of a list by name."""

    limit: Limit = 50
    cursor: Annotated[str, Field(max_length=64, description="`next` of the page before.")] = ""


class DeliveryQuery(PageQuery):
    """Which deliveries of a message to list."""

    limit: Annotated[int, Field(ge=1, le=1000)] = 50
    status: DeliveryStatus | None = None
    channel: Channel | None = None


class ListQuery(PageQuery):
    """Which messages to list."""

    status: MessageStatus | None = None
    channel: Channel | None = None
    schedule: Annotated[str | None, Field(max_length=36, description="Id of the schedule that they came of.")] = None
    created_from: Instant | None = None
    created_before: Instant | None = None

    def filter(self) -> MessageFilter:
        """Return what is wanted."""
        return MessageFilter(
            status=self.status,
            channel=self.channel,
            schedule_id=self.schedule,
            created_from=self.created_from,
            created_before=self.created_before,
        )


class ChannelLimitsOut(Telling):
    """What bounds a channel: the sizes are its provider's, the rest is set by `PUT /v1/channels/{channel}/limits`."""

    characters: Annotated[int | None, Field(description="Of subject and body together; null: as many as there are.")]
    attached_bytes: Annotated[int, Field(description="Of all attachments together; 0: it carries none.")]
    media_types: Annotated[tuple[str, ...], Field(description="Of attachments; empty: any.")]
    html: bool
    rate_per_s: float | None = None
    concurrency: int | None = None
    daily_quota: int | None = None
    used_today: Annotated[int, Field(description="Of the quota; a day is one of UTC.")] = 0


class ChannelOut(Telling):
    """A channel, or an account of it with a name, and whether it can be used here."""

    name: Channel
    account: Annotated[str | None, Field(description="Null: the one without a name.")] = None
    configured: bool
    limits: ChannelLimitsOut
    healthy: Annotated[bool, Field(description="Whether the channel's server answers; false if not configured.")]
    circuit: Annotated[
        Circuit, Field(description="`open`: deliveries wait until `paused_until`; `half_open`: one of them tries.")
    ] = Circuit.CLOSED
    paused_until: datetime | None = None
    last_error: Annotated[str | None, Field(description="The latest failure that was not the message's own.")] = None
    last_error_at: datetime | None = None
    last_success_at: datetime | None = None
    proven: Annotated[
        str | None, Field(description="What the latest `omnichannel channels test` reached: `emulator` or `live`.")
    ] = None
    proven_at: datetime | None = None


class ChannelList(Telling):
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
