"""The publisher's database: tables, statements and migrations, on SQLite and PostgreSQL."""

from omnichannel.database.engine import Database
from omnichannel.database.errors import (
    DatabaseUnavailable,
    InvalidCursor,
    InvalidDatabaseUrl,
    MessageNotFound,
    StoreError,
)
from omnichannel.database.store import CLAIM_TTL, UNHEARD_AFTER, Store, Swept

__all__ = [
    "CLAIM_TTL",
    "UNHEARD_AFTER",
    "Database",
    "DatabaseUnavailable",
    "InvalidCursor",
    "InvalidDatabaseUrl",
    "MessageNotFound",
    "Store",
    "StoreError",
    "Swept",
]
