"""``omnichannel channels test``: one real message, sent from here, and what the provider answered."""

import asyncio
import ipaddress
import re
import socket
from datetime import UTC, datetime
from typing import Final
from urllib.parse import urlsplit

from omnichannel.channels import ChannelUnconfigured, InvalidAddress, configured_channels
from omnichannel.channels.kinds import kinds
from omnichannel.cli.errors import TestFailed
from omnichannel.database.accounts import Accounts
from omnichannel.database.engine import Database
from omnichannel.messages.ids import new_id
from omnichannel.messages.model import Channel, Claim, Recipient, via
from omnichannel.messages.outcome import Accepted, Delivered, Outcome
from omnichannel.settings import Settings

__all__ = ["proof", "send_test"]

SUBJECT: Final = "Omnichannel test"
BODY: Final = "This message was sent by `omnichannel channels test`: the channel works."
HOST: Final = re.compile(r"^(?:https?|smtps?)://")


async def send_test(settings: Settings, database: Database, *, name: str, to: str, account: str | None = None) -> str:
    """Send one message on a channel and return what the provider answered. Raises TestFailed.

    What it reached is kept and shown by ``GET /v1/channels``.
    """
    try:
        channel = next(known for known in kinds() if known.value == name)
    except StopIteration:
        raise TestFailed(f"there is no channel {name}; there are {', '.join(kinds())}") from None
    channels = configured_channels(settings)
    now = datetime.now(UTC)
    try:
        await channels.check_recipient(Recipient(channel, to, account=account))
        outcome = await channels.send(_claim(channel, to, account, now=now))
        reached = await asyncio.to_thread(proof, channels.endpoint(channel, account) or to)
    except (ChannelUnconfigured, InvalidAddress) as exc:
        raise TestFailed(str(exc)) from exc
    finally:
        await channels.close()
    if not isinstance(outcome, Accepted | Delivered):
        raise TestFailed(_told(outcome))
    await Accounts(database).prove(via(channel, account), reached, now=now)
    return f"{_told(outcome)} by {'the provider itself' if reached == 'live' else 'a stand-in on this machine'}"


def proof(url: str) -> str:
    """Return ``emulator`` if a URL leads to this machine or a private network, ``live`` if it leads out."""
    host = urlsplit(url).hostname if HOST.match(url) else None
    if not host:
        return "live"
    try:
        addresses = {ipaddress.ip_address(each[4][0]) for each in socket.getaddrinfo(host, None)}
    except (OSError, ValueError):
        return "live"
    return "live" if any(address.is_global for address in addresses) else "emulator"


def _claim(channel: Channel, to: str, account: str | None, *, now: datetime) -> Claim:
    return Claim(
        delivery_id=new_id(now),
        message_id=new_id(now),
        channel=channel,
        address=to,
        account=account,
        subject=SUBJECT,
        body=BODY,
        attempt=1,
        first_attempt_at=now,
        epoch=1,
    )


def _told(outcome: Outcome) -> str:
    match outcome:
        case Accepted(provider_id) | Delivered(provider_id):
            return f"{type(outcome).__name__.lower()}{f' as {provider_id}' if provider_id else ''}"
        case failure:
            return f"{type(outcome).__name__}: {failure.reason}"
