"""The states of a delivery and of a message: which moves are legal, what is final, what a message's status is.

::

    scheduled -> queued -> sending -> accepted -> delivered
        ^          |  ^       |
        +----------+  +-- retry_wait

A queued delivery that must not leave yet (quiet hours, a rate) is deferred: it is scheduled again.
Side exits: unknown, dead, suppressed, expired, cancelled, and late bounced. Only somebody who asks for it by name, by a
retry or a replay, brings a delivery that is dead or unknown back to the queue.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

from omnichannel.messages.model import DeliveryStatus, MessageStatus

__all__ = [
    "ARRIVED",
    "NEXT",
    "OPEN",
    "REPLAYABLE",
    "UNCLAIMED",
    "Event",
    "IllegalMove",
    "diagram",
    "message_status",
    "move",
]


class Event(StrEnum):
    """What can happen to a delivery."""

    DISPATCHED = "dispatched"  # its time has come
    CLAIMED = "claimed"  # a worker took it
    ACCEPTED = "accepted"
    DELIVERED = "delivered"
    POSTPONED = "postponed"  # the attempt failed, another will follow
    REFUSED = "refused"  # the attempt failed, none will follow
    LOST = "lost"  # no answer came, and a repetition could deliver twice
    SUPPRESSED = "suppressed"
    EXPIRED = "expired"
    CANCELLED = "cancelled"
    BOUNCED = "bounced"
    DEFERRED = "deferred"  # due, but its channel's limits put it off
    REPLAYED = "replayed"  # somebody asked for another series of attempts


_S = DeliveryStatus

NEXT: Final[Mapping[tuple[DeliveryStatus, Event], DeliveryStatus]] = {
    (_S.SCHEDULED, Event.DISPATCHED): _S.QUEUED,
    (_S.SCHEDULED, Event.SUPPRESSED): _S.SUPPRESSED,
    (_S.SCHEDULED, Event.EXPIRED): _S.EXPIRED,
    (_S.SCHEDULED, Event.CANCELLED): _S.CANCELLED,
    (_S.QUEUED, Event.CLAIMED): _S.SENDING,
    (_S.QUEUED, Event.DEFERRED): _S.SCHEDULED,
    (_S.QUEUED, Event.SUPPRESSED): _S.SUPPRESSED,
    (_S.QUEUED, Event.EXPIRED): _S.EXPIRED,
    (_S.QUEUED, Event.CANCELLED): _S.CANCELLED,
    (_S.SENDING, Event.ACCEPTED): _S.ACCEPTED,
    (_S.SENDING, Event.DELIVERED): _S.DELIVERED,
    (_S.SENDING, Event.POSTPONED): _S.RETRY_WAIT,
    (_S.SENDING, Event.REFUSED): _S.DEAD,
    (_S.SENDING, Event.LOST): _S.UNKNOWN,
    (_S.RETRY_WAIT, Event.DISPATCHED): _S.QUEUED,
    (_S.RETRY_WAIT, Event.SUPPRESSED): _S.SUPPRESSED,
    (_S.RETRY_WAIT, Event.EXPIRED): _S.EXPIRED,
    (_S.RETRY_WAIT, Event.CANCELLED): _S.CANCELLED,
    (_S.DEAD, Event.REPLAYED): _S.QUEUED,
    (_S.UNKNOWN, Event.REPLAYED): _S.QUEUED,
    (_S.ACCEPTED, Event.DELIVERED): _S.DELIVERED,  # told later, by the channel's own event
    (_S.ACCEPTED, Event.BOUNCED): _S.BOUNCED,
    (_S.DELIVERED, Event.BOUNCED): _S.BOUNCED,
}

UNCLAIMED: Final = frozenset({_S.SCHEDULED, _S.QUEUED, _S.RETRY_WAIT})
"""No worker holds it: it can still be cancelled."""

OPEN: Final = UNCLAIMED | {_S.SENDING}
"""Something is still to be done. The other states are final, as far as a message's status goes."""

REPLAYABLE: Final = frozenset(status for status, event in NEXT if event is Event.REPLAYED)
"""It has failed, and may be sent again by whoever asks for that."""

ARRIVED: Final = frozenset({_S.ACCEPTED, _S.DELIVERED})
"""The channel took it."""


class IllegalMove(ValueError):
    """An event that cannot happen to a delivery in this state."""

    def __init__(self, status: DeliveryStatus, event: Event) -> None:
        super().__init__(status, event)
        self.status, self.event = status, event

    def __str__(self) -> str:
        return f"a delivery that is {self.status} cannot be {self.event}"


def move(status: DeliveryStatus, event: Event) -> DeliveryStatus:
    """Return the state after an event. Raises IllegalMove."""
    try:
        return NEXT[status, event]
    except KeyError:
        raise IllegalMove(status, event) from None


def diagram() -> str:
    """Return the legal moves as a diagram in Mermaid's words, as the documentation shows them."""
    moves = [f"    {before} --> {after}: {event}" for (before, event), after in NEXT.items()]
    first = f"    [*] --> {DeliveryStatus.SCHEDULED}: for later", f"    [*] --> {DeliveryStatus.QUEUED}: for now"
    return "\n".join(["stateDiagram-v2", *first, *moves])


def message_status(deliveries: Mapping[DeliveryStatus, int]) -> MessageStatus:
    """Return what a message with so many deliveries in each state is. Raises ValueError for none at all.

    Cancelled deliveries have no say while there are others.
    """
    found = {status for status, count in deliveries.items() if count}
    if not found:
        raise ValueError("a message has at least one delivery")
    counted = found - {_S.CANCELLED}
    if not counted:
        return MessageStatus.CANCELLED
    if counted & OPEN:
        return MessageStatus.SCHEDULED if counted == {_S.SCHEDULED} else MessageStatus.IN_PROGRESS
    if found <= ARRIVED:
        return MessageStatus.COMPLETED
    return MessageStatus.PARTIALLY_FAILED if found & ARRIVED else MessageStatus.FAILED
