"""Waypost's nameserver by itself, fed as the registry feeds it: a million instances are told in seconds."""

import socket
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from benchmarks.dns_load import SRV
from benchmarks.nameservers import PORT, TTL_S, Zone, until_answered
from benchmarks.servers import Server, started
from benchmarks.waypost_parts import NAMESPACE
from waypost.catalog.model import (
    DnsRecord,
    Health,
    Instance,
    Namespace,
    NamespaceType,
    RecordType,
    RoutingPolicy,
    Service,
    ServiceType,
    encode_attributes,
)
from waypost.feed import Snapshot, decode_applied, encode_frame
from waypost.settings import ListenAddress
from waypost.tasks.listeners import bind_dns

__all__ = ["fed_nameserver", "snapshot_of"]


def snapshot_of(zone: Zone) -> Snapshot:
    """Return a zone's catalog as a registry would send it."""
    shared: dict[str, Any] = {
        "account": "0" * 12,
        "region": "us-east-1",
        "description": None,
        "creator_request_id": None,
    }
    namespace = Namespace(
        id="ns-bench",
        name=NAMESPACE,
        http_name=NAMESPACE,
        type=NamespaceType.DNS_PRIVATE,
        vpc="vpc-bench",
        hosted_zone="Z",
        soa_ttl_s=15,
        created_ms=1,
        operation="",
        **shared,
    )
    records = (DnsRecord(type=RecordType.SRV if zone.type == SRV else RecordType.A, ttl_s=TTL_S),)
    services = [
        Service(
            id=f"srv-{number:016}",
            namespace_id=namespace.id,
            name=f"svc-{number:04}",
            type=ServiceType.DNS_HTTP,
            records=records,
            routing=RoutingPolicy.MULTIVALUE,
            health_check=None,
            custom_health_check=None,
            created_ms=1,
            **shared,
        )
        for number in range(zone.services)
    ]
    instances = [
        Instance(
            service_id=services[number].id,
            id=f"i-{index}",
            attributes=encode_attributes(
                {"AWS_INSTANCE_IPV4": address, "AWS_INSTANCE_PORT": str(PORT), "AVAILABILITY_ZONE": "us-east-1a"}
            ),
            health=Health.HEALTHY,
            proven=True,
            generation=1,
        )
        for number in range(zone.services)
        for index, address in enumerate(zone.addresses(number))
    ]
    return Snapshot(revision=1, namespaces=[namespace], services=[(each, 1) for each in services], instances=instances)


@contextmanager
def fed_nameserver(folder: Path, zone: Zone) -> Iterator[Server]:
    """Run the nameserver, tell it the zone, and yield it once it answers."""
    frame = encode_frame(snapshot_of(zone))
    with ExitStack() as stack:
        feed = stack.enter_context(socket.socket(socket.AF_UNIX))
        feed.bind(str(folder / "feed.sock"))
        feed.listen()
        listener = bind_dns(ListenAddress("127.0.0.1", 0), "--dns-address")
        stack.callback(listener.close)
        streams, (datagrams,) = listener.streams, listener.datagrams
        environment = {
            "WAYPOST_DNS_UDP_FD": str(datagrams.fileno()),
            "WAYPOST_DNS_TCP_FD": str(streams.fileno()),
            "WAYPOST_FEED": str(folder / "feed.sock"),
            "WAYPOST_RELAX": "nodata",
        }
        process = stack.enter_context(
            started(
                [sys.executable, "-m", "waypost.nameserver"],
                log=folder / "log",
                environment=environment,
                pass_fds=(datagrams.fileno(), streams.fileno()),
            )
        )
        told = stack.enter_context(feed.accept()[0])
        told.sendall(frame)
        decode_applied(_read(told, int.from_bytes(_read(told, 4), "big")))
        port = streams.getsockname()[1]
        until_answered(port, zone, process, log=folder / "log")
        yield Server((process,), port)


def _read(stream: socket.socket, count: int) -> bytes:
    read = b""
    while len(read) < count:
        part = stream.recv(count - len(read))
        if not part:
            raise RuntimeError("the nameserver hung up")
        read += part
    return read
