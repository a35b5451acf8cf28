"""What a provider tells later of a message that it has taken."""

from dataclasses import dataclass

from omnichannel.messages.lifecycle import Event

__all__ = ["Receipt"]


@dataclass(frozen=True, slots=True)
class Receipt:
    """What became of a message; it comes late, twice, out of order or for a message of somebody else's."""

    provider_id: str
    event: Event | None  # None: nothing new of the delivery itself
    words: str | None = None  # the provider's, where it did not arrive
    suppress: bool = False  # nothing more is to be sent to the address
