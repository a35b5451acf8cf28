"""HTTP to a service by its name, spread over every address that the name has."""

import asyncio
import ipaddress
import logging
import os
import ssl
import time
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from waypost_client.cache import Answer
from waypost_client.endpoint import Endpoint
from waypost_client.errors import LookupFailed
from waypost_client.repeat import IDEMPOTENT_METHODS
from waypost_client.resolver import Resolver
from waypost_client.retry_budget import RetryBudget
from waypost_client.spread import Spread

__all__ = ["Transport"]

PORTS: Final = {"http": 80, "https": 443}
LIMITS: Final = httpx2.Limits(
    max_connections=100,
    max_keepalive_connections=50,
    keepalive_expiry=4.0,  # seconds; below the 5 after which uvicorn closes, so that no request meets the closing
)
ASK_AGAIN_S: Final = 1.0  # seconds that an answer is at least used, even if none of its addresses works
SERVICES: Final = 256  # names with a pool of their own at a time

NOT_CONNECTED: Final = (httpx2.ConnectError, httpx2.ConnectTimeout)
NO_ANSWER: Final = (httpx2.ReadTimeout, httpx2.WriteTimeout)
CONNECTION_LOST: Final = (httpx2.ReadError, httpx2.WriteError, httpx2.CloseError, httpx2.RemoteProtocolError)


LOOPBACK: Final = "127."
SERVER_ERROR: Final = 500  # and above: the server's own failures (RFC 9110 section 15.6)

log: Final = logging.getLogger("waypost_client")


class Transport(httpx2.AsyncBaseTransport):
    """Sends each request to one of the addresses that DNS gives for the URL's host.

    The ``Host`` header and the name that TLS verifies stay the URL's. When no connection can be opened, another address
    is tried, whatever the method: nothing was sent. When a connection breaks after that, only a request with an
    idempotent method and a body of bytes is sent again, and no more of those than the service's retry budget allows.
    An address that fails is passed over for a while that grows (see ``ejection``); when all do, DNS is asked again, at
    most once a second, although the TTL has not passed. Each name has a pool of its own, so
    that one service that hangs does not use up the connections to the others.

    A response says by its ``extensions`` who sent it (``waypost_endpoint``), and whether that address came from an
    answer past its time, because DNS is away (``waypost_stale``).

    >>> client = httpx2.AsyncClient(transport=Transport(Resolver.from_environment()))
    >>> await client.get("http://worker.example.com:8080/health")

    Raises what every httpx2 transport raises; ``httpx2.ConnectError`` also when the name leads nowhere, with the
    resolver's own error as its cause.
    """

    def __init__(
        self,
        resolver: Resolver,
        *,
        verify: ssl.SSLContext | bool = True,
        limits: httpx2.Limits = LIMITS,
        attempts: int = 3,
        connect_timeout_s: float = 1.0,
        local_address: str | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Resolve by this resolver, which is closed with the transport.

        :param limits: of each service's pool.
        :param attempts: times that one request is tried at most.
        :param connect_timeout_s: seconds for one address; lower turns to the next one sooner.
        :param local_address: from which loopback addresses are called, so that a connection tells who calls; left out,
            SERVICE_ADDRESS, where that is an IPv4 loopback address. An empty text is none.
        """
        self._resolver = resolver
        self._verify = verify
        self._limits = limits
        self._attempts = attempts
        self._connect_timeout_s = connect_timeout_s
        self._local_address = _own_loopback(os.environ) if local_address is None else local_address
        self._clock = clock
        self._services: OrderedDict[str, _Service] = OrderedDict()

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        service = await self._service(request.url.host)
        await service.take_place(request)
        try:
            response = await self._send(request, service)
        except BaseException:
            service.leave_place()
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream, service.leave_place)
        return response

    async def _send(self, request: httpx2.Request, service: "_Service") -> httpx2.Response:
        answer = await self._answer(request)
        service.budget.note_request()
        tried: set[Endpoint] = set()
        unreachable: set[Endpoint] = set()
        failure: httpx2.TransportError = httpx2.ConnectError("no address is left to try", request=request)
        for _ in range(self._attempts):
            now = self._clock()
            if all(service.spread.ejections.is_ejected(each, now=now) for each in answer.endpoints):
                answer = await self._answer(request, newer_than=now - ASK_AGAIN_S)
            # One that broke the connection may be tried again, on a new one, when there is no other.
            endpoint = service.spread.choose(answer.endpoints, now=now, without=tried) or service.spread.choose(
                answer.endpoints, now=now, without=unreachable
            )
            if endpoint is None:
                break
            tried.add(endpoint)
            try:
                response = await service.send(request, endpoint, connect_timeout_s=self._connect_timeout_s)
            except NOT_CONNECTED as error:
                self._note_failure(service, endpoint, error)
                unreachable.add(endpoint)
                failure = error
            except NO_ANSWER as error:
                self._note_failure(service, endpoint, error)
                raise
            except CONNECTION_LOST as error:
                self._note_failure(service, endpoint, error)
                if not (_may_repeat(request) and service.budget.take(now=self._clock())):
                    raise
                failure = error
            else:
                self._note_answer(service, endpoint, response)
                response.extensions |= {"waypost_endpoint": str(endpoint), "waypost_stale": answer.stale}
                return response
        raise failure

    async def aclose(self) -> None:
        await self._resolver.aclose()
        while self._services:
            _, service = self._services.popitem()
            await service.aclose()

    def _note_answer(self, service: "_Service", endpoint: Endpoint, response: httpx2.Response) -> None:
        if response.status_code >= SERVER_ERROR:
            self._note_failure(service, endpoint, f"it answered {response.status_code}")
        else:
            service.spread.ejections.note_success(endpoint, now=self._clock())

    def _note_failure(self, service: "_Service", endpoint: Endpoint, reason: object) -> None:
        hold_s = service.spread.ejections.note_failure(
            endpoint, now=self._clock(), proven=isinstance(reason, NOT_CONNECTED)
        )
        if hold_s is not None:
            log.warning("%s of %s is passed over for %g s: %s", endpoint, service.name, hold_s, _text(reason))

    async def _answer(self, request: httpx2.Request, newer_than: float | None = None) -> Answer:
        port = request.url.port or PORTS.get(request.url.scheme)
        if port is None:
            raise httpx2.UnsupportedProtocol(
                f"{request.url.scheme}:// is neither http:// nor https://", request=request
            )
        try:
            return await self._resolver.resolve(request.url.host, port=port, newer_than=newer_than)
        except LookupFailed as error:
            raise httpx2.ConnectError(str(error), request=request) from error

    async def _service(self, name: str) -> "_Service":
        if name not in self._services:
            await self._make_room()
        service = self._services.get(name)  # made by another request, perhaps, while this one made room
        if service is None:
            if isinstance(self._verify, bool):
                self._verify = httpx2.create_ssl_context(verify=self._verify)  # slow to make: made once, for all pools
            most = self._limits.max_connections
            places = None if most is None else asyncio.Semaphore(most)
            service = _Service(name, self._pool(None), self._near_pool(), RetryBudget(now=self._clock()), places)
            self._services[name] = service
        self._services.move_to_end(name)
        return service

    def _pool(self, local_address: str | None) -> httpx2.AsyncHTTPTransport:
        return httpx2.AsyncHTTPTransport(verify=self._verify, limits=self._limits, local_address=local_address)

    def _near_pool(self) -> httpx2.AsyncHTTPTransport | None:
        return self._pool(self._local_address) if self._local_address else None

    async def _make_room(self) -> None:
        if len(self._services) < SERVICES:
            return
        idle = next((name for name, service in self._services.items() if service.spread.idle), None)
        if idle is not None:
            await self._services.pop(idle).aclose()


@dataclass(frozen=True, slots=True)
class _Service:
    name: str
    pool: httpx2.AsyncHTTPTransport
    near: httpx2.AsyncHTTPTransport | None  # calls loopback addresses, from our own
    budget: RetryBudget
    places: asyncio.Semaphore | None  # as many as the pool has connections; None: it has no bound
    spread: Spread = field(default_factory=Spread)

    async def take_place(self, request: httpx2.Request) -> None:
        """Wait until a connection is to be had, before an address is chosen: one that was would be old by then.

        :raises httpx2.PoolTimeout: not within the request's time-out for that.
        """
        if self.places is None:
            return
        try:
            async with asyncio.timeout(dict(request.extensions.get("timeout") or {}).get("pool")):
                await self.places.acquire()
        except TimeoutError:
            raise httpx2.PoolTimeout("every connection to the service is in use", request=request) from None

    def leave_place(self) -> None:
        if self.places is not None:
            self.places.release()

    async def send(self, request: httpx2.Request, endpoint: Endpoint, *, connect_timeout_s: float) -> httpx2.Response:
        pool = self.near if self.near is not None and endpoint.address.startswith(LOOPBACK) else self.pool
        self.spread.begin(endpoint)
        try:
            response = await pool.handle_async_request(_addressed(request, endpoint, connect_timeout_s))
        except BaseException:
            self.spread.end(endpoint)
            raise
        assert isinstance(response.stream, httpx2.AsyncByteStream)
        response.stream = _Counted(response.stream, lambda: self.spread.end(endpoint))
        return response

    async def aclose(self) -> None:
        await self.pool.aclose()
        if self.near is not None:
            await self.near.aclose()


class _Counted(httpx2.AsyncByteStream):
    """A response body whose end is told, once."""

    def __init__(self, body: httpx2.AsyncByteStream, ended: Callable[[], None]) -> None:
        self._body = body
        self._ended: Callable[[], None] | None = ended

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for part in self._body:
            yield part

    async def aclose(self) -> None:
        ended, self._ended = self._ended, None
        if ended is not None:
            ended()
        await self._body.aclose()


def _addressed(request: httpx2.Request, endpoint: Endpoint, connect_timeout_s: float) -> httpx2.Request:
    """Return the request as it goes to one address: the same in all but where it is sent."""
    timeout: dict[str, Any] = dict(request.extensions.get("timeout") or {})
    given = timeout.get("connect")
    timeout["connect"] = connect_timeout_s if given is None else min(given, connect_timeout_s)
    return httpx2.Request(
        request.method,
        request.url.copy_with(host=endpoint.address, port=endpoint.port),
        headers=request.headers,
        stream=request.stream,
        extensions={"sni_hostname": request.url.host, **request.extensions, "timeout": timeout},
    )


def _own_loopback(environment: Mapping[str, str]) -> str | None:
    """Return the loopback address that this task has for itself; None: it has none."""
    try:
        own = ipaddress.IPv4Address(environment.get("SERVICE_ADDRESS", ""))
    except ValueError:
        return None
    return str(own) if own.is_loopback else None


def _may_repeat(request: httpx2.Request) -> bool:
    return request.method in IDEMPOTENT_METHODS and isinstance(request.stream, httpx2.ByteStream)


def _text(reason: object) -> str:
    return str(reason) or type(reason).__name__
