"""Registering and deregistering, each followed until it is done: Cloud Map only accepts them."""

import asyncio
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from waypost.cli.errors import CommandFailed, TimedOut

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["deregister", "finished", "register"]

LOOK_S: Final = 0.2  # between looks at an operation
DONE_S: Final = 60.0  # for an operation to be done


async def register(
    client: "ServiceDiscoveryClient", service_id: str, instance: str, attributes: Mapping[str, str]
) -> None:
    """Register an instance, or replace it as a whole, and return once that is done."""
    started = await client.register_instance(ServiceId=service_id, InstanceId=instance, Attributes=dict(attributes))
    await finished(client, started["OperationId"])


async def deregister(client: "ServiceDiscoveryClient", service_id: str, instance: str) -> None:
    """Deregister an instance, and return once that is done."""
    started = await client.deregister_instance(ServiceId=service_id, InstanceId=instance)
    await finished(client, started["OperationId"])


async def finished(client: "ServiceDiscoveryClient", operation_id: str) -> Mapping[str, str]:
    """Wait for an operation, and return its targets.

    :raises CommandFailed: it came to nothing.
    :raises TimedOut: it is still not done.
    """
    try:
        async with asyncio.timeout(DONE_S):
            while True:
                operation = (await client.get_operation(OperationId=operation_id))["Operation"]
                if operation["Status"] == "FAIL":
                    raise CommandFailed(f"{operation.get('ErrorCode')}: {operation.get('ErrorMessage')}")
                if operation["Status"] == "SUCCESS":
                    return operation.get("Targets", {})  # type: ignore[return-value]  # its keys are an enumeration
                await asyncio.sleep(LOOK_S)
    except TimeoutError:
        raise TimedOut(f"the operation {operation_id} is not done after {DONE_S:g} s: ask again later") from None
