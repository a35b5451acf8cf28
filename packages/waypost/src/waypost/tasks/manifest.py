"""The manifest: which services run here, and how. Text in, frozen values out; durations carry their unit.

::

    namespace = "secure-api.local"

    [balancer]
    service = "api"

    [jobs.migrate]
    command = ["omnichannel", "db", "upgrade"]

    [services.api]
    command = ["omnichannel", "api"]
    count = 2
    depends_on = ["migrate"]
    ready = "/health/ready"
    health = { path = "/health", interval_ms = 500, timeout_ms = 1000, rise = 1, fall = 2 }

Relative paths, in commands too, start at the manifest's folder.
"""

import tomllib
from dataclasses import dataclass, fields, replace
from graphlib import CycleError, TopologicalSorter
from pathlib import Path
from typing import Final, Literal, Protocol

from waypost.tasks.errors import ManifestInvalid
from waypost.tasks.toml_table import (
    LABEL,
    Table,
    command_line,
    domain_name,
    http_path,
    integer,
    names_of,
    one_of,
    path_text,
    paths_by_variable,
    record_types,
    seconds,
    variables,
)

__all__ = [
    "Balancer",
    "DeploySpec",
    "HealthSpec",
    "JobSpec",
    "Limits",
    "LogSpec",
    "Manifest",
    "Program",
    "ServiceSpec",
    "load_manifest",
    "parse_manifest",
]

MOST: Final = 2**63 - 1  # of a limit: what setrlimit(2) can hold


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSpec:
    """How a task's health is checked: by HTTP, GET ``path``; a 2xx in time passes."""

    kind: Literal["http", "https", "tcp", "grpc"] = "http"  # tcp: it can be connected to; grpc: the health protocol
    path: str = "/health"  # of HTTP and HTTPS
    interval_ms: int = 500  # 100..60000; lower finds a sick task sooner and asks more often
    timeout_ms: int = 1000  # 50..60000; longer than the slowest honest answer
    rise: int = 1  # 1..10 passes in a row make it healthy
    fall: int = 2  # 1..10 failures in a row make it unhealthy
    replace_after_s: float = 30.0  # 0..86400 seconds that a task may be unhealthy until another takes its place


@dataclass(frozen=True, slots=True, kw_only=True)
class DeploySpec:
    """The bounds of a rolling deploy, as ECS has them: shares of the wanted count, in percent."""

    minimum_percent: int = 100  # 0..100 of the count stay healthy throughout, rounded up
    maximum_percent: int = 200  # 100..1000 of the count run at a time, rounded down
    failures: int = 3  # 1..100 starts of the new version that fail until it is rolled back


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What the kernel allows each process of a task (setrlimit(2)); None: as much as the platform itself."""

    open_files: int | None = None
    processes: int | None = None  # of the user, not of the task
    memory_bytes: int | None = None  # of address space
    file_bytes: int | None = None  # of one file that it writes
    core_bytes: int | None = None
    cpu_s: int | None = None  # seconds of processor time, after which it is killed

    @property
    def given(self) -> tuple[tuple[str, int], ...]:
        """Those that there are."""
        found = ((field.name, getattr(self, field.name)) for field in fields(self))
        return tuple((name, value) for name, value in found if value is not None)


class Program(Protocol):
    """What a service and a job have in common: a command, and what it runs with."""

    @property
    def name(self) -> str: ...
    @property
    def command(self) -> tuple[str, ...]: ...
    @property
    def environment(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def secrets(self) -> tuple[tuple[str, str], ...]: ...
    @property
    def working_directory(self) -> str: ...
    @property
    def limits(self) -> Limits: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """One service: so many tasks of one command."""

    name: str  # a DNS label
    command: tuple[str, ...]
    count: int = 1  # 0..1000
    depends_on: tuple[str, ...] = ()  # services that must be running, and jobs that must be done, before it starts
    port: int | None = None  # 1..65535; None: the platform's task port
    records: tuple[Literal["A", "SRV"], ...] = ("A",)
    ttl_s: int = 2  # 0..86400: how long an answer may be cached, and so how long a task drains
    health: HealthSpec = HealthSpec()
    ready: str | None = None  # path that must pass once before a task counts as started
    start_timeout_s: float = 30.0  # from the start of the process to its first passed check
    stop_grace_s: float = 5.0  # from SIGTERM to SIGKILL
    deploy: DeploySpec = DeploySpec()
    environment: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()  # variable, file that holds its value
    working_directory: str = "."
    limits: Limits = Limits()

    def same_but_count(self, other: "ServiceSpec") -> bool:
        """Whether tasks of the two are alike."""
        return replace(self, count=0) == replace(other, count=0)


@dataclass(frozen=True, slots=True, kw_only=True)
class JobSpec:
    """A command that runs to its end, once for each start of the platform and each deploy: it is nobody's to find."""

    name: str
    command: tuple[str, ...]
    depends_on: tuple[str, ...] = ()
    timeout_s: float = 600.0
    environment: tuple[tuple[str, str], ...] = ()
    secrets: tuple[tuple[str, str], ...] = ()
    working_directory: str = "."
    limits: Limits = Limits()


@dataclass(frozen=True, slots=True, kw_only=True)
class LogSpec:
    """How much is kept of what each task and each part of the platform prints."""

    max_bytes: int = 10_000_000  # 10000..: a log that is longer is put aside and begun anew
    keep: int = 2  # 0..100 of those put aside
    ended: int = 10  # 0..1000 tasks of each service, beside those that run, whose logs are kept


@dataclass(frozen=True, slots=True, kw_only=True)
class Balancer:
    """The load balancer in front."""

    service: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """Everything that the manifest says."""

    namespace: str
    services: tuple[ServiceSpec, ...]
    folder: Path  # absolute
    balancer: Balancer | None = None
    jobs: tuple[JobSpec, ...] = ()
    logs: LogSpec = LogSpec()

    @property
    def everything(self) -> tuple[ServiceSpec | JobSpec, ...]:
        """All jobs and services."""
        return (*self.jobs, *self.services)

    @property
    def needs(self) -> dict[str, tuple[str, ...]]:
        """What each job and service depends on, by name."""
        return {each.name: each.depends_on for each in self.everything}

    def service(self, name: str) -> ServiceSpec | None:
        """Return a service; None if there is none of that name."""
        return next((each for each in self.services if each.name == name), None)


def load_manifest(path: Path) -> Manifest:
    """Read a manifest.

    :raises ManifestInvalid: there is none, or a key of it cannot be used.
    """
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8 text"
        raise ManifestInvalid(f"{path} cannot be read ({reason})", "give the path of a manifest to waypost up") from exc
    return parse_manifest(text, name=path.name, folder=path.resolve().parent)


def parse_manifest(text: str, *, name: str, folder: Path) -> Manifest:
    """Return the manifest that a TOML text holds. ``name`` is what errors call it.

    :raises ManifestInvalid: it is no TOML, or a key of it cannot be used.
    """
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise ManifestInvalid(f"{name} is not TOML", str(exc)) from exc
    top = Table(document, name, "")
    namespace = top.take("namespace", domain_name)
    service_tables, job_tables = top.tables("services", required=True), top.tables("jobs", required=False)
    known = [each.name for each in (*service_tables, *job_tables)]
    manifest = Manifest(
        namespace=namespace,
        services=tuple(_service(each, known) for each in service_tables),
        jobs=tuple(_job(each, known) for each in job_tables),
        logs=_logs(top.table("logs")),
        folder=folder,
        balancer=_balancer(top.table("balancer"), service_tables) if "balancer" in document else None,
    )
    top.nothing_else()
    _refuse_twins(manifest, name)
    _refuse_circles(manifest, name)
    return manifest


def _service(table: Table, known: list[str]) -> ServiceSpec:
    _named(table)
    spec = ServiceSpec(
        name=table.name,
        command=table.take("command", command_line),
        count=table.take("count", integer(0, 1000), 1),
        depends_on=table.take("depends_on", names_of(known, but=table.name), ()),
        port=table.take("port", integer(1, 65_535), None),
        records=table.take("records", record_types, ("A",)),
        ttl_s=table.take("ttl_s", integer(0, 86_400), 2),
        health=_health(table.table("health")),
        ready=table.take("ready", http_path, None),
        start_timeout_s=table.take("start_timeout_s", seconds(0.1, 3600), 30.0),
        stop_grace_s=table.take("stop_grace_s", seconds(0, 3600), 5.0),
        deploy=_deploy(table.table("deploy")),
        environment=table.take("environment", variables, ()),
        secrets=table.take("secrets", paths_by_variable, ()),
        working_directory=table.take("working_directory", path_text, "."),
        limits=_limits(table.table("limits")),
    )
    table.nothing_else()
    return spec


def _job(table: Table, known: list[str]) -> JobSpec:
    _named(table)
    spec = JobSpec(
        name=table.name,
        command=table.take("command", command_line),
        depends_on=table.take("depends_on", names_of(known, but=table.name), ()),
        timeout_s=table.take("timeout_s", seconds(0.1, 86_400), 600.0),
        environment=table.take("environment", variables, ()),
        secrets=table.take("secrets", paths_by_variable, ()),
        working_directory=table.take("working_directory", path_text, "."),
        limits=_limits(table.table("limits")),
    )
    table.nothing_else()
    return spec


def _named(table: Table) -> None:
    if not LABEL.fullmatch(table.name):
        mend = "name it in lower-case letters, digits and hyphens, at most 63, as a DNS label"
        raise ManifestInvalid(f"{table.name!r} is no name for a service or a job", mend)


def _health(table: Table) -> HealthSpec:
    spec = HealthSpec(
        kind=table.take("kind", one_of(["http", "https", "tcp", "grpc"]), "http"),
        path=table.take("path", http_path, "/health"),
        interval_ms=table.take("interval_ms", integer(100, 60_000), 500),
        timeout_ms=table.take("timeout_ms", integer(50, 60_000), 1000),
        rise=table.take("rise", integer(1, 10), 1),
        fall=table.take("fall", integer(1, 10), 2),
        replace_after_s=table.take("replace_after_s", seconds(0, 86_400), 30.0),
    )
    table.nothing_else()
    return spec


def _deploy(table: Table) -> DeploySpec:
    spec = DeploySpec(
        minimum_percent=table.take("minimum_percent", integer(0, 100), 100),
        maximum_percent=table.take("maximum_percent", integer(100, 1000), 200),
        failures=table.take("failures", integer(1, 100), 3),
    )
    table.nothing_else()
    return spec


def _limits(table: Table) -> Limits:
    limits = Limits(**{field.name: table.take(field.name, integer(0, MOST), None) for field in fields(Limits)})
    table.nothing_else()
    return limits


def _logs(table: Table) -> LogSpec:
    spec = LogSpec(
        max_bytes=table.take("max_bytes", integer(10_000, MOST), 10_000_000),
        keep=table.take("keep", integer(0, 100), 2),
        ended=table.take("ended", integer(0, 1000), 10),
    )
    table.nothing_else()
    return spec


def _balancer(table: Table, services: list[Table]) -> Balancer:
    balancer = Balancer(
        service=table.take("service", one_of([service.name for service in services], of="the services"))
    )
    table.nothing_else()
    return balancer


def _refuse_twins(manifest: Manifest, file: str) -> None:
    twins = {each.name for each in manifest.services} & {each.name for each in manifest.jobs}
    for name in sorted(twins):
        raise ManifestInvalid(f"{file}: {name} is both a service and a job", "give the job another name")


def _refuse_circles(manifest: Manifest, file: str) -> None:
    """Refuse services and jobs that wait for each other: none of them would ever start."""
    try:
        TopologicalSorter(manifest.needs).prepare()
    except CycleError as exc:
        circle = " -> ".join(reversed(exc.args[1]))
        raise ManifestInvalid(f"{file}: depends_on goes in a circle ({circle})", "take one of them out") from None
