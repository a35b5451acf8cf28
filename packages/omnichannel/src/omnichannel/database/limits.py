"""The limits of channels as rows: rates, quotas, concurrency, quiet hours, and what follows a lost answer."""

from sqlalchemy import delete, insert

from omnichannel.database.engine import Database
from omnichannel.database.resource_tables import channel_limits, channel_pace
from omnichannel.database.taking import read_limits
from omnichannel.messages.admission import Limits
from omnichannel.messages.model import Channel, via

__all__ = ["ChannelLimits"]


class ChannelLimits:
    """Each method may raise DatabaseUnavailable. What is put here holds from the next claim on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def all(self) -> dict[str, Limits]:
        """Return the limits of every account that has some, by channel and account: ``sms``, ``sms:marketing``."""
        async with self._database.read() as connection:
            return await read_limits(connection)

    async def put(self, channel: Channel, limits: Limits, *, account: str | None = None) -> None:
        """Set the limits of an account, all of them."""
        name = via(channel, account)
        quiet = limits.quiet
        values = {
            "channel": name,
            "rate_per_s": limits.rate_per_s,
            "concurrency": limits.concurrency,
            "daily_quota": limits.daily_quota,
            "quiet_start": None if quiet is None else quiet.start.isoformat("minutes"),
            "quiet_end": None if quiet is None else quiet.end.isoformat("minutes"),
            "quiet_zone": None if quiet is None else quiet.zone,
            "lost_answer": "resend" if limits.resend_lost else "review",
        }
        async with self._database.write() as connection:
            await connection.execute(delete(channel_pace).where(channel_pace.c.channel == name))
            await connection.execute(delete(channel_limits).where(channel_limits.c.channel == name))
            await connection.execute(insert(channel_limits).values(values))
