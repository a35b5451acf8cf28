"""What Amazon tells later of an email or a text message, by a topic of SNS.

Sources: Amazon SES developer guide, "Contents of event data that Amazon SES publishes to Amazon SNS" (``eventType``)
and "Amazon SNS notification contents" (``notificationType``); Amazon SNS developer guide, "Monitoring SMS activity"
(the record of a delivery, which a subscription of its log group can pass on to a topic).
"""

from collections.abc import Mapping
from typing import Any, Final

from omnichannel.channels.receipt import Receipt
from omnichannel.channels.words import excerpt
from omnichannel.messages.lifecycle import Event
from omnichannel.messages.model import Channel

__all__ = ["parse_aws"]

FOR_GOOD: Final = "Permanent"  # a bounce: the mailbox is not there
SMS: Final[Mapping[str, Event]] = {"SUCCESS": Event.DELIVERED, "FAILURE": Event.BOUNCED}


def parse_aws(body: Mapping[str, Any]) -> tuple[Channel, Receipt] | None:
    """Return what a message of a topic says of a delivery, None if it says nothing of the end of one."""
    if "notification" in body:
        return _sms(body)
    provider_id = _text(_part(body, "mail"), "messageId")
    if not provider_id:
        return None
    match body.get("eventType", body.get("notificationType")):
        case "Delivery":
            return Channel.EMAIL, Receipt(provider_id, Event.DELIVERED)
        case "Bounce":
            return Channel.EMAIL, _bounce(provider_id, _part(body, "bounce"))
        case "Complaint":
            kind = _text(_part(body, "complaint"), "complaintFeedbackType") or "no kind given"
            return Channel.EMAIL, Receipt(provider_id, None, f"its reader complained to SES: {kind}", suppress=True)
        case "Reject":
            reason = _text(_part(body, "reject"), "reason")
            return Channel.EMAIL, Receipt(provider_id, Event.BOUNCED, f"SES rejected it: {reason}")
    return None  # Send, Open, Click, DeliveryDelay …: not the end


def _bounce(provider_id: str, bounce: Mapping[str, Any]) -> Receipt:
    kind, subkind = _text(bounce, "bounceType"), _text(bounce, "bounceSubType")
    recipients = bounce.get("bouncedRecipients")
    first = recipients[0] if isinstance(recipients, list) and recipients else {}
    said = _text(first, "diagnosticCode") if isinstance(first, dict) else ""
    words = f"SES told of a bounce, {kind}/{subkind}{f': {said}' if said else ''}"
    return Receipt(provider_id, Event.BOUNCED, words, suppress=kind == FOR_GOOD)


def _sms(body: Mapping[str, Any]) -> tuple[Channel, Receipt] | None:
    provider_id = _text(_part(body, "notification"), "messageId")
    event = SMS.get(_text(body, "status"))
    if not provider_id or event is None:
        return None
    said = _text(_part(body, "delivery"), "providerResponse")
    words = f"SNS could not deliver it: {said}" if event is Event.BOUNCED else None
    return Channel.SMS, Receipt(provider_id, event, words)


def _part(body: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    found = body.get(name)
    return found if isinstance(found, dict) else {}


def _text(body: Mapping[str, Any], name: str) -> str:
    found = body.get(name)
    return excerpt(found) if isinstance(found, str) else ""
