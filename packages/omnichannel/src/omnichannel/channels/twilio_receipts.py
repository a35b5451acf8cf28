"""What Twilio tells later of a message: its status callback, and the signature that shows that Twilio sent it.

Sources: Twilio, "Outbound message status in status callbacks" and "Validating requests are coming from Twilio": the
signature is the HMAC-SHA1, keyed with the account's token, of the URL followed by each parameter's name and value in
the order of the names.
"""

import base64
import hmac
from collections.abc import Mapping
from typing import Final

from omnichannel.channels.receipt import Receipt
from omnichannel.messages.lifecycle import Event

__all__ = ["is_signed", "parse_receipt"]

EVENTS: Final[Mapping[str, Event]] = {
    "delivered": Event.DELIVERED,
    "read": Event.DELIVERED,
    "undelivered": Event.BOUNCED,
    "failed": Event.BOUNCED,
}
"""By MessageStatus. The others (queued, sending, sent …) say nothing of the end."""


def is_signed(signature: str, *, url: str, form: Mapping[str, str], token: str) -> bool:
    """Return whether a form comes from who holds the token; ``url`` is the one that Twilio was given."""
    signed = url + "".join(f"{name}{form[name]}" for name in sorted(form))
    expected = base64.b64encode(hmac.digest(token.encode(), signed.encode(), "sha1")).decode()
    return hmac.compare_digest(expected.encode(), signature.encode())


def parse_receipt(form: Mapping[str, str]) -> Receipt | None:
    """Return what a status callback says, None if it says nothing of the end."""
    event = EVENTS.get(form.get("MessageStatus", ""))
    sid = form.get("MessageSid", "")
    if event is None or not sid:
        return None
    words = None
    if event is Event.BOUNCED:
        code = form.get("ErrorCode", "")[:10]
        words = f"Twilio could not deliver it{f', error {code}' if code else ''}"
    return Receipt(sid, event, words)
