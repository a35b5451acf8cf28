"""Housekeeping: what is past its retention goes, a batch at a time, into the archive if there is one."""

import asyncio
import os
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from omnichannel.database import DatabaseUnavailable
from omnichannel.database.audiences import Audiences
from omnichannel.database.retention import Archive, Retention
from omnichannel.serving.pauses import pause
from omnichannel.structured_log import structlog

__all__ = ["Housekeeping", "archive_in"]

BATCH: Final = 200  # messages in one transaction
MEMBERS: Final = 5000  # of lists that nobody needs, in one transaction
EVERY_S: Final = 60.0
NEXT_BATCH_S: Final = 0.1

log = structlog.get_logger()


class Housekeeping:
    """Keeps ended messages for ``keep``, None for ever. ``clock`` gives the present time in UTC."""

    def __init__(
        self,
        retention: Retention,
        audiences: Audiences,
        *,
        keep: timedelta | None,
        archive: Archive | None,
        clock: Callable[[], datetime],
    ) -> None:
        self._retention, self._audiences = retention, audiences
        self._keep, self._archive, self._clock = keep, archive, clock

    async def run(self, stop: asyncio.Event) -> None:
        """Clear until ``stop`` is set."""
        while not stop.is_set():
            try:
                more = await self.clear()
            except (DatabaseUnavailable, OSError) as exc:
                log.warning("housekeeping.trouble", error=str(exc))
                more = False
            await pause(stop, NEXT_BATCH_S if more else EVERY_S)

    async def clear(self) -> bool:
        """Clear one batch, and return whether there may be more."""
        now = self._clock()
        before = None if self._keep is None else now - self._keep
        cleared = await self._retention.clear(before=before, now=now, archive=self._archive, limit=BATCH)
        if cleared.messages or cleared.answers or cleared.files:
            log.info("housekeeping.cleared", messages=cleared.messages, answers=cleared.answers, files=cleared.files)
        members = await self._audiences.clear(now=now, limit=MEMBERS)
        return BATCH in (cleared.messages, cleared.files) or cleared.parts > 0 or members > 0


def archive_in(folder: Path, *, clock: Callable[[], datetime]) -> Archive:
    """Return an archive that appends to ``messages-<year>-<month>.jsonl`` in a folder. It may raise OSError."""

    async def archive(lines: Sequence[str]) -> None:
        await asyncio.to_thread(_append, folder / f"messages-{clock():%Y-%m}.jsonl", lines)

    return archive


def _append(path: Path, lines: Sequence[str]) -> None:
    with open(path, "a", encoding="utf-8") as file:
        file.write("".join(f"{line}\n" for line in lines))
        file.flush()
        os.fsync(file.fileno())
