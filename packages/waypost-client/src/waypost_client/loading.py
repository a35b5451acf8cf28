"""Loading what a process runs on, in less time."""

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager

__all__ = ["uncollected", "without"]


@contextmanager
def uncollected() -> Iterator[None]:
    """Let the garbage collector rest meanwhile, and never look at what is there by then: what is loaded stays.

    It would look through all that is loaded hundreds of times, a tenth of the time that this takes.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


@contextmanager
def without(*names: str) -> Iterator[None]:
    """Let an import of these modules find nothing meanwhile, unless they are loaded already.

    For a library that takes in another wherever it is installed, for a use that the process does not make of it.
    """
    hidden = [name for name in names if name not in sys.modules]
    sys.modules.update(dict.fromkeys(hidden))  # type: ignore[arg-type]  # None: Python's word for "there is none"
    try:
        yield
    finally:
        for name in hidden:
            del sys.modules[name]
