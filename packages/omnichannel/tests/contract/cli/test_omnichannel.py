"""The command as a user runs it."""

import contextlib
import http.client
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from omnichannel.serving.server import listen

OMNICHANNEL = Path(sys.executable).with_name("omnichannel")


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [OMNICHANNEL, *arguments],
        env={"PATH": os.environ["PATH"], "SERVICE_NAMESPACE": "publisher.example", **environment},
        capture_output=True,
        text=True,
        timeout=30,
    )


def test_help_names_every_command() -> None:
    shown = run("--help")
    assert shown.returncode == 0
    for command in ("api", "worker", "scheduler", "keys", "receive"):
        assert command in shown.stdout


@pytest.mark.parametrize(
    ("service", "environment", "code", "said"),
    [
        ("api", {"SERVICE_PORT": "none"}, 2, "SERVICE_PORT"),
        ("api", {"SERVICE_NAMESPACE": ""}, 2, "SERVICE_NAMESPACE"),
        ("worker", {"SMTP_URL": "mail.example.com"}, 2, "SMTP_URL"),
        ("worker", {"DATABASE_URL": "mysql://example.com/x"}, 2, "DATABASE_URL"),
        ("scheduler", {"STREAM_URL": "kafka://publisher"}, 2, "STREAM_URL"),
        ("scheduler", {"SERVICE_ADDRESS": "192.0.2.1", "SERVICE_PORT": "8080"}, 5, "192.0.2.1:8080"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(
    tmp_path: Path, service: str, environment: dict[str, str], code: int, said: str
) -> None:
    defaults = {"DATABASE_URL": f"sqlite:///{tmp_path}/x.db", "SERVICE_ADDRESS": "127.0.0.1"}
    refused = run(service, **{**defaults, **environment})
    assert refused.returncode == code, refused.stderr
    assert said in refused.stderr
    assert len(refused.stderr.splitlines()) == 1


def test_a_port_in_use_is_told_in_one_line(tmp_path: Path) -> None:
    with listen("127.0.0.1", 0) as taken:
        address, port = taken.getsockname()
        refused = run(
            "scheduler",
            SERVICE_ADDRESS=address,
            SERVICE_PORT=str(port),
            DATABASE_URL=f"sqlite:///{tmp_path}/x.db",
        )
    assert refused.returncode == 5
    assert refused.stderr.strip().endswith("address already in use; set SERVICE_ADDRESS or SERVICE_PORT")


def test_a_receiver_prints_each_webhook_that_arrives() -> None:
    with listen("127.0.0.1", 0) as free:
        address, port = free.getsockname()

    def post(headers: dict[str, str]) -> int:
        connection = http.client.HTTPConnection(address, port, timeout=10)
        with contextlib.closing(connection):
            connection.request("POST", "/hook", b'{"subject": "Hello"}', headers)
            with connection.getresponse() as answer:
                return answer.status

    command = [OMNICHANNEL, "receive", f"{address}:{port}"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as receiver:
        assert receiver.stdout is not None
        assert receiver.stderr is not None
        try:
            assert receiver.stderr.readline() == f"receiving at http://{address}:{port}/\n"
            assert post({}) == 204
            assert json.loads(receiver.stdout.readline()) == {"subject": "Hello"}
            assert post({"Content-Length": "99999999"}) == 413
            receiver.send_signal(signal.SIGINT)
            assert receiver.wait(10) == 0
        finally:
            receiver.kill()


@pytest.mark.parametrize("address", ["9000", "127.0.0.1:port", "127.0.0.1:99999", "192.0.2.1:9000"])
def test_an_address_that_cannot_be_listened_on_is_named(address: str) -> None:
    refused = run("receive", address)
    assert refused.returncode == 5
    assert address in refused.stderr
    assert len(refused.stderr.splitlines()) == 1
