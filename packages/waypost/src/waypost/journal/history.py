"""What happened to services and instances, newest first: how the journal is searched for it.

The index of what a change is about has blocks of revisions: by service, block and instance. So changes that are written
together stand close to each other in it, whatever they are about. In an index by service and instance each would stand
at a place of its own, among all that ever happened, and to write those places took as long as the rest of a commit.

A search goes through the blocks, the newest first and ever more at a time, until it has found enough.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

from sqlalchemy import Connection, Row, func, select

from waypost.journal import tables

__all__ = ["find_history", "find_last"]

MOST: Final = 1_024  # blocks of one query


def find_history(
    connection: Connection, service_ids: Sequence[str], instance_id: str | None, *, before: int | None, limit: int
) -> list[Row[Any]]:
    """Return the newest ``limit`` rows that are about these services, or about one instance of them.

    :param before: only those of lower revisions.
    """
    columns = tables.journal.c
    wanted = select(tables.journal).where(columns.service_id.in_(service_ids)).order_by(columns.revision.desc())
    if instance_id is not None:
        wanted = wanted.where(columns.instance_id == instance_id)
    if before is not None:
        wanted = wanted.where(columns.revision < before)
    found: list[Row[Any]] = []
    for blocks in _blocks(connection, before):
        found += connection.execute(wanted.where(tables.block.in_(blocks)).limit(limit - len(found)))
        if len(found) >= limit:
            break
    return found


def find_last(connection: Connection, service_id: str, instance_ids: Sequence[str]) -> list[Row[Any]]:
    """Return the newest row about each of these instances of a service."""
    columns = tables.journal.c
    newest = select(columns.instance_id, func.max(columns.revision)).where(columns.service_id == service_id)
    left, revisions = set(instance_ids), list[int]()
    for blocks in _blocks(connection, None):
        if not left:
            break
        asked = newest.where(tables.block.in_(blocks), columns.instance_id.in_(left)).group_by(columns.instance_id)
        for instance_id, revision in connection.execute(asked):
            left.discard(instance_id)
            revisions.append(revision)
    return list(connection.execute(select(tables.journal).where(columns.revision.in_(revisions))))


def _blocks(connection: Connection, before: int | None) -> Iterator[Sequence[int]]:
    """Yield the blocks in which revisions are kept, the newest first: one, then two, then four, and so on."""
    columns = tables.journal.c
    oldest = connection.scalar(select(func.min(columns.revision)))
    newest = connection.scalar(select(func.max(columns.revision))) if before is None else before - 1
    if oldest is None or newest is None:
        return
    first, last, many = oldest >> tables.BLOCK_BITS, newest >> tables.BLOCK_BITS, 1
    while last >= first:
        yield range(last, max(first, last - many + 1) - 1, -1)
        last, many = last - many, min(2 * many, MOST)
