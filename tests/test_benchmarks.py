"""The benchmarks count right, and every row of theirs runs: one that miscounts is worse than none."""

import asyncio
import os
import shutil
import socket
import struct
import subprocess
import sys
import threading
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
from benchmarks.dns_load import A, query
from benchmarks.nameservers import Zone, ask_each_once

CHECKOUT = Path(__file__).parents[1]
TINY_S = 170  # that a row may take on a busy machine: a few seconds otherwise
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"


def generated(module: str, **load: float | str) -> dict[str, float]:
    command = [sys.executable, "-m", module, msgspec.json.encode(load).decode()]
    done = subprocess.run(command, cwd=CHECKOUT, check=True, capture_output=True, timeout=30)
    return dict(msgspec.json.decode(done.stdout))


@contextmanager
def http_server(answers: list[bytes]) -> Iterator[tuple[int, list[int]]]:
    """Serve in a thread: each request gets the next of the answers, over and over; an empty one cuts the connection."""
    served: list[int] = []
    loop = asyncio.new_event_loop()
    listener = socket.create_server(("127.0.0.1", 0))

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while await reader.readuntil(b"\r\n\r\n"):
                served.append(1)
                answer = answers[len(served) % len(answers)]
                writer.write(answer)
                if not answer:
                    break
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def run() -> None:
        server = loop.run_until_complete(asyncio.start_server(serve, sock=listener))
        loop.run_forever()
        server.close()
        for task in asyncio.all_tasks(loop):
            task.cancel()
        loop.run_until_complete(asyncio.sleep(0.01))
        loop.close()

    thread = threading.Thread(target=run)
    thread.start()
    yield listener.getsockname()[1], served
    loop.call_soon_threadsafe(loop.stop)
    thread.join()


def test_every_answer_is_counted_once() -> None:
    with http_server([OK]) as (port, served):
        counted = generated("benchmarks.http_load", port=port, seconds=0.5, connections=4)
        assert 0 <= len(served) - counted["answered"] <= 4  # those under way at the end
    assert counted["failed"] == 0


def test_refusals_and_broken_connections_are_failures() -> None:
    with http_server([OK, OK, b"HTTP/1.1 503 No\r\nContent-Length: 0\r\n\r\n", b""]) as (port, served):
        counted = generated("benchmarks.http_load", port=port, seconds=0.5, connections=2)
        assert abs(counted["failed"] - len(served) / 2) <= 4


def test_at_a_fixed_rate_so_many_requests_are_sent() -> None:
    with http_server([OK]) as (port, _):
        counted = generated("benchmarks.http_load", port=port, seconds=1, rate=200)
    assert 150 <= counted["answered"] + counted["failed"] <= 201


@pytest.mark.parametrize(("answered_of", "flags"), [(1, 0x8180), (4, 0x8180), (1, 0x8182)])
def test_dns_answers_losses_and_errors_are_told_apart(answered_of: int, flags: int) -> None:
    stop = threading.Event()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))
        server.settimeout(0.1)

        def serve() -> None:
            count = 0
            while not stop.is_set():
                try:
                    asked, peer = server.recvfrom(512)
                except TimeoutError:
                    continue
                count += 1
                if count % answered_of == 0:
                    server.sendto(asked[:2] + struct.pack(">HHHHH", flags, 1, 1, 0, 0) + asked[12:], peer)

        thread = threading.Thread(target=serve)
        thread.start()
        counted = generated("benchmarks.dns_load", port=server.getsockname()[1], seconds=0.5, rate=200, names=10)
        stop.set()
        thread.join()
    assert counted["sent"] == 100
    failed = 100 / answered_of if flags & 15 else 0
    assert (counted["answered"], counted["failed"]) == (100 / answered_of - failed, failed)


def test_each_name_is_asked_for_once_before_it_is_measured() -> None:
    zone, asked = Zone(150, A), []
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", 0))

        def serve() -> None:
            while len(asked) < zone.services:
                wire, peer = server.recvfrom(512)
                asked.append(wire[2:])
                server.sendto(wire, peer)

        thread = threading.Thread(target=serve)
        thread.start()
        assert ask_each_once(server.getsockname()[1], zone) == 150
        thread.join()
    assert asked == [query(number, A) for number in range(150)]


def test_a_chunked_answer_is_whole_when_its_last_chunk_has_come() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n0\r\n\r\n\r\n2\r\nok\r\n0\r\n\r\n"
    with http_server([chunked]) as (port, served):
        counted = generated("benchmarks.http_load", port=port, seconds=0.3, connections=2)
        assert 0 <= len(served) - counted["answered"] <= 2
    assert counted["failed"] == 0


def measured(
    folder: Path,
    *options: str,
    timeout_s: float = TINY_S,
    environment: dict[str, str] | None = None,
    cwd: Path = CHECKOUT,
) -> tuple[str, dict[str, dict[str, Any]]]:
    """Run rows for a moment; return what was printed, and what was written by its name."""
    command = [sys.executable, "-m", "benchmarks", "--rounds", "1", "--seconds", "0.2", "--results", str(folder)]
    done = subprocess.run(
        [*command, *options], cwd=cwd, capture_output=True, text=True, timeout=timeout_s, env=environment
    )
    assert done.returncode == 0, done.stderr
    for drawn in folder.glob("*.svg"):
        ET.parse(drawn)
    return done.stdout, {path.stem: msgspec.json.decode(path.read_bytes()) for path in folder.glob("*.json")}


def figures(document: dict[str, Any], contender: str = "waypost") -> dict[str, float]:
    """Return a contender's medians, of every column that the row has."""
    medians: dict[str, float] = document["contenders"][contender]["medians"]
    return medians


def assert_there_or_named(document: dict[str, Any], printed: str, *peers: tuple[str, str]) -> None:
    for contender, named in peers:
        assert (contender in document["contenders"]) != (f"{named} is absent" in printed), contender


def assert_installed_in_ci(program: str) -> None:
    assert shutil.which(program) or not os.environ.get("CI"), f"{program} is not installed"


@pytest.mark.timeout(TINY_S + 10)
def test_dns_is_measured_beside_what_loads_the_registry(tmp_path: Path) -> None:
    _, rows = measured(tmp_path, "dns-busy")
    contenders = rows["dns-busy"]["contenders"]
    assert len(contenders) == 3
    for name in contenders:
        assert figures(rows["dns-busy"], name)["p99_ms"] > 0
        assert figures(rows["dns-busy"], name)["failed"] == 0


@pytest.mark.timeout(TINY_S + 10)
def test_nameservers_are_measured_side_by_side(tmp_path: Path) -> None:
    printed, rows = measured(tmp_path, "dns", "--sizes", "30")
    flooded = {"dns-a-most-30", "dns-srv-most-30"}
    assert set(rows) == {"dns-a-30", "dns-srv-30"} | flooded
    assert_installed_in_ci("dnsperf")
    for name, row in rows.items():
        if name in flooded and not row["contenders"]:
            assert "dnsperf is absent; apt-get install dnsperf" in printed
            continue
        assert figures(row).keys() == set(row["columns"])
        assert figures(row)["cpu_us"] >= 0
        assert name in flooded or figures(row)["pss_mib"] > 1
        assert figures(row)["failed"] == 0
        assert "floor (an echo)" in row["contenders"]
        assert row["machine"]["cores"] >= 1
        peers = ("knot", "knotd"), ("nsd", "nsd"), ("bind9", "named"), ("dnsmasq", "dnsmasq"), ("pdns", "pdns_server")
        assert_there_or_named(row, printed, *peers)
    assert (tmp_path / "dns-a-30-cpu-us.svg").exists()


@pytest.mark.timeout(TINY_S + 10)
def test_look_ups_are_measured_side_by_side(tmp_path: Path) -> None:
    printed, rows = measured(tmp_path, "discover")
    assert set(rows) == {"discover-most", "discover-fixed"}
    for row in rows.values():
        assert figures(row).keys() == set(row["columns"])
        assert figures(row)["rate"] > 0
        assert figures(row)["failed"] == 0
        assert "bare ASGI echo of Waypost's body" in row["contenders"]
        assert_there_or_named(row, printed, ("moto_server", "moto_server"), ("etcd", "etcd"), ("consul", "consul"))


@pytest.mark.timeout(TINY_S + 10)
def test_peers_that_are_absent_are_named_with_the_line_that_installs_them(tmp_path: Path) -> None:
    nowhere = {**os.environ, "PATH": str(tmp_path), "PYTHONPATH": str(CHECKOUT)}
    printed, rows = measured(tmp_path / "results", "discover", environment=nowhere, cwd=tmp_path)
    named = {
        "moto_server is absent; make bench-peers",
        "etcd is absent; apt-get install etcd-server",
        "consul is absent; put HashiCorp's consul on the PATH",
    }
    assert set(rows["discover-most"]["absent"]) == named
    assert all(each in printed for each in named)
    assert rows["discover-most"]["contenders"].keys() == {"waypost", "bare ASGI echo of Waypost's body"}


@pytest.mark.timeout(TINY_S + 10)
def test_registrations_are_measured_side_by_side(tmp_path: Path) -> None:
    printed, rows = measured(tmp_path, "register", "visible")
    assert set(rows) == {"register-most", "register-fixed", "register-batch", "visible"}
    for name in ("register-most", "register-fixed", "register-batch"):
        ours = figures(rows[name])
        assert ours.keys() == set(rows[name]["columns"])
        assert ours["rate"] > 0
        assert ours["failed"] == 0
        assert ours["transactions"] > 0
    assert_there_or_named(rows["register-batch"], printed, ("etcd", "etcd"))
    assert figures(rows["visible"])["wrong"] == 0


@pytest.mark.timeout(TINY_S + 10)
def test_the_balancer_is_measured_side_by_side(tmp_path: Path) -> None:
    printed, rows = measured(tmp_path, "balancer")
    assert set(rows) == {"balancer-most", "balancer-fixed"}
    for row in rows.values():
        assert figures(row)["rate"] > 0
        assert figures(row)["failed"] == 0
        assert_there_or_named(row, printed, ("haproxy", "haproxy"))


@pytest.mark.timeout(TINY_S + 10)
def test_failover_is_measured_for_every_way_of_watching(tmp_path: Path) -> None:
    _, rows = measured(tmp_path, "failover")
    gone = {name: figures(rows["failover"], name)["gone_ms"] for name in rows["failover"]["contenders"]}
    assert len(gone) == 5
    assert all(gone.values())


@pytest.mark.timeout(TINY_S + 10)
def test_growth_is_measured_size_by_size(tmp_path: Path) -> None:
    _, curves = measured(tmp_path, "growth", "--alone", "--sizes", "30,300")
    assert {name for name in curves if not name.startswith("growth-")} == set()
    assert curves["growth-failover"]["points"].keys() == {"checked each 100 ms", "lease of 1 s"}
    for name, curve in curves.items():
        assert all(points.keys() == {"30", "300"} for points in curve["points"].values())
        assert name == "growth-failover" or any(contender.startswith("waypost") for contender in curve["points"])
        assert (tmp_path / f"{name}.svg").exists()


@pytest.mark.soak  # each store is started and filled, twice
@pytest.mark.timeout(600)
def test_growth_is_measured_beside_the_stores_that_take_so_many(tmp_path: Path) -> None:
    printed, curves = measured(tmp_path, "growth", "--sizes", "30", timeout_s=580)
    for peer, program in (("moto_server", "moto_server"), ("etcd", "etcd"), ("consul", "consul")):
        for name in ("growth-discover", "growth-register", "growth-bulk", "growth-memory"):
            assert curves[name]["points"].get(peer, {}).get("30") or f"{program} is absent" in printed


def test_an_unknown_row_is_refused_with_the_rows_there_are() -> None:
    command = [sys.executable, "-m", "benchmarks", "dnss"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=30)
    assert done.returncode == 2
    assert "there is no row dnss; rows are dns, " in done.stderr


@pytest.mark.soak  # dozens of processes start and end, which alone takes half a minute of a processor
@pytest.mark.timeout(600)
def test_the_publisher_is_measured_side_by_side(tmp_path: Path) -> None:
    printed, rows = measured(
        tmp_path, "publisher", "publisher-growth", "--sizes", "30", "--seconds", "1", timeout_s=580
    )
    assert set(rows) >= {"publisher-deliver", "publisher-accept", "publisher-late", "growth-deliver-cpu"}
    peers = ("procrastinate", "procrastinate"), ("celery on redis", "celery")
    assert_there_or_named(rows["publisher-deliver"], printed, *peers)
    for kind in ("postgresql", "sqlite"):
        assert figures(rows["publisher-accept"], f"{kind}, batches")["rate"] > 0
        assert figures(rows["publisher-deliver"], f"omnichannel, {kind}")["rate"] > 0
        assert figures(rows["publisher-deliver"], f"omnichannel, {kind}, 30 pending")["rate"] > 0
        assert figures(rows["publisher-accept"], f"{kind}, single, 30 pending")["rate"] > 0
        assert figures(rows["publisher-late"], f"{kind}, 100/s")["p99_ms"] > 0
        assert figures(rows["publisher-late"], f"{kind}, 100/s, 30 pending")["p99_ms"] > 0
        for name in ("growth-accept", "growth-deliver-cpu", "growth-deliver-rate", "growth-late"):
            assert rows[name]["points"][f"omnichannel, {kind}"]["30"]
