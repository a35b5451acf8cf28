from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import pytest
from sqlalchemy import select, update

from omnichannel.database import Database, Store
from omnichannel.database.store import keep_messages
from omnichannel.database.tables import attempt, delivery, stream_hint
from omnichannel.messages.model import Channel, Claim, Message, NewMessage, Recipient
from omnichannel.messages.retry import RetryPolicy

NOW = datetime(2030, 1, 1, 9, tzinfo=UTC)


class Publisher:
    """A store, a clock that stands still, and short ways to bring deliveries into a state."""

    def __init__(self, database: Database) -> None:
        self.database = database
        self.store = Store(database, retry=RetryPolicy(base_s=0, max_attempts=3), random=Random(1))
        self.now = NOW

    def passes(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)

    async def accept(
        self, *channels: Channel, in_s: float | None = None, subject: str = "Launch", **more: Any
    ) -> Message:
        recipients = tuple(Recipient(channel, f"{channel}-{place}") for place, channel in enumerate(channels))
        send_at = None if in_s is None else self.now + timedelta(seconds=in_s)
        new = NewMessage(subject=subject, body="We are live.", recipients=recipients, send_at=send_at, **more)
        return await self.store.accept(new, now=self.now)

    def new(self, *recipients: Recipient, **more: Any) -> NewMessage:
        return NewMessage(subject="Launch", body="We are live.", recipients=recipients, **more)

    async def keep(self, *messages: Message) -> None:
        async with self.database.write() as connection:
            await keep_messages(connection, messages, now=self.now)

    async def claim(self, message: Message, owner: str = "worker") -> tuple[Claim, ...]:
        return await self.store.claim([each.id for each in message.deliveries], owner=owner, now=self.now)

    async def claim_new(self, *channels: Channel) -> tuple[Claim, ...]:
        return await self.claim(await self.accept(*channels))

    async def statuses(self, message_id: str) -> tuple[str, list[str]]:
        message = await self.store.find_message(message_id)
        return message.status.value, [each.status.value for each in message.deliveries]

    async def hints(self) -> list[str]:
        """Return what is on the stream, oldest first."""
        async with self.database.read() as connection:
            rows = await connection.execute(select(stream_hint.c.delivery_id).order_by(stream_hint.c.number))
            return list(rows.scalars())

    async def attempts(self, delivery_id: str) -> list[tuple[int, int, str, bool, str | None, str | None]]:
        """Return number, epoch, owner, whether it has ended, outcome and detail of each attempt."""
        statement = select(attempt).where(attempt.c.delivery_id == delivery_id).order_by(attempt.c.number)
        async with self.database.read() as connection:
            return [
                (row.number, row.epoch, row.owner, row.ended_at is not None, row.outcome, row.detail)
                for row in await connection.execute(statement)
            ]

    async def force(self, delivery_id: str, status: str) -> None:
        """Put a delivery into a state from outside."""
        async with self.database.write() as connection:
            await connection.execute(update(delivery).where(delivery.c.id == delivery_id).values(status=status))

    async def lose_hints(self) -> None:
        async with self.database.write() as connection:
            await connection.execute(stream_hint.delete())


@pytest.fixture
def publisher(database: Database) -> Publisher:
    return Publisher(database)


@pytest.fixture
async def another_database(database_url: str, database: Database) -> AsyncIterator[Database]:
    """The same database as another process sees it: through connections of its own."""
    other = Database.open(database_url)
    yield other
    await other.close()
