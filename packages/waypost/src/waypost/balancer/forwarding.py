"""Carries one request to a target and the answer back, by way of another target where that is safe."""

import time
from asyncio import CancelledError
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

from waypost.balancer.access_log import AccessLine, AccessLog
from waypost.balancer.checks import Standing
from waypost.balancer.connection import Request
from waypost.balancer.headers import REQUEST_ID, Forwarding, end_to_end, request_id, trace_id
from waypost.balancer.metrics import Metrics, RetryReason
from waypost.balancer.problems import Problem, RequestRefused
from waypost.balancer.requests import Header
from waypost.balancer.response import ClientGone, Response
from waypost.balancer.target_connection import (
    Answer,
    AnswerInvalid,
    ConnectionLost,
    NotConnected,
    TargetConnection,
    TargetFailed,
    TargetSilent,
)
from waypost.balancer.targets import Targets
from waypost.balancer.upstream import CONNECT_S, Upstream
from waypost.promise import PromiseLog
from waypost.structured_log import structlog
from waypost_client import IDEMPOTENT_METHODS, Endpoint, RetryBudget, Spread
from waypost_client.tracing import Span, Tracing, trace_id_of

__all__ = ["Forwarder"]

ATTEMPTS: Final = 3
OPEN_REQUESTS: Final = 2048  # more are refused with 503: a target that hangs must not use up the memory
SERVER_ERROR: Final = 500
FRAMED_ANEW: Final = frozenset((b"content-length", b"x-request-id"))
LOGGED_PATH: Final = 1000  # characters; the query is left out, as it may hold secrets
CLIENT_CLOSED: Final = 499  # as nginx logs it: the client went before it was answered

log = structlog.get_logger()


class Forwarder:
    """Answers requests by the healthy targets: by the one with the fewest requests under way."""

    def __init__(
        self,
        service: str,
        targets: Targets,
        upstream: Upstream,
        *,
        forwarding: Forwarding,
        metrics: Metrics,
        promise: PromiseLog,
        standing: Standing | None = None,
        access_log: AccessLog | None = None,
        tracing: Tracing | None = None,
        open_requests: int = OPEN_REQUESTS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Balance for ``service``, which is its full name: ``api.example.com``."""
        self._service = service
        self._targets = targets
        self._upstream = upstream
        self._forwarding = forwarding
        self._metrics = metrics
        self._promise = promise
        self._standing = standing or Standing(fall=1)
        self._access_log = access_log
        self._tracing = tracing
        self._most_open = open_requests
        self._open = 0
        self._spread = Spread(least_busy=True)
        self._budget = RetryBudget(now=clock())
        self._clock = clock

    async def __call__(self, request: Request, response: Response) -> None:
        """Answer one request, and count it and log it."""
        started = self._clock()
        exchange = _Exchange(request, response, request_id(request.head))
        if self._tracing is not None:
            exchange.span = _span(self._tracing, request)
        self._open += 1
        self._metrics.open.set(self._open)
        try:
            await self._answer(exchange)
        except (ClientGone, CancelledError):  # a connection that is lost cancels what it asked for
            exchange.client_gone = True
            raise
        finally:
            self._open -= 1
            self._metrics.open.set(self._open)
            self._note(exchange, self._clock() - started)
            if exchange.span is not None:
                _end(exchange.span, exchange)

    @property
    def usable_targets(self) -> Sequence[Endpoint]:
        """The targets that the next request may go to."""
        now, known = self._clock(), self._standing.usable(self._targets.endpoints)
        return self._spread.ejections.usable(known, now=now, under_way=self._spread.under_way)

    async def _answer(self, exchange: "_Exchange") -> None:
        if self._open > self._most_open:
            full = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too many requests are under way", retry_after_s=1)
            await exchange.tell(full)
            return
        self._budget.note_request()
        tried: set[Endpoint] = set()
        problem = Problem(HTTPStatus.SERVICE_UNAVAILABLE, f"{self._service} has no healthy instance", retry_after_s=1)
        for _ in range(ATTEMPTS):
            known = self._standing.usable(self._targets.endpoints)
            target = self._spread.choose(known, now=self._clock(), without=tried)
            if target is None:
                break
            tried.add(target)
            failure = await self._try(target, exchange)
            if failure is None:
                return
            problem = failure.problem
            if failure.retry is None or not self._may_retry(failure.retry):
                break
            self._metrics.retries.labels(failure.retry).inc()
        await exchange.tell(problem)

    def _may_retry(self, reason: RetryReason) -> bool:
        """Return whether one more attempt is allowed. One where nothing was sent adds no load, and always is."""
        return reason == "connect" or self._budget.take(now=self._clock())

    async def _try(self, target: Endpoint, exchange: "_Exchange") -> "_Failure | None":
        """Answer by one target; return None when that is done, and why not otherwise."""
        exchange.target = target
        exchange.attempts += 1
        if self._promise.on:
            self._promise.answered("balancer", self._service, [str(target)], 0)
        self._spread.begin(target)
        try:
            try:
                await self._exchange(target, exchange)
            except ConnectionLost as lost:
                # A kept connection that its target closed just then says nothing about the target.
                if not (lost.reused and not lost.answered and exchange.may_repeat):
                    raise
                await self._exchange(target, exchange, fresh=True)
        except TargetFailed as error:
            self._note_failure(target, error)
            if exchange.response.status is not None:
                raise ClientGone from error  # the client has a part of the answer: only a cut connection says so
            return _judge(error, target, exchange)
        except RequestRefused as refusal:  # met in the body, on its way to the target
            if exchange.response.status is not None:
                raise ClientGone from refusal
            return _Failure(refusal.problem, retry=None)
        finally:
            self._spread.end(target)
        return None

    async def _exchange(self, target: Endpoint, exchange: "_Exchange", *, fresh: bool = False) -> None:
        connection = await self._upstream.connection(target, fresh=fresh)
        try:
            body = exchange.body()
            head = self._head(exchange, body)
            answer = await connection.ask(
                exchange.request.head.method, head, body, chunked=exchange.request.head.chunked
            )
            if answer.status >= SERVER_ERROR:
                self._note_failure(target, f"HTTP {answer.status}")
            else:
                self._spread.ejections.note_success(target, now=self._clock())
            await _relay(answer, connection, exchange)
        finally:
            self._upstream.release(target, connection)

    def _head(self, exchange: "_Exchange", body: bytes | AsyncIterator[bytes] | None) -> bytes:
        """Return request line and headers as they go to a target."""
        head = exchange.request.head
        lines = [f"{head.method} {head.path} HTTP/1.1".encode("ascii")]
        headers = self._forwarding.headers(head, exchange.request.peer, exchange.request_id)
        if exchange.span is not None:
            headers = [header for header in headers if header[0].lower() != b"traceparent"]
            headers.append((b"traceparent", exchange.span.traceparent.encode("ascii")))
        lines += [b"%b: %b" % header for header in headers]
        if head.chunked:
            framed = b"Content-Length: %d" % len(body) if isinstance(body, bytes) else b"Transfer-Encoding: chunked"
            lines.append(framed)
        return b"\r\n".join([*lines, b"", b""])

    def _note_failure(self, target: Endpoint, reason: TargetFailed | str) -> None:
        if isinstance(reason, NotConnected) and reason.own_fault:
            return
        proven = isinstance(reason, NotConnected)
        hold_s = self._spread.ejections.note_failure(target, now=self._clock(), proven=proven)
        if hold_s is not None:
            self._metrics.ejections.inc()
            why = reason if isinstance(reason, str) else type(reason).__name__
            log.warning("target.ejected", target=str(target), hold_s=hold_s, reason=why)

    def _note(self, exchange: "_Exchange", seconds: float) -> None:
        unanswered = CLIENT_CLOSED if exchange.client_gone else HTTPStatus.INTERNAL_SERVER_ERROR.value
        status = exchange.response.status or unanswered
        self._metrics.note_request(status, seconds)
        if self._access_log is not None:
            head = exchange.request.head
            self._access_log.note(
                AccessLine(
                    timestamp=self._access_log.now(),
                    method=head.method,
                    path=head.path.partition("?")[0][:LOGGED_PATH],
                    status=status,
                    target=str(exchange.target) if exchange.target is not None else None,
                    attempts=exchange.attempts,
                    peer=exchange.request.peer,
                    request_id=exchange.request_id,
                    trace_id=trace_id(head) if exchange.span is None else trace_id_of(exchange.span.traceparent),
                    received=exchange.request.body.received,
                    sent=exchange.response.sent,
                    ms=round(seconds * 1000, 1),
                )
            )


@dataclass(slots=True)
class _Exchange:
    """One request while it is answered."""

    request: Request
    response: Response
    request_id: str
    target: Endpoint | None = None  # that was tried last
    attempts: int = 0
    client_gone: bool = False
    span: Span | None = None  # None: nothing is traced
    _whole: bytes | None = None

    def body(self) -> bytes | AsyncIterator[bytes] | None:
        """Return the body to send: again the same, as long as none of it was."""
        if not self.request.head.has_body:
            return None
        if self._whole is None:
            self._whole = self.request.body.whole()
        return self._whole if self._whole is not None else self.request.body.parts()

    @property
    def may_repeat(self) -> bool:
        """Whether the same may be sent again although it may have arrived, and is still here to be sent."""
        head = self.request.head
        return head.method in IDEMPOTENT_METHODS and (not head.has_body or self._whole is not None)

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


def _span(tracing: Tracing, request: Request) -> Span:
    """Start the span of a request, below the client's where it sent one."""
    given = request.head.values(b"traceparent")
    parent = given[0].decode("latin-1") if len(given) == 1 else None
    span = tracing.start(f"proxy {request.head.method}", kind="server", parent=parent)
    span.tell({"url.path": request.head.path.partition("?")[0][:LOGGED_PATH], "client.address": request.peer})
    return span


def _end(span: Span, exchange: _Exchange) -> None:
    with span:
        status = exchange.response.status
        span.tell({"waypost.attempts": exchange.attempts, "waypost.target": str(exchange.target)})
        if status is not None:
            span.tell({"http.response.status_code": status})
        if status is None or status >= SERVER_ERROR:
            span.fail("no answer" if status is None else f"HTTP {status}")


async def _relay(answer: Answer, connection: TargetConnection, exchange: _Exchange) -> None:
    """Pass a target's answer on part by part, no faster than the client reads it."""
    response = exchange.response
    response.start(answer.status, answer.reason, _answer_headers(answer, exchange.request_id), length=answer.length)
    whole = connection.take_whole()
    if whole is not None:
        await response.write(whole)
    else:
        async for part in connection.parts():
            await response.write(part)
    response.finish()


def _answer_headers(answer: Answer, request_id: str) -> list[Header]:
    kept = end_to_end(answer.headers, FRAMED_ANEW)
    kept.append((REQUEST_ID, request_id.encode("ascii")))
    return kept


def _judge(error: TargetFailed, target: Endpoint, exchange: _Exchange) -> _Failure:
    """Return what an attempt's failure means for the client, and whether another target may be tried."""
    match error:
        case NotConnected(own_fault=True):
            full = Problem(HTTPStatus.SERVICE_UNAVAILABLE, "there are too many connections", retry_after_s=1)
            return _Failure(full, retry=None)
        case NotConnected(in_time=False):
            slow = f"no connection to {target} within {CONNECT_S:g} s"
            return _Failure(Problem(HTTPStatus.GATEWAY_TIMEOUT, slow), retry="connect")
        case NotConnected():
            return _Failure(Problem(HTTPStatus.BAD_GATEWAY, f"no connection to {target}"), retry="connect")
        case TargetSilent():
            return _Failure(Problem(HTTPStatus.GATEWAY_TIMEOUT, f"{target} did not answer in time"), retry=None)
        case ConnectionLost(answered=False):
            lost = Problem(HTTPStatus.BAD_GATEWAY, f"{target} closed the connection without an answer")
            return _Failure(lost, retry="lost" if exchange.may_repeat else None)
        case ConnectionLost():
            broken = f"{target} closed the connection in the middle of its answer"
            return _Failure(Problem(HTTPStatus.BAD_GATEWAY, broken), retry=None)
        case AnswerInvalid():
            return _Failure(Problem(HTTPStatus.BAD_GATEWAY, f"{target} did not answer in HTTP: {error}"), retry=None)
        case _:
            return _Failure(Problem(HTTPStatus.BAD_GATEWAY, f"{target} did not answer"), retry=None)
