"""What ``waypost up`` runs: the composition root of a platform.

Parts are entered in the order in which they need each other and left in the reverse: registry, prober, nameserver,
tasks, balancer. So the balancer closes first, then the tasks are withdrawn, drained and stopped, and the registry,
which acknowledges that, ends last. The same way back is taken whether the end was asked for or something did not start.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from waypost.cloudmap import cause, open_cloudmap
from waypost.health.link import ProberLink
from waypost.pages import serve_pages
from waypost.promise import PromiseLog
from waypost.settings import PlatformSettings
from waypost.tasks.access import check_access
from waypost.tasks.addresses import AddressPool
from waypost.tasks.answers import NameserverAnswers
from waypost.tasks.components import Lifeline
from waypost.tasks.control import rows, serve_control
from waypost.tasks.deploys import Deploys
from waypost.tasks.environment import Surroundings, with_aws_defaults
from waypost.tasks.errors import ManifestInvalid, PlatformError, StartFailed
from waypost.tasks.jobs import end_left_jobs
from waypost.tasks.manifest import Manifest
from waypost.tasks.own_log import log_to
from waypost.tasks.pages import supervisor_pages
from waypost.tasks.parts import Parts
from waypost.tasks.ports import Ports, bind_ports
from waypost.tasks.preflight import choose_task_port, look_over, programs
from waypost.tasks.process import Process, boot_id
from waypost.tasks.registrar import Registrar, until_answered
from waypost.tasks.registry_errors import RegistryRefused
from waypost.tasks.report import Report
from waypost.tasks.roster import Roster
from waypost.tasks.run_file import RunFile, RunState
from waypost.tasks.state_dir import hold_state_dir
from waypost.tasks.state_file import SavedTasks, load_tasks
from waypost.tasks.stop import StopRequest
from waypost.tasks.supervisor import Supervisor
from waypost.tasks.task_life import TaskLife

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["run_platform"]

REGISTRY_S: Final = 20.0  # for the registry to answer what a start asks of it


class _Stopped(Exception):
    """The end was asked for while something was waited for."""


async def run_platform(
    load: Callable[[], Manifest], settings: PlatformSettings, *, inherited: Mapping[str, str], report: Report
) -> None:
    """Run until SIGINT or SIGTERM asks for the end, and everything has ended. ``load`` reads the manifest.

    :raises PlatformError: it could not start; whatever did start has ended.
    """
    stop = StopRequest()
    stop.listen()
    manifest = load()
    look_over(manifest, inherited)
    key = check_access(settings, inherited)
    state_dir = settings.state_dir.resolve()
    async with hold_state_dir(state_dir) as lock:
        log_to(state_dir / "logs" / "platform.log")
        saved = load_tasks(state_dir / "tasks.json", boot=boot_id())
        await end_left_jobs(saved)
        with bind_ports(settings, balancer=manifest.balancer is not None, supervisor=True) as ports:
            task_port = choose_task_port(settings.task_port, settings.task_network)
            platform = _Platform(
                load, manifest, settings, ports, saved, stop, report, state_dir=state_dir, inherited=inherited, key=key
            )
            lifeline = Lifeline(lock)
            try:
                await platform.run(lifeline, task_port)
            finally:
                lifeline.close()


class _Platform:
    """One run of a platform."""

    def __init__(
        self,
        load: Callable[[], Manifest],
        manifest: Manifest,
        settings: PlatformSettings,
        ports: Ports,
        saved: SavedTasks,
        stop: StopRequest,
        report: Report,
        *,
        state_dir: Path,
        inherited: Mapping[str, str],
        key: tuple[str, str] | None,
    ) -> None:
        self._load, self._key = load, key
        self._manifest, self._settings, self._ports, self._saved = manifest, settings, ports, saved
        self._stop, self._report = stop, report
        self._state_dir, self._inherited = state_dir, with_aws_defaults(inherited)
        self._run_file = RunFile(state_dir / "run.json", self._run_state)
        self._parts: Parts | None = None
        self._roster: Roster | None = None
        self._supervisor: Supervisor | None = None

    async def run(self, lifeline: Lifeline, task_port: int) -> None:
        """Start, wait for the end to be asked for, and end.

        :raises PlatformError: it could not start.
        """
        loop = asyncio.get_running_loop()
        began = loop.time()
        failure: PlatformError | None = None
        try:
            async with AsyncExitStack() as stack:
                # Caught inside, so that everything is left in good order and not as after a failure of its own.
                try:
                    await self._start(stack, lifeline, task_port)
                    self._say_ready(loop.time() - began)
                    await self._stop.asked.wait()
                except _Stopped:
                    pass
                except PlatformError as exc:
                    failure = exc
                    self._stop.ask("the platform did not start", now=loop.time())
                self._report.say(f"stopping: {self._stop.why} (once more skips the waits)")
        finally:
            self._run_file.remove()
        if failure is not None:
            raise failure
        self._report.say("stopped")

    async def _start(self, stack: AsyncExitStack, lifeline: Lifeline, task_port: int) -> None:
        """Enter every part, and return when all serve.

        :raises PlatformError: one of them does not.
        :raises _Stopped: the end was asked for.
        """
        parts = self._parts = Parts(
            self._settings,
            self._ports,
            lifeline,
            self._stop,
            state_dir=self._state_dir,
            inherited=self._inherited,
            key=self._key,
            on_change=self._run_file.write,
        )
        registry = parts.registry(self._manifest.namespace)
        await stack.enter_async_context(registry.running())
        client = await stack.enter_async_context(open_cloudmap(parts.registry_url, attempts=1, key=self._key))
        prober = ProberLink()
        roster = self._roster = self._open_roster(client, prober, parts.registry_url, task_port)
        adopted = roster.adopt(self._saved)
        stack.push_async_callback(_end_unplaced, adopted, roster, self._stop)
        await self._unless_stopped(registry.wait_until_ready())
        await self._unless_stopped(_prepare_registry(self._manifest, roster))

        # The registry holds nothing but tasks that are alive: from here on DNS may answer.
        await stack.enter_async_context(parts.prober(prober).running())
        for worker in range(self._settings.dns_workers):
            await stack.enter_async_context(parts.nameserver(worker).running())
        supervisor = self._supervisor = Supervisor(roster, self._stop, on_crash_loop=self._report.crash_loop)
        await stack.enter_async_context(supervisor.running(adopted))
        await stack.enter_async_context(self._pages(roster, supervisor))
        deploys = Deploys(supervisor, self._answers(), self._load_anew)
        await stack.enter_async_context(serve_control(self._state_dir / "control.sock", supervisor, deploys))
        await self._unless_stopped(supervisor.wait_until_running())
        if self._ports.balancer is not None:  # last: the first that it asks for is there
            await stack.enter_async_context(parts.balancer(self._manifest, self._ports.balancer).running())
            stack.callback(self._ports.balancer.front.socket.close)  # nobody may come in while it finishes
        for part in parts:
            await self._unless_stopped(part.wait_until_ready())

    def _open_roster(
        self, client: "ServiceDiscoveryClient", prober: ProberLink, registry_url: str, task_port: int
    ) -> Roster:
        network, ports = self._settings.task_network, self._ports
        surroundings = Surroundings(
            manifest=self._manifest,
            registry_url=registry_url,
            dns=ports.dns[0].address.to_connect,
            balancer=ports.balancer.front.address if ports.balancer is not None else None,
            listeners=ports.addresses,
            state_dir=self._state_dir,
            programs=programs(),
        )
        return Roster(
            surroundings,
            AddressPool(network, first_port=task_port, cursor=self._saved.cursor),
            task_port=task_port,
            inherited=self._inherited,
            boot=self._saved.boot,
            registrar=Registrar(client, self._manifest.namespace, single_address=network.prefixlen == 32),
            prober=prober,
            promise=PromiseLog.open("supervisor", self._inherited),
            on_change=self._task_changed,
        )

    @asynccontextmanager
    async def _pages(self, roster: Roster, supervisor: Supervisor) -> AsyncIterator[None]:
        """Show what the supervisor counts, while inside."""
        assert self._ports.admin is not None
        pages = supervisor_pages(
            lambda: rows(supervisor),
            lambda: {spec.name: roster.counts.get(spec.name, spec.count) for spec in roster.manifest.services},
            lambda: roster.starts,
            lambda: self._run_state().pids,
        )
        self._ports.admin.socket.setblocking(False)
        serving = asyncio.create_task(serve_pages(self._ports.admin.socket, pages), name="pages")
        try:
            yield
        finally:
            serving.cancel()
            await asyncio.wait([serving])

    def _answers(self) -> NameserverAnswers:
        network = self._settings.task_network
        nameserver = self._ports.dns[0].address.to_connect
        return NameserverAnswers(nameserver, self._manifest.namespace, single_address=network.prefixlen == 32)

    def _load_anew(self) -> Manifest:
        """Return the manifest as its file is now. Raises PlatformError."""
        manifest = self._load()
        look_over(manifest, self._inherited)
        return manifest

    async def _unless_stopped(self, wait: Coroutine[Any, Any, None]) -> None:
        """Wait for something, or for the end to be asked for.

        :raises _Stopped: the end was asked for first.
        """
        waiting = asyncio.create_task(wait)
        stopping = asyncio.create_task(self._stop.asked.wait())
        try:
            await asyncio.wait((waiting, stopping), return_when=asyncio.FIRST_COMPLETED)
            if not waiting.done():
                raise _Stopped
            await waiting
        finally:
            stopping.cancel()
            waiting.cancel()
            await asyncio.wait((waiting, stopping))

    def _task_changed(self, life: TaskLife) -> None:
        self._report.step(life)
        self._run_file.write()

    def _run_state(self) -> RunState:
        balancer = self._ports.balancer
        parts = self._parts if self._parts is not None else ()
        return RunState(
            http_address=str(self._ports.http.address),
            dns_address=str(self._ports.dns[0].address),
            dns_addresses=[str(each.address) for each in self._ports.dns],
            dns_admin_address=str(self._ports.dns_admin.address),
            balancer_address=str(balancer.front.address) if balancer is not None else None,
            balancer_admin_address=str(balancer.admin.address) if balancer is not None else None,
            admin_address=str(self._ports.admin.address) if self._ports.admin is not None else None,
            state_dir=str(self._state_dir),
            task_network=str(self._settings.task_network),
            pid=os.getpid(),
            pids={"supervisor": os.getpid(), **{part.name: part.pid for part in parts}},
            tasks=rows(self._supervisor) if self._supervisor is not None else [],
        )

    def _say_ready(self, seconds: float) -> None:
        assert self._roster is not None
        assert self._parts is not None
        front = registry = self._parts.registry_url
        places = [("registry", f"{registry} (Cloud Map API)")]
        places.append(("DNS", f"{' '.join(str(each.address) for each in self._ports.dns)} (UDP and TCP)"))
        places.append(("DNS admin", f"http://{self._ports.dns_admin.address.to_connect}"))
        if self._ports.admin is not None:
            places.append(("supervisor", f"http://{self._ports.admin.address.to_connect}"))
        if self._manifest.balancer is not None and self._ports.balancer is not None:
            front = f"http://{self._ports.balancer.front.address.to_connect}"
            places.append(("balancer", f"{front} -> {self._manifest.balancer.service}"))
            places.append(("balancer admin", f"http://{self._ports.balancer.admin.address.to_connect}"))
        for spec in self._manifest.services:
            addresses = (str(life.endpoint) for life in self._roster.lives if life.spec.name == spec.name)
            places.append((f"{spec.name}.{self._manifest.namespace}", "  ".join(addresses)))
        places.append(("logs", str(self._state_dir / "logs")))
        self._report.table(places)
        self._report.say(f"ready in {seconds:.1f} s: {front} (Ctrl-C drains and stops)")


async def _prepare_registry(manifest: Manifest, roster: Roster) -> None:
    """Withdraw what a killed platform has left in the registry, and make the manifest's services.

    :raises PlatformError: the registry refuses it, or is silent.
    """
    registrar = roster.facilities.registrar
    alive = {life.instance for life in roster.lives}
    try:
        async with asyncio.timeout(REGISTRY_S):
            cause.set("its task did not outlive the platform that ran it")
            for service, instance in await until_answered(registrar.find_supervised):
                if instance not in alive:
                    await until_answered(partial(registrar.deregister, service, instance))
            cause.set("waypost up")
            for spec in manifest.services:
                await until_answered(partial(registrar.ensure_service, spec))
    except TimeoutError as exc:
        raise StartFailed("the registry does not answer", f"see its log {roster.folder / 'logs/registry.log'}") from exc
    except RegistryRefused as exc:
        raise ManifestInvalid(
            f"the registry refuses what the manifest asks for ({exc})", "change the manifest"
        ) from exc


async def _end_unplaced(adopted: Iterable[tuple[TaskLife, Process, bool]], roster: Roster, stop: StopRequest) -> None:
    """End tasks of a former platform that no supervisor has taken up, because the start came to nothing before."""
    for life, process, _ in adopted:
        if life.process is None:
            await process.end(grace_s=life.spec.stop_grace_s, hurry=stop.hurry)
            roster.retire(life)
