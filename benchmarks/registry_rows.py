"""The registry's API: finding ten instances, and registering them durably, one by one and by the hundred."""

import socket
import urllib.request
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from time import perf_counter
from typing import Final

import msgspec

from benchmarks.arithmetic import percentile
from benchmarks.http_load import HttpLoad, HttpResult, is_whole
from benchmarks.rounds import Contender, Effort, Row, run_rounds
from benchmarks.servers import Absent, made, python
from benchmarks.stores import BATCH, DISCOVER, INSTANCES, SERVICES, STORES, Resolved, Store, echo
from benchmarks.waypost_parts import post

__all__ = [
    "called",
    "discover_rows",
    "discovering",
    "load_http",
    "register_rows",
    "registering",
    "visible",
    "visible_rows",
]

DISCOVER_CONNECTIONS: Final = 16
DISCOVER_RATE: Final = 200  # a second: moto's server bears twice that
REGISTER_CONNECTIONS: Final = 64
REGISTER_RATE: Final = 100
BATCH_CONNECTIONS: Final = 8
IDS: Final = 100  # of a service: later turns replace them, so that no answer grows without end
COLUMNS: Final = ("rate", "cpu_us", "p50_ms", "p99_ms", "failed", "pss_mib")


def discover_rows(folder: Path, effort: Effort) -> list[Row]:
    """Measure how many look-ups of ten instances one process answers, and how soon at a rate that all can bear."""
    about = f"looking {len(INSTANCES)} instances up by HTTP, {DISCOVER_CONNECTIONS} connections"
    most = Row("discover-most", f"{about}, as many as go", COLUMNS, drawn=("cpu_us", "rate"))
    fixed = Row("discover-fixed", f"{about}, {DISCOVER_RATE:,} a second", COLUMNS, drawn=("p99_ms",))
    with ExitStack() as stack:
        stores = _stores(stack, folder, most, only=_contenders(effort))
        asked = {name: (store.server, store.discover) for name, store in stores.items()}
        body = _answer_of(stores["waypost"].server.port)
        server = stack.enter_context(echo(body, made(folder / "echo")))
        asked["bare ASGI echo of Waypost's body"] = server, stores["waypost"].discover
        for row, rate in ((most, 0), (fixed, DISCOVER_RATE)):
            contenders = [
                Contender(name, server, discovering(server.port, request, rate))
                for name, (server, request) in asked.items()
            ]
            run_rounds(row, contenders, effort)
    return [most, fixed]


def discovering(port: int, request: str, rate: float = 0) -> Callable[[float], Mapping[str, float]]:
    """Return the work of looking up."""

    def work(seconds: float) -> Mapping[str, float]:
        load = HttpLoad(port=port, seconds=seconds, connections=DISCOVER_CONNECTIONS, rate=rate, requests=(request,))
        return load_http(load)

    return work


def register_rows(folder: Path, effort: Effort) -> list[Row]:
    """Measure registrations: Waypost's are answered when they are committed and its nameserver answers them."""
    columns = (*COLUMNS, "transactions", "per_transaction")
    single = f"registering one instance a call, {REGISTER_CONNECTIONS} connections"
    most = Row("register-most", f"{single}, as many as go", columns, drawn=("cpu_us", "rate"))
    fixed = Row("register-fixed", f"{single}, {REGISTER_RATE:,} a second", columns, drawn=("p99_ms",))
    about = f"registering {BATCH} instances a call, {BATCH_CONNECTIONS} connections; figures are of an instance"
    batch = Row("register-batch", about, columns, drawn=("cpu_us", "rate"))
    with ExitStack() as stack:
        stores = _stores(stack, folder, most, only=_contenders(effort))
        for row, rate in ((most, 0.0), (fixed, REGISTER_RATE)):
            singly = [Contender(name, store.server, registering(store, rate)) for name, store in stores.items()]
            run_rounds(row, singly, effort)
        batches = [Contender(name, each.server, _batching(each)) for name, each in stores.items() if each.batch]
        run_rounds(batch, batches, effort)
    most.notes.append(
        "Waypost writes to SQLite with full synchronisation; per_transaction calls share one (group commit)"
    )
    return [most, fixed, batch]


def registering(store: Store, rate: float = 0) -> Callable[[float], Mapping[str, float]]:
    """Return the work of registering instances one by one."""
    return partial(_register, store.server.port, store.register, REGISTER_CONNECTIONS, rate)


def _batching(store: Store) -> Callable[[float], Mapping[str, float]]:
    def work(seconds: float) -> Mapping[str, float]:
        done = dict(_register(store.server.port, store.batch, BATCH_CONNECTIONS, 0, seconds))
        return {**done, "answered": BATCH * done["answered"], "rate": BATCH * done["rate"]}

    return work


def _register(port: int, requests: list[str], connections: int, rate: float, seconds: float) -> Mapping[str, float]:
    before = _transactions(port)
    cycle = IDS if len(requests) > 1 else 10_000
    done = load_http(
        HttpLoad(port=port, seconds=seconds, connections=connections, rate=rate, requests=tuple(requests), cycle=cycle)
    )
    if before is None:
        return done
    transactions = (_transactions(port) or 0.0) - before
    return {**done, "transactions": transactions, "per_transaction": done["answered"] / max(1.0, transactions)}


def visible_rows(folder: Path, effort: Effort) -> list[Row]:
    """Measure how soon a registration that was answered is in DNS: one client, which asks as soon as it is answered."""
    columns = ("rate", "ack_p50_ms", "ack_p99_ms", "dns_p50_ms", "dns_p99_ms", "wrong", "cpu_us")
    row = Row(
        "visible",
        "one client registers an address, and asks DNS for it when it is answered",
        columns,
        drawn=("ack_p99_ms", "dns_p99_ms"),
    )
    with ExitStack() as stack:
        only = ("waypost",) if effort.alone else ("waypost", "consul")
        stores = _stores(stack, folder, row, only=only)
        contenders = [
            Contender(name, store.server, partial(visible, store.server.port, store.resolved))
            for name, store in stores.items()
            if store.resolved is not None
        ]
        run_rounds(row, contenders, effort)
    row.notes.append("ack is from the call to its answer, dns from there to the answer that names the address")
    row.notes.append("wrong counts answers that came after the acknowledgement and did not name it")
    row.notes.append("etcd and moto_server answer no DNS: there is nothing to compare")
    return [row]


def visible(port: int, resolved: Resolved, seconds: float) -> Mapping[str, float]:
    """Register addresses one by one, in services svc-0001 … by turns; ask DNS for each until it is there."""
    acknowledged, answered, wrong, number = [], [], 0, 0
    end = perf_counter() + seconds
    with (
        socket.create_connection(("127.0.0.1", port)) as api,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as dns,
    ):
        dns.connect(("127.0.0.1", resolved.dns_port))
        dns.settimeout(5)
        while perf_counter() < end:
            service = 1 + number % SERVICES
            address = f"198.51.{number // 250 % 250}.{1 + number % 250}"
            request = resolved.register(service, address)
            number += 1
            began = perf_counter()
            called(api, request)
            told = perf_counter()
            while True:
                dns.send((number & 0xFFFF).to_bytes(2, "big") + resolved.question(service))
                if socket.inet_aton(address) in dns.recv(4096):
                    break
                wrong += 1
            acknowledged.append(1000 * (told - began))
            answered.append(1000 * (perf_counter() - told))
    return {
        "answered": number,
        "rate": number / seconds,
        "ack_p50_ms": percentile(acknowledged, 50),
        "ack_p99_ms": percentile(acknowledged, 99),
        "dns_p50_ms": percentile(answered, 50),
        "dns_p99_ms": percentile(answered, 99),
        "wrong": wrong,
    }


def called(connection: socket.socket, request: str) -> None:
    """Send a request, and return once its answer is here.

    :raises RuntimeError: it was refused, or the server hung up.
    """
    connection.sendall(request.encode())
    said = b""
    while not _is_whole(said):
        part = connection.recv(65_536)
        if not part:
            raise RuntimeError(f"the server hung up after {said.decode()!r}")
        said += part
    if said[9:12] != b"200":
        raise RuntimeError(said.decode())


def _is_whole(said: bytes) -> bool:
    head, blank, body = said.partition(b"\r\n\r\n")
    return bool(blank) and is_whole(head.lower(), body)


def load_http(load: HttpLoad) -> dict[str, float]:
    """Run the generator, and return what came back by column."""
    result = msgspec.json.decode(python("benchmarks.http_load", msgspec.json.encode(load)), type=HttpResult)
    return {
        "answered": result.answered,
        "rate": result.rate,
        "p50_ms": result.p50_ms,
        "p99_ms": result.p99_ms,
        "failed": result.failed,
    }


def _contenders(effort: Effort) -> Collection[str]:
    return ("waypost",) if effort.alone else STORES


def _stores(stack: ExitStack, folder: Path, row: Row, *, only: Collection[str]) -> dict[str, Store]:
    """Start those stores that are installed, and name the others in the row."""
    running = {}
    for name, serve in STORES.items():
        if name not in only:
            continue
        try:
            running[name] = stack.enter_context(serve(made(folder / name)))
        except Absent as absent:
            row.absent.append(str(absent))
    row.notes += [each.remark for each in running.values() if each.remark]
    return running


def _transactions(port: int) -> float | None:
    """Return how many transactions the registry has committed; None where it does not say."""
    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in lines if line.startswith("waypost_transactions_total ")), None)


def _answer_of(port: int) -> bytes:
    head, _, body = post("DiscoverInstances", DISCOVER, port).partition("\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.split("\r\n")[1:])
    request = urllib.request.Request(f"http://127.0.0.1:{port}/", data=body.encode(), headers=headers)
    with urllib.request.urlopen(request, timeout=5) as answer:
        return bytes(answer.read())
