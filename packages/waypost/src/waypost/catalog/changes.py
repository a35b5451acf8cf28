"""What can happen to the catalog: the vocabulary of the journal and of the feed to the nameserver.

A change is a fact in the past tense. It carries whole values, so that applying it needs no rule and cannot fail.
What comes in great numbers has ``gc=False``: the collector need not look at values that cannot hold each other.
"""

from typing import Final

import msgspec

from waypost.catalog.model import Drain, Health, Instance, Namespace, Service

__all__ = [
    "Cause",
    "Change",
    "DrainBegan",
    "DrainEnded",
    "HealthChanged",
    "InstanceChanged",
    "InstanceDeregistered",
    "InstanceRegistered",
    "LeaseGranted",
    "LeaseLapsed",
    "LeaseRenewed",
    "NamespaceCreated",
    "NamespaceDeleted",
    "NamespaceUpdated",
    "Operation",
    "OperationFailed",
    "Recorded",
    "ServiceCreated",
    "ServiceDeleted",
    "ServiceUpdated",
    "change_from_bytes",
    "change_to_bytes",
]


class NamespaceCreated(msgspec.Struct, frozen=True, tag=True):
    """A namespace came to be."""

    namespace: Namespace


class NamespaceDeleted(msgspec.Struct, frozen=True, tag=True):
    """A namespace, empty of services, is gone."""

    namespace_id: str


class NamespaceUpdated(msgspec.Struct, frozen=True, tag=True):
    """A namespace has another description, SOA TTL or other tags; id, name, type and VPC stay."""

    namespace: Namespace


class ServiceCreated(msgspec.Struct, frozen=True, tag=True):
    """A service came to be."""

    service: Service


class ServiceDeleted(msgspec.Struct, frozen=True, tag=True):
    """A service, empty of instances, is gone."""

    service_id: str


class ServiceUpdated(msgspec.Struct, frozen=True, tag=True):
    """A service has another description, TTL or health check, or other tags or attributes; id and name stay."""

    service: Service


class InstanceRegistered(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An instance was registered, or replaced as a whole."""

    instance: Instance


class InstanceDeregistered(msgspec.Struct, frozen=True, gc=False, tag=True):
    """An instance is gone."""

    service_id: str
    instance_id: str


class InstanceChanged(msgspec.Struct, frozen=True, gc=False):
    """An instance stays registered and is otherwise now; each kind of that says how."""

    service_id: str
    instance_id: str


class HealthChanged(InstanceChanged, frozen=True, gc=False, tag=True):
    """An instance became healthy or unhealthy."""

    health: Health


class LeaseGranted(InstanceChanged, frozen=True, gc=False, tag=True):
    """An instance promised to renew itself from now on, or within another time."""

    lease_s: int


class LeaseLapsed(InstanceChanged, frozen=True, gc=False, tag=True):
    """An instance did not renew itself in time: it counts as unhealthy."""


class LeaseRenewed(InstanceChanged, frozen=True, gc=False, tag=True):
    """An instance whose lease had lapsed renewed it. Renewals in time change nothing."""


class DrainBegan(InstanceChanged, frozen=True, gc=False, tag=True):
    """An instance is no longer handed out, though it stays registered; or it is so for another time or reason."""

    drain: Drain


class DrainEnded(InstanceChanged, frozen=True, gc=False, tag=True):
    """An instance is handed out again."""


class OperationFailed(msgspec.Struct, frozen=True, tag=True):
    """An accepted operation came to nothing; the catalog is as it was."""

    code: str  # a member of Cloud Map's OperationStatus error codes
    message: str


Change = (
    NamespaceCreated
    | NamespaceUpdated
    | NamespaceDeleted
    | ServiceCreated
    | ServiceUpdated
    | ServiceDeleted
    | InstanceRegistered
    | InstanceDeregistered
    | HealthChanged
    | LeaseGranted
    | LeaseLapsed
    | LeaseRenewed
    | DrainBegan
    | DrainEnded
    | OperationFailed
)


class Cause(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """Who asked for a change, and why."""

    call: str  # the API operation, or what made the registry act by itself: waypost.health.causes
    by: str  # access key id of the caller, "-" when the call was not signed, "waypost" for the registry itself
    why: str = ""  # the caller's own words, from the header X-Waypost-Cause; what a check found


class Operation(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """An asynchronous operation of Cloud Map's API, kept with the change that it made."""

    id: str
    account: str
    region: str
    type: str  # CREATE_NAMESPACE, REGISTER_INSTANCE, …
    targets: dict[str, str]  # NAMESPACE, SERVICE, INSTANCE → id
    namespace_id: str | None = None  # that it concerns, though its targets may not say so


class Recorded(msgspec.Struct, frozen=True, gc=False, kw_only=True):
    """A change with its place in history. Revisions are dense: each is the last one plus one."""

    revision: int
    at_ms: int
    change: Change
    cause: Cause
    operation: Operation | None = None


_encoder: Final = msgspec.json.Encoder()
_decoder: Final[msgspec.json.Decoder[Change]] = msgspec.json.Decoder(Change)


def change_to_bytes(change: Change) -> bytes:
    """Return a change as JSON, tagged with its kind."""
    return _encoder.encode(change)


def change_from_bytes(wire: bytes) -> Change:
    """Return the change that ``change_to_bytes`` wrote.

    :raises msgspec.ValidationError: it is not one.
    """
    return _decoder.decode(wire)
