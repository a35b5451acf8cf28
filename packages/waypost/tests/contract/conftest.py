"""A registry as its users meet it: a process of its own on a real socket."""

import itertools
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.config import Config

ACCOUNTS = itertools.count(100_000_000_000)


@dataclass
class RegistryProcess:
    """A registry started as its supervisor starts it."""

    state: Path
    account: str = "123456789012"
    settings: dict[str, str] = field(default_factory=dict)  # more of its environment
    listener: socket.socket = field(init=False)
    process: "subprocess.Popen[bytes] | None" = None
    lifeline: int = -1
    address: str = "127.0.0.1"

    def __post_init__(self) -> None:
        self.listener = socket.create_server((self.address, 0), backlog=512)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.listener.getsockname()[1]}"

    @property
    def feed(self) -> Path:
        return self.state / "feed.sock"

    def start(self) -> None:
        """Start the process and return once it serves."""
        ready, say_ready = os.pipe()
        lifeline, self.lifeline = os.pipe()
        environment = {
            **os.environ,
            "WAYPOST_HTTP_FD": str(self.listener.fileno()),
            "WAYPOST_FEED": str(self.feed),
            "WAYPOST_DATABASE_URL": f"sqlite:///{self.state / 'registry.db'}",
            "WAYPOST_ACCOUNT": self.account,
            "WAYPOST_READY_FD": str(say_ready),
            "WAYPOST_LIFELINE_FD": str(lifeline),
            **self.settings,
        }
        with (self.state / "registry.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "waypost.server"],
                env=environment,
                pass_fds=(self.listener.fileno(), say_ready, lifeline),
                stderr=log,
            )
        os.close(say_ready)
        os.close(lifeline)
        said = os.read(ready, 64)
        os.close(ready)
        assert said == b"ready\n", (self.state / "registry.log").read_text()

    def kill(self) -> None:
        """End the process as a crash would."""
        assert self.process is not None
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(10)
        os.close(self.lifeline)

    def stop(self) -> int:
        """Close the lifeline and return the exit status."""
        assert self.process is not None
        os.close(self.lifeline)
        return self.process.wait(10)

    def client(self, *, key: str = "AKIDEXAMPLE", region: str = "us-east-1", **config: Any) -> Any:
        """Return a boto3 client, set as its users set it."""
        return boto3.client(
            "servicediscovery",
            endpoint_url=self.url,
            region_name=region,
            aws_access_key_id=key,
            aws_secret_access_key="secret",
            config=Config(inject_host_prefix=False, retries={"total_max_attempts": 1}, **config),
        )


def running(state: Path, *, address: str = "127.0.0.1", **settings: str) -> Iterator[RegistryProcess]:
    process = RegistryProcess(state, settings=settings, address=address)
    try:
        process.start()
        yield process
    finally:
        if process.process is not None and process.process.poll() is None:
            process.kill()
        process.listener.close()


@pytest.fixture(scope="session")
def shared_registry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """Yield a registry that many tests use, each by an account of its own."""
    yield from running(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[RegistryProcess]:
    """Yield a registry of the test's own, with an empty database."""
    yield from running(tmp_path)


@pytest.fixture(scope="session")
def start_registry() -> Callable[..., Iterator[RegistryProcess]]:
    """Return a function that yields a registry with variables of its own: ``start_registry(state, WAYPOST_X="y")``."""
    return running


@pytest.fixture
def account() -> str:
    """Return an account that no other test uses."""
    return f"{next(ACCOUNTS):012}"


@pytest.fixture
def cloudmap(shared_registry: RegistryProcess, account: str) -> Any:
    """Return a boto3 client for the test's own account."""
    return shared_registry.client(key=account)
