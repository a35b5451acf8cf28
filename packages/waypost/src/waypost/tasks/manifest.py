"""The manifest: which services run here, and how. Text in, frozen values out; durations carry their unit.

::

    namespace = "secure-api.local"

    [balancer]
    service = "api"

    [services.api]
    command = ["omnichannel", "api"]
    count = 2
    ready = "/health/ready"
    health = { path = "/health", interval_ms = 500, timeout_ms = 1000, rise = 1, fall = 2 }

Relative paths, in commands too, start at the manifest's folder.
"""

import difflib
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from waypost.tasks.errors import ManifestInvalid

__all__ = ["Balancer", "HealthSpec", "Manifest", "ServiceSpec", "load_manifest", "parse_manifest"]

LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
RECORDS: Final = ("A", "SRV")  # AAAA: tasks have IPv4 addresses; CNAME: they have no other name


@dataclass(frozen=True, slots=True, kw_only=True)
class HealthSpec:
    """How a task's health is checked: GET ``path``; a 2xx in time passes."""

    path: str = "/health"
    interval_ms: int = 500  # 100..60000; lower finds a sick task sooner and asks more often
    timeout_ms: int = 1000  # 50..60000; longer than the slowest honest answer
    rise: int = 1  # 1..10 passes in a row make it healthy
    fall: int = 2  # 1..10 failures in a row make it unhealthy


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceSpec:
    """One service: so many tasks of one command."""

    name: str  # a DNS label
    command: tuple[str, ...]
    count: int = 1  # 0..1000
    port: int | None = None  # 1..65535; None: the platform's task port
    records: tuple[Literal["A", "SRV"], ...] = ("A",)
    ttl_s: int = 2  # 0..86400: how long an answer may be cached, and so how long a task drains
    health: HealthSpec = HealthSpec()
    ready: str | None = None  # path that must pass once before a task counts as started
    start_timeout_s: float = 30.0  # from the start of the process to its first passed check
    stop_grace_s: float = 5.0  # from SIGTERM to SIGKILL
    environment: tuple[tuple[str, str], ...] = ()


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
    top = _Table(document, name, "")
    namespace = top.take("namespace", _namespace)
    services = tuple(_service(each) for each in top.tables("services"))
    balancer = _balancer(top.table("balancer"), services) if "balancer" in document else None
    top.nothing_else()
    return Manifest(namespace=namespace, services=services, folder=folder, balancer=balancer)


class _Invalid(Exception):
    """What a value should have been."""


_REQUIRED: Final = object()


class _Table:
    """A table of the document that knows its own name, so that every error can give the full key."""

    def __init__(self, values: Mapping[str, Any], file: str, prefix: str) -> None:
        self._values, self._file, self._prefix = values, file, prefix
        self._known: list[str] = []

    @property
    def name(self) -> str:
        return self._prefix.rpartition(".")[2]

    def take(self, key: str, parse: Callable[[Any], Any], default: Any = _REQUIRED) -> Any:
        self._known.append(key)
        if key not in self._values:
            if default is _REQUIRED:
                raise ManifestInvalid(f"{self._file}: the key {self._key(key)} is missing", _describe(parse))
            return default
        try:
            return parse(self._values[key])
        except _Invalid as exc:
            shown = repr(self._values[key])[:80]
            raise ManifestInvalid(f"{self._file}: {self._key(key)} = {shown}", str(exc)) from None

    def table(self, key: str) -> Self:
        """Return the table under a key; an empty one if it is not there."""
        return type(self)(self.take(key, _table, {}), self._file, self._key(key))

    def tables(self, key: str) -> list[Self]:
        """Return the tables under a key that must be there."""
        values = self.take(key, _some_tables)
        outer = type(self)(values, self._file, self._key(key))
        return [outer.table(name) for name in values]

    def nothing_else(self) -> None:
        """Refuse keys that nobody took: most are slips of the pen, and silence would hide them."""
        for key in self._values:
            if key not in self._known:
                near = difflib.get_close_matches(key, self._known, n=1)
                mend = f"did you mean {near[0]}?" if near else f"known here are {', '.join(sorted(self._known))}"
                raise ManifestInvalid(f"{self._file}: the key {self._key(key)} is unknown", mend)

    def _key(self, key: str) -> str:
        return f"{self._prefix}.{key}" if self._prefix else key


def _service(table: _Table) -> ServiceSpec:
    _named(table)
    spec = ServiceSpec(
        name=table.name,
        command=table.take("command", _command),
        count=table.take("count", _integer(0, 1000), 1),
        port=table.take("port", _integer(1, 65_535), None),
        records=table.take("records", _records, ("A",)),
        ttl_s=table.take("ttl_s", _integer(0, 86_400), 2),
        health=_health(table.table("health")),
        ready=table.take("ready", _path, None),
        start_timeout_s=table.take("start_timeout_s", _seconds(0.1, 3600), 30.0),
        stop_grace_s=table.take("stop_grace_s", _seconds(0, 3600), 5.0),
        environment=table.take("environment", _environment, ()),
    )
    table.nothing_else()
    return spec


def _named(table: _Table) -> None:
    if not LABEL.fullmatch(table.name):
        mend = "name it in lower-case letters, digits and hyphens, at most 63, as a DNS label"
        raise ManifestInvalid(f"{table.name!r} is no name for a service", mend)


def _health(table: _Table) -> HealthSpec:
    spec = HealthSpec(
        path=table.take("path", _path, "/health"),
        interval_ms=table.take("interval_ms", _integer(100, 60_000), 500),
        timeout_ms=table.take("timeout_ms", _integer(50, 60_000), 1000),
        rise=table.take("rise", _integer(1, 10), 1),
        fall=table.take("fall", _integer(1, 10), 2),
    )
    table.nothing_else()
    return spec


def _balancer(table: _Table, services: tuple[ServiceSpec, ...]) -> Balancer:
    names = [service.name for service in services]
    balancer = Balancer(service=table.take("service", _one_of(names)))
    table.nothing_else()
    return balancer


def _describe(parse: Callable[[Any], Any]) -> str:
    """Return what a parser wants, by showing it something that nothing wants."""
    try:
        parse(None)
    except _Invalid as exc:
        return f"add it; {exc}"
    return "add it"


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise _Invalid("it must be a table")
    return value


def _some_tables(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value or not all(isinstance(each, dict) for each in value.values()):
        raise _Invalid('it must hold at least one table, as in [services.api] command = ["…"]')
    return value


def _namespace(value: Any) -> str:
    labels = value.split(".") if isinstance(value, str) else []
    if len(labels) < 2 or len(value) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise _Invalid('it must be a domain name in lower case, as in namespace = "secure-api.local"')
    return str(value)


def _command(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        raise _Invalid('it must be a list of strings: the program, then its arguments, as in ["omnichannel", "api"]')
    return tuple(value)


def _records(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list) or len(value) != 1 or value[0] not in RECORDS:
        raise _Invalid('it must be ["A"] or ["SRV"]')
    return tuple(value)


def _path(value: Any) -> str:
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value) or len(value) > 255:
        raise _Invalid('it must be a path, as in "/health"')
    return value


def _environment(value: Any) -> tuple[tuple[str, str], ...]:
    if not isinstance(value, dict) or not all(isinstance(each, str) and "\0" not in each for each in value.values()):
        raise _Invalid('it must be a table of strings, as in { LOG_LEVEL = "info" }')
    if any(not name or "=" in name or "\0" in name for name in value):
        raise _Invalid("names of variables hold no = and are not empty")
    return tuple(sorted(value.items()))


def _integer(least: int, most: int) -> Callable[[Any], int]:
    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise _Invalid(f"it must be a whole number from {least} to {most}")
        return value

    return parse


def _seconds(least: float, most: float) -> Callable[[Any], float]:
    def parse(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise _Invalid(f"it must be seconds, from {least} to {most}")
        return float(value)

    return parse


def _one_of(names: list[str]) -> Callable[[Any], str]:
    def parse(value: Any) -> str:
        if value not in names:
            raise _Invalid(f"it must be one of the services: {', '.join(names)}")
        return str(value)

    return parse
