"""The channels that one process can use, built from its settings, and how they stand."""

import asyncio
import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from omnichannel.channels.adapter import Adapter
from omnichannel.channels.breaker import Account, Circuit, circuit
from omnichannel.channels.credentials import Credentials
from omnichannel.channels.guard import AccountBook, Guard
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
    circuit: Circuit = Circuit.CLOSED  # open: deliveries wait until paused_until
    paused_until: datetime | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None
    last_success_at: datetime | None = None
    proven: str | None = None  # emulator, live; None: no test has reached it yet
    proven_at: datetime | None = None


class Channels:
    """The channels of one process; those without an adapter are not configured."""

    def __init__(
        self,
        adapters: Mapping[Channel, Adapter],
        *,
        known: Sequence[Channel] = tuple(Channel),
        guard: Guard | None = None,
    ) -> None:
        self._adapters, self._known, self._guard = dict(adapters), known, guard
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
        if self._guard is None:
            return await adapter.send(claim)
        return await self._guard.send(claim.channel, lambda: adapter.send(claim))

    def endpoint(self, channel: Channel) -> str:
        """Return the URL of the channel's provider; empty where each address is a server of its own, or none is set."""
        adapter = self._adapters.get(channel)
        return "" if adapter is None else adapter.endpoint

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
        account = Account() if self._guard is None else (await self._guard.accounts()).get(channel, Account())
        asked_at, healthy = self._health.get(channel, (float("-inf"), False))
        if time.monotonic() - asked_at >= HEALTH_FRESH_S:
            healthy = await adapter.healthy()
            self._health[channel] = (time.monotonic(), healthy)
        now = datetime.now(UTC)
        paused = account.paused_until is not None and account.paused_until > now
        return ChannelState(
            name=channel,
            configured=True,
            healthy=healthy,
            circuit=circuit(account, now=now),
            paused_until=account.paused_until if paused else None,
            last_error=account.last_error,
            last_error_at=account.last_error_at,
            last_success_at=account.last_success_at,
            proven=account.proven,
            proven_at=account.proven_at,
        )


def configured_channels(
    settings: Settings, credentials: Credentials | None = None, *, book: AccountBook | None = None
) -> Channels:
    """Return the channels that settings and environment configure. Opens nothing yet.

    ``book`` keeps how their accounts fare, for all workers; without it each attempt is made.

    :raises SettingsInvalid: one is configured wrongly.
    """
    known = kinds()
    credentials = credentials or Credentials(os.environ)
    adapters: dict[Channel, Adapter] = {}
    for channel, kind in known.items():
        adapter = kind.build(settings, credentials)
        if adapter is not None:
            adapters[channel] = adapter
    watched = frozenset(channel for channel, kind in known.items() if kind.one_account)
    guard = None if book is None else Guard(book, watched=watched)
    return Channels(adapters, known=tuple(known), guard=guard)
