"""The life of a task, as data.

A task is in discovery from its first ``registered`` to ``withdrawn``: never while starting, never while its process is
being stopped. ``unhealthy`` is registered but not answered.
"""

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

__all__ = ["NEXT", "IllegalMove", "TaskEvent", "TaskState", "next_state"]


class TaskState(StrEnum):
    """Where a task is in its life."""

    PENDING = "pending"  # has an address, no process yet
    STARTING = "starting"  # its process runs; no check has passed yet
    REGISTERING = "registering"  # its checks passed; the registry has not acknowledged it yet
    RUNNING = "running"  # discoverable
    UNHEALTHY = "unhealthy"  # its checks fail: registered, but not answered
    DRAINING = "draining"  # being withdrawn; what was answered last may still be cached
    STOPPING = "stopping"  # told to end
    STOPPED = "stopped"  # its process is gone


class TaskEvent(StrEnum):
    """What happens to a task."""

    SPAWNED = "spawned"
    ADOPTED = "adopted"  # found running: a supervisor before this one had registered it
    PASSED = "passed"  # its checks pass
    FAILED = "failed"  # its checks fail
    REGISTERED = "registered"  # the registry acknowledged it
    STOP_ASKED = "stop asked"
    DRAINED = "drained"  # withdrawn, and what was answered last has expired
    ENDED = "ended"  # its process is gone


NEXT: Final[Mapping[tuple[TaskState, TaskEvent], TaskState]] = {
    (TaskState.PENDING, TaskEvent.SPAWNED): TaskState.STARTING,
    (TaskState.PENDING, TaskEvent.ADOPTED): TaskState.RUNNING,
    (TaskState.PENDING, TaskEvent.ENDED): TaskState.STOPPED,  # its process could not be made
    (TaskState.STARTING, TaskEvent.PASSED): TaskState.REGISTERING,
    (TaskState.STARTING, TaskEvent.STOP_ASKED): TaskState.STOPPING,  # never discoverable: nothing to drain
    (TaskState.STARTING, TaskEvent.ENDED): TaskState.STOPPED,
    (TaskState.REGISTERING, TaskEvent.REGISTERED): TaskState.RUNNING,
    (TaskState.REGISTERING, TaskEvent.STOP_ASKED): TaskState.DRAINING,
    (TaskState.REGISTERING, TaskEvent.ENDED): TaskState.STOPPED,
    (TaskState.RUNNING, TaskEvent.FAILED): TaskState.UNHEALTHY,
    (TaskState.RUNNING, TaskEvent.STOP_ASKED): TaskState.DRAINING,
    (TaskState.RUNNING, TaskEvent.ENDED): TaskState.STOPPED,
    (TaskState.UNHEALTHY, TaskEvent.PASSED): TaskState.RUNNING,
    (TaskState.UNHEALTHY, TaskEvent.STOP_ASKED): TaskState.DRAINING,
    (TaskState.UNHEALTHY, TaskEvent.ENDED): TaskState.STOPPED,
    (TaskState.DRAINING, TaskEvent.DRAINED): TaskState.STOPPING,
    (TaskState.DRAINING, TaskEvent.ENDED): TaskState.STOPPED,
    (TaskState.STOPPING, TaskEvent.ENDED): TaskState.STOPPED,
}


class IllegalMove(Exception):
    """The table has no such move."""

    def __init__(self, state: TaskState, event: TaskEvent) -> None:
        super().__init__(state, event)
        self.state, self.event = state, event

    def __str__(self) -> str:
        return f"a task that is {self.state} cannot be {self.event}"


def next_state(state: TaskState, event: TaskEvent) -> TaskState:
    """Return the state after the event.

    :raises IllegalMove: the table has no such move.
    """
    try:
        return NEXT[state, event]
    except KeyError:
        raise IllegalMove(state, event) from None
