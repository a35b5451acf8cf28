"""What the nameserver answers for a name right now: asked over UDP, as anybody would."""

import time
from typing import Any

from waypost.settings import ListenAddress

__all__ = ["resolve_now"]

TIMEOUT_S = 1.0


async def resolve_now(nameserver: ListenAddress, name: str, rtype: str) -> dict[str, Any]:
    """Return the reply in the words of a zone file, or why there is none."""
    import dns.asyncquery  # for one page, which somebody may open some day: not for each start of a registry
    import dns.exception
    import dns.message
    import dns.rcode

    asked_at = time.monotonic()
    told: dict[str, Any] = {"server": str(nameserver), "rcode": None, "ttl_s": None, "records": [], "problem": None}
    try:
        query = dns.message.make_query(name, rtype, use_edns=0, payload=4096)
        reply, _ = await dns.asyncquery.udp_with_fallback(
            query, nameserver.host, port=nameserver.port, timeout=TIMEOUT_S
        )
    except (dns.exception.DNSException, OSError) as error:
        return {**told, "problem": f"The nameserver gave no answer: {error}"[:300]}
    section = reply.answer or reply.authority
    told["rcode"] = dns.rcode.to_text(reply.rcode())
    told["ttl_s"] = min((rrset.ttl for rrset in section), default=None)
    told["records"] = [
        f"{rrset.name} {rrset.ttl} IN {record.rdtype.name} {record.to_text()}" for rrset in section for record in rrset
    ][:64]
    told["took_ms"] = round((time.monotonic() - asked_at) * 1000, 1)
    return told
