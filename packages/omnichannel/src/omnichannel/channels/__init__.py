"""The ways out: one module a channel, each behind the same protocol; ``kinds`` says which there are."""

from omnichannel.channels.adapter import Adapter, InvalidAddress
from omnichannel.channels.configured import Channels, ChannelState, ChannelUnconfigured, configured_channels
from omnichannel.channels.kinds import configured_webhook

__all__ = [
    "Adapter",
    "ChannelState",
    "ChannelUnconfigured",
    "Channels",
    "InvalidAddress",
    "configured_channels",
    "configured_webhook",
]
