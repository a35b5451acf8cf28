"""Operations as the journal keeps them: a view of the rows that they wrote."""

from collections.abc import Sequence
from typing import Any, Final

import msgspec
from sqlalchemy import Select, select

from waypost.catalog.changes import Change, Operation, OperationFailed, change_from_bytes
from waypost.journal.tables import journal

__all__ = ["KeptOperation", "OperationFilter", "operation_values"]

_NONE: Final = (None,) * 8  # where a change was made by no operation
_encoder: Final = msgspec.json.Encoder()


class KeptOperation(msgspec.Struct, frozen=True, kw_only=True):
    """An operation with its end, or one that is under way still."""

    operation: Operation
    at_ms: int  # of its end, or, while it is open, of its beginning
    failed: OperationFailed | None
    is_open: bool = False
    revision: int = 0  # of its change; 0 while it is open

    @classmethod
    def from_row(cls, row: Sequence[Any]) -> "KeptOperation":
        """Return the operation that a row of the journal tells of."""
        revision, at_ms, operation, change = row
        happened = change_from_bytes(change)
        return cls(
            operation=msgspec.json.decode(operation, type=Operation),
            revision=revision,
            at_ms=at_ms,
            failed=happened if isinstance(happened, OperationFailed) else None,
        )


class OperationFilter(msgspec.Struct, frozen=True, kw_only=True):
    """Which operations are meant; None is no bound, and a set means one of its members."""

    account: str
    region: str
    namespace_id: str | None = None
    service_id: str | None = None
    statuses: frozenset[str] | None = None
    types: frozenset[str] | None = None
    ended_ms: tuple[int, int] | None = None  # from, to: both included

    def select(self, *, before: int | None, limit: int) -> Select[tuple[int, int, bytes, bytes]]:
        """Return the query for the newest ``limit`` of them, of revisions under ``before``."""
        columns = journal.c
        wanted = select(columns.revision, columns.at_ms, columns.operation, columns.change)
        wanted = wanted.where(columns.operation_account == self.account, columns.operation_region == self.region)
        if self.namespace_id is not None:
            wanted = wanted.where(columns.operation_namespace_id == self.namespace_id)
        if self.service_id is not None:
            wanted = wanted.where(columns.operation_service_id == self.service_id)
        if self.statuses is not None:
            wanted = wanted.where(columns.operation_status.in_(sorted(self.statuses)))
        if self.types is not None:
            wanted = wanted.where(columns.operation_type.in_(sorted(self.types)))
        if self.ended_ms is not None:
            wanted = wanted.where(columns.at_ms.between(*self.ended_ms))
        if before is not None:
            wanted = wanted.where(columns.revision < before)
        return wanted.order_by(columns.revision.desc()).limit(limit)


def operation_values(operation: Operation | None, change: Change) -> tuple[object, ...]:
    """Return the journal's last columns, which tell of an operation, if any made the change."""
    if operation is None:
        return _NONE
    return (
        operation.id,
        operation.account,
        operation.region,
        operation.type,
        "FAIL" if isinstance(change, OperationFailed) else "SUCCESS",
        operation.namespace_id,
        operation.targets.get("SERVICE"),
        bytearray(_encoder.encode(operation)),
    )
