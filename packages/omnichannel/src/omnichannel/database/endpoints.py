"""The senders' own endpoints, and the events on their way to them."""

import base64
import secrets
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import Row, delete, insert, select, update

from omnichannel.database.engine import Database
from omnichannel.database.errors import NotFound
from omnichannel.database.resource_tables import endpoint, endpoint_event
from omnichannel.database.rows import from_ms, from_optional_ms, shorten, to_ms
from omnichannel.database.sealing import Seal, SealingFailed
from omnichannel.messages.ids import new_id
from omnichannel.structured_log import structlog

__all__ = ["OVERLAP", "Endpoint", "Endpoints", "PendingEvent"]

log = structlog.get_logger()

OVERLAP: Final = timedelta(hours=24)
"""How long the old secret signs beside the new one."""

LEASE: Final = timedelta(seconds=60)
"""How long an event that somebody is sending is nobody else's."""

WAITS_S: Final = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, 10 * 3600, 14 * 3600, 20 * 3600, 24 * 3600)
"""Seconds between the tries of an event: some three days in all (Standard Webhooks, "Deliverability")."""

DISABLED_AFTER: Final = timedelta(days=5)
"""An endpoint that has failed for so long, at every try, gets no more events until somebody enables it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Endpoint:
    """Where a sender wants to hear of deliveries."""

    id: str
    url: str
    state: str  # active or disabled
    failing_since: datetime | None
    last_error: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class PendingEvent:
    """An event that is to be sent now, with what signs it."""

    id: str
    endpoint_id: str
    url: str
    secrets: tuple[str, ...] = field(repr=False)
    payload: str
    attempts: int  # made before
    failing_since: datetime | None


class Endpoints:
    """Each method may raise DatabaseUnavailable. Secrets are kept sealed; without a key no endpoint is added."""

    def __init__(self, database: Database, seal: Seal | None = None) -> None:
        self._database, self._seal = database, seal or Seal()

    async def add(self, url: str, *, now: datetime) -> tuple[Endpoint, str]:
        """Keep a new endpoint; return it with its secret, which is shown this once. Raises SealingFailed."""
        made, secret = new_id(now), _new_secret()
        sealed = self._seal.close(secret, place=made)
        values = {"id": made, "url": url, "secret": sealed, "state": "active", "created_at": to_ms(now)}
        async with self._database.write() as connection:
            await connection.execute(insert(endpoint).values(values))
        return await self.find(made), secret

    async def find(self, endpoint_id: str) -> Endpoint:
        """Return an endpoint. Raises NotFound."""
        async with self._database.read() as connection:
            row = (await connection.execute(select(endpoint).where(endpoint.c.id == endpoint_id))).one_or_none()
        if row is None:
            raise NotFound("webhook", endpoint_id)
        return _endpoint(row)

    async def list(self) -> tuple[Endpoint, ...]:
        """Return every endpoint, the oldest first."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(endpoint).order_by(endpoint.c.id))).all()
        return tuple(map(_endpoint, rows))

    async def remove(self, endpoint_id: str) -> None:
        """Forget an endpoint and the events on their way to it. Raises NotFound."""
        async with self._database.write() as connection:
            await connection.execute(delete(endpoint_event).where(endpoint_event.c.endpoint_id == endpoint_id))
            if not (await connection.execute(delete(endpoint).where(endpoint.c.id == endpoint_id))).rowcount:
                raise NotFound("webhook", endpoint_id)

    async def rotate(self, endpoint_id: str, *, now: datetime) -> str:
        """Give an endpoint a new secret and return it; the old one signs beside it for OVERLAP.

        Raises NotFound, SealingFailed.
        """
        secret = _new_secret()
        sealed = self._seal.close(secret, place=endpoint_id)
        statement = update(endpoint).where(endpoint.c.id == endpoint_id)
        values = {"previous_secret": endpoint.c.secret, "previous_until": to_ms(now + OVERLAP), "secret": sealed}
        async with self._database.write() as connection:
            if not (await connection.execute(statement.values(values))).rowcount:
                raise NotFound("webhook", endpoint_id)
        return secret

    async def enable(self, endpoint_id: str) -> Endpoint:
        """Let an endpoint get events again. Raises NotFound."""
        statement = update(endpoint).where(endpoint.c.id == endpoint_id)
        async with self._database.write() as connection:
            await connection.execute(statement.values(state="active", failing_since=None))
        return await self.find(endpoint_id)

    async def seal_again(self) -> int:
        """Seal with the first key what is in clear or sealed with another; return how many. Raises SealingFailed."""
        self._seal.check()
        changed = 0
        async with self._database.write() as connection:
            rows = (await connection.execute(select(endpoint).order_by(endpoint.c.id).with_for_update())).all()
            for row in rows:
                kept = {"secret": row.secret, "previous_secret": row.previous_secret}
                old = {name: text for name, text in kept.items() if text and not self._seal.is_newest(text)}
                if old:
                    fresh = {
                        name: self._seal.close(self._seal.open(text, place=row.id), place=row.id)
                        for name, text in old.items()
                    }
                    await connection.execute(update(endpoint).where(endpoint.c.id == row.id).values(fresh))
                    changed += len(fresh)
        return changed

    async def take(self, *, now: datetime, limit: int) -> tuple[PendingEvent, ...]:
        """Take events that are due, for LEASE; of several callers at once each gets others.

        Those whose secret does not open are left for later, and the log says why.
        """
        due = (
            select(endpoint_event.c.id)
            .where(endpoint_event.c.due_at <= to_ms(now))
            .order_by(endpoint_event.c.due_at, endpoint_event.c.id)
            .limit(limit)
            .with_for_update(skip_locked=True)
        )
        lease = (
            update(endpoint_event)
            .where(endpoint_event.c.id.in_(select(due.cte("due").c.id)))
            .values(due_at=to_ms(now + LEASE))
            .returning(endpoint_event.c.id)
        )
        async with self._database.write() as connection:
            ids = (await connection.execute(lease)).scalars().all()
            if not ids:
                return ()
            whole = (
                select(endpoint_event, endpoint.c.url, endpoint.c.secret, endpoint.c.previous_secret)
                .add_columns(endpoint.c.previous_until, endpoint.c.failing_since)
                .join(endpoint, endpoint.c.id == endpoint_event.c.endpoint_id)
                .where(endpoint_event.c.id.in_(ids))
                .order_by(endpoint_event.c.id)
            )
            rows = (await connection.execute(whole)).all()
        return tuple(each for row in rows if (each := self._pending(row, now=now)) is not None)

    async def acknowledge(self, event: PendingEvent) -> None:
        """Delete an event that its endpoint has taken."""
        async with self._database.write() as connection:
            await connection.execute(delete(endpoint_event).where(endpoint_event.c.id == event.id))
            if event.failing_since is not None:
                fine = update(endpoint).where(endpoint.c.id == event.endpoint_id)
                await connection.execute(fine.values(failing_since=None, last_error=None))

    async def postpone(self, event: PendingEvent, reason: str, *, gone: bool, now: datetime) -> bool:
        """Note that an event was not taken; return whether its endpoint was disabled for it.

        The event is tried again after the next of WAITS_S, or dropped after the last. A receiver that says it is gone
        is disabled at once.
        """
        since = event.failing_since or now
        disabled = gone or now - since >= DISABLED_AFTER
        async with self._database.write() as connection:
            if event.attempts >= len(WAITS_S) or disabled:
                await connection.execute(delete(endpoint_event).where(endpoint_event.c.id == event.id))
            else:
                due_at = to_ms(now + timedelta(seconds=WAITS_S[event.attempts]))
                later = update(endpoint_event).where(endpoint_event.c.id == event.id)
                await connection.execute(later.values(attempts=event.attempts + 1, due_at=due_at))
            failing: dict[str, Any] = {"failing_since": to_ms(since), "last_error": shorten(reason)}
            if disabled:
                failing["state"] = "disabled"
            await connection.execute(update(endpoint).where(endpoint.c.id == event.endpoint_id).values(failing))
        return disabled

    def _pending(self, row: Row[Any], *, now: datetime) -> PendingEvent | None:
        overlaps = row.previous_secret is not None and row.previous_until > to_ms(now)
        kept = (row.secret, row.previous_secret) if overlaps else (row.secret,)
        try:
            secrets = tuple(self._seal.open(each, place=row.endpoint_id) for each in kept)
        except SealingFailed as exc:
            log.warning("endpoint.sealed", endpoint=row.endpoint_id, error=exc.reason)
            return None
        return PendingEvent(
            id=row.id,
            endpoint_id=row.endpoint_id,
            url=row.url,
            secrets=secrets,
            payload=row.payload,
            attempts=row.attempts,
            failing_since=from_optional_ms(row.failing_since),
        )


def _new_secret() -> str:
    return "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()


def _endpoint(row: Row[Any]) -> Endpoint:
    return Endpoint(
        id=row.id,
        url=row.url,
        state=row.state,
        failing_since=from_optional_ms(row.failing_since),
        last_error=row.last_error,
        created_at=from_ms(row.created_at),
    )
