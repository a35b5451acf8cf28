"""How the three services find and call each other: names from the environment, addresses from DNS."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final, Self

import httpx2

from omnichannel.calls import (
    EndpointsUnknown,
    ServiceRefused,
    ServiceReplyInvalid,
    ServiceTimeout,
    ServiceUnreachable,
    call_context,
)
from waypost_client import Resolver, Transport

__all__ = ["ServiceClient", "ServiceEndpoints"]

TIMEOUT: Final = httpx2.Timeout(10.0, connect=1.0, pool=2.0)  # seconds; connect is for each address
LONGEST_REPLY: Final = 1024 * 1024  # bytes
DETAIL_LENGTH: Final = 256  # characters of a refusal that are kept


@dataclass(frozen=True, slots=True)
class ServiceEndpoints:
    """The names by which the services are found, and the port on which they listen."""

    api: str
    worker: str
    scheduler: str
    port: int = 8080

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> Self:
        """Read ``API_SERVICE_HOST``, ``WORKER_SERVICE_HOST``, ``SCHEDULER_SERVICE_HOST`` and ``SERVICE_PORT``.

        A host that is not given is the service's name in ``SERVICE_NAMESPACE``.

        :raises EndpointsUnknown: a variable is missing or cannot be used.
        """
        port = environment.get("SERVICE_PORT") or "8080"
        if not (port.isascii() and port.isdigit() and 0 < int(port) < 1 << 16):
            raise EndpointsUnknown("SERVICE_PORT", f"{port!r} is not a port of 1 to 65535")
        api, worker, scheduler = (_host(environment, service) for service in ("api", "worker", "scheduler"))
        return cls(api, worker, scheduler, int(port))

    def api_url(self, path: str) -> str:
        return self._url(self.api, path)

    def worker_url(self, path: str) -> str:
        return self._url(self.worker, path)

    def _url(self, host: str, path: str) -> str:
        return f"http://{host}:{self.port}/{path.removeprefix('/')}"


class ServiceClient:
    """Calls the other services by name, each call at one of the addresses that the name has at that moment.

    >>> services = ServiceClient(ServiceEndpoints.from_environment())
    >>> await services.call_worker("/process", {"text": "hello"})
    {'text': 'hello', 'worker': '192.0.2.1:8080'}
    """

    def __init__(self, endpoints: ServiceEndpoints, resolver: Resolver | None = None) -> None:
        """Resolve by this resolver; without one, by the nameserver that the environment names.

        :raises waypost_client.NameserverUnknown: it names none.
        """
        self._endpoints = endpoints
        transport = Transport(resolver or Resolver.from_environment())
        self._client = httpx2.AsyncClient(transport=transport, timeout=TIMEOUT, trust_env=False)

    async def call_worker(self, path: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Post a JSON object to a worker, and return the object that it answers.

        :raises ServiceCallFailed: in one of its kinds.
        """
        return await self._call("worker", self._endpoints.worker_url(path), data)

    async def call_api(self, path: str, data: Mapping[str, Any]) -> dict[str, Any]:
        """Post a JSON object to an api, and return the object that it answers.

        :raises ServiceCallFailed: in one of its kinds.
        """
        return await self._call("api", self._endpoints.api_url(path), data)

    async def close(self) -> None:
        await self._client.aclose()

    async def _call(self, service: str, url: str, data: Mapping[str, Any]) -> dict[str, Any]:
        try:
            status, body = await self._post(service, url, data)
        except (httpx2.ConnectError, httpx2.ConnectTimeout, httpx2.PoolTimeout) as error:
            raise ServiceUnreachable(service, str(error)) from error
        except httpx2.TimeoutException as error:
            raise ServiceTimeout(service, type(error).__name__) from error
        except httpx2.HTTPError as error:
            raise ServiceReplyInvalid(service, f"{type(error).__name__}: {error}") from error
        if not 200 <= status < 300:
            raise ServiceRefused(service, status, body[:DETAIL_LENGTH].decode("utf-8", "replace"))
        return _object(service, body)

    async def _post(self, service: str, url: str, data: Mapping[str, Any]) -> tuple[int, bytes]:
        headers = call_context.get().headers()
        async with self._client.stream("POST", url, json=dict(data), headers=headers) as response:
            body = bytearray()
            async for part in response.aiter_bytes():
                body += part
                if len(body) > LONGEST_REPLY:
                    raise ServiceReplyInvalid(service, f"it is longer than {LONGEST_REPLY} bytes")
            return response.status_code, bytes(body)


def _host(environment: Mapping[str, str], service: str) -> str:
    variable = f"{service.upper()}_SERVICE_HOST"
    host, namespace = environment.get(variable), environment.get("SERVICE_NAMESPACE")
    if host:
        return host
    if not namespace:
        raise EndpointsUnknown(variable, f"missing; set it to a name, or SERVICE_NAMESPACE to what follows {service}.")
    return f"{service}.{namespace}"


def _object(service: str, body: bytes) -> dict[str, Any]:
    try:
        reply = json.loads(body)
    except ValueError as error:
        raise ServiceReplyInvalid(service, f"it is no JSON: {error}") from error
    if not isinstance(reply, dict):
        raise ServiceReplyInvalid(service, "it is no JSON object")
    return reply
