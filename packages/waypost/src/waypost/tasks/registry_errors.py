"""Why a registry did not do what it was asked by Cloud Map's API. Errors of the SDK end here.

::

    RegistryError
    ├── RegistryAway        no answer, or one that means "later": ask again
    ├── NotRegistered       the registry does not know the instance
    ├── ServiceLost         the registry does not know the service, or its namespace
    └── RegistryRefused     it will never do this
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError

__all__ = ["NotRegistered", "RegistryAway", "RegistryError", "RegistryRefused", "ServiceLost", "translated"]

INSTANCE_UNKNOWN: Final = {"InstanceNotFound"}
SERVICE_UNKNOWN: Final = {"ServiceNotFound", "NamespaceNotFound"}
LATER: Final = {"DuplicateRequest", "RequestLimitExceeded", "ThrottlingException", "Throttling"}


class RegistryError(Exception):
    """The registry did not do what it was asked."""

    def __init__(self, operation: str, reason: str) -> None:
        super().__init__(operation, reason)
        self.operation, self.reason = operation, reason

    def __str__(self) -> str:
        return f"{self.operation}: {self.reason}"


class RegistryAway(RegistryError):
    """No answer, or one that means "later"."""


class NotRegistered(RegistryError):
    """The registry does not know the instance."""


class ServiceLost(RegistryError):
    """The registry does not know the service, or its namespace."""


class RegistryRefused(RegistryError):
    """The registry will never do this."""


@asynccontextmanager
async def translated(operation: str) -> AsyncIterator[None]:
    """Turn what the SDK raises into a RegistryError of this operation."""
    try:
        yield
    except ClientError as exc:
        raise _meaning(operation, exc) from exc
    except (BotoCoreError, OSError) as exc:
        raise RegistryAway(operation, str(exc)) from exc


def _meaning(operation: str, exc: ClientError) -> RegistryError:
    error = exc.response.get("Error", {})
    code, message = error.get("Code", ""), error.get("Message", "")
    status = exc.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
    if code in INSTANCE_UNKNOWN:
        return NotRegistered(operation, message)
    if code in SERVICE_UNKNOWN:
        return ServiceLost(operation, message)
    if code in LATER or status >= 500:
        return RegistryAway(operation, f"{code}: {message}")
    return RegistryRefused(operation, f"{code}: {message}")
