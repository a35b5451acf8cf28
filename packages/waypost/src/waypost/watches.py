"""Watches: clients that follow one service, first what is there, then every change with its revision.

The newest changes stay in memory, so that a client that was away for a moment resumes where it left off without a word
to the database; one that was away for longer is told that what lies between is gone, and gets everything anew. Nothing
here waits for a client: what one does not read in time is bounded, and then it is let go.
"""

import asyncio
import itertools
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from typing import Final

import msgspec

from waypost.catalog.changes import Cause, Recorded
from waypost.catalog.index import Catalog, ServiceEntry
from waypost.catalog.model import Health, Instance
from waypost.catalog.subjects import subject_of

__all__ = ["TooManyWatches", "Watch", "Watches", "at_text"]

KEPT: Final = 16_384  # changes, of all services, from which a watch can resume
WATCHES: Final = 2_048  # at a time, unless told otherwise
UNREAD: Final = 1 << 20  # octets of earlier commits that may wait for one client when the next one comes
PROGRESS_S: Final = 15.0  # seconds of silence after which a client is told how far the registry is
PIECE: Final = 64 << 10  # octets that are written at a time, more or less
BACKLOGS: Final = 64  # that are kept for the next client to come back; more would only be held for nobody


class TooManyWatches(Exception):
    """As many clients watch as the registry will serve; try again later."""


class Shown(msgspec.Struct, frozen=True, kw_only=True):
    """An instance, as a watch shows it."""

    id: str
    health: Health
    lapsed: bool  # its lease was not renewed
    draining: bool  # it is registered, and handed out no more
    attributes: msgspec.Raw


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """One change, as a watch tells it."""

    revision: int
    at: str  # RFC 3339, UTC
    change: str  # kind
    instance_id: str | None  # None: the service itself changed
    instance: Shown | None  # as it stands after the commit; None: it is gone
    cause: Cause


class _Kept(msgspec.Struct, gc=False):
    recorded: Recorded
    service_id: str | None  # that it is about
    instance: Instance | None
    event: bytes = b""  # as it was told, once it was: thousands of clients may come back for it together

    def told(self) -> bytes:
        if not self.event:
            self.event = _told(self.recorded, self.instance)
        return self.event


class _Once:
    """What many clients read, encoded piece by piece as the first one reads it, and for the others not again."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self._made = iter(pieces), list[bytes]()

    def __iter__(self) -> Iterator[bytes]:
        for number in itertools.count():
            if number == len(self._made):
                piece = next(self._pieces, None)
                if piece is None:
                    return
                self._made.append(piece)
            yield self._made[number]


class Watch:
    """One client that follows one service. Iterating gives server-sent events, ready to be written."""

    def __init__(self, first: Iterable[bytes], catalog: Callable[[], Catalog]) -> None:
        self._first, self._catalog = first, catalog
        self._unread: deque[bytes] = deque()
        self._octets = 0
        self._news = asyncio.Event()
        self._ended = False

    def offer(self, events: Sequence[bytes]) -> None:
        """Pass the events of one commit on, or end the watch if its client has read too little of earlier ones."""
        if self._ended:
            return
        if self._octets > UNREAD:
            self._unread.clear()
            self._ended = True
        else:
            self._unread.extend(events)
            self._octets += sum(map(len, events))
        self._news.set()

    def end(self) -> None:
        """End it after what was offered."""
        self._ended = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._first:
            yield piece
        self._first = ()
        while True:
            try:
                async with asyncio.timeout(PROGRESS_S):
                    await self._news.wait()
            except TimeoutError:
                revision = self._catalog().revision
                yield _event("progress", revision, b'{"revision":%d}' % revision)
                continue
            self._news.clear()
            while self._unread:
                yield self._take_piece()
            if self._ended:
                return

    def _take_piece(self) -> bytes:
        piece = bytearray()
        while self._unread and len(piece) < PIECE:
            piece += self._unread.popleft()
        self._octets -= len(piece)
        return bytes(piece)


class Watches:
    """Every watch of one registry."""

    def __init__(
        self, catalog: Callable[[], Catalog], loaded: Catalog, latest: Iterable[Recorded] = (), *, most: int = WATCHES
    ) -> None:
        """Begin with the catalog as loaded and the newest changes of the journal, so that a watch outlives a restart.

        :param catalog: returns the registry's catalog, from its first change on.
        :param most: watches at a time; one more is refused.
        """
        self._catalog, self._most = catalog, most
        self._of_service: defaultdict[str, set[Watch]] = defaultdict(set)
        self._kept: deque[_Kept] = deque()
        self._kept_of: defaultdict[str, deque[_Kept]] = defaultdict(deque)
        self._resumable_from = loaded.revision  # a client that knows this revision, or a later one, can resume
        self._present: dict[str, _Once] = {}  # by service: as it stands, until the next change
        self._backlogs: dict[tuple[str, int], _Once] = {}  # by service and the last revision that was heard of
        self._closed = False
        self.count = 0
        newest = list(latest)
        newest = [each for each in newest if each.revision <= loaded.revision]
        if newest and newest[-1].revision == loaded.revision:
            self._resumable_from = newest[0].revision - 1
            for each in newest:
                self._keep(each, loaded)

    def open(self, entry: ServiceEntry, *, namespace: str, after: int | None = None) -> Watch:
        """Begin a watch of a service; ``after`` is the last revision that its client has heard of.

        :raises TooManyWatches: there are as many as there may be.
        """
        if self.count >= self._most or self._closed:
            raise TooManyWatches
        watch = Watch(self._first(entry, namespace, after), self._catalog)
        self._of_service[entry.service.id].add(watch)
        self.count += 1
        return watch

    def leave(self, service_id: str, watch: Watch) -> None:
        """Forget a watch whose client has gone."""
        watching = self._of_service.get(service_id, set())
        if watch in watching:
            watching.remove(watch)
            self.count -= 1
            if not watching:
                del self._of_service[service_id]

    def publish(self, changes: Sequence[Recorded]) -> None:
        """Tell every watch what was committed."""
        self._forget_encoded()
        events: defaultdict[str, list[bytes]] = defaultdict(list)
        catalog = self._catalog()
        touched: dict[str, int] = {}
        for recorded in changes:
            kept = self._keep(recorded, catalog)
            service_id = kept.service_id
            if service_id is not None:
                touched[service_id] = recorded.revision
                if service_id in self._of_service:
                    events[service_id].append(kept.told())
        deleted = {each for each in touched if catalog.get_entry(each) is None}
        for service_id in deleted:
            self._kept_of.pop(service_id, None)
            revision = touched[service_id]
            events[service_id].append(_event("deleted", revision, b'{"revision":%d}' % revision))
        for service_id, told in events.items():
            for watch in tuple(self._of_service.get(service_id, ())):
                watch.offer(told)
                if service_id in deleted:
                    watch.end()

    def restarted(self) -> None:
        """End every watch: their clients come back, and are told that what lies between is gone."""
        self._kept.clear()
        self._kept_of.clear()
        self._forget_encoded()
        self._resumable_from = self._catalog().revision
        self._end_all()

    def close(self) -> None:
        """End every watch, and let no other begin."""
        self._closed = True
        self._end_all()

    def _end_all(self) -> None:
        for watching in self._of_service.values():
            for watch in watching:
                watch.end()

    def _keep(self, recorded: Recorded, catalog: Catalog) -> _Kept:
        service_id, instance_id = subject_of(recorded.change)
        instance = None
        if service_id is not None and instance_id is not None:
            instance = catalog.get_instance(service_id, instance_id)
        kept = _Kept(recorded, service_id, instance)
        self._kept.append(kept)
        if service_id is not None:
            self._kept_of[service_id].append(kept)
        if len(self._kept) > KEPT:
            self._forget(self._kept.popleft())
        return kept

    def _forget(self, oldest: _Kept) -> None:
        self._resumable_from = oldest.recorded.revision
        service_id = oldest.service_id
        of_service = None if service_id is None else self._kept_of.get(service_id)
        if service_id is not None and of_service and of_service[0] is oldest:
            of_service.popleft()
            if not of_service:
                del self._kept_of[service_id]

    def _first(self, entry: ServiceEntry, namespace: str, after: int | None) -> Iterable[bytes]:
        """Return what a client must hear before the changes to come. The catalog stands still until it is returned."""
        revision = self._catalog().revision
        if after is None:
            return self._all_present(entry, namespace, revision)
        if self._resumable_from <= after <= revision:
            return self._backlog(entry.service.id, after)
        known = b'{"revision":%d,"resumable_from":%d}' % (revision, self._resumable_from)
        return itertools.chain([_event("gone", revision, known)], self._all_present(entry, namespace, revision))

    def _all_present(self, entry: ServiceEntry, namespace: str, revision: int) -> _Once:
        present = self._present.get(entry.service.id)
        if present is None:
            present = self._present[entry.service.id] = _Once(_present(entry, namespace, revision))
        return present

    def _backlog(self, service_id: str, after: int) -> _Once:
        backlog = self._backlogs.get((service_id, after))
        if backlog is None:
            newest_first = reversed(self._kept_of.get(service_id, ()))
            missed = list(itertools.takewhile(lambda kept: kept.recorded.revision > after, newest_first))
            backlog = _Once(_joined(kept.told() for kept in reversed(missed)))
            if len(self._backlogs) >= BACKLOGS:
                self._backlogs.clear()
            self._backlogs[service_id, after] = backlog
        return backlog

    def _forget_encoded(self) -> None:
        self._present.clear()
        self._backlogs.clear()


def at_text(at_ms: int) -> str:
    """Return an instant in the form of RFC 3339, UTC, with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _event(name: str, revision: int, data: bytes) -> bytes:
    return b"id: %d\nevent: %s\ndata: %s\n\n" % (revision, name.encode(), data)


def _joined(events: Iterable[bytes]) -> list[bytes]:
    """Return the events in few pieces: each piece that is written costs a system call."""
    pieces: list[bytes] = []
    piece = bytearray()
    for event in events:
        piece += event
        if len(piece) > PIECE:
            pieces.append(bytes(piece))
            piece.clear()
    return [*pieces, bytes(piece)] if piece else pieces


def _told(recorded: Recorded, instance: Instance | None) -> bytes:
    told = Told(
        revision=recorded.revision,
        at=at_text(recorded.at_ms),
        change=type(recorded.change).__name__,
        instance_id=subject_of(recorded.change).instance_id,
        instance=None if instance is None else _shown(instance),
        cause=recorded.cause,
    )
    return _event("change", recorded.revision, msgspec.json.encode(told))


def _shown(instance: Instance) -> Shown:
    return Shown(
        id=instance.id,
        health=instance.health,
        lapsed=instance.lapsed,
        draining=instance.drain is not None,
        attributes=msgspec.Raw(instance.attributes),
    )


def _present(entry: ServiceEntry, namespace: str, revision: int) -> Iterator[bytes]:
    """Return the event that holds everything, in pieces; what it tells stands still while they are written."""
    names = {"revision": revision, "namespace": namespace, "service": entry.service.name}
    head = msgspec.json.encode({**names, "service_id": entry.service.id})
    return _pieces(revision, head, list(entry.instances.values()))


def _pieces(revision: int, head: bytes, instances: Sequence[Instance]) -> Iterator[bytes]:
    piece = bytearray(b"retry: 1000\nid: %d\nevent: present\ndata: " % revision)
    piece += head[:-1] + b',"instances":['
    for number, instance in enumerate(instances):
        if number:
            piece += b","
        piece += msgspec.json.encode(_shown(instance))
        if len(piece) > PIECE:
            yield bytes(piece)
            piece.clear()
    yield bytes(piece + b"]}\n\n")
