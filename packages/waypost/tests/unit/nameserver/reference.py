"""The answers that RFC 1034 section 4.3.2 gives, worked out the slow way: from the catalog, in text, by dnspython.

It shares nothing with the nameserver but the rule of which instances may be handed out, and knows nothing of octets,
compiled answers or incremental changes. Where chance decides, it checks that what was drawn could have been.
"""

import ipaddress
from dataclasses import dataclass

import dns.message
import dns.name
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from waypost.catalog.index import Catalog, ServiceEntry
from waypost.catalog.model import Instance, Namespace, NamespaceType, RecordType, RoutingPolicy, decode_attributes
from waypost.catalog.selection import select_answerable

ADDRESS = {"A": "AWS_INSTANCE_IPV4", "AAAA": "AWS_INSTANCE_IPV6"}
CHAIN = 8


@dataclass(frozen=True)
class Found:
    """What a name has of one type: each record as text, and how many of them a reply holds."""

    rtype: str
    ttl_s: int
    records: frozenset[str]
    aliases: frozenset[str]
    drawn: int


@dataclass
class Reference:
    """Judges replies."""

    catalog: Catalog
    relax_nodata: bool
    multivalue: int = 8

    def names(self) -> list[str]:
        """Return every name that has, or had, something to answer, the zones' own among them."""
        dns_namespaces = [each for each in self.catalog.namespaces() if each.type is not NamespaceType.HTTP]
        published = {name for namespace in dns_namespaces for name in self._owners(namespace)}
        return sorted(published | {f"{each.name}." for each in dns_namespaces})

    def check(self, name: str, rtype: str, reply: dns.message.Message) -> None:
        """Raise AssertionError unless this is a right reply to a question that was asked by TCP."""
        left = {(rrset.name.to_text().lower(), dns.rdatatype.to_text(rrset.rdtype)): rrset for rrset in reply.answer}
        at = dns.name.from_text(name).to_text().lower()
        seen: set[str] = set()
        while True:
            zone = self._zone(at)
            if zone is None:
                assert reply.rcode() == (dns.rcode.NOERROR if seen else dns.rcode.REFUSED)
                assert not reply.authority
                break
            found = self._at(zone, at, rtype)
            if isinstance(found, str):
                self._check_absence(zone, found, reply)
                break
            if found.rtype == "CNAME" and rtype not in ("CNAME", "ANY"):
                if at in seen or len(seen) == CHAIN:
                    assert reply.rcode() == dns.rcode.NOERROR
                    assert not reply.authority
                    break
                seen.add(at)
                rrset = left.pop((at, "CNAME"))
                assert len(rrset) == 1
                assert rrset.ttl == found.ttl_s
                assert rrset[0].to_text() in found.records
                at = rrset[0].to_text().lower()
                continue
            if found.aliases:
                return  # a table of its own holds what is behind aliases
            rrset = left.pop((at, found.rtype))
            assert rrset.ttl == found.ttl_s
            texts = {record.to_text() for record in rrset}
            assert texts <= found.records
            assert len(texts) == len(rrset) == found.drawn
            assert reply.rcode() == dns.rcode.NOERROR
            assert not reply.authority
            self._check_additional(rrset, reply)
            break
        assert not left, left
        if not any(rrset.rdtype == dns.rdatatype.SRV for rrset in reply.answer):
            assert not reply.additional

    def _check_absence(self, zone: Namespace, absence: str, reply: dns.message.Message) -> None:
        assert reply.rcode() == (dns.rcode.NXDOMAIN if absence == "no name" else dns.rcode.NOERROR)
        (soa,) = reply.authority
        assert soa.name.to_text().lower() == dns.name.from_text(zone.name).to_text().lower()
        expected = zone.soa_ttl_s or 0
        if absence == "empty service":
            expected = min(5, expected)
        assert (soa.ttl, soa[0].minimum) == (expected, expected)

    def _check_additional(self, rrset: dns.rrset.RRset, reply: dns.message.Message) -> None:
        if rrset.rdtype != dns.rdatatype.SRV:
            return
        held = {record.target.to_text().lower() for record in rrset}
        for extra in reply.additional:
            assert extra.name.to_text().lower() in held
        for target in held:
            zone = self._zone(target)
            assert zone is not None
            for rtype in ADDRESS:
                found = self._owner_sets(zone, target)
                if found is None or not self._is_target(zone, target):
                    continue  # a service has this very name
                expected = found.get(rtype)
                heard = [extra for extra in reply.additional if extra.name.to_text().lower() == target]
                texts = {r.to_text() for e in heard if dns.rdatatype.to_text(e.rdtype) == rtype for r in e}
                assert texts == (expected.records if expected is not None else set())

    def _zone(self, name: str) -> Namespace | None:
        fitting = [
            namespace
            for namespace in self.catalog.namespaces()
            if namespace.type is not NamespaceType.HTTP
            and dns.name.from_text(name).is_subdomain(dns.name.from_text(namespace.name))
        ]
        return min(
            fitting, key=lambda each: (-len(dns.name.from_text(each.name)), each.created_ms, each.id), default=None
        )

    def _at(self, zone: Namespace, name: str, rtype: str) -> Found | str:
        apex = dns.name.from_text(zone.name).to_text().lower()
        if name == apex:
            return self._at_apex(zone, rtype)
        sets = self._owner_sets(zone, name)
        if sets is None:
            spaces = (each for each in self.catalog.namespaces() if each.type is not NamespaceType.HTTP)
            below = any(
                dns.name.from_text(other).is_subdomain(dns.name.from_text(name))
                for other in (*self._owners(zone), *(each.name for each in spaces))
            )
            return "no data" if below or name == f"ns.{apex}" else "no name"
        if "CNAME" in sets:
            return sets["CNAME"]
        wanted = next(iter(sets), None) if rtype == "ANY" else rtype
        if wanted in sets:
            return sets[wanted]
        return "no data" if self._has_instances(zone, name) else "empty service"

    def _at_apex(self, zone: Namespace, rtype: str) -> Found | str:
        name = dns.name.from_text(zone.name).to_text()
        if rtype == "NS":
            return Found("NS", 172_800, frozenset({f"ns.{name}".lower()}), frozenset(), 1)
        return "no data"

    def _owners(self, zone: Namespace) -> dict[str, list[tuple[ServiceEntry, Instance | None]]]:
        """Return who publishes which name of a zone, the one that is answered first."""
        owners: dict[str, list[tuple[ServiceEntry, Instance | None]]] = {}
        for entry in sorted(
            self.catalog.services_of(zone.id), key=lambda each: (each.service.created_ms, each.service.id)
        ):
            name = self._name(entry, zone)
            if entry.service.records and (self.relax_nodata or _answerable(entry)):
                present = owners.setdefault(name, [])
                present.insert(sum(instance is None for _, instance in present), (entry, None))
            if any(record.type is RecordType.SRV for record in entry.service.records):
                for instance in sorted(entry.instances.values(), key=lambda each: (not each.well, each.id)):
                    if select_answerable([instance]).instances:
                        target = dns.name.from_text(_escaped(instance.id), dns.name.from_text(name))
                        owners.setdefault(target.to_text().lower(), []).append((entry, instance))
        return owners

    def _owner_sets(self, zone: Namespace, name: str) -> dict[str, Found] | None:
        owners = self._owners(zone).get(name)
        if not owners:
            return None
        entry, target = owners[0]
        if target is not None:
            ttl_s = entry.service.records[0].ttl_s
            return _found_sets(dict.fromkeys(ADDRESS, ttl_s), entry, (target,), name, self.multivalue)
        ttls = {record.type.value: record.ttl_s for record in entry.service.records}
        return _found_sets(ttls, entry, _answerable(entry), name, self.multivalue)

    def _is_target(self, zone: Namespace, name: str) -> bool:
        return self._owners(zone)[name][0][1] is not None

    def _has_instances(self, zone: Namespace, name: str) -> bool:
        entry, target = self._owners(zone)[name][0]
        return target is not None or bool(_answerable(entry))

    @staticmethod
    def _name(entry: ServiceEntry, zone: Namespace) -> str:
        return dns.name.from_text(f"{entry.service.name}.{zone.name}").to_text().lower()


def _found_sets(
    ttls: dict[str, int], entry: ServiceEntry, instances: tuple[Instance, ...], name: str, multivalue: int
) -> dict[str, Found]:
    found = {}
    limit = 1 if entry.service.routing is RoutingPolicy.WEIGHTED else multivalue
    for rtype, ttl_s in ttls.items():
        attributes = [decode_attributes(instance.attributes) for instance in instances]
        aliases = frozenset(each["AWS_ALIAS_DNS_NAME"] for each in attributes if "AWS_ALIAS_DNS_NAME" in each)
        records = frozenset(filter(None, map(lambda i, a: _text(rtype, i, a, name), instances, attributes)))
        if records or (aliases and rtype in ADDRESS):
            different = {record.lower() for record in records}
            found[rtype] = Found(rtype, ttl_s, records, aliases, min(limit, len(different)))
    return found


def _text(rtype: str, instance: Instance, attributes: dict[str, str], name: str) -> str | None:
    if rtype == "CNAME":
        return (
            dns.name.from_text(attributes["AWS_INSTANCE_CNAME"]).to_text()
            if "AWS_INSTANCE_CNAME" in attributes
            else None
        )
    if rtype == "SRV":
        target = dns.name.from_text(_escaped(instance.id), dns.name.from_text(name)).to_text()
        return f"1 1 {attributes['AWS_INSTANCE_PORT']} {target}" if "AWS_INSTANCE_PORT" in attributes else None
    address = attributes.get(ADDRESS[rtype])
    return None if address is None else str(ipaddress.ip_address(address))


def _escaped(instance_id: str) -> str:
    return "".join(f"\\{char}" if char in '@$()";\\' else char for char in instance_id)


def _answerable(entry: ServiceEntry) -> tuple[Instance, ...]:
    return select_answerable(entry.instances.values()).instances
