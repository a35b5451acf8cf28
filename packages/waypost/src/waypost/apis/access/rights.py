"""What an access key may do: which namespaces it may read, and which it may write. Pure."""

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final

__all__ = ["EVERYTHING", "Rights"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Rights:
    """Patterns of namespace names, with ``*`` and ``?``, compared without case. Who may write may read."""

    read: tuple[str, ...] = ("*",)
    write: tuple[str, ...] = ("*",)

    def may_read(self, namespace: str) -> bool:
        """Whether a namespace of this name may be looked at."""
        return _matches(namespace, self.read) or self.may_write(namespace)

    def may_write(self, namespace: str) -> bool:
        """Whether a namespace of this name, and what is in it, may be changed."""
        return _matches(namespace, self.write)


def _matches(namespace: str, patterns: tuple[str, ...]) -> bool:
    name = namespace.lower()
    return any(pattern == "*" or fnmatchcase(name, pattern.lower()) for pattern in patterns)


EVERYTHING: Final = Rights()
