"""``waypost resolver``: settings that the real resolvers take, and files that are only touched when they are ours."""

import asyncio
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import dns.asyncquery
import dns.message
import dns.rcode
import pytest
from structlog.testing import capture_logs
from typer.testing import CliRunner, Result

from conftest import missing
from waypost.catalog.changes import Cause, Recorded
from waypost.cli import app
from waypost.multicast import MulticastWarning, multicast_warning

from ...unit.nameserver.catalogs import History
from ..conftest import RegistryProcess, running
from ..nameserver.conftest import NameserverProcess, StubRegistry, free_port

GIVEN = ("--namespace", "example.internal", "--nameserver", "127.0.0.1:8600")


def resolver(*words: str) -> Result:
    return CliRunner().invoke(app, ["resolver", *map(str, words)])


@pytest.mark.parametrize(
    ("target", "line"),
    [
        ("systemd-resolved", "Domains=~example.internal"),
        ("dnsmasq", "server=/example.internal/127.0.0.1#8600"),
        ("unbound", "stub-addr: 127.0.0.1@8600"),
        ("coredns", "forward . 127.0.0.1:8600"),
        ("docker", '"dns": ["127.0.0.1"]'),
        ("macos", "port 8600"),
    ],
)
def test_the_settings_of_every_resolver_are_shown(target: str, line: str) -> None:
    for words in (("show", target, *GIVEN), ("show", *GIVEN), ("install", target, *GIVEN)):
        result = resolver(*words)
        assert result.exit_code == 0
        assert line in result.output


@pytest.mark.parametrize("target", ["systemd-resolved", "dnsmasq", "unbound", "macos"])
def test_what_is_installed_is_removed_again(tmp_path: Path, target: str) -> None:
    many = (*GIVEN, "--namespace", "example.test")
    shown = resolver("install", target, *many, "--root", tmp_path)
    assert "Written by" in shown.output
    assert list(tmp_path.iterdir()) == []  # nothing is done unasked

    for _ in range(2):  # the second time it replaces its own file
        assert resolver("install", target, *many, "--root", tmp_path, "--apply").exit_code == 0
    written = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert len(written) == (2 if target == "macos" else 1)
    assert "would remove" in resolver("remove", target, "--root", tmp_path).output
    assert all(path.exists() for path in written)
    assert resolver("remove", target, "--root", tmp_path, "--apply").exit_code == 0
    assert not any(path.exists() for path in written)
    assert "has no settings of ours" in resolver("remove", target, "--root", tmp_path, "--apply").output


def test_a_file_of_somebody_else_is_never_touched(tmp_path: Path) -> None:
    theirs = tmp_path / "etc/dnsmasq.d/waypost.conf"
    theirs.parent.mkdir(parents=True)
    theirs.write_text("server=192.0.2.1\n")
    result = resolver("install", "dnsmasq", *GIVEN, "--root", tmp_path, "--apply")
    assert result.exit_code == 1
    assert "is not ours" in result.output
    assert "has no settings of ours" in resolver("remove", "dnsmasq", "--root", tmp_path, "--apply").output
    assert theirs.read_text() == "server=192.0.2.1\n"


@pytest.mark.parametrize("target", ["docker", "coredns"])
def test_settings_that_belong_into_a_file_of_the_user_are_not_written(tmp_path: Path, target: str) -> None:
    result = resolver("install", target, *GIVEN, "--root", tmp_path, "--apply")
    assert result.exit_code == 1
    assert "part of a file of yours" in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../../passwd", 'x" include: "/etc/passwd', "a/b", "a;b", "a..b"])
def test_a_namespace_that_would_mean_something_else_in_a_file_is_refused(tmp_path: Path, name: str) -> None:
    given = ("--namespace", name, "--nameserver", "127.0.0.1:8600")
    result = resolver("install", "macos", *given, "--root", tmp_path, "--apply")
    assert result.exit_code == 1
    assert "cannot stand in a resolver's settings" in result.output
    assert list(tmp_path.iterdir()) == []


def test_without_a_platform_both_must_be_given(tmp_path: Path) -> None:
    result = resolver("show", "--state-dir", tmp_path)
    assert result.exit_code == 6
    assert "--namespace and --nameserver" in result.output


def test_names_under_local_are_warned_of() -> None:
    result = resolver("show", "macos", "--namespace", "secure-api.local", "--nameserver", "127.0.0.1:8600")
    assert "secure-api.local: many systems look names under .local up by multicast" in result.output
    assert "warning" not in resolver("show", "macos", *GIVEN).output
    assert multicast_warning(["Example.LOCAL.", "local.example.org"]) is not None
    assert multicast_warning(["localhost", "example.internal"]) is None


@pytest.fixture
def registry_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    yield from running(tmp_path_factory.mktemp("registry"))


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    return tmp_path_factory.mktemp("resolver")


def command(target: str, folder: Path, port: int, settings: Path) -> list[str | Path]:
    """Return what runs a resolver with our settings and as little else as possible."""
    executable = shutil.which(target) or shutil.which(target, path="/usr/sbin")
    if executable is None:
        missing({"dnsmasq": "dnsmasq (apt-get install dnsmasq-base)", "unbound": "unbound"}[target])
    assert executable is not None
    config = folder / "main.conf"
    if target == "dnsmasq":
        lines = [f"port={port}", "listen-address=127.0.0.1", "bind-interfaces", "no-resolv", "no-hosts", "user="]
        config.write_text("\n".join([*lines, "group=", "stop-dns-rebind", f"conf-dir={settings.parent}", ""]))
        return [executable, "--keep-in-foreground", f"--conf-file={config}", f"--pid-file={folder / 'pid'}"]
    lines = [f"interface: 127.0.0.1@{port}", 'chroot: ""', 'username: ""', 'pidfile: ""', "use-syslog: no"]
    config.write_text("\n".join(["server:", *(f"    {line}" for line in lines), f'include: "{settings}"', ""]))
    return [executable, "-d", "-c", config]


@pytest.mark.parametrize("target", ["dnsmasq", "unbound"])
async def test_a_resolver_with_our_settings_finds_our_services(
    nameserver: NameserverProcess, registry: StubRegistry, folder: Path, port: int, target: str
) -> None:
    history = History()
    service = history.service(history.namespace("example.internal", soa_ttl_s=0), "web", "A 0")
    history.instance(service, "i", ipv4="127.88.0.1")
    await registry.accept(history.snapshot())
    given = ("--namespace", "example.internal", "--nameserver", f"127.0.0.1:{nameserver.port}")
    installed = resolver("install", target, *given, "--root", folder, "--apply")
    (written,) = re.findall(r"^wrote (.*)$", installed.output, re.MULTILINE)
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(command(target, folder, port, Path(written)), stdout=log, stderr=log)
    try:
        heard = await _heard("web.example.internal", port, process, folder)
        assert {record.address for record in heard.answer[0]} == {"127.88.0.1"}
        history.deregister(service, "i")
        history.instance(service, "j", ipv4="127.88.0.2")
        await registry.tell(history.since(3))
        heard = await _heard("web.example.internal", port, process, folder)
        assert {record.address for record in heard.answer[0]} == {"127.88.0.2"}
        assert (await _heard("nobody.example.internal", port, process, folder)).rcode() == dns.rcode.NXDOMAIN
    finally:
        process.terminate()
        process.wait(10)


async def _heard(name: str, port: int, process: "subprocess.Popen[bytes]", folder: Path) -> dns.message.Message:
    query = dns.message.make_query(name, "A")
    for _ in range(200):
        try:
            return await dns.asyncquery.udp(query, "127.0.0.1", 1, port)
        except (OSError, dns.exception.Timeout):
            assert process.poll() is None, (folder / "log").read_text()
            await asyncio.sleep(0.05)  # another project's server starts
    pytest.fail((folder / "log").read_text())


@pytest.mark.parametrize(("name", "warned"), [("secure-api.local", 1), ("example.internal", 0)])
def test_the_registry_warns_once_when_a_namespace_under_local_is_created(name: str, warned: int) -> None:
    history = History()
    history.namespace(name)
    cause = Cause(call="CreatePrivateDnsNamespace", by="-")
    with capture_logs() as logs:
        MulticastWarning().publish([Recorded(revision=1, at_ms=1, change=history.changes[0], cause=cause)])
    assert [entry["namespace"] for entry in logs] == ["ns-1"] * warned


def test_what_runs_is_what_is_told(tmp_path: Path, registry_of_its_own: RegistryProcess) -> None:
    client = registry_of_its_own.client()
    client.create_private_dns_namespace(Name="example.internal", Vpc="vpc-1")
    client.create_http_namespace(Name="by-api-alone")
    run = {"http_address": registry_of_its_own.url.removeprefix("http://"), "dns_address": "0.0.0.0:8600"}
    (tmp_path / "run.json").write_text(json.dumps(run))
    result = resolver("show", "dnsmasq", "--state-dir", tmp_path)
    assert "server=/example.internal/127.0.0.1#8600" in result.output
    assert "by-api-alone" not in result.output
