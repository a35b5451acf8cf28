"""What a registry command could not do, with the exit code that says so.

::

    CommandFailed               exit 1
    ├── Misused                 exit 2   an argument cannot be used
    ├── NotFound                exit 3   no namespace, service or instance of that name
    ├── Denied                  exit 4   the registry does not let this caller do it
    ├── Conflict                exit 5   something of that name is there, or still in use
    ├── Unavailable             exit 6   the registry, or DNS, does not answer
    └── TimedOut                exit 7   what was waited for has not come about
"""

from typing import ClassVar

__all__ = [
    "CommandFailed",
    "Conflict",
    "Denied",
    "Misused",
    "NotFound",
    "TimedOut",
    "Unavailable",
]


class CommandFailed(Exception):
    """One line: what is wrong, and how to mend it."""

    exit_code: ClassVar[int] = 1


class Misused(CommandFailed):
    """An argument cannot be used."""

    exit_code = 2


class NotFound(CommandFailed):
    """Nothing has that name or id."""

    exit_code = 3


class Denied(CommandFailed):
    """The registry does not let this caller do it."""

    exit_code = 4


class Conflict(CommandFailed):
    """Something of that name is there already, or is still in use."""

    exit_code = 5


class Unavailable(CommandFailed):
    """Nobody answers, or not now."""

    exit_code = 6


class TimedOut(CommandFailed):
    """What was waited for has not come about in time."""

    exit_code = 7
