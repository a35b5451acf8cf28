"""Which nameservers to ask."""

from collections.abc import Mapping
from typing import Final

import dns.resolver

from waypost_client.endpoint import Endpoint
from waypost_client.errors import NameserverUnknown

__all__ = ["nameservers"]

VARIABLE: Final = "WAYPOST_DNS"
DNS_PORT: Final = 53
RESOLV_CONF: Final = "/etc/resolv.conf"


def nameservers(environment: Mapping[str, str], *, resolv_conf: str = RESOLV_CONF) -> tuple[Endpoint, ...]:
    """Return the nameserver that ``WAYPOST_DNS`` gives as ``address:port``, or else those of the system.

    :raises NameserverUnknown: the variable is not such a pair, or the system names no nameserver.
    """
    given = environment.get(VARIABLE)
    if given:
        try:
            return (Endpoint.parse(given),)
        except ValueError as error:
            raise NameserverUnknown(VARIABLE, f"{error}; for example 127.0.0.1:8600") from error
    system = dns.resolver.Resolver(configure=False)
    try:
        system.read_resolv_conf(resolv_conf)
    except dns.resolver.NoResolverConfiguration as error:
        raise NameserverUnknown(resolv_conf, f"{error}; set {VARIABLE} to address:port") from error
    return tuple(Endpoint(str(address), DNS_PORT) for address in system.nameservers)
