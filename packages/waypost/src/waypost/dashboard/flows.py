"""Who calls whom, and how much: looked at each second while a page shows the map, and not otherwise."""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from waypost.catalog.index import Catalog
from waypost.catalog.model import decode_attributes
from waypost.dashboard.platform import Platform
from waypost.dashboard.traffic import Connection, Edge, EdgeRates, connections
from waypost.settings import ListenAddress
from waypost.structured_log import structlog

__all__ = ["BALANCER", "Flows", "read_requests"]

BALANCER: Final = "balancer"
EVERY_S: Final = 1.0
PATIENCE_S: Final = 0.5
LONGEST: Final = 1 << 20  # octets of a page of the balancer
INSTANCES: Final = 20_000  # whose addresses are known; more are not drawn either
REQUESTS: Final = re.compile(r'^waypost_balancer_requests_total\{status="(\d{3})"\} ([0-9.e+]+)$', re.MULTILINE)

log = structlog.get_logger()


class _Health(msgspec.Struct, frozen=True):
    targets: list[str] = []


@dataclass(frozen=True, slots=True)
class _Counted:
    at: float
    requests: float
    errors: float


class Flows:
    """The traffic between services, as far as this machine sees it."""

    def __init__(self, catalog: Callable[[], Catalog], platform: Platform, *, is_watched: Callable[[], bool]) -> None:
        self._catalog, self._platform, self._is_watched = catalog, platform, is_watched
        self.edges: list[dict[str, Any]] = []
        self._rates = EdgeRates()
        self._known: tuple[int, dict[tuple[str, int], str], dict[str, str]] = (-1, {}, {})
        self._counted: _Counted | None = None

    async def run(self) -> None:
        """Look each second, until cancelled."""
        while True:
            try:
                if self._is_watched():
                    await self._look()
                else:
                    self.edges = []
            except Exception:
                log.exception("dashboard.flows_failed")
            await asyncio.sleep(EVERY_S)

    async def _look(self) -> None:
        called, callers = self._places()
        seen: list[Connection] = []
        if called:
            seen = await asyncio.to_thread(connections, called)
        now = asyncio.get_running_loop().time()
        edges = [_edge(each) for each in self._rates.take(seen, callers, called, now=now)]
        balanced = await self._balanced(called, now)
        self.edges = edges + ([] if balanced is None else [balanced])

    def _places(self) -> tuple[dict[tuple[str, int], str], dict[str, str]]:
        """Return the service at each address and port, and at each address that only one service has."""
        catalog = self._catalog()
        if self._known[0] == catalog.revision:
            return self._known[1], self._known[2]
        called: dict[tuple[str, int], str] = {}
        callers: dict[str, set[str]] = {}
        for entry in catalog.entry_of.values():
            if len(called) + len(entry.instances) > INSTANCES:
                break
            for instance in entry.instances.values():
                attributes = decode_attributes(instance.attributes)
                address, port = attributes.get("AWS_INSTANCE_IPV4"), attributes.get("AWS_INSTANCE_PORT", "")
                if address is None:
                    continue
                callers.setdefault(address, set()).add(entry.service.id)
                if port.isascii() and port.isdigit():
                    called[address, int(port)] = entry.service.id
        alone = {address: next(iter(ids)) for address, ids in callers.items() if len(ids) == 1}
        self._known = (catalog.revision, called, alone)
        return called, alone

    async def _balanced(self, called: dict[tuple[str, int], str], now: float) -> dict[str, Any] | None:
        """Return the edge from the balancer to its service, with its requests and those that failed."""
        run = await asyncio.to_thread(self._platform.run)
        if run is None or not run.balancer_admin_address:
            return None
        admin = ListenAddress.parse(run.balancer_admin_address).to_connect
        try:
            health = msgspec.json.decode(await _get(admin, "/health"), type=_Health)
            requests, errors = read_requests((await _get(admin, "/metrics")).decode("utf-8", "replace"))
        except (OSError, TimeoutError, ValueError, asyncio.IncompleteReadError):
            return None
        before, self._counted = self._counted, _Counted(now, requests, errors)
        places = (each.rpartition(":") for each in health.targets)
        service = next(
            filter(None, (called.get((host, int(port))) for host, _, port in places if port.isdigit())), None
        )
        if service is None:
            return None
        elapsed = max(0.001, now - before.at) if before is not None else None
        return {
            "from": BALANCER,
            "to": service,
            "connections": None,
            "octets_s": None,
            "requests_s": None if elapsed is None or before is None else max(0, requests - before.requests) / elapsed,
            "errors_s": None if elapsed is None or before is None else max(0, errors - before.errors) / elapsed,
        }


def read_requests(text: str) -> tuple[float, float]:
    """Return how many requests the balancer's metrics tell of, and how many of them were answered by 500 or above."""
    counted = [(int(status), float(count)) for status, count in REQUESTS.findall(text)]
    return sum(count for _, count in counted), sum(count for status, count in counted if status >= 500)


def _edge(edge: Edge) -> dict[str, Any]:
    return {
        "from": edge.caller,
        "to": edge.called,
        "connections": edge.connections,
        "octets_s": round(edge.octets_s, 1),
        "requests_s": None,
        "errors_s": None,
    }


async def _get(address: ListenAddress, path: str) -> bytes:
    """Return the body of a page of one of our own parts. Raises OSError, TimeoutError or ValueError."""
    async with asyncio.timeout(PATIENCE_S):
        reader, writer = await asyncio.open_connection(address.host, address.port)
        try:
            writer.write(f"GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n".encode())
            answer = bytearray()
            while piece := await reader.read(1 << 16):
                answer += piece
                if len(answer) > LONGEST:
                    raise ValueError("the page is too long")
        finally:
            writer.close()
    head, _, body = bytes(answer).partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200 "):
        raise ValueError("the page is not there")
    return body
