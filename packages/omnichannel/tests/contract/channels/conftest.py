"""Real receivers: an HTTP server and an SMTP server that behave as a test tells them to."""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import UTC, datetime

import pytest
from aiohttp import web

from omnichannel.messages.model import Channel, Claim

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
StartReceiver = Callable[[Handler], Awaitable[str]]


@pytest.fixture
async def start_receiver() -> AsyncIterator[StartReceiver]:
    """Start HTTP servers, each with the handler given; the answer is a server's URL."""
    runners: list[web.ServerRunner] = []

    async def start(handler: Handler) -> str:
        runner = web.ServerRunner(web.Server(handler), shutdown_timeout=0.1)
        runners.append(runner)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{runner.addresses[0][1]}"

    yield start
    for runner in runners:
        await runner.cleanup()


@pytest.fixture
def make_claim() -> Callable[[Channel, str], Claim]:
    """Make a claim for an address."""

    def make(channel: Channel, address: str) -> Claim:
        return Claim(
            delivery_id="d-1",
            message_id="m-1",
            channel=channel,
            address=address,
            subject="Launch ✓",
            body="We are live.\n.\nReally.",
            attempt=2,
            first_attempt_at=datetime(2026, 3, 1, 12, 0, tzinfo=UTC),
            epoch=3,
        )

    return make
