"""``waypost run``: one program, wherever it runs, with the life of a task: checked, registered, leased, drained.

It speaks Cloud Map's API, so the registry may be AWS's own. What Waypost's has beyond that is used where it is: a
lease, which ends the registration when this machine does.
"""

import asyncio
import secrets
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from waypost.catalog.model import LEASE, SUPERVISED
from waypost.cloudmap import open_cloudmap
from waypost.health.link import ProberLink
from waypost.health.prober import serve_prober
from waypost.own_calls import CallAway, CallError, CallRefused, OwnCalls, open_own_calls, quoted
from waypost.promise import PromiseLog
from waypost.structured_log import structlog
from waypost.tasks.environment import INSTANCE
from waypost.tasks.errors import PlatformError, StartFailed
from waypost.tasks.first import first_of
from waypost.tasks.launch import Launch
from waypost.tasks.manifest import ServiceSpec
from waypost.tasks.registrar import RUNS_ALONE, KnownService, Registrar
from waypost.tasks.registration import Place, Registration
from waypost.tasks.registry_errors import RegistryAway, RegistryError, RegistryRefused, ServiceLost
from waypost.tasks.report import Report
from waypost.tasks.stop import StopRequest
from waypost.tasks.task_life import Facilities, TaskLife
from waypost_client.endpoint import Endpoint

__all__ = ["Alone", "RegistryMissing", "ServiceMissing", "run_alone"]

log = structlog.get_logger()

AUDIT_S: Final = 30.0  # between looks at whether a registry without leases still has the instance
RENEWALS: Final = 3  # in the time of a lease: two may be lost
GONE: Final = 410  # the status of what was deregistered on purpose
SIGNAL_EXIT: Final = 128  # what a shell adds to the number of a signal


class ServiceMissing(PlatformError):
    """The registry has no such namespace or service, and is not ours to make one in."""

    exit_code = 3


class RegistryMissing(PlatformError):
    """The registry does not answer."""

    exit_code = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Alone:
    """What is run, and as what."""

    namespace: str
    spec: ServiceSpec  # its command, its checks, its times; its TTL is that of a service that has to be made
    port: int
    address: str | None  # that others reach it by; None: the one that this machine reaches the registry from
    endpoint_url: str | None  # None: AWS's own Cloud Map
    attributes: tuple[tuple[str, str], ...] = ()
    lease_s: int = 30  # 5..86400: the registration outlives this machine by as long


async def run_alone(alone: Alone, *, inherited: Mapping[str, str], report: Report) -> int:
    """Run the program to its end; return the exit code: its own, or 0 if a signal to us ended it.

    :raises ServiceMissing: the registry has no such namespace or service.
    :raises RegistryMissing: it does not answer.
    :raises StartFailed: the program never became healthy, or cannot be executed.
    """
    stop = StopRequest()
    stop.listen()
    async with _open_registry(alone) as (registrar, own), _probing() as prober:
        known = await _find(alone, registrar, own)
        facilities = Facilities(
            registrar, prober, PromiseLog.open("run", inherited), report.step, asyncio.Event(), asyncio.Event()
        )
        life = _life(alone, facilities, leased=own is not None)
        launch = Launch(
            command=alone.spec.command,
            environment={
                **inherited,
                "SERVICE_NAMESPACE": alone.namespace,
                "SERVICE_PORT": str(alone.port),
                INSTANCE: life.instance,
            },
            folder=Path.cwd(),
            log=None,
        )
        if own is None:
            report.say("this registry knows no leases: if this machine dies, the registration stays")
        async with asyncio.TaskGroup() as group:
            minding = [group.create_task(_mind(life, registrar, own, known, alone.lease_s), name="lease")]
            minding.append(group.create_task(_obey(stop, life), name="signals"))
            await life.start(launch)
            for task in minding:
                task.cancel()
    return _exit_code(life)


def _exit_code(life: TaskLife) -> int:
    if life.leaving:
        return 0
    code = life.process.exit_code if life.process is not None else None
    if life.start_problem and (code is None or "not healthy" in life.start_problem):
        raise StartFailed(f"{life.spec.name} did not start: {life.start_problem}", "see what it has printed")
    assert code is not None
    return code if code >= 0 else SIGNAL_EXIT - code


@asynccontextmanager
async def _open_registry(alone: Alone) -> AsyncIterator[tuple[Registrar, OwnCalls | None]]:
    """Yield the registry, and its own calls if it has such."""
    async with open_cloudmap(alone.endpoint_url, attempts=1) as client:
        registrar = Registrar(client, alone.namespace, single_address=False)
        if alone.endpoint_url is None:
            yield registrar, None
            return
        async with open_own_calls(alone.endpoint_url) as own:
            try:
                is_ours = await own.is_waypost()
            except CallAway as exc:
                raise RegistryMissing(f"the registry does not answer ({exc})", "see --endpoint-url") from exc
            yield registrar, own if is_ours else None


@asynccontextmanager
async def _probing() -> AsyncIterator[ProberLink]:
    """Yield the line to a prober that runs right here: one target is no work for a process."""
    link = ProberLink()
    reader, writer = await asyncio.open_connection(sock=await link.connect())
    probing = asyncio.create_task(serve_prober(reader, writer), name="prober")
    try:
        yield link
    finally:
        link.close()
        probing.cancel()
        writer.close()
        with suppress(asyncio.CancelledError):
            await probing


async def _find(alone: Alone, registrar: Registrar, own: OwnCalls | None) -> KnownService:
    """Return the service, which is made in a registry of ours if it is not there."""
    name = f"{alone.spec.name}.{alone.namespace}"
    try:
        if own is not None:
            return await registrar.find_service(alone.spec.name) or await registrar.ensure_service(alone.spec)
        found = await registrar.find_service(alone.spec.name)
    except RegistryAway as exc:
        raise RegistryMissing(f"the registry does not answer ({exc})", "see --endpoint-url, region and keys") from exc
    except RegistryRefused as exc:
        raise StartFailed(f"the registry refuses to tell of {name} ({exc})", "see the rights of these keys") from exc
    if found is None:
        raise ServiceMissing(
            f"the registry has no service {name}", "make it: aws servicediscovery create-service, or your template"
        )
    return found


def _life(alone: Alone, facilities: Facilities, *, leased: bool) -> TaskLife:
    endpoint = Endpoint(alone.address or _own_address(alone.endpoint_url), alone.port)
    family = "AWS_INSTANCE_IPV6" if ":" in endpoint.address else "AWS_INSTANCE_IPV4"
    attributes = {
        **dict(alone.attributes),
        family: endpoint.address,
        "AWS_INSTANCE_PORT": str(endpoint.port),
        SUPERVISED: "true",
        RUNS_ALONE: "true",
        **({LEASE: str(alone.lease_s)} if leased else {}),
    }
    instance = secrets.token_hex(16)
    registration = Registration(facilities.registrar, alone.spec, instance, attributes, place=Place.ABSENT)
    return TaskLife(alone.spec, instance, endpoint, registration, facilities)


def _own_address(endpoint_url: str | None) -> str:
    """Return the address that this machine reaches the registry from. No packet is sent."""
    host = urlsplit(endpoint_url).hostname if endpoint_url else "servicediscovery.us-east-1.amazonaws.com"
    try:
        found = socket.getaddrinfo(host, 443, type=socket.SOCK_DGRAM)[0]
        with socket.socket(found[0], socket.SOCK_DGRAM) as probe:
            probe.connect(found[4])
            return str(probe.getsockname()[0])
    except OSError as exc:
        raise RegistryMissing(f"the way to {host} is unknown ({exc.strerror})", "give --address") from exc


async def _obey(stop: StopRequest, life: TaskLife) -> None:
    """Drain when a signal asks for the end; asked again, skip the waits."""
    await stop.asked.wait()
    life.stop(stop.why.replace("the platform", "waypost run"))
    await stop.hurry.wait()
    life.facilities.end_drains.set()
    life.facilities.end_graces.set()


async def _mind(life: TaskLife, registrar: Registrar, own: OwnCalls | None, known: KnownService, lease_s: int) -> None:
    """Renew the lease, and put back what the registry has lost."""
    await life.running.wait()
    while not life.over.is_set():
        await first_of(life.over, timeout_s=AUDIT_S if own is None else lease_s / RENEWALS)
        if not life.registration.is_there:
            continue
        if own is None:
            await _audit(life, registrar)
        else:
            await _renew(life, own, registrar.service_id(life.spec.name) or known.id, lease_s)


async def _renew(life: TaskLife, own: OwnCalls, service_id: str, lease_s: int) -> None:
    try:
        await own.call("PUT", f"/leases/{quoted(service_id)}/{quoted(life.instance)}", body={"ttl_s": lease_s})
    except CallRefused as exc:
        log.warning("lease.refused", instance=life.instance, problem=str(exc))
        if exc.status == GONE:
            return  # somebody has deregistered it, and is believed
        if exc.status == 404 and life.registration.is_there:
            life.registration.lost()
    except CallError as exc:
        log.warning("lease.delayed", instance=life.instance, problem=str(exc))


async def _audit(life: TaskLife, registrar: Registrar) -> None:
    try:
        present = await registrar.instance_ids(life.spec.name)
    except ServiceLost:
        present = set()
    except RegistryError as exc:
        log.warning("audit.delayed", instance=life.instance, problem=str(exc))
        return
    if life.instance not in present and life.registration.is_there:
        life.registration.lost()
