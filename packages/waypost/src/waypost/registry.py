"""The registry: the commands, and the only writer of the catalog.

Commands wait in a queue; one loop takes what has come together, takes the pen, decides each command against a draft,
commits what was decided as one transaction, applies it, and hands it to the nameserver. So a burst of commands costs
one flush of the disk, a refused command fails nobody beside it, and nothing is seen before it is committed. Where
nobody else writes, as to a SQLite file, the pen is taken last, together with the commit: whether nobody did is asked
then.

Commands on one resource are carried out in the order in which they came. One that has to wait long for another on the
same resource is refused with that one's operation id, so that its caller can look.
"""

import asyncio
import contextlib
import itertools
import random
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol, TypeVar

import msgspec

from waypost.catalog.changes import Cause, Operation, Recorded
from waypost.catalog.commands import Command, Moment
from waypost.catalog.errors import CatalogError, DuplicateRequest
from waypost.catalog.identifiers import Ids, submitted_ms
from waypost.catalog.index import Catalog, Draft
from waypost.catalog.quotas import UNLIMITED, Quotas
from waypost.catalog.together import StepRefused, Together
from waypost.journal import (
    HistoryLost,
    InstanceKey,
    Journal,
    JournalUnavailable,
    KeptOperation,
    OperationFilter,
    Overtaken,
)
from waypost.structured_log import structlog

__all__ = ["Followers", "Listener", "OperationSubject", "Overloaded", "Registry", "now_ms"]

T = TypeVar("T")

WAITING: Final = 4_096  # commands; more are refused with Overloaded
BATCH: Final = 512  # commands that share one transaction, at most
POLL_S: Final = 0.25  # seconds, give or take half, after which the journal is asked for what others wrote
AWAY_S: Final = 1.0  # seconds, give or take half, between two attempts to reach a database that is away
PATIENCE_S: Final = 1.0  # seconds that a command waits for another on the same resource

log = structlog.get_logger()


class Overloaded(Exception):
    """More commands wait than the registry will hold; try again in ``retry_after_s`` seconds."""

    retry_after_s = 1


class Listener(Protocol):
    """Whoever is told of every commit."""

    def publish(self, changes: Sequence[Recorded]) -> None:
        """Pass committed changes on. Called in order of revision, with the catalog after them; does not wait."""

    def restarted(self) -> None:
        """Begin anew: the catalog was loaded again, and what lies between is not known."""


class Followers(Listener, Protocol):
    """Whoever must follow the catalog before a write is answered: the nameserver."""

    def when_caught_up(self, revision: int, call: Callable[[], None]) -> None:
        """Call back when this revision is answered from, or when waiting longer helps nobody."""


class OperationSubject(msgspec.Struct, frozen=True, kw_only=True):
    """What an asynchronous operation is about, as far as its request tells."""

    key: tuple[str, ...]  # of the resource
    account: str
    region: str
    type: str  # REGISTER_INSTANCE, …
    targets: Mapping[str, str]


@dataclass(slots=True, eq=False)
class _Waiting:
    """A command with the caller that waits for it."""

    command: Command[Any]
    cause: Cause
    answered: asyncio.Future[Any]
    subject: OperationSubject | None = None
    operation_id: str | None = None
    taken: bool = False  # into a batch
    withdrawn: bool = False


_Outcome = tuple[_Waiting, Any]  # what to tell the caller: an answer, or the exception that refuses the command


def now_ms() -> int:
    """Return the wall clock in whole milliseconds since the epoch, UTC."""
    return time.time_ns() // 1_000_000


class Registry:
    """One running registry: reads come from ``catalog``, writes go through :meth:`submit`."""

    def __init__(
        self,
        catalog: Catalog,
        journal: Journal,
        followers: Followers,
        *,
        ids: Ids,
        clock: Callable[[], int] = now_ms,
        listeners: Sequence[Listener] = (),  # are told without being waited for
        quotas: Quotas = UNLIMITED,
    ) -> None:
        self.catalog = catalog
        self.transactions = 0
        self._quotas = quotas
        self._open: dict[tuple[str, ...], list[_Waiting]] = {}  # resource → what is under way on it, in order
        self.journal_away = False  # the last batch found no database
        self._journal, self._followers, self._ids, self._clock = journal, followers, ids, clock
        self._reached_at = time.monotonic()
        self._deaf = True
        self._hear: Callable[[Sequence[InstanceKey]], None] = lambda _: None
        self._writing = asyncio.Lock()
        self._told: Sequence[Listener] = (followers, *listeners)
        self._queue: deque[_Waiting] = deque()  # at most WAITING
        self._filled = asyncio.Event()  # there is something in it

    async def submit_together(self, command: Together, cause: Cause) -> list[Any]:
        """Carry several commands out as one, and return the answer of each; as :meth:`submit` does.

        :raises StepRefused: one of them was refused; nothing has changed.
        """
        answers: list[Any] = await self.submit(command, cause)  # type: ignore[arg-type]  # told apart where it is decided
        return answers

    async def submit(self, command: Command[T], cause: Cause, *, subject: OperationSubject | None = None) -> T:
        """Carry a command out and return its answer once it is durable and visible.

        :param subject: given, the operation can be looked up while it is under way, and stands in the way of others.
        :raises CatalogError: it was refused; nothing has changed.
        :raises DuplicateRequest: it waited PATIENCE_S for another on its subject, and was not carried out.
        :raises JournalUnavailable: the database is away; whether it took place may be unknown.
        :raises Overloaded: too many commands wait already.
        """
        waiting = _Waiting(command, cause, asyncio.get_running_loop().create_future())
        if subject is not None:
            waiting.subject, waiting.operation_id = subject, self._ids.operation(self._clock())
        if len(self._queue) >= WAITING:
            raise Overloaded
        self._queue.append(waiting)
        self._filled.set()
        answer: T
        if subject is None:
            answer = await waiting.answered
            return answer
        open_ = self._open.setdefault(subject.key, [])
        open_.append(waiting)
        try:
            if open_[0] is not waiting:
                await self._wait_for_turn(waiting, open_)
            answer = await waiting.answered
            return answer
        finally:
            open_.remove(waiting)
            if not open_:
                del self._open[subject.key]

    async def _wait_for_turn(self, waiting: _Waiting, open_: Sequence[_Waiting]) -> None:
        """Return when it is answered or taken in PATIENCE_S, or nothing is under way before it. See submit."""
        await asyncio.wait([waiting.answered], timeout=PATIENCE_S)
        first = open_[0]
        if not waiting.taken and first is not waiting and first.operation_id and first.subject:
            waiting.withdrawn = True
            raise DuplicateRequest(
                f"Another operation of type {first.subject.type} and id {first.operation_id} is in progress",
                first.operation_id,
            )

    @property
    def open_operations(self) -> int:
        """How many asynchronous operations are under way."""
        return sum(map(len, self._open.values()))

    async def find_operation(self, operation_id: str) -> KeptOperation | None:
        """Return an operation that is under way or still kept, or None. Raises JournalUnavailable."""
        for waiting in itertools.chain.from_iterable(self._open.values()):
            subject = waiting.subject
            if waiting.operation_id == operation_id and subject is not None:
                operation = Operation(
                    id=operation_id,
                    account=subject.account,
                    region=subject.region,
                    type=subject.type,
                    targets=dict(subject.targets),
                )
                return KeptOperation(operation=operation, at_ms=submitted_ms(operation_id), failed=None, is_open=True)
        return await self._journal.find_operation(operation_id)

    async def list_operations(self, wanted: OperationFilter, *, before: int | None, limit: int) -> list[KeptOperation]:
        """Return operations that are done and still kept, newest first. Raises JournalUnavailable."""
        return await self._journal.list_operations(wanted, before=before, limit=limit)

    async def last_change(self, service_id: str, instance_id: str) -> Recorded | None:
        """Return what happened to an instance last, or None if that is not kept. Raises JournalUnavailable."""
        last = await self._journal.history(service_id, instance_id, limit=1)
        return last[0] if last else None

    async def run(self) -> None:
        """Carry commands out until cancelled."""
        while True:
            await self._filled.wait()
            batch = [self._queue.popleft() for _ in range(min(BATCH, len(self._queue)))]
            if not self._queue:
                self._filled.clear()
            wanted = [waiting for waiting in batch if not waiting.withdrawn]
            for waiting in wanted:
                waiting.taken = True
            await self._carry_out(wanted)

    @property
    def age_s(self) -> float:
        """The seconds for which others may have written without being heard of here; 0 where nobody else writes."""
        return time.monotonic() - self._reached_at if self._journal.shared else 0.0

    async def follow(self) -> None:
        """Take in what other registries write to the same database, until cancelled. A ring wakes it, a poll too."""
        if not self._journal.shared:
            return  # nobody else writes
        while True:
            try:
                async with self._journal.doorbell(self._hear_renewed) as bell:
                    self._deaf = False
                    while not bell.broken:
                        await self._catch_up()
                        await _set_within(bell.rung, _jittered(POLL_S))
                        bell.rung.clear()
            except JournalUnavailable as error:
                log.warning("registry.database_away", error=str(error), revision=self.catalog.revision)
            finally:
                self._deaf = True
            await asyncio.sleep(_jittered(AWAY_S))

    @property
    def deaf(self) -> bool:
        """Whether there may be other registries, and what they say of renewed leases would not be heard."""
        return self._deaf and self._journal.shared

    def listen_for_renewals(self, heard: Callable[[Sequence[InstanceKey]], None]) -> None:
        """Have ``heard`` called with leases, by service and instance id, that a registry has renewed."""
        self._hear = heard

    async def tell_renewed(self, keys: Sequence[InstanceKey]) -> None:
        """Tell the other registries, if there may be any, of renewed leases. Raises JournalUnavailable."""
        if self._journal.shared:
            await self._journal.tell_renewed(keys)

    def _hear_renewed(self, keys: Sequence[InstanceKey]) -> None:
        self._hear(keys)

    async def _catch_up(self) -> None:
        catalog = self.catalog
        try:
            committed = await self._journal.recorded_after(catalog.revision)
        except HistoryLost as lost:
            async with self._writing:  # what a batch is decided on must stay
                await self._load_anew(lost)
        else:
            self._reached_at = time.monotonic()
            if catalog is self.catalog:
                self._take_in(committed)

    async def _load_anew(self, lost: HistoryLost) -> None:
        log.warning("registry.loaded_anew", reason=str(lost))
        self.catalog = await self._journal.load()
        for each in self._told:
            each.restarted()

    async def _carry_out(self, batch: Sequence[_Waiting]) -> None:
        try:
            outcomes = await self._write(batch)
            self.journal_away = False
        except Exception as error:
            self.journal_away = isinstance(error, JournalUnavailable)
            # Also the refusals: they may rest on a neighbour that was not committed.
            if not isinstance(error, JournalUnavailable):
                log.exception("registry.batch_failed", commands=len(batch))
            outcomes = [(waiting, error) for waiting in batch]
        # The next batch need not wait until the nameserver has followed this one.
        self._followers.when_caught_up(self.catalog.revision, partial(_answer, outcomes))

    async def _write(self, batch: Sequence[_Waiting]) -> list[_Outcome]:
        """Decide a batch, commit it and take it in; return what to tell each caller."""
        async with self._writing:
            try:
                if not self._journal.shared:
                    with contextlib.suppress(Overtaken):  # by a process that has no business in the file
                        return await self._write_alone(batch)
                return await self._write_with_pen(batch)
            except HistoryLost as lost:
                await self._load_anew(lost)
                return await self._write_with_pen(batch)

    async def _write_alone(self, batch: Sequence[_Waiting]) -> list[_Outcome]:
        draft, recorded, outcomes = self._decide_all(batch)
        await self._journal.append(recorded, seen=self.catalog.revision, before=self.catalog, after=draft)
        self._note_written(recorded)
        return outcomes

    async def _write_with_pen(self, batch: Sequence[_Waiting]) -> list[_Outcome]:
        async with self._journal.pen(seen=self.catalog.revision) as pen:
            self._take_in(pen.unseen)
            draft, recorded, outcomes = self._decide_all(batch)
            pen.append(recorded, before=self.catalog, after=draft)
        self._note_written(recorded)
        return outcomes

    def _decide_all(self, batch: Sequence[_Waiting]) -> tuple[Draft, list[Recorded], list[_Outcome]]:
        draft, recorded = Draft(self.catalog), list[Recorded]()
        return draft, recorded, [(waiting, self._decide(waiting, draft, recorded)) for waiting in batch]

    def _note_written(self, recorded: Sequence[Recorded]) -> None:
        self.transactions += 1
        self._reached_at = time.monotonic()
        self._take_in(recorded)

    def _take_in(self, committed: Sequence[Recorded]) -> None:
        """Apply what is committed. Writing and following may both have read the same changes: none counts twice."""
        fresh = [each for each in committed if each.revision > self.catalog.revision]
        for each in fresh:
            self.catalog.apply(each.revision, each.change)
        if fresh:
            for listener in self._told:
                listener.publish(fresh)

    def _decide(self, waiting: _Waiting, draft: Draft, recorded: list[Recorded]) -> Any:
        """Return the command's answer, or the exception that refuses it."""
        if isinstance(waiting.command, Together):
            return self._decide_together(waiting.command, waiting.cause, draft, recorded)
        return self._decide_one(waiting.command, waiting.cause, waiting.operation_id, draft, recorded)

    def _decide_one(
        self, command: Command[Any], cause: Cause, operation_id: str | None, draft: Draft, recorded: list[Recorded]
    ) -> Any:
        moment = Moment(
            now_ms=self._clock(),
            revision=draft.revision + 1,
            ids=self._ids,
            given_operation_id=operation_id,
            quotas=self._quotas,
        )
        try:
            decision = command.decide(draft, moment)
        except CatalogError as refusal:
            return refusal
        except Exception as error:
            log.exception("registry.command_failed", command=type(command).__name__)
            return error
        for change in decision.changes:
            made = Recorded(
                revision=draft.apply(change),
                at_ms=moment.now_ms,
                change=change,
                cause=cause,
                operation=decision.operation if change is decision.change else None,
            )
            recorded.append(made)
        return decision.answer

    def _decide_together(
        self, command: Together, cause: Cause, draft: Draft, recorded: list[Recorded]
    ) -> list[Any] | Exception:
        """Return the answer of every step, or the exception that refuses them all."""
        apart, changes, answers = Draft(draft), list[Recorded](), list[Any]()
        try:
            for number, step in enumerate(command.steps(draft)):
                outcome = self._decide_one(step, cause, None, apart, changes)
                if isinstance(outcome, CatalogError):
                    return StepRefused(number, outcome)
                if isinstance(outcome, Exception):
                    return outcome
                answers.append(outcome)
        except CatalogError as refusal:
            return refusal
        draft.adopt(apart)
        recorded += changes
        return answers


def _answer(outcomes: Sequence[_Outcome]) -> None:
    for waiting, outcome in outcomes:
        if waiting.answered.done():
            continue  # its caller has gone
        if isinstance(outcome, Exception):
            waiting.answered.set_exception(outcome)
        else:
            waiting.answered.set_result(outcome)


def _jittered(seconds: float) -> float:
    return seconds * random.uniform(0.5, 1.5)  # noqa: S311 (so that registries do not ask in step)


async def _set_within(event: asyncio.Event, seconds: float) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await event.wait()
