"""Answers that are kept to be given again, by the caller's ``Idempotency-Key``.

The row of a key is written in the very transaction of what it answers for: a crash takes both or none, so that no key
is ever "in progress" without somebody at work on it. A rival in another process waits for that transaction's end and is
then given its answer; one in the same process is refused at once. Source: draft-ietf-httpapi-idempotency-key-header-07.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final

from sqlalchemy import delete, select, tuple_
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from omnichannel.database.errors import KeyInUse, KeyReused
from omnichannel.database.resource_tables import idempotency
from omnichannel.database.rows import to_ms

__all__ = ["KEPT_FOR", "IdempotencyKey", "KeptAnswer", "KeysUnderWay", "keep_answers"]

KEPT_FOR: Final = timedelta(hours=24)
"""How long an answer is given again; after that the key is new."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IdempotencyKey:
    """A caller's key for one request; ``fingerprint`` tells whether another request is the same one."""

    owner: str  # the API key's id; empty where keys are off
    route: str
    key: str
    fingerprint: str  # SHA-256 of the body's meaning, in hex

    @property
    def place(self) -> tuple[str, str, str]:
        """What must be the same for two keys to be the same."""
        return (self.owner, self.route, self.key)


@dataclass(frozen=True, slots=True, kw_only=True)
class KeptAnswer:
    """An answer as it was first given."""

    status: int
    location: str | None
    body: str


class KeysUnderWay:
    """The keys at work in this process."""

    def __init__(self) -> None:
        self._places: set[tuple[str, str, str]] = set()

    @contextmanager
    def hold(self, key: IdempotencyKey | None) -> Iterator[None]:
        """Hold a key while its request is at work. Raises KeyInUse."""
        if key is None:
            yield
            return
        if key.place in self._places:
            raise KeyInUse
        self._places.add(key.place)
        try:
            yield
        finally:
            self._places.discard(key.place)


async def keep_answers(
    connection: AsyncConnection, answers: Sequence[tuple[IdempotencyKey, KeptAnswer]], *, now: datetime
) -> Mapping[tuple[str, str, str], KeptAnswer | KeyReused]:
    """Keep answers by their keys; return, for each key that was used before, what it gets instead."""
    if not answers:
        return {}
    places = sorted(key.place for key, _ in answers)
    at = tuple_(idempotency.c.owner, idempotency.c.route, idempotency.c.key)
    outdated = idempotency.c.created_at < to_ms(now - KEPT_FOR)
    await connection.execute(delete(idempotency).where(at.in_(places), outdated))
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    rows = [_values(key, answer, now=now) for key, answer in sorted(answers, key=lambda each: each[0].place)]
    insertion = dialect.insert(idempotency).values(rows).on_conflict_do_nothing()
    returning = insertion.returning(idempotency.c.owner, idempotency.c.route, idempotency.c.key)
    fresh = {(row.owner, row.route, row.key) for row in await connection.execute(returning)}
    return await _earlier(connection, [key for key, _ in answers if key.place not in fresh])


async def _earlier(
    connection: AsyncConnection, keys: Collection[IdempotencyKey]
) -> dict[tuple[str, str, str], KeptAnswer | KeyReused]:
    if not keys:
        return {}
    at = tuple_(idempotency.c.owner, idempotency.c.route, idempotency.c.key)
    found = await connection.execute(select(idempotency).where(at.in_([key.place for key in keys])))
    rows = {(row.owner, row.route, row.key): row for row in found}
    return {key.place: _judged(rows[key.place], key) for key in keys}


def _judged(row: Any, key: IdempotencyKey) -> KeptAnswer | KeyReused:
    if row.fingerprint != key.fingerprint:
        return KeyReused()
    return KeptAnswer(status=row.status, location=row.location, body=row.body)


def _values(key: IdempotencyKey, answer: KeptAnswer, *, now: datetime) -> dict[str, object]:
    return {
        "owner": key.owner,
        "route": key.route,
        "key": key.key,
        "fingerprint": key.fingerprint,
        "status": answer.status,
        "location": answer.location,
        "body": answer.body,
        "created_at": to_ms(now),
    }
