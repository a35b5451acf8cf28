"""What the manifest says of a program comes true for its process: order, jobs, secrets, folder, limits, logs."""

import json
import os
import signal
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

from waypost.promise import Task, read_events

pytestmark = pytest.mark.timeout(240)  # seconds; much of it is for a machine that is busy
Echo = Callable[..., str]
HEAD = 'namespace = "example.test"\n'


def test_a_task_gets_its_secrets_its_folder_and_its_limits(platform: Any, echo: Echo) -> None:
    secret = platform.folder / "key"
    secret.write_text("s3cret\n")
    (platform.folder / "data").mkdir()
    keys = {"secrets": {"KEY": "key"}, "working_directory": "data", "limits": {"open_files": 77}}
    platform.up(HEAD + echo("web", **keys))
    task = platform.tasks[0]
    told = json.loads(platform.ask(task, "GET", "/"))
    assert told["KEY"] == "s3cret"
    assert told["OPEN_FILES"] == "77"
    assert told["FOLDER"] == str(platform.folder / "data")
    assert "s3cret" not in (platform.state / "tasks.json").read_text() + platform.output
    assert json.loads(platform.command("deploy", "-o", "json").stdout)[0]["what"] == "unchanged"
    secret.write_text("other\n")
    assert json.loads(platform.command("deploy", "-o", "json").stdout)[0]["what"] == "deployed"
    assert json.loads(platform.ask(platform.tasks[0], "GET", "/"))["KEY"] == "other"
    secret.unlink()
    missing = platform.command("deploy")
    assert missing.returncode == 2
    assert "web: the secret KEY cannot be read from" in missing.stderr


def test_jobs_and_services_start_in_the_order_in_which_they_need_each_other(platform: Any, echo: Echo) -> None:
    job = '[jobs.migrate]\ncommand = ["sh", "-c", "sleep 0.3; echo migrated >> done; echo it is done"]\n'
    platform.up(HEAD + job + echo("front", depends_on=["back"]) + echo("back", depends_on=["migrate"], count=2))
    finished = (platform.folder / "done").stat().st_mtime_ns
    instances = {task["instance"]: task["service"] for task in platform.tasks}
    events = [each for each in read_events(platform.folder / "promise") if isinstance(each, Task)]
    points = [(instances[each.task], each.point) for each in events]
    assert points == [("back", "started")] * 2 + [("back", "accepting")] * 2 + [
        ("front", "started"),
        ("front", "accepting"),
    ]
    first = min(platform.state.joinpath("logs").glob("back-*.log"), key=lambda path: path.stat().st_ctime_ns)
    assert first.stat().st_mtime_ns >= finished
    assert platform.command("logs", "migrate").stdout == "it is done\n"
    again = platform.command("job", "migrate", "-o", "json")
    assert json.loads(again.stdout) == [{"service": "migrate", "what": "done", "count": 0}]
    assert (platform.folder / "done").read_text() == "migrated\n" * 2
    assert platform.command("job", "nothing").returncode == 3


def test_a_job_that_fails_ends_the_start(platform: Any, echo: Echo) -> None:
    job = '[jobs.migrate]\ncommand = ["sh", "-c", "echo the database is away; exit 9"]\n'
    platform.spawn(HEAD + job + echo("web", depends_on=["migrate"]))
    assert platform.wait() == 1
    assert "waypost: the job migrate failed: exited with code 9: see its log " in platform.output
    assert "    the database is away" in platform.output
    assert platform.pids() == []


def test_a_job_of_a_killed_platform_is_ended_and_run_anew(platform: Any, echo: Echo) -> None:
    manifest = HEAD + '[jobs.slow]\ncommand = ["sh", "-c", "echo run >> runs; sleep 600"]\n' + echo("web")
    platform.spawn(manifest)
    runs = platform.folder / "runs"
    platform.eventually(lambda: runs.exists() and "registered" in platform.output)
    left = json.loads((platform.state / "tasks.json").read_text())["jobs"][0]["pid"]
    platform.signal(signal.SIGKILL)
    platform.wait()
    platform.spawn(manifest)
    platform.eventually(lambda: runs.read_text() == "run\n" * 2)
    assert not [pid for pid in platform.pids() if pid == left]
    platform.signal(signal.SIGTERM)
    assert platform.wait() == 0
    assert platform.pids() == []


def test_a_crash_loop_says_why(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", "exit-later") + echo("api"))
    platform.eventually(lambda: "crash loop: exited with code 4" in platform.output, what="the verdict")
    platform.eventually(lambda: "    asked once too often" in platform.output, what="its last words")

    def waiting() -> Any:
        rows = json.loads(platform.command("tasks", "-o", "json").stdout)
        return next((row for row in rows if row["state"] == "crash loop"), None)

    row = platform.eventually(waiting, what="a row of it")
    assert row["service"] == "web"
    assert row["pid"] is None
    assert "exited with code 4, " in row["why"]
    assert " times in a row; next start in " in row["why"]
    assert row["last_lines"].endswith("asked once too often")
    assert "asked once too often" in platform.command("logs", row["instance"], "--tail", "1").stdout
    # Between two starts of the loop there is an attempt, which the table may show instead.
    platform.eventually(lambda: "crash loop" in platform.command("tasks").stdout, what="the table says so")


def test_logs_are_shown_followed_and_kept_short(platform: Any, echo: Echo) -> None:
    logs = "[logs]\nmax_bytes = 20000\nkeep = 1\nended = 1\n"
    platform.up(HEAD + logs + echo("web", "spam") + echo("api", count=2))
    web = next(task for task in platform.tasks if task["service"] == "web")
    log = platform.state / "logs" / f"web-{web['instance']}.log"
    aside = log.with_name(f"{log.name}.1")
    platform.eventually(aside.exists, what="the log is put aside")
    assert aside.stat().st_size <= 40_000
    assert platform.command("logs", "api").stdout.count("listening\n") == 2
    assert platform.command("logs", "api", "-o", "json").stdout.count('"line":"listening"') == 2
    assert "registry.ready" in platform.command("logs", "registry").stdout
    assert platform.command("logs", "nothing").returncode == 3
    command = [
        platform.command.__globals__["WAYPOST"],
        "logs",
        "api",
        "-f",
        "--tail",
        "1",
        "--state-dir",
        platform.state,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as following:
        assert following.stdout is not None
        try:
            for _ in range(2):
                assert following.stdout.readline().endswith(" | listening\n")
            victim = next(task for task in platform.tasks if task["service"] == "api")
            os.kill(victim["pid"], signal.SIGKILL)
            successor = following.stdout.readline()  # of a task that did not run yet when the command was given
            assert successor.endswith(" | listening\n")
            assert victim["instance"][:8] not in successor
            following.send_signal(signal.SIGINT)
            assert following.wait(60) == 130
        finally:
            following.kill()
    os.kill(next(task["pid"] for task in platform.tasks if task["service"] == "web"), signal.SIGKILL)
