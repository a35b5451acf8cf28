"""Ids and ARNs in AWS's form."""

import random
import re

import pytest

from waypost.catalog.identifiers import Ids, arn, resource_id


def test_an_operation_id_ends_in_its_time() -> None:
    # The suffix of a published sample of the API.
    ids = Ids(random.Random(7))
    assert ids.operation(1587055860121).endswith("-k9302yzd")
    assert ids.operation(1587055860122).endswith("-k9302yze")


def test_ids_have_the_forms_of_aws() -> None:
    ids = Ids(random.Random(7))
    assert re.fullmatch(r"ns-[a-z0-9]{16}", ids.namespace())
    assert re.fullmatch(r"srv-[a-z0-9]{16}", ids.service())
    assert re.fullmatch(r"Z[A-Z0-9]{20}", ids.hosted_zone())
    assert re.fullmatch(r"[a-z0-9]{32}-[a-z0-9]{8}", ids.operation(1587055860121))


def test_operation_ids_sort_by_time_and_never_come_twice() -> None:
    ids = Ids(random.Random(7))
    made = [ids.operation(1587055860121 + number // 10) for number in range(1000)]
    assert len(set(made)) == 1000
    assert [each[:12] for each in sorted(made)] == [each[:12] for each in made]


@pytest.mark.parametrize(
    ("region", "partition"), [("us-east-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")]
)
def test_the_partition_follows_the_region(region: str, partition: str) -> None:
    assert arn("service", region, "123456789012", "srv-1").startswith(f"arn:{partition}:servicediscovery:{region}:")


def test_an_arn_is_taken_where_an_id_is() -> None:
    own = {"region": "us-east-1", "account": "123456789012"}
    assert resource_id("service", "srv-1", **own) == "srv-1"
    assert resource_id("service", arn("service", "us-east-1", "123456789012", "srv-1"), **own) == "srv-1"


@pytest.mark.parametrize(
    "foreign",
    [
        arn("service", "eu-west-1", "123456789012", "srv-1"),
        arn("service", "us-east-1", "210987654321", "srv-1"),
        arn("namespace", "us-east-1", "123456789012", "srv-1"),
    ],
)
def test_a_foreign_arn_names_nothing_here(foreign: str) -> None:
    assert resource_id("service", foreign, region="us-east-1", account="123456789012") == foreign
