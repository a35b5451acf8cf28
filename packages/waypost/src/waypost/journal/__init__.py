"""The durable, ordered log of changes, and the current state beside it, in one relational database."""

from waypost.journal.doorbell import InstanceKey
from waypost.journal.log import HistoryLost, Journal, JournalUnavailable, Overtaken, Pen
from waypost.journal.operations import KeptOperation, OperationFilter
from waypost.journal.retention import Retention

__all__ = [
    "HistoryLost",
    "InstanceKey",
    "Journal",
    "JournalUnavailable",
    "KeptOperation",
    "OperationFilter",
    "Overtaken",
    "Pen",
    "Retention",
]
