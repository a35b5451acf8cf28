"""Who reads which shard: the rules, as pure functions of what the lease table says.

A lease is never seized from a member that lives. A member that wants more asks the one that has most, which lets go;
only a lease whose owner has stopped renewing is taken without asking. Whether it has is judged by watching its counter
move, on the watcher's own monotonic clock, so that no two clocks have to agree.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from math import ceil

__all__ = ["Lease", "Plan", "ShardState", "Watch", "openable", "plan"]


class ShardState(StrEnum):
    """How far the reading of a shard has come."""

    WAITING = "waiting"  # for its parents to be read to their end
    OPEN = "open"
    ENDED = "ended"  # closed by a split or a merge, and read to its end


@dataclass(frozen=True, slots=True, kw_only=True)
class Lease:
    """One row of the lease table."""

    shard: str
    parents: tuple[str, ...] = ()
    state: ShardState = ShardState.OPEN
    owner: str | None = None
    epoch: int = 0
    beats: int = 0
    asked_by: str | None = None
    checkpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What one member does next."""

    take: tuple[Lease, ...]  # free, or of an owner that is gone
    ask_for: Lease | None  # of a member that has more


class Watch:
    """Remembers since when each counter has not moved. Instants are monotonic seconds."""

    def __init__(self, *, lapse_s: float) -> None:
        self._lapse_s = lapse_s
        self._seen: dict[str, tuple[object, float]] = {}

    def still(self, counters: Mapping[str, object], *, now: float) -> frozenset[str]:
        """Return the names of the counters that have not moved for the lapse; those not named any more are forgotten.

        A counter is seen to stand still from the first look on.
        """
        seen = {}
        for name, value in counters.items():
            before = self._seen.get(name)
            seen[name] = before if before is not None and before[0] == value else (value, now)
        self._seen = seen
        return frozenset(name for name, (_, since) in seen.items() if now - since >= self._lapse_s)


def plan(leases: Sequence[Lease], *, me: str, members: Collection[str], lapsed: Collection[str]) -> Plan:
    """Return what this member does about the leases.

    ``members`` are those that live, this one among them; ``lapsed`` are shards whose owner renews no more.
    """
    open_leases = [lease for lease in leases if lease.state is ShardState.OPEN]
    held = [lease for lease in open_leases if lease.owner is not None and lease.shard not in lapsed]
    owned = Counter(lease.owner for lease in held if lease.owner is not None)
    coming = sum(lease.asked_by == me and lease.owner != me for lease in open_leases)
    free = [
        lease
        for lease in open_leases
        if lease not in held and (lease.asked_by in (None, me) or lease.asked_by not in members)
    ]
    room = ceil(len(open_leases) / max(1, len(members))) - owned[me]
    free.sort(key=lambda lease: (lease.asked_by != me, lease.shard))
    # What was asked for is taken though there is no room any more: nobody else takes it while this member lives.
    asked = sum(lease.asked_by == me for lease in free)
    take = tuple(free[: max(asked, room)])
    mine = owned[me] + len(take) + coming
    if take or coming or not owned:
        return Plan(take, None)
    richest, most = max(((owner, count) for owner, count in owned.items()), key=lambda each: (each[1], each[0]))
    if most < mine + 2:  # moving one would only swap who has more
        return Plan(take, None)
    theirs = [lease for lease in held if lease.owner == richest and lease.asked_by is None]
    return Plan(take, max(theirs, key=lambda lease: lease.shard, default=None))


def openable(leases: Iterable[Lease]) -> tuple[str, ...]:
    """Return the waiting shards whose parents have all been read to their end, or are no longer known."""
    by_shard = {lease.shard: lease for lease in leases}
    return tuple(
        lease.shard
        for lease in by_shard.values()
        if lease.state is ShardState.WAITING
        and all(parent not in by_shard or by_shard[parent].state is ShardState.ENDED for parent in lease.parents)
    )
