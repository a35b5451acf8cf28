"""This machine: ports, limits, the state directory."""

import fcntl
import os
import resource
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from waypost.cli.checkup.finding import Finding, fail, ok, warn
from waypost.settings import ListenAddress
from waypost.tasks.errors import PlatformError
from waypost.tasks.listeners import bind_dns, bind_tcp
from waypost.tasks.state_dir import SOCKET_PATH_MOST

__all__ = ["file_limit", "is_held", "ports", "state_directory"]

ENOUGH_FILES: Final = 4_096  # as many connections and watches at a time, and what else is open
TOO_FEW_FILES: Final = 1_024

FLAGS: Final[Mapping[str, str]] = {
    "http_address": "--http-address",
    "dns_address": "--dns-address",
    "dns_admin_address": "--dns-admin-address",
    "balancer_address": "--balancer-address",
    "balancer_admin_address": "--balancer-admin-address",
}


def ports(wanted: Mapping[str, ListenAddress], held: Mapping[str, str]) -> Iterator[Finding]:
    """Say of each address whether it can be listened on, or who does. ``held``: by the platform that runs here."""
    ours = {address for name, address in held.items() if name in FLAGS}
    for name, address in wanted.items():
        check = f"port {address.port}"
        if str(address) in ours:
            yield ok(check, f"{address} is held by the platform that runs here")
            continue
        try:
            if name == "dns_address":
                bind_dns(address, FLAGS[name]).close()
            else:
                bind_tcp(address, FLAGS[name]).socket.close()
        except PlatformError as refused:
            yield fail(check, refused.problem, refused.mend)
        else:
            yield ok(check, f"{address} is free")


def file_limit() -> Finding:
    """Say how many files a process may have open; ours raise the soft limit to the hard one."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    found = "no limit" if hard == resource.RLIM_INFINITY else f"{hard} (soft: {soft}; raised by itself)"
    if hard == resource.RLIM_INFINITY or hard >= ENOUGH_FILES:
        return ok("open files", found)
    mend = f"raise the hard limit to {ENOUGH_FILES} or more: ulimit -Hn, LimitNOFILE= of systemd"
    return (fail if hard < TOO_FEW_FILES else warn)("open files", found, mend)


def state_directory(folder: Path) -> Finding:
    """Say whether the state directory can be used, and by whom it is."""
    check, full = "state directory", folder.resolve()
    if len(os.fsencode(full / "control.sock")) > SOCKET_PATH_MOST:
        return fail(check, f"the path {full} is too long for a socket in it", "choose a shorter --state-dir")
    if not full.exists():
        parent = next(each for each in full.parents if each.exists())
        if not os.access(parent, os.W_OK | os.X_OK):
            return fail(check, f"{full} cannot be made", "choose another with --state-dir")
        return ok(check, f"{full} is made at the first start")
    if not full.is_dir() or not os.access(full, os.W_OK | os.X_OK):
        return fail(check, f"{full} cannot be written to", "choose another with --state-dir, or change its owner")
    if is_held(full):
        return ok(check, f"{full} is held by the platform that runs here")
    if (full / "run.json").exists():
        return warn(
            check,
            f"{full} was left by a platform that was killed: run.json leads commands to what is not there",
            "start it again with waypost up, which takes over what it left, or remove run.json",
        )
    return ok(check, f"{full} is free")


def is_held(folder: Path) -> bool:
    """Whether a platform runs on a state directory."""
    try:
        lock = os.open(folder / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
