"""The publisher over the number of messages that wait: what a delivery costs, and how late it is."""

import asyncio
import itertools
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Final

from benchmarks.publisher_parts import Postgres, Receiver, Services, add_pending, postgres, receiving
from benchmarks.publisher_rows import hand_in
from benchmarks.rounds import Curve, Effort
from benchmarks.servers import Absent, Server, made

__all__ = ["SIZES", "publisher_growth"]

SIZES: Final = (1_000, 10_000, 100_000)
DATABASES: Final = ("postgresql", "sqlite")
WORKERS: Final = 2
MIN_JOBS: Final = 200  # workers take them by the dozens
COUNTED_FROM: Final = 0.25  # of the jobs: before it, processes are starting
NEXT_YEAR: Final = timedelta(days=365)
AXIS: Final = "messages that wait for next year"


def publisher_growth(folder: Path, effort: Effort) -> list[Curve]:
    """Measure both curves, on each database."""
    cost = Curve("growth-deliver-cpu", "a delivery by webhook, processor time of workers and database", "µs", AXIS)
    rate = Curve("growth-deliver-rate", f"deliveries by webhook of {WORKERS} workers", "per second", AXIS)
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgres(_reachable(folder / "postgres")))
        except Absent as absent:
            server = None
            cost.absent.append(str(absent))
        places = itertools.count()
        kinds = [kind for kind in DATABASES if kind == "sqlite" or server is not None]
        for size, _, kind in itertools.product(effort.sizes or SIZES, range(effort.rounds), kinds):
            place = _reachable(folder / f"{next(places)}")
            database = f"sqlite:///{place / 'omnichannel.db'}"
            if kind == "postgresql" and server is not None:
                database = server.new_database()
            jobs = max(MIN_JOBS, int(500 * effort.seconds))
            found = asyncio.run(_deliver(Services(database, place), server, kind, pending=size, jobs=jobs))
            cost.add(f"omnichannel, {kind}", size, found["cpu_us"])
            rate.add(f"omnichannel, {kind}", size, found["rate"])
    return [cost, rate]


async def _deliver(
    services: Services, server: Postgres | None, kind: str, *, pending: int, jobs: int
) -> Mapping[str, float]:
    """Have jobs wait among the others, start the workers, and measure from the first quarter on."""
    async with receiving() as receiver:
        with ExitStack() as stack:
            stack.callback(services.close)
            (api,) = await asyncio.to_thread(services.start, "api")
            due_ms = int((datetime.now(UTC) + NEXT_YEAR).timestamp() * 1000)
            await asyncio.to_thread(partial(add_pending, services.database, pending, due_ms=due_ms))
            await hand_in(api, receiver.url, [f"{number}" for number in range(jobs)])
            services.close()
            await asyncio.to_thread(services.start, *["worker"] * WORKERS)
            database = (server.process,) if server is not None and kind == "postgresql" else ()
            return await _measured(receiver, services.server(*database), jobs)


async def _measured(receiver: Receiver, server: Server, jobs: int) -> Mapping[str, float]:
    await receiver.until(int(jobs * COUNTED_FROM))
    already, before, began = len(receiver.came), server.cpu_s(), max(receiver.came.values())
    await receiver.until(jobs)
    spent, ended = server.cpu_s() - before, max(receiver.came.values())
    done = jobs - already
    return {"rate": done / max(0.001, ended - began), "cpu_us": 1e6 * spent / max(1, done)}


def _reachable(folder: Path) -> Path:
    made(folder)
    folder.parent.chmod(0o755)  # PostgreSQL's own user has to get there
    return folder
