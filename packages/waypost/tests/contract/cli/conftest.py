"""The nameserver that resolvers are told of."""

from ..nameserver.conftest import hosts, nameserver, registry, variables

__all__ = ["hosts", "nameserver", "registry", "variables"]
