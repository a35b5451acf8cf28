"""What a service imports to find others by name: a caching DNS resolver, and an HTTP transport over it.

>>> client = httpx2.AsyncClient(transport=Transport(Resolver.from_environment()))
>>> await client.post("http://worker.example.com:8080/process", json={"text": "hello"})

And what a task registers itself with, where nobody else does:

>>> async with registered("worker", port=8080):
...     await serve()

A name is imported when it is first asked for: whoever only traces, or only holds endpoints, starts without the rest.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from waypost_client.cache import Answer
    from waypost_client.ejection import Ejections
    from waypost_client.endpoint import Endpoint
    from waypost_client.errors import LookupFailed, NameserverUnknown, NoAddress, ResolutionFailed
    from waypost_client.registration import Registration, registered
    from waypost_client.registry import RegistryError, RegistryRefused
    from waypost_client.repeat import IDEMPOTENT_METHODS
    from waypost_client.resolver import Resolver
    from waypost_client.retry_budget import RetryBudget
    from waypost_client.spread import Spread
    from waypost_client.transport import Transport

__all__ = [
    "IDEMPOTENT_METHODS",
    "Answer",
    "Ejections",
    "Endpoint",
    "LookupFailed",
    "NameserverUnknown",
    "NoAddress",
    "Registration",
    "RegistryError",
    "RegistryRefused",
    "ResolutionFailed",
    "Resolver",
    "RetryBudget",
    "Spread",
    "Transport",
    "registered",
]

HOMES: Final = {
    "IDEMPOTENT_METHODS": "waypost_client.repeat",
    "Answer": "waypost_client.cache",
    "Ejections": "waypost_client.ejection",
    "Endpoint": "waypost_client.endpoint",
    "LookupFailed": "waypost_client.errors",
    "NameserverUnknown": "waypost_client.errors",
    "NoAddress": "waypost_client.errors",
    "Registration": "waypost_client.registration",
    "RegistryError": "waypost_client.registry",
    "RegistryRefused": "waypost_client.registry",
    "ResolutionFailed": "waypost_client.errors",
    "Resolver": "waypost_client.resolver",
    "RetryBudget": "waypost_client.retry_budget",
    "Spread": "waypost_client.spread",
    "Transport": "waypost_client.transport",
    "registered": "waypost_client.registration",
}

if not TYPE_CHECKING:  # which would take every name for one of ours

    def __getattr__(name: str) -> object:
        if name not in HOMES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        globals()[name] = found = getattr(import_module(HOMES[name]), name)
        return found
