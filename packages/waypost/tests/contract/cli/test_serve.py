"""``waypost serve``: a registry alone, from its start to its end; and the commands that want a nameserver beside it."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from waypost.cli import app

WAYPOST = Path(sys.executable).with_name("waypost")
PATIENCE_S = 60.0
ANYWHERE = ("--http-address", "127.0.0.1:0", "--dns-address", "127.0.0.1:0", "--dns-admin-address", "127.0.0.1:0")


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


def command(*words: str, **variables: str) -> Ended:
    """Run a command in this process, which has loaded everything already."""
    environment: dict[str, str | None] = {
        "AWS_ENDPOINT_URL_SERVICEDISCOVERY": None,
        "AWS_ACCESS_KEY_ID": "waypost",
        "AWS_SECRET_ACCESS_KEY": "any",
        "AWS_REGION": "us-east-1",
        "AWS_DEFAULT_REGION": "us-east-1",
        "WAYPOST_DNS": None,
    }
    ended = CliRunner(env={**environment, **variables}).invoke(app, list(words))
    assert ended.exception is None or isinstance(ended.exception, SystemExit), ended.exception
    return Ended(ended.exit_code, ended.stdout, ended.stderr)


@dataclass
class Node:
    """One ``waypost serve``."""

    folder: Path
    process: "subprocess.Popen[bytes]"

    @property
    def state(self) -> Path:
        return self.folder / "state"

    @property
    def run(self) -> dict[str, Any]:
        return dict(json.loads((self.state / "run.json").read_text()))

    @property
    def output(self) -> str:
        return (self.folder / "output").read_text()

    def command(self, *words: str, **variables: str) -> Ended:
        return command(*words, "--state-dir", str(self.state), XDG_CONFIG_HOME=str(self.folder), **variables)

    def told(self, *words: str) -> Any:
        """Return the JSON that a command has printed."""
        done = self.command(*words, "-o", "json")
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)


def eventually(condition: Callable[[], Any], what: str) -> Any:
    deadline = time.monotonic() + PATIENCE_S
    while not (value := condition()):
        assert time.monotonic() < deadline, what
        time.sleep(0.02)
    return value


@contextlib.contextmanager
def serving(folder: Path, *flags: str) -> Iterator[Node]:
    folder.mkdir(exist_ok=True)
    environment = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(folder)}
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            [WAYPOST, "serve", *ANYWHERE, "--state-dir", folder / "state", *flags],
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT,
        )
    node = Node(folder, process)
    try:
        eventually(lambda: "\nready in" in node.output or process.poll() is not None, "ready")
        assert process.poll() is None, node.output
        yield node
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
        process.wait(PATIENCE_S)


@pytest.fixture(scope="module")
def node(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Node]:
    """Yield a node that the tests of this module share, with a service web.example.test and web-1 and web-2 in it."""
    with serving(tmp_path_factory.mktemp("node")) as node:
        service = {
            "name": "web",
            "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 7}]},
            "HealthCheckCustomConfig": {},
            "instances": {
                f"web-{number}": {"AWS_INSTANCE_IPV4": f"192.0.2.{number}", "AWS_INSTANCE_PORT": "80"}
                for number in (1, 2)
            },
        }
        document = {
            "version": 1,
            "namespaces": [{"name": "example.test", "type": "DNS_PRIVATE", "services": [service]}],
        }
        (node.folder / "catalog.json").write_text(json.dumps(document))
        applied = node.command("apply", str(node.folder / "catalog.json"))
        assert applied.returncode == 0, applied.stderr
        yield node


def test_a_node_answers_and_ends_when_it_is_asked_to(tmp_path: Path) -> None:
    with serving(tmp_path) as node:
        assert node.run["balancer_address"] is None
        assert node.told("namespaces") == []
        assert node.command("tasks").returncode == 6
        pids = {name: pid for name, pid in node.run["pids"].items() if name != "supervisor"}
        assert set(pids) == {"registry", "nameserver"}
        os.kill(pids["nameserver"], signal.SIGKILL)
        eventually(lambda: node.run["pids"]["nameserver"] not in (None, pids["nameserver"]), "it is restarted alone")
        assert node.run["pids"]["registry"] == pids["registry"]
        node.process.send_signal(signal.SIGTERM)
        assert node.process.wait(PATIENCE_S) == 0
        assert "\nstopped" in node.output
        assert not (node.state / "run.json").exists()


def test_what_a_node_cannot_use_is_said(tmp_path: Path, node: Node) -> None:
    def refused(*flags: str) -> "subprocess.CompletedProcess[str]":
        command = [WAYPOST, "serve", *ANYWHERE, "--state-dir", tmp_path / "state", *flags]
        environment = {"PATH": os.environ["PATH"], "XDG_CONFIG_HOME": str(tmp_path)}
        return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=PATIENCE_S)

    taken = refused("--http-address", node.run["http_address"])
    assert (taken.returncode, "is in use by" in taken.stderr) == (5, True)
    held = refused("--state-dir", str(node.state))
    assert (held.returncode, "is in use by a running platform" in held.stderr) == (5, True)
    open_to_all = refused("--http-address", "0.0.0.0:0")
    assert (open_to_all.returncode, "--allow-unsigned" in open_to_all.stderr) == (2, True)
    nowhere = refused("--database-url", "mysql://waypost:hidden@db.example/waypost")
    assert (nowhere.returncode, "'--database-url': the address is neither sqlite" in nowhere.stderr) == (2, True)
    assert "hidden" not in nowhere.stderr
    newer = refused("--database-url", "postgresql://waypost@127.0.0.1:9/waypost")
    assert (newer.returncode, "the registry did not start" in newer.stderr) == (1, True)


def test_nodes_that_share_a_postgresql_follow_each_other(tmp_path: Path, postgresql_url: str) -> None:
    flags = ("--database-url", postgresql_url)
    with serving(tmp_path / "one", *flags) as one, serving(tmp_path / "other", *flags) as other:
        (tmp_path / "catalog.json").write_text(
            '{"version": 1, "namespaces": [{"name": "example.test", "type": "DNS_PRIVATE", "services": [{"name": "web",'
            ' "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 5}]}}]}]}'
        )
        assert one.command("apply", str(tmp_path / "catalog.json")).returncode == 0
        assert one.command("register", "web.example.test", "w", "--ip", "192.0.2.9").returncode == 0
        seen = other.command("wait", "web.example.test", "--for", "visible")
        assert seen.returncode == 0, seen.stderr
        looked = {row["check"]: row for row in one.told("doctor", *flags)}
        assert looked["database"]["found"].startswith("PostgreSQL ")


def test_a_name_is_resolved_by_each_protocol(node: Node) -> None:
    rows = node.told("resolve", "web.example.test")
    assert {(row["protocol"], row["type"], row["answer"], row["ttl_s"]) for row in rows} >= {
        ("DNS", "A", "192.0.2.1", 7),
        ("DNS", "A", "192.0.2.2", 7),
        ("DNS", "SRV", "no data", None),
        ("Cloud Map", "DiscoverInstances", "web-1 192.0.2.1:80 HEALTHY", None),
    }
    table = node.command("resolve", "web.example.test").stdout
    assert "DiscoverInstances" in table
    assert "192.0.2.2" in table
    unknown = node.told("resolve", "nothing.example.test")
    assert ("DNS", "A", "NXDOMAIN") in {(row["protocol"], row["type"], row["answer"]) for row in unknown}
    half = node.command("resolve", "web.example.test", "--dns", "127.0.0.1:9", "-o", "json")
    assert half.returncode == 0
    assert json.loads(half.stdout)[0]["type"] == "silent"
    neither = node.command(
        "resolve", "web.example.test", "--dns", "127.0.0.1:9", "--endpoint-url", "http://127.0.0.1:9"
    )
    assert (neither.returncode, neither.stdout) == (6, "")


def test_an_answer_is_explained(node: Node) -> None:
    assert node.command("drain", "web-2", "--reason", "new disk", "--for", "10m").returncode == 0
    told = node.told("explain", "web.example.test")
    assert (told["answer"], told["rcode"], told["ttl_s"]) == ("answered", "NOERROR", 7)
    states = {each["id"]: (each["state"], each["in_answer"]) for each in told["instances"]}
    assert states == {"web-1": ("healthy", True), "web-2": ("drained", False)}
    table = node.command("explain", "web.example.test").stdout
    assert "web.example.test A: answered (NOERROR, TTL 7 s)" in table
    assert "new disk" in table
    assert node.told("undrain", "web-2")["drained"] is False
    assert node.told("explain", "nothing.example.test")["answer"] == "unknown"
    assert node.command("explain", "web.example.test", "--type", "RAIN").returncode == 2
    assert node.command("explain", "web.example.test", "--endpoint-url", "http://127.0.0.1:9").returncode == 6


def test_what_changed_is_told_with_its_cause(node: Node) -> None:
    items = node.told("history", "web.example.test", "web-1")
    assert items[0]["cause"]["why"] == "waypost apply"
    assert "waypost apply" in node.command("history", "web.example.test").stdout
    assert node.command("history", "web.example.test", "-o", "name").stdout.split()[0].isdecimal()
    assert node.command("history", "never.example.test").returncode in (0, 3)


def test_instances_are_drained_and_come_back(node: Node) -> None:
    drained = node.told("drain", "web-2", "--for", "1m")
    assert (drained["instance"], drained["service"], drained["drained"]) == ("web-2", "web", True)
    assert drained["until"].endswith("+00:00")
    assert "web-2" in node.command("undrain", "web-2").stdout
    assert node.command("drain", "web-").returncode == 5
    assert node.command("drain", "rain").returncode == 3
    assert node.command("drain", "web-1", "--for", "10ms").returncode == 2


def test_instances_are_watched_as_they_change(node: Node) -> None:
    words = [WAYPOST, "instances", "web.example.test", "--watch", "-o", "jsonl", "--state-dir", node.state]
    watching = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert watching.stdout is not None
    try:
        assert {json.loads(watching.stdout.readline())["instance"] for _ in range(2)} == {"web-1", "web-2"}
        assert node.command("register", "web.example.test", "web-3", "--ip", "192.0.2.3").returncode == 0
        came = json.loads(watching.stdout.readline())
        assert (came["instance"], came["address"]) == ("web-3", "192.0.2.3")
        assert node.command("deregister", "web.example.test", "web-3").returncode == 0
        went = json.loads(watching.stdout.readline())
        assert (went["instance"], went["health"]) == ("web-3", "GONE")
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE_S) == 130
    finally:
        watching.kill()
        watching.communicate()


def on_terminal(words: list[Any], until: str, **streams: Any) -> str:
    """Return what a command shows on a terminal until that appears; then it gets Ctrl-C."""
    ours, theirs = os.openpty()
    environment = {"PATH": os.environ["PATH"], "TERM": "xterm", "COLUMNS": "120", "NO_COLOR": "1"}
    terminal = {name: theirs for name, stream in streams.items() if stream is None}
    process = subprocess.Popen(words, env=environment, stdin=subprocess.DEVNULL, **{**streams, **terminal})
    os.close(theirs)
    shown = b""
    try:
        while until.encode() not in shown:
            shown += os.read(ours, 65_536)  # ends with an error once nobody holds the other end
    finally:
        process.send_signal(signal.SIGINT)
        process.wait(PATIENCE_S)
        os.close(ours)
    return shown.decode()


def test_a_terminal_shows_a_table_that_is_kept_up_and_no_colour_where_none_is_wanted(node: Node) -> None:
    words = [WAYPOST, "instances", "web.example.test", "--watch", "--state-dir", node.state]
    shown = on_terminal(words, "web-2", stdout=None, stderr=subprocess.DEVNULL)
    assert "web-1" in shown
    assert "\x1b[3" not in shown  # no foreground colour
    plain = node.command("instances", "web.example.test").stdout
    assert "\x1b" not in plain
    assert "web-1" in plain


def test_what_takes_its_time_shows_so_on_a_terminal_and_beside_the_data(node: Node) -> None:
    words = [WAYPOST, "wait", "never.example.test", "--for", "healthy", "--state-dir", node.state]
    shown = on_terminal(words, "0 of 1", stdout=subprocess.DEVNULL, stderr=None)
    assert "waiting for never.example.test to be healthy" in shown


def test_a_catalog_is_imported_once_and_conflicts_change_nothing(node: Node, tmp_path: Path) -> None:
    with serving(tmp_path / "elsewhere") as elsewhere:
        (tmp_path / "catalog.json").write_text(node.command("export").stdout)
        document = str(tmp_path / "catalog.json")
        planned = elsewhere.command("import", document, "--dry-run")
        assert planned.stdout.splitlines() == [
            "create namespace example.test",
            "create service web.example.test",
            "register web-1 of web.example.test",
            "register web-2 of web.example.test",
        ]
        assert planned.stderr == "waypost: 4 steps to do\n"
        assert elsewhere.told("namespaces") == []
        done = elsewhere.told("import", document)
        assert [row["done"] for row in done] == [True] * 4
        assert elsewhere.told("import", document) == []  # it is all there
        assert elsewhere.command("export").stdout == node.command("export").stdout
        assert elsewhere.command("register", "web.example.test", "web-1", "--ip", "192.0.2.99").returncode == 0
        assert elsewhere.command("deregister", "web.example.test", "web-2").returncode == 0
        conflict = elsewhere.command("import", document)
        assert (conflict.returncode, conflict.stdout) == (5, "")
        assert "the instance web-1 of web.example.test" in conflict.stderr
        assert [row["instance"] for row in elsewhere.told("instances", "web.example.test")] == ["web-1"]
        piped = [WAYPOST, "import", "-", "--dry-run", "--state-dir", elsewhere.state]
        ended = subprocess.run(piped, input="{", capture_output=True, text=True, timeout=PATIENCE_S)
        assert ended.returncode == 2


def test_doctor_finds_what_stands_in_the_way(node: Node, tmp_path: Path) -> None:
    free = ("--balancer-address", "127.0.0.1:0", "--balancer-admin-address", "127.0.0.1:0")
    own = ("--http-address", node.run["http_address"], "--dns-address", node.run["dns_address"])
    found = {row["check"]: row for row in node.told("doctor", *free, *own)}
    assert found["state directory"]["found"].endswith("is held by the platform that runs here")
    assert found["database"]["state"] == "ok"
    assert "journal_mode wal" in found["database"]["found"]
    assert found["registry"]["found"].endswith("answers, with 1 namespaces")
    assert found["clock"]["state"] == "ok"
    assert found["resolver example.test"]["state"] == "warn"
    assert "waypost resolver" in found["resolver example.test"]["mend"]
    assert all(row["state"] != "fail" for row in found.values())
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        stuck = node.command("doctor", "--http-address", f"127.0.0.1:{port}")
    assert stuck.returncode == 1
    assert "is in use by" in stuck.stdout
    assert "choose another port with --http-address" in stuck.stdout
    away = node.command("doctor", *free, *own, "--endpoint-url", "http://127.0.0.1:9", "-o", "jsonl")
    assert away.returncode == 1
    failed = [json.loads(line) for line in away.stdout.splitlines() if '"fail"' in line]
    assert [row["check"] for row in failed] == ["registry"]


def test_flags_come_from_the_file_where_nothing_else_says(node: Node, tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text(f'state-dir = "{node.state}"\n[namespaces]\noutput = "name"\n')

    def listed(*words: str, **variables: str) -> Ended:
        return command(*words, WAYPOST_CONFIG=str(tmp_path / "config.toml"), **variables)

    assert listed("namespaces").stdout == "example.test\n"
    assert listed("namespaces", WAYPOST_OUTPUT="jsonl").stdout.startswith("{")
    assert listed("namespaces", "-o", "json", WAYPOST_OUTPUT="jsonl").stdout.startswith("[")
    for text, said in (("colour = 1", "colour"), ("[paint]\nx = 1", "paint"), ("[up]\nx = 1", "'x'"), ("=", "config")):
        (tmp_path / "config.toml").write_text(text)
        refused = listed("namespaces")
        assert (refused.returncode, refused.stdout) == (2, "")
        assert said in refused.stderr
    assert listed("--config", "missing", "namespaces").returncode == 2
