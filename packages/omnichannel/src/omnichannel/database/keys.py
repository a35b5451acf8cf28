"""The API's keys. A key is shown once, when it is made; what is kept of it is a hash, from which it cannot be had.

A key reads ``omni_<id>_<secret>``: the prefix lets scanners find keys in places where none should be, the id finds the
row, and the secret has 256 random bits, for which one round of SHA-256 is enough.
A key has scopes, and may have an end. While a key is replaced, the old and the new one both hold.
"""

import hashlib
import hmac
import re
import secrets
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Row, String, Table, Text, insert, select, update

from omnichannel.database.engine import Database
from omnichannel.database.errors import NotFound
from omnichannel.database.rows import from_ms, from_optional_ms, to_ms, to_optional_ms
from omnichannel.database.tables import metadata

__all__ = ["ApiKey", "ApiKeys", "Scope", "api_key"]

SHAPE: Final = re.compile(r"omni_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")

api_key: Final = Table(
    "api_key",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", String(64), nullable=False),  # of the whole key
    Column("created_at", BigInteger, nullable=False),
    Column("scopes", Text, nullable=False, server_default="admin"),  # separated by spaces
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("last_used_at", BigInteger),  # to the minute
)

USED_TO_THE: Final = timedelta(minutes=1)


class Scope(StrEnum):
    """What a key allows."""

    READ = "messages:read"  # to see everything but secrets
    WRITE = "messages:write"  # to send, cancel and retry messages, and to keep schedules
    CONTENT = "content:write"  # to keep templates, audiences, attachments and suppressions
    ADMIN = "admin"  # all of that, and to set limits and endpoints


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that is known, without its secret."""

    id: str
    name: str  # whose it is, in the words of who made it
    scopes: frozenset[Scope] = frozenset({Scope.ADMIN})
    created_at: datetime | None = None
    expires_at: datetime | None = None
    revoked_at: datetime | None = None
    last_used_at: datetime | None = None

    def allows(self, scope: Scope) -> bool:
        """Tell whether the key has a scope."""
        return scope in self.scopes or Scope.ADMIN in self.scopes


class ApiKeys:
    """Keeps keys in a database. Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(
        self,
        name: str,
        *,
        now: datetime,
        scopes: Collection[Scope] = (Scope.ADMIN,),
        expires_at: datetime | None = None,
    ) -> str:
        """Keep a new key and return it, for the only time."""
        key_id = secrets.token_hex(6)
        key = f"omni_{key_id}_{secrets.token_urlsafe(32)}"
        values = {
            "id": key_id,
            "name": name,
            "sha256": _hash(key),
            "created_at": to_ms(now),
            "scopes": " ".join(sorted(scope.value for scope in scopes)),
            "expires_at": to_optional_ms(expires_at),
        }
        async with self._database.write() as connection:
            await connection.execute(insert(api_key).values(values))
        return key

    async def get(self, key: str, *, now: datetime) -> ApiKey | None:
        """Return what is known of a key, None if it is not one of ours, or holds no more."""
        shaped = SHAPE.fullmatch(key)
        if shaped is None:
            return None
        async with self._database.read() as connection:
            row = (await connection.execute(select(api_key).where(api_key.c.id == shaped[1]))).one_or_none()
        if row is None or not hmac.compare_digest(row.sha256, _hash(key)):
            return None
        known = _known(row)
        if known.revoked_at is not None or (known.expires_at is not None and known.expires_at <= now):
            return None
        await self._note_use(known, now=now)
        return known

    async def list(self) -> tuple[ApiKey, ...]:
        """Return every key there is or was, the oldest first."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(api_key).order_by(api_key.c.created_at, api_key.c.id))).all()
        return tuple(map(_known, rows))

    async def revoke(self, key_id: str, *, now: datetime) -> None:
        """Let a key hold no more, at once. Raises NotFound."""
        statement = update(api_key).where(api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
        async with self._database.write() as connection:
            if not (await connection.execute(statement.values(revoked_at=to_ms(now)))).rowcount:
                raise NotFound("key", key_id)

    async def _note_use(self, key: ApiKey, *, now: datetime) -> None:
        """Note when a key was last used, so that those can be found that nobody needs."""
        if key.last_used_at is not None and now - key.last_used_at < USED_TO_THE:
            return
        statement = update(api_key).where(api_key.c.id == key.id).values(last_used_at=to_ms(now))
        async with self._database.write() as connection:
            await connection.execute(statement)


def _known(row: Row[Any]) -> ApiKey:
    return ApiKey(
        id=row.id,
        name=row.name,
        scopes=frozenset(Scope(each) for each in row.scopes.split() if each in Scope.__members__.values()),
        created_at=from_ms(row.created_at),
        expires_at=from_optional_ms(row.expires_at),
        revoked_at=from_optional_ms(row.revoked_at),
        last_used_at=from_optional_ms(row.last_used_at),
    )


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
