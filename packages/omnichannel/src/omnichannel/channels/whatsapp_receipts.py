"""What WhatsApp tells later of a message: its webhook, and what shows that Meta sent it.

Sources: WhatsApp Cloud API, "Webhooks", section "statuses"; Graph API, "Webhooks: Getting started", sections
"Verification requests" and "Validating payloads": the header holds the HMAC-SHA256 of the body, keyed with the app's
secret.
"""

import hmac
import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from omnichannel.channels.receipt import Receipt
from omnichannel.channels.words import excerpt
from omnichannel.messages.lifecycle import Event

__all__ = ["is_signed", "parse_statuses"]

EVENTS: Final[Mapping[str, Event]] = {
    "delivered": Event.DELIVERED,
    "read": Event.DELIVERED,
    "failed": Event.BOUNCED,
}
"""By status. ``sent`` says nothing of the end."""

NEVER_AGAIN: Final = frozenset({131026, 131050})  # no number of WhatsApp's; the person has opted out


def is_signed(signature: str, *, body: bytes, secret: str) -> bool:
    """Return whether a body comes from who holds the app's secret."""
    expected = "sha256=" + hmac.digest(secret.encode(), body, "sha256").hex()
    return hmac.compare_digest(expected.encode(), signature.encode())


def parse_statuses(body: bytes) -> tuple[Receipt, ...]:
    """Return what a webhook says of the ends of messages; nothing if it is something else."""
    try:
        return tuple(_receipts(json.loads(body)))
    except (ValueError, RecursionError):
        return ()


def _receipts(body: Any) -> Iterator[Receipt]:
    for entry in _list(body, "entry"):
        for change in _list(entry, "changes"):
            for status in _list(change.get("value") if isinstance(change, dict) else None, "statuses"):
                receipt = _receipt(status) if isinstance(status, dict) else None
                if receipt is not None:
                    yield receipt


def _receipt(status: Mapping[str, Any]) -> Receipt | None:
    name, provider_id = status.get("status"), status.get("id")
    event = EVENTS.get(name) if isinstance(name, str) else None
    if event is None or not isinstance(provider_id, str) or not provider_id:
        return None
    if event is not Event.BOUNCED:
        return Receipt(provider_id, event)
    error = next((each for each in _list(status, "errors") if isinstance(each, dict)), {})
    code, title = error.get("code"), error.get("title") or error.get("message")
    words = f"WhatsApp could not deliver it, error {code}: {excerpt(str(title or ''))}".rstrip(": ")
    return Receipt(provider_id, event, words, suppress=isinstance(code, int) and code in NEVER_AGAIN)


def _list(body: Any, name: str) -> list[Any]:
    found = body.get(name) if isinstance(body, dict) else None
    return found if isinstance(found, list) else []
