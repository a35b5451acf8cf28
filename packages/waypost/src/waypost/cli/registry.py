"""A registry, as every command reaches it: Cloud Map's API, and beside it the calls that only Waypost has."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from waypost.cli.access import Access
from waypost.cli.foreign_errors import foreign_errors
from waypost.cloudmap import open_cloudmap
from waypost.own_calls import NoSuchCall, OwnCalls, open_own_calls
from waypost.tasks.environment import with_aws_defaults

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["Registry", "open_registry"]


@dataclass(frozen=True, slots=True)
class Registry:
    """An open registry."""

    client: "ServiceDiscoveryClient"
    own: OwnCalls | None  # None: AWS's own Cloud Map

    async def call(
        self, method: str, path: str, *, query: dict[str, str] | None = None, body: Any = None
    ) -> dict[str, Any]:
        """Return the answer to a call that only Waypost has. Raises NoSuchCall where there is none."""
        if self.own is None:
            raise NoSuchCall(path)
        return await self.own.call(method, path, query=query, body=body)


@asynccontextmanager
async def open_registry(access: Access) -> AsyncIterator[Registry]:
    """Yield the registry there. Errors of the SDK and of the calls inside the block leave it as CommandFailed."""
    if access.url is not None:  # a registry of one's own asks for no key, but the SDK does
        os.environ.update(with_aws_defaults(os.environ))
    elif "AWS_REGION" in os.environ:  # the name in other SDKs, which botocore does not know
        os.environ.setdefault("AWS_DEFAULT_REGION", os.environ["AWS_REGION"])
    with foreign_errors(access.endpoint):
        async with open_cloudmap(access.url, attempts=2) as client:
            if access.url is None:
                yield Registry(client, None)
                return
            async with open_own_calls(access.url) as own:
                yield Registry(client, own)
