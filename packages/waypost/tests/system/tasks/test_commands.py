"""The commands for a platform, as text and as JSON, with their exit codes, on one that is shared."""

import json
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

HEAD = 'namespace = "example.test"\n'


@pytest.fixture(scope="module")
def running(shared_platform: Any, echo_table: Callable[..., str]) -> Any:
    """Return a platform with a service web of two tasks, one api, and a job."""
    job = '[jobs.migrate]\ncommand = ["echo", "it is done"]\n'
    shared_platform.up(HEAD + echo_table("web", count=2, ttl_s=0) + echo_table("api", ttl_s=0) + job)
    return shared_platform


def told(command: "subprocess.CompletedProcess[str]") -> Any:
    assert command.returncode == 0, command.stderr
    return json.loads(command.stdout)


def test_tasks_are_listed_in_every_shape(running: Any) -> None:
    rows = told(running.command("tasks", "-o", "json"))
    assert sorted(row["service"] for row in rows) == ["api", "web", "web"]
    assert set(rows[0]) == {"service", "instance", "address", "pid", "state", "restarts", "why", "last_lines"}
    lines = running.command("tasks", "-o", "jsonl").stdout.splitlines()
    assert [json.loads(line) for line in lines] == rows
    assert running.command("tasks", "-o", "name").stdout.split() == [row["instance"] for row in rows]
    table = running.command("tasks").stdout
    assert all(row["address"] in table for row in rows)
    assert "\x1b" not in table  # nobody's terminal


def test_counts_change_and_tasks_are_replaced(running: Any) -> None:
    assert told(running.command("scale", "web=1", "-o", "json")) == [{"service": "web", "what": "scaled", "count": 1}]
    assert "scaled" in running.command("scale", "web=2").stdout
    before = {task["instance"] for task in running.tasks if task["service"] == "api"}
    restarted = told(running.command("restart", "api", "-o", "json"))
    assert restarted == [{"service": "api", "what": "restarted", "count": 1}]
    assert before.isdisjoint(task["instance"] for task in running.tasks if task["state"] == "running")
    deployed = {row["service"]: row["what"] for row in told(running.command("deploy", "-o", "json"))}
    assert deployed == {"migrate": "done", "web": "unchanged", "api": "unchanged"}
    assert "unchanged" in running.command("deploy", "web").stdout


def test_jobs_run_and_logs_are_read(running: Any) -> None:
    assert told(running.command("job", "migrate", "-o", "json"))[0]["what"] == "done"
    assert "done" in running.command("job", "migrate").stdout
    assert "it is done" in running.command("logs", "migrate").stdout
    line = json.loads(running.command("logs", "migrate", "--tail", "1", "-o", "jsonl").stdout.splitlines()[0])
    assert (line["name"], line["line"]) == ("migrate", "it is done")
    assert running.command("logs", "registry", "-o", "name").stdout == "registry\n"


def test_a_registry_that_runs_is_looked_into(running: Any) -> None:
    (service,) = [row for row in told(running.command("services", "-o", "json")) if row["name"] == "web.example.test"]
    assert service["healthy"] == "2/2"
    visible = told(running.command("wait", "web.example.test", "--for", "visible", "--count", "2", "-o", "json"))
    assert (visible["goal"], visible["count"]) == ("visible", 2)
    answers = {row["type"] for row in told(running.command("resolve", "web.example.test", "-o", "json"))}
    assert answers >= {"A", "DiscoverInstances"}
    checks = {row["check"]: row["state"] for row in json.loads(running.command("doctor", "-o", "json").stdout)}
    assert (checks["state directory"], checks["registry"], checks["database"]) == ("ok", "ok", "ok")
    assert "AWS_ENDPOINT_URL_SERVICEDISCOVERY" in running.command("env").stdout


def test_tasks_are_stopped(running: Any) -> None:
    (task,) = [task for task in running.tasks if task["service"] == "api"]
    assert told(running.command("stop", "api", "-o", "json")) == [{"instance": task["instance"], "what": "stopped"}]
    one = next(task["instance"] for task in running.tasks if task["service"] == "web")
    assert running.command("stop", one).stdout == f"stopped {one}\n"


@pytest.mark.parametrize(
    ("words", "code"),
    [
        (("stop", "nothing"), 3),
        (("restart", "nothing"), 3),
        (("scale", "nothing=1"), 3),
        (("scale", "web"), 2),
        (("job", "nothing"), 3),
        (("logs", "nothing"), 3),
        (("deploy", "nothing"), 3),
        (("tasks", "-o", "yaml"), 2),
    ],
)
def test_what_cannot_be_done_has_its_exit_code(running: Any, words: tuple[str, ...], code: int) -> None:
    refused = running.command(*words)
    assert (refused.returncode, refused.stdout) == (code, ""), refused.stderr


@pytest.mark.parametrize("words", [("tasks",), ("stop", "web"), ("deploy",), ("scale", "web=1"), ("restart", "web")])
def test_without_a_platform_nobody_answers(platform: Any, words: tuple[str, ...]) -> None:
    refused = platform.command(*words)
    assert (refused.returncode, refused.stdout) == (6, "")
    assert "no platform runs in" in refused.stderr
