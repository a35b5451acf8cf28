"""The catalog as zones: which zone a name belongs to, and what is at the name.

One zone per DNS namespace. The longest matching zone answers, without falling back to a shorter one; of zones with the
same name (namespaces of several VPCs or accounts) one is served: a private one before a public one, then the oldest.
Clients of a VPC see its private zones and the public ones. Source: RFC 1034 section 4.3.2, RFC 2308
(NODATA against NXDOMAIN), RFC 8020 (empty non-terminals exist).
"""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
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
from waypost.nameserver.held import HeldInstance, HeldService
from waypost.nameserver.holdings import Holding
from waypost.nameserver.names import InvalidName, encode_name, suffixes
from waypost.nameserver.records import MULTIVALUE_LIMIT, Additional, Named, Record, RecordSet, Target, record_set
from waypost.nameserver.zone import NAME_SERVER, NS_TTL_S, Zone

__all__ = ["Found", "NoData", "NoName", "Outcome", "Outside", "Zones"]

FOLLOWED_TYPES: Final = frozenset({RdataType.A, RdataType.AAAA, RdataType.SRV})  # others cost little to look up
EMPTY_SERVICE_TTL_S: Final = 5  # at most: how long a service may stay dark after its first instance came


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
        self._followed: defaultdict[bytes, dict[tuple[int, View], Outcome]] = defaultdict(dict)
        self._unsettled: dict[str, set[str]] = {}  # service id → instances that have changed since it was published
        self._zone_of: dict[str, Zone] = {}  # namespace id → zone
        self._zones_named: dict[bytes, list[Zone]] = {}  # the first that a client sees is served
        self._names_below: defaultdict[bytes, set[bytes]] = defaultdict(set)  # name → those of the zones under it

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
        registered: dict[str, list[HeldInstance]] = {}
        for instance in instances:
            holding = zones._holdings[instance.service_id]
            if holding is not None:
                registered.setdefault(holding.service.id, []).append(HeldInstance.of(instance, holding.service))
        for holding in filter(None, zones._holdings.values()):
            holding.fill(registered.pop(holding.service.id, ()))
            zones._publish(holding, None)
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
        names = self._apply(change)
        if names is None:
            self._followed.clear()
        else:
            for name in names:
                self._followed.pop(name, None)
        return names

    def _apply(self, change: Change) -> list[bytes] | None:
        if isinstance(change, InstanceRegistered | InstanceDeregistered | InstanceChanged):
            return self._take_in(change)
        self._settle()
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
                return [] if holding is None else self._publish_anew(holding)
            case ServiceUpdated(service):
                return self._update_service(service)
            case ServiceDeleted(service_id):
                holding = self._holdings.pop(service_id)
                return [] if holding is None else self._withdraw(holding.service)
            case OperationFailed():
                return []
            case _:
                assert_never(change)

    def _take_in(self, change: InstanceRegistered | InstanceDeregistered | InstanceChanged) -> list[bytes]:
        if isinstance(change, InstanceRegistered):
            service_id, instance_id = change.instance.service_id, change.instance.id
        else:
            service_id, instance_id = change.service_id, change.instance_id
        holding = self._holdings[service_id]
        if holding is None:
            return []
        if isinstance(change, InstanceRegistered):
            holding.put(change.instance)
        elif isinstance(change, InstanceDeregistered):
            holding.drop(instance_id)
        else:
            holding.change(instance_id, change)
        self._touch(self._zone_of[holding.service.namespace_id])
        self._unsettled.setdefault(service_id, set()).add(instance_id)
        return [holding.service.name, *_targets(holding.service, (instance_id,)).values()]

    def lookup(self, name: bytes, rtype: int, view: View = None) -> Outcome:
        """Return what is at a name (wire form, lower case) for a record type."""
        self._settle()
        zone = self._find_zone(name, view)
        if zone is None:
            return Outside()
        if name == zone.name:
            return self._at_apex(zone, rtype)
        owner = zone.owner_of(name)
        if owner is None:
            is_ours = name == NAME_SERVER + zone.name
            glue = self.glue(rtype) if is_ours else None
            if glue is not None:
                return Found(glue, zone)
            exists = is_ours or name in zone.below or self._is_above_a_zone(name, view)
            return NoData(zone, zone.negative_ttl_s) if exists else NoName(zone)
        records = record_set(name, owner, rtype, multivalue=self._multivalue)
        if records is not None:
            return Found(records, zone)
        empty = not owner.instances
        return NoData(zone, min(zone.negative_ttl_s, EMPTY_SERVICE_TTL_S) if empty else zone.negative_ttl_s)

    def follow(self, name: bytes, rtype: int, view: View = None) -> Outcome:
        """Return what ``lookup`` does, kept while it holds: for names that answers lead to, and ask for each time."""
        if rtype not in FOLLOWED_TYPES:
            return self.lookup(name, rtype, view)
        kept = self._followed.get(name)
        outcome = None if kept is None else kept.get((rtype, view))
        if outcome is None:
            outcome = self.lookup(name, rtype, view)
            if self.is_published(name, view):
                self._followed[name][rtype, view] = outcome
        return outcome

    def _at_apex(self, zone: Zone, rtype: int) -> Found | NoData:
        if rtype in (RdataType.SOA, RdataType.ANY):
            return Found(zone.soa(), zone)
        if rtype == RdataType.NS:
            return Found(zone.name_servers(self._addresses_of_ns(zone)), zone)
        return NoData(zone, zone.negative_ttl_s)

    def _addresses_of_ns(self, zone: Zone) -> tuple[Additional, ...]:
        if NAME_SERVER + zone.name in zone.owners:
            return ()  # a service has the name
        return tuple(
            Additional(NAME_SERVER, RdataType.A if each.version == 4 else RdataType.AAAA, each.packed)
            for each in self._own_addresses
        )

    def glue(self, rtype: int) -> RecordSet | None:
        """Return the addresses of the zones' name server, which is this one; None if none of the type is known."""
        for family, version in ((RdataType.A, 4), (RdataType.AAAA, 6)):
            own = tuple(Record(each.packed) for each in self._own_addresses if each.version == version)
            if own and rtype in (family, RdataType.ANY):
                return RecordSet(rtype=family, ttl_s=NS_TTL_S, records=own, drawn=len(own))
        return None

    def is_published(self, name: bytes, view: View = None) -> bool:
        """Tell whether a service publishes a name (wire form, lower case): the zone's own names are not meant."""
        self._settle()
        zone = self._find_zone(name, view)
        return zone is not None and name in zone.owners

    def zone_at(self, name: bytes, view: View = None) -> Zone | None:
        """Return the zone that has this very name (wire form, lower case)."""
        self._settle()
        zone = self._find_zone(name, view)
        return zone if zone is not None and zone.name == name else None

    def names(self) -> set[bytes]:
        """Return the names of all zones."""
        return set(self._zones_named)

    def names_inside(self, zone: Zone, view: View = None) -> frozenset[bytes]:
        """Return the names of the zones below a zone that a client sees: there they answer, and it does not."""
        below = self._names_below.get(zone.name, ())
        return frozenset(name for name in below if self.zone_at(name, view) is not None)

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

    def _note_around(self, name: bytes) -> None:
        """Note at what is around a zone's name that there is such a zone now, or none any more."""
        for suffix in islice(suffixes(name), 1, None):
            for zone in self._zones_named.get(suffix, ()):
                self._touch(zone)  # another part of it is hidden
            below = self._names_below[suffix]
            if name in self._zones_named:
                below.add(name)
            else:
                below.discard(name)
            if not below:
                del self._names_below[suffix]

    def _is_above_a_zone(self, name: bytes, view: View) -> bool:
        below = self._names_below.get(name, ())
        return any(self.zone_at(each, view) is not None for each in below)

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
        self._note_around(name)

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
        self._note_around(zone.name)

    def _hold(self, service: Service) -> Holding | None:
        """Keep a service, if DNS knows it."""
        held = self._held(service)
        holding = None if held is None else Holding(held)
        self._holdings[service.id] = holding
        return holding

    def _update_service(self, service: Service) -> list[bytes]:
        holding = self._holdings[service.id]
        if holding is None:
            return []
        held = self._held(service)
        assert held is not None, "neither the name of a service nor the types of its records change"
        holding.service = held
        return self._publish_anew(holding)

    def _publish_anew(self, holding: Holding) -> list[bytes]:
        """Publish a service with all its instances; return its names."""
        self._touch(self._zone_of[holding.service.namespace_id])
        return self._publish(holding, None)

    def _settle(self) -> None:
        """Publish what instances have changed, before anybody asks: once, however many changes have come.

        To publish a service costs as much as it has instances. A burst of changes must not pay that each time.
        """
        if not self._unsettled:
            return
        unsettled, self._unsettled = self._unsettled, {}
        for service_id, instance_ids in unsettled.items():
            holding = self._holdings[service_id]
            assert holding is not None
            self._publish(holding, instance_ids)

    def _publish(self, holding: Holding, instance_ids: Iterable[str] | None) -> list[bytes]:
        """Bring a service's own name, and the targets of these instances, up to date; return these names.

        :param instance_ids: None: of all instances.
        """
        service, instances = holding.service, holding.instances
        zone, name = self._zone_of[service.namespace_id], service.name
        answerable = select_answerable(instances, fail_open=service.fails_open).instances
        if answerable == instances:
            answerable = instances  # one tuple suffices
        if answerable or self._relax_nodata:
            zone.put(name, Named(service, answerable))
        else:
            zone.drop(name, (service.id, None))
        if not _has_targets(service):
            return [name]
        present = {instance.id: instance for instance in instances}
        targets = _targets(service, present if instance_ids is None else instance_ids)
        for instance_id, target in targets.items():
            _publish_target(zone, target, service, instance_id, present.get(instance_id))
        return [name, *targets.values()]

    def _withdraw(self, service: HeldService) -> list[bytes]:
        """Take away the name of a service, which has no instances left; return it."""
        zone = self._zone_of[service.namespace_id]
        self._touch(zone)
        zone.drop(service.name, (service.id, None))
        return [service.name]

    def _held(self, service: Service) -> HeldService | None:
        """Return what is kept of a service; None if DNS does not know it."""
        zone = self._zone_of.get(service.namespace_id)
        if zone is None or not service.records:
            return None
        try:
            return HeldService.of(service, encode_name(service.name, zone.name).lower())
        except InvalidName:
            return None  # the rules refuse such a name


def _has_targets(service: HeldService) -> bool:
    return RecordType.SRV in [record.type for record in service.records]


def _targets(service: HeldService, instance_ids: Iterable[str]) -> dict[str, bytes]:
    """Return the targets of these instances, if the service has SRV records; ids that differ by case share one."""
    targets: dict[str, bytes] = {}
    if _has_targets(service):
        for instance_id in instance_ids:
            with suppress(InvalidName):  # the rules refuse such an id for SRV
                targets[instance_id] = encode_name(instance_id, service.name).lower()
    return targets


def _publish_target(
    zone: Zone, target: bytes, service: HeldService, instance_id: str, instance: HeldInstance | None
) -> None:
    alone = select_answerable([] if instance is None else [instance], fail_open=service.fails_open).instances
    if alone:
        zone.put(target, Target(service, alone[0]))
    else:
        zone.drop(target, (service.id, instance_id))


def _serial(revision: int) -> int:
    return revision % 2**32
