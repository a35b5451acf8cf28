"""What a service imports to find others by name: a caching DNS resolver, and an HTTP transport over it.

>>> client = httpx2.AsyncClient(transport=Transport(Resolver.from_environment()))
>>> await client.post("http://worker.example.com:8080/process", json={"text": "hello"})

And what a task registers itself with, where nobody else does:

>>> async with registered("worker", port=8080):
...     await serve()
"""

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
