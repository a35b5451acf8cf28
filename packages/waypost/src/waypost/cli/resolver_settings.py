"""What sends the names of our namespaces, and no others, to Waypost: as files of the resolvers that people run. Pure.

Sources: resolved.conf(5), dnsmasq(8), unbound.conf(5), CoreDNS's forward plugin, resolver(5) of macOS, dockerd(8).
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final

from waypost.settings import ListenAddress

__all__ = ["MARK", "TARGETS", "Setting", "Target", "unwritable"]

PLAIN_NAME: Final = re.compile(r"[0-9A-Za-z_-]+(\.[0-9A-Za-z_-]+)*")
MARK: Final = "Written by `waypost resolver install`; `waypost resolver remove` takes it away."
"""Stands in every file that we write: one without it is somebody else's."""


@dataclass(frozen=True, slots=True)
class Setting:
    """A file, or a piece of one."""

    path: PurePosixPath
    text: str


def unwritable(namespaces: Sequence[str]) -> str | None:
    """Return the first name that has no place in such files, since it holds what means something to them."""
    return next((name for name in namespaces if not PLAIN_NAME.fullmatch(name)), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A resolver that can be told."""

    name: str
    settings: Callable[[Sequence[str], ListenAddress], list[Setting]]  # of namespaces and our address
    reload: tuple[str, ...]  # the command that makes it read them; empty: it does by itself
    whole_files: bool = True  # ours alone, so that we may write them; else the piece goes into a file of the user's
    advice: str = ""


def _systemd_resolved(namespaces: Sequence[str], server: ListenAddress) -> list[Setting]:
    lines = [
        f"# {MARK}",
        "[Resolve]",
        f"DNS={server}",
        f"Domains={' '.join(f'~{name}' for name in namespaces)}",
    ]
    return [_file("/etc/systemd/resolved.conf.d/waypost.conf", lines)]


def _dnsmasq(namespaces: Sequence[str], server: ListenAddress) -> list[Setting]:
    lines = [f"# {MARK}"]
    for name in namespaces:
        lines += [f"server=/{name}/{server.host}#{server.port}", f"rebind-domain-ok=/{name}/"]
    return [_file("/etc/dnsmasq.d/waypost.conf", lines)]


def _unbound(namespaces: Sequence[str], server: ListenAddress) -> list[Setting]:
    lines = [f"# {MARK}", "server:", "    do-not-query-localhost: no"]
    for name in namespaces:
        lines += [
            f'    local-zone: "{name}." transparent',
            f'    domain-insecure: "{name}."',
            f'    private-domain: "{name}."',
        ]
    for name in namespaces:
        lines += ["stub-zone:", f'    name: "{name}."', f"    stub-addr: {server.host}@{server.port}"]
    return [_file("/etc/unbound/unbound.conf.d/waypost.conf", lines)]


def _coredns(namespaces: Sequence[str], server: ListenAddress) -> list[Setting]:
    lines = [f"# {MARK}"]
    for name in namespaces:
        lines += [f"{name}:53 {{", f"    forward . {server}", "    cache 2", "}"]
    return [_file("Corefile", lines)]


def _docker(_: Sequence[str], server: ListenAddress) -> list[Setting]:
    return [_file("/etc/docker/daemon.json", ["{", f'  "dns": ["{server.host}"]', "}"])]


def _macos(namespaces: Sequence[str], server: ListenAddress) -> list[Setting]:
    lines = [f"# {MARK}", f"nameserver {server.host}", f"port {server.port}"]
    return [_file(f"/etc/resolver/{name}", lines) for name in namespaces]


def _file(path: str, lines: Sequence[str]) -> Setting:
    return Setting(PurePosixPath(path), "".join(f"{line}\n" for line in lines))


TARGETS: Final[Mapping[str, Target]] = {
    target.name: target
    for target in (
        Target(
            name="systemd-resolved",
            settings=_systemd_resolved,
            reload=("systemctl", "restart", "systemd-resolved"),
            advice="Needs systemd 246 or later for a port other than 53, and DNSSEC= other than yes.",
        ),
        Target(name="dnsmasq", settings=_dnsmasq, reload=("systemctl", "restart", "dnsmasq")),
        Target(name="unbound", settings=_unbound, reload=("unbound-control", "reload")),
        Target(
            name="coredns",
            settings=_coredns,
            reload=(),
            whole_files=False,
            advice="Add these server blocks to your Corefile; the plugin `reload` takes them in.",
        ),
        Target(
            name="docker",
            settings=_docker,
            reload=("systemctl", "restart", "docker"),
            whole_files=False,
            advice=(
                "Containers ask this server for every name, on port 53 and at an address that they reach: run Waypost "
                "with such a --dns-address and with --dns-forward. For one container: docker run --dns ADDRESS."
            ),
        ),
        Target(name="macos", settings=_macos, reload=()),
    )
}
