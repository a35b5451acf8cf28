"""The publisher's store: messages accepted, deliveries dispatched, claimed, recorded and swept.

Each method is one transaction. ``now`` is the wall clock of the caller, aware; nothing here reads a clock. Locks are
taken in one order by all: deliveries, their messages, the stream's counter.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database import claims as claim_rows
from omnichannel.database import due as due_rows
from omnichannel.database import expansions, hearing, message_rows, suppressions
from omnichannel.database.aftermath import settle
from omnichannel.database.alarm import wake_scheduler
from omnichannel.database.doorbell import ring, room
from omnichannel.database.due import Agenda
from omnichannel.database.engine import Database
from omnichannel.database.errors import InvalidCursor, KeyReused
from omnichannel.database.expansions import Piece
from omnichannel.database.group_commit import GroupCommit
from omnichannel.database.idempotency import IdempotencyKey, KeptAnswer, KeysUnderWay, keep_answers
from omnichannel.database.message_rows import MessageFilter
from omnichannel.database.rows import to_ms
from omnichannel.database.taking import read_limits, take
from omnichannel.messages.acceptance import accept
from omnichannel.messages.ids import OrderedIds, is_id
from omnichannel.messages.model import (
    Channel,
    Claim,
    Delivery,
    DeliveryStatus,
    Message,
    MessageStatus,
    NewMessage,
    Page,
)
from omnichannel.messages.outcome import LostAnswer, Outcome
from omnichannel.messages.retry import RetryPolicy
from omnichannel.messages.verdict import WORKER_LOST, Attempt, judge, judge_lapse

__all__ = ["CLAIM_TTL", "UNHEARD_AFTER", "DeliveryPage", "Store", "Swept", "keep_messages"]

CLAIM_TTL: Final = timedelta(seconds=10)
"""How long a claim holds without being renewed: renew at a third of it."""

UNHEARD_AFTER: Final = timedelta(seconds=10)
"""How long a hint may take to lead to a claim before the delivery is rung again."""

GROUP_LIMIT: Final = 64  # calls in one transaction: bounds how long the first of them waits for the last
RECORD_LIMIT: Final = 256  # outcomes in one transaction
RECORDS_APART_S: Final = 0.03  # nobody waits for an outcome to be written: many share a flush of the disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep found, as delivery ids: claims that lapsed, by what became of them, and hints that were lost."""

    retried: tuple[str, ...]
    unknown: tuple[str, ...]
    dead: tuple[str, ...]
    rung: tuple[str, ...]
    expired: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DeliveryPage:
    """Some deliveries of a message, in its order, and the cursor of the next page; None: there is none."""

    items: tuple[Delivery, ...]
    next: str | None


@dataclass(frozen=True, slots=True)
class _Report:
    claim: Claim
    outcome: Outcome
    now: datetime


@dataclass(frozen=True, slots=True)
class _Acceptance:
    messages: tuple[Message, ...]
    now: datetime
    key: IdempotencyKey | None = None
    answer: KeptAnswer | None = None


class Store:
    """Keeps messages in a database. Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database, *, retry: RetryPolicy | None = None, random: Random | None = None) -> None:
        self._database = database
        self._ids = OrderedIds()
        self._keys = KeysUnderWay()
        self._retry = retry or RetryPolicy()
        self._random = random or Random()  # noqa: S311 - spreads retries in time, guards nothing
        self._accepting = GroupCommit(self._accept_all, limit=GROUP_LIMIT)
        self._recording = GroupCommit(self._record_all, limit=RECORD_LIMIT, apart_s=RECORDS_APART_S)

    @property
    def database(self) -> Database:
        """The database that the messages are kept in."""
        return self._database

    async def accept(self, new: NewMessage, *, now: datetime) -> Message:
        """Keep a message and its deliveries; ring for them if they are due.

        Calls that wait at the same time share one transaction.
        """
        (message,) = await self.prepare([new], now=now)
        await self._accepting.submit(_Acceptance((message,), now))
        return message

    async def prepare(self, news: Sequence[NewMessage], *, now: datetime) -> tuple[Message, ...]:
        """Return messages as they would be kept. Nothing is written."""
        stopped = await suppressions.among(self._database, [to for new in news for to in new.recipients])
        return tuple(accept(new, now=now, new_id=self._ids, suppressed=stopped) for new in news)

    async def accept_once(
        self,
        news: Sequence[NewMessage],
        *,
        now: datetime,
        key: IdempotencyKey | None,
        answer: Callable[[Sequence[Message]], KeptAnswer],
    ) -> tuple[KeptAnswer, bool]:
        """Keep messages, all or none, unless the key was used before.

        Returns what to answer, and whether it is the kept answer of an earlier request. Raises KeyInUse, KeyReused.
        """
        with self._keys.hold(key):
            messages = await self.prepare(news, now=now)
            fresh = answer(messages)
            acceptance = _Acceptance(messages, now, key, fresh)
            if len(messages) == 1:
                earlier = await self._accepting.submit(acceptance)
            else:  # enough for a transaction of its own
                (earlier,) = await self._accept_all([acceptance])
        if isinstance(earlier, KeyReused):
            raise earlier
        return (fresh, False) if earlier is None else (earlier, True)

    async def find_message(self, message_id: str) -> Message:
        """Return a message. Raises MessageNotFound."""
        async with self._database.read() as connection:
            return await message_rows.find_message(connection, message_id)

    async def list_deliveries(
        self,
        message_id: str,
        *,
        status: DeliveryStatus | None = None,
        channel: Channel | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> DeliveryPage:
        """Return deliveries of a message in the order of its recipients. Raises MessageNotFound, InvalidCursor."""
        if cursor is not None and not (cursor.isascii() and cursor.isdecimal() and len(cursor) < 10):
            raise InvalidCursor(cursor)
        async with self._database.read() as connection:
            found = await message_rows.list_deliveries(
                connection,
                message_id,
                status=status,
                channel=channel,
                after=-1 if cursor is None else int(cursor),
                limit=limit + 1,
            )
        items = tuple(each for _, each in found[:limit])
        return DeliveryPage(items, next=str(found[limit - 1][0]) if len(found) > limit else None)

    async def list_messages(
        self,
        wanted: MessageFilter | None = None,
        *,
        status: MessageStatus | None = None,
        limit: int = 50,
        cursor: str | None = None,
    ) -> Page:
        """Return messages, newest first, after the cursor of an earlier page. Raises InvalidCursor."""
        if cursor is not None and not is_id(cursor):
            raise InvalidCursor(cursor)
        async with self._database.read() as connection:
            found = await message_rows.list_messages(
                connection, wanted or MessageFilter(status=status), before=cursor, limit=limit + 1
            )
        items = tuple(found[:limit])
        return Page(items, next=items[-1].id if len(found) > limit else None)

    async def dispatch_due(self, *, now: datetime, limit: int = 500) -> tuple[str, ...]:
        """Queue up to ``limit`` deliveries whose time has come, ring for them, and return their ids, longest due first.

        Of several callers at once each gets other deliveries. None while the stream holds as much as it may: the
        workers do not keep up, and what is due waits in its place.
        """
        async with self._database.write() as connection:
            limit = min(limit, await room(connection))
            queued = await due_rows.queue_due(connection, now_ms=to_ms(now), limit=limit)
            ids = tuple(each.delivery_id for each in queued)
            await message_rows.note_progress(connection, {each.message_id for each in queued})
            await ring(connection, ids, now_ms=to_ms(now))
        return ids

    async def make_piece(self, *, now: datetime) -> Piece | None:
        """Make the next deliveries of a message to many, a bounded number; None: there are none to be made.

        Of several callers at once each does so for another message.
        """
        async with self._database.write() as connection:
            piece = await expansions.make_piece(connection, now=now, new_id=self._ids)
            if piece is not None:
                await ring(connection, piece.ring, now_ms=to_ms(now))
        return piece

    async def agenda(self) -> Agenda:
        """Return when something is due next. Nothing is locked."""
        async with self._database.read() as connection:
            return await due_rows.read_agenda(connection)

    async def claim(
        self,
        ids: Collection[str],
        *,
        owner: str,
        now: datetime,
        under_way: Mapping[str, int] | None = None,
        hanging: Mapping[str, int] | None = None,
    ) -> tuple[Claim, ...]:
        """Claim those of the deliveries that are queued and may leave now, and start an attempt for each.

        What another worker has claimed, and what is cancelled or done, is left out; what has expired or is suppressed
        ends here, and what its channel's limits hold back is due again later. ``owner`` names the worker in the
        attempt's record, ``under_way`` counts what it is sending already by account, ``hanging`` says how many more it
        may send to each provider that hangs. The claim holds for CLAIM_TTL.
        """
        if not ids:
            return ()
        async with self._database.write() as connection:
            until_ms, room = to_ms(now + CLAIM_TTL), under_way or {}
            taken = await take(
                connection, ids, owner=owner, now=now, until_ms=until_ms, room=room, hanging=hanging or {}
            )
            await ring(connection, taken.ring, now_ms=to_ms(now))
        return taken.claims

    async def claim_heard(
        self,
        group: str,
        *,
        limit: int,
        owner: str,
        now: datetime,
        under_way: Mapping[str, int] | None = None,
        hanging: Mapping[str, int] | None = None,
    ) -> tuple[int, tuple[Claim, ...]]:
        """Hear up to ``limit`` hints of the stream in this database for a group, claim as ``claim`` does, and pass on.

        All in one transaction: either the deliveries are claimed and their hints are done with, or neither. Returns how
        many hints were heard, too. Members of a group hear one after the other, each something else.
        """
        async with self._database.write() as connection:
            await hearing.lock_position(connection, group)
            heard = await hearing.hear(connection, group, limit=limit)
            if not heard.ids:
                return 0, ()
            until_ms, room = to_ms(now + CLAIM_TTL), under_way or {}
            taken = await take(
                connection, heard.ids, owner=owner, now=now, until_ms=until_ms, room=room, hanging=hanging or {}
            )
            await hearing.pass_by(connection, group, heard.number)
            await ring(connection, taken.ring, now_ms=to_ms(now))
        return len(heard.ids), taken.claims

    async def renew(self, claims: Collection[Claim], *, now: datetime) -> frozenset[str]:
        """Let the claims hold for another CLAIM_TTL; return the delivery ids of those that still hold."""
        if not claims:
            return frozenset()
        async with self._database.write() as connection:
            return await claim_rows.renew(connection, claims, until_ms=to_ms(now + CLAIM_TTL))

    async def record(self, claim: Claim, outcome: Outcome, *, now: datetime) -> bool:
        """Write down what became of an attempt; return whether it counted.

        False: the claim had lapsed and the delivery is not this worker's any more, so nothing was written. Calls that
        wait at the same time share one transaction.
        """
        return await self._recording.submit(_Report(claim, outcome, now))

    async def sweep(self, *, now: datetime, limit: int = 500) -> Swept:
        """Take up deliveries whose claim has lapsed, and ring again for those whose hint was lost.

        A lapsed claim is an attempt without answer: it is sent again where the receiver can tell a repetition, and ends
        as ``unknown`` elsewhere.
        """
        now_ms, rung_before_ms = to_ms(now), to_ms(now - UNHEARD_AFTER)
        async with self._database.write() as connection:
            resend = {each for each, own in (await read_limits(connection)).items() if own.resend_lost}
            lapsed = await due_rows.lock_lapsed(connection, now_ms=now_ms, limit=limit, resend=resend)
            endings = [
                claim_rows.Ending(
                    delivery_id=each.delivery_id,
                    message_id=each.message_id,
                    channel=each.attempt.channel,
                    number=each.number,
                    outcome=LostAnswer(WORKER_LOST),
                    verdict=judge_lapse(each.attempt, policy=self._retry, now=now),
                    ended_ms=now_ms,
                )
                for each in lapsed
            ]
            unheard = await due_rows.queue_unheard(
                connection, rung_before_ms=rung_before_ms, now_ms=now_ms, limit=limit
            )
            expired = await due_rows.expire_overdue(connection, now_ms=now_ms, limit=limit)
            freed = await claim_rows.end(connection, endings, now_ms=now_ms)
            freed += await settle(connection, expired, now_ms=now_ms)
            await ring(connection, [*unheard, *freed], now_ms=now_ms)
        return Swept(
            retried=_those(endings, DeliveryStatus.RETRY_WAIT),
            unknown=_those(endings, DeliveryStatus.UNKNOWN),
            dead=_those(endings, DeliveryStatus.DEAD),
            rung=tuple(unheard),
            expired=tuple(expired),
        )

    async def _accept_all(self, items: Sequence[_Acceptance]) -> Sequence[KeptAnswer | KeyReused | None]:
        now = min(item.now for item in items)
        async with self._database.write() as connection:
            keyed = [(item.key, item.answer) for item in items if item.key is not None and item.answer is not None]
            earlier = await keep_answers(connection, keyed, now=now)
            results = [None if item.key is None else earlier.get(item.key.place) for item in items]
            fresh = [item for item, result in zip(items, results, strict=True) if result is None]
            await keep_messages(connection, [each for item in fresh for each in item.messages], now=now)
        return results

    async def _record_all(self, reports: Sequence[_Report]) -> Sequence[bool]:
        first = {(each.claim.delivery_id, each.claim.epoch): each for each in reversed(reports)}
        now_ms = max(to_ms(each.now) for each in reports)
        async with self._database.write() as connection:
            held = await claim_rows.lock_held(connection, [report.claim for report in first.values()])
            counted = {key: report for key, report in first.items() if key in held}
            lost = any(isinstance(report.outcome, LostAnswer) for report in counted.values())
            limits = await read_limits(connection) if lost else {}
            resend = {each for each, own in limits.items() if own.resend_lost}
            endings = [self._ending(report, resend=report.claim.via in resend) for report in counted.values()]
            freed = await claim_rows.end(connection, endings, now_ms=now_ms)
            await ring(connection, freed, now_ms=now_ms)
        return [counted.get((each.claim.delivery_id, each.claim.epoch)) is each for each in reports]

    def _ending(self, report: _Report, *, resend: bool) -> claim_rows.Ending:
        claim = report.claim
        attempt = Attempt(
            channel=claim.channel,
            number=claim.counted,
            first_at=claim.first_attempt_at,
            uncounted=claim.uncounted,
            resend=resend,
        )
        verdict = judge(attempt, report.outcome, policy=self._retry, random=self._random, now=report.now)
        return claim_rows.Ending(
            delivery_id=claim.delivery_id,
            message_id=claim.message_id,
            channel=claim.channel,
            number=claim.attempt,
            outcome=report.outcome,
            verdict=verdict,
            ended_ms=to_ms(report.now),
        )


async def keep_messages(connection: AsyncConnection, messages: Sequence[Message], *, now: datetime) -> None:
    """Insert messages, and ring for what is due of them: call it last in a transaction."""
    if not messages:
        return
    await message_rows.insert_messages(connection, messages)
    await expansions.begin(connection, messages)
    waiting = [
        each.send_at
        for each in messages
        if any(delivery.status is DeliveryStatus.SCHEDULED for delivery in each.deliveries)
    ]
    waiting += [now for each in messages if each.expansion is not None]
    if waiting:
        await wake_scheduler(connection, due_at=min(waiting), now=now)
    queued = [each.id for message in messages for each in message.deliveries if each.status is DeliveryStatus.QUEUED]
    await ring(connection, queued, now_ms=to_ms(now))


def _those(endings: Sequence[claim_rows.Ending], status: DeliveryStatus) -> tuple[str, ...]:
    return tuple(each.delivery_id for each in endings if each.verdict.status is status)
