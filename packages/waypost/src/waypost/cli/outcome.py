"""How a command ends: its errors as one line each, its exit code."""

import asyncio
import sys
from collections.abc import Coroutine
from typing import Any

from waypost.tasks.errors import PlatformError

__all__ = ["exit_code_of"]


def exit_code_of(command: Coroutine[Any, Any, int | None]) -> int:
    """Run a command, which may return its own exit code.

    What cannot be done is said on stderr: what is wrong, how to mend it, and what a log says.
    """
    try:
        return asyncio.run(command) or 0
    except PlatformError as error:
        lines = [f"waypost: {error}", *(f"    {line}" for line in error.log_tail.splitlines())]
        print(*lines, sep="\n", file=sys.stderr, flush=True)  # noqa: T201  this is the command's answer
        return error.exit_code
    except KeyboardInterrupt:
        return 130
