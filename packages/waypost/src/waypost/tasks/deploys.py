"""What people ask of the services that run: deploy a changed manifest, scale, restart.

One thing at a time for each service. What was asked for is seen through, also when whoever asked goes away.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from graphlib import TopologicalSorter

from waypost.structured_log import structlog
from waypost.tasks.answers import Answers
from waypost.tasks.errors import ManifestInvalid, PlatformError
from waypost.tasks.jobs import run_job
from waypost.tasks.manifest import JobSpec, Manifest, ServiceSpec
from waypost.tasks.registrar import until_answered
from waypost.tasks.registry_errors import RegistryRefused
from waypost.tasks.requests import Deployed, Progress
from waypost.tasks.rolling import CannotRoll, NewVersionFailed, Roll
from waypost.tasks.slots import Slot
from waypost.tasks.supervisor import NoSuchTask, Supervisor

__all__ = ["Busy", "DeployFailed", "Deploys"]

log = structlog.get_logger()

Tell = Callable[[Progress], None]


class Busy(PlatformError):
    """Something else is being done with the service."""

    exit_code = 5


class DeployFailed(PlatformError):
    """The new version did not come up, and the old one is in force again; or nothing was changed at all."""


class Deploys:
    """Moves the services of a supervisor from one shape to another."""

    def __init__(self, supervisor: Supervisor, answers: Answers, load: Callable[[], Manifest]) -> None:
        """``load`` reads the manifest anew; it raises PlatformError."""
        self._supervisor, self._answers, self._load = supervisor, answers, load
        self._busy: dict[str, str] = {}  # service: what is being done with it

    async def deploy(self, only: tuple[str, ...], tell: Tell) -> list[Deployed]:
        """Bring the manifest, or these services and jobs of it, into force.

        Services roll one after the other, in the order in which they depend on each other; jobs run before those that
        depend on them. Those after one that fails are left as they are.

        :raises DeployFailed: a new version was rolled back.
        :raises JobFailed: a job failed.
        :raises PlatformError: the manifest cannot be used, a name is unknown, or something else is under way.
        """
        before, manifest = self._supervisor.manifest, self._load()
        self._refuse(before, manifest, only)
        gone = [] if only else [each for each in before.services if manifest.service(each.name) is None]
        order = [each for each in _in_order(manifest) if not only or each.name in only]
        with self._alone((*(each.name for each in order), *(each.name for each in gone)), "a deploy"):
            self._supervisor.roster.manifest = _merged(before, manifest, only)
            done: list[Deployed] = []
            try:
                for each in order:
                    done.append(await self._deploy_one(each, before, tell, named=each.name in only))  # noqa: PERF401  what is done is needed if one fails
            except PlatformError:
                for each in order[len(done) :]:
                    if isinstance(each, ServiceSpec):
                        self._put_back(each.name, before.service(each.name))
                raise
            return [*done, *[await self._remove(old) for old in gone]]

    async def scale(self, counts: dict[str, int], tell: Tell) -> list[Deployed]:
        """Have so many tasks of each service; return once those that are new are answered and the others are gone.

        :raises NoSuchTask: a service is unknown.
        :raises DeployFailed: new tasks fail. They are still wanted, and tried again.
        """
        for name in counts:
            self._service(name)
        with self._alone(counts, "a change of its count"):
            done = []
            for name, count in counts.items():
                await self._scale(self._service(name), count, tell)
                done.append(Deployed(service=name, what="scaled", count=count))
            return done

    async def restart(self, target: str, tell: Tell) -> list[Deployed]:
        """Replace the tasks of a service, or one of them, by new ones, as a deploy does.

        :raises NoSuchTask: there is neither such a service nor such a task.
        :raises DeployFailed: the new tasks do not come up; the old ones run on.
        """
        spec = self._supervisor.manifest.service(target)
        slots = self._supervisor.slots_of(target) if spec is not None else self._supervisor.meant(target)
        spec = spec or slots[0].spec
        with self._alone((spec.name,), "a restart"):
            wanted = len(slots) or self._supervisor.wanted(spec) or spec.count
            if not slots:
                self._supervisor.want(spec.name, wanted)
            staying = [slot for slot in self._supervisor.slots_of(spec.name) if slot not in slots]
            total = wanted + len(staying)
            await self._roll(spec, slots, staying, total, spec, f"waypost restart {target}", tell)
            return [Deployed(service=spec.name, what="restarted", count=total)]

    async def run_job(self, name: str) -> str:
        """Run a job of the manifest once more; return its id.

        :raises NoSuchTask: there is no such job.
        :raises JobFailed: it failed.
        """
        spec = next((each for each in self._supervisor.manifest.jobs if each.name == name), None)
        if spec is None:
            jobs = ", ".join(each.name for each in self._supervisor.manifest.jobs)
            raise NoSuchTask(name, "job", f"the manifest has {jobs or 'none'}")
        with self._alone((name,), "a run of it"):
            return await run_job(self._supervisor.roster, spec)

    async def _deploy_one(self, spec: ServiceSpec | JobSpec, before: Manifest, tell: Tell, *, named: bool) -> Deployed:
        supervisor = self._supervisor
        if isinstance(spec, JobSpec):
            await run_job(supervisor.roster, spec)
            return Deployed(service=spec.name, what="done", count=0)
        known = before.service(spec.name)
        if known is None or known.count != spec.count:  # a count that somebody asked for holds until the file's changes
            supervisor.want(spec.name, spec.count)
        if named and supervisor.wanted(spec) == 0:
            supervisor.want(spec.name, spec.count)
        await self._ensure(spec)
        want, slots = supervisor.wanted(spec), supervisor.slots_of(spec.name)
        same = [slot for slot in slots if slot.life and supervisor.roster.would_start_alike(slot.life, spec)]
        if len(same) == len(slots) == want:
            return Deployed(service=spec.name, what="unchanged", count=want)
        new = same[:want]
        old = [slot for slot in slots if slot not in new]
        await self._roll(spec, old, new, want, known, f"waypost deploy {spec.name}", tell)
        return Deployed(service=spec.name, what="deployed", count=want)

    async def _roll(
        self,
        spec: ServiceSpec,
        old: list[Slot],
        new: list[Slot],
        want: int,
        known: ServiceSpec | None,
        why: str,
        tell: Tell,
    ) -> None:
        make = partial(Roll, open_slot=self._supervisor.open_slot, answers=self._answers, tell=tell)
        roll = make(spec, old=old, new=list(new), want=want, why=why)
        try:
            await roll.forward()
        except NewVersionFailed as failure:
            why = f"rolled back: {failure.problem}"
            log.warning("deploy.rolled_back", service=spec.name, problem=failure.problem)
            self._put_back(spec.name, known)
            fresh = [slot for slot in roll.new if slot not in new]
            staying = [*(slot for slot in old if not slot.stopping.is_set()), *new]
            if known is None:  # there is nothing to go back to
                await _stop(fresh, why)
            else:
                before = self._supervisor.wanted(known) if known is not spec else want
                surplus = staying[before:]
                await make(known, old=[*fresh, *surplus], new=staying[:before], want=before, why=why).back()
            raise DeployFailed(f"rolled back: {failure.problem}", failure.mend, failure.log_tail) from failure
        except CannotRoll:
            self._put_back(spec.name, known)
            raise

    def _put_back(self, name: str, known: ServiceSpec | None) -> None:
        """Have the manifest hold a service as it was."""
        roster = self._supervisor.roster
        services = (known if each.name == name else each for each in roster.manifest.services)
        roster.manifest = replace(roster.manifest, services=tuple(each for each in services if each is not None))

    async def _scale(self, spec: ServiceSpec, count: int, tell: Tell) -> None:
        supervisor = self._supervisor
        supervisor.want(spec.name, count)
        slots = supervisor.slots_of(spec.name)
        surplus = sorted(slots, key=lambda slot: slot.running)[: max(0, len(slots) - count)]
        staying = [slot for slot in slots if slot not in surplus]
        for slot in surplus:
            slot.stop(f"waypost scale {spec.name}={count}")
        roll = Roll(
            spec,
            old=surplus,
            new=staying,
            want=count,
            open_slot=supervisor.open_slot,
            answers=self._answers,
            tell=tell,
            why=f"waypost scale {spec.name}={count}",
        )
        try:
            await roll.forward()
        except NewVersionFailed as failure:
            raise DeployFailed(f"{failure.problem}; it is tried again", failure.mend, failure.log_tail) from failure

    async def _remove(self, spec: ServiceSpec) -> Deployed:
        supervisor = self._supervisor
        await _stop(supervisor.slots_of(spec.name), "waypost deploy: the manifest does not name it any more")
        supervisor.want(spec.name, 0)
        return Deployed(service=spec.name, what="removed", count=0)

    async def _ensure(self, spec: ServiceSpec) -> None:
        registrar = self._supervisor.roster.facilities.registrar
        try:
            await until_answered(partial(registrar.ensure_service, spec))
        except RegistryRefused as exc:
            raise ManifestInvalid(f"the registry refuses {spec.name} ({exc})", "change the manifest") from exc

    def _service(self, name: str) -> ServiceSpec:
        spec = self._supervisor.manifest.service(name)
        if spec is None:
            raise NoSuchTask(name, "service")
        return spec

    def _refuse(self, before: Manifest, manifest: Manifest, only: tuple[str, ...]) -> None:
        known = {each.name for each in manifest.everything}
        for name in only:
            if name not in known:
                raise NoSuchTask(name, "service and no job", "the manifest says what there is")
        for key in ("namespace", "balancer", "folder"):
            if getattr(before, key) != getattr(manifest, key):
                raise ManifestInvalid(f"the manifest has another {key} than the platform that runs", "start it anew")

    @contextmanager
    def _alone(self, names: Iterable[str], what: str) -> Iterator[None]:
        """Keep everybody else from these services."""
        mine = list(names)
        for name in mine:
            if name in self._busy:
                raise Busy(f"{self._busy[name]} of {name} is under way", "wait for its end: waypost tasks shows it")
        self._busy.update(dict.fromkeys(mine, what))
        try:
            yield
        finally:
            for name in mine:
                del self._busy[name]


async def _stop(slots: list[Slot], why: str) -> None:
    """Drain and stop these, and wait until they are empty."""
    for slot in slots:
        slot.stop(why)
    for slot in slots:
        await slot.done.wait()


def _in_order(manifest: Manifest) -> list[ServiceSpec | JobSpec]:
    """Return services and jobs so that each comes after what it depends on."""
    by_name = {each.name: each for each in manifest.everything}
    return [by_name[name] for name in TopologicalSorter(manifest.needs).static_order()]


def _merged(before: Manifest, manifest: Manifest, only: tuple[str, ...]) -> Manifest:
    """Return what is in force from now on: all of the new manifest, or of it only these."""
    if not only:
        return manifest
    services = {each.name: each for each in before.services} | {
        each.name: each for each in manifest.services if each.name in only
    }
    jobs = {each.name: each for each in before.jobs} | {each.name: each for each in manifest.jobs if each.name in only}
    return replace(before, services=tuple(services.values()), jobs=tuple(jobs.values()))
