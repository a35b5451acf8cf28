"""The whole platform as a newcomer meets it: ``make up`` in this checkout, on addresses of the test's own."""

import contextlib
import email
import itertools
import json
import os
import queue
import signal
import socket
import subprocess
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import boto3
import dns.exception
import dns.message
import dns.query
import psutil
import pytest
from aiosmtpd.controller import Controller
from botocore.config import Config
from tests.browser import browser, page  # noqa: F401 (fixtures)

from waypost.promise import read_events, violations

CHECKOUT = Path(__file__).parents[1]
NETWORKS = itertools.count()
PATIENCE_S = 60.0  # a busy machine starts a dozen processes


def eventually(condition: Callable[[], Any], *, within_s: float = PATIENCE_S, what: str = "") -> Any:
    """Return the first true value of a condition on other processes; fail if there is none in time."""
    deadline = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        assert time.monotonic() < deadline, f"not within {within_s} s: {what or condition}"
        time.sleep(0.02)


@dataclass
class WebhookReceiver:
    """A server that takes webhooks, and remembers each with the instant of its arrival."""

    received: list[tuple[datetime, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        received, lock = self.received, threading.Lock()

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with lock:
                    received.append((datetime.now(UTC), {**body, "webhook-id": self.headers["webhook-id"]}))
                self.send_response(204)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None: ...

        class Server(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 256

            def handle_error(self, *_: Any) -> None:
                """A worker that is killed cuts its connection: no news."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.05})
        self.thread.start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_address[1]}/hook"

    def about(self, subject: str) -> list[tuple[datetime, dict[str, Any]]]:
        return [each for each in list(self.received) if each[1]["subject"] == subject]

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()


class Mailbox:
    """What the SMTP server takes in."""

    def __init__(self) -> None:
        self.mails: queue.Queue[tuple[datetime, list[str], Message]] = queue.Queue()

    async def handle_DATA(self, _server: object, _session: object, envelope: Any) -> str:  # noqa: N802
        self.mails.put((datetime.now(UTC), envelope.rcpt_tos, email.message_from_bytes(envelope.content)))
        return "250 taken"


@dataclass
class Platform:
    """One ``make up``, and what can be seen of it from outside."""

    state: Path
    environment: dict[str, str] = field(default_factory=dict)
    network: str = field(default_factory=lambda: f"127.{150 + os.getpid() % 50}.{next(NETWORKS) % 32 * 8}.0/21")
    process: "subprocess.Popen[bytes] | None" = None

    @property
    def output(self) -> str:
        return (self.state.parent / f"{self.state.name}.out").read_text()

    @property
    def promises(self) -> Path:
        return self.state.parent / f"{self.state.name}.promises"

    @property
    def run(self) -> dict[str, Any]:
        return dict(json.loads((self.state / "run.json").read_text()))

    def up(self) -> None:
        """Run ``make up`` and return once it is ready."""
        free = "127.0.0.1:0"
        inherited = {name: value for name, value in os.environ.items() if not name.startswith(("MAKE", "MFLAGS"))}
        environment = {
            **inherited,
            "WAYPOST_HTTP_ADDRESS": free,
            "WAYPOST_DNS_ADDRESS": free,
            "WAYPOST_DNS_ADMIN_ADDRESS": free,  # else the port after that of DNS, which may be anybody's
            "WAYPOST_BALANCER_ADDRESS": free,
            "WAYPOST_BALANCER_ADMIN_ADDRESS": free,
            "WAYPOST_STATE_DIR": str(self.state),
            "WAYPOST_TASK_NETWORK": self.network,
            "WAYPOST_PROMISE_LOG": str(self.promises),
            **self.environment,
        }
        with (self.state.parent / f"{self.state.name}.out").open("wb") as output:
            self.process = subprocess.Popen(
                ["make", "up"],
                cwd=CHECKOUT,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        eventually(lambda: self._is_ready() or self._has_ended(), what="ready")
        assert not self._has_ended(), self.output

    def _is_ready(self) -> bool:
        return any(line.startswith("ready") for line in self.output.splitlines())

    def _has_ended(self) -> bool:
        assert self.process is not None
        return self.process.poll() is not None

    def pids(self) -> list[int]:
        run = self.run
        return [pid for pid in (*run["pids"].values(), *(task["pid"] for task in run["tasks"])) if pid]

    def stop(self) -> None:
        """Send what Ctrl-C sends, and wait until nothing is left."""
        assert self.process is not None
        pids = self.pids()
        supervisor = psutil.Process(self.run["pid"])
        os.killpg(self.process.pid, signal.SIGINT)
        assert supervisor.pid in pids
        self.process.wait(PATIENCE_S)
        assert "\nstopped" in self.output, self.output
        eventually(lambda: not any(psutil.pid_exists(pid) for pid in pids), what="no process is left")
        assert not (self.state / "run.json").exists()

    def kill(self) -> None:
        """End every process of the platform but the tasks, as a crash of the machine's user session would."""
        assert self.process is not None
        for pid in self.run["pids"].values():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def clear(self) -> None:
        """Leave no process behind, however the test ended."""
        assert self.process is not None
        pids = self.pids() if (self.state / "run.json").exists() else []
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait(PATIENCE_S)

    def address(self, name: str) -> str:
        return str(self.run[f"{name}_address"])

    @property
    def url(self) -> str:
        return f"http://{self.address('balancer')}"

    def tasks(self, service: str, state: str = "running") -> list[dict[str, Any]]:
        rows = json.loads(self.waypost("tasks", "--output", "json").stdout)
        return [row for row in rows if row["service"] == service and row["state"] == state]

    def running(self, service: str) -> list[dict[str, Any]]:
        """Return what ``tasks`` returns, without a command: for whoever asks until it is so."""
        return [row for row in self.run["tasks"] if row["service"] == service and row["state"] == "running"]

    def waypost(self, *words: str) -> "subprocess.CompletedProcess[str]":
        command = [CHECKOUT / ".venv/bin/waypost", *words, "--state-dir", self.state]
        done = subprocess.run(command, capture_output=True, text=True, timeout=PATIENCE_S)
        assert done.returncode == 0, done.stderr
        return done

    def cloudmap(self, **config: Any) -> Any:
        return boto3.client(
            "servicediscovery",
            endpoint_url=f"http://{self.address('http')}",
            region_name="us-east-1",
            aws_access_key_id="anyone",
            aws_secret_access_key="anything",
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}, **config),
        )

    def ask_dns(self, name: str, kind: str = "A", *, tcp: bool = False) -> dns.message.Message:
        host, _, port = self.address("dns").rpartition(":")
        query = dns.message.make_query(name, kind)
        if tcp:
            return dns.query.tcp(query, host, port=int(port), timeout=5)
        for _ in range(2):  # as dig does: the kernel may drop a datagram of a full socket
            with contextlib.suppress(dns.exception.Timeout):
                return dns.query.udp(query, host, port=int(port), timeout=5)
        return dns.query.udp(query, host, port=int(port), timeout=5)

    def answered(self, service: str) -> list[str]:
        answer = self.ask_dns(f"{service}.secure-api.local")
        return [record.to_text() for rrset in answer.answer for record in rrset]

    def broken_promises(self) -> list[str]:
        events = read_events(self.promises)
        counted = Counter(getattr(event, "where", None) or getattr(event, "point", None) for event in events)
        assert counted["dns"], "nothing was answered: the log shows nothing"
        assert counted["started"], "nothing was started: the log shows nothing"
        return violations(events)


@pytest.fixture(scope="session")
def webhooks() -> Iterator[WebhookReceiver]:
    """Yield a webhook receiver."""
    receiver = WebhookReceiver()
    yield receiver
    receiver.close()


@pytest.fixture(scope="session")
def mailbox() -> Iterator[tuple[Mailbox, str]]:
    """Yield a mailbox and the SMTP_URL of the server before it."""
    box = Mailbox()
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    server = Controller(box, hostname="127.0.0.1", port=port)
    server.start()
    yield box, f"smtp://127.0.0.1:{port}"
    server.stop()


@pytest.fixture
def started(tmp_path: Path, mailbox: tuple[Mailbox, str]) -> Iterator[Callable[..., Platform]]:
    """Yield a function that runs a platform; those that still run at the end are ended."""
    platforms: list[Platform] = []

    def start(name: str = "var") -> Platform:
        platform = Platform(tmp_path / name, {"SMTP_URL": mailbox[1], "SMTP_FROM": "news@example.com"})
        platforms.append(platform)
        platform.up()
        return platform

    yield start
    for platform in platforms:
        platform.clear()


def _running(folder: Path, smtp_url: str) -> Iterator[Platform]:
    """Yield a running platform; its end is itself a test."""
    running = Platform(folder / "var", {"SMTP_URL": smtp_url, "SMTP_FROM": "news@example.com"})
    try:
        running.up()
        yield running
        running.stop()
        assert running.broken_promises() == []
    finally:
        running.clear()


@pytest.fixture(scope="session")
def shared_platform(tmp_path_factory: pytest.TempPathFactory, mailbox: tuple[Mailbox, str]) -> Iterator[Platform]:
    """Yield a running platform for whoever only uses one: eleven processes take a core ten seconds to start."""
    yield from _running(tmp_path_factory.mktemp("platform"), mailbox[1])


@pytest.fixture(scope="module")
def own_platform(tmp_path_factory: pytest.TempPathFactory, mailbox: tuple[Mailbox, str]) -> Iterator[Platform]:
    """Yield a running platform for a module that kills and stops what runs, or counts all that is there."""
    yield from _running(tmp_path_factory.mktemp("platform"), mailbox[1])


@pytest.fixture
def platform(shared_platform: Platform) -> Platform:
    """Return a running platform, which may have messages of others; a module may have this mean one of its own."""
    return shared_platform


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Let those that share the platform come last, one after the other: it takes a tenth of a core all the while."""
    items.sort(key=lambda item: "shared_platform" in getattr(item, "fixturenames", ()))
