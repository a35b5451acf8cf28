"""The load generators count right: a benchmark that miscounts is worse than none."""

import asyncio
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest

CHECKOUT = Path(__file__).parents[1]
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


def test_a_row_is_measured_printed_and_written_and_absent_peers_are_named(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks", "discover", "--rounds", "1", "--seconds", "0.2"]
    done = subprocess.run(
        [*command, "--results", tmp_path], cwd=CHECKOUT, check=True, capture_output=True, text=True, timeout=50
    )
    written = msgspec.json.decode((tmp_path / "discover.json").read_bytes())
    ours = written["contenders"]["waypost"]["medians"]
    assert ours["rate"] > 0
    assert ours["cpu_us"] > 0
    assert ours["failed"] == 0
    assert "waypost" in done.stdout
    assert ("moto_server" in written["contenders"]) != ("moto_server is absent; make bench-peers" in done.stdout)
