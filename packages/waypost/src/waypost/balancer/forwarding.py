"""Carries one request to a target and the answer back, by way of another target where that is safe."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import aiohttp
import structlog
from yarl import URL

from waypost.balancer.connection import Request
from waypost.balancer.headers import REQUEST_ID, Forwarding, end_to_end, request_id
from waypost.balancer.metrics import Metrics, RetryReason
from waypost.balancer.problems import Problem, RequestRefused
from waypost.balancer.requests import Header, RequestHead
from waypost.balancer.response import ClientGone, Response
from waypost.balancer.targets import Targets
from waypost.promise import PromiseLog
from waypost_client import IDEMPOTENT_METHODS, Endpoint, Spread

__all__ = ["Forwarder", "open_upstream"]

ATTEMPTS: Final = 3
OPEN_REQUESTS: Final = 2048  # more are refused with 503: a target that hangs must not use up the memory
CONNECT_S: Final = 1.0  # for one target; lower turns to the next sooner
SILENCE_S: Final = 60.0  # see open_upstream; lower gives up a slow target sooner. Limits.stall_s must be well above
KEEP_S: Final = 4.0  # that an idle connection is kept: below the 5 after which uvicorn closes it
LINE_BYTES: Final = 64 * 1024  # of one line of an answer's head
FRAMED_ANEW: Final = frozenset((b"content-length", b"x-request-id"))
LOGGED_PATH: Final = 1000  # characters; the query is left out, as it may hold secrets
CLIENT_CLOSED: Final = 499  # as nginx logs it: the client went before it was answered
NOT_ADDED: Final = ("Accept", "Accept-Encoding", "Content-Type", "User-Agent")  # a proxy speaks for its client alone

log = structlog.get_logger()


@asynccontextmanager
async def open_upstream(*, silence_s: float = SILENCE_S) -> AsyncIterator[aiohttp.ClientSession]:
    """Yield the connections to targets. Nothing of what passes is changed: no cookies, redirects or decompression.

    :param silence_s: seconds that a target may take until it begins to answer, and between two parts of its answer.
    """
    connector = aiohttp.TCPConnector(limit=0, keepalive_timeout=KEEP_S, use_dns_cache=False)  # OPEN_REQUESTS bounds it
    async with aiohttp.ClientSession(
        connector=connector,
        cookie_jar=aiohttp.DummyCookieJar(),
        auto_decompress=False,
        skip_auto_headers=NOT_ADDED,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_S, sock_read=silence_s),
        max_line_size=LINE_BYTES,
        max_field_size=LINE_BYTES,
    ) as session:
        yield session


class Forwarder:
    """Answers requests by the healthy targets."""

    def __init__(
        self,
        service: str,
        targets: Targets,
        session: aiohttp.ClientSession,
        *,
        forwarding: Forwarding,
        metrics: Metrics,
        promise: PromiseLog,
        log_requests: bool = True,
        open_requests: int = OPEN_REQUESTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Balance for ``service``, which is its full name: ``api.example.com``."""
        self._service = service
        self._targets = targets
        self._session = session
        self._forwarding = forwarding
        self._metrics = metrics
        self._promise = promise
        self._log_requests = log_requests
        self._most_open = open_requests
        self._open = 0
        self._spread = Spread()
        self._clock = clock

    async def __call__(self, request: Request, response: Response) -> None:
        """Answer one request, and count it and log it."""
        started = self._clock()
        exchange = _Exchange(request, response, request_id(request.head))
        self._open += 1
        self._metrics.open.set(self._open)
        try:
            await self._answer(exchange)
        except (ClientGone, asyncio.CancelledError):  # a connection that is lost cancels what it asked for
            exchange.client_gone = True
            raise
        finally:
            self._open -= 1
            self._metrics.open.set(self._open)
            self._note(exchange, self._clock() - started)

    async def _answer(self, exchange: "_Exchange") -> None:
        if self._open > self._most_open:
            full = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests are under way", retry_after_s=1)
            await exchange.tell(full)
            return
        tried: set[Endpoint] = set()
        problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{self._service} has no healthy instance", retry_after_s=1)
        for _ in range(ATTEMPTS):
            target = self._spread.choose(self._targets.endpoints, now=self._clock(), without=tried)
            if target is None:
                break
            tried.add(target)
            failure = await self._try(target, exchange)
            if failure is None:
                return
            problem = failure.problem
            if failure.retry is None:
                break
            self._metrics.retries.labels(failure.retry).inc()
        await exchange.tell(problem)

    async def _try(self, target: Endpoint, exchange: "_Exchange") -> "_Failure | None":
        """Answer by one target; return None when that is done, and why not otherwise."""
        exchange.target = target
        if self._promise.on:
            self._promise.answered("balancer", self._service, [str(target)], 0)
        self._spread.begin(target)
        try:
            async with await self._send(target, exchange) as answer:
                await _relay(answer, exchange)
        except (aiohttp.ClientError, TimeoutError) as error:
            failure = _judge(error, target, exchange.request)
            if failure.retry == "connect":
                self._spread.note_unreachable(target, now=self._clock())
            if exchange.response.status is not None:
                raise ClientGone from error  # the client has a part of the answer: only a cut connection says so
            return failure
        finally:
            self._spread.end(target)
        return None

    async def _send(self, target: Endpoint, exchange: "_Exchange") -> aiohttp.ClientResponse:
        head = exchange.request.head
        headers = self._forwarding.headers(head, exchange.request.peer, exchange.request_id)
        path, _, query = head.path.partition("?")
        url = URL.build(
            scheme="http", host=target.address, port=target.port, path=path, query_string=query, encoded=True
        )
        # aiohttp's time-outs begin when the body is sent: one that its target does not take ends by Limits.stall_s.
        return await self._session.request(
            head.method,
            url,
            headers=[(name.decode("ascii"), value.decode("utf-8")) for name, value in headers],
            data=exchange.body(),
            allow_redirects=False,
        )

    def _note(self, exchange: "_Exchange", seconds: float) -> None:
        unanswered = CLIENT_CLOSED if exchange.client_gone else HTTPStatus.INTERNAL_SERVER_ERROR.value
        status = exchange.response.status or unanswered
        self._metrics.requests.labels(str(status)).inc()
        self._metrics.seconds.observe(seconds)
        if self._log_requests:
            log.info(
                "request",
                method=exchange.request.head.method,
                path=exchange.request.head.path.partition("?")[0][:LOGGED_PATH],
                status=status,
                target=str(exchange.target) if exchange.target is not None else None,
                peer=exchange.request.peer,
                request_id=exchange.request_id,
                received=exchange.request.body.received,
                sent=exchange.response.sent,
                ms=round(seconds * 1000, 1),
            )


@dataclass(slots=True)
class _Exchange:
    """One request while it is answered."""

    request: Request
    response: Response
    request_id: str
    target: Endpoint | None = None  # that was tried last
    client_gone: bool = False
    _whole: bytes | None = None

    def body(self) -> bytes | AsyncIterator[bytes] | None:
        """Return the body to send: again the same, as long as none of it was."""
        if not self.request.head.has_body:
            return None
        if self._whole is None:
            self._whole = self.request.body.whole()
        return self._whole if self._whole is not None else self.request.body.parts()

    async def tell(self, problem: Problem) -> None:
        """Answer with a problem instead of a target's answer."""
        if not self.request.body.complete:
            self.response.keep_alive = False  # what is left of the body will not be read
        named = [(REQUEST_ID, self.request_id.encode("ascii"))]
        await self.response.send_problem(problem, headers=named, request_id=self.request_id)


@dataclass(frozen=True, slots=True)
class _Failure:
    """An attempt without an answer."""

    problem: Problem
    retry: RetryReason | None  # why another target may be tried; None when none may


async def _relay(answer: aiohttp.ClientResponse, exchange: _Exchange) -> None:
    """Pass a target's answer on, no faster than the client reads it."""
    length = answer.headers.get("Content-Length")
    exchange.response.start(
        answer.status,
        answer.reason or "",
        _answer_headers(answer.raw_headers, exchange.request_id),
        length=int(length) if length is not None else None,
    )
    async for part in answer.content.iter_any():
        await exchange.response.write(part)
    exchange.response.finish()


def _answer_headers(headers: Iterable[Header], request_id: str) -> list[Header]:
    kept = [(name, value) for name, value in end_to_end(headers) if name.lower() not in FRAMED_ANEW]
    return [*kept, (REQUEST_ID, request_id.encode("ascii"))]


def _judge(error: Exception, target: Endpoint, request: Request) -> _Failure:
    """Return what an attempt's failure means for the client, and whether another target may be tried."""
    match request.body.failure:
        case RequestRefused(problem=problem):
            return _Failure(problem, retry=None)
        case ClientGone() as gone:
            raise gone
    match error:
        case aiohttp.ConnectionTimeoutError():
            slow = f"no connection to {target} within {CONNECT_S:g} s"
            return _Failure(Problem(HTTPStatus.GATEWAY_TIMEOUT, slow), retry="connect")
        case aiohttp.ClientConnectorError():
            return _Failure(Problem(HTTPStatus.BAD_GATEWAY, f"no connection to {target}"), retry="connect")
        case TimeoutError():
            return _Failure(Problem(HTTPStatus.GATEWAY_TIMEOUT, f"{target} did not answer in time"), retry=None)
        case aiohttp.ServerDisconnectedError() | aiohttp.ClientOSError():
            lost = Problem(HTTPStatus.BAD_GATEWAY, f"{target} closed the connection without an answer")
            return _Failure(lost, retry="lost" if _may_repeat(request.head) else None)
        case _:
            return _Failure(Problem(HTTPStatus.BAD_GATEWAY, f"{target} did not answer in HTTP"), retry=None)


def _may_repeat(head: RequestHead) -> bool:
    return head.method in IDEMPOTENT_METHODS and not head.has_body
