"""What a command could not do, with the exit code that says so.

::

    CommandFailed               exit 1
    ├── TestFailed                       the message of a test did not go out
    ├── Misused                 exit 2   an argument, a setting or a field cannot be used
    ├── NotFound                exit 3   nothing has that id or name
    ├── Denied                  exit 4   no key, an unknown one, or one without the scope
    ├── Conflict                exit 5   the state does not allow it, or an address is taken
    ├── Unavailable             exit 6   the API or the database does not answer, or not now
    └── TimedOut                exit 7   what was waited for has not come about

The codes are those of ``waypost``, which this product does not depend on.
"""

from typing import ClassVar

__all__ = ["CommandFailed", "Conflict", "Denied", "Misused", "NotFound", "TestFailed", "TimedOut", "Unavailable"]


class CommandFailed(Exception):
    """One line: what is wrong, and how to mend it."""

    exit_code: ClassVar[int] = 1


class TestFailed(CommandFailed):
    """The message of a test did not go out; the text is the provider's answer, or why it was not asked."""


class Misused(CommandFailed):
    """An argument, a setting or a field cannot be used."""

    exit_code = 2


class NotFound(CommandFailed):
    """Nothing has that id or name."""

    exit_code = 3


class Denied(CommandFailed):
    """No key, an unknown one, or one without the scope."""

    exit_code = 4


class Conflict(CommandFailed):
    """The state does not allow it, or an address is taken."""

    exit_code = 5


class Unavailable(CommandFailed):
    """Nobody answers, or not now."""

    exit_code = 6


class TimedOut(CommandFailed):
    """What was waited for has not come about in time."""

    exit_code = 7
