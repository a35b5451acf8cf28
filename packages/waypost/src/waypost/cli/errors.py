"""What a command could not do, with the exit code that says so: the one table of both.

::

    CommandFailed               exit 1
    ├── Misused                 exit 2   an argument cannot be used
    ├── NotFound                exit 3   nothing has that name or id
    ├── Denied                  exit 4   the registry does not let this caller do it
    ├── Conflict                exit 5   something of that name is there, still in use, or means several things
    ├── Unavailable             exit 6   the registry, or DNS, does not answer
    └── TimedOut                exit 7   what was waited for has not come about

What other packages raise becomes one of these in :mod:`waypost.cli.foreign_errors`. The errors of a platform
(:mod:`waypost.tasks.errors`) keep to the same codes by themselves.
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
    """Something of that name is there already, is still in use, or the name means several things."""

    exit_code = 5


class Unavailable(CommandFailed):
    """Nobody answers, or not now."""

    exit_code = 6


class TimedOut(CommandFailed):
    """What was waited for has not come about in time."""

    exit_code = 7
