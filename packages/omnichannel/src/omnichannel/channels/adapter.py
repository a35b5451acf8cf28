"""What every channel offers: one way to judge an address, one way to send, one way to tell its state."""

from typing import Protocol

from omnichannel.channels.rendered import Rendered
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import Outcome

__all__ = ["Adapter", "InvalidAddress"]


class InvalidAddress(ValueError):
    """A channel does not take this address; ``reason`` is a clause for the person who wrote it."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(address, reason)
        self.address, self.reason = address, reason

    def __str__(self) -> str:
        return f"{self.address!r} {self.reason}"


class Adapter(Protocol):
    """One channel, configured. Many tasks use it at once; nothing is opened before the first use."""

    @property
    def endpoint(self) -> str:
        """The URL of the provider; empty where each address is a server of its own."""
        ...

    async def check_address(self, address: str) -> None:
        """Return if a delivery to this address may be tried. Raises InvalidAddress. Bounded in time."""
        ...

    def render(self, subject: str, body: str) -> Rendered:
        """Return what this channel makes of a message, and say what it has to cut. Pure; raises nothing."""
        ...

    async def send(self, claim: Claim) -> Outcome:
        """Try the delivery once and return how that ended. Bounded in time; raises nothing.

        The delivery's id goes along, by which a receiver can tell a second try from a second message.
        """
        ...

    async def healthy(self) -> bool:
        """Return whether a delivery tried now would at least find its server. Bounded in time; raises nothing."""
        ...

    async def close(self) -> None:
        """Close what the channel holds open."""
        ...
