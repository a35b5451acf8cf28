"""A channel of somebody else's: one module, and one entry point of their distribution."""

from collections.abc import Callable, Iterator
from importlib.metadata import EntryPoint

import pytest
from pydantic import TypeAdapter

from omnichannel.channels import configured_channels, kinds
from omnichannel.channels.credentials import Credentials
from omnichannel.channels.kinds import Kind
from omnichannel.channels.rendered import Rendered
from omnichannel.messages import model
from omnichannel.messages.model import Channel, Claim, Recipient
from omnichannel.messages.outcome import Accepted, Outcome
from omnichannel.messages.verdict import TELLS_REPETITIONS
from omnichannel.settings import Settings, SettingsInvalid


class Pager:
    """The least that a channel is."""

    endpoint = "https://pager.example.com"

    async def check_address(self, address: str) -> None: ...

    def render(self, subject: str, body: str) -> Rendered:
        return Rendered(subject)

    async def send(self, claim: Claim) -> Outcome:
        return Accepted(f"page-{claim.delivery_id}")

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None: ...


PAGER = Kind("pager", lambda _, credentials: Pager() if credentials.secret("PAGER_TOKEN") else None, True)
NO_KIND = "nothing"


@pytest.fixture
def entry_point(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    """Let one entry point be installed: the name of a module's attribute."""

    def install(attribute: str) -> None:
        entry = EntryPoint("pager", f"{__name__}:{attribute}", kinds.GROUP)
        monkeypatch.setattr(EntryPoint, "load", lambda self: globals()[self.value.partition(":")[2]])
        monkeypatch.setattr(kinds, "entry_points", lambda *, group: (entry,) if group == kinds.GROUP else ())
        kinds.kinds.cache_clear()

    yield install
    kinds.kinds.cache_clear()
    for added in (model._ADDED, TELLS_REPETITIONS):
        added.pop("pager", None)


async def test_it_is_a_channel_like_the_others(
    entry_point: Callable[[str], None], make_claim: Callable[[Channel, str], Claim]
) -> None:
    entry_point("PAGER")
    channels = configured_channels(Settings(), Credentials({"PAGER_TOKEN": "t"}))
    pager = TypeAdapter(Channel).validate_python("pager")
    assert (pager, pager.value) == (Channel("pager"), "pager")
    await channels.check_recipient(Recipient(pager, "ada"))
    assert await channels.send(make_claim(pager, "ada")) == Accepted("page-d-1")
    assert [state.configured for state in await channels.states() if state.name == "pager"] == [True]
    assert TELLS_REPETITIONS[pager]
    await channels.close()


def test_an_entry_point_that_leads_elsewhere_is_named(entry_point: Callable[[str], None]) -> None:
    entry_point("NO_KIND")
    with pytest.raises(SettingsInvalid, match="pager"):
        configured_channels(Settings(), Credentials({}))
