"""Random lives of a catalog, valid and not, on the server and on a simple model: both must tell the same."""

from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from ..conftest import ACCOUNTS, RegistryProcess
from .simple_model import CHECKS, Model, Namespace, Service
from .wire import Wire

DNS_A = {"DnsRecords": [{"Type": "A", "TTL": 5}]}
DNS_SRV = {"DnsRecords": [{"Type": "SRV", "TTL": 5}]}
CUSTOM = {"HealthCheckCustomConfig": {"FailureThreshold": 1}}
ACTIVE = {"HealthCheckConfig": {"Type": "TCP"}}
GIVEN: dict[str, dict[str, Any]] = {
    "plain": {},
    "custom": CUSTOM,
    "a": {"DnsConfig": DNS_A},
    "srv custom": {"DnsConfig": DNS_SRV, **CUSTOM},
    "active": ACTIVE,
    "both": {"DnsConfig": DNS_A, **CUSTOM, **ACTIVE},
}
ADDRESS = {"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INSTANCE_PORT": "80"}
ATTRIBUTES = st.sampled_from(
    [
        {},
        {"color": "blue"},
        ADDRESS,
        {**ADDRESS, "color": "blue"},
        {**ADDRESS, "color": "red"},
        {**ADDRESS, "AWS_INIT_HEALTH_STATUS": "UNHEALTHY"},
        {"AWS_COLOR": "blue"},
    ]
)
PAIRS = st.sampled_from([{}, {}, {"color": "blue"}, {"color": "green"}, {"AWS_INSTANCE_PORT": "80"}])
numbers = st.integers(0, 5)
names = st.sampled_from(["one.example", "two.example"])
kinds = st.sampled_from(["HTTP", "DNS_PRIVATE"])
service_names = st.sampled_from(["web", "WEB", "db"])
instance_ids = st.sampled_from(["i-1", "i-2", "i-3"])
words = st.sampled_from(["", "ours", "theirs"])
tokens = st.sampled_from(["t-1", "t-2", "t-3", "t-4", "t-5", "t-6"])


class Lives(RuleBasedStateMachine):
    """One account on the server, and a model of it."""

    port: ClassVar[int]

    def __init__(self) -> None:
        super().__init__()
        self.wire = Wire(self.port, f"{next(ACCOUNTS):012}")
        self.model = Model()
        self.revisions: dict[str, tuple[int, int]] = {}  # service id → the model's revision, the server's

    def teardown(self) -> None:
        self.wire.close()

    def settled(self, answer: Any) -> Any:
        operation = self.wire.call("GetOperation", OperationId=answer["OperationId"])["Operation"]
        assert operation["Status"] in ("SUCCESS", "FAIL")
        return operation

    def service_id(self, number: int) -> str:
        """Return the id of some service; often one that is there."""
        present = [id_ for each in self.model.namespaces.values() for id_ in each.services]
        return present[number % len(present)] if present and number else "srv-0000000000000000"

    def namespace_id(self, number: int) -> str:
        present = list(self.model.namespaces)
        return present[number % len(present)] if present and number else "ns-0000000000000000"

    @rule(name=names, kind=kinds, description=words)
    def create_namespace(self, name: str, kind: str, description: str) -> None:
        expected = self.model.create_namespace(name, kind)
        operation, vpc = ("CreateHttpNamespace", {}) if kind == "HTTP" else ("CreatePrivateDnsNamespace", {"Vpc": "v"})
        answer = self.wire.call(operation, Name=name, Description=description, **vpc)
        if expected not in (None, "FAIL"):
            assert answer == expected
            return
        done = self.settled(answer)
        assert done["Status"] == ("SUCCESS" if expected is None else "FAIL")
        if expected is None:
            id_ = done["Targets"]["NAMESPACE"]
            told = self.wire.call("GetNamespace", Id=id_)["Namespace"]
            http_name = told["Properties"]["HttpProperties"]["HttpName"]
            used = {each.http_name for each in self.model.namespaces.values()}
            assert http_name == name if name not in used else http_name not in used
            self.model.namespaces[id_] = Namespace(name, kind, description, http_name)

    @rule(number=numbers, description=words, kind=kinds)
    def update_namespace(self, number: int, description: str, kind: str) -> None:
        id_ = self.namespace_id(number)
        namespace = self.model.namespaces.get(id_)
        operation = "UpdateHttpNamespace" if kind == "HTTP" else "UpdatePrivateDnsNamespace"
        answer = self.wire.call(operation, Id=id_, Namespace={"Description": description})
        if namespace is None:
            assert answer == "NamespaceNotFound"
        elif namespace.kind != kind:
            assert answer == "InvalidInput"
        else:
            assert self.settled(answer)["Status"] == "SUCCESS"
            namespace.description = description

    @rule(number=numbers)
    def delete_namespace(self, number: int) -> None:
        id_ = self.namespace_id(number)
        expected = self.model.delete_namespace(id_)
        answer = self.wire.call("DeleteNamespace", Id=id_)
        assert answer == expected if expected else self.settled(answer)["Status"] == "SUCCESS"

    @rule(number=numbers, name=service_names, kind=st.sampled_from(sorted(CHECKS)), description=words)
    def create_service(self, number: int, name: str, kind: str, description: str) -> None:
        namespace_id = self.namespace_id(number)
        expected = self.model.create_service(namespace_id, name, kind)
        request = {"Name": name, "NamespaceId": namespace_id, "Description": description, **GIVEN[kind]}
        answer = self.wire.call("CreateService", **request)
        if expected is not None:
            assert answer == expected
            return
        self.model.namespaces[namespace_id].services[answer["Service"]["Id"]] = Service(name, kind, description)

    @rule(number=numbers, description=words)
    def update_service(self, number: int, description: str) -> None:
        id_ = self.service_id(number)
        expected = self.model.update_service(id_, description)
        answer = self.wire.call("UpdateService", Id=id_, Service={"Description": description})
        assert answer == expected if expected else self.settled(answer)["Status"] == "SUCCESS"

    @rule(number=numbers)
    def delete_service(self, number: int) -> None:
        id_ = self.service_id(number)
        expected = self.model.delete_service(id_)
        assert self.wire.call("DeleteService", Id=id_) == (expected or {})

    @rule(number=numbers, key=words, value=words, take=st.booleans())
    def change_attributes_and_tags(self, number: int, key: str, value: str, *, take: bool) -> None:
        id_ = self.service_id(number)
        service = self.model.find(id_)
        if service is None or not key:
            return
        arn = self.wire.call("GetService", Id=id_)["Service"]["Arn"]
        if take:
            assert self.wire.call("DeleteServiceAttributes", ServiceId=id_, Attributes=[key]) == {}
            assert self.wire.call("UntagResource", ResourceARN=arn, TagKeys=[key]) == {}
            service.attributes.pop(key, None)
            service.tags.pop(key, None)
        else:
            assert self.wire.call("UpdateServiceAttributes", ServiceId=arn, Attributes={key: value}) == {}
            assert self.wire.call("TagResource", ResourceARN=arn, Tags=[{"Key": key, "Value": value}]) == {}
            service.attributes[key] = service.tags[key] = value

    @rule(number=numbers, instance_id=instance_ids, attributes=ATTRIBUTES, token=tokens)
    def register(self, number: int, instance_id: str, attributes: dict[str, str], token: str) -> None:
        id_ = self.service_id(number)
        expected = self.model.register(id_, instance_id, attributes, token)
        request = {"ServiceId": id_, "InstanceId": instance_id, "CreatorRequestId": token, "Attributes": attributes}
        answer = self.wire.call("RegisterInstance", **request)
        if expected is None:
            assert self.settled(answer)["Status"] == "SUCCESS"
            service = self.model.find(id_)
            assert service is not None
            service.instances[instance_id].operation = answer["OperationId"]
        else:
            assert answer in (expected, {"OperationId": expected})

    @rule(number=numbers, instance_id=instance_ids)
    def deregister(self, number: int, instance_id: str) -> None:
        id_ = self.service_id(number)
        expected = self.model.deregister(id_, instance_id)
        answer = self.wire.call("DeregisterInstance", ServiceId=id_, InstanceId=instance_id)
        assert answer == expected if expected else self.settled(answer)["Status"] == "SUCCESS"

    @rule(number=numbers, instance_id=instance_ids, health=st.sampled_from(["HEALTHY", "UNHEALTHY"]))
    def tell_health(self, number: int, instance_id: str, health: str) -> None:
        id_ = self.service_id(number)
        expected = self.model.tell_health(id_, instance_id, health)
        request = {"ServiceId": id_, "InstanceId": instance_id, "Status": health}
        assert self.wire.call("UpdateInstanceCustomHealthStatus", **request) == (expected or {})

    @rule(
        number=numbers,
        health=st.sampled_from(["HEALTHY", "UNHEALTHY", "ALL", "HEALTHY_OR_ELSE_ALL"]),
        query=PAIRS,
        optional=PAIRS,
    )
    def discover(self, number: int, health: str, query: dict[str, str], optional: dict[str, str]) -> None:
        id_ = self.service_id(number)
        service = self.model.find(id_)
        if service is None:
            return
        names_ = {"NamespaceName": self.model.namespace_of(id_).http_name, "ServiceName": service.name}
        more = {"QueryParameters": query, "OptionalParameters": optional, "HealthStatus": health}
        answer = self.wire.call("DiscoverInstances", **names_, **more)
        found = {each["InstanceId"]: each for each in answer["Instances"]}
        assert set(found) == self.model.discover(service, health, query, optional)
        for name, each in found.items():
            assert each["HealthStatus"] == service.instances[name].health
            assert each["Attributes"] == service.instances[name].attributes
        revision = answer["InstancesRevision"]
        modelled, seen = self.revisions.get(id_, (-1, -1))
        assert revision == seen if service.revision == modelled else revision > seen
        self.revisions[id_] = service.revision, revision

    @invariant()
    def both_tell_the_same(self) -> None:
        listed = {each["Id"]: each for each in self.wire.call("ListNamespaces")["Namespaces"]}
        assert set(listed) == set(self.model.namespaces)
        for id_, namespace in self.model.namespaces.items():
            assert listed[id_]["ServiceCount"] == len(namespace.services)
            assert listed[id_].get("Description", "") == namespace.description
        told = {each["Id"]: each for each in self.wire.call("ListServices")["Services"]}
        assert set(told) == {id_ for each in self.model.namespaces.values() for id_ in each.services}
        for id_, summary in told.items():
            service = self.model.find(id_)
            assert service is not None
            assert (summary["Name"], summary["InstanceCount"]) == (service.name, len(service.instances))
            assert summary.get("Description", "") == service.description

    @rule(number=numbers)
    def look_into_a_service(self, number: int) -> None:
        id_ = self.service_id(number)
        service = self.model.find(id_)
        if service is None:
            assert self.wire.call("GetService", Id=id_) == "ServiceNotFound"
            return
        instances = {
            each["Id"]: each["Attributes"] for each in self.wire.call("ListInstances", ServiceId=id_)["Instances"]
        }
        assert instances == {name: each.attributes for name, each in service.instances.items()}
        health = self.wire.call("GetInstancesHealthStatus", ServiceId=id_)["Status"]
        assert health == {name: each.health for name, each in service.instances.items()}
        told = self.wire.call("GetServiceAttributes", ServiceId=id_)["ServiceAttributes"]
        assert told["Attributes"] == service.attributes
        tags = self.wire.call("ListTagsForResource", ResourceARN=told["ServiceArn"])["Tags"]
        assert {tag["Key"]: tag["Value"] for tag in tags} == service.tags


@pytest.mark.parametrize("examples", [25, pytest.param(2_000, marks=[pytest.mark.soak, pytest.mark.timeout(1_800)])])
def test_the_server_and_a_simple_model_tell_the_same(shared_registry: RegistryProcess, examples: int) -> None:
    Lives.port = shared_registry.listener.getsockname()[1]
    chosen = settings(
        max_examples=examples,
        stateful_step_count=40,
        deadline=None,
        derandomize=examples < 100,
        suppress_health_check=list(HealthCheck),
    )
    run_state_machine_as_test(Lives, settings=chosen)  # type: ignore[no-untyped-call]  # as hypothesis has it
