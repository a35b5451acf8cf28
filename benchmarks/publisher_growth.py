"""The publisher over the number of messages that wait: accepting, delivering, and lateness."""

import asyncio
import itertools
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from benchmarks.publisher_parts import Services, add_pending, postgres, receiving
from benchmarks.publisher_rows import (
    BATCH,
    DATABASES,
    WORKERS,
    TooBusy,
    accept,
    delivering,
    hand_in,
    late,
    next_year_ms,
    reachable,
)
from benchmarks.rounds import Curve, Effort
from benchmarks.servers import Absent, Server

__all__ = ["SIZES", "publisher_growth"]

SIZES: Final = (1_000, 10_000, 100_000)
RATE: Final = 100  # messages a second whose lateness is measured
MIN_JOBS: Final = 200  # workers take them by the dozens
AXIS: Final = "messages that wait for next year"


def publisher_growth(folder: Path, effort: Effort) -> list[Curve]:
    """Measure every curve, on each database."""
    curves = {
        "accept_us": Curve("growth-accept", f"accepting a message in batches of {BATCH}, processor time", "µs", AXIS),
        "cpu_us": Curve(
            "growth-deliver-cpu", "a delivery by webhook, processor time of workers and database", "µs", AXIS
        ),
        "rate": Curve("growth-deliver-rate", f"deliveries by webhook of {WORKERS} workers", "per second", AXIS),
        "late_ms": Curve(
            "growth-late", f"from due to the receiver at {RATE} messages a second, 99th percentile", "ms", AXIS
        ),
    }
    with ExitStack() as stack:
        try:
            server = stack.enter_context(postgres(reachable(folder / "postgres")))
        except Absent as absent:
            server = None
            for curve in curves.values():
                curve.absent.append(str(absent))
        places = itertools.count()
        kinds = [kind for kind in DATABASES if kind == "sqlite" or server is not None]
        for size, _, kind in itertools.product(effort.sizes or SIZES, range(effort.rounds), kinds):
            place = reachable(folder / f"{next(places)}")
            database = f"sqlite:///{place / 'omnichannel.db'}"
            beside = ()
            if kind == "postgresql" and server is not None:
                database, beside = server.new_database(), (server.process,)
            services = Services(database, place)
            try:
                for figure, value in _figures(services, Server(beside, 0), pending=size, seconds=effort.seconds):
                    curves[figure].add(f"omnichannel, {kind}", size, value)
            except TooBusy as busy:
                for curve in curves.values():
                    curve.notes.append(f"{kind}, {size:,}: a round ended early, for {busy}")
            finally:
                services.close()
    return list(curves.values())


def _figures(services: Services, database: Server, *, pending: int, seconds: float) -> Iterator[tuple[str, float]]:
    """Yield each figure of one size as soon as it is measured.

    :raises TooBusy: the machine has no time for the next of them.
    """
    jobs = max(MIN_JOBS, int(1000 * seconds))
    (api,) = services.start("api")
    add_pending(services.database, pending, due_ms=next_year_ms())
    accepting = services.server(*database.processes)
    yield "accept_us", accept(api, accepting, messages=jobs, size=BATCH)["cpu_us"]
    figures = asyncio.run(_deliver(services, api, database, jobs=jobs))
    yield from ((each, figures[each]) for each in ("cpu_us", "rate"))
    api, _ = services.start("api", "scheduler")
    yield "late_ms", asyncio.run(late(api, services.server(), rate=RATE, seconds=seconds))["p99_ms"]


async def _deliver(services: Services, api: str, database: Server, *, jobs: int) -> Mapping[str, float]:
    """Have jobs wait among the others, start the workers, and measure."""
    async with receiving() as receiver:
        await hand_in(api, receiver.url, [f"{number}" for number in range(jobs)])
        services.close()
        await asyncio.to_thread(services.start, *["worker"] * WORKERS)
        return await delivering(receiver, services.server(*database.processes), jobs=jobs)
