"""The message of a schedule's occurrence, from the content that the schedule keeps as JSON."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from omnichannel.messages.model import Channel, InvalidMessage, Members, NewMessage, Recipient, Variant

__all__ = ["content_of", "message_of"]


def content_of(
    message: NewMessage, *, audience: str | None, own: Sequence[Recipient], expires_after_s: float | None
) -> dict[str, Any]:
    """Return a message as JSON can hold it: its words are kept as they are, its audience by name."""
    return {
        "subject": message.subject,
        "body": message.body,
        "html": message.html,
        "recipients": [
            {"channel": to.channel.value, "address": to.address, "zone": to.zone, "account": to.account} for to in own
        ],
        "audience": audience,
        "urgent": message.urgent,
        "ordered": message.ordered,
        "expires_after_s": expires_after_s,
        "template": message.template,
        "attachments": list(message.attachments),
        "variants": [
            {"channel": each.channel.value, "subject": each.subject, "body": each.body, "html": each.html}
            for each in message.variants
        ],
    }


def message_of(
    content: Mapping[str, Any],
    *,
    members: Sequence[Recipient],
    schedule_id: str,
    nominal: datetime,
    later: Members | None = None,
) -> NewMessage:
    """Return the message of one occurrence, to ``members`` at once and to those of ``later`` by and by.

    Raises InvalidMessage: its audience has become empty.
    """
    own = [
        Recipient(Channel(to["channel"]), to["address"], to["zone"], to.get("account")) for to in content["recipients"]
    ]
    recipients = {(each.channel, each.address): each for each in [*own, *members]}
    if not recipients and later is None:
        raise InvalidMessage("the audience has no members")
    after_s = content["expires_after_s"]
    return NewMessage(
        subject=content["subject"],
        body=content["body"],
        recipients=tuple(recipients.values()),
        send_at=nominal,
        expires_at=None if after_s is None else nominal + timedelta(seconds=after_s),
        urgent=content["urgent"],
        ordered=content["ordered"],
        template=content["template"],
        attachments=tuple(content["attachments"]),
        variants=tuple(
            Variant(Channel(each["channel"]), each["subject"], each["body"], each.get("html"))
            for each in content["variants"]
        ),
        schedule_id=schedule_id,
        members=later,
        html=content.get("html"),  # absent in what was kept before there was any
    )
