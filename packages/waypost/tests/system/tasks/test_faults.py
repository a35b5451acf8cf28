"""Faults that a supervisor of tasks meets, each with what must hold: nothing is doubled, orphaned or blocked."""

import contextlib
import http.client
import json
import os
import resource
import signal
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dns.message
import dns.query
import dns.rcode
import psutil
import pytest

from waypost.promise import read_events, violations

pytestmark = pytest.mark.timeout(240)  # seconds; much of it is for a machine that is busy
Echo = Callable[..., str]
HEAD = 'namespace = "example.test"\n'


def descriptors(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_a_task_that_forks_ignores_sigterm_and_floods_its_output_blocks_nobody(platform: Any, echo: Echo) -> None:
    logs = "[logs]\nmax_bytes = 100000\nkeep = 1\n"
    platform.up(HEAD + logs + echo("web", "fork", "spam", "ignore-term", stop_grace_s=0.3) + echo("api"))
    task = next(each for each in platform.tasks if each["service"] == "web")
    group = [each.pid for each in psutil.process_iter() if os.getpgid(each.pid) == task["pid"]]
    assert len(group) >= 3
    log = platform.state / "logs" / f"web-{task['instance']}.log"
    platform.eventually(log.with_name(f"{log.name}.1").exists, what="its log is kept short")
    assert json.loads(platform.command("tasks", "-o", "json").stdout)
    assert platform.command("stop", "web").returncode == 0
    assert not set(group) & set(platform.pids())
    assert {each["service"] for each in platform.tasks} == {"api"}


def test_a_supervisor_without_descriptors_keeps_what_runs_and_recovers(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", count=2))
    one, other = platform.tasks
    supervisor = platform.run["pid"]
    _, hard = resource.prlimit(supervisor, resource.RLIMIT_NOFILE)
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (descriptors(supervisor), hard))
    os.kill(one["pid"], signal.SIGKILL)
    before = psutil.Process(supervisor).cpu_times()
    time.sleep(1.5)  # how long it is looked at
    after = psutil.Process(supervisor).cpu_times()
    assert after.user + after.system - before.user - before.system < 1.0, "it does not spin"
    assert platform.process.poll() is None
    assert psutil.pid_exists(other["pid"])
    assert other["address"].rpartition(":")[0] in platform.answered("web")
    resource.prlimit(supervisor, resource.RLIMIT_NOFILE, (hard, hard))
    platform.eventually(lambda: len(platform.answered("web")) == 2, what="a successor is there")
    assert one["address"].rpartition(":")[0] not in platform.answered("web")
    assert violations(read_events(platform.folder / "promise")) == []


def test_logs_that_take_no_line_stop_nobody(platform: Any, echo: Echo) -> None:
    logs = platform.state / "logs"
    logs.mkdir(parents=True)
    for part in ("platform", "registry", "nameserver", "prober", "balancer"):
        (logs / f"{part}.log").symlink_to("/dev/full")  # as on a disk without room
    platform.up(HEAD + '[balancer]\nservice = "web"\n' + echo("web", count=2))
    pids = platform.run["pids"]
    killed, left = platform.tasks
    os.kill(killed["pid"], signal.SIGKILL)
    platform.eventually(
        lambda: len(found := platform.discovered("web")) == 2 and killed["instance"] not in found,
        what="a successor is there",
    )
    assert left["instance"] in platform.discovered("web")
    assert platform.run["pids"] == pids, "no part had to be started again"
    platform.signal(signal.SIGTERM)
    assert platform.wait() == 0


def test_a_supervisor_that_fails_ends_with_all_that_it_has_started(platform: Any, echo: Echo) -> None:
    platform.up(HEAD + echo("web", count=2))
    supervisor = platform.run["pid"]
    _, hard = resource.prlimit(supervisor, resource.RLIMIT_FSIZE)
    resource.prlimit(supervisor, resource.RLIMIT_FSIZE, (1, hard))  # what its log of the promise does not expect
    os.kill(platform.tasks[0]["pid"], signal.SIGKILL)
    assert platform.wait() in (1, 120)  # Python's word for last words that could not be written either
    platform.eventually(lambda: not platform.pids(), what="nobody is left")


def http_exchange(connection: socket.socket) -> bool:
    connection.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    answer.read()  # to its end, which may come after its head
    return answer.status == 200


def dns_exchange(connection: socket.socket) -> bool:
    query = dns.message.make_query("web.example.test", "A")
    dns.query.send_tcp(connection, query)
    answer, _ = dns.query.receive_tcp(connection, time.time() + 10)
    return answer.rcode() == dns.rcode.NOERROR


@pytest.mark.parametrize(
    ("part", "address", "exchange"),
    [
        ("registry", "http_address", http_exchange),
        ("nameserver", "dns_address", dns_exchange),
        ("balancer", "balancer_address", http_exchange),
    ],
)
def test_a_part_without_descriptors_does_not_spin_and_serves_whom_it_has(
    platform: Any, echo: Echo, part: str, address: str, exchange: Callable[[socket.socket], bool]
) -> None:
    platform.up(HEAD + '[balancer]\nservice = "web"\n' + echo("web"))
    host, _, port = platform.run[address].rpartition(":")
    pid = platform.run["pids"][part]
    with contextlib.ExitStack() as stack:

        def connected() -> socket.socket:
            return stack.enter_context(socket.create_connection((host, int(port)), 10))

        kept = connected()
        assert exchange(kept)
        _, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (descriptors(pid), hard))
        for _ in range(20):
            connected()  # into the listener's queue
        before = psutil.Process(pid).cpu_times()
        time.sleep(1.5)  # how long it is looked at
        after = psutil.Process(pid).cpu_times()
        assert after.user + after.system - before.user - before.system < 1.0, "it does not spin"
        assert exchange(kept)
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (hard, hard))
        assert exchange(connected())
    assert platform.run["pids"][part] == pid, "it is the same process"


def test_a_process_with_a_number_that_was_used_before_is_not_taken_for_the_task(platform: Any, echo: Echo) -> None:
    manifest = HEAD + echo("web")
    platform.up(manifest)
    task = platform.tasks[0]
    platform.signal(signal.SIGKILL)
    platform.wait()
    os.kill(task["pid"], signal.SIGKILL)
    path = platform.state / "tasks.json"
    saved = json.loads(path.read_text())
    me = os.getpid()  # somebody else has the number now
    path.write_text(json.dumps({**saved, "tasks": [{**saved["tasks"][0], "pid": me}]}))
    platform.up(manifest)
    assert [each["pid"] for each in platform.tasks] != [me]
    assert task["instance"] not in platform.discovered("web", "ALL")
    assert platform.tasks[0]["address"] != task["address"], "it rests"


@pytest.mark.parametrize("pause_s", [2.5, pytest.param(60, marks=pytest.mark.soak)])  # longer than any check may take
def test_a_supervisor_that_is_stopped_for_a_while_removes_nobody_on_waking(
    platform: Any, echo: Echo, pause_s: float
) -> None:
    platform.up(HEAD + echo("web", count=3))
    before = {task["instance"]: task["pid"] for task in platform.tasks}
    pids = [platform.run["pid"], platform.run["pids"]["prober"]]
    for pid in pids:
        os.kill(pid, signal.SIGSTOP)
    time.sleep(pause_s)  # the suspension itself is the test
    for pid in pids:
        os.kill(pid, signal.SIGCONT)
    time.sleep(0.5)  # five checks
    assert {task["instance"]: task["pid"] for task in platform.tasks} == before
    assert platform.discovered("web") == before.keys()
    assert "unhealthy" not in platform.output


def test_two_supervisors_after_another_never_double_a_task(platform: Any, echo: Echo) -> None:
    manifest = HEAD + echo("web", count=2)
    platform.up(manifest)
    flags = platform.own_addresses
    for pause_s in (0.3, 0.6, 0.9):  # killed while it adopts
        platform.signal(signal.SIGKILL)
        platform.wait()
        platform.spawn(manifest, *flags)
        time.sleep(pause_s)
    platform.eventually(lambda: "\nready" in platform.output, what="the last of them is ready")
    mine = [pid for pid in platform.pids() if "echo_task.py" in " ".join(psutil.Process(pid).cmdline())]
    assert sorted(mine) == sorted(task["pid"] for task in platform.tasks)
    assert len(mine) == 2
    assert platform.discovered("web") == {task["instance"] for task in platform.tasks}
    assert violations(read_events(platform.folder / "promise")) == []
