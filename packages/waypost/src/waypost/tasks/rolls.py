"""The next step of a rolling deploy. Pure: counts in, counts out.

As on ECS: at least ``least`` tasks stay healthy, at most ``most`` run at a time, those that are being stopped included.
The new counts as healthy once DNS has answered it, not before.
"""

import math
from dataclasses import dataclass

from waypost.tasks.manifest import DeploySpec

__all__ = ["Standing", "Step", "bounds", "is_done", "next_step"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """How far a deploy has come."""

    want: int  # tasks of the new version
    least: int  # healthy ones at any time
    most: int  # processes at any time
    old: int  # not asked to stop yet
    leaving: int  # old ones that were, and still run
    new: int  # started, whatever became of it
    new_healthy: int  # answered by DNS


@dataclass(frozen=True, slots=True)
class Step:
    """How many new tasks to start and how many old ones to stop, now."""

    start: int
    stop: int


def bounds(want: int, deploy: DeploySpec) -> tuple[int, int]:
    """Return how many are healthy at least and run at most, for a wanted count."""
    return math.ceil(want * deploy.minimum_percent / 100), want * deploy.maximum_percent // 100


def next_step(now: Standing) -> Step:
    """Return what the bounds allow now. Old tasks that are sick are the first to be stopped: it is up to the caller."""
    needed = max(0, now.least - now.new_healthy)  # old ones, so that enough are healthy
    room = max(0, now.most - now.old - now.leaving - now.new)
    return Step(start=min(room, max(0, now.want - now.new)), stop=max(0, now.old - needed))


def is_done(now: Standing) -> bool:
    """Whether the new has taken the place of the old."""
    return now.old == 0 and now.leaving == 0 and now.new == now.want and now.new_healthy >= now.want
