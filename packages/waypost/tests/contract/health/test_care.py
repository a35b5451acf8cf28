"""Leases, drains and active checks of a running registry, asked as its clients ask."""

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any

import httpx2
import psutil
import pytest

from waypost.journal import Journal

from ..conftest import ACCOUNTS, RegistryProcess, running

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
Listening = Callable[[Behaviour], AbstractAsyncContextManager[int]]


@pytest.fixture(scope="module")
def relaxed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryProcess]:
    """Yield a registry that lets private services be checked."""
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("WAYPOST_RELAX", "private-health-check")
        yield from running(tmp_path_factory.mktemp("relaxed"))


class Service:
    """A service in a private DNS namespace of an account of its own, and the calls that concern its instances."""

    def __init__(self, registry: RegistryProcess, **config: Any) -> None:
        account = f"{next(ACCOUNTS):012}"
        self.registry, self.cloudmap = registry, registry.client(key=account)
        credential = f"{account}/20260101/us-east-1/servicediscovery/aws4_request"
        self.headers = {"Authorization": f"AWS4-HMAC-SHA256 Credential={credential}"}
        operation = self.cloudmap.create_private_dns_namespace(Name="x.internal", Vpc="v")["OperationId"]
        namespace = self.cloudmap.get_operation(OperationId=operation)["Operation"]["Targets"]["NAMESPACE"]
        records = {"DnsRecords": [{"Type": "A", "TTL": 1}]}
        created = self.cloudmap.create_service(Name="web", NamespaceId=namespace, DnsConfig=records, **config)
        self.id = created["Service"]["Id"]

    def register(self, instance: str, address: str = "192.0.2.1", **attributes: str) -> None:
        attributes = {"AWS_INSTANCE_IPV4": address, **attributes}
        self.cloudmap.register_instance(ServiceId=self.id, InstanceId=instance, Attributes=attributes)

    def deregister(self, instance: str) -> None:
        self.cloudmap.deregister_instance(ServiceId=self.id, InstanceId=instance)

    def discovered(self, health: str = "HEALTHY") -> set[str]:
        found = self.cloudmap.discover_instances(NamespaceName="x.internal", ServiceName="web", HealthStatus=health)
        return {each["InstanceId"] for each in found["Instances"]}

    def revision(self) -> int:
        found = self.cloudmap.discover_instances_revision(NamespaceName="x.internal", ServiceName="web")
        return int(found["InstancesRevision"])

    def listed(self) -> set[str]:
        return {each["Id"] for each in self.cloudmap.list_instances(ServiceId=self.id)["Instances"]}

    def health(self, instance: str) -> str:
        return str(self.cloudmap.get_instances_health_status(ServiceId=self.id)["Status"][instance])

    def renew(self, instance: str, **body: int) -> httpx2.Response:
        return httpx2.put(f"{self.registry.url}/leases/{self.id}/{instance}", json=body, headers=self.headers)

    def drain(self, instance: str, **body: object) -> httpx2.Response:
        return httpx2.put(f"{self.registry.url}/drains/{self.id}/{instance}", json=body, headers=self.headers)

    def undrain(self, instance: str) -> httpx2.Response:
        return httpx2.delete(f"{self.registry.url}/drains/{self.id}/{instance}", headers=self.headers)

    def history(self, instance: str) -> list[tuple[str, str, str]]:
        """Return kind of change, call and why, oldest first."""

        async def read() -> list[tuple[str, str, str]]:
            journal = await Journal.open(f"sqlite:///{self.registry.state / 'registry.db'}")
            try:
                return [
                    (type(each.change).__name__, each.cause.call, each.cause.why)
                    for each in reversed(await journal.history(self.id, instance))
                ]
            finally:
                await journal.close()

        return asyncio.run(read())


def eventually(holds: Callable[[], bool], *, within_s: float = 20) -> None:
    """Wait until something that the registry does by itself has come about."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def test_a_lease_that_is_not_renewed_lapses_and_its_instance_comes_back_with_a_renewal(
    shared_registry: RegistryProcess,
) -> None:
    service = Service(shared_registry)
    service.register("i-1", WAYPOST_LEASE="1")
    service.register("i-2", WAYPOST_LEASE="600")
    assert service.discovered() == {"i-1", "i-2"}
    eventually(lambda: service.health("i-1") == "UNHEALTHY")
    assert service.discovered() == {"i-2"}
    assert service.listed() == {"i-1", "i-2"}
    renewed = service.renew("i-1")
    assert renewed.status_code == 200
    assert renewed.json()["ttl_s"] == 1
    assert "i-1" in service.discovered("ALL")
    assert [kind for kind, _, _ in service.history("i-1")][:3] == ["InstanceRegistered", "LeaseLapsed", "LeaseRenewed"]
    assert ("LeaseLapsed", "LeaseLapsed", "not renewed within 1 s") in service.history("i-1")


def test_a_lease_can_be_granted_later_and_survives_the_registry(registry: RegistryProcess) -> None:
    service = Service(registry)
    service.register("i-1")
    assert service.renew("i-1").status_code == 400
    assert service.renew("i-1", ttl_s=1).json()["ttl_s"] == 1
    registry.kill()
    registry.start()
    eventually(lambda: service.health("i-1") == "UNHEALTHY")


def test_reading_is_no_renewal_and_a_health_report_is(shared_registry: RegistryProcess) -> None:
    service = Service(shared_registry, HealthCheckCustomConfig={})
    service.register("i-1", WAYPOST_LEASE="2")
    service.register("i-2", WAYPOST_LEASE="2")
    report = service.cloudmap.update_instance_custom_health_status

    def lapsed() -> bool:
        report(ServiceId=service.id, InstanceId="i-1", Status="HEALTHY")
        service.cloudmap.get_instance(ServiceId=service.id, InstanceId="i-2")
        return service.health("i-2") == "UNHEALTHY"

    eventually(lapsed)
    assert service.health("i-1") == "HEALTHY"


def test_a_late_renewal_revives_nothing(shared_registry: RegistryProcess) -> None:
    service = Service(shared_registry)
    service.register("i-1", WAYPOST_LEASE="30")
    old = service.renew("i-1").json()["generation"]
    service.deregister("i-1")
    gone = service.renew("i-1")
    assert gone.status_code == 410
    assert "DeregisterInstance" in gone.json()["Message"]
    assert service.listed() == set()
    assert service.renew("i-2").status_code == 404
    service.register("i-1", WAYPOST_LEASE="30")
    assert service.renew("i-1", generation=old).status_code == 409
    assert service.renew("i-1").json()["generation"] > old


@pytest.mark.parametrize("lease", ["0", "86401", "1.5", "-1", "soon"])
def test_a_lease_that_is_none_is_refused(shared_registry: RegistryProcess, lease: str) -> None:
    service = Service(shared_registry)
    with pytest.raises(service.cloudmap.exceptions.InvalidInput, match="WAYPOST_LEASE"):
        service.register("i-1", WAYPOST_LEASE=lease)


@pytest.mark.parametrize("pause_s", [3.5, pytest.param(60, marks=[pytest.mark.soak, pytest.mark.timeout(120)])])
def test_a_paused_registry_wakes_to_fresh_leases(registry: RegistryProcess, pause_s: float) -> None:
    service = Service(registry)
    service.register("i-1", WAYPOST_LEASE="3")
    assert registry.process is not None
    os.kill(registry.process.pid, signal.SIGSTOP)
    time.sleep(pause_s)  # longer than the lease: what is tested is time that passes while nobody looks
    os.kill(registry.process.pid, signal.SIGCONT)
    assert service.renew("i-1").status_code == 200
    assert service.health("i-1") == "UNKNOWN"
    assert "LeaseLapsed" not in [kind for kind, _, _ in service.history("i-1")]


def test_a_drained_instance_stays_registered_and_is_not_handed_out(registry: RegistryProcess) -> None:
    service = Service(registry)
    service.register("i-1")
    service.register("i-2")
    before = service.revision()
    drained = service.drain("i-1", reason="new disk")
    assert drained.json()["until_ms"] is None
    assert drained.json()["revision"] == service.revision() > before
    assert service.discovered("ALL") == service.discovered() == {"i-2"}
    assert service.listed() == {"i-1", "i-2"}
    registry.kill()
    registry.start()
    assert service.discovered("ALL") == {"i-2"}
    service.register("i-1")  # a restart of its process
    assert service.discovered("ALL") == {"i-2"}
    assert service.undrain("i-1").status_code == 200
    assert service.discovered("ALL") == {"i-1", "i-2"}
    assert ("DrainBegan", "BeginDrain", "new disk") in service.history("i-1")


def test_a_drain_ends_by_itself(shared_registry: RegistryProcess) -> None:
    service = Service(shared_registry)
    service.register("i-1")
    before = time.time_ns() // 1_000_000
    until = service.drain("i-1", for_s=1).json()["until_ms"]
    assert before <= until - 1000 <= time.time_ns() // 1_000_000
    assert service.discovered("ALL") == set()
    eventually(lambda: service.discovered("ALL") == {"i-1"})
    assert [call for _, call, _ in service.history("i-1")][-1] == "DrainOver"


def test_what_cannot_be_drained_is_told_why(shared_registry: RegistryProcess) -> None:
    service = Service(shared_registry)
    assert service.drain("i-1").status_code == 404
    service.register("i-1")
    for body in ({"for_s": 0}, {"for_s": "long"}, {"for": 3}, {"for_s": 1e9}):
        refused = service.drain("i-1", **body)
        assert refused.status_code == 400
        assert refused.json()["__type"] == "InvalidInput"
    assert service.undrain("i-1").status_code == 200


def test_private_services_are_not_checked_unless_the_rule_is_relaxed(shared_registry: RegistryProcess) -> None:
    with pytest.raises(Exception, match="private DNS namespaces"):
        Service(shared_registry, HealthCheckConfig={"Type": "HTTP"})


class Target:
    """A target of checks: it answers as it is told to."""

    def __init__(self) -> None:
        self.status, self.body, self.asked = 200, b"", 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while await reader.readuntil(b"\r\n\r\n"):
            self.asked += 1
            writer.write(b"HTTP/1.1 %d -\r\nContent-Length: %d\r\n\r\n%b" % (self.status, len(self.body), self.body))


def checked_service(relaxed: RegistryProcess, **settings: str) -> Service:
    service = Service(relaxed, HealthCheckConfig={"Type": "HTTP", "ResourcePath": "/health", "FailureThreshold": 1})
    attributes = {"WAYPOST_CHECK_INTERVAL_MS": "100", "WAYPOST_CHECK_TIMEOUT_MS": "2000", **settings}
    service.cloudmap.update_service_attributes(ServiceId=service.id, Attributes=attributes)
    return service


async def test_instances_are_checked_and_leave_and_come_back(relaxed: RegistryProcess, listening: Listening) -> None:
    target = Target()
    async with listening(target.serve) as port:

        def drive() -> list[tuple[str, str, str]]:
            service = checked_service(relaxed)
            service.register("i-1", "127.0.0.1", AWS_INSTANCE_PORT=str(port))
            eventually(lambda: target.asked > 2)
            target.status, target.body = 503, b"no\ndatabase"
            eventually(lambda: service.health("i-1") == "UNHEALTHY")
            target.status = 200
            eventually(lambda: service.health("i-1") == "HEALTHY")
            service.deregister("i-1")
            asked = target.asked
            eventually(lambda: target.asked <= asked + 1)
            return service.history("i-1")

        history = await asyncio.to_thread(drive)
    assert [(kind, call, why) for kind, call, why in history if kind == "HealthChanged"] == [
        ("HealthChanged", "CheckFailed", "HTTP 503: no database"),
        ("HealthChanged", "CheckPassed", "HTTP 200"),
    ]


async def test_checks_go_on_after_the_registry_was_killed(relaxed: RegistryProcess, listening: Listening) -> None:
    target = Target()
    async with listening(target.serve) as port:

        def drive() -> None:
            service = checked_service(relaxed)
            service.register("i-1", "127.0.0.1", AWS_INSTANCE_PORT=str(port))
            eventually(lambda: target.asked > 0)
            (prober,) = psutil.Process(relaxed.process.pid).children()
            relaxed.kill()
            prober.wait(10)  # it does not outlive its registry
            target.status = 500
            relaxed.start()
            eventually(lambda: service.health("i-1") == "UNHEALTHY")

        await asyncio.to_thread(drive)


async def test_a_killed_prober_is_replaced(relaxed: RegistryProcess, listening: Listening) -> None:
    target = Target()
    async with listening(target.serve) as port:

        def drive() -> None:
            service = checked_service(relaxed)
            service.register("i-1", "127.0.0.1", AWS_INSTANCE_PORT=str(port))
            eventually(lambda: target.asked > 0)
            (prober,) = psutil.Process(relaxed.process.pid).children()
            prober.kill()
            target.status = 500
            eventually(lambda: service.health("i-1") == "UNHEALTHY")

        await asyncio.to_thread(drive)


@pytest.mark.parametrize(
    ("address", "reason"),
    [
        ("169.254.169.254", "link-local"),
        ("224.0.0.1", "not the address of one host"),
        ("0.0.0.0", "not the address of one host"),
        ("registry", "a listener of Waypost itself"),
    ],
)
def test_a_target_that_may_not_be_checked_is_unhealthy(relaxed: RegistryProcess, address: str, reason: str) -> None:
    service = checked_service(relaxed)
    port = "80"
    if address == "registry":
        address, port = relaxed.url.removeprefix("http://").split(":")
    service.register("i-1", address, AWS_INSTANCE_PORT=port)
    eventually(lambda: service.health("i-1") == "UNHEALTHY")
    kind, call, why = service.history("i-1")[-1]
    assert (kind, call) == ("HealthChanged", "CheckRefused")
    assert reason in why


def test_one_target_is_not_flooded_by_many_registrations(relaxed: RegistryProcess) -> None:
    service = checked_service(relaxed)
    for number in range(4):
        service.register(f"i-{number}", "192.0.2.1", AWS_INSTANCE_PORT="9")
    eventually(lambda: any("CheckRefused" in call for _, call, _ in service.history("i-3")))
    assert "checked 20 times a second already" in service.history("i-3")[-1][2]


async def test_when_all_of_a_service_fail_all_are_answered_and_it_is_told(
    relaxed: RegistryProcess, listening: Listening
) -> None:
    target = Target()
    async with listening(target.serve) as port:

        def drive() -> None:
            service = checked_service(relaxed)

            def guarded() -> float:
                text = httpx2.get(f"{relaxed.url}/metrics").text
                return float(text.split("\nwaypost_guarded_services ")[1].split("\n")[0])

            attributes = {"WAYPOST_CHECK_INTERVAL_MS": "200"}  # three at one address: within 20 checks a second
            service.cloudmap.update_service_attributes(ServiceId=service.id, Attributes=attributes)
            before = guarded()
            for number in (1, 2, 3):
                service.register(f"i-{number}", "127.0.0.1", AWS_INSTANCE_PORT=str(port))
            eventually(lambda: target.asked > 0)
            target.status = 503
            eventually(lambda: service.discovered() == set())
            assert service.discovered("HEALTHY_OR_ELSE_ALL") == {"i-1", "i-2", "i-3"}
            assert guarded() == before + 1
            target.status = 200
            eventually(lambda: service.discovered() == {"i-1", "i-2", "i-3"})
            assert guarded() == before
            attributes = {"WAYPOST_FAIL_OPEN": "false"}
            service.cloudmap.update_service_attributes(ServiceId=service.id, Attributes=attributes)
            target.status = 503
            eventually(lambda: service.discovered("HEALTHY_OR_ELSE_ALL") == set())

        await asyncio.to_thread(drive)


def test_settings_that_cannot_be_used_are_refused(relaxed: RegistryProcess) -> None:
    service = Service(relaxed, HealthCheckConfig={"Type": "TCP"})
    for name, value in (("WAYPOST_CHECK_INTERVAL_MS", "5"), ("WAYPOST_CHECK_TYPE", "UDP"), ("WAYPOST_FAIL_OPEN", "1")):
        with pytest.raises(service.cloudmap.exceptions.InvalidInput, match=name):
            service.cloudmap.update_service_attributes(ServiceId=service.id, Attributes={name: value})
