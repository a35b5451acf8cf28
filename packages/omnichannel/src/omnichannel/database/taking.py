"""Taking claims: of the deliveries that a worker heard of, those that may leave now become its own.

All is decided on rows that this transaction has locked: what is cancelled, expired or suppressed by then is not sent.
"""

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta
from typing import Any, Final

from sqlalchemy import BigInteger, Row, and_, bindparam, case, func, insert, literal, or_, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.aftermath import settle
from omnichannel.database.batches import INTEGER, TEXT, among, as_rows, rows_of
from omnichannel.database.quotas import keep_used, lock_used, next_day
from omnichannel.database.resource_tables import (
    attachment,
    channel_limits,
    channel_pace,
    message_attachment,
    suppression,
)
from omnichannel.database.rows import from_ms, from_optional_ms, to_ms
from omnichannel.database.tables import (
    OTHER_ORDERED,
    OTHER_ORDERED_SENDING,
    attempt,
    delivery,
    message,
    message_variant,
)
from omnichannel.messages.admission import Admit, Candidate, Defer, Expire, Limits, Pace, Suppress, admit
from omnichannel.messages.lifecycle import Event, move
from omnichannel.messages.model import AttachmentRef, Channel, Claim, DeliveryStatus, Trace, provider, via
from omnichannel.messages.quiet import QuietHours

__all__ = ["Taken", "read_limits", "take"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_EXPIRED: Final = "its time was over before it could be sent"
_SUPPRESSED: Final = "the address is suppressed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What became of the deliveries that were asked for; ``ring`` is to be rung last in the transaction."""

    claims: tuple[Claim, ...]
    ring: tuple[str, ...]


async def take(
    connection: AsyncConnection,
    ids: Collection[str],
    *,
    owner: str,
    now: datetime,
    until_ms: int,
    room: Mapping[str, int],
    hanging: Mapping[str, int],
) -> Taken:
    """Claim those of the deliveries that may leave now, and start an attempt for each, in the order of the ids.

    A rival's claim that is not committed yet is waited for, not skipped: whoever is told nothing here may commit the
    stream's position, because each of these deliveries is then certainly somebody's. ``room`` is how many attempts each
    account has under way in the worker; it counts only where the account's limits bound it. ``hanging`` is how many
    more each provider that hangs may have.
    """
    rows = {row.id: row for row in await _lock(connection, ids)}
    if not rows:
        return Taken(claims=(), ring=())
    asked = [rows[each] for each in dict.fromkeys(ids) if each in rows]
    behind = await _behind(connection, [row.id for row in asked if row.order_key is not None])
    limits = await read_limits(connection)
    accounts = {_via(row) for row in asked}
    paced = accounts & {each for each, own in limits.items() if own.rate_per_s}
    paces = await _lock_paces(connection, paced, now=now)
    before = dict(paces)
    bounded = accounts & {each for each, own in limits.items() if own.daily_quota is not None}
    used = await lock_used(connection, bounded, now=now)
    used_before = dict(used)
    under_way = defaultdict(int, room)
    left = dict(hanging)
    admitted: list[Row[Any]] = []
    moved: list[dict[str, object]] = []
    for row in asked:
        if row.in_pieces and row.cancelled_at is not None:  # its deliveries are being cancelled by and by
            moved.append(_moved(row, Event.CANCELLED))
            continue
        account = _via(row)
        own = limits.get(account, Limits())
        whom = provider(Channel(row.channel), row.account, row.address) if left else ""
        decision = admit(
            _candidate(row, behind=row.id in behind),
            own,
            pace=paces.get(account),
            room=_less(None if own.concurrency is None else own.concurrency - under_way[account], left.get(whom)),
            now=now,
            quota_left=None if own.daily_quota is None else own.daily_quota - used[account],
            quota_over_at=None if own.daily_quota is None else next_day(now),
        )
        match decision:
            case Admit(pace):
                admitted.append(row)
                under_way[account] += 1
                if whom in left:
                    left[whom] -= 1
                if account in used:
                    used[account] += 1
                paces |= {} if pace is None else {account: pace}
            case Defer(until, reason, slot_at, pace):
                moved.append(_moved(row, Event.DEFERRED, due_at=until, reason=reason.value, slot_at=slot_at))
                paces |= {} if pace is None else {account: pace}
            case Expire():
                moved.append(_moved(row, Event.EXPIRED, error=_EXPIRED))
            case Suppress():
                moved.append(_moved(row, Event.SUPPRESSED, error=_SUPPRESSED))
    await _keep_paces(connection, {each: pace for each, pace in paces.items() if before.get(each) != pace})
    await keep_used(connection, {each: count for each, count in used.items() if used_before[each] != count}, now=now)
    claims = await _claim(connection, admitted, owner=owner, now_ms=to_ms(now), until_ms=until_ms)
    return Taken(claims=claims, ring=await _move(connection, moved, now_ms=to_ms(now)))


async def read_limits(connection: AsyncConnection) -> dict[str, Limits]:
    """Return the limits of every account that has some."""
    known = {each.value for each in Channel}
    rows = (await connection.execute(select(channel_limits))).all()
    return {
        row.channel: Limits(
            rate_per_s=row.rate_per_s,
            concurrency=row.concurrency,
            daily_quota=row.daily_quota,
            quiet=None
            if row.quiet_start is None
            else QuietHours(time.fromisoformat(row.quiet_start), time.fromisoformat(row.quiet_end), row.quiet_zone),
            resend_lost=row.lost_answer == "resend",
        )
        for row in rows
        if row.channel.partition(":")[0] in known
    }


async def _lock(connection: AsyncConnection, ids: Collection[str]) -> Sequence[Row[Any]]:
    own = and_(message_variant.c.message_id == delivery.c.message_id, message_variant.c.channel == delivery.c.channel)
    stopped = and_(suppression.c.channel == delivery.c.channel, suppression.c.address == delivery.c.address)
    attached = select(message_attachment.c.position).where(message_attachment.c.message_id == message.c.id).exists()
    statement = (
        select(
            delivery,
            func.coalesce(message_variant.c.subject, message.c.subject).label("subject"),
            func.coalesce(message_variant.c.body, message.c.body).label("body"),
            case((message_variant.c.channel.is_not(None), message_variant.c.html), else_=message.c.html).label("html"),
            message.c.urgent,
            message.c.cancelled_at,
            message.c.in_pieces,
            message.c.request_id,
            message.c.traceparent,
            suppression.c.address.is_not(None).label("suppressed"),
            attached.label("attached"),
        )
        .select_from(delivery)
        .join(message, message.c.id == delivery.c.message_id)
        .outerjoin(message_variant, own)
        .outerjoin(suppression, stopped)
        .where(among(delivery.c.id, ids), delivery.c.status == DeliveryStatus.QUEUED.value)
        .order_by(delivery.c.id)
        .with_for_update(of=delivery)
    )
    return (await connection.execute(statement)).all()


async def _behind(connection: AsyncConnection, ids: Sequence[str]) -> frozenset[str]:
    """Return those of the ordered deliveries to whose address another is under way, or has to go first."""
    if not ids:
        return frozenset()
    other = delivery.alias("other")
    same = and_(other.c.order_key == delivery.c.order_key, other.c.id != delivery.c.id)
    goes_first = and_(  # the first part bounds what is read of the index: what waits for later stays unread
        other.c.order_at <= delivery.c.order_at,
        or_(other.c.order_at < delivery.c.order_at, other.c.id < delivery.c.id),
    )
    blocking = or_(
        select(other.c.id).where(same, OTHER_ORDERED_SENDING).exists(),
        select(other.c.id).where(same, OTHER_ORDERED, goes_first).exists(),
    )
    found = await connection.execute(select(delivery.c.id).where(among(delivery.c.id, ids), blocking))
    return frozenset(found.scalars())


def _candidate(row: Row[Any], *, behind: bool) -> Candidate:
    return Candidate(
        channel=Channel(row.channel),
        expires_at=from_optional_ms(row.expires_at),
        suppressed=row.suppressed,
        urgent=row.urgent,
        zone=row.zone,
        slot_at=from_optional_ms(row.slot_at),
        behind=behind,
    )


async def _lock_paces(connection: AsyncConnection, accounts: Collection[str], *, now: datetime) -> dict[str, Pace]:
    if not accounts:
        return {}
    add = text("INSERT INTO channel_pace (channel, free_at_us) VALUES (:channel, :at) ON CONFLICT (channel) DO NOTHING")
    names = sorted(accounts)
    await connection.execute(add, [{"channel": each, "at": (now - _EPOCH) // _MICROSECOND} for each in names])
    locked = select(channel_pace).where(channel_pace.c.channel.in_(names)).order_by(channel_pace.c.channel)
    rows = (await connection.execute(locked.with_for_update())).all()
    return {row.channel: Pace(_EPOCH + row.free_at_us * _MICROSECOND) for row in rows}


async def _keep_paces(connection: AsyncConnection, paces: Mapping[str, Pace]) -> None:
    if not paces:
        return
    statement = (
        update(channel_pace).where(channel_pace.c.channel == bindparam("of")).values(free_at_us=bindparam("free"))
    )
    values = [{"of": each, "free": (pace.free_at - _EPOCH) // _MICROSECOND} for each, pace in paces.items()]
    await connection.execute(statement, values)


async def _claim(
    connection: AsyncConnection, rows: Sequence[Row[Any]], *, owner: str, now_ms: int, until_ms: int
) -> tuple[Claim, ...]:
    if not rows:
        return ()
    statement = (
        update(delivery)
        .where(among(delivery.c.id, [row.id for row in rows]))
        .values(
            status=DeliveryStatus.SENDING.value,
            epoch=delivery.c.epoch + 1,
            attempts=delivery.c.attempts + 1,
            claim_until=until_ms,
            first_attempt_at=func.coalesce(delivery.c.first_attempt_at, now_ms),
            deferred=None,
            slot_at=None,
        )
    )
    await connection.execute(statement)
    given = rows_of(connection, delivery_id=TEXT, number=INTEGER, epoch=INTEGER)
    started = select(given, literal(owner).label("owner"), literal(now_ms, BigInteger()).label("started_at"))
    begun = insert(attempt).from_select(list(started.selected_columns.keys()), started)
    values = [{"delivery_id": row.id, "number": row.attempts + 1, "epoch": row.epoch + 1} for row in rows]
    await connection.execute(begun, as_rows(values))
    files = await _attachments(connection, {row.message_id for row in rows if row.attached})
    return tuple(
        Claim(
            delivery_id=row.id,
            message_id=row.message_id,
            channel=Channel(row.channel),
            address=row.address,
            subject=row.subject,
            body=row.body,
            html=row.html,
            account=row.account,
            attempt=row.attempts + 1,
            first_attempt_at=from_ms(now_ms if row.first_attempt_at is None else row.first_attempt_at),
            epoch=row.epoch + 1,
            uncounted=row.uncounted,
            attachments=files.get(row.message_id, ()),
            trace=Trace(row.request_id, row.traceparent),
            due_at=from_ms(row.due_at),
        )
        for row in rows
    )


async def _attachments(
    connection: AsyncConnection, message_ids: Collection[str]
) -> dict[str, tuple[AttachmentRef, ...]]:
    if not message_ids:
        return {}
    statement = (
        select(message_attachment.c.message_id, attachment.c.name, attachment.c.media_type, attachment.c.content)
        .join(attachment, attachment.c.id == message_attachment.c.attachment_id)
        .where(among(message_attachment.c.message_id, message_ids))
        .order_by(message_attachment.c.message_id, message_attachment.c.position)
    )
    found: defaultdict[str, tuple[AttachmentRef, ...]] = defaultdict(tuple)
    for row in await connection.execute(statement):
        found[row.message_id] += (AttachmentRef(row.name, row.media_type, bytes(row.content)),)
    return found


def _less(one: int | None, other: int | None) -> int | None:
    """Return the smaller bound; None is none."""
    return min((each for each in (one, other) if each is not None), default=None)


def _via(row: Row[Any]) -> str:
    return via(Channel(row.channel), row.account)


def _moved(
    row: Row[Any],
    event: Event,
    *,
    due_at: datetime | None = None,
    reason: str | None = None,
    slot_at: datetime | None = None,
    error: str | None = None,
) -> dict[str, object]:
    return {
        "of": row.id,
        "to": move(DeliveryStatus.QUEUED, event).value,
        "due": row.due_at if due_at is None else _ceil_ms(due_at),
        "reason": reason,
        "slot": None if slot_at is None else _ceil_ms(slot_at),
        "why": row.last_error if error is None else error,
    }


def _ceil_ms(instant: datetime) -> int:
    """Return an instant in milliseconds, cut up: what is put off until then is not looked at before it."""
    return -((_EPOCH - instant) // timedelta(milliseconds=1))


async def _move(connection: AsyncConnection, moved: Sequence[dict[str, object]], *, now_ms: int) -> tuple[str, ...]:
    if not moved:
        return ()
    statement = (
        update(delivery)
        .where(delivery.c.id == bindparam("of"))
        .values(
            status=bindparam("to"),
            due_at=bindparam("due"),
            deferred=bindparam("reason", type_=delivery.c.deferred.type),
            slot_at=bindparam("slot", type_=delivery.c.slot_at.type),
            last_error=bindparam("why", type_=delivery.c.last_error.type),
        )
    )
    await connection.execute(statement, list(moved))
    return tuple(await settle(connection, [str(each["of"]) for each in moved], now_ms=now_ms))
