"""Statements that write many rows: values stand in tuples, which go to the driver as they are.

SQLAlchemy's own statements handle each value of each row on its way, which takes longer than SQLite does for the row.
And SQLite's driver lets go of the interpreter for each execution, and waits until it has it back, beside a busy event
loop. So many rows are one execution there. Octets are best given as a ``bytearray``: of ``bytes`` the driver asks each
time whether somebody wants them adapted, which takes longer than to bind them.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import cache
from itertools import chain, count
from typing import Final, NamedTuple

from sqlalchemy import Connection, Table

__all__ = ["Statement", "execute", "insert_into"]

PLACE: Final = re.compile(r"\?")
ROW: Final = re.compile(r"(?<=VALUES )\(.*?\?\)")
MOST: Final = 128  # rows of one execution; a power of two


class Statement(NamedTuple):
    """One that is carried out once for each of its rows."""

    words: str  # SQL, with a ? for each value of a row, and no other
    rows: Sequence[tuple[object, ...]]


def insert_into(table: Table) -> str:
    """Return the words that write a row of a table, all its columns in their order."""
    columns = [column.name for column in table.columns]
    return f"INSERT INTO {table.name} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"  # noqa: S608 (names of our own)


def execute(connection: Connection, statements: Iterable[Statement]) -> None:
    """Carry out those of the statements that have rows.

    :raises sqlite3.Error: SQLite cannot.
    :raises SQLAlchemyError: another database cannot.
    """
    wanted = [each for each in statements if each.rows]
    if connection.dialect.name != "sqlite":
        for words, rows in wanted:
            connection.exec_driver_sql(_numbered(words), list(rows))
        return
    cursor = connection.connection.cursor()
    for words, rows in wanted:
        if "VALUES" in words:
            for some in _pieces(rows):
                cursor.execute(_repeated(words, len(some)), tuple(chain.from_iterable(some)))
        else:
            cursor.executemany(words, rows)
    cursor.close()


def _pieces(rows: Sequence[tuple[object, ...]]) -> Iterator[Sequence[tuple[object, ...]]]:
    """Yield the rows in pieces of few sizes, powers of two: for each size the driver keeps a prepared statement."""
    first = 0
    while left := len(rows) - first:
        size = min(MOST, 1 << left.bit_length() - 1)
        yield rows[first : first + size]
        first += size


@cache
def _repeated(words: str, rows: int) -> str:
    """Return the words for so many rows at once."""
    return ROW.sub(lambda row: ", ".join([row[0]] * rows), words)


@cache
def _numbered(words: str) -> str:
    """Return the words with ``$1``, ``$2`` and so on in place of each ``?``, as PostgreSQL's driver takes them."""
    numbers = count(1)
    return PLACE.sub(lambda _: f"${next(numbers)}", words)
