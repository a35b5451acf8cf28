"""A rolling deploy, step by step: however tasks come up and end, it keeps its bounds and comes to its end."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.tasks.manifest import DeploySpec
from waypost.tasks.rolls import Standing, Step, bounds, is_done, next_step


@pytest.mark.parametrize(
    ("want", "minimum", "maximum", "least", "most"),
    [
        (1, 100, 200, 1, 2),
        (3, 100, 200, 3, 6),
        (3, 50, 100, 2, 3),
        (4, 50, 125, 2, 5),
        (1, 0, 100, 0, 1),
        (0, 100, 200, 0, 0),
    ],
)
def test_percents_are_rounded_as_ecs_rounds_them(want: int, minimum: int, maximum: int, least: int, most: int) -> None:
    assert bounds(want, DeploySpec(minimum_percent=minimum, maximum_percent=maximum)) == (least, most)


def standing(**changes: int) -> Standing:
    return Standing(**{"want": 2, "least": 2, "most": 4, "old": 2, "leaving": 0, "new": 0, "new_healthy": 0, **changes})


@pytest.mark.parametrize(
    ("now", "step"),
    [
        (standing(), Step(start=2, stop=0)),
        (standing(new=2), Step(start=0, stop=0)),
        (standing(new=2, new_healthy=1), Step(start=0, stop=1)),
        (standing(new=2, new_healthy=2, old=1, leaving=1), Step(start=0, stop=1)),
        (standing(most=3), Step(start=1, stop=0)),
        (standing(most=3, new=1, new_healthy=1, old=1, leaving=1), Step(start=0, stop=0)),
        (standing(least=1, most=2), Step(start=0, stop=1)),
        (standing(most=2), Step(start=0, stop=0)),
    ],
)
def test_old_tasks_leave_only_for_new_ones_that_are_answered(now: Standing, step: Step) -> None:
    assert next_step(now) == step


@given(
    want=st.integers(1, 12),
    old=st.integers(0, 12),
    minimum=st.integers(0, 100),
    maximum=st.integers(100, 300),
    chances=st.lists(st.integers(0, 2), max_size=200),
)
def test_every_deploy_keeps_its_bounds_and_ends(
    want: int, old: int, minimum: int, maximum: int, chances: list[int]
) -> None:
    least, most = bounds(want, DeploySpec(minimum_percent=minimum, maximum_percent=maximum))
    least = min(least, old)  # it cannot keep what was never there
    most = max(most, old + 1, least + 1)
    leaving = new = healthy = 0

    def now() -> Standing:
        return Standing(want=want, least=least, most=most, old=old, leaving=leaving, new=new, new_healthy=healthy)

    for chance in (*chances, *(step % 2 for step in range(200))):
        step = next_step(now())
        new, old, leaving = new + step.start, old - step.stop, leaving + step.stop
        assert old + healthy >= least
        assert old + leaving + new <= most
        assert new <= want
        if chance == 0 and healthy < new:
            healthy += 1
        elif chance == 1 and leaving:
            leaving -= 1
    assert is_done(now())
