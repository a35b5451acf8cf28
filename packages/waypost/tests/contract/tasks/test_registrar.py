"""The supervisor's words to a real registry."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from waypost.cloudmap import open_cloudmap
from waypost.tasks.manifest import ServiceSpec
from waypost.tasks.registrar import Registrar, instance_attributes
from waypost.tasks.registry_errors import NotRegistered, RegistryAway, RegistryRefused, ServiceLost
from waypost_client.endpoint import Endpoint

WEB = ServiceSpec(name="web", command=("serve",), ttl_s=7)
ATTRIBUTES = instance_attributes(WEB, Endpoint("127.88.0.1", 8080), cluster="example.test", region="us-east-1")


@pytest.fixture
async def client(shared_registry: Any, account: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Any]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", account)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    async with open_cloudmap(shared_registry.url, attempts=1) as client:
        yield client


@pytest.fixture
def registrar(client: Any) -> Registrar:
    return Registrar(client, "example.test", single_address=False)


def health_of(cloudmap: Any, instance: str) -> str | None:
    found = cloudmap.discover_instances(NamespaceName="example.test", ServiceName="web", HealthStatus="ALL")
    return next((each["HealthStatus"] for each in found["Instances"] if each["InstanceId"] == instance), None)


async def test_a_service_is_made_once_and_found_again(registrar: Registrar, client: Any, cloudmap: Any) -> None:
    made = await registrar.ensure_service(WEB)
    again = Registrar(client, "example.test", single_address=False)
    assert await again.ensure_service(WEB) == made
    assert again.ttl_s("web") == 7
    service = cloudmap.get_service(Id=made.id)["Service"]
    assert service["DnsConfig"]["DnsRecords"] == [{"Type": "A", "TTL": 7}]
    assert service["DnsConfig"]["RoutingPolicy"] == "MULTIVALUE"
    assert "HealthCheckCustomConfig" in service


async def test_tasks_that_share_one_address_are_told_apart_by_srv(client: Any, cloudmap: Any) -> None:
    made = await Registrar(client, "example.test", single_address=True).ensure_service(WEB)
    assert cloudmap.get_service(Id=made.id)["Service"]["DnsConfig"]["DnsRecords"] == [{"Type": "SRV", "TTL": 7}]


async def test_an_instance_is_registered_reported_and_withdrawn(registrar: Registrar, cloudmap: Any) -> None:
    await registrar.ensure_service(WEB)
    await registrar.register(WEB, "one", {**ATTRIBUTES, "AWS_INIT_HEALTH_STATUS": "HEALTHY"})
    assert health_of(cloudmap, "one") == "HEALTHY"
    assert await registrar.instance_ids("web") == {"one"}
    assert await registrar.find_supervised() == [("web", "one")]
    await registrar.report_health("web", "one", "UNHEALTHY")
    assert health_of(cloudmap, "one") == "UNHEALTHY"
    await registrar.deregister("web", "one")
    assert health_of(cloudmap, "one") is None


async def test_withdrawing_what_is_not_there_is_no_error(registrar: Registrar) -> None:
    await registrar.deregister("web", "one")
    await registrar.ensure_service(WEB)
    await registrar.deregister("web", "one")


async def test_health_of_what_is_not_registered_is_refused(registrar: Registrar) -> None:
    await registrar.ensure_service(WEB)
    with pytest.raises(NotRegistered):
        await registrar.report_health("web", "one", "HEALTHY")


async def test_a_service_that_was_deleted_is_made_again_by_a_registration(registrar: Registrar, cloudmap: Any) -> None:
    lost = await registrar.ensure_service(WEB)
    cloudmap.delete_service(Id=lost.id)
    with pytest.raises(ServiceLost):
        await registrar.instance_ids("web")
    await registrar.register(WEB, "one", {**ATTRIBUTES, "AWS_INIT_HEALTH_STATUS": "HEALTHY"})
    assert await registrar.instance_ids("web") == {"one"}


async def test_a_namespace_that_was_deleted_is_made_again_too(registrar: Registrar, cloudmap: Any) -> None:
    lost = await registrar.ensure_service(WEB)
    namespace = cloudmap.get_service(Id=lost.id)["Service"]["NamespaceId"]
    cloudmap.delete_service(Id=lost.id)
    cloudmap.delete_namespace(Id=namespace)
    await registrar.register(WEB, "one", {**ATTRIBUTES, "AWS_INIT_HEALTH_STATUS": "HEALTHY"})
    assert health_of(cloudmap, "one") == "HEALTHY"


async def test_an_empty_service_with_other_records_is_made_anew_and_the_ttl_of_a_used_one_changed(
    registrar: Registrar, cloudmap: Any
) -> None:
    first = await registrar.ensure_service(WEB)
    longer = ServiceSpec(name="web", command=("serve",), ttl_s=60)
    second = await registrar.ensure_service(longer)
    assert second.id != first.id
    assert second.ttl_s == 60
    await registrar.register(longer, "one", {**ATTRIBUTES, "AWS_INIT_HEALTH_STATUS": "HEALTHY"})
    assert await registrar.ensure_service(WEB) == second  # for 60 s more, what was answered with its TTL is remembered
    assert cloudmap.get_service(Id=second.id)["Service"]["DnsConfig"]["DnsRecords"] == [{"Type": "A", "TTL": 7}]


async def test_what_the_registry_will_never_do_is_told_from_what_it_cannot_do_now(registrar: Registrar) -> None:
    with pytest.raises(RegistryRefused, match="InvalidInput"):
        await registrar.register(WEB, "one", {**ATTRIBUTES, "AWS_INSTANCE_IPV4": "no address"})
    async with open_cloudmap("http://127.0.0.1:1", attempts=1) as nobody:
        with pytest.raises(RegistryAway):
            await Registrar(nobody, "example.test", single_address=False).ensure_service(WEB)
