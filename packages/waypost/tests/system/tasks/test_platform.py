"""``waypost up``, from its start to its end, with real processes."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from waypost.promise import Task, read_events, violations

pytestmark = pytest.mark.timeout(240)  # seconds; much of it is for a machine that is busy
Echo = Callable[..., str]
HEAD = 'namespace = "example.test"\n'


def moves(folder: Path, instance: str) -> list[str]:
    """Return the points of a task's life that were noted."""
    return [each.point for each in read_events(folder / "promise") if isinstance(each, Task) and each.task == instance]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_starts_serves_drains_and_leaves_nothing_behind(platform: Any, echo: Echo, number: signal.Signals) -> None:
    platform.up(HEAD + echo("web", count=2) + echo("job"))
    run = platform.run
    web = [task for task in run["tasks"] if task["service"] == "web"]
    assert len(web) == 2
    assert {task["address"].rpartition(":")[0] for task in web} == platform.answered("web")
    assert {task["instance"] for task in web} == platform.discovered("web")
    assert {"supervisor", "registry", "nameserver", "prober"} <= run["pids"].keys()
    platform.signal(number)
    assert platform.wait() == 0
    assert platform.pids() == []
    assert not (platform.state / "run.json").exists()
    for task in run["tasks"]:
        assert moves(platform.folder, task["instance"]) == ["started", "accepting", "stopping", "ended"]
    assert violations(read_events(platform.folder / "promise")) == []


def test_a_task_is_told_its_own_address_and_how_to_find_the_others(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web"), LEVEL="info")
    task = platform.tasks[0]
    told = json.loads(platform.ask(task, "GET", "/"))
    assert f"{told['SERVICE_ADDRESS']}:{told['SERVICE_PORT']}" == task["address"]
    assert told["SERVICE_INSTANCE"] == task["instance"]
    assert told["WEB_SERVICE_HOST"] == "web.example.test"
    assert told["WAYPOST_DNS"] == platform.run["dns_address"]
    assert told["LEVEL"] == "info"
    assert not [name for name in told if name.endswith("_FD")]


def test_a_killed_task_leaves_at_once_and_its_successor_has_another_address(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", count=2))
    victim, other = platform.tasks
    os.kill(victim["pid"], signal.SIGKILL)
    platform.eventually(lambda: victim["instance"] not in platform.discovered("web", "ALL"), within_s=10)
    platform.eventually(lambda: len(platform.discovered("web")) == 2)
    successor = next(task for task in platform.tasks if task["instance"] not in (victim["instance"], other["instance"]))
    assert successor["address"] not in (victim["address"], other["address"])
    assert victim["address"].rpartition(":")[0] not in platform.answered("web")
    assert json.loads(platform.command("tasks", "-o", "json").stdout)[1]["restarts"] in (0, 1)
    assert moves(platform.folder, victim["instance"]) == ["started", "accepting", "ended"]


def test_a_sick_task_is_out_of_discovery_until_it_is_well(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", count=2))
    sick, well = platform.tasks
    platform.ask(sick, "POST", "/health", b"503")
    platform.eventually(lambda: platform.discovered("web") == {well["instance"]})
    assert platform.answered("web") == {well["address"].rpartition(":")[0]}
    assert "unhealthy (check failed: HTTP 503)" in platform.output
    platform.ask(sick, "POST", "/health", b"200")
    platform.eventually(lambda: platform.discovered("web") == {sick["instance"], well["instance"]})
    assert next(task for task in platform.tasks if task["instance"] == sick["instance"])["pid"] == sick["pid"]


def test_the_last_sick_task_leaves_too(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web"))
    platform.ask(platform.tasks[0], "POST", "/health", b"500")
    platform.eventually(lambda: platform.answered("web") == set())


def test_a_stopped_task_is_drained_first_and_not_replaced(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", count=2, ttl_s=2))
    stopped, other = platform.tasks
    answer = platform.command("stop", stopped["instance"])
    assert (answer.returncode, answer.stdout) == (0, f"stopped {stopped['instance']}\n")
    assert [task["instance"] for task in platform.tasks] == [other["instance"]]
    assert platform.discovered("web", "ALL") == {other["instance"]}
    noted = [each for each in read_events(platform.folder / "promise") if isinstance(each, Task)]
    assert [each.point for each in noted if each.task == stopped["instance"]][-2:] == ["stopping", "ended"]
    assert platform.command("stop", "web").returncode == 0
    assert platform.tasks == []
    assert violations(read_events(platform.folder / "promise")) == []


def test_stopping_what_is_not_there_is_refused_in_one_line(platform: Any, echo: Echo) -> None:
    nobody = platform.command("stop", "web")
    assert nobody.returncode == 6
    assert "no platform runs" in nobody.stderr
    platform.up(HEAD + echo("web"))
    unknown = platform.command("stop", "api")
    assert unknown.returncode == 3
    assert unknown.stderr == "waypost: there is no service and no task 'api': waypost tasks lists what there is\n"
    assert platform.command("scale", "api=2").stderr == (
        "waypost: there is no service 'api': waypost tasks lists what there is\n"
    )
    assert platform.command("job", "web").stderr == "waypost: there is no job 'web': the manifest has none\n"
    assert platform.command("deploy", "api").stderr.endswith(
        "waypost: there is no service and no job 'api': the manifest says what there is\n"
    )


def test_a_second_signal_skips_the_waits_and_still_leaves_nothing(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", "ignore-term", ttl_s=60, stop_grace_s=60))
    platform.signal(signal.SIGINT)
    platform.eventually(lambda: platform.discovered("web", "ALL") == set())
    time.sleep(0.3)  # a signal sooner than this is taken for one that make has passed on
    platform.signal(signal.SIGINT)
    assert platform.wait(5) == 0
    assert platform.pids() == []


def test_a_task_that_ignores_sigterm_is_killed_with_its_children(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", "ignore-term", "fork", stop_grace_s=0.5))
    platform.signal(signal.SIGTERM)
    assert platform.wait() == 0
    assert platform.pids() == []


def test_tasks_that_outlive_a_killed_platform_are_adopted(platform: Any, echo: Echo) -> None:
    manifest = HEAD + echo("web", count=2) + echo("job")
    platform.up(manifest)
    before = {task["instance"]: task["pid"] for task in platform.tasks}
    flags = platform.own_addresses
    platform.signal(signal.SIGKILL)
    platform.wait()
    dead = next(instance for instance, pid in before.items())
    os.kill(before.pop(dead), signal.SIGKILL)
    platform.up(manifest, *flags)
    after = {task["instance"]: task["pid"] for task in platform.tasks}
    assert before.items() <= after.items()
    assert len(after) == 3
    assert dead not in platform.discovered("web", "ALL") | platform.discovered("job", "ALL")
    assert platform.discovered("web") | platform.discovered("job") == after.keys()
    platform.signal(signal.SIGTERM)
    assert platform.wait() == 0
    assert platform.pids() == []
    assert violations(read_events(platform.folder / "promise")) == []


def test_adopted_tasks_that_would_be_started_otherwise_today_are_replaced(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", count=2) + echo("gone"))
    before = {task["instance"] for task in platform.tasks}
    platform.signal(signal.SIGKILL)
    platform.wait()
    platform.up(HEAD + echo("web", "changed", count=1))
    platform.eventually(lambda: {task["instance"] for task in platform.tasks}.isdisjoint(before))
    assert [task["service"] for task in platform.tasks] == ["web"]
    assert violations(read_events(platform.folder / "promise")) == []


def test_an_address_is_not_given_again_by_the_next_platform(platform: Any, echo: Echo) -> None:
    manifest = HEAD + echo("web")
    platform.up(manifest)
    first = platform.tasks[0]["address"]
    platform.signal(signal.SIGTERM)
    platform.wait()
    platform.up(manifest)
    assert platform.tasks[0]["address"] != first


@pytest.mark.parametrize("component", ["registry", "nameserver", "prober"])
def test_a_part_that_dies_is_restarted_alone_and_health_is_watched_on(
    platform: Any, echo: Echo, component: str
) -> None:
    platform.up(HEAD + echo("web"))
    task, pid = platform.tasks[0], platform.run["pids"][component]
    os.kill(pid, signal.SIGKILL)
    platform.eventually(lambda: platform.run["pids"][component] not in (pid, None))
    platform.ask(task, "POST", "/health", b"503")
    platform.eventually(lambda: platform.discovered("web") == set())
    platform.eventually(lambda: platform.answered("web") == set())
    assert platform.tasks[0]["pid"] == task["pid"]


def test_tasks_on_one_address_are_found_by_srv(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", count=2), "--task-network", "127.0.0.1/32", "--task-port", "0")
    ports = {task["address"].rpartition(":")[2] for task in platform.tasks}
    assert len(ports) == 2
    assert {answer.split()[2] for answer in platform.answered("web", "SRV")} == ports


def fails(platform: Any, manifest: str, *flags: str) -> tuple[int, str]:
    """Return the exit code and what was said."""
    platform.spawn(manifest, *flags)
    code = platform.wait()
    assert platform.pids() == []
    assert "Traceback" not in platform.output
    return code, platform.output


def test_a_port_in_use_is_named_with_its_holder(platform: Any, echo: Echo) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        code, said = fails(platform, HEAD + echo("web"), "--http-address", f"127.0.0.1:{port}")
    assert code == 5
    assert f"waypost: port {port} (TCP) of 127.0.0.1 is in use by " in said
    assert f"(pid {os.getpid()}) on 127.0.0.1: stop that, or choose another port with --http-address" in said
    assert len(said.splitlines()) == 1


def test_a_foreign_listener_on_the_port_of_the_tasks_is_named(platform: Any, echo: Echo) -> None:
    with socket.create_server(("0.0.0.0", 0)) as listener:
        port = listener.getsockname()[1]
        code, said = fails(platform, HEAD + echo("web"), "--task-port", str(port))
    assert code == 5
    assert f"(pid {os.getpid()}) on every address: stop that, or choose another port with --task-port" in said


def test_a_key_that_is_missing_is_named(platform: Any) -> None:
    code, said = fails(platform, HEAD + "[services.web]\ncount = 1\n")
    assert code == 2
    assert said.startswith("waypost: platform.toml: the key services.web.command is missing: add it; ")
    assert len(said.splitlines()) == 1


def test_a_flag_that_cannot_be_used_is_named(platform: Any, echo: Echo) -> None:
    code, said = fails(platform, HEAD + echo("web"), "--task-network", "10.0.0.0/8")
    assert code == 2
    assert "--task-network" in said
    assert "inside 127.0.0.0/8" in said


def test_a_program_that_is_not_there_is_named(platform: Any) -> None:
    code, said = fails(platform, HEAD + '[services.web]\ncommand = ["no-such-program"]\n')
    assert code == 1
    assert "services.web.command: the program 'no-such-program' is not found" in said


def test_a_command_that_ends_at_once_is_shown_with_its_last_words(platform: Any, echo: Echo) -> None:
    code, said = fails(platform, HEAD + echo("web", "exit") + echo("job"))
    assert code == 1
    assert "web did not start: exited with code 3 before it was healthy" in said
    assert "something is wrong with this task" in said


def test_a_task_that_never_gets_healthy_ends_the_start(platform: Any, echo: Echo) -> None:
    code, said = fails(platform, HEAD + echo("web", "sick", start_timeout_s=3))  # by then it is asked
    assert code == 1
    assert "web did not start: not healthy within 3 s (/health answered HTTP 503)" in said


def test_a_second_platform_needs_a_state_directory_of_its_own(platform: Any, echo: Echo, tmp_path: Path) -> None:
    manifest = HEAD + echo("web")
    platform.up(manifest)
    second = type(platform)(tmp_path / "second", "127.99.0.0/24")
    second.folder.mkdir()
    code, said = fails(second, manifest, "--state-dir", str(platform.state))
    assert code == 5
    assert f"is in use by a running platform (pid {platform.run['pid']})" in said


def test_a_signal_while_it_starts_ends_it_in_good_order(platform: Any, echo: Echo) -> None:
    process = platform.spawn(HEAD + echo("web", "sick", start_timeout_s=60))
    platform.eventually(lambda: "starting (pid" in platform.output)
    process.send_signal(signal.SIGTERM)
    assert platform.wait() == 0
    assert platform.pids() == []
