"""Errors of the wire, and how every refusal becomes one.

A body ``{"__type": …, "Message": …}`` with status 400 for whatever the caller can mend, as AWS answers.
"""

from typing import Any, Final

import msgspec

from waypost.catalog.errors import (
    CatalogError,
    DuplicateRequest,
    NamespaceAlreadyExists,
    ServiceAlreadyExists,
    TooManyTagsException,
)
from waypost.journal import JournalUnavailable
from waypost.registry import Overloaded

__all__ = ["WireError", "wire_error"]

RETRY_AFTER_S: Final = 1  # seconds that a client is asked to wait while the database is away


class WireError(Exception):
    """An answer that refuses: an AWS error type, its words, its HTTP status and what else its shape has."""

    def __init__(self, type_: str, message: str, *, status: int = 400, **members: Any) -> None:
        super().__init__(type_, message, status, members)
        self.type, self.message, self.status, self.members = type_, message, status, members

    @property
    def body(self) -> bytes:
        """The JSON body; members that are None are left out."""
        members = {name: value for name, value in self.members.items() if value is not None}
        return msgspec.json.encode({"__type": self.type, "Message": self.message, **members})

    @property
    def retry_after_s(self) -> int | None:
        """What to answer in Retry-After, if anything."""
        return RETRY_AFTER_S if self.status == 503 else None


def wire_error(error: Exception) -> WireError:
    """Return the error that a client is told for an exception."""
    match error:
        case WireError():
            return error
        case NamespaceAlreadyExists():
            return WireError(
                "NamespaceAlreadyExists",
                error.message,
                NamespaceId=error.namespace_id,
                CreatorRequestId=error.creator_request_id,
            )
        case ServiceAlreadyExists():
            return WireError(
                "ServiceAlreadyExists",
                error.message,
                ServiceId=error.service_id,
                ServiceArn=error.service_arn,
                CreatorRequestId=error.creator_request_id,
            )
        case DuplicateRequest():
            return WireError("DuplicateRequest", error.message, DuplicateOperationId=error.operation_id)
        case TooManyTagsException():
            return WireError("TooManyTagsException", error.message, ResourceName=error.resource_name)
        case CatalogError():
            return WireError(type(error).__name__, error.message)
        case JournalUnavailable():
            words = f"The registry's database is away ({error}). Reads and DNS go on; try the write again later."
            return WireError("ServiceUnavailable", words, status=503)
        case Overloaded():
            return WireError("ServiceUnavailable", "Too many writes wait. Try again later.", status=503)
        case _:
            return WireError("InternalFailure", "The registry failed on this request; its log says why.", status=500)
