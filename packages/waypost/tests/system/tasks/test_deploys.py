"""Deploys, counts and restarts of a running platform, as people ask for them on the command line."""

import asyncio
import json
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest
from tests.steady_load import Load

from waypost.promise import read_events, violations

pytestmark = pytest.mark.timeout(240)  # seconds; much of it is for a machine that is busy
Echo = Callable[..., str]
HEAD = 'namespace = "example.test"\n'


class AlwaysAnswered:
    """Asks DNS all the time, and notes each time that fewer tasks are answered than there should be."""

    def __init__(self, platform: Any, service: str, least: int) -> None:
        self.gaps: list[set[str]] = []
        self._platform, self._service, self._least = platform, service, least
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look)

    def _look(self) -> None:
        while not self._over.wait(0.02):
            answered = self._platform.answered(self._service)
            if len(answered) < self._least:
                self.gaps.append(answered)

    def __enter__(self) -> "AlwaysAnswered":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


@pytest.fixture
def echo(echo: Echo) -> Echo:
    """Return the function with a TTL of none: these tests look at the order of things, not at the wait."""
    return lambda name, *words, **keys: echo(name, *words, **{"ttl_s": 0, **keys})


def rewrite(platform: Any, manifest: str) -> None:
    (platform.folder / "platform.toml").write_text(manifest)


def done(command: "subprocess.CompletedProcess[str]") -> list[dict[str, Any]]:
    assert command.returncode == 0, command.stderr
    return list(json.loads(command.stdout))


def words(platform: Any) -> set[str]:
    return {
        json.loads(platform.ask(task, "GET", "/"))["WORDS"] for task in platform.tasks if task["state"] == "running"
    }


def test_a_deploy_rolls_what_was_changed_and_nothing_else(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", "one", count=2, ttl_s=1) + echo("job"))
    before = {task["instance"]: task for task in platform.tasks}
    rewrite(platform, HEAD + echo("web", "two", count=2, ttl_s=1) + echo("job"))
    with AlwaysAnswered(platform, "web", 2) as always:
        deployed = platform.command("deploy", "--output", "json")
    assert done(deployed) == [
        {"service": "web", "what": "deployed", "count": 2},
        {"service": "job", "what": "unchanged", "count": 1},
    ]
    assert always.gaps == []
    assert "web rolling: 2 of 2 answered by DNS" in deployed.stderr
    after = {task["instance"]: task for task in platform.tasks}
    assert {task["service"] for instance, task in after.items() if instance in before} == {"job"}
    assert len(after) == 3
    assert words(platform) == {"two", ""}
    assert {task["address"].rpartition(":")[0] for task in after.values() if task["service"] == "web"} == (
        platform.answered("web")
    )
    assert violations(read_events(platform.folder / "promise")) == []


def test_a_version_that_never_gets_healthy_is_rolled_back_and_the_old_one_never_left(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", "one", count=2) + echo("api", "one"))
    before = {task["instance"] for task in platform.tasks}
    rewrite(platform, HEAD + echo("web", "exit", count=2) + echo("api", "two"))
    with AlwaysAnswered(platform, "web", 2) as always:
        failed = platform.command("deploy")
    assert failed.returncode == 1
    assert "waypost: rolled back: web did not start: exited with code 3 before it was healthy" in failed.stderr
    assert "    something is wrong with this task" in failed.stderr
    assert always.gaps == []
    assert {task["instance"] for task in platform.tasks} == before  # also of the service that comes after it
    rewrite(
        platform, HEAD + echo("web", "sick", count=2, start_timeout_s=3, deploy={"failures": 2}) + echo("api", "one")
    )
    failed = platform.command("deploy", "web")
    assert failed.returncode == 1
    assert "not healthy within 3 s (/health answered HTTP 503)" in failed.stderr
    assert {task["instance"] for task in platform.tasks} == before
    rewrite(platform, HEAD + echo("web", "two", count=2) + echo("api", "one"))
    assert done(platform.command("deploy", "web", "-o", "json"))[0]["what"] == "deployed"
    assert words(platform) == {"one", "two"}
    assert violations(read_events(platform.folder / "promise")) == []


def test_a_deploy_within_the_room_of_its_count_goes_back_as_far_as_it_came(platform: Any, echo: Echo) -> None:
    room = {"minimum_percent": 50, "maximum_percent": 100, "failures": 1}
    platform.up(HEAD + echo("web", "one", count=2, deploy=room))
    rewrite(platform, HEAD + echo("web", "exit", count=2, deploy=room))
    with AlwaysAnswered(platform, "web", 1) as always:
        assert platform.command("deploy").returncode == 1
    assert always.gaps == []
    assert words(platform) == {"one"}
    assert len(platform.answered("web")) == 2
    rewrite(platform, HEAD + echo("web", "two", count=2, deploy={"maximum_percent": 100}))
    stuck = platform.command("deploy")
    assert stuck.returncode == 2
    assert "lower minimum_percent or raise maximum_percent" in stuck.stderr


def test_a_service_comes_and_goes_with_the_manifest(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web") + echo("old"))
    rewrite(platform, HEAD + echo("web") + echo("new", depends_on=["web"]))
    changed = done(platform.command("deploy", "-o", "json"))
    assert {each["service"]: each["what"] for each in changed} == {
        "web": "deployed",  # it is told where the new one is
        "new": "deployed",
        "old": "removed",
    }
    assert {task["service"] for task in platform.tasks} == {"web", "new"}
    assert len(platform.answered("new")) == 1
    rewrite(platform, 'namespace = "other.test"\n' + echo("web"))
    refused = platform.command("deploy")
    assert refused.returncode == 2
    assert "another namespace" in refused.stderr
    rewrite(platform, HEAD + "[services.web]\n")
    assert platform.command("deploy").returncode == 2
    assert platform.command("deploy", "nothing").returncode == 2  # the file first
    rewrite(platform, HEAD + echo("web"))
    assert platform.command("deploy", "nothing").returncode == 3


def test_a_count_grows_and_shrinks_and_outlives_a_killed_platform(platform: Any, echo: Echo) -> None:
    manifest = HEAD + echo("web", count=1)
    platform.up(manifest)
    first = platform.tasks[0]["instance"]
    assert done(platform.command("scale", "web=4", "-o", "json")) == [{"service": "web", "what": "scaled", "count": 4}]
    assert len(platform.answered("web")) == 4
    flags = platform.own_addresses
    before = {task["instance"] for task in platform.tasks}
    platform.process.kill()
    platform.wait()
    platform.up(manifest, *flags)
    assert {task["instance"] for task in platform.tasks} == before
    assert done(platform.command("scale", "web=2", "-o", "json"))
    assert len(platform.tasks) == 2
    assert first not in {task["instance"] for task in platform.tasks}  # the oldest go first
    assert done(platform.command("scale", "web=0", "-o", "json"))
    assert platform.answered("web") == set()
    assert done(platform.command("restart", "web", "-o", "json"))[0]["count"] == 1
    assert len(platform.answered("web")) == 1
    assert platform.command("scale", "web").returncode == 2
    assert platform.command("scale", "nothing=1").returncode == 3
    assert violations(read_events(platform.folder / "promise")) == []


def test_a_restart_replaces_one_task_or_all_of_them(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", count=2))
    one, other = (task["instance"] for task in platform.tasks)
    with AlwaysAnswered(platform, "web", 2) as always:
        assert done(platform.command("restart", one, "-o", "json"))
        now = {task["instance"] for task in platform.tasks}
        assert other in now
        assert one not in now
        assert done(platform.command("restart", "web", "-o", "json"))
    assert always.gaps == []
    assert now.isdisjoint(task["instance"] for task in platform.tasks)
    assert len(platform.tasks) == 2


def test_one_thing_at_a_time_is_done_with_a_service(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", ttl_s=2) + echo("api"))
    command = [platform.command.__globals__["WAYPOST"], "restart", "web", "--state-dir", platform.state]
    first = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    platform.eventually(lambda: len([task for task in platform.tasks if task["service"] == "web"]) == 2)
    second = platform.command("deploy", "web")
    assert second.returncode == 5
    assert "a restart of web is under way" in second.stderr
    assert platform.command("restart", "api").returncode == 0  # another service has nothing to do with it
    first.kill()  # whoever asked goes away: it is seen through
    first.communicate()
    platform.eventually(lambda: len([task for task in platform.tasks if task["service"] == "web"]) == 1)
    assert len(platform.answered("web")) == 1


def test_a_stop_cuts_a_deploy_short(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", "one", count=2))
    rewrite(platform, HEAD + echo("web", "sick", count=2, start_timeout_s=60))
    command = [platform.command.__globals__["WAYPOST"], "deploy", "--state-dir", platform.state]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as deploying:
        platform.eventually(lambda: len(platform.tasks) == 4, what="the new ones stand beside the old ones")
        told = deploying.stderr.readline()
        assert ("web rolling" in told, deploying.poll()) == (True, None)  # told while it goes on
        assert platform.command("stop", "web").returncode == 0
        _, problem = deploying.communicate(timeout=60)
    assert deploying.returncode == 5
    assert "web: its new tasks were stopped before the old ones were replaced" in problem
    assert platform.tasks == []
    rewrite(platform, HEAD + echo("web", "two", count=2))
    assert done(platform.command("deploy", "web", "-o", "json")) == [{"service": "web", "what": "deployed", "count": 2}]


@pytest.mark.soak
async def test_a_thousand_requests_a_second_each_way_see_nothing_of_deploys(platform: Any, echo: Echo) -> None:
    head = HEAD + '[balancer]\nservice = "web"\n'
    await asyncio.to_thread(platform.up, head + echo("web", "0", count=2, ttl_s=1))
    port = platform.tasks[0]["address"].rpartition(":")[2]
    loads = {
        "balancer": Load(f"http://{platform.run['balancer_address']}/", "1000"),
        "DNS": Load(f"http://web.example.test:{port}/", "1000", platform.run["dns_address"]),
    }
    for load in loads.values():
        await load.begin()
    for version in range(1, 6):
        rewrite(platform, head + echo("web", str(version), count=2, ttl_s=1))
        assert done(await asyncio.to_thread(platform.command, "deploy", "-o", "json"))[0]["what"] == "deployed"
    for name, load in loads.items():
        outcomes = (await load.end()).outcomes
        print(f"by {name}: {outcomes}")
        assert set(outcomes) == {"ok"}
        assert outcomes["ok"] > 5_000
    assert violations(read_events(platform.folder / "promise")) == []
