"""The channels that one process can use, built from its settings, and how they stand.

A channel has an account without a name, and any number with one: each is an adapter of its own, known as ``sms`` or
``sms:marketing``.
"""

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
from omnichannel.messages.model import Channel, Claim, Recipient, via
from omnichannel.messages.outcome import Outcome, TransientFailure
from omnichannel.settings import Settings, SettingsInvalid

__all__ = ["ChannelState", "ChannelUnconfigured", "Channels", "configured_channels"]

HEALTH_FRESH_S: Final = 5.0  # a channel's server is asked at most this often
NAME_LENGTH: Final = 32  # of channel and account together, as the database keeps them


class ChannelUnconfigured(Exception):
    """Nothing is set by which this account of a channel could send; ``others`` are accounts that could."""

    def __init__(self, channel: Channel, account: str | None = None, others: Sequence[str] = ()) -> None:
        super().__init__(channel, account, others)
        self.channel, self.account, self.others = channel, account, tuple(others)

    def __str__(self) -> str:
        if self.account is not None:
            known = f"; there are {', '.join(self.others)}" if self.others else ""
            return f"the channel {self.channel} has no account {self.account!r} on this platform{known}"
        if self.others:
            return f"the channel {self.channel} needs an account to be named: {', '.join(self.others)}"
        return f"the channel {self.channel} is not configured on this platform"


@dataclass(frozen=True, slots=True, kw_only=True)
class ChannelState:
    """An account of a channel as it is told to callers."""

    name: Channel
    configured: bool
    healthy: bool  # False where nothing is configured
    account: str | None = None  # None: the one without a name
    circuit: Circuit = Circuit.CLOSED  # open: deliveries wait until paused_until
    paused_until: datetime | None = None
    last_error: str | None = None
    last_error_at: datetime | None = None
    last_success_at: datetime | None = None
    proven: str | None = None  # emulator, live; None: no test has reached it yet
    proven_at: datetime | None = None

    @property
    def via(self) -> str:
        """The channel, and the account on it."""
        return via(self.name, self.account)


class Channels:
    """The accounts of one process by ``via``; a channel without an adapter is not configured."""

    def __init__(
        self,
        adapters: Mapping[str, Adapter],
        *,
        known: Sequence[Channel] = tuple(Channel),
        guard: Guard | None = None,
    ) -> None:
        self._adapters, self._known, self._guard = dict(adapters), known, guard
        self._health: dict[str, tuple[float, bool]] = {}
        self._asking = asyncio.Lock()

    async def check_recipient(self, recipient: Recipient) -> None:
        """Return if a delivery to this recipient may be tried. Raises ChannelUnconfigured, InvalidAddress."""
        await self._find(recipient.channel, recipient.account).check_address(recipient.address)

    async def send(self, claim: Claim) -> Outcome:
        """Try a delivery once and return how that ended."""
        try:
            adapter = self._find(claim.channel, claim.account)
        except ChannelUnconfigured as exc:  # taken while it was configured, or by an api that is configured otherwise
            return TransientFailure(str(exc))
        if self._guard is None:
            return await adapter.send(claim)
        return await self._guard.send(claim.via, lambda: adapter.send(claim))

    def endpoint(self, channel: Channel, account: str | None = None) -> str:
        """Return the URL of the channel's provider; empty where each address is a server of its own, or none is set."""
        adapter = self._adapters.get(via(channel, account))
        return "" if adapter is None else adapter.endpoint

    def render(self, channel: Channel, subject: str, body: str, *, account: str | None = None) -> Rendered:
        """Return what a channel makes of a message. Raises ChannelUnconfigured."""
        return self._find(channel, account).render(subject, body)

    async def states(self) -> tuple[ChannelState, ...]:
        """Return every channel there is, configured or not, each followed by its accounts with names."""
        accounts = [(channel, name) for channel in self._known for name in (None, *self._named(channel))]
        async with self._asking:
            return tuple(await asyncio.gather(*(self._state(*each) for each in accounts)))

    async def close(self) -> None:
        """Close what the channels hold open."""
        for adapter in self._adapters.values():
            await adapter.close()

    def _find(self, channel: Channel, account: str | None) -> Adapter:
        adapter = self._adapters.get(via(channel, account))
        if adapter is None:
            raise ChannelUnconfigured(channel, account, self._named(channel))
        return adapter

    def _named(self, channel: Channel) -> list[str]:
        start = f"{channel.value}:"
        return sorted(each.removeprefix(start) for each in self._adapters if each.startswith(start))

    async def _state(self, channel: Channel, name: str | None) -> ChannelState:
        adapter, own = self._adapters.get(via(channel, name)), via(channel, name)
        if adapter is None:
            return ChannelState(name=channel, account=name, configured=False, healthy=False)
        account = Account() if self._guard is None else (await self._guard.accounts()).get(own, Account())
        asked_at, healthy = self._health.get(own, (float("-inf"), False))
        if time.monotonic() - asked_at >= HEALTH_FRESH_S:
            healthy = await adapter.healthy()
            self._health[own] = (time.monotonic(), healthy)
        now = datetime.now(UTC)
        paused = account.paused_until is not None and account.paused_until > now
        return ChannelState(
            name=channel,
            account=name,
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
    adapters: dict[str, Adapter] = {}
    watched: set[str] = set()
    for channel, kind in known.items():
        for name in (None, *credentials.accounts(channel.value)):
            adapter = kind.build(settings, credentials if name is None else credentials.of_account(kind.name, name))
            own = via(channel, name)
            if name is not None and (adapter is None or not kind.one_account or len(own) > NAME_LENGTH):
                raise SettingsInvalid((_wrong(channel, name, credentials, one_account=kind.one_account),))
            if adapter is not None:
                adapters[own] = adapter
                watched |= {own} if kind.one_account else set()
    guard = None if book is None else Guard(book, watched=watched)
    return Channels(adapters, known=tuple(known), guard=guard)


def _wrong(channel: Channel, name: str, credentials: Credentials, *, one_account: bool) -> str:
    variables = credentials.of_account(channel.value, name).named("*")
    if not one_account:
        return f"{variables}: the channel {channel} has no accounts"
    if len(via(channel, name)) > NAME_LENGTH:
        return f"{variables}: the names of channel and account must not be longer than {NAME_LENGTH - 1} together"
    return f"{variables}: lack what the channel {channel} needs; an account takes nothing from another"
