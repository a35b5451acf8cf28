"""The life of a task as a table: its order is the promise."""

import pytest

from waypost.tasks.states import NEXT, IllegalMove, TaskEvent, TaskState, next_state

DISCOVERABLE = {TaskState.RUNNING}


def after(*events: TaskEvent) -> TaskState:
    state = TaskState.PENDING
    for event in events:
        state = next_state(state, event)
    return state


def test_a_whole_life_goes_through_every_state_in_order() -> None:
    life = [
        TaskEvent.SPAWNED,
        TaskEvent.PASSED,
        TaskEvent.REGISTERED,
        TaskEvent.FAILED,
        TaskEvent.PASSED,
        TaskEvent.STOP_ASKED,
        TaskEvent.DRAINED,
        TaskEvent.ENDED,
    ]
    assert [after(*life[:length]) for length in range(1, len(life) + 1)] == [
        TaskState.STARTING,
        TaskState.REGISTERING,
        TaskState.RUNNING,
        TaskState.UNHEALTHY,
        TaskState.RUNNING,
        TaskState.DRAINING,
        TaskState.STOPPING,
        TaskState.STOPPED,
    ]


def test_nothing_is_discoverable_before_its_checks_have_passed() -> None:
    ways_in = {(before, event) for (before, event), state in NEXT.items() if state in DISCOVERABLE}
    assert ways_in == {
        (TaskState.REGISTERING, TaskEvent.REGISTERED),
        (TaskState.UNHEALTHY, TaskEvent.PASSED),
        (TaskState.PENDING, TaskEvent.ADOPTED),
    }


def test_what_may_be_in_discovery_is_drained_before_it_is_stopped() -> None:
    ways_to_stopping = {before for (before, _), state in NEXT.items() if state is TaskState.STOPPING}
    assert ways_to_stopping == {TaskState.DRAINING, TaskState.STARTING}


@pytest.mark.parametrize("state", [state for state in TaskState if state is not TaskState.STOPPED])
def test_every_state_but_the_last_is_left_when_the_process_ends(state: TaskState) -> None:
    assert next_state(state, TaskEvent.ENDED) is TaskState.STOPPED


def test_a_move_that_the_table_lacks_is_refused() -> None:
    with pytest.raises(IllegalMove, match="stopped cannot be spawned"):
        next_state(TaskState.STOPPED, TaskEvent.SPAWNED)
