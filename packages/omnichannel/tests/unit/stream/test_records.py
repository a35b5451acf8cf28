import hashlib
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from omnichannel.messages.model import Trace
from omnichannel.stream.kinesis.aggregated import MAGIC, Malformed, user_records
from omnichannel.stream.kinesis.hint_events import Hint, NoHint, pack, parse
from omnichannel.stream.kinesis.writer import batches

ID = "0190a0b0-0000-7000-8000-000000000000"


def varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out += bytes([value & 0x7F | 0x80])
        value >>= 7
    return out + bytes([value])


def field(number: int, data: bytes) -> bytes:
    return varint(number << 3 | 2) + varint(len(data)) + data


def sealed(message: bytes) -> bytes:
    return MAGIC + message + hashlib.md5(message).digest()


@given(st.lists(st.binary(max_size=300), max_size=5))
def test_what_the_producer_library_packs_is_taken_apart(parts: list[bytes]) -> None:
    tag = field(4, field(1, b"key") + field(2, b"value"))
    records = b"".join(field(3, b"\x08\x00\x10\x01" + field(3, part) + tag) for part in parts)
    assert user_records(sealed(field(1, b"key") + field(2, b"12") + records)) == tuple(parts)


@given(st.binary(max_size=200))
def test_any_bytes_are_one_record_or_malformed_and_nothing_else(data: bytes) -> None:
    assert user_records(data) == (data,)
    try:
        user_records(sealed(data))
    except Malformed:
        return


def test_a_digest_that_does_not_fit_makes_a_plain_record() -> None:
    data = sealed(field(3, field(3, b"part")))[:-1] + b"\x00"
    assert user_records(data) == (data,)


def test_a_hint_is_a_cloud_event() -> None:
    hint = Hint(ID, 1_700_000_000_123)
    event = json.loads(pack(hint))
    assert {"specversion", "id", "source", "type", "subject", "time"} <= event.keys()
    assert (event["subject"], event["time"]) == (ID, "2023-11-14T22:13:20.123000+00:00")
    assert parse(pack(hint)) == hint


def test_a_hint_tells_of_the_request_that_it_comes_from() -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    hint = Hint(ID, 1, Trace("request-1", traceparent))
    event = json.loads(pack(hint))
    assert (event["traceparent"], event["requestid"]) == (traceparent, "request-1")
    assert not {"traceparent", "requestid"} & json.loads(pack(Hint(ID, 1))).keys()
    assert parse(pack(hint)) == hint


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"[]",
        b"{}",
        b'{"type": "other"}',
        b'{"type": "omnichannel.delivery.due"}',
        b'{"type": "omnichannel.delivery.due", "subject": "1", "time": "2023-11-14T22:13:20+00:00"}',
        json.dumps({"type": "omnichannel.delivery.due", "subject": ID, "time": "soon"}).encode(),
        json.dumps({"type": "omnichannel.delivery.due", "subject": ID, "time": "2023-11-14T22:13:20"}).encode(),
        b"[" * 100_000,
    ],
)
def test_what_is_no_hint_is_refused(data: bytes) -> None:
    with pytest.raises(NoHint):
        parse(data)


def test_no_call_holds_more_than_500_records() -> None:
    hints = [Hint(ID, number) for number in range(1201)]
    parts = list(batches(hints))
    assert [len(part) for part in parts] == [500, 500, 201]
    assert [hint for part in parts for hint in part] == hints
    assert list(batches([])) == []
