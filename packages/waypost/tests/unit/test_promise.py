"""The rule of the answer promise, over logs written by hand."""

from pathlib import Path

import pytest

from waypost.promise import QUARANTINE_S, Answered, Event, PromiseLog, Task, read_events, violations

ADDRESS = "127.88.0.1"


def life(
    task: str = "t-1", *, started: float = 0, stopping: float | None = None, ended: float | None = None
) -> list[Event]:
    points: list[Event] = [
        Task(at=started, point="started", task=task, address=ADDRESS, port=8080),
        Task(at=started + 1, point="accepting", task=task, address=ADDRESS, port=8080),
    ]
    if stopping is not None:
        points.append(Task(at=stopping, point="stopping", task=task, address=ADDRESS, port=8080))
    if ended is not None:
        points.append(Task(at=ended, point="ended", task=task, address=ADDRESS, port=8080))
    return points


def answer(at: float, ttl_s: float = 2, address: str = ADDRESS) -> Event:
    return Answered(at=at, where="dns", name="worker.example.internal", address=address, ttl_s=ttl_s)


@pytest.mark.parametrize(
    "events",
    [
        [*life(stopping=10, ended=11), answer(5)],
        [*life(stopping=10, ended=11), answer(8)],
        [*life(ended=10), answer(9.5)],  # a crash may break the first half
        [*life(stopping=10, ended=11), answer(5, address=f"{ADDRESS}:8080")],
        [*life(stopping=10, ended=11), answer(5, address="192.0.2.1")],  # not a task of ours
        [*life(stopping=10, ended=11), answer(8), *life("t-2", started=10 + QUARANTINE_S)],
    ],
)
def test_these_logs_keep_the_promise(events: list[Event]) -> None:
    assert violations(events) == []


@pytest.mark.parametrize(
    ("events", "words"),
    [
        ([*life(stopping=10, ended=11), answer(9)], "too early"),
        ([*life(), answer(0.5)], "no task stood behind"),
        ([*life(ended=10), answer(12)], "no task stood behind"),
        ([*life(stopping=10, ended=11), answer(8), *life("t-2", started=30)], "from t-1 to t-2"),
    ],
)
def test_these_logs_break_it(events: list[Event], words: str) -> None:
    found = violations(events)
    assert found
    assert words in found[0]


def test_what_is_logged_is_read_back_in_order(tmp_path: Path) -> None:
    log = PromiseLog.open("test", {"WAYPOST_PROMISE_LOG": str(tmp_path)})
    log.task("started", "t-1", ADDRESS, 8080)
    log.answered("dns", "worker.example.internal", [ADDRESS], 2)
    log.close()
    (path,) = tmp_path.iterdir()
    with path.open("ab") as file:
        file.write(b'{"type":"answ')  # cut off by kill -9
    events = read_events(tmp_path)
    assert [type(event) for event in events] == [Task, Answered]


def test_a_log_that_is_off_writes_nothing(tmp_path: Path) -> None:
    log = PromiseLog.open("test", {})
    log.answered("dns", "worker.example.internal", [ADDRESS], 2)
    assert not log.on
    assert list(tmp_path.iterdir()) == []
