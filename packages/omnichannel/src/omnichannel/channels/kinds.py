"""The channels that there are: a line each for those that come along, an entry point for those of others.

A distribution adds a channel with an entry point of the group ``omnichannel.channels``, which leads to a ``Kind``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, Final

from omnichannel.channels.adapter import Adapter
from omnichannel.channels.carries import (
    FACEBOOK_LENGTH,
    INSTAGRAM_LENGTH,
    LINKEDIN_LENGTH,
    SLACK_LENGTH,
    SMS_LENGTH,
    WHATSAPP_LENGTH,
    Carries,
)
from omnichannel.channels.credentials import Credentials
from omnichannel.channels.networks import ReachableNetworks
from omnichannel.messages.model import Channel
from omnichannel.messages.verdict import TELLS_REPETITIONS
from omnichannel.settings import Settings, SettingsInvalid

if TYPE_CHECKING:
    from omnichannel.channels.webhook import Webhook

__all__ = ["GROUP", "Kind", "configured_webhook", "kinds"]

GROUP: Final = "omnichannel.channels"
KIB: Final = 1024
MIB: Final = 1024 * KIB
PICTURES: Final = ("image/jpeg", "image/png", "image/gif")


@dataclass(frozen=True, slots=True)
class Kind:
    """A channel, and how it is made.

    ``build`` returns None where the environment configures nothing for it, and raises SettingsInvalid where it does so
    wrongly. ``tells_repetitions``: a receiver can tell a delivery that it has had before, by its id. ``one_account``:
    one provider stands behind every address, so its faults are everybody's; only then there may be several accounts.
    ``carries`` says how much a message may hold.
    """

    name: str
    build: Callable[[Settings, Credentials], Adapter | None]
    tells_repetitions: bool = False
    one_account: bool = True
    carries: Carries = field(default_factory=Carries)


def configured_webhook(settings: Settings) -> "Webhook":
    """Return what posts to URLs, within the networks that the settings allow."""
    from omnichannel.channels.webhook import Webhook

    networks = ReachableNetworks.parse(settings.webhook_allow_networks, settings.own_listeners)
    return Webhook(networks, timeout_s=settings.webhook_timeout_s)


def _webhook(settings: Settings, _: Credentials) -> Adapter:
    return configured_webhook(settings)


def _built_by(module: str) -> Callable[[Settings, Credentials], Adapter | None]:
    """Return what builds a channel by a module here. It is loaded then: a process that only names channels, as the
    scheduler and most commands do, goes without the HTTP and mail clients that send by them.
    """

    def build(settings: Settings, credentials: Credentials) -> Adapter | None:
        adapter: Adapter | None = import_module(f"omnichannel.channels.{module}").build(settings, credentials)
        return adapter

    return build


BUILT_IN: Final = (
    Kind(
        "webhook",
        _webhook,
        tells_repetitions=True,
        one_account=False,
        carries=Carries(attached_bytes=256 * KIB, html=True),
    ),
    Kind("email", _built_by("mail_providers"), carries=Carries(attached_bytes=10 * MIB, html=True)),
    Kind("sms", _built_by("sms"), carries=Carries(characters=SMS_LENGTH)),
    Kind("slack", _built_by("slack"), carries=Carries(characters=SLACK_LENGTH)),
    Kind("apprise", _built_by("apprise_urls"), one_account=False),
    Kind("whatsapp", _built_by("whatsapp"), carries=Carries(characters=WHATSAPP_LENGTH)),
    Kind(
        "facebook",
        _built_by("facebook"),
        carries=Carries(characters=FACEBOOK_LENGTH, attached_bytes=20 * MIB, media_types=PICTURES),
    ),
    Kind("instagram", _built_by("instagram"), carries=Carries(characters=INSTAGRAM_LENGTH)),
    Kind(
        "linkedin",
        _built_by("linkedin"),
        carries=Carries(characters=LINKEDIN_LENGTH, attached_bytes=20 * MIB, media_types=PICTURES),
    ),
)


@cache
def kinds() -> dict[Channel, Kind]:
    """Return every kind by its channel; those of others are made channels by this. Read once a process."""
    found = {Channel(kind.name): kind for kind in BUILT_IN}
    for entry in entry_points(group=GROUP):
        kind = entry.load()
        if not isinstance(kind, Kind):
            raise SettingsInvalid((f"the entry point {entry.name} of {GROUP} leads to no Kind",))
        found.setdefault(Channel.add(kind.name), kind)
        TELLS_REPETITIONS.setdefault(Channel(kind.name), kind.tells_repetitions)
    return found
