"""The nameserver against a reference that works everything out the slow way, on catalogs and questions made at random.

Three servers answer each question: one that followed every change and answers from what it has kept, the same with
nothing kept, and one that was loaded with the catalog as it is. All must be right by the reference.
"""

from collections.abc import Iterator
from random import Random
from typing import Any

import dns.flags
import dns.message
import dns.rcode
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from waypost.catalog.model import Health, NamespaceType
from waypost.nameserver.messages import Transport

from .catalogs import History
from .conversations import answerer_of, exchange
from .reference import Reference

NAMESPACES = ("example.internal", "Deep.example.internal", "internal", "example.org", "_tcp.example.internal")
SERVICES = ("web", "Web2", "_http._tcp", "a.b.c", "i-1.web", "ns", "deep")
INSTANCES = ("i-1", "I-2", "10.0.0.5", "a:b/c", "x@y", "b.web", "web")
RECORDS = ("A 2", "A 2, AAAA 3", "AAAA 0", "SRV 5", "CNAME 7", "")
TYPES = ("A", "AAAA", "SRV", "CNAME", "ANY", "TXT", "NS", "HTTPS", "TYPE97")


class Life:
    """A history that is made up as it goes."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.history = History()
        self.namespaces: list[str] = []
        self.services: dict[str, tuple[str, str]] = {}  # id → its namespace and records

    def step(self) -> None:
        """Let something happen."""
        moves = [self._create_namespace] * 2 + [self._create_service] * 3 + [self._register] * 8
        moves += [self._change_health] * 4 + [self._deregister] * 2 + [self._delete]
        self.random.choice(moves)()

    def _create_namespace(self) -> None:
        if len(self.namespaces) < 6:
            kinds = [NamespaceType.DNS_PRIVATE] * 6 + [NamespaceType.HTTP]
            kind = self.random.choice(kinds)
            soa_ttl_s = self.random.choice((0, 3, 15))
            self.namespaces.append(self.history.namespace(self._one(NAMESPACES), kind=kind, soa_ttl_s=soa_ttl_s))

    def _create_service(self) -> None:
        if not self.namespaces:
            return
        namespace = self._one(self.namespaces)
        name, records = self._one(SERVICES), self._one(RECORDS)
        taken = self.history.catalog.services_of(namespace)
        if any(entry.service.name.lower() == name.lower() for entry in taken):
            return
        weighted = "CNAME" in records or self.random.random() < 0.3
        service = self.history.service(namespace, name, records, weighted=weighted)
        self.services[service] = (namespace, records)

    def _register(self) -> None:
        if not self.services:
            return
        service = self._one(list(self.services))
        several = range(self.random.choice((1, 1, 1, 10)))
        for number in several:
            instance = self._one(INSTANCES) if len(several) == 1 else f"i-{number}"
            last = self.random.randrange(12) + number
            target = f"{self._one(SERVICES)}.{self._one(NAMESPACES)}"
            self.history.instance(
                service,
                instance,
                ipv4=f"192.0.2.{last}",
                ipv6=f"2001:db8::{last:x}" if self.random.random() < 0.7 else None,
                port=str(80 + last % 3),
                cname=self._one((target, f"{target}.", "www.example.net")),
                supervised=self.random.random() < 0.3,
                health=self._one((Health.HEALTHY, Health.HEALTHY, Health.UNHEALTHY)),
            )

    def _change_health(self) -> None:
        for service, instance in self._some_instance():
            self.history.health(service, instance, self._one((Health.HEALTHY, Health.UNHEALTHY)))

    def _deregister(self) -> None:
        for service, instance in self._some_instance():
            self.history.deregister(service, instance)

    def _delete(self) -> None:
        for service in list(self.services):
            if not self.history.catalog.entry_of[service].instances and self.random.random() < 0.5:
                self.history.delete_service(service)
                del self.services[service]
        for namespace in list(self.namespaces):
            if not self.history.catalog.services_of(namespace) and self.random.random() < 0.3:
                self.history.delete_namespace(namespace)
                self.namespaces.remove(namespace)

    def _some_instance(self) -> Iterator[tuple[str, str]]:
        present = [
            (service, instance)
            for service in self.services
            for instance in self.history.catalog.entry_of[service].instances
        ]
        if present:
            yield self._one(present)

    def _one(self, choices: Any) -> Any:
        return self.random.choice(choices)


def questions(random: Random, published: list[str]) -> Iterator[tuple[str, str]]:
    """Yield names that are there and names that may be, in odd case, each with a type."""
    for _ in range(8 if published else 0):
        yield random.choice(published), random.choice(TYPES[:4] if random.random() < 0.8 else TYPES)
    for _ in range(6):
        parts = [random.choice(NAMESPACES)]
        if random.random() < 0.9:
            parts.insert(0, random.choice(SERVICES))
        if random.random() < 0.4:
            parts.insert(0, random.choice(INSTANCES))
        name = "".join(char.upper() if random.random() < 0.3 else char for char in ".".join(parts))
        yield name.replace("@", r"\@"), random.choice(TYPES)


@given(st.integers(0, 2**32), st.booleans())
@settings(deadline=None, max_examples=20)
def test_every_answer_is_the_reference_s_however_the_catalog_came_to_be(seed: int, relax_nodata: bool) -> None:
    random = Random(seed)
    life = Life(random)
    following = answerer_of(life.history, relax_nodata=relax_nodata)
    for _ in range(6):
        before = life.history.catalog.revision
        for _ in range(random.randrange(1, 12)):
            life.step()
        if life.history.catalog.revision > before:
            following.apply(life.history.since(before))
        loaded = answerer_of(life.history, relax_nodata=relax_nodata)
        reference = Reference(life.history.catalog, relax_nodata)
        for name, rtype in questions(random, reference.names()):
            query = dns.message.make_query(name, rtype)
            for answerer in (following, following, loaded):
                reply = exchange(answerer, query, Transport.TCP)
                assert bool(reply.flags & dns.flags.AA) == (reply.rcode() != dns.rcode.REFUSED)
                if rtype == "ANY" and not reply.authority and reply.rcode() == dns.rcode.NOERROR:
                    continue  # one set of those that there are, or the SOA record: RFC 8482 leaves the choice
                reference.check(name, rtype, reply)


@pytest.mark.soak
@pytest.mark.timeout(1800)
@given(st.integers(0, 2**32), st.booleans())
@settings(deadline=None, max_examples=3_000)
def test_thousands_of_catalogs_are_answered_as_the_reference_does(seed: int, relax_nodata: bool) -> None:
    test_every_answer_is_the_reference_s_however_the_catalog_came_to_be.hypothesis.inner_test(seed, relax_nodata)  # type: ignore[attr-defined]
