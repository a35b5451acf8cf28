"""What ``waypost serve`` runs: one registry with its nameserver, and no task, no balancer.

Several of them on several machines share a PostgreSQL. The registry keeps its own prober; a node withdraws nothing
that it finds registered, since it has started nothing.
"""

import asyncio
import os
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path

from waypost.settings import PlatformSettings
from waypost.tasks.access import check_access
from waypost.tasks.components import Lifeline
from waypost.tasks.environment import with_aws_defaults
from waypost.tasks.errors import PlatformError
from waypost.tasks.own_log import log_to
from waypost.tasks.parts import Parts
from waypost.tasks.ports import Ports, bind_ports
from waypost.tasks.report import Report
from waypost.tasks.run_file import RunFile, RunState
from waypost.tasks.state_dir import hold_state_dir
from waypost.tasks.stop import StopRequest

__all__ = ["run_node"]


async def run_node(settings: PlatformSettings, *, inherited: Mapping[str, str], report: Report) -> None:
    """Run until SIGINT or SIGTERM asks for the end, and both processes have ended.

    :raises PlatformError: it could not start; whatever did start has ended.
    """
    stop = StopRequest()
    stop.listen()
    key = check_access(settings, inherited)
    state_dir = settings.state_dir.resolve()
    async with hold_state_dir(state_dir) as lock:
        log_to(state_dir / "logs" / "platform.log")
        with bind_ports(settings, balancer=False) as ports:
            lifeline = Lifeline(lock)
            parts = Parts(
                settings,
                ports,
                lifeline,
                stop,
                state_dir=state_dir,
                inherited=with_aws_defaults(inherited),
                key=key,
                on_change=lambda: run_file.write(),
            )
            run_file = RunFile(state_dir / "run.json", lambda: _run_state(settings, ports, parts, state_dir))
            try:
                await _serve(settings, ports, parts, stop, report)
            finally:
                run_file.remove()
                lifeline.close()


async def _serve(settings: PlatformSettings, ports: Ports, parts: Parts, stop: StopRequest, report: Report) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    failure: PlatformError | None = None
    async with AsyncExitStack() as stack:
        # Caught inside, so that everything is left in good order and not as after a failure of its own.
        try:
            for part in (parts.registry(), *(parts.nameserver(each) for each in range(settings.dns_workers))):
                await stack.enter_async_context(part.running())
            if await _are_ready(parts, stop):
                _say_ready(ports, parts, report, loop.time() - began)
            await stop.asked.wait()
        except PlatformError as exc:
            failure = exc
            stop.ask("the node did not start", now=loop.time())
        report.say(f"stopping: {stop.why} (once more skips the waits)")
    if failure is not None:
        raise failure
    report.say("stopped")


async def _are_ready(parts: Parts, stop: StopRequest) -> bool:
    """Return whether all serve, or the end was asked for before.

    :raises PlatformError: one of them does not start.
    """
    ready = asyncio.ensure_future(asyncio.gather(*(part.wait_until_ready() for part in parts)))
    stopping = asyncio.create_task(stop.asked.wait())
    try:
        await asyncio.wait((ready, stopping), return_when=asyncio.FIRST_COMPLETED)
        if ready.done():
            await ready
        return ready.done()
    finally:
        for each in (ready, stopping):
            each.cancel()
        await asyncio.wait((ready, stopping))


def _run_state(settings: PlatformSettings, ports: Ports, parts: Parts, state_dir: Path) -> RunState:
    return RunState(
        http_address=str(ports.http.address),
        dns_address=str(ports.dns[0].address),
        dns_addresses=[str(each.address) for each in ports.dns],
        dns_admin_address=str(ports.dns_admin.address),
        balancer_address=None,
        balancer_admin_address=None,
        state_dir=str(state_dir),
        task_network=str(settings.task_network),
        pid=os.getpid(),
        pids={"supervisor": os.getpid(), **{part.name: part.pid for part in parts}},
        tasks=[],
    )


def _say_ready(ports: Ports, parts: Parts, report: Report, seconds: float) -> None:
    report.table(
        [
            ("registry", f"{parts.registry_url} (Cloud Map API)"),
            ("DNS", f"{' '.join(str(each.address) for each in ports.dns)} (UDP and TCP)"),
            ("DNS admin", f"http://{ports.dns_admin.address.to_connect}"),
        ]
    )
    report.say(f"ready in {seconds:.1f} s: {parts.registry_url} (Ctrl-C stops)")
