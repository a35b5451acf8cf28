import shutil
from collections.abc import AsyncIterator, Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest

from omnichannel.api.service import build
from omnichannel.calls import call_context
from omnichannel.channels import Channels
from omnichannel.channels.credentials import Secret
from omnichannel.channels.networks import ReachableNetworks
from omnichannel.channels.webhook import Webhook
from omnichannel.database import Database, Store
from omnichannel.database.keys import ApiKeys
from omnichannel.database.sealing import VARIABLE, Seal, new_key
from omnichannel.discovery import ServiceClient, ServiceEndpoints
from omnichannel.messages.model import Channel
from omnichannel.serving.health import Health
from waypost_client import Endpoint, Resolver

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


class Clock:
    """A clock that stands still until it is set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


class Services(ServiceClient):
    """Another service that answers, or fails, as a test tells it to."""

    def __init__(self) -> None:
        super().__init__(ServiceEndpoints("api", "worker", "scheduler"), Resolver([Endpoint("127.0.0.1", 9)]))
        self.failure: Exception | None = None
        self.reply: dict[str, Any] | None = None
        self.request_id: str | None = None

    async def call_worker(self, path: str, data: Mapping[str, Any]) -> dict[str, Any]:
        self.request_id = call_context.get().request_id
        if self.failure is not None:
            raise self.failure
        return self.reply or {"text": data["text"], "worker": "192.0.2.1:8080"}


@pytest.fixture
async def services() -> AsyncIterator[Services]:
    services = Services()
    yield services
    await services.close()


@pytest.fixture
async def channels() -> AsyncIterator[Channels]:
    networks = ReachableNetworks.parse("127.0.0.0/8")
    channels = Channels({Channel.WEBHOOK: Webhook(networks, timeout_s=1)})
    yield channels
    await channels.close()


@pytest.fixture
async def database(tmp_path: Path, migrated_sqlite: Path) -> AsyncIterator[Database]:
    """An open database with its tables. The store's own tests show that the databases behave alike."""
    file = shutil.copy(migrated_sqlite, tmp_path / "api.db")
    database = Database.open(f"sqlite:///{file}")
    yield database
    await database.close()


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def seal() -> Seal:
    return Seal(Secret(VARIABLE, new_key()))


@pytest.fixture
def new_client(
    database: Database, channels: Channels, services: Services, clock: Clock, seal: Seal
) -> Callable[..., httpx2.AsyncClient]:
    """Make clients of an API over the test's database; ``keys``: it asks for them."""

    def new(*, keys: ApiKeys | None = None) -> httpx2.AsyncClient:
        app = build(
            store=Store(database),
            channels=channels,
            services=services,
            keys=keys,
            health=Health({}),
            clock=clock,
            seal=seal,
        )
        transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
        return httpx2.AsyncClient(transport=transport, base_url="http://api.example")

    return new


@pytest.fixture
async def api(new_client: Callable[..., httpx2.AsyncClient]) -> AsyncIterator[httpx2.AsyncClient]:
    async with new_client() as client:
        yield client
