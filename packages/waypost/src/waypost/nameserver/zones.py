"""The catalog as zones: which zone a name belongs to, and what is at the name.

One zone per DNS namespace. The longest matching zone answers, without falling back to a shorter one; of zones with the
same name (namespaces of several VPCs or accounts) one is served: a private one before a public one, then the oldest.
Clients of a VPC see its private zones and the public ones. Source: RFC 1034 section 4.3.2, RFC 2308
(NODATA against NXDOMAIN), RFC 8020 (empty non-terminals exist).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from ipaddress import ip_address
from itertools import islice
from typing import Final, Self, assert_never

from dns.rdatatype import RdataType

from waypost.catalog.changes import (
    Change,
    InstanceChanged,
    InstanceDeregistered,
    InstanceRegistered,
    NamespaceCreated,
    NamespaceDeleted,
    NamespaceUpdated,
    OperationFailed,
    ServiceCreated,
    ServiceDeleted,
    ServiceUpdated,
)
from waypost.catalog.model import Instance, Namespace, RecordType, Service
from waypost.catalog.selection import select_answerable
from waypost.nameserver.clients import View
from waypost.nameserver.holdings import Holding, slim_instance, slim_service
from waypost.nameserver.names import InvalidName, encode_labels, encode_name, suffixes
from waypost.nameserver.records import MULTIVALUE_LIMIT, Owner, Record, RecordSet, record_set

__all__ = ["NAME_SERVER", "Found", "NoData", "NoName", "Outcome", "Outside", "Zone", "Zones"]

EMPTY_SERVICE_TTL_S: Final = 5  # at most: how long a service may stay dark after its first instance came
NAME_SERVER: Final = encode_labels("ns")  # below the zone's name
HOSTMASTER: Final = encode_labels("hostmaster")
NS_TTL_S: Final = 172_800  # as Route 53's
REFRESH_RETRY_EXPIRE: Final = (7_200, 900, 1_209_600)  # seconds, as Route 53's


@dataclass(slots=True, kw_only=True, eq=False)
class Zone:
    """A namespace as a zone. Only :class:`Zones` changes it."""

    namespace: Namespace
    name: bytes  # wire form, lower case
    serial: int  # 0..2**32-1: revision of the last change to the zone
    owners: dict[bytes, tuple[Owner, ...]] = field(default_factory=dict)  # of each name the first answers
    below: dict[bytes, int] = field(default_factory=dict)  # name inside the zone → how many owners are under it

    @property
    def negative_ttl_s(self) -> int:
        """How long an absence may be remembered: TTL of the SOA record and its MINIMUM, which are kept equal."""
        return self.namespace.soa_ttl_s or 0

    def soa_rdata(self, name: bytes, ttl_s: int) -> bytes:
        """Return the SOA record's data. ``name`` is the zone's, in full or as a compression pointer."""
        numbers = (self.serial, *REFRESH_RETRY_EXPIRE, ttl_s)
        return NAME_SERVER + name + HOSTMASTER + name + b"".join(number.to_bytes(4, "big") for number in numbers)

    def soa(self) -> RecordSet:
        """Return the SOA record, its names in full."""
        record = Record(self.soa_rdata(self.name, self.negative_ttl_s))
        return RecordSet(rtype=RdataType.SOA, ttl_s=self.negative_ttl_s, records=(record,), drawn=1)

    def name_servers(self) -> RecordSet:
        """Return the NS record."""
        record = Record(NAME_SERVER + self.name)
        return RecordSet(rtype=RdataType.NS, ttl_s=NS_TTL_S, records=(record,), drawn=1)

    def put(self, owner: Owner) -> None:
        """Publish an owner, in the place of what it published at this name before."""
        present = self.owners.get(owner.name, ())
        others = [other for other in present if other.place != owner.place]
        self.owners[owner.name] = (owner,) if not others else tuple(sorted([*others, owner], key=lambda one: one.rank))
        if len(others) == len(present):
            self._count(owner.name, +1)

    def drop(self, name: bytes, place: tuple[str, str | None]) -> None:
        """Withdraw what a service or instance publishes at a name, if it does."""
        present = self.owners.get(name, ())
        others = tuple(other for other in present if other.place != place)
        if len(others) == len(present):
            return
        if others:
            self.owners[name] = others
        else:
            del self.owners[name]
        self._count(name, -1)

    def _count(self, name: bytes, delta: int) -> None:
        """Note at each name between this one and the zone's that there is more, or less, below it."""
        for ancestor in islice(suffixes(name), 1, None):
            if ancestor == self.name:
                break
            self.below[ancestor] = self.below.get(ancestor, 0) + delta
            if not self.below[ancestor]:
                del self.below[ancestor]


@dataclass(frozen=True, slots=True)
class Found:
    """Records of the type, or the CNAME that stands in their place."""

    records: RecordSet
    zone: Zone


@dataclass(frozen=True, slots=True)
class NoData:
    """The name exists and has nothing of the type."""

    zone: Zone
    ttl_s: int  # how long that may be remembered


@dataclass(frozen=True, slots=True)
class NoName:
    """Nothing is at the name, nor below it."""

    zone: Zone


@dataclass(frozen=True, slots=True)
class Outside:
    """The name is in no zone of ours."""


Outcome = Found | NoData | NoName | Outside


class Zones:
    """Every zone, as of one revision of the catalog.

    :param relax_nodata: a service with nothing to answer exists, with no data and for a short while; strictly, as with
        Cloud Map, it does not exist.
    :param multivalue: how many records of a service one answer holds at most; None: all there are.
    :param own_addresses: the addresses of the name server that every zone names, IPv4 or IPv6.
    """

    def __init__(
        self,
        *,
        relax_nodata: bool,
        multivalue: int | None = MULTIVALUE_LIMIT,
        own_addresses: Sequence[str] = (),
    ) -> None:
        self._relax_nodata, self._multivalue = relax_nodata, multivalue
        self._own_addresses = tuple(ip_address(each) for each in own_addresses)
        self._touched: set[bytes] = set()  # zones whose serial has grown
        self._revision = 0
        self._holdings: dict[str, Holding | None] = {}  # service id → what is held; None: DNS does not know the service
        self._zone_of: dict[str, Zone] = {}  # namespace id → zone
        self._zones_named: dict[bytes, list[Zone]] = {}  # the first that a client sees is served

    @classmethod
    def load(
        cls,
        revision: int,
        namespaces: Iterable[Namespace],
        services: Iterable[tuple[Service, int]],
        instances: Iterable[Instance],
        *,
        relax_nodata: bool,
        multivalue: int | None = MULTIVALUE_LIMIT,
        own_addresses: Sequence[str] = (),
    ) -> Self:
        """Return the zones of a whole catalog."""
        zones = cls(relax_nodata=relax_nodata, multivalue=multivalue, own_addresses=own_addresses)
        zones._revision = revision
        for namespace in namespaces:
            zones._add_zone(namespace)
        for service, _ in services:
            zones._hold(service)
        registered: dict[str, list[Instance]] = {}
        for instance in instances:
            holding = zones._holdings[instance.service_id]
            if holding is not None:
                registered.setdefault(holding.service.id, []).append(slim_instance(instance, holding.service))
        for holding in filter(None, zones._holdings.values()):
            holding.instances = tuple(registered.pop(holding.service.id, ()))
            zones._publish(holding, [instance.id for instance in holding.instances])
        return zones

    @property
    def revision(self) -> int:
        """The catalog's revision that the zones follow."""
        return self._revision

    def apply(self, revision: int, change: Change) -> list[bytes] | None:
        """Take a change in and return the names, in lower case, whose answers may be others now; None: any may.

        :raises ValueError: ``revision`` is not the next one.
        :raises KeyError: the change is of something that is not there.
        """
        if revision != self._revision + 1:
            raise ValueError(f"revision {revision} does not follow {self._revision}")
        self._revision = revision
        match change:
            case NamespaceCreated(namespace):
                self._add_zone(namespace)
                return None
            case NamespaceUpdated(namespace):
                self._update_zone(namespace)
                return None
            case NamespaceDeleted(namespace_id):
                self._remove_zone(namespace_id)
                return None
            case ServiceCreated(service):
                holding = self._hold(service)
                return [] if holding is None else self._publish(holding, ())
            case ServiceUpdated(service):
                return self._update_service(service)
            case ServiceDeleted(service_id):
                holding = self._holdings.pop(service_id)
                return [] if holding is None else self._withdraw(holding.service)
            case InstanceRegistered(instance):
                return self._change(instance.service_id, instance.id, lambda holding: holding.put(instance))
            case InstanceDeregistered(service_id, instance_id):
                return self._change(service_id, instance_id, lambda holding: holding.drop(instance_id))
            case InstanceChanged(service_id, instance_id):
                return self._change(service_id, instance_id, lambda holding: holding.change(instance_id, change))
            case OperationFailed():
                return []
            case _:
                assert_never(change)

    def lookup(self, name: bytes, rtype: int, view: View = None) -> Outcome:
        """Return what is at a name (wire form, lower case) for a record type."""
        zone = self._find_zone(name, view)
        if zone is None:
            return Outside()
        if name == zone.name:
            return _apex(zone, rtype)
        owners = zone.owners.get(name)
        if owners is None:
            is_ours = name == NAME_SERVER + zone.name
            glue = self.glue(rtype) if is_ours else None
            if glue is not None:
                return Found(glue, zone)
            return NoData(zone, zone.negative_ttl_s) if is_ours or name in zone.below else NoName(zone)
        records = record_set(owners[0], rtype, multivalue=self._multivalue)
        if records is not None:
            return Found(records, zone)
        empty = not owners[0].instances
        return NoData(zone, min(zone.negative_ttl_s, EMPTY_SERVICE_TTL_S) if empty else zone.negative_ttl_s)

    def glue(self, rtype: int) -> RecordSet | None:
        """Return the addresses of the zones' name server, which is this one; None if none of the type is known."""
        for family, version in ((RdataType.A, 4), (RdataType.AAAA, 6)):
            own = tuple(Record(each.packed) for each in self._own_addresses if each.version == version)
            if own and rtype in (family, RdataType.ANY):
                return RecordSet(rtype=family, ttl_s=NS_TTL_S, records=own, drawn=len(own))
        return None

    def is_published(self, name: bytes, view: View = None) -> bool:
        """Tell whether a service publishes a name (wire form, lower case): the zone's own names are not meant."""
        zone = self._find_zone(name, view)
        return zone is not None and name in zone.owners

    def zone_at(self, name: bytes, view: View = None) -> Zone | None:
        """Return the zone that has this very name (wire form, lower case)."""
        zone = self._find_zone(name, view)
        return zone if zone is not None and zone.name == name else None

    def names(self) -> set[bytes]:
        """Return the names of all zones."""
        return set(self._zones_named)

    def take_touched(self) -> set[bytes]:
        """Return the names of the zones that have changed since this was last asked."""
        touched, self._touched = self._touched, set()
        return touched

    def _find_zone(self, name: bytes, view: View) -> Zone | None:
        for suffix in suffixes(name):
            for zone in self._zones_named.get(suffix, ()):
                if view is None or zone.namespace.vpc in (None, view):
                    return zone
        return None

    def _touch(self, zone: Zone) -> None:
        zone.serial = _serial(self._revision)
        self._touched.add(zone.name)

    def _add_zone(self, namespace: Namespace) -> None:
        if namespace.soa_ttl_s is None:
            return  # discovered by API alone
        try:
            name = encode_name(namespace.name).lower()
            encode_name("hostmaster", name)
        except InvalidName:
            return  # no room is left for the names of its own SOA record
        zone = Zone(namespace=namespace, name=name, serial=_serial(self._revision))
        self._zone_of[namespace.id] = zone
        zones = self._zones_named.setdefault(name, [])
        zones.append(zone)
        zones.sort(key=lambda each: (each.namespace.vpc is None, each.namespace.created_ms, each.namespace.id))
        self._touched.add(name)

    def _update_zone(self, namespace: Namespace) -> None:
        zone = self._zone_of.get(namespace.id)
        if zone is not None:
            zone.namespace = namespace
            self._touch(zone)

    def _remove_zone(self, namespace_id: str) -> None:
        zone = self._zone_of.pop(namespace_id, None)
        if zone is None:
            return
        zones = self._zones_named[zone.name]
        zones.remove(zone)
        for other in zones:
            self._touch(other)  # whoever has the name now, its serial goes on from where the other's was
        if not zones:
            del self._zones_named[zone.name]

    def _hold(self, service: Service) -> Holding | None:
        """Keep a service, if DNS knows it."""
        zone, _ = self._place_of(service)
        holding = None if zone is None else Holding(slim_service(service))
        self._holdings[service.id] = holding
        return holding

    def _update_service(self, service: Service) -> list[bytes]:
        holding = self._holdings[service.id]
        if holding is None:
            return []
        holding.service = slim_service(service)
        return self._publish(holding, [instance.id for instance in holding.instances])

    def _change(self, service_id: str, instance_id: str, change: Callable[[Holding], None]) -> list[bytes]:
        holding = self._holdings[service_id]
        if holding is None:
            return []
        change(holding)
        return self._publish(holding, (instance_id,))

    def _publish(self, holding: Holding, instance_ids: Iterable[str]) -> list[bytes]:
        """Bring a service's own name, and the targets of these instances, up to date; return these names."""
        service = holding.service
        zone, name = self._place_of(service)
        if zone is None:
            return []
        self._touch(zone)
        answerable = select_answerable(holding.instances, fail_open=service.fails_open).instances
        if answerable == holding.instances:
            answerable = holding.instances  # one tuple suffices
        if answerable or self._relax_nodata:
            zone.put(Owner(name=name, service=service, instance_id=None, instances=answerable))
        else:
            zone.drop(name, (service.id, None))
        if all(record.type is not RecordType.SRV for record in service.records):
            return [name]
        return [name, *_publish_targets(zone, name, holding, instance_ids)]

    def _withdraw(self, service: Service) -> list[bytes]:
        """Take away the name of a service, which has no instances left; return it."""
        zone, name = self._place_of(service)
        if zone is None:
            return []
        self._touch(zone)
        zone.drop(name, (service.id, None))
        return [name]

    def _place_of(self, service: Service) -> tuple[Zone | None, bytes]:
        """Return the zone of a service and its name there; no zone if DNS does not know it."""
        zone = self._zone_of.get(service.namespace_id)
        if zone is None or not service.records:
            return None, b""
        try:
            return zone, encode_name(service.name, zone.name).lower()
        except InvalidName:
            return None, b""  # the rules refuse such a name


def _publish_targets(zone: Zone, name: bytes, holding: Holding, instance_ids: Iterable[str]) -> Iterator[bytes]:
    """Bring the targets of these instances of an SRV service up to date; yield their names."""
    service = holding.service
    for instance_id in instance_ids:
        try:
            target = encode_name(instance_id, name).lower()
        except InvalidName:
            continue  # the rules refuse such an id for SRV
        instance = holding.get(instance_id)
        alone = select_answerable([] if instance is None else [instance], fail_open=service.fails_open).instances
        if alone:
            zone.put(Owner(name=target, service=service, instance_id=instance_id, instances=alone))
        else:
            zone.drop(target, (service.id, instance_id))
        yield target


def _apex(zone: Zone, rtype: int) -> Found | NoData:
    if rtype in (RdataType.SOA, RdataType.ANY):
        return Found(zone.soa(), zone)
    if rtype == RdataType.NS:
        return Found(zone.name_servers(), zone)
    return NoData(zone, zone.negative_ttl_s)


def _serial(revision: int) -> int:
    return revision % 2**32
