"""Records that Amazon's producer library (KPL) has packed into one: taken apart again.

The format is the library's own (awslabs/amazon-kinesis-producer, aggregation-format.md): four magic bytes, a protocol
buffers message, its MD5.

    message AggregatedRecord { repeated string partition_key_table = 1; repeated string explicit_hash_key_table = 2;
                               repeated Record records = 3; }
    message Record { required uint64 partition_key_index = 1; optional uint64 explicit_hash_key_index = 2;
                     required bytes data = 3; repeated Tag tags = 4; }
"""

from collections.abc import Iterator
from hashlib import md5
from typing import Final

__all__ = ["Malformed", "user_records"]

MAGIC: Final = b"\xf3\x89\x9a\xc2"
DIGEST_BYTES: Final = 16
RECORDS_FIELD: Final = 3  # of AggregatedRecord
DATA_FIELD: Final = 3  # of Record


class Malformed(ValueError):
    """The bytes between the magic and a digest that fits are no such message."""


def user_records(data: bytes) -> tuple[bytes, ...]:
    """Return what a record holds: its parts if it is an aggregated one, else itself.

    As in Amazon's consumer library, a record whose digest does not fit is taken for a plain one. Raises Malformed.
    """
    payload, digest = data[len(MAGIC) : -DIGEST_BYTES], data[-DIGEST_BYTES:]
    if not data.startswith(MAGIC) or len(data) < len(MAGIC) + DIGEST_BYTES:
        return (data,)
    if md5(payload, usedforsecurity=False).digest() != digest:
        return (data,)
    return tuple(_data(record) for record in _fields(payload, RECORDS_FIELD))


def _data(record: bytes) -> bytes:
    found = list(_fields(record, DATA_FIELD))
    if not found:
        raise Malformed("a record without data")
    return found[-1]  # protocol buffers: the last of a field that is there once counts


def _fields(message: bytes, number: int) -> Iterator[bytes]:
    """Yield the fields of this number, which hold bytes; pass over the others."""
    at = 0
    while at < len(message):
        key, at = _varint(message, at)
        match key & 7:
            case 0:  # VARINT
                _, at = _varint(message, at)
                continue
            case 1:  # FIXED64
                length = 8
            case 5:  # FIXED32
                length = 4
            case 2:  # BYTES
                length, at = _varint(message, at)
            case other:
                raise Malformed(f"wire type {other}")
        if at + length > len(message):
            raise Malformed("cut short")
        if key >> 3 == number and key & 7 == 2:
            yield message[at : at + length]
        at += length


def _varint(message: bytes, at: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if at >= len(message):
            raise Malformed("cut short")
        value |= (message[at] & 0x7F) << shift
        at += 1
        if message[at - 1] < 0x80:
            return value, at
    raise Malformed("a number of more than ten bytes")
