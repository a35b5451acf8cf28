"""The circuit breaker in one process: asks before each attempt whether the account is let alone, and tells how it went.

What other workers have learnt is read at most once a second, so an account that one of them found paused is let alone
by all within that. While the database is away everything goes out: the claims come from there, so nothing does.
"""

import random
import time
from collections.abc import Awaitable, Callable, Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, Protocol

from omnichannel.channels.breaker import Account, Circuit, circuit, is_answer
from omnichannel.messages.outcome import Outcome, Throttled
from omnichannel.structured_log import structlog

__all__ = ["AccountBook", "Guard"]

READ_EVERY_S: Final = 1.0
SUCCESS_EVERY: Final = timedelta(seconds=30)  # a success is worth a write this often, where nothing else has changed
SPREAD_S: Final = 2.0  # over which those that waited come back

log = structlog.get_logger()


class AccountBook(Protocol):
    """What the database keeps of accounts."""

    async def all(self) -> Mapping[str, Account]: ...

    async def note(self, account: str, outcome: Outcome, *, now: datetime) -> None: ...


class Guard:
    """Stands before the channels that have one account for all addresses: ``watched``, such as ``sms:marketing``."""

    def __init__(
        self,
        book: AccountBook,
        *,
        watched: Collection[str],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._book, self._watched, self._clock = book, watched, clock
        self._known: Mapping[str, Account] = {}
        self._read_at = float("-inf")
        self._trying: set[str] = set()  # half open, and one delivery is on its way

    async def send(self, name: str, attempt: Callable[[], Awaitable[Outcome]]) -> Outcome:
        """Make an attempt, unless the account is let alone; return how it ended."""
        if name not in self._watched:
            return await attempt()
        now = self._clock()
        account = (await self.accounts()).get(name, Account())
        state = circuit(account, now=now)
        if state is Circuit.OPEN or (state is Circuit.HALF_OPEN and name in self._trying):
            until = account.paused_until or now
            wait_s = max(1.0, (until - now).total_seconds()) + random.uniform(0, SPREAD_S)  # noqa: S311 - spreads
            return Throttled(f"the provider is let alone after: {account.last_error}", wait_s)
        if state is Circuit.HALF_OPEN:
            self._trying.add(name)
        try:
            outcome = await attempt()
        finally:
            self._trying.discard(name)
        await self._tell(name, account, outcome)
        return outcome

    async def accounts(self) -> Mapping[str, Account]:
        """Return what is known of the accounts, at most a second old."""
        if time.monotonic() - self._read_at >= READ_EVERY_S:
            self._read_at = time.monotonic()
            try:
                self._known = await self._book.all()
            except Exception as exc:  # whatever the store raises: an attempt is not held up by it
                log.warning("accounts.unread", error=str(exc))
        return self._known

    async def _tell(self, name: str, before: Account, outcome: Outcome) -> None:
        now = self._clock()
        fresh = before.last_success_at is not None and now - before.last_success_at < SUCCESS_EVERY
        if is_answer(outcome) and fresh and not before.failures and before.paused_until is None:
            return
        try:
            await self._book.note(name, outcome, now=now)
        except Exception as exc:
            log.warning("accounts.unwritten", error=str(exc))
        self._read_at = float("-inf")
