"""How long the journal is kept. What is trimmed is history and the operations in it, never the state."""

from dataclasses import dataclass
from itertools import takewhile
from typing import Final

from sqlalchemy import Connection, delete, select

from waypost.journal.names import forget_names
from waypost.journal.tables import counter, journal

__all__ = ["DAY_MS", "Retention", "trim"]

PIECE: Final = 2_000  # rows that one transaction forgets: writers wait for it
DAY_MS: Final = 24 * 3_600 * 1_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """A row is kept while it is younger than ``age_ms`` and among the newest ``rows``.

    Cloud Map keeps operations for a day, so ``age_ms`` is at least that.
    """

    age_ms: int = 30 * DAY_MS
    rows: int = 1_000_000

    def __post_init__(self) -> None:
        if self.age_ms < DAY_MS:
            raise ValueError("history is kept for at least one day: Cloud Map's operations are part of it")
        if self.rows < 1:
            raise ValueError("history has at least one row")


def trim(connection: Connection, retention: Retention, *, now_ms: int) -> int:
    """Forget the oldest rows that need not be kept, at most PIECE of them, and return how many they were."""
    newest = connection.execute(select(counter.c.revision)).scalar_one()
    columns = journal.c
    oldest = connection.execute(select(columns.revision, columns.at_ms).order_by(columns.revision).limit(PIECE))
    old_ms, last = now_ms - retention.age_ms, newest - retention.rows
    past = list(takewhile(lambda row: row.revision <= last or row.at_ms < old_ms, oldest))
    if past:
        connection.execute(delete(journal).where(columns.revision <= past[-1].revision))
        if len(past) < PIECE:
            forget_names(connection)
    return len(past)
