"""Credentials from the environment, or from files that it names.

``NAME`` holds a value, ``NAME_FILE`` the path of a file with it. A file is read at every use, so that a credential is
renewed by writing the file, without a restart. Values never appear in an error, nor in ``repr``.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

__all__ = ["CredentialMissing", "Credentials", "Secret"]


class CredentialMissing(Exception):
    """A credential cannot be had now; ``variable`` is the one that names it."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(variable, reason)
        self.variable, self.reason = variable, reason

    def __str__(self) -> str:
        return f"{self.variable} {self.reason}"


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is not shown."""

    variable: str
    _value: str | None = field(default=None, repr=False)
    _path: Path | None = None

    def read(self) -> str:
        """Return the value as it is now. Raises CredentialMissing."""
        if self._path is None:
            assert self._value is not None
            return self._value
        try:
            value = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            reason = getattr(exc, "strerror", None) or "it is no text"
            raise CredentialMissing(self.variable, f"names a file that cannot be read: {reason}") from exc
        if not value:
            raise CredentialMissing(self.variable, "names an empty file")
        return value


class Credentials:
    """The variables of an environment."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment

    def text(self, name: str, default: str = "") -> str:
        """Return a variable that is no secret."""
        return self._environment.get(name) or default

    def secret(self, name: str) -> Secret | None:
        """Return a secret, None where neither ``name`` nor ``name``_FILE is set."""
        path = self._environment.get(f"{name}_FILE")
        if path:
            return Secret(f"{name}_FILE", None, Path(path))
        value = self._environment.get(name)
        return Secret(name, value) if value else None
