"""The nameserver's turn on a processor that others want too: soon, for it never needs it for long.

Linux gives each process that wants a processor the same share of it, and lets the one that runs go on for some
milliseconds, which is longer than a hundred answers take. A process may ask for shorter turns that come sooner, at the
same share (``sched_setattr(2)``, Linux 6.12 or later); a larger share takes a privilege, ``CAP_SYS_NICE`` or
``RLIMIT_NICE``, and is taken where it is given, unless somebody chose another share. Where neither is, nothing changes.
"""

import ctypes
import os
import platform
import struct
from contextlib import suppress
from typing import Final

__all__ = ["take_precedence"]

UNCHOSEN: Final = 0  # niceness of whoever was given no other, as by nice(1) or a service manager
NICENESS: Final = -5  # three times the share of a process of niceness 0
TURN_NS: Final = 100_000  # the shortest that the kernel takes: some twenty answers
ATTRIBUTES: Final = struct.Struct("=IIQiIQQQ")  # struct sched_attr, as it was at first: size, policy, flags, nice, …
SCHED_SETATTR: Final = {"x86_64": 314, "aarch64": 274}  # the call has no function in the C library before glibc 2.41


def take_precedence() -> None:
    """Have this process come to its turn before others, as far as the system lets it. Raises nothing."""
    if os.getpriority(os.PRIO_PROCESS, 0) == UNCHOSEN:
        with suppress(OSError):
            os.setpriority(os.PRIO_PROCESS, 0, NICENESS)
    number = SCHED_SETATTR.get(platform.machine())
    if platform.system() != "Linux" or number is None or os.sched_getscheduler(0) != os.SCHED_OTHER:
        return  # whoever gave it another policy meant that one
    niceness = os.getpriority(os.PRIO_PROCESS, 0)
    attributes = ATTRIBUTES.pack(ATTRIBUTES.size, os.SCHED_OTHER, 0, niceness, 0, TURN_NS, 0, 0)
    ctypes.CDLL(None).syscall(number, 0, attributes, 0)  # an older kernel takes it, and does nothing
