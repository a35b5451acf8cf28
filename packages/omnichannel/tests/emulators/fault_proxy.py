"""A proxy in front of an emulator of an AWS service (JSON 1.1), which has faults that the emulator has not.

A fault answers a call of one operation in place of the emulator, or changes what becomes of its answer. Each is used
once, in order; calls without a fault go through.
"""

import asyncio
import json
from collections import Counter, defaultdict, deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
from aiohttp import web

Fault = Callable[[web.Request, bytes, "FaultProxy"], Awaitable[web.StreamResponse]]


class FaultProxy:
    """Listens at ``url`` while it runs, and counts the calls that it has had."""

    def __init__(self, target: str) -> None:
        self.target, self.url = target, ""
        self.calls: Counter[str] = Counter()
        self.records = 0  # in calls of PutRecords, repetitions included
        self._faults: defaultdict[str, deque[Fault]] = defaultdict(deque)

    def inject(self, operation: str, *faults: Fault) -> None:
        """Let the next calls of an operation have these faults."""
        self._faults[operation].extend(faults)

    @property
    def pending(self) -> int:
        """How many faults have not been used yet."""
        return sum(map(len, self._faults.values()))

    async def forward(self, request: web.Request, body: bytes) -> tuple[int, dict[str, str], bytes]:
        """Ask the emulator, and return status, headers and body of its answer."""
        drop = ("host", "connection", "content-length")
        headers = {name: value for name, value in request.headers.items() if name.lower() not in drop}
        url = self.target + request.path_qs
        async with self._session.request(request.method, url, data=body, headers=headers) as answer:
            kept = {"content-type": answer.headers.get("content-type", "application/x-amz-json-1.1")}
            return answer.status, kept, await answer.read()

    async def handle(self, request: web.Request) -> web.StreamResponse:
        """Answer one call."""
        body = await request.read()
        operation = request.headers.get("x-amz-target", "").rpartition(".")[2]
        self.calls[operation] += 1
        if operation == "PutRecords":
            self.records += len(json.loads(body)["Records"])
        if self._faults[operation]:
            return await self._faults[operation].popleft()(request, body, self)
        return _response(*await self.forward(request, body))

    @asynccontextmanager
    async def running(self) -> AsyncIterator["FaultProxy"]:
        """Listen on a free port of loopback."""
        async with aiohttp.ClientSession(auto_decompress=False) as self._session:
            runner = web.ServerRunner(web.Server(self.handle), shutdown_timeout=0.1)
            await runner.setup()
            await web.TCPSite(runner, "127.0.0.1", 0).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
            try:
                yield self
            finally:
                await runner.cleanup()


def refuses(code: str, *, status: int = 400) -> Fault:
    """Answer with an error of the API."""

    async def fault(_: web.Request, __: bytes, ___: FaultProxy) -> web.StreamResponse:
        text = json.dumps({"__type": code, "message": "injected"})
        return web.Response(status=status, text=text, content_type="application/x-amz-json-1.1")

    return fault


def takes_a_part(failed: Callable[[int], bool]) -> Fault:
    """Take those records of a PutRecords whose place does not fail, and say so of the others."""

    async def fault(request: web.Request, body: bytes, proxy: FaultProxy) -> web.StreamResponse:
        asked = json.loads(body)
        records = asked["Records"]
        taken = [record for place, record in enumerate(records) if not failed(place)]
        status, headers, answer = await proxy.forward(request, json.dumps(asked | {"Records": taken}).encode())
        if status != 200:
            return _response(status, headers, answer)
        results = iter(json.loads(answer)["Records"])
        refused = {"ErrorCode": "ProvisionedThroughputExceededException", "ErrorMessage": "injected"}
        told = [refused if failed(place) else next(results) for place in range(len(records))]
        whole: dict[str, Any] = {"FailedRecordCount": len(records) - len(taken), "Records": told}
        return _response(200, headers, json.dumps(whole).encode())

    return fault


def resets_after_acceptance() -> Fault:
    """Let the call take place, and cut the connection instead of answering."""

    async def fault(request: web.Request, body: bytes, proxy: FaultProxy) -> web.StreamResponse:
        await proxy.forward(request, body)
        assert request.transport is not None
        request.transport.abort()
        return web.Response()

    return fault


def stalls(seconds: float) -> Fault:
    """Let the call take place, and answer late."""

    async def fault(request: web.Request, body: bytes, proxy: FaultProxy) -> web.StreamResponse:
        answer = await proxy.forward(request, body)
        await asyncio.sleep(seconds)
        return _response(*answer)

    return fault


def _response(status: int, headers: dict[str, str], body: bytes) -> web.Response:
    return web.Response(status=status, headers=headers, body=body)
