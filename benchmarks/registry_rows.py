"""The registry's API: DiscoverInstances against moto's server and a bare echo, and durable registrations."""

import asyncio
import itertools
import json
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.http_load import HttpLoad, HttpResult
from benchmarks.rounds import Contender, Row, run_rounds
from benchmarks.servers import Absent, Server, find, free_port, python, started, wait_for_port
from benchmarks.waypost_parts import NAMESPACE, Registry, fill, post

__all__ = ["discover_row", "load_http", "register_row"]

INSTANCES: Final = tuple(f"192.0.2.{number}" for number in range(1, 11))
DISCOVER_CONNECTIONS: Final = 16
REGISTER_CONNECTIONS: Final = 64
DISCOVER: Final = json.dumps({"NamespaceName": NAMESPACE, "ServiceName": "svc-0000", "HealthStatus": "ALL"})
MOTO_INSTALL: Final = "make bench-peers"


def discover_row(folder: Path, *, rounds: int, seconds: float) -> Row:
    """Measure how many DiscoverInstances of ten instances one process answers."""
    columns = ("rate", "cpu_us", "p50_ms", "p99_ms", "failed", "pss_mib")
    about = f"DiscoverInstances of {len(INSTANCES)} instances, {DISCOVER_CONNECTIONS} connections, as many as go"
    row = Row("discover", about, columns)
    with ExitStack() as stack:
        registry = stack.enter_context(Registry.running(_made(folder / "waypost")))
        asyncio.run(fill(registry.port, 1, INSTANCES))
        asked = post("DiscoverInstances", DISCOVER, registry.port)
        contenders = [_contender("waypost", Server((registry.registry,), registry.port), asked)]
        body = _made(folder / "echo") / "body"
        body.write_bytes(_body_of(registry.port))
        echo = stack.enter_context(_echo(body, folder / "echo"))
        contenders.append(_contender("bare ASGI echo of the same body", echo, asked))
        try:
            moto = stack.enter_context(_moto(_made(folder / "moto")))
            asyncio.run(fill(moto.port, 1, INSTANCES))
            contenders.append(_contender("moto_server", moto, post("DiscoverInstances", DISCOVER, moto.port)))
        except Absent as absent:
            row.absent.append(str(absent))
        run_rounds(row, contenders, rounds=rounds, seconds=seconds)
    return row


def register_row(folder: Path, *, rounds: int, seconds: float) -> Row:
    """Measure durable registrations: each is answered when it is committed and the nameserver has confirmed it."""
    columns = ("rate", "cpu_us", "p50_ms", "p99_ms", "transactions", "per_transaction", "failed")
    row = Row("register", f"RegisterInstance on {REGISTER_CONNECTIONS} connections, as many as go", columns)
    with ExitStack() as stack:
        registry = stack.enter_context(Registry.running(_made(folder / "waypost")))
        (service,) = asyncio.run(fill(registry.port, 1, INSTANCES[:1]))
        server = Server((registry.registry, registry.nameserver), registry.port)
        contenders = [Contender("waypost", server, partial(_register, registry.port, service, itertools.count()))]
        try:
            moto = stack.enter_context(_moto(_made(folder / "moto")))
            (service,) = asyncio.run(fill(moto.port, 1, INSTANCES[:1]))
            work = partial(_register, moto.port, service, itertools.count())
            contenders.append(Contender("moto_server (in memory)", moto, work))
        except Absent as absent:
            row.absent.append(str(absent))
        run_rounds(row, contenders, rounds=rounds, seconds=seconds)
    row.notes.append(f"Waypost's database is SQLite with full synchronisation, under {folder}")
    return row


def load_http(load: HttpLoad) -> dict[str, float]:
    """Run the generator, and return what came back by column."""
    result = msgspec.json.decode(python("benchmarks.http_load", msgspec.json.encode(load).decode()), type=HttpResult)
    return {
        "answered": result.answered,
        "rate": result.rate,
        "p50_ms": result.p50_ms,
        "p99_ms": result.p99_ms,
        "failed": result.failed,
    }


def _contender(name: str, server: Server, request: str) -> Contender:
    def work(seconds: float) -> Mapping[str, float]:
        return load_http(HttpLoad(port=server.port, seconds=seconds, connections=DISCOVER_CONNECTIONS, request=request))

    return Contender(name, server, work)


def _register(port: int, service: str, turns: Iterator[int], seconds: float) -> Mapping[str, float]:
    """Register instances under ids of their own, spread over 200 others so that no answer grows without end."""
    turn = next(turns)
    attributes = {"AWS_INSTANCE_IPV4": "192.0.2.7", "AWS_INSTANCE_PORT": "8080", "zone": "a"}
    body = json.dumps({"ServiceId": service, "InstanceId": f"t{turn:02}-@N@", "Attributes": attributes})
    request = post("RegisterInstance", body.replace("@N@", "000000"), port).replace("-000000", "-@N@")
    before = _transactions(port)
    load = HttpLoad(port=port, seconds=seconds, connections=REGISTER_CONNECTIONS, request=request)
    done = load_http(load)
    if before is None:
        return done
    transactions = (_transactions(port) or 0.0) - before
    return {**done, "transactions": transactions, "per_transaction": done["answered"] / max(1.0, transactions)}


def _transactions(port: int) -> float | None:
    """Return how many transactions the registry has committed; None where it does not say."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith("waypost_transactions_total ")), None)


def _body_of(port: int) -> bytes:
    head, _, body = post("DiscoverInstances", DISCOVER, port).partition("\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=body.encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return bytes(answer.read())


@contextmanager
def _echo(body: Path, folder: Path) -> Iterator[Server]:
    """Run the least that uvicorn can be asked for: an ASGI function that answers the same bytes."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.echo", str(port), str(body)]
    with started(command, log=folder / "log") as process:
        wait_for_port(port, log=folder / "log")
        yield Server((process,), port)


@contextmanager
def _moto(folder: Path) -> Iterator[Server]:
    program, port = find("moto_server", MOTO_INSTALL), free_port()
    with started([program, "-H", "127.0.0.1", "-p", str(port)], log=folder / "log") as process:
        wait_for_port(port, log=folder / "log")
        yield Server((process,), port)


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
