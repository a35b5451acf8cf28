"""Databases for tests: each test that asks for ``database_url`` runs on SQLite and on PostgreSQL, on an empty database.

PostgreSQL is a throw-away cluster of the installed server's binaries. Where there are none such a test is skipped, and
fails under ``CI``.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import NoReturn

import pytest

from omnichannel.database import Database


@dataclass(frozen=True)
class Cluster:
    """A running PostgreSQL server that listens on a Unix socket in its directory."""

    binaries: Path
    directory: Path

    def create_database(self, name: str) -> str:
        """Create an empty database and return its URL."""
        self._run("createdb", name)
        return f"postgresql://postgres@/{name}?host={self.directory}"

    def drop_database(self, name: str) -> None:
        self._run("dropdb", "--force", name)

    def _run(self, program: str, *arguments: str) -> None:
        command = [self.binaries / program, "--host", self.directory, "--username", "postgres", *arguments]
        subprocess.run(command, check=True, capture_output=True, timeout=30)


def _find_binaries() -> Path | None:
    """Return the folder of the server's programs: Debian's newest, else whatever ``initdb`` leads to."""
    debian = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]))
    anywhere = [Path(path).resolve() for path in [shutil.which("initdb")] if path]
    return next((path.parent for path in [*reversed(debian), *anywhere]), None)


@contextmanager
def _running_cluster(binaries: Path) -> Iterator[Cluster]:
    """Start a server. It refuses to run as root, so root runs it as the user ``postgres``."""
    as_postgres = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []

    def run(program: str, *arguments: str) -> None:
        command: Sequence[str | Path] = [*as_postgres, binaries / program, *arguments]
        done = subprocess.run(command, cwd="/", stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60)
        assert done.returncode == 0, done.stdout

    with tempfile.TemporaryDirectory(prefix="pg-", ignore_cleanup_errors=True) as name:
        directory = Path(name)  # short: a socket's path has room for 107 bytes
        if as_postgres:
            shutil.chown(directory, "postgres", "postgres")
        directory.chmod(0o755)  # whoever knows the socket may use it, from another user namespace too
        data, log = str(directory / "data"), str(directory / "log")
        run("initdb", "--pgdata", data, "--auth=trust", "--username=postgres", "--encoding=UTF8", "--no-sync")
        settings = f"-c listen_addresses='' -c unix_socket_directories={directory} -c fsync=off -c max_connections=200"
        run("pg_ctl", "start", "--wait", "--pgdata", data, "--log", log, "--options", settings)
        try:
            yield Cluster(binaries, directory)
        finally:
            run("pg_ctl", "stop", "--pgdata", data, "--mode=immediate")


def missing(what: str) -> NoReturn:
    """Skip a test for want of a program; in CI that is a failure, so that nothing is skipped unseen."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} is missing; .ci/run installs it")
    pytest.skip(f"{what} is missing")


@pytest.fixture(scope="session")
def postgres_cluster() -> Iterator[Cluster]:
    """A PostgreSQL server for the whole run."""
    binaries = _find_binaries()
    if binaries is None:
        missing("PostgreSQL's server")
    with _running_cluster(binaries) as cluster:
        yield cluster


_numbers = count(1)


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database."""
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'test.db'}"
        return
    cluster: Cluster = request.getfixturevalue("postgres_cluster")
    name = f"test_{next(_numbers)}"
    yield cluster.create_database(name)
    cluster.drop_database(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database with its tables."""
    database = Database.open(database_url)
    await database.migrate()
    yield database
    await database.close()
