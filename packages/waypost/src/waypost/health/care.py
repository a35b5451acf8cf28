"""The registry's care for its instances, at work: leases, checks, guards and drains, against one running registry.

It follows every commit, and turns what must be done into commands like anybody's, each with its cause.
"""

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from typing import Final

from waypost.catalog.changes import Cause, Recorded
from waypost.catalog.health_commands import GrantLease, JudgeHealth, Nothing, RestoreLease
from waypost.catalog.index import Catalog
from waypost.health.active_checks import ActiveChecks, Verdict
from waypost.health.guarded import GuardedServices
from waypost.health.leases import Key, Lease
from waypost.health.link import ProberLink
from waypost.health.prober_process import keep_prober
from waypost.health.reach import CheckReach
from waypost.health.upkeep import Duty, Upkeep
from waypost.health.wire import Doubting
from waypost.journal import JournalUnavailable
from waypost.registry import Overloaded, Registry, now_ms
from waypost.structured_log import structlog

__all__ = ["Care"]

LOOK_S: Final = 0.1  # seconds between two looks at what is due
TELL_S: Final = 0.25  # seconds for which renewals are gathered before other registries are told
AGAIN_S: Final = 1.0  # seconds between two attempts while the database is away
TOGETHER: Final = 512  # commands that are given at a time

log = structlog.get_logger()


def _since_boot() -> float:
    """Return a monotonic clock's seconds that go on while the machine sleeps, so that a sleep is seen as a pause."""
    clock = getattr(time, "CLOCK_BOOTTIME", None)  # Linux has it
    return time.monotonic() if clock is None else time.clock_gettime(clock)


class Care:
    """Looks after the instances of one registry. Give it to the registry as a listener, then run it."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        reach: CheckReach,
        chance: random.Random,
        *,
        clock: Callable[[], float] = _since_boot,
        wall: Callable[[], int] = now_ms,
    ) -> None:
        self.prober_doubts: Doubting | None = None
        self._catalog, self._clock, self._wall = catalog, clock, wall
        self._upkeep = Upkeep(chance)
        self._link = ProberLink(self._hear_doubt)
        self._checks = ActiveChecks(self._link, reach, judge=self._judge)
        self._guarded = GuardedServices()
        self._verdicts: dict[Key, Verdict] = {}  # not committed yet; the last one of an instance counts
        self._judged = asyncio.Event()
        self._registry: Registry | None = None
        self._renewed: set[Key] = set()  # here, and other registries do not know yet

    @property
    def leases(self) -> int:
        """How many leases are kept."""
        return self._upkeep.leases

    @property
    def drained(self) -> int:
        """How many instances are drained."""
        return self._upkeep.drained

    @property
    def leases_doubted(self) -> bool:
        """Whether over half of all leases lapsed at once, so that the registry takes the fault for its own."""
        return self._upkeep.doubting

    @property
    def checked(self) -> int:
        """How many instances are checked actively."""
        return self._checks.count

    def publish(self, changes: Sequence[Recorded]) -> None:
        """Take in what was committed."""
        now, wall_ms, catalog = self._clock(), self._wall(), self._catalog()
        for each in changes:
            self._upkeep.follow(each.change, now=now, now_ms=wall_ms)
            self._checks.follow(each.change, catalog)
            self._guarded.follow(each.change)

    def restarted(self) -> None:
        """Begin anew with the catalog as it is."""
        self._upkeep.load(self._catalog(), now=self._clock(), now_ms=self._wall())
        self._checks.load(self._catalog())
        self._guarded.load(self._catalog())

    async def run(self, registry: Registry) -> None:
        """Look after the instances until cancelled."""
        self._registry = registry
        registry.listen_for_renewals(self._hear_renewed)
        self.restarted()
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._do_duties(registry), name="upkeep")
            tasks.create_task(self._pass_verdicts(registry), name="verdicts")
            tasks.create_task(self._tell_renewals(registry), name="renewals")
            tasks.create_task(keep_prober(self._link), name="prober")

    async def renew(self, key: Key, cause: Cause, *, lease_s: int | None = None) -> Lease | None:
        """Note an instance's sign of life and return its lease; None: it has none and asks for none.

        A renewal touches memory alone, unless the lease had lapsed or gets another length.

        :raises CatalogError: there is no such instance, or the length is none.
        :raises JournalUnavailable: the lease must be written, and the database is away.
        """
        assert self._registry is not None, "it runs"
        lease = self._upkeep.renew(key, now=self._clock())
        if lease is not None:
            self._renewed.add(key)
        if lease_s is not None and (lease is None or lease.lease_s != lease_s):
            await self._registry.submit(GrantLease(service_id=key[0], instance_id=key[1], lease_s=lease_s), cause)
        elif lease is not None and lease.lapsed_at is not None:
            await self._registry.submit(RestoreLease(service_id=key[0], instance_id=key[1]), cause)
        else:
            return lease
        return self._upkeep.renew(key, now=self._clock())

    def _hear_renewed(self, keys: Sequence[Key]) -> None:
        """Take in signs of life that came to some registry. One whose lease had lapsed is restored by that one."""
        now = self._clock()
        for key in keys:
            self._upkeep.renew(key, now=now)

    async def _tell_renewals(self, registry: Registry) -> None:
        while True:
            await asyncio.sleep(TELL_S)
            if not self._renewed:
                continue
            telling, self._renewed = self._renewed, set()
            try:
                await registry.tell_renewed(list(telling))
            except JournalUnavailable:
                self._renewed |= telling
                await asyncio.sleep(AGAIN_S)

    def _hear_doubt(self, doubting: Doubting) -> None:
        if not doubting.doubting and self.prober_doubts is None:
            return
        self.prober_doubts = doubting if doubting.doubting else None
        log.warning(
            "prober.doubt",
            doubting=doubting.doubting,
            unreachable=doubting.unreachable,
            targets=doubting.targets,
        )

    def _judge(self, verdict: Verdict) -> None:
        self._verdicts[verdict.key] = verdict
        self._judged.set()

    async def _do_duties(self, registry: Registry) -> None:
        while True:
            self._upkeep.journal(away=registry.journal_away or registry.deaf, now=self._clock())
            duties = self._upkeep.look(now=self._clock())
            self._say_guarded()
            if registry.journal_away:
                await asyncio.sleep(AGAIN_S)
                await self._give(registry, [Duty(Nothing(), Cause(call="Upkeep", by="waypost"))])
            for first in range(0, len(duties), TOGETHER):
                await self._give(registry, duties[first : first + TOGETHER])
            await asyncio.sleep(LOOK_S)

    def _say_guarded(self) -> None:
        for service, guarded in self._guarded.look(self._catalog()):
            if guarded:
                log.warning("service.guarded", service=service.name, id=service.id)
            else:
                log.info("service.not_guarded", service=service.name, id=service.id)

    async def _give(self, registry: Registry, duties: Sequence[Duty]) -> None:
        """Give commands; what comes to nothing now is due again later."""
        given = (registry.submit(duty.command, duty.cause) for duty in duties)
        await asyncio.gather(*given, return_exceptions=True)  # the registry has logged what is a defect

    async def _pass_verdicts(self, registry: Registry) -> None:
        while True:
            await self._judged.wait()
            self._judged.clear()
            passing = list(self._verdicts.values())[:TOGETHER]
            given = (
                registry.submit(
                    JudgeHealth(
                        service_id=each.key[0],
                        instance_id=each.key[1],
                        generation=each.generation,
                        health=each.health,
                    ),
                    each.cause,
                )
                for each in passing
            )
            outcomes = await asyncio.gather(*given, return_exceptions=True)
            for verdict, outcome in zip(passing, outcomes, strict=True):
                if not isinstance(outcome, JournalUnavailable | Overloaded) and (
                    self._verdicts.get(verdict.key) is verdict
                ):
                    del self._verdicts[verdict.key]
            if self._verdicts:
                self._judged.set()
            if any(isinstance(outcome, JournalUnavailable | Overloaded) for outcome in outcomes):
                await asyncio.sleep(AGAIN_S)
