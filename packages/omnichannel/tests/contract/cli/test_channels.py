"""``omnichannel channels test``, as a user calls it."""

import asyncio
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from omnichannel.cli.channels import proof
from omnichannel.database import Database
from omnichannel.database.accounts import Accounts

OMNICHANNEL = Path(sys.executable).with_name("omnichannel")


class Slack(BaseHTTPRequestHandler):
    """Answers chat.postMessage: a conversation named C0MISSING is not there."""

    def do_POST(self) -> None:
        asked = self.rfile.read(int(self.headers["content-length"]))
        body = b'{"ok": true, "channel": "C1", "ts": "1.2"}'
        if b"C0MISSING" in asked:
            body = b'{"ok": false, "error": "channel_not_found"}'
        self.send_response(200)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None: ...


@pytest.fixture
def slack_url() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Slack) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, migrated_sqlite: Path) -> None:
    """Spare each command the migrations: that one makes its tables first, the publisher of ``conftest`` shows."""
    shutil.copy(migrated_sqlite, tmp_path / "test.db")


def run(tmp_path: Path, *arguments: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    defaults = {"PATH": os.environ["PATH"], "DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}"}
    command = [OMNICHANNEL, "channels", "test", *arguments]
    return subprocess.run(command, env=defaults | environment, capture_output=True, text=True, timeout=40)


async def proven(tmp_path: Path) -> dict[str, str | None]:
    """Return what each account is proven against, as another process reads it later."""
    database = Database.open(f"sqlite:///{tmp_path / 'test.db'}")
    try:
        return {name: account.proven for name, account in (await Accounts(database).all()).items()}
    finally:
        await database.close()


def test_one_message_is_sent_and_the_answer_printed(tmp_path: Path, slack_url: str) -> None:
    (tmp_path / "token").write_text("xoxb-s3cret\n")
    environment = {"SLACK_BOT_TOKEN_FILE": str(tmp_path / "token"), "SLACK_URL": slack_url}
    sent = run(tmp_path, "slack", "--to", "C024BE91L", **environment)
    assert (sent.returncode, sent.stdout) == (0, "accepted as C1/1.2 by a stand-in on this machine\n"), sent.stderr
    assert asyncio.run(proven(tmp_path)) == {"slack": "emulator"}
    own = {f"SLACK__NEWS__{name}": value for name, value in environment.items()}
    sent = run(tmp_path, "slack", "--to", "C024BE91L", "--account", "news", **own)
    assert (sent.returncode, sent.stdout) == (0, "accepted as C1/1.2 by a stand-in on this machine\n"), sent.stderr
    assert asyncio.run(proven(tmp_path)) == {"slack": "emulator", "slack:news": "emulator"}
    refused = run(tmp_path, "slack", "--to", "C0MISSING", **environment)
    assert (refused.returncode, refused.stderr) == (
        1,
        "omnichannel: PermanentFailure: Slack answered channel_not_found\n",
    )
    assert "s3cret" not in sent.stdout + sent.stderr + refused.stdout + refused.stderr


@pytest.mark.parametrize(
    ("arguments", "environment", "code", "named"),
    [
        (("pigeon", "--to", "coop"), {}, 1, "there is no channel pigeon"),
        (("sms", "--to", "+34600123456"), {}, 1, "not configured"),
        (("sms", "--to", "+34600123456"), {"SMS_PROVIDER": "twilio"}, 2, "TWILIO_AUTH_TOKEN"),
        (("webhook", "--to", "http://127.0.0.1:9/"), {}, 1, "must not be reached"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    tmp_path: Path, arguments: tuple[str, ...], environment: dict[str, str], code: int, named: str
) -> None:
    done = run(tmp_path, *arguments, **environment)
    assert (done.returncode, len(done.stderr.splitlines())) == (code, 1), done.stderr
    assert named in done.stderr


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("http://127.0.0.1:8080", "emulator"),
        ("smtp://10.0.0.1", "emulator"),
        ("https://8.8.8.8/", "live"),
        ("+34600123456", "live"),
        ("https://name.invalid", "live"),
    ],
)
def test_an_endpoint_on_this_machine_is_a_stand_in(url: str, expected: str) -> None:
    assert proof(url) == expected
