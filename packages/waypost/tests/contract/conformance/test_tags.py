"""Tags of namespaces and services."""

from typing import Any

import pytest

from .conftest import foreign, refusal


@pytest.fixture(params=["namespace", "service"])
def arn(request: pytest.FixtureRequest, cloud: Any) -> str:
    namespace_id = cloud.http_namespace()
    return cloud.arn(namespace_id) if request.param == "namespace" else str(cloud.service(namespace_id)["Arn"])


def tags(cloud: Any, arn: str) -> dict[str, str]:
    return {tag["Key"]: tag["Value"] for tag in cloud.client.list_tags_for_resource(ResourceARN=arn)["Tags"]}


def given(**pairs: str) -> list[dict[str, str]]:
    return [{"Key": key, "Value": value} for key, value in pairs.items()]


def test_tags_are_added_replaced_and_taken_away(cloud: Any, arn: str) -> None:
    tag, untag = cloud.client.tag_resource, cloud.client.untag_resource
    assert tags(cloud, arn) == {}
    tag(ResourceARN=arn, Tags=given(one="1", two="2"))
    tag(ResourceARN=arn, Tags=given(two="", three="3"))
    assert tags(cloud, arn) == {"one": "1", "two": "", "three": "3"}
    untag(ResourceARN=arn, TagKeys=["one", "unknown"])
    untag(ResourceARN=arn, TagKeys=[])
    tag(ResourceARN=arn, Tags=[])
    assert tags(cloud, arn) == {"two": "", "three": "3"}


def test_a_resource_has_at_most_50_tags(cloud: Any, arn: str) -> None:
    tag = cloud.client.tag_resource
    tag(ResourceARN=arn, Tags=given(**{f"k{number}": "v" for number in range(49)}))
    code, response = refusal(tag, ResourceARN=arn, Tags=given(a="1", b="2"))
    assert (code, response["ResourceName"]) == ("TooManyTagsException", arn)
    assert len(tags(cloud, arn)) == 49
    tag(ResourceARN=arn, Tags=given(a="1", k1="new"))
    assert len(tags(cloud, arn)) == 50


def test_tags_that_cannot_be_are_refused(cloud: Any, arn: str) -> None:
    tag, untag = cloud.client.tag_resource, cloud.client.untag_resource
    for bad in (
        given(**{"aws:mine": "x"}),
        given(**{"k" * 129: "x"}),
        given(k="v" * 257),
        [{"Key": "k", "Value": "1"}, {"Key": "k", "Value": "2"}],
        given(**{f"k{number}": "v" for number in range(201)}),
    ):
        assert refusal(tag, ResourceARN=arn, Tags=bad)[0] == "InvalidInput"
    assert refusal(untag, ResourceARN=arn, TagKeys=["k" * 129])[0] == "InvalidInput"
    long = "arn:" + "x" * 1008
    assert refusal(cloud.client.list_tags_for_resource, ResourceARN=long)[0] == "InvalidInput"
    assert tags(cloud, arn) == {}


def test_only_an_arn_of_the_callers_own_is_found(cloud: Any, arn: str) -> None:
    client = cloud.client
    region, owner = arn.split(":")[3:5]
    for unknown in (
        arn[:-4] + "zzzz",
        arn.replace(f":{region}:", ":eu-south-2:"),
        arn.replace(f":{owner}:", f":{foreign(owner)}:"),
        arn.rpartition("/")[2],
    ):
        expected = {"ResourceNotFoundException", "InvalidInput", "AccessDeniedException"}
        assert refusal(client.list_tags_for_resource, ResourceARN=unknown)[0] in expected
        assert refusal(client.tag_resource, ResourceARN=unknown, Tags=given(a="1"))[0] in expected
        assert refusal(client.untag_resource, ResourceARN=unknown, TagKeys=["a"])[0] in expected
