"""The client side of Cloud Map's API, for the parts of Waypost that speak to a registry, AWS's own among them."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["CAUSE_HEADER", "cause", "open_cloudmap"]

CAUSE_HEADER: Final = "X-Waypost-Cause"
"""Request header in which a caller says why; Waypost keeps it with the change, AWS ignores it."""

cause: ContextVar[str] = ContextVar("cause", default="")
"""Why the calls made in this context are made: sent in CAUSE_HEADER."""


@asynccontextmanager
async def open_cloudmap(
    endpoint_url: str | None,
    *,
    connect_timeout_s: float = 2,
    read_timeout_s: float = 10,
    attempts: int = 3,
    key: tuple[str, str] | None = None,
) -> "AsyncIterator[ServiceDiscoveryClient]":
    """Yield a client of the registry at ``endpoint_url``, or of AWS's own Cloud Map when that is None.

    Region and keys come from the environment, as for every AWS SDK, unless ``key`` is given: an access key's id and
    its secret. Raises what botocore raises.
    """
    # The registry imports this module too, and calls nobody: it starts faster without the library.
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    key_id, secret = key or (None, None)
    config = AioConfig(
        inject_host_prefix=endpoint_url is None,  # "data-127.0.0.1" is no host
        connect_timeout=connect_timeout_s,
        read_timeout=read_timeout_s,
        retries={"mode": "standard", "total_max_attempts": attempts},
        max_pool_connections=64,
    )
    async with get_session().create_client(
        "servicediscovery",
        endpoint_url=endpoint_url,
        config=config,
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
    ) as client:
        client.meta.events.register("before-call.servicediscovery", _say_why)
        yield client


def _say_why(params: dict[str, Any], **_: Any) -> None:
    why = cause.get()
    if why:
        params["headers"][CAUSE_HEADER] = why.encode("ascii", "replace").decode()[:256]
