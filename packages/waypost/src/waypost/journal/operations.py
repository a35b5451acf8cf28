"""Operations as the journal keeps them: a view of the rows that they wrote."""

import msgspec

from waypost.catalog.changes import Operation, OperationFailed, change_from_bytes

__all__ = ["KeptOperation"]


class KeptOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation with its end. It is finished before its caller hears of it, so it has one instant."""

    operation: Operation
    at_ms: int
    failed: OperationFailed | None

    @classmethod
    def from_row(cls, at_ms: int, operation: bytes, change: bytes) -> "KeptOperation":
        """Return the operation that a row of the journal tells of."""
        happened = change_from_bytes(change)
        return cls(
            operation=msgspec.json.decode(operation, type=Operation),
            at_ms=at_ms,
            failed=happened if isinstance(happened, OperationFailed) else None,
        )
