"""A publisher as a user of the command line meets it: its three services as processes, on one database."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx2
import pytest
from typer.testing import CliRunner

from omnichannel.cli import app

OMNICHANNEL = Path(sys.executable).with_name("omnichannel")
START_S = 40.0


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@dataclass(frozen=True)
class RunningPublisher:
    """Where it is reached, and a key that it takes."""

    url: str
    key: str
    environment: dict[str, str]


class Hooks(BaseHTTPRequestHandler):
    """Takes webhooks; below /gone they are refused for good."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(404 if self.path.startswith("/gone") else 204)
        self.end_headers()

    def log_message(self, *_: object) -> None: ...


@pytest.fixture(scope="module")
def hooks() -> Iterator[str]:
    """The URL of a server that takes webhooks."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Hooks) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def publisher(tmp_path_factory: pytest.TempPathFactory, hooks: str) -> Iterator[RunningPublisher]:
    """Yield a publisher that asks for keys, started by its own commands."""
    folder = tmp_path_factory.mktemp("publisher")
    environment = {
        "PATH": os.environ["PATH"],
        "SERVICE_ADDRESS": "127.0.0.1",
        "SERVICE_NAMESPACE": "publisher.example",
        "WAYPOST_DNS": "127.0.0.1:9",
        "DATABASE_URL": f"sqlite:///{folder / 'publisher.db'}",
        "WEBHOOK_ALLOW_NETWORKS": "127.0.0.0/8",
        "OMNICHANNEL_RETRY_BASE_S": "0.2",
    }
    made = subprocess.run(
        [OMNICHANNEL, "keys", "create", "tests"], env=environment, capture_output=True, text=True, timeout=60
    )
    assert made.returncode == 0, made.stderr
    with contextlib.ExitStack() as stack:
        urls = []
        for service in ("api", "worker", "scheduler"):
            port = _free_port()
            urls.append(f"http://127.0.0.1:{port}")
            log = stack.enter_context((folder / f"{service}.log").open("wb"))
            process = subprocess.Popen(
                [OMNICHANNEL, "serve", service], env={**environment, "SERVICE_PORT": str(port)}, stderr=log
            )
            stack.callback(_end, process)
        for url in urls:
            _wait_until_ready(url, folder)
        yield RunningPublisher(urls[0], made.stdout.strip(), environment)


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 0


def _wait_until_ready(url: str, folder: Path) -> None:
    deadline = time.monotonic() + START_S
    while time.monotonic() < deadline:
        with contextlib.suppress(httpx2.TransportError):
            if httpx2.get(f"{url}/health/ready", timeout=2).status_code == 200:
                return
        time.sleep(0.05)
    raise AssertionError("\n".join(log.read_text() for log in folder.glob("*.log")))


@pytest.fixture
def omnichannel(publisher: RunningPublisher, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., Ended]:
    """Return a function that runs a command against the publisher; ``variables`` of its own come last."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, input: str | None = None, **variables: str) -> Ended:  # noqa: A002 (the runner's name)
        environment = {
            **publisher.environment,
            "OMNICHANNEL_API": publisher.url,
            "OMNICHANNEL_API_KEY": publisher.key,
            "XDG_CONFIG_HOME": str(tmp_path),
            **variables,
        }
        ended = CliRunner(env=environment).invoke(app, list(words), input=input)
        assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
        return Ended(ended.exit_code, ended.stdout, ended.stderr)

    return run
