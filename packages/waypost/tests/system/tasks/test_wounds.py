"""The open wounds of service discovery on ECS, one test each: on real processes, asked as any client would ask.

The complaints are public issues; their numbers stand with the tests. One platform bears them all, each with a service
of its own, and the answer promise is checked over the whole at the end.
"""

import json
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from waypost.promise import Answered, Task, read_events, violations

pytestmark = pytest.mark.timeout(240)  # seconds; much of it is for a machine that is busy
Echo = Callable[..., str]


@pytest.fixture(scope="module")
def wounded(shared_platform: Any, echo_table: Echo) -> Iterator[Any]:
    """Yield a platform with a service for each test; its end is itself a test."""
    services = [
        echo_table("patient", count=2, ttl_s=2),
        echo_table("late", "sick", count=0),
        echo_table("rolled", ttl_s=1),
        echo_table("ill", count=2, ttl_s=1),
        echo_table("dead", count=2, ttl_s=1),
        echo_table("lost", ttl_s=1),
        echo_table("known", ttl_s=1),
    ]
    shared_platform.up('namespace = "example.test"\n' + "".join(services))
    yield shared_platform
    shared_platform.signal(signal.SIGTERM)
    assert shared_platform.wait() == 0
    assert shared_platform.pids() == []
    assert violations(read_events(shared_platform.folder / "promise")) == []


class Asking:
    """Asks DNS for a service all the time, and keeps what it answered and when."""

    def __init__(self, platform: Any, service: str) -> None:
        self.answers: list[tuple[float, set[str]]] = []
        self._platform, self._service = platform, service
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._ask)

    def _ask(self) -> None:
        while not self._over.wait(0.005):
            asked_at = time.monotonic()
            self.answers.append((asked_at, self._platform.answered(self._service)))

    def __enter__(self) -> "Asking":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def tasks_of(platform: Any, service: str) -> list[dict[str, Any]]:
    return [task for task in platform.tasks if task["service"] == service]


def host(task: dict[str, Any]) -> str:
    return str(task["address"].rpartition(":")[0])


def point(platform: Any, instance: str, name: str) -> float:
    """Return the instant at which a task reached a point of its life."""
    events = read_events(platform.folder / "promise")
    return next(each.at for each in events if isinstance(each, Task) and (each.task, each.point) == (instance, name))


def test_a_task_is_not_stopped_before_the_ttl_of_its_record_has_passed(wounded: Any) -> None:
    """aws/containers-roadmap#343, #473: draining tasks stay listed, and are stopped while their record is cached."""
    leaving, other = tasks_of(wounded, "patient")
    with Asking(wounded, "patient"):
        assert wounded.command("stop", leaving["instance"]).returncode == 0
    stopped_at = point(wounded, leaving["instance"], "stopping")
    events = read_events(wounded.folder / "promise")
    named = [each.at for each in events if isinstance(each, Answered) and each.address == host(leaving)]
    assert named, "it was asked for while it was there"
    assert stopped_at - max(named) >= 2, "seconds of TTL"
    assert wounded.answered("patient") == {host(other)}


def test_nothing_is_discoverable_before_its_health_check_has_passed(wounded: Any) -> None:
    """aws/amazon-ecs-agent#1421: registered before it is healthy."""
    scaling = subprocess.Popen(
        [wounded.command.__globals__["WAYPOST"], "scale", "late=1", "--state-dir", wounded.state],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        task = wounded.eventually(lambda: next(iter(tasks_of(wounded, "late")), None))
        wounded.eventually(lambda: _asks(wounded, task), what="it listens")
        for _ in range(20):
            assert wounded.answered("late") == set()
            assert wounded.discovered("late", "ALL") == set()
        wounded.ask(task, "POST", "/health", b"200")
        assert scaling.wait(60) == 0
    finally:
        scaling.kill()
        scaling.wait()
    assert wounded.answered("late") == {host(task)}


def _asks(platform: Any, task: dict[str, Any]) -> bool:
    try:
        return b"WORDS" in platform.ask(task, "GET", "/")
    except OSError:
        return False


def test_the_old_task_leaves_only_once_the_new_one_is_answered_by_dns(wounded: Any) -> None:
    """aws/containers-roadmap#830: the old task leaves before the new one is visible."""
    (old,) = tasks_of(wounded, "rolled")
    with Asking(wounded, "rolled") as asking:
        assert wounded.command("restart", "rolled").returncode == 0
    (new,) = tasks_of(wounded, "rolled")
    assert new["instance"] != old["instance"]
    assert all(answer for _, answer in asking.answers), "at no instant was nobody answered"
    assert {host(old), host(new)} in [answer for _, answer in asking.answers], "they were answered side by side"
    assert asking.answers[-1][1] == {host(new)}


def test_an_exit_and_a_failed_check_show_at_once(wounded: Any) -> None:
    """aws/containers-roadmap#449: unhealthy takes 30 s or more to show."""
    ill, other = tasks_of(wounded, "ill")
    wounded.ask(ill, "POST", "/health", b"503")
    wounded.eventually(lambda: wounded.answered("ill") == {host(other)}, within_s=10, what="two checks, 0.1 s apart")
    wounded.ask(ill, "POST", "/health", b"200")
    wounded.eventually(lambda: wounded.answered("ill") == {host(ill), host(other)}, within_s=10)
    os.kill(other["pid"], signal.SIGKILL)
    wounded.eventually(lambda: host(other) not in wounded.answered("ill"), within_s=10, what="the exit shows")


def test_dead_tasks_do_not_stay_registered(wounded: Any) -> None:
    """amazon-archives/service-discovery-ecs-dns#21: dead tasks stay registered."""
    dead = tasks_of(wounded, "dead")
    for task in dead:
        os.kill(task["pid"], signal.SIGKILL)
    gone = {task["instance"] for task in dead}
    wounded.eventually(lambda: not gone & wounded.discovered("dead", "ALL"))
    wounded.eventually(lambda: len(wounded.answered("dead")) == 2, what="their successors are there")
    assert not {host(task) for task in dead} & wounded.answered("dead")


def test_a_recreated_service_gets_its_instances_back(wounded: Any) -> None:
    """hashicorp/terraform-provider-aws#46930: a recreated service keeps no instances."""
    (task,) = tasks_of(wounded, "lost")
    cloudmap = wounded.cloudmap()
    service = next(each for each in cloudmap.list_services()["Services"] if each["Name"] == "lost")
    cloudmap.deregister_instance(ServiceId=service["Id"], InstanceId=task["instance"])
    cloudmap.delete_service(Id=service["Id"])
    wounded.eventually(lambda: wounded.answered("lost") == {host(task)}, what="it is registered again")
    assert tasks_of(wounded, "lost") == [task]


def test_why_an_instance_disappeared_has_an_answer(wounded: Any) -> None:
    """ "Why did it disappear?" has no answer anywhere: every change is kept with its cause."""
    (task,) = tasks_of(wounded, "known")
    os.kill(task["pid"], signal.SIGKILL)
    wounded.eventually(lambda: task["instance"] not in wounded.discovered("known", "ALL"))
    shown = wounded.command("history", "known", task["instance"], "-o", "json")
    assert shown.returncode == 0, shown.stderr
    first, *_, last = json.loads(shown.stdout)
    assert first["cause"]["why"] == "healthy: /health answered HTTP 200"
    assert last["cause"] == {"by": "waypost", "call": "DeregisterInstance", "why": "task killed by SIGKILL"}
    assert last["instance"] == task["instance"]
    assert last["revision"] > first["revision"]
    table = wounded.command("history", "known", "--limit", "1000")
    assert "task killed by SIGKILL" in table.stdout
    assert wounded.command("history", "nothing").returncode == 3
