"""The registry commands as a user runs them: text, JSON and exit codes, against a running registry and nameserver."""

import json
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from typer.testing import CliRunner

from waypost.cli import app

NOBODY = "http://127.0.0.1:9"


@dataclass(frozen=True)
class Ended:
    """What a command left behind."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture
def waypost(shared_registry: Any, account: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """Return a function that runs the command against a registry in which this account is the test's own."""
    monkeypatch.chdir(tmp_path)

    def run(*words: str, endpoint: str = shared_registry.url) -> Ended:
        environment = {
            "AWS_ENDPOINT_URL_SERVICEDISCOVERY": endpoint,
            "AWS_ACCESS_KEY_ID": account,
            "AWS_SECRET_ACCESS_KEY": "any",
            "AWS_REGION": "us-east-1",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        ended = CliRunner(env=environment).invoke(app, list(words))
        assert ended.exception is None or isinstance(ended.exception, SystemExit)
        return Ended(ended.exit_code, ended.stdout, ended.stderr)

    return run


@pytest.fixture
def web(cloudmap: Any) -> str:
    """Return the id of a service web.example.test with a healthy and an unhealthy instance."""
    cloudmap.create_private_dns_namespace(Name="example.test", Vpc="vpc-1")
    (namespace,) = cloudmap.list_namespaces()["Namespaces"]
    service = cloudmap.create_service(
        Name="web",
        NamespaceId=namespace["Id"],
        DnsConfig={"DnsRecords": [{"Type": "A", "TTL": 7}]},
        HealthCheckCustomConfig={},
    )["Service"]["Id"]
    for number in (1, 2):
        attributes = {"AWS_INSTANCE_IPV4": f"192.0.2.{number}", "AWS_INSTANCE_PORT": "80", "stage": "prod"}
        cloudmap.register_instance(ServiceId=service, InstanceId=f"web-{number}", Attributes=attributes)
    cloudmap.update_instance_custom_health_status(ServiceId=service, InstanceId="web-2", Status="UNHEALTHY")
    return str(service)


def test_namespaces_are_listed(waypost: Any, web: str) -> None:
    assert "example.test" in waypost("namespaces").stdout
    (row,) = json.loads(waypost("namespaces", "-o", "json").stdout)
    assert (row["name"], row["type"], row["services"]) == ("example.test", "DNS_PRIVATE", 1)
    assert waypost("namespaces", "-o", "name").stdout == "example.test\n"


@pytest.mark.parametrize("words", [[], ["example.test"], ["web.example.test"]])
def test_services_are_listed_with_what_can_be_used(waypost: Any, web: str, words: list[str]) -> None:
    (row,) = json.loads(waypost("services", *words, "-o", "json").stdout)
    assert (row["name"], row["id"], row["healthy"], row["records"]) == ("web.example.test", web, "1/2", ["A(7s)"])
    assert "1/2" in waypost("services", *words).stdout


def test_instances_are_listed_the_sick_ones_first(waypost: Any, web: str) -> None:
    for service in ("web.example.test", web):
        rows = [json.loads(line) for line in waypost("instances", service, "-o", "jsonl").stdout.splitlines()]
        assert [(row["instance"], row["health"], row["address"]) for row in rows] == [
            ("web-2", "UNHEALTHY", "192.0.2.2:80"),
            ("web-1", "HEALTHY", "192.0.2.1:80"),
        ]
    shown = waypost("instances", "web.example.test").stdout
    assert "192.0.2.1:80" in shown
    assert "stage=prod" in shown
    assert json.loads(waypost("instances", web, "web-1", "-o", "json").stdout)["attributes"]["stage"] == "prod"


def test_what_discovery_answers_is_shown(waypost: Any, web: str) -> None:
    assert waypost("discover", "web.example.test", "-o", "name").stdout == "web-1\n"
    everything = waypost("discover", "web.example.test", "--health", "ALL", "-o", "name").stdout.split()
    assert sorted(everything) == ["web-1", "web-2"]
    assert json.loads(waypost("discover", web, "-a", "stage=dev", "-o", "json").stdout) == []


def test_an_instance_is_registered_and_deregistered(waypost: Any, web: str, cloudmap: Any) -> None:
    added = waypost("register", "web.example.test", "web-3", "--ip", "192.0.2.3", "--port", "81", "-a", "zone=a")
    assert (added.returncode, added.stdout) == (0, "registered web-3\n")
    attributes = cloudmap.get_instance(ServiceId=web, InstanceId="web-3")["Instance"]["Attributes"]
    assert attributes == {"AWS_INSTANCE_IPV4": "192.0.2.3", "AWS_INSTANCE_PORT": "81", "zone": "a"}
    gone = waypost("deregister", web, "web-3")
    assert (gone.returncode, gone.stdout) == (0, "deregistered web-3\n")
    assert {each["Id"] for each in cloudmap.list_instances(ServiceId=web)["Instances"]} == {"web-1", "web-2"}


def test_what_is_wanted_can_be_waited_for(waypost: Any, web: str) -> None:
    assert waypost("wait", "web.example.test", "--for", "healthy").returncode == 0
    late = waypost("wait", "web.example.test", "--for", "healthy", "--count", "2", "--timeout", "200ms")
    assert (late.returncode, late.stdout) == (7, "")
    assert "1 healthy after 0.2 s, not 2 healthy" in late.stderr
    assert waypost("wait", web, "--for", "gone", "--timeout", "0s").returncode == 7


def test_what_was_exported_can_be_applied_elsewhere(waypost: Any, web: str, cloudmap: Any, tmp_path: Path) -> None:
    exported = waypost("export", "example.test")
    assert exported.returncode == 0
    (tmp_path / "catalog.json").write_text(exported.stdout)
    assert waypost("apply", "catalog.json", "--prune").stdout == ""  # it is all there already
    (tmp_path / "other.json").write_text(exported.stdout.replace("example.test", "other.test"))
    steps = [
        "create namespace other.test",
        "create service web.other.test",
        "register web-1 of web.other.test",
        "register web-2 of web.other.test",
    ]
    assert waypost("apply", "other.json", "--dry-run").stdout.splitlines() == steps
    assert waypost("namespaces", "other.test").returncode == 3
    assert waypost("apply", "other.json").stdout.splitlines() == steps
    assert waypost("export", "other.test").stdout == exported.stdout.replace("example.test", "other.test")
    (tmp_path / "less.json").write_text('{"version": 1, "namespaces": [{"name": "other.test", "type": "DNS_PRIVATE"}]}')
    assert waypost("apply", "less.json").stdout == ""
    pruned = waypost("apply", "less.json", "--prune").stdout.splitlines()
    assert sorted(pruned[:2]) == ["deregister web-1 of web.other.test", "deregister web-2 of web.other.test"]
    assert pruned[2:] == ["delete service web.other.test"]


def test_a_ttl_that_was_changed_is_applied(waypost: Any, web: str, cloudmap: Any, tmp_path: Path) -> None:
    document = json.loads(waypost("export").stdout)
    document["namespaces"][0]["services"][0]["DnsConfig"]["DnsRecords"][0]["TTL"] = 11
    (tmp_path / "catalog.json").write_text(json.dumps(document))
    assert waypost("apply", "catalog.json").stdout == "update service web.example.test\n"
    assert cloudmap.get_service(Id=web)["Service"]["DnsConfig"]["DnsRecords"] == [{"Type": "A", "TTL": 11}]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "cannot read catalog.json"),
        ("{", "catalog.json: "),
        (b'{"version": 1, "namespaces": [{"name": "\xff"}]}', "catalog.json: 'utf-8' codec can't decode"),
        ('{"version": 2, "namespaces": []}', "version 2 is not known"),
        ('{"version": 1, "namespaces": [{"name": "x"}]}', "missing required field `type` - at `$.namespaces[0]`"),
        ('{"version": 1, "namespaces": [], "more": 1}', "unknown field `more`"),
    ],
)
def test_a_document_that_cannot_be_used_is_refused(
    waypost: Any, tmp_path: Path, text: str | bytes | None, said: str
) -> None:
    if text is not None:
        (tmp_path / "catalog.json").write_bytes(text.encode() if isinstance(text, str) else text)
    refused = waypost("apply", "catalog.json")
    assert (refused.returncode, refused.stdout) == (2, "")
    assert said in refused.stderr


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["instances", "web.nowhere.test"], 3, "no namespace fits 'web.nowhere.test'"),
        (["instances", "api.example.test"], 3, "there is no service 'api.example.test'"),
        (["instances", "web.example.test", "web-9"], 3, "there is no instance 'web-9'"),
        (["services", "srv-0000000000000000"], 3, "ServiceNotFound"),
        (["deregister", "web.example.test", "web-9"], 3, "InstanceNotFound"),
        (["register", "web.example.test", "web-9", "--ip", "no address"], 2, "AWS_INSTANCE_IPV4"),
        (["wait", "web.example.test", "--for", "rain"], 2, "'rain' is not one of"),
        (["wait", "web.example.test", "--for", "gone", "--timeout", "soon"], 2, "'soon' is no time such as"),
        (["discover", "web.example.test", "-a", "stage"], 2, "'stage' is not NAME=VALUE"),
        (["discover", "web.example.test", "--health", "WELL"], 2, "WELL"),
        (["instances", "web.example.test", "--watch", "-o", "json"], 2, "--watch has no end"),
    ],
)
def test_what_cannot_be_done_is_said_with_its_exit_code(
    waypost: Any, web: str, words: list[str], code: int, said: str
) -> None:
    refused = waypost(*words)
    assert (refused.returncode, refused.stdout) == (code, ""), refused.stderr
    assert said in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_registry_that_is_away_is_named(waypost: Any) -> None:
    refused = waypost("namespaces", endpoint=NOBODY)
    assert (refused.returncode, refused.stdout) == (6, "")
    assert refused.stderr.startswith(f"waypost: no registry answers at {NOBODY}: start one with waypost up")
    assert len(refused.stderr.splitlines()) == 1


@pytest.mark.parametrize("endpoint", ["registry", "http://", "http://127.0.0.1:99999", "ftp://127.0.0.1:8500"])
def test_what_is_no_address_of_a_registry_is_refused(waypost: Any, endpoint: str) -> None:
    refused = waypost("namespaces", endpoint=endpoint)
    assert (refused.returncode, refused.stdout) == (2, "")
    assert f"{endpoint!r} is no address of a registry" in " ".join(refused.stderr.split())
    assert "Traceback" not in refused.stderr


def test_somebody_who_is_no_registry_is_told_of(waypost: Any) -> None:
    class Somebody(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(405)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Somebody) as somebody:
        Thread(target=somebody.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{somebody.server_port}"
        refused = waypost("namespaces", endpoint=address)
        somebody.shutdown()
    assert (refused.returncode, refused.stdout) == (6, "")
    assert refused.stderr.startswith(f"waypost: no registry answers at {address}: ")
    assert "HTTP status 405" in refused.stderr


def test_who_has_no_right_is_told_so_by_either_side_of_the_registry(
    waypost: Any, start_registry: Any, tmp_path: Path
) -> None:
    (tmp_path / "state").mkdir()
    for registry in start_registry(tmp_path / "state", WAYPOST_ACCESS_KEYS="known:a-secret-of-its-own"):
        for words in (["namespaces"], ["explain", "web.example.test"], ["export"]):
            denied = waypost(*words, endpoint=registry.url)
            assert (denied.returncode, denied.stdout) == (4, ""), denied.stderr
