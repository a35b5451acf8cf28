"""One zone: the names in it, who publishes them, and the zone's own records. Source: RFC 1035 section 3.3.13."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from dns.rdatatype import RdataType

from waypost.catalog.model import Namespace
from waypost.nameserver.names import encode_labels, suffixes
from waypost.nameserver.records import Additional, Owner, Record, RecordSet

__all__ = ["NAME_SERVER", "NS_TTL_S", "Zone"]

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
    owners: dict[bytes, Owner | tuple[Owner, ...]] = field(default_factory=dict)  # a tuple only where there are several
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

    def name_servers(self, addresses: tuple[Additional, ...] = ()) -> RecordSet:
        """Return the NS record. ``addresses`` are those of the server that it names."""
        record = Record(NAME_SERVER + self.name, addresses)
        return RecordSet(rtype=RdataType.NS, ttl_s=NS_TTL_S, records=(record,), drawn=1)

    def owner_of(self, name: bytes) -> Owner | None:
        """Return who answers for a name; None: nobody publishes it."""
        owners = self._owners_of(name)
        return owners[0] if owners else None

    def each_owner(self) -> Iterator[tuple[bytes, Owner]]:
        """Yield every name that is published, with who answers for it."""
        for name, owners in self.owners.items():
            yield name, owners[0] if isinstance(owners, tuple) else owners

    def put(self, name: bytes, owner: Owner) -> None:
        """Publish an owner, in the place of what it published at this name before."""
        present = self._owners_of(name)
        others = [other for other in present if other.place != owner.place]
        self._keep(name, sorted([*others, owner], key=lambda one: one.rank) if others else [owner])
        if len(others) == len(present):
            self._count(name, +1)

    def drop(self, name: bytes, place: tuple[str, str | None]) -> None:
        """Withdraw what a service or instance publishes at a name, if it does."""
        present = self._owners_of(name)
        others = [other for other in present if other.place != place]
        if len(others) == len(present):
            return
        self._keep(name, others)
        self._count(name, -1)

    def _owners_of(self, name: bytes) -> tuple[Owner, ...]:
        owners = self.owners.get(name, ())
        return owners if isinstance(owners, tuple) else (owners,)

    def _keep(self, name: bytes, owners: list[Owner]) -> None:
        if len(owners) > 1:
            self.owners[name] = tuple(owners)
        elif owners:
            (self.owners[name],) = owners
        else:
            del self.owners[name]

    def _count(self, name: bytes, delta: int) -> None:
        """Note at each name between this one and the zone's that there is more, or less, below it."""
        for ancestor in islice(suffixes(name), 1, None):
            if ancestor == self.name:
                break
            self.below[ancestor] = self.below.get(ancestor, 0) + delta
            if not self.below[ancestor]:
                del self.below[ancestor]
