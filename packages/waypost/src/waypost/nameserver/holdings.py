"""What the nameserver keeps of the catalog: services that DNS knows, and what DNS asks of their instances.

A server holds hundreds of thousands of instances, and what is kept of each is most of its memory: so tags, operations
and the attributes of applications are left out, what is alike is one object, and the instances of a service, of which
most have few, are a tuple and no dictionary.
"""

import sys
from collections.abc import Mapping
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
    """One service with its instances, in the order in which they came."""

    __slots__ = ("instances", "service")

    def __init__(self, service: Service) -> None:
        self.service = service
        self.instances: tuple[Instance, ...] = ()

    def get(self, instance_id: str) -> Instance | None:
        """Return an instance, if it is here."""
        return next((instance for instance in self.instances if instance.id == instance_id), None)

    def put(self, instance: Instance) -> None:
        """Take an instance in, in the place of the one with its id if there is one."""
        slim = slim_instance(instance, self.service)
        if self.get(instance.id) is None:
            self.instances = (*self.instances, slim)
        else:
            self.instances = tuple(slim if each.id == slim.id else each for each in self.instances)

    def drop(self, instance_id: str) -> None:
        """Let an instance go.

        :raises KeyError: it is not here.
        """
        left = tuple(each for each in self.instances if each.id != instance_id)
        if len(left) == len(self.instances):
            raise KeyError(instance_id)
        self.instances = left

    def change(self, instance_id: str, change: InstanceChanged) -> None:
        """Take a change of an instance in.

        :raises KeyError: it is not here.
        """
        present = self.get(instance_id)
        if present is None:
            raise KeyError(instance_id)
        self.put(changed_instance(present, change))


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
