"""The publisher's database: tables, statements and migrations, on SQLite and PostgreSQL."""

from omnichannel.database.engine import Database
from omnichannel.database.errors import (
    Conflict,
    DatabaseUnavailable,
    InvalidCursor,
    InvalidDatabaseUrl,
    KeyInUse,
    KeyReused,
    MessageNotFound,
    NotFound,
    StoreError,
)
from omnichannel.database.store import CLAIM_TTL, UNHEARD_AFTER, Store, Swept

__all__ = [
    "CLAIM_TTL",
    "UNHEARD_AFTER",
    "Conflict",
    "Database",
    "DatabaseUnavailable",
    "InvalidCursor",
    "InvalidDatabaseUrl",
    "KeyInUse",
    "KeyReused",
    "MessageNotFound",
    "NotFound",
    "Store",
    "StoreError",
    "Swept",
]
