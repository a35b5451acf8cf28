"""What a look has found. Pure."""

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Finding", "State", "fail", "ok", "warn"]


class State(StrEnum):
    """How it stands."""

    OK = "ok"
    WARN = "warn"  # it works, and may surprise
    FAIL = "fail"  # something will not work


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the report."""

    check: str
    state: State
    found: str
    mend: str = ""


def ok(check: str, found: str) -> Finding:
    """Return what is as it should be."""
    return Finding(check, State.OK, found)


def warn(check: str, found: str, mend: str) -> Finding:
    """Return what works, and may surprise."""
    return Finding(check, State.WARN, found, mend)


def fail(check: str, found: str, mend: str) -> Finding:
    """Return what will not work."""
    return Finding(check, State.FAIL, found, mend)
