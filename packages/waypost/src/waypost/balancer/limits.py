"""How much a client may send, and how long it may take. Decided from numbers alone."""

from dataclasses import dataclass
from enum import Enum, auto

__all__ = ["Limits", "Phase", "is_overdue"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The bounds of one client connection."""

    head_bytes: int = 64 * 1024  # request line and headers together
    headers: int = 100
    body_bytes: int = 64 * 1024 * 1024
    buffered_bytes: int = 256 * 1024  # of a body that its target has not taken yet: reading pauses above
    head_s: float = 10.0  # from the first byte of a head to its end, and from the connection to the first byte
    body_idle_s: float = 30.0  # without a byte of the body, while the target waits for one
    stall_s: float = 200.0  # without a byte to or from the target: above what its own time-outs and retries add up to
    half_closed_s: float = 2.0  # without a byte of the answer, once the client closed its side: most that do have gone
    write_idle_s: float = 30.0  # without the client reading, while its answer waits
    idle_s: float = 75.0  # between two requests
    linger_s: float = 2.0  # for a refused client to read why, before its connection is cut


class Phase(Enum):
    """What a connection is waiting for."""

    NEW = auto()  # the first byte ever
    IDLE = auto()  # the first byte of another request
    HEAD = auto()  # the rest of a head
    BODY = auto()  # more of a body that is wanted
    SERVING = auto()  # the target
    HALF_CLOSED = auto()  # the target, for a client that closed its side
    WRITING = auto()  # the client to read
    LINGERING = auto()  # the client to read the refusal and close


def is_overdue(phase: Phase, *, since: float, now: float, limits: Limits) -> bool:
    """Return whether a connection has been in a phase for too long. Instants are seconds of one monotonic clock."""
    allowed_s = {
        Phase.NEW: limits.head_s,
        Phase.IDLE: limits.idle_s,
        Phase.HEAD: limits.head_s,
        Phase.BODY: limits.body_idle_s,
        Phase.SERVING: limits.stall_s,
        Phase.HALF_CLOSED: limits.half_closed_s,
        Phase.WRITING: limits.write_idle_s,
        Phase.LINGERING: limits.linger_s,
    }[phase]
    return now - since >= allowed_s
