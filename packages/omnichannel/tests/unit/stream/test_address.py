import pytest

from omnichannel.stream.kinesis.address import InvalidKinesisUrl, KinesisAddress

ARN = "arn:aws:kinesis:eu-west-1:123456789012:stream/events"


def test_a_name_alone_is_enough() -> None:
    address = KinesisAddress.parse("kinesis://events")
    assert address == KinesisAddress(name="events")
    assert address.stream == {"StreamName": "events"}


def test_an_arn_names_the_region_too() -> None:
    address = KinesisAddress.parse(f"kinesis://{ARN}")
    assert (address.name, address.region, address.stream) == ("events", "eu-west-1", {"StreamARN": ARN})


def test_options_follow_a_question_mark() -> None:
    url = "kinesis://events?endpoint_url=http://127.0.0.1:4567&region=eu-north-1&read_every_ms=50&lease_s=3"
    assert KinesisAddress.parse(url) == KinesisAddress(
        name="events", endpoint_url="http://127.0.0.1:4567", region="eu-north-1", read_every_s=0.05, lease_s=3.0
    )


@pytest.mark.parametrize(
    ("url", "named"),
    [
        ("kinesis://", "kinesis://name"),
        ("kinesis:events", "kinesis://name"),
        ("kinesis://no spaces", "kinesis://name"),
        ("kinesis://arn:aws:sqs:eu-west-1:123456789012:stream/events", "kinesis://name"),
        ("kinesis://events?endpoint_url=ftp://here", "endpoint_url"),
        ("kinesis://events?read_every_ms=0", "read_every_ms"),
        ("kinesis://events?lease_s=soon", "lease_s"),
        ("kinesis://events?endpoint=http://here", "endpoint"),
    ],
)
def test_what_is_wrong_is_named(url: str, named: str) -> None:
    with pytest.raises(InvalidKinesisUrl, match=named):
        KinesisAddress.parse(url)
