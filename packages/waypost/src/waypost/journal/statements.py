"""Statements that write many rows: values stand in tuples, which go to the driver as they are.

SQLAlchemy's own statements handle each value of each row on its way, which takes longer than SQLite does for the row.
"""

import re
from collections.abc import Iterable, Sequence
from functools import cache
from itertools import count
from typing import Final, NamedTuple

from sqlalchemy import Connection, Table

__all__ = ["Statement", "execute", "insert_into"]

PLACE: Final = re.compile(r"\?")


class Statement(NamedTuple):
    """One that is executed once for each of its rows."""

    words: str  # SQL, with a ? for each value of a row, and no other
    rows: Sequence[tuple[object, ...]]


def insert_into(table: Table) -> str:
    """Return the words that write a row of a table, all its columns in their order."""
    columns = [column.name for column in table.columns]
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 (names of our own)


def execute(connection: Connection, statements: Iterable[Statement]) -> None:
    """Execute those of the statements that have rows."""
    for words, rows in statements:
        if rows:
            connection.exec_driver_sql(_in_style(words, connection.dialect.paramstyle), list(rows))


@cache
def _in_style(words: str, style: str) -> str:
    """Return the words as a driver takes them: with ``?`` for each value, or with ``$1``, ``$2`` and so on."""
    if style == "qmark":
        return words
    numbers = count(1)
    return PLACE.sub(lambda _: f"${next(numbers)}", words)
