"""Fixtures that every package's tests may use: a real PostgreSQL server, and free databases on it."""

import gc
import getpass
import itertools
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

DATABASE_NUMBERS = itertools.count(1)

# A shell starts its background jobs with SIGINT ignored, which processes hand down; tests send it as Ctrl-C does.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Take the tests and all that was imported for them out of every later garbage collection."""
    gc.collect()
    gc.freeze()


def missing(what: str) -> None:
    """Skip a test for want of a program; in CI that is a failure, so that nothing is skipped unseen."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing; .ci/run installs it")
    pytest.skip(f"{what} is missing")


def postgresql_bin() -> Path | None:
    """Return the folder of PostgreSQL's server programs, which Debian keeps off the PATH."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if versions:
        return versions[-1].parent
    found = shutil.which("initdb")
    return None if found is None else Path(found).resolve().parent


@pytest.fixture(scope="session")
def postgresql_server() -> Iterator[str]:
    """Yield ``postgresql://user@127.0.0.1:port`` of a throw-away server. initdb refuses root, so postgres runs it."""
    programs = postgresql_bin()
    if programs is None:
        missing("PostgreSQL's server")
    assert programs is not None
    user = "postgres" if os.geteuid() == 0 else getpass.getuser()
    become = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    data = Path(tempfile.mkdtemp(prefix="postgresql-"))
    if become:
        shutil.chown(data, user, user)
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    initdb = [programs / "initdb", "-D", data / "data", "-U", user, "-A", "trust", "-E", "UTF8", "--no-sync"]
    subprocess.run([*become, *initdb], check=True, capture_output=True, cwd=data)
    settings = {"listen_addresses": "127.0.0.1", "port": port, "unix_socket_directories": data, "fsync": "off"}
    options = [option for name, value in settings.items() for option in ("-c", f"{name}={value}")]
    with (data / "log").open("wb") as log:
        server = subprocess.Popen(
            [*become, programs / "postgres", "-D", data / "data", *options], stdout=log, stderr=log, cwd=data
        )
    try:
        for _ in range(300):
            if subprocess.run([programs / "pg_isready", "-q", "-h", "127.0.0.1", "-p", str(port)]).returncode == 0:
                break
            time.sleep(0.1)  # a process of another project starts: nothing to wait on but its port
        else:
            pytest.fail(f"PostgreSQL did not start: {(data / 'log').read_text()}")
        yield f"postgresql://{user}@127.0.0.1:{port}"
    finally:
        subprocess.run([*become, programs / "pg_ctl", "-D", data / "data", "-m", "immediate", "stop"], cwd=data)
        server.wait(10)
        shutil.rmtree(data, ignore_errors=True)


@pytest.fixture
def postgresql_url(postgresql_server: str) -> str:
    """Return the address of an empty database of the test's own."""
    programs = postgresql_bin()
    assert programs is not None
    name = f"test_{next(DATABASE_NUMBERS)}"
    address, _, port = postgresql_server.rpartition(":")
    user = address.removeprefix("postgresql://").partition("@")[0]
    subprocess.run([programs / "createdb", "-h", "127.0.0.1", "-p", port, "-U", user, name], check=True)
    return f"{postgresql_server}/{name}"
