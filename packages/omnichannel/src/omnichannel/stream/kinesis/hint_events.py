"""A hint as an event on the wire: CloudEvents 1.0 in its JSON form, one delivery id each.

(source, id) is the key by which others on the stream tell a repetition; ``subject`` is the delivery's id, and ``time``
is when it was rung. Beside them stand the W3C trace context and the request id of the message, as extensions, for
others who read the stream: a worker finds the same ones with what it claims.
"""

import json
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from omnichannel.database.rows import from_ms, to_ms
from omnichannel.messages.ids import is_id
from omnichannel.messages.model import Trace

__all__ = ["Hint", "NoHint", "pack", "parse"]

SOURCE: Final = "/omnichannel"
TYPE: Final = "omnichannel.delivery.due"


class NoHint(ValueError):
    """A record that is no hint; the text says why."""


@dataclass(frozen=True, slots=True)
class Hint:
    """A delivery that is due, and when that was rung, in milliseconds since 1970.

    Its trace is told, and not read: what a hint says counts only as far as the database says the same.
    """

    delivery_id: str
    rung_ms: int
    trace: Trace = field(default=Trace(), compare=False)


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
    if hint.trace.traceparent is not None:
        event["traceparent"] = hint.trace.traceparent  # CloudEvents' extension for distributed tracing
    if hint.trace.request_id is not None:
        event["requestid"] = hint.trace.request_id
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
