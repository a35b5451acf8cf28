"""What the nameserver answers for a service right now: asked as any client would ask it.

An answer holds at most eight of many instances, in random order: who wants to see one of them asks again.
"""

from typing import Protocol

import dns.asyncquery
import dns.exception
import dns.message
import dns.name
import dns.rdatatype
import dns.rdtypes.IN.A
import dns.rdtypes.IN.SRV

from waypost.settings import ListenAddress
from waypost.tasks.task_life import TaskLife

__all__ = ["Answers", "NameserverAnswers"]

TIMEOUT_S = 1.0


class Answers(Protocol):
    """Tells who is answered."""

    async def among(self, service: str, lives: list[TaskLife]) -> set[str]:
        """Return the instance ids of those of these tasks that one answer names; none if there is no answer."""


class NameserverAnswers:
    """Asks a nameserver."""

    def __init__(self, nameserver: ListenAddress, namespace: str, *, single_address: bool) -> None:
        self._nameserver, self._namespace = nameserver, namespace
        self._single_address = single_address

    async def among(self, service: str, lives: list[TaskLife]) -> set[str]:
        kinds = {("SRV" if self._single_address else life.spec.records[0]) for life in lives}
        found: set[str] = set()
        for kind in kinds:
            found |= await self._named(service, kind, lives)
        return found

    async def _named(self, service: str, kind: str, lives: list[TaskLife]) -> set[str]:
        query = dns.message.make_query(f"{service}.{self._namespace}", kind, use_edns=0, payload=4096)
        try:
            reply = await dns.asyncquery.udp(
                query, self._nameserver.host, port=self._nameserver.port, timeout=TIMEOUT_S
            )
        except (dns.exception.DNSException, OSError):
            return set()
        records = [record for rrset in reply.answer for record in rrset]
        addresses = {record.address for record in records if isinstance(record, dns.rdtypes.IN.A.A)}
        targets = {record.target.labels[0] for record in records if isinstance(record, dns.rdtypes.IN.SRV.SRV)}
        return {
            life.instance for life in lives if life.endpoint.address in addresses or life.instance.encode() in targets
        }
