"""The Apprise channel, through the library itself and its JSON service to a receiver."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.apprise_urls import AppriseUrls, build
from omnichannel.channels.credentials import Credentials
from omnichannel.channels.entries import parse_entries
from omnichannel.messages.model import Channel, Claim
from omnichannel.messages.outcome import Accepted, PermanentFailure, TransientFailure
from omnichannel.settings import Settings

from .conftest import StartReceiver

MakeClaim = Callable[[Channel, str], Claim]

pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of the library's own, while it loads


def channel(urls_file: Path | None = None, *, allow_urls: bool = False) -> AppriseUrls:
    return AppriseUrls(urls_file=urls_file, allow_urls=allow_urls, timeout_s=5)


async def test_an_entry_of_the_file_is_an_address(
    start_receiver: StartReceiver, make_claim: MakeClaim, tmp_path: Path
) -> None:
    asked: list[Any] = []

    async def receive(request: web.Request) -> web.StreamResponse:
        asked.append((request.headers.get("authorization", ""), await request.json()))
        return web.Response()

    url = (await start_receiver(receive)).replace("http://", "json://user:pass@")
    (tmp_path / "urls").write_text(f"# ours\n\noncall = {url}/\n")
    adapter = channel(tmp_path / "urls")
    await adapter.check_address("oncall")
    assert await adapter.send(make_claim(Channel.APPRISE, "oncall")) == Accepted()
    ((authorization, body),) = asked
    assert authorization.startswith("Basic ")
    assert (body["title"], body["message"]) == ("Launch ✓", "We are live.\n.\nReally.")
    await adapter.close()


async def test_a_failure_is_tried_a_few_times_without_its_reason(
    start_receiver: StartReceiver, make_claim: MakeClaim
) -> None:
    async def receive(_: web.Request) -> web.StreamResponse:
        return web.Response(status=429)

    adapter = channel(allow_urls=True)
    url = (await start_receiver(receive)).replace("http://", "json://user:s3cret@")
    claim = make_claim(Channel.APPRISE, url)
    outcome = await adapter.send(claim)
    assert isinstance(outcome, TransientFailure)
    assert "s3cret" not in outcome.reason
    assert isinstance(await adapter.send(replace(claim, attempt=3)), PermanentFailure)
    await adapter.close()


@pytest.mark.parametrize("address", ["nobody", "json://user:s3cret@example.com", ""])
async def test_a_url_is_no_address_unless_that_is_allowed(address: str) -> None:
    adapter = channel()
    with pytest.raises(InvalidAddress) as refused:
        await adapter.check_address(address)
    assert "s3cret" not in str(refused.value)


async def test_a_scheme_that_apprise_does_not_know_is_no_address() -> None:
    adapter = channel(allow_urls=True)
    with pytest.raises(InvalidAddress):
        await adapter.check_address("carrier-pigeon://coop:s3cret@1")
    await adapter.close()


def test_an_entry_is_a_line() -> None:
    assert parse_entries("a=json://x?y=z\n # b = c\n\nnot one\n d = e ") == {"a": "json://x?y=z", "d": "e"}


def test_it_is_configured_by_a_file_or_by_permission() -> None:
    settings: Any = Settings
    assert build(settings, Credentials({})) is None
    assert build(settings, Credentials({"APPRISE_URLS_FILE": "/nowhere"})) is not None
    assert build(settings, Credentials({"APPRISE_ALLOW_URLS": "on"})) is not None
