"""The API's keys. A key is shown once, when it is made; what is kept of it is a hash, from which it cannot be had.

A key reads ``omni_<id>_<secret>``: the prefix lets scanners find keys in places where none should be, the id finds the
row, and the secret has 256 random bits, for which one round of SHA-256 is enough.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import BigInteger, Column, String, Table, Text, insert, select

from omnichannel.database.engine import Database
from omnichannel.database.tables import metadata

__all__ = ["ApiKey", "ApiKeys", "api_key"]

SHAPE: Final = re.compile(r"omni_([0-9a-f]{12})_[A-Za-z0-9_-]{43}")

api_key: Final = Table(
    "api_key",
    metadata,
    Column("id", String(12), primary_key=True),
    Column("name", Text, nullable=False),
    Column("sha256", String(64), nullable=False),  # of the whole key
    Column("created_at", BigInteger, nullable=False),
)


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key that is known, without its secret."""

    id: str
    name: str  # whose it is, in the words of who made it


class ApiKeys:
    """Keeps keys in a database. Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def create(self, name: str, *, now: datetime) -> str:
        """Keep a new key and return it, for the only time."""
        key_id = secrets.token_hex(6)
        key = f"omni_{key_id}_{secrets.token_urlsafe(32)}"
        async with self._database.write() as connection:
            await connection.execute(
                insert(api_key).values(id=key_id, name=name, sha256=_hash(key), created_at=int(now.timestamp() * 1000))
            )
        return key

    async def get(self, key: str) -> ApiKey | None:
        """Return what is known of a key, None if it is not one of ours."""
        shaped = SHAPE.fullmatch(key)
        if shaped is None:
            return None
        async with self._database.read() as connection:
            row = (await connection.execute(select(api_key).where(api_key.c.id == shaped[1]))).one_or_none()
        if row is None or not hmac.compare_digest(row.sha256, _hash(key)):
            return None
        return ApiKey(row.id, row.name)


def _hash(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()
