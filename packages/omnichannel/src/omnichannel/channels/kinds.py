"""The channels that there are: a line each for those that come along, an entry point for those of others.

A distribution adds a channel with an entry point of the group ``omnichannel.channels``, which leads to a ``Kind``.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import entry_points
from typing import Final

from omnichannel.channels import apprise_urls, facebook, instagram, linkedin, mail_providers, slack, sms, whatsapp
from omnichannel.channels.adapter import Adapter
from omnichannel.channels.carries import Carries
from omnichannel.channels.credentials import Credentials
from omnichannel.channels.networks import ReachableNetworks
from omnichannel.channels.webhook import Webhook
from omnichannel.messages.model import Channel
from omnichannel.messages.verdict import TELLS_REPETITIONS
from omnichannel.settings import Settings, SettingsInvalid

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


def configured_webhook(settings: Settings) -> Webhook:
    """Return what posts to URLs, within the networks that the settings allow."""
    networks = ReachableNetworks.parse(settings.webhook_allow_networks, settings.own_listeners)
    return Webhook(networks, timeout_s=settings.webhook_timeout_s)


def _webhook(settings: Settings, _: Credentials) -> Adapter:
    return configured_webhook(settings)


BUILT_IN: Final = (
    Kind(
        "webhook",
        _webhook,
        tells_repetitions=True,
        one_account=False,
        carries=Carries(attached_bytes=256 * KIB, html=True),
    ),
    Kind("email", mail_providers.build, carries=Carries(attached_bytes=10 * MIB, html=True)),
    Kind("sms", sms.build, carries=Carries(characters=sms.LENGTH)),
    Kind("slack", slack.build, carries=Carries(characters=slack.LENGTH)),
    Kind("apprise", apprise_urls.build, one_account=False),
    Kind("whatsapp", whatsapp.build, carries=Carries(characters=whatsapp.LENGTH)),
    Kind(
        "facebook",
        facebook.build,
        carries=Carries(characters=facebook.LENGTH, attached_bytes=20 * MIB, media_types=PICTURES),
    ),
    Kind("instagram", instagram.build, carries=Carries(characters=instagram.LENGTH)),
    Kind(
        "linkedin",
        linkedin.build,
        carries=Carries(characters=linkedin.LENGTH, attached_bytes=20 * MIB, media_types=PICTURES),
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
