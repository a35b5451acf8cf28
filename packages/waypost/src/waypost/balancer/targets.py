"""The healthy instances of the balanced service, as the registry last told."""

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final, Protocol

from aiohttp import ClientError as HttpClientError
from botocore.exceptions import BotoCoreError, ClientError

from waypost.structured_log import structlog
from waypost_client import Endpoint

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["CloudMapSource", "SourceUnavailable", "TargetSource", "Targets", "follow"]

MOST_INSTANCES: Final = 1000  # that DiscoverInstances gives at most; it has no pages
ABSENT: Final = frozenset({"NamespaceNotFound", "ServiceNotFound"})
ADDRESS_ATTRIBUTES: Final = ("AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6")
PORT_ATTRIBUTE: Final = "AWS_INSTANCE_PORT"
DEFAULT_PORT: Final = 80

log = structlog.get_logger()


class SourceUnavailable(Exception):
    """The registry did not say who is healthy."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class TargetSource(Protocol):
    """Knows which instances are healthy."""

    async def healthy_endpoints(self) -> tuple[Endpoint, ...]:
        """Return where they listen; none when the service does not exist.

        :raises SourceUnavailable: it cannot be known now.
        """


class Targets:
    """The last list that the registry gave: kept while it gives no other."""

    def __init__(self) -> None:
        self.endpoints: tuple[Endpoint, ...] = ()
        self.told_at: float | None = None  # monotonic seconds; None until the registry first answered

    def replace(self, endpoints: tuple[Endpoint, ...], *, now: float) -> None:
        self.endpoints, self.told_at = endpoints, now


class CloudMapSource:
    """Asks Cloud Map's DiscoverInstances."""

    def __init__(self, client: "ServiceDiscoveryClient", *, namespace: str, service: str) -> None:
        self._client = client
        self._namespace = namespace
        self._service = service

    async def healthy_endpoints(self) -> tuple[Endpoint, ...]:
        try:
            reply = await self._client.discover_instances(
                NamespaceName=self._namespace,
                ServiceName=self._service,
                HealthStatus="HEALTHY",
                MaxResults=MOST_INSTANCES,
            )
        except ClientError as error:
            if error.response["Error"]["Code"] in ABSENT:
                return ()
            raise SourceUnavailable(str(error)) from error
        except (BotoCoreError, HttpClientError, OSError, TimeoutError) as error:
            raise SourceUnavailable(str(error)) from error
        found = (endpoint_of(instance.get("Attributes", {})) for instance in reply["Instances"])
        return tuple(sorted(endpoint for endpoint in found if endpoint is not None))


def endpoint_of(attributes: Mapping[str, str]) -> Endpoint | None:
    """Return where an instance listens by its attributes; None when they do not say."""
    address = next((attributes[name] for name in ADDRESS_ATTRIBUTES if name in attributes), None)
    port = attributes.get(PORT_ATTRIBUTE, str(DEFAULT_PORT))
    if address is None:
        return None
    try:
        return Endpoint.parse(f"[{address}]:{port}" if ":" in address else f"{address}:{port}")
    except ValueError:
        return None


async def follow(
    source: TargetSource,
    targets: Targets,
    *,
    interval_s: float,
    stop: asyncio.Event,
    clock: Callable[[], float] = time.monotonic,
) -> None:
    """Ask again and again until ``stop`` is set. While the source is away the last list stays."""
    available = True
    while not stop.is_set():
        asked_at = clock()
        try:
            endpoints = await source.healthy_endpoints()
        except SourceUnavailable as error:
            if available:
                log.warning("registry.unavailable", reason=error.reason, targets=len(targets.endpoints))
            available = False
        else:
            if not available or endpoints != targets.endpoints:
                log.info("targets.changed", targets=[str(endpoint) for endpoint in endpoints])
            available = True
            targets.replace(endpoints, now=asked_at)
        try:
            async with asyncio.timeout(max(0, asked_at + interval_s - clock())):
                await stop.wait()
        except TimeoutError:
            continue
