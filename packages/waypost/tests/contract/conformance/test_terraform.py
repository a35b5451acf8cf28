"""The order in which Terraform's AWS provider calls for its Cloud Map resources, from plan to destroy."""

from typing import Any

from .conftest import refusal

TAGS = [{"Key": "Name", "Value": "example"}]


def waited(cloud: Any, answer: dict[str, Any]) -> dict[str, Any]:
    """Poll an operation as the provider does: SUBMITTED and PENDING go on, SUCCESS ends, FAIL is an error."""
    operation: dict[str, Any] = cloud.settle(answer)
    return operation


def test_apply_change_and_destroy(cloud: Any) -> None:
    client, name = cloud.client, cloud.name()
    # aws_service_discovery_private_dns_namespace: create, then read
    created = client.create_private_dns_namespace(
        Name=name, Vpc=cloud.vpc, CreatorRequestId="terraform-20261124000000000000000001", Tags=TAGS
    )
    namespace_id = cloud.keep(waited(cloud, created))
    namespace = client.get_namespace(Id=namespace_id)["Namespace"]
    assert namespace["Properties"]["DnsProperties"]["HostedZoneId"]
    assert client.list_tags_for_resource(ResourceARN=namespace["Arn"])["Tags"] == TAGS
    # aws_service_discovery_service: create, then read; what is read must be what was given, or plans never settle
    config = {
        "NamespaceId": namespace_id,
        "DnsRecords": [{"Type": "A", "TTL": 10}],
        "RoutingPolicy": "MULTIVALUE",
    }
    service = client.create_service(
        Name="web",
        CreatorRequestId="terraform-20261124000000000000000002",
        DnsConfig=config,
        HealthCheckCustomConfig={"FailureThreshold": 1},
        Tags=TAGS,
    )["Service"]
    read = client.get_service(Id=service["Id"])["Service"]
    assert read["DnsConfig"] == config
    assert read["HealthCheckCustomConfig"] == {"FailureThreshold": 1}
    assert client.list_tags_for_resource(ResourceARN=read["Arn"])["Tags"] == TAGS
    # aws_service_discovery_instance: create, then read; again for a changed attribute
    for color in ("blue", "green"):
        attributes = {"AWS_INSTANCE_IPV4": "192.0.2.1", "color": color}
        registered = client.register_instance(
            ServiceId=service["Id"],
            InstanceId="example",
            CreatorRequestId=f"terraform-{color}",
            Attributes=attributes,
        )
        waited(cloud, registered)
        instance = client.get_instance(ServiceId=service["Id"], InstanceId="example")["Instance"]
        assert instance["Attributes"] == attributes
    # data sources: by name among those of a type, by name in a namespace
    filters = [{"Name": "TYPE", "Values": ["DNS_PRIVATE"], "Condition": "EQ"}]
    pages = client.get_paginator("list_namespaces").paginate(Filters=filters)
    assert namespace_id in [each["Id"] for page in pages for each in page["Namespaces"] if each["Name"] == name]
    filters = [{"Name": "NAMESPACE_ID", "Values": [namespace_id], "Condition": "EQ"}]
    (found,) = client.list_services(Filters=filters)["Services"]
    assert found["DnsConfig"] == config
    # a second apply changes the description, the TTL and the tags
    change = {"Description": "changed"}
    updated = client.update_private_dns_namespace(Id=namespace_id, UpdaterRequestId="terraform-u", Namespace=change)
    waited(cloud, updated)
    client.untag_resource(ResourceARN=service["Arn"], TagKeys=["Name"])
    client.tag_resource(ResourceARN=service["Arn"], Tags=[{"Key": "team", "Value": "registry"}])
    change = {"Description": "changed", "DnsConfig": {"DnsRecords": [{"Type": "A", "TTL": 60}]}}
    waited(cloud, client.update_service(Id=service["Id"], Service=change))
    assert client.get_service(Id=service["Id"])["Service"]["DnsConfig"]["DnsRecords"] == [{"Type": "A", "TTL": 60}]
    # destroy: instances first, then the service, which is gone at once, then the namespace
    waited(cloud, client.deregister_instance(ServiceId=service["Id"], InstanceId="example"))
    assert refusal(client.get_instance, ServiceId=service["Id"], InstanceId="example")[0] == "InstanceNotFound"
    client.delete_service(Id=service["Id"])
    assert refusal(client.get_service, Id=service["Id"])[0] == "ServiceNotFound"
    waited(cloud, client.delete_namespace(Id=namespace_id))
    assert refusal(client.get_namespace, Id=namespace_id)[0] == "NamespaceNotFound"


def test_a_service_with_force_destroy_is_emptied_first(cloud: Any) -> None:
    namespace_id = cloud.http_namespace()
    service_id = cloud.service(namespace_id)["Id"]
    for number in range(3):
        cloud.register(service_id, f"i-{number}", number=str(number))
    assert refusal(cloud.client.delete_service, Id=service_id)[0] == "ResourceInUse"
    for page in cloud.client.get_paginator("list_instances").paginate(ServiceId=service_id):
        for instance in page["Instances"]:
            waited(cloud, cloud.client.deregister_instance(ServiceId=service_id, InstanceId=instance["Id"]))
    cloud.client.delete_service(Id=service_id)
