"""What DNS and the other protocols answer now."""

from typing import Any, Final

import dns.asyncquery
import dns.asyncresolver
import dns.exception
import dns.message
import dns.rcode
import dns.rdatatype

from waypost.cli.access import Access
from waypost.cli.catalog.views import discovered
from waypost.cli.errors import CommandFailed, NotFound, Unavailable
from waypost.cli.registry import open_registry

__all__ = ["ask_dns", "resolve_everywhere"]

TYPES: Final = ("A", "AAAA", "SRV", "CNAME")
ANSWER_S: Final = 3.0
SILENT: Final = "silent"  # type of the row of a protocol that does not answer


async def resolve_everywhere(access: Access, name: str) -> list[dict[str, object]]:
    """Return a row for each answer of each protocol: ``protocol``, ``type``, ``answer``, ``ttl_s``.

    :raises Unavailable: none of them answers.
    """
    rows: list[dict[str, object]] = []
    failures: list[CommandFailed] = []
    for protocol, asking in (("DNS", ask_dns(name, access.nameserver)), ("Cloud Map", _ask_api(access, name))):
        try:
            rows += [{"protocol": protocol, **row} for row in await asking]
        except CommandFailed as failure:
            failures.append(failure)
            rows.append({"protocol": protocol, "type": SILENT, "answer": str(failure), "ttl_s": None})
    if len(failures) == 2:
        raise Unavailable("; ".join(map(str, failures)))
    return rows


async def ask_dns(name: str, nameserver: str | None, kinds: tuple[str, ...] = TYPES) -> list[dict[str, Any]]:
    """Return a row for each record that DNS answers, and for each type without any the reason. Raises Unavailable."""
    rows: list[dict[str, Any]] = []
    for kind in kinds:
        answer = await _ask(name, kind, nameserver)
        found = [
            {"type": dns.rdatatype.to_text(rrset.rdtype), "answer": record.to_text(), "ttl_s": rrset.ttl}
            for rrset in answer.answer
            for record in rrset
        ]
        absence = "no data" if answer.rcode() == dns.rcode.NOERROR else dns.rcode.to_text(answer.rcode())
        rows += found or [{"type": kind, "answer": absence, "ttl_s": None}]
    return rows


async def _ask_api(access: Access, name: str) -> list[dict[str, Any]]:
    async with open_registry(access) as registry:
        try:
            found = await discovered(registry.client, name, health="HEALTHY_OR_ELSE_ALL", attributes={})
        except NotFound as failure:
            return [{"type": "DiscoverInstances", "answer": str(failure), "ttl_s": None}]
    rows = [
        {
            "type": "DiscoverInstances",
            "answer": f"{each['instance']} {each['address'] or '-'} {each['health']}",
            "ttl_s": None,
        }
        for each in found
    ]
    return rows or [{"type": "DiscoverInstances", "answer": "no instance", "ttl_s": None}]


async def _ask(name: str, kind: str, nameserver: str | None) -> dns.message.Message:
    """Ask the nameserver, ``host:port``, or the system's. Raises Unavailable."""
    host, port = _system_nameserver() if nameserver is None else _host_and_port(nameserver)
    try:
        query = dns.message.make_query(name, kind, use_edns=0, payload=1232)
        answer, _ = await dns.asyncquery.udp_with_fallback(query, host, timeout=ANSWER_S, port=port)
    except (dns.exception.DNSException, OSError) as error:
        raise Unavailable(f"no nameserver answers at {host}:{port}: set WAYPOST_DNS to one's host:port") from error
    return answer


def _host_and_port(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise Unavailable(f"{text!r} is no nameserver's host:port: set --dns or WAYPOST_DNS to one")
    return host.strip("[]"), int(port)


def _system_nameserver() -> tuple[str, int]:
    try:
        return str(dns.asyncresolver.get_default_resolver().nameservers[0]), 53
    except (dns.exception.DNSException, OSError, IndexError) as error:
        raise Unavailable("the system names no nameserver: set WAYPOST_DNS to one's host:port") from error
