"""The publisher's store: messages accepted, deliveries dispatched, claimed, recorded and swept.

Each method is one transaction. ``now`` is the wall clock of the caller, aware; nothing here reads a clock. Locks are
taken in one order by all: deliveries, their messages, the stream's counter.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from random import Random
from typing import Final

from omnichannel.database import claims as claim_rows
from omnichannel.database import due as due_rows
from omnichannel.database import message_rows
from omnichannel.database.doorbell import ring, room
from omnichannel.database.engine import Database
from omnichannel.database.errors import InvalidCursor
from omnichannel.database.group_commit import GroupCommit
from omnichannel.database.rows import to_ms
from omnichannel.messages.acceptance import accept
from omnichannel.messages.ids import is_id, new_id
from omnichannel.messages.model import Claim, DeliveryStatus, Message, MessageStatus, NewMessage, Page
from omnichannel.messages.outcome import LostAnswer, Outcome
from omnichannel.messages.retry import RetryPolicy
from omnichannel.messages.verdict import WORKER_LOST, Attempt, judge, judge_lapse

__all__ = ["CLAIM_TTL", "UNHEARD_AFTER", "Store", "Swept"]

CLAIM_TTL: Final = timedelta(seconds=10)
"""How long a claim holds without being renewed: renew at a third of it."""

UNHEARD_AFTER: Final = timedelta(seconds=10)
"""How long a hint may take to lead to a claim before the delivery is rung again."""

GROUP_LIMIT: Final = 64  # calls in one transaction: bounds how long the first of them waits for the last


@dataclass(frozen=True, slots=True, kw_only=True)
class Swept:
    """What a sweep found, as delivery ids: claims that lapsed, by what became of them, and hints that were lost."""

    retried: tuple[str, ...]
    unknown: tuple[str, ...]
    dead: tuple[str, ...]
    rung: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Report:
    claim: Claim
    outcome: Outcome
    now: datetime


class Store:
    """Keeps messages in a database. Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database, *, retry: RetryPolicy | None = None, random: Random | None = None) -> None:
        self._database = database
        self._retry = retry or RetryPolicy()
        self._random = random or Random()  # noqa: S311 - spreads retries in time, guards nothing
        self._accepting = GroupCommit(self._accept_all, limit=GROUP_LIMIT)
        self._recording = GroupCommit(self._record_all, limit=GROUP_LIMIT)

    async def accept(self, new: NewMessage, *, now: datetime) -> Message:
        """Keep a message and its deliveries; ring for them if they are due.

        Calls that wait at the same time share one transaction.
        """
        message = accept(new, now=now, new_id=new_id)
        await self._accepting.submit(message)
        return message

    async def find_message(self, message_id: str) -> Message:
        """Return a message. Raises MessageNotFound."""
        async with self._database.read() as connection:
            return await message_rows.find_message(connection, message_id)

    async def list_messages(
        self, *, status: MessageStatus | None = None, limit: int = 50, cursor: str | None = None
    ) -> Page:
        """Return messages, newest first, after the cursor of an earlier page. Raises InvalidCursor."""
        if cursor is not None and not is_id(cursor):
            raise InvalidCursor(cursor)
        async with self._database.read() as connection:
            found = await message_rows.list_messages(connection, status=status, before=cursor, limit=limit + 1)
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
            await message_rows.update_statuses(connection, {each.message_id for each in queued})
            await ring(connection, ids, now_ms=to_ms(now))
        return ids

    async def claim(self, ids: Collection[str], *, owner: str, now: datetime) -> tuple[Claim, ...]:
        """Claim those of the deliveries that are queued, and start an attempt for each.

        What another worker has claimed, and what is cancelled or done, is left out. ``owner`` names the worker in the
        attempt's record. The claim holds for CLAIM_TTL.
        """
        if not ids:
            return ()
        async with self._database.write() as connection:
            until_ms = to_ms(now + CLAIM_TTL)
            taken = await claim_rows.take(connection, ids, owner=owner, now_ms=to_ms(now), until_ms=until_ms)
        return tuple(taken)

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
            lapsed = await due_rows.lock_lapsed(connection, now_ms=now_ms, limit=limit)
            endings = [
                claim_rows.Ending(
                    delivery_id=each.delivery_id,
                    message_id=each.message_id,
                    number=each.attempt.number,
                    outcome=LostAnswer(WORKER_LOST),
                    verdict=judge_lapse(each.attempt, policy=self._retry, now=now),
                    ended_ms=now_ms,
                )
                for each in lapsed
            ]
            unheard = await due_rows.queue_unheard(
                connection, rung_before_ms=rung_before_ms, now_ms=now_ms, limit=limit
            )
            await claim_rows.end(connection, endings)
            await ring(connection, unheard, now_ms=now_ms)
        return Swept(
            retried=_those(endings, DeliveryStatus.RETRY_WAIT),
            unknown=_those(endings, DeliveryStatus.UNKNOWN),
            dead=_those(endings, DeliveryStatus.DEAD),
            rung=tuple(unheard),
        )

    async def _accept_all(self, messages: Sequence[Message]) -> Sequence[None]:
        queued = [
            each.id for message in messages for each in message.deliveries if each.status is DeliveryStatus.QUEUED
        ]
        async with self._database.write() as connection:
            await message_rows.insert_messages(connection, messages)
            await ring(connection, queued, now_ms=min(to_ms(message.created_at) for message in messages))
        return [None] * len(messages)

    async def _record_all(self, reports: Sequence[_Report]) -> Sequence[bool]:
        first = {(each.claim.delivery_id, each.claim.epoch): each for each in reversed(reports)}
        async with self._database.write() as connection:
            held = await claim_rows.lock_held(connection, [report.claim for report in first.values()])
            counted = {key: report for key, report in first.items() if key in held}
            await claim_rows.end(connection, [self._ending(report) for report in counted.values()])
        return [counted.get((each.claim.delivery_id, each.claim.epoch)) is each for each in reports]

    def _ending(self, report: _Report) -> claim_rows.Ending:
        claim = report.claim
        attempt = Attempt(channel=claim.channel, number=claim.attempt, first_at=claim.first_attempt_at)
        verdict = judge(attempt, report.outcome, policy=self._retry, random=self._random, now=report.now)
        return claim_rows.Ending(
            delivery_id=claim.delivery_id,
            message_id=claim.message_id,
            number=claim.attempt,
            outcome=report.outcome,
            verdict=verdict,
            ended_ms=to_ms(report.now),
        )


def _those(endings: Sequence[claim_rows.Ending], status: DeliveryStatus) -> tuple[str, ...]:
    return tuple(each.delivery_id for each in endings if each.verdict.status is status)
