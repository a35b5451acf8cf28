"""Operations as the journal keeps them: a view of the rows that they wrote."""

from typing import Final

import msgspec

from waypost.catalog.changes import Change, Operation, OperationFailed, change_from_bytes

__all__ = ["KeptOperation", "operation_columns"]


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


def operation_columns(operation: Operation | None, change: Change) -> dict[str, object]:
    """Return the columns of the journal that tell of an operation, if any made the change."""
    if operation is None:
        return dict.fromkeys(_COLUMNS)
    return {
        "operation_id": operation.id,
        "operation_account": operation.account,
        "operation_type": operation.type,
        "operation_status": "FAIL" if isinstance(change, OperationFailed) else "SUCCESS",
        "operation_namespace_id": operation.namespace_id,
        "operation_service_id": operation.targets.get("SERVICE"),
        "operation": msgspec.json.encode(operation),
    }


_COLUMNS: Final = (
    "operation_id",
    "operation_account",
    "operation_type",
    "operation_status",
    "operation_namespace_id",
    "operation_service_id",
    "operation",
)
