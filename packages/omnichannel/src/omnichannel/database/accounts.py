"""The accounts behind channels as rows: what every worker learns of a provider, all others know."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from sqlalchemy import BigInteger, Column, Integer, String, Table, Text, select, text, update

from omnichannel.channels.breaker import Account, is_answer, pause_after
from omnichannel.database.engine import Database
from omnichannel.database.rows import from_optional_ms, shorten, to_ms
from omnichannel.database.tables import metadata
from omnichannel.messages.outcome import Accepted, Delivered, Outcome

__all__ = ["Accounts", "channel_account"]

channel_account: Final = Table(
    "channel_account",
    metadata,
    Column("channel", String(32), primary_key=True),  # or "sms:marketing", for an account with a name
    Column("failures", Integer, nullable=False),  # in a row
    Column("paused_until", BigInteger),
    Column("last_error", Text),
    Column("last_error_at", BigInteger),
    Column("last_success_at", BigInteger),
    Column("proven", String(8)),  # emulator, live
    Column("proven_at", BigInteger),
)

_COUNT = text(
    "INSERT INTO channel_account (channel, failures, last_error, last_error_at) VALUES (:channel, 1, :error, :now)"
    " ON CONFLICT (channel) DO UPDATE SET failures = channel_account.failures + 1, last_error = :error,"
    " last_error_at = :now RETURNING failures"
)
_WORKS = text(
    "INSERT INTO channel_account (channel, failures, last_success_at) VALUES (:channel, 0, :success)"
    " ON CONFLICT (channel) DO UPDATE SET failures = 0, paused_until = NULL,"
    " last_success_at = COALESCE(:success, channel_account.last_success_at)"
)
_PROVEN = text(
    "INSERT INTO channel_account (channel, failures, proven, proven_at) VALUES (:channel, 0, :proven, :now)"
    " ON CONFLICT (channel) DO UPDATE SET proven = :proven, proven_at = :now"
)


class Accounts:
    """Each method may raise DatabaseUnavailable."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> Mapping[str, Account]:
        """Return the accounts that something is known of, by channel and account: ``sms``, ``sms:marketing``."""
        async with self._database.read() as connection:
            rows = (await connection.execute(select(channel_account))).all()
        return {row.channel: _account(row) for row in rows}

    async def note(self, account: str, outcome: Outcome, *, now: datetime) -> None:
        """Write down how an attempt on an account ended, and pause it where that follows."""
        now_ms = to_ms(now)
        async with self._database.write() as connection:
            if is_answer(outcome):
                success = now_ms if isinstance(outcome, Accepted | Delivered) else None
                await connection.execute(_WORKS, {"channel": account, "success": success})
                return
            error = shorten(getattr(outcome, "reason", ""))
            values = {"channel": account, "error": error, "now": now_ms}
            failures: int = (await connection.execute(_COUNT, values)).scalar_one()
            pause = pause_after(outcome, failures=failures)
            if pause is not None:
                row = update(channel_account).where(channel_account.c.channel == account)
                await connection.execute(row.values(paused_until=to_ms(now + pause)))

    async def prove(self, account: str, proven: str, *, now: datetime) -> None:
        """Write down that a test reached the provider itself (``live``) or a stand-in (``emulator``)."""
        async with self._database.write() as connection:
            await connection.execute(_PROVEN, {"channel": account, "proven": proven, "now": to_ms(now)})


def _account(row: Any) -> Account:
    return Account(
        failures=row.failures,
        paused_until=from_optional_ms(row.paused_until),
        last_error=row.last_error,
        last_error_at=from_optional_ms(row.last_error_at),
        last_success_at=from_optional_ms(row.last_success_at),
        proven=row.proven,
        proven_at=from_optional_ms(row.proven_at),
    )
