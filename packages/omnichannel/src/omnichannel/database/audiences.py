"""Audiences: named lists of recipients, as rows.

A list belongs to one audience, and an audience that is replaced gets another list. So a message that is on its way to
many keeps to the list, and the places of it, that there were when it was taken; a list is forgotten when no audience
and no such message needs it any more.
"""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, Select, and_, delete, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.batches import among
from omnichannel.database.engine import Database
from omnichannel.database.errors import Conflict, InvalidCursor, NotFound
from omnichannel.database.resource_tables import UNFINISHED, audience, expansion, list_member, member_list
from omnichannel.database.rows import from_ms, to_ms
from omnichannel.messages.ids import new_id
from omnichannel.messages.model import Channel, Members, Recipient

__all__ = ["MEMBERS", "Audience", "AudienceSummary", "Audiences", "MemberPage", "find_audience", "members_of"]

MEMBERS: Final = 100_000
"""Members of one audience, at most."""

KEPT_FOR: Final = timedelta(hours=1)
"""How long a list is kept that no audience has: a message that is being taken may have read of it just now."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AudienceSummary:
    """An audience in a list."""

    name: str
    members: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class MemberPage:
    """Some members, in their order, and the cursor of the next page; None: there is none."""

    items: tuple[Recipient, ...]
    next: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Audience:
    """An audience as a message is addressed to it."""

    members: Members
    recipients: tuple[Recipient, ...] | None  # None: there are too many to be read at once


class Audiences:
    """Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def put(self, name: str, recipients: Sequence[Recipient], *, now: datetime) -> AudienceSummary:
        """Make an audience, or give it other members. Messages that were sent to it keep theirs."""
        list_id = new_id(now)
        size = {"members": len(recipients), "places": len(recipients)}
        async with self._database.write() as connection:
            await connection.execute(insert(member_list).values(id=list_id, **size))
            if recipients:
                await connection.execute(insert(list_member), _rows(list_id, recipients, first=0))
            known = (await connection.execute(_named(name).with_for_update(of=audience))).one_or_none()
            if known is None:
                new = insert(audience).values(name=name, created_at=to_ms(now), list_id=list_id)
                await connection.execute(new)
            else:
                await connection.execute(update(audience).where(audience.c.name == name).values(list_id=list_id))
                await _drop(connection, known.list_id, now=now)
            return _summary((await connection.execute(_named(name))).one())

    async def add(self, name: str, recipients: Sequence[Recipient], *, now: datetime) -> AudienceSummary:
        """Add members; who is one already gets the new zone and account. Raises NotFound, Conflict: it is full.

        Messages that were sent to the audience before are not sent to the new ones.
        """
        async with self._database.write() as connection:
            row = (await connection.execute(_named(name).with_for_update())).one_or_none()
            if row is None:
                raise NotFound("audience", name)
            there = await _among(connection, row.list_id, recipients)
            fresh = [each for each in recipients if (each.channel.value, each.address) not in there]
            if row.members + len(fresh) > MEMBERS:
                raise Conflict(f"the audience would have more than {MEMBERS} members")
            for each in recipients:
                if there.get((each.channel.value, each.address), (each.zone, each.account)) != (
                    each.zone,
                    each.account,
                ):
                    changed = update(list_member).where(_member(row.list_id, each.channel, each.address))
                    await connection.execute(changed.values(zone=each.zone, account=each.account))
            if fresh:
                await connection.execute(insert(list_member), _rows(row.list_id, fresh, first=row.places))
                grown = update(member_list).where(member_list.c.id == row.list_id)
                size = {"members": row.members + len(fresh), "places": row.places + len(fresh)}
                await connection.execute(grown.values(**size))
            return _summary((await connection.execute(_named(name))).one())

    async def leave(self, name: str, channel: Channel, address: str) -> None:
        """Take a member out. Raises NotFound. A delivery to it that has been made already is not stopped."""
        async with self._database.write() as connection:
            row = (await connection.execute(_named(name).with_for_update())).one_or_none()
            if row is None:
                raise NotFound("audience", name)
            gone = await connection.execute(delete(list_member).where(_member(row.list_id, channel, address)))
            if not gone.rowcount:
                raise NotFound("member", address)
            shrunk = update(member_list).where(member_list.c.id == row.list_id)
            await connection.execute(shrunk.values(members=row.members - 1))

    async def find(self, name: str) -> AudienceSummary:
        """Return an audience. Raises NotFound."""
        async with self._database.read() as connection:
            return _summary(await _find(connection, name))

    async def members(self, name: str, *, limit: int, cursor: str | None = None) -> MemberPage:
        """Return members in their order, after the cursor of an earlier page. Raises NotFound, InvalidCursor."""
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 10):
            raise InvalidCursor(cursor)
        async with self._database.read() as connection:
            row = await _find(connection, name)
            rows = await _read(connection, row.list_id, after=-1 if cursor is None else int(cursor), limit=limit + 1)
        more = len(rows) > limit
        return MemberPage(tuple(map(_recipient, rows[:limit])), next=str(rows[limit - 1].position) if more else None)

    async def addressed(self, name: str, *, at_once: int) -> Audience:
        """Return an audience with its members, if these are no more than ``at_once``. Raises NotFound."""
        async with self._database.read() as connection:
            return await find_audience(connection, name, at_once=at_once)

    async def first(self, members: Members, *, limit: int) -> tuple[Recipient, ...]:
        """Return the first of an audience's members."""
        async with self._database.read() as connection:
            return await members_of(connection, members.list_id, limit=limit)

    async def channels(self, list_id: str) -> frozenset[Channel]:
        """Return the channels of a list's members."""
        async with self._database.read() as connection:
            found = select(list_member.c.channel).where(list_member.c.list_id == list_id).distinct()
            return frozenset(map(Channel, (await connection.execute(found)).scalars()))

    async def list(self, *, after: str = "", limit: int = 50) -> tuple[AudienceSummary, ...]:
        """Return audiences after a name, in the order of their names."""
        statement = _all().where(audience.c.name > after).order_by(audience.c.name).limit(limit)
        async with self._database.read() as connection:
            return tuple(map(_summary, (await connection.execute(statement)).all()))

    async def remove(self, name: str, *, now: datetime) -> None:
        """Forget an audience. Messages that were sent to it keep their recipients. Raises NotFound."""
        async with self._database.write() as connection:
            row = (await connection.execute(_named(name).with_for_update(of=audience))).one_or_none()
            if row is None:
                raise NotFound("audience", name)
            await connection.execute(delete(audience).where(audience.c.name == name))
            await _drop(connection, row.list_id, now=now)

    async def clear(self, *, now: datetime, limit: int) -> int:
        """Delete up to ``limit`` members of lists that nothing needs any more, and return how many those were."""
        needed = select(expansion.c.message_id).where(UNFINISHED, expansion.c.list_id == member_list.c.id)
        unneeded = (
            select(member_list.c.id)
            .where(member_list.c.dropped_at < to_ms(now - KEPT_FOR), ~needed.exists())
            .order_by(member_list.c.dropped_at, member_list.c.id)
            .limit(1)
            .with_for_update(skip_locked=True)
        )
        async with self._database.write() as connection:
            list_id = (await connection.execute(unneeded)).scalar_one_or_none()
            if list_id is None:
                return 0
            first = select(list_member.c.position).where(list_member.c.list_id == list_id)
            first = first.order_by(list_member.c.position).limit(limit)
            gone = delete(list_member).where(list_member.c.list_id == list_id, list_member.c.position.in_(first))
            count = (await connection.execute(gone)).rowcount
            if count < limit:
                await connection.execute(delete(member_list).where(member_list.c.id == list_id))
        return count


async def find_audience(connection: AsyncConnection, name: str, *, at_once: int) -> Audience:
    """Return an audience with its members, if these are no more than ``at_once``. Raises NotFound."""
    row = await _find(connection, name)
    recipients = None
    if row.members <= at_once:
        recipients = await members_of(connection, row.list_id, limit=at_once)
    return Audience(members=Members(row.list_id, row.places - 1, row.members), recipients=recipients)


async def members_of(connection: AsyncConnection, list_id: str, *, limit: int) -> tuple[Recipient, ...]:
    """Return the first members of a list."""
    return tuple(map(_recipient, await _read(connection, list_id, after=-1, limit=limit)))


def _all() -> Select[Any]:
    return select(audience, member_list.c.members, member_list.c.places).join(
        member_list, member_list.c.id == audience.c.list_id
    )


def _named(name: str) -> Select[Any]:
    return _all().where(audience.c.name == name)


async def _find(connection: AsyncConnection, name: str) -> Row[Any]:
    row: Row[Any] | None = (await connection.execute(_named(name))).one_or_none()
    if row is None:
        raise NotFound("audience", name)
    return row


async def _read(connection: AsyncConnection, list_id: str, *, after: int, limit: int) -> Sequence[Row[Any]]:
    statement = (
        select(list_member)
        .where(list_member.c.list_id == list_id, list_member.c.position > after)
        .order_by(list_member.c.position)
        .limit(limit)
    )
    return (await connection.execute(statement)).all()


async def _among(
    connection: AsyncConnection, list_id: str, recipients: Sequence[Recipient]
) -> dict[tuple[str, str], tuple[str | None, str | None]]:
    """Return those of the recipients who are on a list, with the zone and the account that they have there."""
    by_channel: defaultdict[Channel, set[str]] = defaultdict(set)
    for each in recipients:
        by_channel[each.channel].add(each.address)
    found: dict[tuple[str, str], tuple[str | None, str | None]] = {}
    for channel, addresses in by_channel.items():  # so that the unique index leads to each, however long the list is
        here = and_(list_member.c.list_id == list_id, list_member.c.channel == channel.value)
        rows = await connection.execute(select(list_member).where(here, among(list_member.c.address, addresses)))
        found |= {(row.channel, row.address): (row.zone, row.account) for row in rows}
    return found


def _member(list_id: str, channel: Channel, address: str) -> Any:
    return and_(
        list_member.c.list_id == list_id, list_member.c.channel == channel.value, list_member.c.address == address
    )


async def _drop(connection: AsyncConnection, list_id: str, *, now: datetime) -> None:
    await connection.execute(update(member_list).where(member_list.c.id == list_id).values(dropped_at=to_ms(now)))


def _summary(row: Row[Any]) -> AudienceSummary:
    return AudienceSummary(name=row.name, members=row.members, created_at=from_ms(row.created_at))


def _recipient(row: Row[Any]) -> Recipient:
    return Recipient(Channel(row.channel), row.address, row.zone, row.account)


def _rows(list_id: str, recipients: Sequence[Recipient], *, first: int) -> list[dict[str, object]]:
    return [
        {
            "list_id": list_id,
            "position": position,
            "channel": each.channel.value,
            "address": each.address,
            "zone": each.zone,
            "account": each.account,
        }
        for position, each in enumerate(recipients, first)
    ]
