"""The event stream in the publisher's own database: one table, numbered from one counter row, a position per group.

Hints become visible in the order of their numbers (see ``database.doorbell``), so a position is the number of the last
hint dealt with. What every group has dealt with is deleted.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime

from sqlalchemy import delete, func, select, text, update

from omnichannel.database.doorbell import ring
from omnichannel.database.engine import Database
from omnichannel.database.errors import DatabaseUnavailable
from omnichannel.database.rows import to_ms
from omnichannel.database.tables import stream_hint, stream_position
from omnichannel.stream.protocol import Hints, Position, StreamUnavailable

__all__ = ["SqlStream"]


class SqlStream:
    """The stream behind ``STREAM_URL=sql:``. Closing the database closes it."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._joined: set[str] = set()  # groups whose position is known to have a row

    async def ring(self, ids: Sequence[str], *, now: datetime) -> None:
        """Append a hint for each id."""
        with _unavailable():
            async with self._database.write() as connection:
                await ring(connection, ids, now_ms=to_ms(now))

    async def hints(self, group: str, *, limit: int) -> Hints:
        """Return the hints after the group's position. A new group starts with the oldest hint that is still there."""
        with _unavailable():
            if group not in self._joined:
                await self._join(group)
            since = select(stream_position.c.number).where(stream_position.c.consumer_group == group).scalar_subquery()
            after = (
                select(stream_hint.c.number, stream_hint.c.delivery_id)
                .where(stream_hint.c.number > since)
                .order_by(stream_hint.c.number)
                .limit(limit)
            )
            async with self._database.read() as connection:
                rows = (await connection.execute(after)).all()
        heard = tuple(dict.fromkeys(row.delivery_id for row in rows))
        return Hints(heard, Position(group, str(rows[-1].number if rows else 0)))

    async def commit(self, position: Position) -> None:
        """Move the group's position forward, and delete what no group still has to hear."""
        number = int(position.token)
        if not number:
            return
        forward = (
            update(stream_position)
            .where(stream_position.c.consumer_group == position.group, stream_position.c.number < number)
            .values(number=number)
        )
        passed = select(func.min(stream_position.c.number)).scalar_subquery()
        with _unavailable():
            async with self._database.write() as connection:
                if (await connection.execute(forward)).rowcount:
                    await connection.execute(delete(stream_hint).where(stream_hint.c.number <= passed))

    async def _join(self, group: str) -> None:
        """Give a group its position. From here on hints are kept until it has dealt with them."""
        add = text(
            "INSERT INTO stream_position (consumer_group, number) VALUES (:group, 0)"
            " ON CONFLICT (consumer_group) DO NOTHING"
        )
        async with self._database.write() as connection:
            await connection.execute(add, {"group": group})
        self._joined.add(group)


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except DatabaseUnavailable as error:
        raise StreamUnavailable(error.reason) from error
