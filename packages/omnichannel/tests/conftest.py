"""Databases for tests: each test that asks for ``database_url`` runs on SQLite and on PostgreSQL, on an empty database.

PostgreSQL is a throw-away cluster of the installed server's binaries. Where there are none such a test is skipped, and
fails under ``CI``.
"""

import asyncio
import os
import shutil
import signal
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

    def create_database(self, name: str, *, like: str = "template1") -> str:
        """Create a database, empty unless it is to be like another one, and return its URL."""
        self._run("createdb", "--template", like, name)
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


def _migrate(url: str) -> None:
    async def migrate() -> None:
        database = Database.open(url)
        await database.migrate()
        await database.close()

    loop = asyncio.new_event_loop()  # asyncio.run would take away the loop that the tests' own runner has set
    loop.run_until_complete(migrate())
    loop.close()


@pytest.fixture(scope="session")
def migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database file with all tables, to be copied: the migrations run once, not before each test."""
    file = tmp_path_factory.mktemp("migrated") / "migrated.db"
    _migrate(f"sqlite:///{file}")
    return file


@pytest.fixture(scope="session")
def migrated_postgres(postgres_cluster: Cluster) -> str:
    """The name of a database with all tables, to be copied."""
    _migrate(postgres_cluster.create_database("migrated"))
    return "migrated"


@pytest.fixture(params=["sqlite", "postgres"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty database; with all tables already where a test asks for ``database`` too."""
    migrated = "database" in request.fixturenames
    if request.param == "sqlite":
        file = tmp_path / "test.db"
        if migrated:
            shutil.copy(request.getfixturevalue("migrated_sqlite"), file)
        yield f"sqlite:///{file}"
        return
    cluster: Cluster = request.getfixturevalue("postgres_cluster")
    name = f"test_{next(_numbers)}"
    yield cluster.create_database(name, like=request.getfixturevalue("migrated_postgres") if migrated else "template1")
    cluster.drop_database(name)


@pytest.fixture
async def database(database_url: str) -> AsyncIterator[Database]:
    """An open database with its tables."""
    database = Database.open(database_url)
    await database.ping()
    yield database
    await database.close()


@dataclass
class KillablePostgres:
    """A PostgreSQL server of the test's own, to be killed."""

    programs: Path
    directory: Path
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"postgresql://postgres@/postgres?host={self.directory}"

    def command(self, *arguments: str) -> list[str]:
        become = ["setpriv", "--reuid=postgres", "--regid=postgres", "--init-groups"] if os.geteuid() == 0 else []
        return [*become, *arguments]

    def create(self) -> None:
        self.directory.mkdir(exist_ok=True)
        if os.geteuid() == 0:
            shutil.chown(self.directory, "postgres", "postgres")
        initdb = str(self.programs / "initdb")
        arguments = ["-D", f"{self.directory}/data", "-A", "trust", "-U", "postgres", "-E", "UTF8", "--no-sync"]
        subprocess.run(self.command(initdb, *arguments), check=True, capture_output=True, cwd="/")

    def start(self) -> None:
        settings = {"listen_addresses": "", "unix_socket_directories": str(self.directory), "max_connections": "200"}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with open(f"{self.directory}.log", "ab") as log:
            self.process = subprocess.Popen(
                self.command(str(self.programs / "postgres"), "-D", f"{self.directory}/data", *options),
                stdout=log,
                stderr=log,
                cwd="/",
            )

    def kill(self) -> None:
        assert self.process is not None
        self.process.kill()
        self.process.wait()

    async def restart(self) -> None:
        """Start it again, as often as it takes: backends of the one before may not have noticed its death yet."""
        for _ in range(100):
            self.start()
            await asyncio.sleep(0.5)
            assert self.process is not None
            if self.process.poll() is None:
                return
        raise AssertionError(Path(f"{self.directory}.log").read_text())


@pytest.fixture
def killable_postgres(postgres_cluster: Cluster) -> Iterator[KillablePostgres]:
    """A PostgreSQL server that a test may kill, beside the one that all share."""
    directory = Path(f"/tmp/pg-kill-{os.getpid()}-{next(_numbers)}")  # short: a socket's path has 107 bytes
    server = KillablePostgres(postgres_cluster.binaries, directory)
    server.create()
    server.start()
    yield server
    if server.process is not None and server.process.poll() is None:
        server.process.send_signal(signal.SIGINT)
        server.process.wait(20)
    shutil.rmtree(directory, ignore_errors=True)
    Path(f"{directory}.log").unlink(missing_ok=True)
