"""Where a task's credentials come from."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import httpx2
import pytest

from waypost_client.credentials import CredentialSource
from waypost_client.signing import Credentials

NOON = 1_767_268_800.0  # 2026-01-01T12:00:00Z


@dataclass
class Ecs:
    """The address that ECS gives each task."""

    url: str = ""
    asked: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        self.asked.append(head.decode())
        body = json.dumps(
            {
                "AccessKeyId": f"KEY{len(self.asked)}",
                "SecretAccessKey": "secret",
                "Token": "token",
                "Expiration": "2026-01-01T13:00:00Z",
            }
        ).encode()
        writer.write(b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
        writer.close()


@pytest.fixture
async def ecs() -> AsyncIterator[Ecs]:
    ecs = Ecs()
    server = await asyncio.start_server(ecs.serve, "127.0.0.1", 0)
    ecs.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/credentials"
    yield ecs
    server.close()


async def test_those_of_a_task_are_fetched_and_used_until_shortly_before_they_end(ecs: Ecs) -> None:
    now = NOON
    environment = {"AWS_CONTAINER_CREDENTIALS_FULL_URI": ecs.url, "AWS_CONTAINER_AUTHORIZATION_TOKEN": "mine"}
    source = CredentialSource(environment, wall=lambda: now)
    async with httpx2.AsyncClient() as http:
        first = await source.current(http)
        assert first == Credentials(access_key="KEY1", secret_key="secret", token="token")
        now = NOON + 3_000
        assert await source.current(http) == first
        now = NOON + 3_400
        renewed = await source.current(http)
    assert renewed is not None
    assert renewed.access_key == "KEY2"
    assert "authorization: mine" in ecs.asked[0].lower()


async def test_those_of_the_environment_come_first(ecs: Ecs) -> None:
    environment = {
        "AWS_ACCESS_KEY_ID": "OWN",
        "AWS_SECRET_ACCESS_KEY": "secret",
        "AWS_CONTAINER_CREDENTIALS_FULL_URI": ecs.url,
    }
    async with httpx2.AsyncClient() as http:
        found = await CredentialSource(environment).current(http)
    assert found == Credentials(access_key="OWN", secret_key="secret")
    assert ecs.asked == []


async def test_without_any_requests_go_unsigned() -> None:
    async with httpx2.AsyncClient() as http:
        assert await CredentialSource({}).current(http) is None
