"""The channels that one process can use, built from its settings, and how they stand."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from omnichannel.channels.adapter import Adapter
from omnichannel.channels.credentials import Credentials
from omnichannel.channels.kinds import kinds
from omnichannel.channels.rendered import Rendered
from omnichannel.messages.model import Channel, Claim, Recipient
from omnichannel.messages.outcome import Outcome, TransientFailure
from omnichannel.settings import Settings

__all__ = ["ChannelState", "ChannelUnconfigured", "Channels", "configured_channels"]

HEALTH_FRESH_S: Final = 5.0  # a channel's server is asked at most this often


class ChannelUnconfigured(Exception):
    """Nothing is set by which this channel could send."""

    def __init__(self, channel: Channel) -> None:
        super().__init__(channel)
        self.channel = channel

    def __str__(self) -> str:
        return f"the channel {self.channel} is not configured on this platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """A channel as it is told to callers."""

    name: Channel
    configured: bool
    healthy: bool  # False where nothing is configured


class Channels:
    """The channels of one process; those without an adapter are not configured."""

    def __init__(self, adapters: Mapping[Channel, Adapter], *, known: Sequence[Channel] = tuple(Channel)) -> None:
        self._adapters, self._known = dict(adapters), known
        self._health: dict[Channel, tuple[float, bool]] = {}
        self._asking = asyncio.Lock()

    async def check_recipient(self, recipient: Recipient) -> None:
        """Return if a delivery to this recipient may be tried. Raises ChannelUnconfigured, InvalidAddress."""
        adapter = self._adapters.get(recipient.channel)
        if adapter is None:
            raise ChannelUnconfigured(recipient.channel)
        await adapter.check_address(recipient.address)

    async def send(self, claim: Claim) -> Outcome:
        """Try a delivery once and return how that ended."""
        adapter = self._adapters.get(claim.channel)
        if adapter is None:  # taken while it was configured, or by an api that is configured otherwise
            return TransientFailure(str(ChannelUnconfigured(claim.channel)))
        return await adapter.send(claim)

    def render(self, channel: Channel, subject: str, body: str) -> Rendered:
        """Return what a channel makes of a message. Raises ChannelUnconfigured."""
        adapter = self._adapters.get(channel)
        if adapter is None:
            raise ChannelUnconfigured(channel)
        return adapter.render(subject, body)

    async def states(self) -> tuple[ChannelState, ...]:
        """Return every channel there is, configured or not."""
        async with self._asking:
            return tuple(await asyncio.gather(*(self._state(channel) for channel in self._known)))

    async def close(self) -> None:
        """Close what the channels hold open."""
        for adapter in self._adapters.values():
            await adapter.close()

    async def _state(self, channel: Channel) -> ChannelState:
        adapter = self._adapters.get(channel)
        if adapter is None:
            return ChannelState(name=channel, configured=False, healthy=False)
        asked_at, healthy = self._health.get(channel, (float("-inf"), False))
        if time.monotonic() - asked_at >= HEALTH_FRESH_S:
            healthy = await adapter.healthy()
            self._health[channel] = (time.monotonic(), healthy)
        return ChannelState(name=channel, configured=True, healthy=healthy)


def configured_channels(settings: Settings, credentials: Credentials | None = None) -> Channels:
    """Return the channels that settings and environment configure. Opens nothing yet.

    :raises SettingsInvalid: one is configured wrongly.
    """
    known = kinds()
    credentials = credentials or Credentials(os.environ)
    adapters: dict[Channel, Adapter] = {}
    for channel, kind in known.items():
        adapter = kind.build(settings, credentials)
        if adapter is not None:
            adapters[channel] = adapter
    return Channels(adapters, known=tuple(known))
