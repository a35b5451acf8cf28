"""A hint as an event on the wire: CloudEvents 1.0 in its JSON form, one delivery id each.

(source, id) is the key by which others on the stream tell a repetition; ``subject`` is the delivery's id, and ``time``
is when it was rung.
"""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from omnichannel.database.rows import from_ms, to_ms
from omnichannel.messages.ids import is_id

__all__ = ["Hint", "NoHint", "pack", "parse"]

SOURCE: Final = "/omnichannel"
TYPE: Final = "omnichannel.delivery.due"


class NoHint(ValueError):
    """A record that is no hint; the text says why."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A delivery that is due, and when that was rung, in milliseconds since 1970."""

    delivery_id: str
    rung_ms: int


def pack(hint: Hint) -> bytes:
    """Return the event of a hint."""
    event = {
        "specversion": "1.0",
        "id": f"{hint.delivery_id}.{hint.rung_ms}",
        "source": SOURCE,
        "type": TYPE,
        "subject": hint.delivery_id,
        "time": from_ms(hint.rung_ms).isoformat(),
    }
    return json.dumps(event, separators=(",", ":")).encode()


def parse(data: bytes) -> Hint:
    """Return the hint that an event is. Raises NoHint."""
    try:
        event = json.loads(data)
    except (ValueError, RecursionError):  # the second for brackets in brackets, without end
        raise NoHint("not JSON") from None
    if not isinstance(event, dict) or event.get("type") != TYPE:
        raise NoHint(f"no event of the type {TYPE}")
    subject, time = event.get("subject"), event.get("time")
    if not isinstance(subject, str) or not is_id(subject):
        raise NoHint("its subject is no delivery id")
    try:
        return Hint(subject, to_ms(datetime.fromisoformat(str(time))))
    except (TypeError, ValueError):
        raise NoHint("its time is no instant") from None
