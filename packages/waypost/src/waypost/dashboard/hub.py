"""The stream of events that keeps pages live: what changed, put together four times a second, told to every page.

Pages that see the same share the same octets. A page that does not read is let go, and comes back with the revision of
the last event that it had; what it missed is told from memory, also after a restart of the registry.
"""

import asyncio
from collections import defaultdict, deque
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from itertools import islice
from typing import Any, Final

import msgspec

from waypost.catalog.changes import Recorded
from waypost.catalog.index import Catalog
from waypost.catalog.subjects import subject_of
from waypost.dashboard.directory import Directory
from waypost.dashboard.pulse import Pulse
from waypost.dashboard.rows import change_row, instance_row, service_row
from waypost.dashboard.viewer import Viewer
from waypost.structured_log import structlog

__all__ = ["Hub", "Page", "TooManyPages"]

KEPT: Final = 4_096  # changes from which a page can resume
PAGES: Final = 512  # open at once
UNREAD: Final = 1 << 20  # octets that may wait for one page
TOLD: Final = 100  # changes in one event; more are counted
ROWS: Final = 200  # services in one event; more and the page asks anew
TICK_S: Final = 0.25
TICKS_A_SECOND: Final = 4

log = structlog.get_logger()


class TooManyPages(Exception):
    """As many pages are open as there may be."""


class Page:
    """One open page. Iterating gives server-sent events."""

    def __init__(self, viewer: Viewer, *, map_: bool) -> None:
        self.viewer, self.map = viewer, map_
        self._unread: deque[bytes] = deque()
        self._octets = 0
        self._news = asyncio.Event()
        self._ended = False

    def offer(self, event: bytes) -> None:
        """Pass an event on, or end the page's stream if it has read too little."""
        if self._octets > UNREAD:
            self._unread.clear()
            self._ended = True
        elif not self._ended:
            self._unread.append(event)
            self._octets += len(event)
        self._news.set()

    def end(self) -> None:
        """End it after what was offered."""
        self._ended = True
        self._news.set()

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while True:
            await self._news.wait()
            self._news.clear()
            while self._unread:
                events = b"".join(self._unread)
                self._unread.clear()
                self._octets = 0
                yield events
            if self._ended:
                return


class Hub:
    """Every open page of one registry. Give it to the registry as the last listener, and run it."""

    def __init__(
        self,
        catalog: Callable[[], Catalog],
        directory: Directory,
        pulse: Pulse,
        latest: Iterable[Recorded],
        *,
        totals: Callable[[Viewer], dict[str, Any]],
        traffic: Callable[[Viewer], Any],
    ) -> None:
        self._catalog, self._directory, self._pulse = catalog, directory, pulse
        self._totals, self._traffic = totals, traffic
        self._kept: deque[Recorded] = deque(latest, maxlen=KEPT)
        self._fresh: list[Recorded] = []
        self._overflow = False
        self._pages: set[Page] = set()
        self._closed = False

    @property
    def count(self) -> int:
        """How many pages are open."""
        return len(self._pages)

    @property
    def watched(self) -> bool:
        """Whether a page shows the map."""
        return any(page.map for page in self._pages)

    def publish(self, changes: Sequence[Recorded]) -> None:
        """Take in what was committed."""
        self._kept.extend(changes)
        if self._pages:
            if len(self._fresh) < KEPT:
                self._fresh.extend(changes)
            else:
                self._overflow = True

    def restarted(self) -> None:
        """Have every page ask anew."""
        self._kept.clear()
        self._fresh.clear()
        self._overflow = True

    def open(self, viewer: Viewer, *, after: int | None, map_: bool) -> Page:
        """Begin a page's stream after the revision that it knows.

        :raises TooManyPages: there are as many as there may be.
        """
        if self._closed or len(self._pages) >= PAGES:
            raise TooManyPages
        self._totals(viewer)  # whoever counts has counted before the first change that is told
        page = Page(viewer, map_=map_)
        self._pages.add(page)
        revision = self._catalog().revision
        page.offer(b"retry: 500\n\n")
        if after is not None and after != revision:
            oldest = self._kept[0].revision if self._kept else revision + 1
            known = oldest - 1 <= after < revision
            missed = [each for each in self._kept if each.revision > after] if known else []
            event = self._changes(viewer, missed) if known and missed[-1].revision == revision else self._reset()
            page.offer(event)
        else:
            page.offer(_event("present", {"revision": revision}, revision))
        return page

    def leave(self, page: Page) -> None:
        """Forget a page that has gone."""
        self._pages.discard(page)
        if not self._pages:
            self._fresh.clear()
            self._overflow = False

    def close(self) -> None:
        """End every stream, and let no other begin."""
        self._closed = True
        for page in self._pages:
            page.end()

    async def run(self) -> None:
        """Sample and tell until cancelled."""
        loop = asyncio.get_running_loop()
        tick, due = 0, loop.time()
        while True:
            tick, due = tick + 1, due + TICK_S
            try:
                self._tell(tick)
            except Exception:
                log.exception("dashboard.not_told")
            await asyncio.sleep(max(0.01, due - loop.time()))
            due = max(due, loop.time() - 1.0)

    def _tell(self, tick: int) -> None:
        whole_second = tick % TICKS_A_SECOND == 0
        sample = self._pulse.sample() if whole_second else None
        fresh, self._fresh = self._fresh, []
        overflow, self._overflow = self._overflow, False
        groups: defaultdict[tuple[Viewer, bool], list[Page]] = defaultdict(list)
        for page in self._pages:
            groups[page.viewer, page.map].append(page)
        for (viewer, map_), pages in groups.items():
            events = []
            if overflow:
                events.append(self._reset())
            elif fresh:
                events.append(self._changes(viewer, fresh))
            if sample is not None:
                told = {"queries": sample[0], "registrations": sample[1], "changes": sample[2]}
                events.append(_event("pulse", told, None))
                if map_:
                    events.append(_event("traffic", self._traffic(viewer), None))
            if events:
                octets = b"".join(events)
                for page in pages:
                    page.offer(octets)

    def _reset(self) -> bytes:
        revision = self._catalog().revision
        return _event("reset", {"revision": revision}, revision)

    def _changes(self, viewer: Viewer, changes: Sequence[Recorded]) -> bytes:
        catalog = self._catalog()
        touched = dict.fromkeys(filter(None, (subject_of(each.change).service_id for each in changes)))
        named = {each: self._directory.named(each) for each in touched}
        seen = {
            each: one for each, one in named.items() if one is not None and _is_seen(viewer, catalog, one.namespace_id)
        }
        listed = {each: self._directory.listed(each) for each in islice(seen, ROWS)}
        revision = changes[-1].revision
        items = []
        told = [each for each in changes if subject_of(each.change).service_id in seen]
        for recorded in told[-TOLD:]:
            service_id, instance_id = subject_of(recorded.change)
            assert service_id is not None, "it is seen"
            row, present = None, listed.get(service_id)
            if present is not None and instance_id is not None:
                instance = present.entry.instances.get(instance_id)
                if instance is not None:
                    row = instance_row(instance, present.entry.service, guarded=present.counts.guarded, last=recorded)
            items.append(change_row(recorded, seen[service_id], row=row))
        data = {
            "revision": revision,
            "items": items,
            "more": max(0, len(told) - TOLD),
            "services": [service_row(each) for each in listed.values() if each is not None],
            "gone": [each for each in seen if catalog.get_entry(each) is None],
            "others": max(0, len(seen) - ROWS),
            "totals": self._totals(viewer),
        }
        return _event("changes", data, revision)


def _is_seen(viewer: Viewer, catalog: Catalog, namespace_id: str) -> bool:
    namespace = catalog.get_namespace(namespace_id)
    return namespace is not None and viewer.sees(namespace)


def _event(name: str, data: Any, revision: int | None) -> bytes:
    line = b"" if revision is None else b"id: %d\n" % revision
    return b"%sevent: %s\ndata: %s\n\n" % (line, name.encode(), msgspec.json.encode(data))
