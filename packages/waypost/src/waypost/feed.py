"""The feed from the registry to the nameserver: everything once, then each commit, each confirmed.

Frames on a Unix stream socket: four octets of length, big-endian, then one MessagePack value. Only the two processes of
one installation speak it, so it carries no version.
"""

import asyncio
from collections.abc import Iterator
from typing import Final

import msgspec

from waypost.catalog.changes import Change
from waypost.catalog.model import Instance, Namespace, Service

__all__ = [
    "LENGTH_OCTETS",
    "Alive",
    "Applied",
    "Batch",
    "LazySnapshot",
    "Snapshot",
    "decode_applied",
    "decode_feed",
    "encode_frame",
    "read_frame",
]

LENGTH_OCTETS: Final = 4  # at the beginning of a frame: how many follow


class Snapshot(msgspec.Struct, frozen=True, tag="snapshot", kw_only=True):
    """The whole catalog as of a revision: the first frame of every connection."""

    revision: int
    namespaces: list[Namespace]
    services: list[tuple[Service, int]]  # each with its instances revision
    instances: list[Instance]

    def each_service(self) -> Iterator[tuple[Service, int]]:
        """Yield the services."""
        return iter(self.services)

    def each_instance(self) -> Iterator[Instance]:
        """Yield the instances."""
        return iter(self.instances)


class LazySnapshot(msgspec.Struct, frozen=True, tag="snapshot", kw_only=True):
    """The same as it is read: its values are made one at a time, so that who keeps a part of each keeps no more."""

    revision: int
    namespaces: list[Namespace]
    services: list[msgspec.Raw]
    instances: list[msgspec.Raw]

    def each_service(self) -> Iterator[tuple[Service, int]]:
        """Yield the services. Raises msgspec.ValidationError."""
        return map(_service_decoder.decode, self.services)

    def each_instance(self) -> Iterator[Instance]:
        """Yield the instances. Raises msgspec.ValidationError."""
        return map(_instance_decoder.decode, self.instances)


class Batch(msgspec.Struct, frozen=True, tag="batch", kw_only=True):
    """What one commit changed: ``changes[i]`` has the revision ``first_revision + i``."""

    first_revision: int
    changes: list[Change]


class Alive(msgspec.Struct, frozen=True, tag="alive", kw_only=True):
    """The registry's word that nothing has happened, and that it would say so: sent each second.

    It is not confirmed.
    """


class Applied(msgspec.Struct, frozen=True, tag="applied", kw_only=True):
    """The nameserver's word that its answers follow this revision."""

    revision: int


FromRegistry = LazySnapshot | Batch | Alive

_service_decoder: Final[msgspec.msgpack.Decoder[tuple[Service, int]]] = msgspec.msgpack.Decoder(tuple[Service, int])
_instance_decoder: Final = msgspec.msgpack.Decoder(Instance)
_encoder: Final = msgspec.msgpack.Encoder()
_feed_decoder: Final[msgspec.msgpack.Decoder[FromRegistry]] = msgspec.msgpack.Decoder(FromRegistry)
_applied_decoder: Final = msgspec.msgpack.Decoder(Applied)


def encode_frame(message: Snapshot | Batch | Alive | Applied) -> bytes:
    """Return a message as a frame."""
    body = _encoder.encode(message)
    return len(body).to_bytes(LENGTH_OCTETS, "big") + body


async def read_frame(reader: asyncio.StreamReader) -> bytes:
    """Return the body of the next frame.

    :raises asyncio.IncompleteReadError: the other side is gone.
    """
    length = int.from_bytes(await reader.readexactly(LENGTH_OCTETS), "big")
    return await reader.readexactly(length)


def decode_feed(body: bytes) -> FromRegistry:
    """Return what the registry sent.

    :raises msgspec.ValidationError: it is not a message of the feed.
    """
    return _feed_decoder.decode(body)


def decode_applied(body: bytes) -> Applied:
    """Return what the nameserver sent.

    :raises msgspec.ValidationError: it is not a confirmation.
    """
    return _applied_decoder.decode(body)
