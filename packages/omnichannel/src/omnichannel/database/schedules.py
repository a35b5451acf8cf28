"""Schedules as rows, and their occurrences: decided in one transaction with the messages that follow from them."""

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from sqlalchemy import Row, func, insert, select, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.alarm import wake_scheduler
from omnichannel.database.audiences import find_audience
from omnichannel.database.engine import Database
from omnichannel.database.errors import Conflict, InvalidCursor, NotFound
from omnichannel.database.resource_tables import ACTIVE_SCHEDULE, occurrence, schedule
from omnichannel.database.rows import from_ms, from_optional_ms, to_ms, to_optional_ms
from omnichannel.database.store import keep_messages
from omnichannel.database.suppressions import suppressed_among
from omnichannel.messages.acceptance import accept
from omnichannel.messages.content import message_of
from omnichannel.messages.ids import OrderedIds, is_id
from omnichannel.messages.model import InvalidMessage, Members, Message, Recipient
from omnichannel.messages.recurrence import Recurrence
from omnichannel.messages.schedules import Misfire, Plan, Schedule, ScheduleState, plan

__all__ = ["Fired", "Occurrence", "Occurrences", "ScheduleList", "Schedules"]


AT_ONCE: Final = 1000  # recipients of an occurrence: the deliveries to more are made by and by


@dataclass(frozen=True, slots=True, kw_only=True)
class Occurrence:
    """What was decided about one time of a schedule."""

    nominal_at: datetime
    state: str  # sent, skipped or failed
    message_id: str | None
    detail: str | None
    decided_at: datetime


@dataclass(frozen=True, slots=True)
class ScheduleList:
    """Some schedules, newest first, and the cursor of the next page; None: there is none."""

    items: tuple[Schedule, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Occurrences:
    """Some occurrences, newest first, and the cursor of the next page; None: there is none."""

    items: tuple[Occurrence, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class Fired:
    """What one look at the schedules that were due did."""

    schedules: int
    messages: tuple[str, ...]  # ids
    skipped: int


class Schedules:
    """Keeps schedules in a database. Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database, *, new_id: Callable[[datetime], str] | None = None) -> None:
        self._database = database
        self._new_id = new_id or OrderedIds()

    async def create(
        self,
        recurrence: Recurrence,
        content: Mapping[str, Any],
        *,
        misfire: Misfire,
        misfire_limit: int,
        starts_at: datetime | None,
        ends_at: datetime | None,
        now: datetime,
    ) -> Schedule:
        """Keep a new schedule. Its first occurrence is the first one after ``starts_at``, and after now."""
        made = Schedule(
            id=self._new_id(now),
            recurrence=recurrence,
            state=ScheduleState.ACTIVE,
            misfire=misfire,
            misfire_limit=misfire_limit,
            ends_at=None if ends_at is None else from_ms(to_ms(ends_at)),
            content=dict(content),
            next_at=None,
            created_at=from_ms(to_ms(now)),
        )
        next_at = made.following(now if starts_at is None else max(now, starts_at))
        values = _values(made) | {"next_at": to_optional_ms(next_at)}
        if next_at is None:
            raise Conflict("the schedule would end before its first occurrence")
        async with self._database.write() as connection:
            await connection.execute(insert(schedule).values(values))
            await wake_scheduler(connection, due_at=next_at, now=now)
        return await self.find(made.id)

    async def find(self, schedule_id: str) -> Schedule:
        """Return a schedule. Raises NotFound."""
        async with self._database.read() as connection:
            return _schedule(await _find(connection, schedule_id))

    async def list_schedules(
        self, *, state: ScheduleState | None = None, limit: int = 50, cursor: str | None = None
    ) -> ScheduleList:
        """Return schedules, newest first, after the cursor of an earlier page. Raises InvalidCursor."""
        if cursor is not None and not is_id(cursor):
            raise InvalidCursor(cursor)
        statement = select(schedule).order_by(schedule.c.id.desc()).limit(limit + 1)
        if state is not None:
            statement = statement.where(schedule.c.state == state.value)
        if cursor is not None:
            statement = statement.where(schedule.c.id < cursor)
        async with self._database.read() as connection:
            rows = (await connection.execute(statement)).all()
        items = tuple(map(_schedule, rows[:limit]))
        return ScheduleList(items, next=items[-1].id if len(rows) > limit else None)

    async def occurrences(self, schedule_id: str, *, limit: int = 50, cursor: str | None = None) -> Occurrences:
        """Return what was decided about a schedule's times, newest first. Raises NotFound, InvalidCursor."""
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 19):
            raise InvalidCursor(cursor)
        statement = select(occurrence).where(occurrence.c.schedule_id == schedule_id)
        if cursor is not None:
            statement = statement.where(occurrence.c.nominal_at < int(cursor))
        async with self._database.read() as connection:
            await _find(connection, schedule_id)
            found = statement.order_by(occurrence.c.nominal_at.desc()).limit(limit + 1)
            rows = (await connection.execute(found)).all()
        items = tuple(
            Occurrence(
                nominal_at=from_ms(row.nominal_at),
                state=row.state,
                message_id=row.message_id,
                detail=row.detail,
                decided_at=from_ms(row.decided_at),
            )
            for row in rows[:limit]
        )
        return Occurrences(items, next=str(rows[limit - 1].nominal_at) if len(rows) > limit else None)

    async def pause(self, schedule_id: str) -> Schedule:
        """Let nothing more come of a schedule until it is resumed. Raises NotFound, Conflict."""
        return await self._change(schedule_id, ScheduleState.ACTIVE, ScheduleState.PAUSED)

    async def resume(self, schedule_id: str) -> Schedule:
        """Let a schedule go on: times that went by while it was paused are misfires. Raises NotFound, Conflict."""
        return await self._change(schedule_id, ScheduleState.PAUSED, ScheduleState.ACTIVE)

    async def finish(self, schedule_id: str) -> Schedule:
        """End a schedule for good. What it has sent stays. Raises NotFound."""
        async with self._database.write() as connection:
            await _find(connection, schedule_id, lock=True)
            done = update(schedule).where(schedule.c.id == schedule_id)
            await connection.execute(done.values(state=ScheduleState.COMPLETED.value, next_at=None))
            return _schedule(await _find(connection, schedule_id))

    async def next_due(self) -> datetime | None:
        """Return when the next occurrence of any schedule is due; None: there is none."""
        statement = select(func.min(schedule.c.next_at)).where(ACTIVE_SCHEDULE)
        async with self._database.read() as connection:
            return from_optional_ms((await connection.execute(statement)).scalar_one())

    async def fire_due(self, *, now: datetime, limit: int = 20) -> Fired:
        """Decide the occurrences that have come due of up to ``limit`` schedules.

        Of several callers at once each gets other schedules. An occurrence is a row whose key is its schedule and its
        nominal time: deciding one twice would fail, and take back all that the second decision did.
        """
        due = (
            select(schedule)
            .where(ACTIVE_SCHEDULE, schedule.c.next_at <= to_ms(now))
            .order_by(schedule.c.next_at, schedule.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        async with self._database.write() as connection:
            found = [_schedule(row) for row in (await connection.execute(due)).all()]
            messages: list[Message] = []
            skipped = 0
            for each in found:
                decided = plan(each, now=now)
                messages += await self._decide(connection, each, decided, now=now)
                skipped += len(decided.skip)
            await keep_messages(connection, messages, now=now)
        return Fired(len(found), tuple(message.id for message in messages), skipped)

    async def _decide(
        self, connection: AsyncConnection, each: Schedule, decided: Plan, *, now: datetime
    ) -> list[Message]:
        messages: list[Message] = []
        rows = [_occurrence(each, nominal, "skipped", now=now, detail="missed") for nominal in decided.skip]
        for nominal in decided.send:
            try:
                message = await self._message(connection, each, nominal, now=now)
            except (InvalidMessage, NotFound) as exc:
                rows.append(_occurrence(each, nominal, "failed", now=now, detail=str(exc)))
            else:
                messages.append(message)
                rows.append(_occurrence(each, nominal, "sent", now=now, message_id=message.id))
        if rows:
            await connection.execute(insert(occurrence), rows)
        state = ScheduleState.COMPLETED if decided.next_at is None else each.state
        moved = update(schedule).where(schedule.c.id == each.id)
        await connection.execute(moved.values(next_at=to_optional_ms(decided.next_at), state=state.value))
        return messages

    async def _message(
        self, connection: AsyncConnection, each: Schedule, nominal: datetime, *, now: datetime
    ) -> Message:
        """Return the message of an occurrence: to the audience as it is by now. Raises InvalidMessage, NotFound."""
        members: tuple[Recipient, ...] = ()
        later: Members | None = None
        name = each.content.get("audience")
        if name is not None:
            found = await find_audience(connection, name, at_once=AT_ONCE - len(each.content["recipients"]))
            members, later = (found.recipients, None) if found.recipients is not None else ((), found.members)
        new = message_of(each.content, members=members, schedule_id=each.id, nominal=nominal, later=later)
        stopped = await suppressed_among(connection, new.recipients)
        return accept(new, now=now, new_id=self._new_id, suppressed=stopped)

    async def _change(self, schedule_id: str, before: ScheduleState, after: ScheduleState) -> Schedule:
        async with self._database.write() as connection:
            row = await _find(connection, schedule_id, lock=True)
            if row.state == ScheduleState.COMPLETED.value:
                raise Conflict("the schedule is completed")
            if row.state == before.value:
                await connection.execute(update(schedule).where(schedule.c.id == schedule_id).values(state=after.value))
            return _schedule(await _find(connection, schedule_id))


async def _find(connection: AsyncConnection, schedule_id: str, *, lock: bool = False) -> Row[Any]:
    statement = select(schedule).where(schedule.c.id == schedule_id)
    row = (await connection.execute(statement.with_for_update() if lock else statement)).one_or_none()
    if row is None:
        raise NotFound("schedule", schedule_id)
    return row


def _occurrence(
    each: Schedule,
    nominal: datetime,
    state: str,
    *,
    now: datetime,
    message_id: str | None = None,
    detail: str | None = None,
) -> dict[str, object]:
    return {
        "schedule_id": each.id,
        "nominal_at": to_ms(nominal),
        "state": state,
        "message_id": message_id,
        "detail": detail,
        "decided_at": to_ms(now),
    }


def _values(made: Schedule) -> dict[str, object]:
    return {
        "id": made.id,
        "state": made.state.value,
        "cron": made.recurrence.cron,
        "zone": made.recurrence.zone,
        "misfire": made.misfire.value,
        "misfire_limit": made.misfire_limit,
        "ends_at": to_optional_ms(made.ends_at),
        "content": json.dumps(made.content, ensure_ascii=False),
        "created_at": to_ms(made.created_at),
    }


def _schedule(row: Row[Any]) -> Schedule:
    return Schedule(
        id=row.id,
        recurrence=Recurrence(row.cron, row.zone),
        state=ScheduleState(row.state),
        misfire=Misfire(row.misfire),
        misfire_limit=row.misfire_limit,
        ends_at=from_optional_ms(row.ends_at),
        content=json.loads(row.content),
        next_at=from_optional_ms(row.next_at),
        created_at=from_ms(row.created_at),
    )
