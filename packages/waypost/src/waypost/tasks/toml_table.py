"""Tables of a TOML document whose every error names the full key, and what a value must be. Pure."""

import difflib
import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Self

from waypost.tasks.errors import ManifestInvalid

__all__ = [
    "LABEL",
    "Invalid",
    "Table",
    "command_line",
    "domain_name",
    "http_path",
    "integer",
    "label",
    "names_of",
    "one_of",
    "path_text",
    "paths_by_variable",
    "record_types",
    "seconds",
    "variables",
]

LABEL: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")
RECORDS: Final = ("A", "SRV")  # AAAA: tasks have IPv4 addresses; CNAME: they have no other name


class Invalid(ValueError):
    """What a value should have been."""


_REQUIRED: Final = object()


class Table:
    """A table of the document that knows its own name, so that every error can give the full key."""

    def __init__(self, values: Mapping[str, Any], file: str, prefix: str) -> None:
        self._values, self._file, self._prefix = values, file, prefix
        self._known: list[str] = []

    @property
    def name(self) -> str:
        """The last part of its key."""
        return self._prefix.rpartition(".")[2]

    def take(self, key: str, parse: Callable[[Any], Any], default: Any = _REQUIRED) -> Any:
        """Return what a key holds, parsed; the default if it is not there.

        :raises ManifestInvalid: the value cannot be used, or the key has no default and is missing.
        """
        self._known.append(key)
        if key not in self._values:
            if default is _REQUIRED:
                raise ManifestInvalid(f"{self._file}: the key {self._key(key)} is missing", _describe(parse))
            return default
        try:
            return parse(self._values[key])
        except Invalid as exc:
            shown = repr(self._values[key])[:80]
            raise ManifestInvalid(f"{self._file}: {self._key(key)} = {shown}", str(exc)) from None

    def table(self, key: str) -> Self:
        """Return the table under a key; an empty one if it is not there."""
        return type(self)(self.take(key, _table, {}), self._file, self._key(key))

    def tables(self, key: str, *, required: bool) -> list[Self]:
        """Return the tables under a key; one at least if it is required."""
        values = self.take(key, _some_tables) if required else self.take(key, _some_tables, {})
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


def _describe(parse: Callable[[Any], Any]) -> str:
    """Return what a parser wants, by showing it something that nothing wants."""
    try:
        parse(None)
    except Invalid as exc:
        return f"add it; {exc}"
    return "add it"


def _table(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Invalid("it must be a table")
    return value


def _some_tables(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict) or not value or not all(isinstance(each, dict) for each in value.values()):
        raise Invalid('it must hold at least one table, as in [services.api] command = ["…"]')
    return value


def domain_name(value: Any) -> str:
    """Return a domain name of at least two labels, in lower case. Raises Invalid, as all of these do."""
    labels = value.split(".") if isinstance(value, str) else []
    if len(labels) < 2 or len(value) > 253 or not all(LABEL.fullmatch(label) for label in labels):
        raise Invalid('it must be a domain name in lower case, as in namespace = "secure-api.local"')
    return str(value)


def label(value: Any) -> str:
    """Return a DNS label in lower case."""
    if not isinstance(value, str) or not LABEL.fullmatch(value):
        raise Invalid("it must be lower-case letters, digits and hyphens, at most 63, as a DNS label")
    return value


def command_line(value: Any) -> tuple[str, ...]:
    """Return a program and its arguments."""
    if not isinstance(value, list) or not value or not all(isinstance(each, str) and each for each in value):
        raise Invalid('it must be a list of strings: the program, then its arguments, as in ["omnichannel", "api"]')
    return tuple(value)


def record_types(value: Any) -> tuple[str, ...]:
    """Return the one record type of a service."""
    if not isinstance(value, list) or len(value) != 1 or value[0] not in RECORDS:
        raise Invalid('it must be ["A"] or ["SRV"]')
    return tuple(value)


def http_path(value: Any) -> str:
    """Return the path of a URL."""
    if not isinstance(value, str) or not re.fullmatch(r"/[!-~]*", value) or len(value) > 255:
        raise Invalid('it must be a path, as in "/health"')
    return value


def variables(value: Any) -> tuple[tuple[str, str], ...]:
    """Return names of variables and their values, sorted."""
    if not isinstance(value, dict) or not all(isinstance(each, str) and "\0" not in each for each in value.values()):
        raise Invalid('it must be a table of strings, as in { LOG_LEVEL = "info" }')
    if any(not name or "=" in name or "\0" in name for name in value):
        raise Invalid("names of variables hold no = and are not empty")
    return tuple(sorted(value.items()))


def integer(least: int, most: int) -> Callable[[Any], int]:
    """Return a parser of whole numbers in these bounds."""

    def parse(value: Any) -> int:
        if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
            raise Invalid(f"it must be a whole number from {least} to {most}")
        return value

    return parse


def seconds(least: float, most: float) -> Callable[[Any], float]:
    """Return a parser of seconds in these bounds."""

    def parse(value: Any) -> float:
        if not isinstance(value, int | float) or isinstance(value, bool) or not least <= value <= most:
            raise Invalid(f"it must be seconds, from {least} to {most}")
        return float(value)

    return parse


def one_of(names: list[str], *, of: str = "these") -> Callable[[Any], str]:
    """Return a parser of one of these names."""

    def parse(value: Any) -> str:
        if value not in names:
            raise Invalid(f"it must be one of {of}: {', '.join(names)}")
        return str(value)

    return parse


def path_text(value: Any) -> str:
    """Return the path of a file or folder, as it is written."""
    if not isinstance(value, str) or not value or "\0" in value:
        raise Invalid('it must be a path, as in "data/web"')
    return value


def paths_by_variable(value: Any) -> tuple[tuple[str, str], ...]:
    """Return names of variables and the files that hold their values, sorted."""
    try:
        named = variables(value)
    except Invalid:
        raise Invalid('it must be a table of files, as in { SMTP_PASSWORD = "secrets/smtp" }') from None
    if not all(path for _, path in named):
        raise Invalid("the path of a file is not empty")
    return named


def names_of(known: list[str], *, but: str) -> Callable[[Any], tuple[str, ...]]:
    """Return a parser of lists of these names, one excepted."""
    others = sorted(set(known) - {but})

    def parse(value: Any) -> tuple[str, ...]:
        if not isinstance(value, list) or not all(each in others for each in value):
            wanted = ", ".join(others) if others else "and there is no other"
            raise Invalid(f"it must be a list of other services or jobs: {wanted}")
        return tuple(dict.fromkeys(value))

    return parse
