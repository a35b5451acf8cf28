"""The three services as processes, started by their commands on loopback addresses, as the platform would."""

import itertools
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from email import message_from_bytes
from email.message import EmailMessage
from email.policy import default
from pathlib import Path
from typing import Any, cast

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import Envelope

from omnichannel.database.sealing import new_key

OMNICHANNEL = Path(sys.executable).with_name("omnichannel")
START_TIMEOUT_S = 120  # eight of them may start at once on two busy cores
_networks = itertools.count(1)


@dataclass
class Service:
    """One process."""

    name: str
    url: str
    process: subprocess.Popen[bytes]
    log: Path

    def stop(self) -> int:
        """Ask it to end, and return its exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=20)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait(timeout=20)

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            if self._ready():
                return
            time.sleep(0.1)
        raise AssertionError(f"{self.name} is not ready: {self.log.read_text()}")

    def _ready(self) -> bool:
        """Ask by as little as there is: on a busy machine the service needs the time more than the one who waits."""
        try:
            with urllib.request.urlopen(f"{self.url}/health/ready", timeout=2) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@dataclass
class Publisher:
    """A set of services on one database; each has its own address, and all have the same port."""

    directory: Path
    environment: Mapping[str, str]
    services: list[Service] = field(default_factory=list)

    def start(self, *names: str) -> list[Service]:
        """Start services, and return once all are ready."""
        started = [self._spawn(name) for name in names]
        for service in started:
            service.wait_until_ready()
        return started

    def spawn(self, name: str) -> Service:
        """Start a service, and return at once."""
        return self._spawn(name)

    def stop(self) -> None:
        for service in self.services:
            service.process.kill()
        for service in self.services:
            service.process.wait(timeout=20)

    def _spawn(self, name: str) -> Service:
        address = f"{self.environment['NETWORK']}.{len(self.services) + 1}"
        log = self.directory / f"{name}-{address}.log"
        with open(log, "wb") as stderr:
            process = subprocess.Popen(
                [OMNICHANNEL, name], env={**self.environment, "SERVICE_ADDRESS": address}, stderr=stderr
            )
        self.services.append(Service(name, f"http://{address}:{self.environment['SERVICE_PORT']}", process, log))
        return self.services[-1]


@dataclass
class Mailbox:
    """What a mail server has taken."""

    messages: list[EmailMessage] = field(default_factory=list)
    recipients: list[str] = field(default_factory=list)

    async def handle_DATA(self, _: object, __: object, envelope: Envelope) -> str:  # noqa: N802 - the server's name
        self.messages.append(cast("EmailMessage", message_from_bytes(cast("bytes", envelope.content), policy=default)))
        self.recipients += envelope.rcpt_tos
        return "250 OK"


def free_port() -> int:
    """Return a port that nobody listens on, of those that the kernel gives to nobody who does not ask for one.

    A receiver of a test that was given the port of a service, on another address, would be refused as that service.
    """
    for port in random.sample(range(20_000, 32_000), 100):
        with suppress(OSError), socket.create_server(("0.0.0.0", port)):
            return port
    raise RuntimeError("no port is free")


@pytest.fixture(scope="module")
def mail_server() -> Iterator[tuple[str, Mailbox]]:
    """A mail server on loopback, as ``host:port``, and what it takes."""
    mailbox = Mailbox()
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()
    yield f"127.0.0.1:{controller.port}", mailbox
    controller.stop()


StartPublisher = Callable[..., Publisher]


@pytest.fixture(scope="module")
def new_publisher(tmp_path_factory: pytest.TempPathFactory, migrated_sqlite: Path) -> Iterator[StartPublisher]:
    """Make publishers, each with an empty database and nothing started yet.

    A SQLite file has its tables already. That services which start at once make them, those on PostgreSQL show.
    """
    publishers: list[Publisher] = []

    def new(**environment: Any) -> Publisher:
        directory = tmp_path_factory.mktemp("publisher")
        shutil.copy(migrated_sqlite, directory / "publisher.db")
        defaults = {
            "PATH": os.environ["PATH"],
            "NETWORK": f"127.{60 + os.getpid() % 25}.{next(_networks)}",
            "SERVICE_PORT": str(free_port()),
            "SERVICE_NAMESPACE": "publisher.example",
            "WAYPOST_DNS": "127.0.0.1:9",
            "DATABASE_URL": f"sqlite:///{directory / 'publisher.db'}",
            "WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
            "OMNICHANNEL_AUTH": "off",
            "OMNICHANNEL_SEALING_KEY": new_key(),
            "OMNICHANNEL_RETRY_BASE_S": "0.2",
        }
        publishers.append(Publisher(directory, defaults | environment))
        return publishers[-1]

    yield new
    for publisher in publishers:
        publisher.stop()
