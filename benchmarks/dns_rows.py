"""DNS: A queries of Waypost's nameserver against the nameservers that people run, at the same fixed rate."""

import asyncio
import getpass
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Final

import msgspec

from benchmarks.dns_load import DnsLoad, DnsResult
from benchmarks.rounds import Contender, Row, run_rounds
from benchmarks.servers import Absent, Server, find, free_port, python, started
from benchmarks.waypost_parts import NAMESPACE, Registry, fill

__all__ = ["dns_row"]

SERVICES: Final = 1000
ADDRESSES: Final = ("192.0.2.1", "192.0.2.2", "192.0.2.3")
RATE: Final = 10_000  # queries a second: below saturation of each, and of the generator
COLUMNS: Final = ("cpu_us", "p50_ms", "p99_ms", "rate", "lost", "failed", "late", "pss_mib")


def dns_row(folder: Path, *, rounds: int, seconds: float) -> Row:
    """Measure and return the row."""
    row = Row(
        "dns", f"{SERVICES} names with {len(ADDRESSES)} A records each, {RATE:,} queries a second by UDP", COLUMNS
    )
    with ExitStack() as stack:
        registry = stack.enter_context(Registry.running(_made(folder / "waypost")))
        asyncio.run(fill(registry.port, SERVICES, ADDRESSES))
        contenders = [_contender("waypost", Server((registry.nameserver,), registry.dns_port))]
        for name, peer in PEERS.items():
            try:
                contenders.append(_contender(name, stack.enter_context(peer(_made(folder / name)))))
            except Absent as absent:
                row.absent.append(str(absent))
        run_rounds(row, contenders, rounds=rounds, seconds=seconds)
    row.notes.append("cpu_us is the server's processor time for each query; late counts what the generator sent late")
    return row


def _contender(name: str, server: Server) -> Contender:
    return Contender(name, server, partial(_ask, server.port))


def _ask(port: int, seconds: float) -> Mapping[str, float]:
    load = DnsLoad(port=port, seconds=seconds, rate=RATE, names=SERVICES)
    result = msgspec.json.decode(python("benchmarks.dns_load", msgspec.json.encode(load).decode()), type=DnsResult)
    return {
        "answered": result.answered,
        "rate": result.rate,
        "p50_ms": result.p50_ms,
        "p99_ms": result.p99_ms,
        "lost": result.sent - result.answered - result.failed,
        "failed": result.failed,
        "late": result.late,
    }


@contextmanager
def knot(folder: Path) -> Iterator[Server]:
    """Run Knot DNS on the same zone."""
    program, port = find("knotd", "apt-get install knot"), free_port()
    _write_zone(folder / "bench.zone")
    (folder / "knot.conf").write_text(
        f"server:\n  listen: 127.0.0.1@{port}\n  rundir: {folder}\n  udp-workers: 1\n"
        f"database:\n  storage: {folder}\nlog:\n  - target: stderr\n    any: warning\n"
        f"zone:\n  - domain: {NAMESPACE}\n    file: {folder / 'bench.zone'}\n    zonefile-sync: -1\n"
    )
    yield from _serve([program, "-c", str(folder / "knot.conf")], port, folder)


@contextmanager
def nsd(folder: Path) -> Iterator[Server]:
    """Run NSD on the same zone."""
    program, port = find("nsd", "apt-get install nsd"), free_port()
    _write_zone(folder / "bench.zone")
    (folder / "nsd.conf").write_text(
        f'server:\n  ip-address: 127.0.0.1@{port}\n  server-count: 1\n  username: ""\n  zonesdir: "{folder}"\n'
        f'  pidfile: "{folder}/nsd.pid"\n  xfrdfile: "{folder}/xfrd.state"\n  zonelistfile: "{folder}/zone.list"\n'
        "  rrl-ratelimit: 0\nremote-control:\n  control-enable: no\n"
        f"zone:\n  name: {NAMESPACE}\n  zonefile: bench.zone\n"
    )
    yield from _serve([program, "-d", "-c", str(folder / "nsd.conf")], port, folder)


@contextmanager
def dnsmasq(folder: Path) -> Iterator[Server]:
    """Run dnsmasq on a hosts file of the same names."""
    program, port = find("dnsmasq", "apt-get install dnsmasq-base"), free_port()
    names = [f"svc-{number:04}.{NAMESPACE}" for number in range(SERVICES)]
    (folder / "hosts").write_text("".join(f"{address} {name}\n" for name in names for address in ADDRESSES))
    options = f"-k -p {port} -h -H {folder / 'hosts'} -R --listen-address=127.0.0.1 --bind-interfaces -C /dev/null"
    own = f"--user={getpass.getuser()} --pid-file={folder / 'pid'} --local=/{NAMESPACE}/ --local-ttl=10"
    yield from _serve([program, *options.split(), *own.split()], port, folder)


PEERS: Final[Mapping[str, Callable[[Path], AbstractContextManager[Server]]]] = {
    "knot": knot,
    "nsd": nsd,
    "dnsmasq": dnsmasq,
}


def _serve(command: list[str], port: int, folder: Path) -> Iterator[Server]:
    with started(command, log=folder / "log") as process:
        deadline = time.monotonic() + 20
        while not _answers(port):
            if time.monotonic() > deadline:
                raise RuntimeError(f"{command[0]} did not start: {(folder / 'log').read_text()[-2000:]}")
        yield Server((process,), port)


def _answers(port: int) -> bool:
    load = DnsLoad(port=port, seconds=0.2, rate=50, names=SERVICES)
    try:
        printed = python("benchmarks.dns_load", msgspec.json.encode(load).decode())
    except Exception:  # nobody listens there yet
        return False
    return msgspec.json.decode(printed, type=DnsResult).answered == 10


def _write_zone(path: Path) -> None:
    lines = [f"$ORIGIN {NAMESPACE}.", "@ 10 IN SOA ns hostmaster 1 60 60 60 5", "@ 10 IN NS ns", "ns 10 IN A 192.0.2.9"]
    lines += [f"svc-{number:04} 10 IN A {address}" for number in range(SERVICES) for address in ADDRESSES]
    path.write_text("\n".join([*lines, ""]))


def _made(folder: Path) -> Path:
    folder.mkdir(parents=True)
    return folder
