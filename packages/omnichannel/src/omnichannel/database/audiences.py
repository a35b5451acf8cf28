"""Audiences: named lists of recipients, as rows."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.engine import Database
from omnichannel.database.errors import NotFound
from omnichannel.database.resource_tables import audience, audience_member
from omnichannel.database.rows import from_ms, to_ms
from omnichannel.messages.model import Channel, Recipient

__all__ = ["Audience", "AudienceSummary", "Audiences", "members_of"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceSummary:
    """An audience in a list."""

    name: str
    members: int
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """An audience with its members."""

    name: str
    recipients: tuple[Recipient, ...]


class Audiences:
    """Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, name: str, recipients: Sequence[Recipient], *, now: datetime) -> None:
        """Make an audience, or give it other members. Messages that were sent to it keep theirs."""
        async with self._database.write() as connection:
            known = select(audience.c.name).where(audience.c.name == name).with_for_update()
            if (await connection.execute(known)).one_or_none() is None:
                await connection.execute(insert(audience).values(name=name, created_at=to_ms(now)))
            await connection.execute(delete(audience_member).where(audience_member.c.audience == name))
            if recipients:
                await connection.execute(insert(audience_member), _rows(name, recipients))

    async def find(self, name: str) -> Audience:
        """Return an audience. Raises NotFound."""
        async with self._database.read() as connection:
            return Audience(name=name, recipients=await members_of(connection, name))

    async def list(self, *, after: str = "", limit: int = 50) -> tuple[AudienceSummary, ...]:
        """Return audiences after a name, in the order of their names."""
        statement = (
            select(audience, func.count(audience_member.c.position).label("members"))
            .outerjoin(audience_member, audience_member.c.audience == audience.c.name)
            .where(audience.c.name > after)
            .group_by(audience.c.name, audience.c.created_at)
            .order_by(audience.c.name)
            .limit(limit)
        )
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        return tuple(
            AudienceSummary(name=row.name, members=row.members, created_at=from_ms(row.created_at)) for row in rows
        )

    async def remove(self, name: str) -> None:
        """Forget an audience. Raises NotFound."""
        async with self._database.write() as connection:
            await connection.execute(delete(audience_member).where(audience_member.c.audience == name))
            if not (await connection.execute(delete(audience).where(audience.c.name == name))).rowcount:
                raise NotFound("audience", name)


async def members_of(connection: AsyncConnection, name: str) -> tuple[Recipient, ...]:
    """Return the members of an audience in their order. Raises NotFound."""
    known = select(audience.c.name).where(audience.c.name == name)
    if (await connection.execute(known)).one_or_none() is None:
        raise NotFound("audience", name)
    statement = select(audience_member).where(audience_member.c.audience == name).order_by(audience_member.c.position)
    return tuple(
        Recipient(Channel(row.channel), row.address, row.zone, row.account)
        for row in await connection.execute(statement)
    )


def _rows(name: str, recipients: Sequence[Recipient]) -> list[dict[str, object]]:
    return [
        {
            "audience": name,
            "position": position,
            "channel": each.channel.value,
            "address": each.address,
            "zone": each.zone,
            "account": each.account,
        }
        for position, each in enumerate(recipients)
    ]
