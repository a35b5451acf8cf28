"""What the nameserver keeps of the catalog: services that DNS knows, and what DNS asks of their instances.

A server holds hundreds of thousands of instances, and what is kept of each is most of its memory: so tags, operations
and the attributes of applications are left out, what is alike is one object, and the instances of a service, of which
most have few, are a tuple and no dictionary once they have come to rest.
"""

import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import msgspec

from waypost.catalog.changes import InstanceChanged
from waypost.catalog.index import changed_instance
from waypost.catalog.model import (
    SUPERVISED,
    DnsRecord,
    Instance,
    RecordType,
    Service,
    decode_attributes,
    encode_attributes,
)

__all__ = ["Holding", "slim_instance", "slim_service"]

ATTRIBUTES: Final[Mapping[RecordType, frozenset[str]]] = {
    RecordType.A: frozenset({"AWS_INSTANCE_IPV4", "AWS_ALIAS_DNS_NAME", SUPERVISED}),
    RecordType.AAAA: frozenset({"AWS_INSTANCE_IPV6", "AWS_ALIAS_DNS_NAME", SUPERVISED}),
    RecordType.SRV: frozenset({"AWS_INSTANCE_PORT", "AWS_INSTANCE_IPV4", "AWS_INSTANCE_IPV6", SUPERVISED}),
    RecordType.CNAME: frozenset({"AWS_INSTANCE_CNAME", SUPERVISED}),
}
"""What records of a type are made of, and what decides whether they are answered."""


class Holding:
    """One service with its instances, in the order in which they came.

    While changes come faster than somebody asks, they are kept by id, so that each costs the same however many
    instances there are; once they are asked for, they are a tuple again, which takes less room.
    """

    __slots__ = ("_by_id", "_settled", "service")

    def __init__(self, service: Service) -> None:
        self.service = service
        self._settled: tuple[Instance, ...] = ()
        self._by_id: dict[str, Instance] | None = None  # given: the truth, and the tuple is old

    @property
    def instances(self) -> tuple[Instance, ...]:
        """All of them."""
        if self._by_id is not None:
            self._settled, self._by_id = tuple(self._by_id.values()), None
        return self._settled

    def fill(self, instances: Iterable[Instance]) -> None:
        """Hold these, which are slim already, and no others."""
        self._settled, self._by_id = tuple(instances), None

    def put(self, instance: Instance) -> None:
        """Take an instance in, in the place of the one with its id if there is one."""
        self._unsettled()[instance.id] = slim_instance(instance, self.service)

    def drop(self, instance_id: str) -> None:
        """Let an instance go.

        :raises KeyError: it is not here.
        """
        del self._unsettled()[instance_id]

    def change(self, instance_id: str, change: InstanceChanged) -> None:
        """Take a change of an instance in.

        :raises KeyError: it is not here.
        """
        self.put(changed_instance(self._unsettled()[instance_id], change))

    def _unsettled(self) -> dict[str, Instance]:
        if self._by_id is None:
            self._by_id, self._settled = {instance.id: instance for instance in self._settled}, ()
        return self._by_id


def slim_service(service: Service) -> Service:
    """Return a service with what DNS asks of it."""
    return msgspec.structs.replace(
        service,
        account=sys.intern(service.account),
        region=sys.intern(service.region),
        namespace_id=sys.intern(service.namespace_id),
        description=None,
        creator_request_id=None,
        creation_digest="",
        records=_shared(service.records),
        health_check=None,
        custom_health_check=None,
        tags=(),
    )


@lru_cache(maxsize=1024)
def _shared(records: tuple[DnsRecord, ...]) -> tuple[DnsRecord, ...]:
    """Return, of equal records of services, one object: most services have the same."""
    return records


def slim_instance(instance: Instance, service: Service) -> Instance:
    """Return an instance with what DNS asks of it."""
    attributes = decode_attributes(instance.attributes)
    asked = (ATTRIBUTES[record.type] for record in service.records)
    kept = {key: attributes[key] for keys in asked for key in attributes.keys() & keys}
    return msgspec.structs.replace(
        instance,
        service_id=service.id,
        attributes=encode_attributes(kept),
        generation=0,  # the registry alone refuses what is late
        creator_request_id=None,
        operation="",
    )
