import pytest

from waypost.balancer.limits import Limits, Phase, is_overdue


@pytest.mark.parametrize(
    ("phase", "allowed_s"),
    [
        (Phase.NEW, 10),
        (Phase.HEAD, 10),
        (Phase.BODY, 30),
        (Phase.SERVING, 200),
        (Phase.HALF_CLOSED, 2),
        (Phase.WRITING, 30),
        (Phase.IDLE, 75),
        (Phase.LINGERING, 2),
    ],
)
def test_each_phase_may_last_so_long(phase: Phase, allowed_s: float) -> None:
    assert not is_overdue(phase, since=100, now=100 + allowed_s - 0.001, limits=Limits())
    assert is_overdue(phase, since=100, now=100 + allowed_s, limits=Limits())


def test_no_phase_is_without_a_bound() -> None:
    assert all(is_overdue(phase, since=0, now=1e9, limits=Limits()) for phase in Phase)
