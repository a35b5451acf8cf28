"""The publisher's rows: deliveries beside its peers, messages accepted, and lateness.

``publisher_rows(folder, rounds=…, seconds=…)`` yields them all, as ``make bench`` wants them; ``deliver_row``,
``accept_row`` and ``late_row`` measure one each. Every contender runs in its own processes on all cores; the receiver
and the generator run in this one.
"""

import asyncio
import itertools
import json
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any, Final

import aiohttp

from benchmarks.publisher_parts import Postgres, Receiver, Services, add_pending, postgres, receiving
from benchmarks.publisher_peers import celery, procrastinate
from benchmarks.rounds import Row
from benchmarks.servers import Absent, Server

__all__ = [
    "BATCH",
    "DATABASES",
    "WORKERS",
    "TooBusy",
    "accept",
    "accept_row",
    "deliver_row",
    "delivering",
    "hand_in",
    "late",
    "late_row",
    "next_year_ms",
    "publisher_rows",
    "reachable",
]

BATCH: Final = 100
CONNECTIONS: Final = 8
WORKERS: Final = 2
DATABASES: Final = ("postgresql", "sqlite")
RATES: Final = (100, 500)  # messages per second
COUNTED_FROM: Final = 0.25  # of the jobs: before it, processes are starting
NEXT_YEAR: Final = timedelta(days=365)
LEAD_S: Final = 3.0  # before the first message is due, beside the time that handing in takes


class TooBusy(Exception):
    """The machine is too busy for a figure: what it says is why."""


Jobs = Callable[[ExitStack, Path, Receiver], Awaitable[Server]]


def publisher_rows(folder: Path, *, rounds: int, seconds: float, pending: int = 0) -> Iterator[Row]:
    """Measure every row; ``pending`` messages wait for next year in one half of our own figures."""
    jobs = int(1000 * seconds)
    yield deliver_row(reachable(folder / "deliver"), rounds=rounds, jobs=jobs, pending=pending)
    yield accept_row(reachable(folder / "accept"), rounds=rounds, messages=jobs, pending=pending)
    yield late_row(reachable(folder / "late"), rounds=rounds, seconds=seconds, pending=pending)


def deliver_row(folder: Path, *, rounds: int, jobs: int, pending: int = 0) -> Row:
    """Measure deliveries per second of two workers, and the processor time of each with its queue.

    Jobs wait when the workers start; what happens until a quarter is done is not counted. ``pending`` others wait for
    next year in one half of our own figures.
    """
    columns = ("rate", "cpu_us", "twice")
    row = Row("publisher-deliver", f"{jobs} jobs that wait, one HTTP call each, {WORKERS} workers", columns)
    with postgres(reachable(folder / "postgres")) as server:
        contenders: dict[str, Jobs] = {
            f"omnichannel, {kind}{_beside(waiting)}": partial(
                _ours, kind=kind, server=server, jobs=jobs, pending=waiting
            )
            for waiting, kind in itertools.product(sorted({0, pending}), DATABASES)
        }
        contenders |= {
            "procrastinate": partial(procrastinate, server=server, jobs=jobs, workers=WORKERS),
            "celery on redis": partial(celery, jobs=jobs, workers=WORKERS),
        }
        places = itertools.count()
        for _ in range(rounds):
            for name, work in contenders.items():
                try:
                    figures = asyncio.run(_deliver(reachable(folder / f"{next(places)}"), work, jobs=jobs))
                except Absent as absent:
                    if str(absent) not in row.absent:
                        row.absent.append(str(absent))
                except TooBusy as busy:
                    row.notes.append(f"{name}: one round is left out, for {busy}")
                else:
                    row.add(name, figures)
    row.notes.append("cpu_us is processor time of workers and queue for each delivery, without receiver and api")
    return row


async def _ours(
    stack: ExitStack, folder: Path, receiver: Receiver, *, kind: str, server: Postgres, jobs: int, pending: int
) -> Server:
    database = _new_database(kind, server, folder)
    handing = Services(database, folder)
    stack.callback(handing.close)
    (api,) = handing.start("api")
    await asyncio.to_thread(partial(add_pending, database, pending, due_ms=next_year_ms()))
    await hand_in(api, receiver.url, [f"{number}" for number in range(jobs)])
    handing.close()
    services = Services(database, folder)
    stack.callback(services.close)
    await asyncio.to_thread(services.start, *["worker"] * WORKERS)
    return services.server(*[server.process] * (kind == "postgresql"))


async def _deliver(folder: Path, work: Jobs, *, jobs: int) -> Mapping[str, float]:
    async with receiving() as receiver:
        with ExitStack() as stack:
            figures = await delivering(receiver, await work(stack, folder, receiver), jobs=jobs)
    return {**figures, "twice": receiver.times - len(receiver.came)}


async def delivering(receiver: Receiver, server: Server, *, jobs: int) -> Mapping[str, float]:
    """Measure what jobs cost whose workers have just been started, from the first quarter on.

    :raises TooBusy: most were done before anybody counted.
    """
    await receiver.until(int(jobs * COUNTED_FROM))
    already, before, began = len(receiver.came), server.cpu_s(), max(receiver.came.values())
    await receiver.until(jobs)
    spent, ended = server.cpu_s() - before, max(receiver.came.values())
    done = jobs - already
    if done < jobs / 4:
        raise TooBusy(f"{already} of {jobs} jobs were done before the receiver came to count the first of them")
    return {"answered": done, "rate": done / max(0.001, ended - began), "cpu_us": 1e6 * spent / max(1, done)}


def accept_row(folder: Path, *, rounds: int, messages: int, pending: int = 0) -> Row:
    """Measure messages accepted over HTTP, each answered when it is committed: single and in batches."""
    columns = ("rate", "cpu_us")
    row = Row("publisher-accept", f"{messages} messages on {CONNECTIONS} connections, batches of {BATCH}", columns)
    with postgres(reachable(folder / "postgres")) as server:
        for waiting, turn, kind in itertools.product(sorted({0, pending}), range(rounds), DATABASES):
            place = reachable(folder / f"{kind}-{waiting}-{turn}")
            services = Services(_new_database(kind, server, place), place)
            with ExitStack() as stack:
                stack.callback(services.close)
                (api,) = services.start("api")
                add_pending(services.database, waiting, due_ms=next_year_ms())
                known = services.server(*[server.process] * (kind == "postgresql"))
                for size, some in ((1, max(1, messages // 5)), (BATCH, messages)):
                    name = f"{kind}, {'batches' if size > 1 else 'single'}{_beside(waiting)}"
                    row.add(name, accept(api, known, messages=some, size=size))
    return row


def accept(api: str, server: Server, *, messages: int, size: int) -> Mapping[str, float]:
    """Hand messages in that are due next year, and measure what each costs ``server``."""
    names, before = [f"{number}" for number in range(messages)], server.cpu_s()
    due = [datetime.now(UTC) + NEXT_YEAR] * messages
    took = asyncio.run(hand_in(api, "http://127.0.0.1:10/", names, due=due, size=size))
    return {"answered": messages, "rate": messages / took, "cpu_us": 1e6 * (server.cpu_s() - before) / messages}


def late_row(folder: Path, *, rounds: int, seconds: float, pending: int = 0) -> Row:
    """Measure from due to the receiver, at fixed rates, with nothing else and with ``pending`` messages waiting."""
    columns = ("rate", "p50_ms", "p99_ms", "most_ms", "cpu_us")
    row = Row("publisher-late", f"from due to the receiver, {WORKERS} workers, for {seconds:g} s", columns)
    with postgres(reachable(folder / "postgres")) as server:
        for waiting, kind in itertools.product(sorted({0, pending}), DATABASES):
            place = reachable(folder / f"{kind}-{waiting}")
            services = Services(_new_database(kind, server, place), place)
            with ExitStack() as stack:
                stack.callback(services.close)
                (api,) = services.start("api")
                add_pending(services.database, waiting, due_ms=next_year_ms())
                services.start("scheduler", *["worker"] * WORKERS)
                known = services.server(*[server.process] * (kind == "postgresql"))
                for _, rate in itertools.product(range(rounds), RATES):
                    name = f"{kind}, {rate}/s{_beside(waiting)}"
                    try:
                        row.add(name, asyncio.run(late(api, known, rate=rate, seconds=seconds)))
                    except TooBusy as busy:
                        row.notes.append(f"{name}: one round is left out, for {busy}")
    row.notes.append("messages are handed in before the first is due; cpu_us is of all services and the database")
    return row


async def late(api: str, server: Server, *, rate: int, seconds: float) -> Mapping[str, float]:
    """Hand messages in that fall due one by one, and measure how late each is at the receiver.

    :raises TooBusy: handing them in took so long that the first were due already.
    """
    count = int(rate * seconds)
    async with receiving() as receiver:
        begin = datetime.now(UTC) + timedelta(seconds=LEAD_S + count / 500)
        due = [begin + timedelta(seconds=number / rate) for number in range(count)]
        await hand_in(api, receiver.url, [f"{number}" for number in range(count)], due=due)
        before, behind = server.cpu_s(), (datetime.now(UTC) - begin).total_seconds()
        if behind > 0:
            raise TooBusy(f"the last message was handed in {behind:.1f} s after the first was due")
        await receiver.until(count)
        spent = server.cpu_s() - before
    delays = [1000 * (receiver.came[f"{number}"] - each.timestamp()) for number, each in enumerate(due)]
    cuts = quantiles(delays, n=100)
    return {
        "answered": count,
        "rate": rate,
        "p50_ms": cuts[49],
        "p99_ms": cuts[98],
        "most_ms": max(delays),
        "cpu_us": 1e6 * spent / count,
    }


async def hand_in(
    api: str, url: str, names: Sequence[str], *, due: Sequence[datetime] | None = None, size: int = BATCH
) -> float:
    """Hand messages in, ``size`` to a call on several connections, and return the seconds that it took."""
    bodies = [_message(url, name, None if due is None else due[place]) for place, name in enumerate(names)]
    if size > 1:
        path = "/v1/messages/batch"
        calls = [{"messages": bodies[first : first + size]} for first in range(0, len(bodies), size)]
    else:
        path, calls = "/v1/messages", bodies
    waiting = iter([json.dumps(each).encode() for each in calls])
    async with aiohttp.ClientSession(headers={"content-type": "application/json"}) as session:

        async def hand() -> None:
            for body in waiting:
                async with session.post(f"{api}{path}", data=body) as answer:
                    if answer.status != 202:
                        raise RuntimeError(f"{answer.status}: {await answer.text()}")

        loop = asyncio.get_running_loop()
        began = loop.time()
        await asyncio.gather(*(hand() for _ in range(CONNECTIONS)))
        return loop.time() - began


def _message(url: str, name: str, due: datetime | None) -> dict[str, Any]:
    when = {} if due is None else {"send_at": due.isoformat()}
    return {"subject": name, "body": "We are live.", "recipients": [{"channel": "webhook", "address": url}], **when}


def _beside(pending: int) -> str:
    return f", {pending:,} pending" if pending else ""


def next_year_ms() -> int:
    """Return when a message is due that waits."""
    return int((datetime.now(UTC) + NEXT_YEAR).timestamp() * 1000)


def _new_database(kind: str, server: Postgres, folder: Path) -> str:
    return server.new_database() if kind == "postgresql" else f"sqlite:///{folder / 'omnichannel.db'}"


def reachable(folder: Path) -> Path:
    """Make a folder that PostgreSQL's own user gets to, and return it."""
    folder.mkdir(parents=True)
    folder.parent.chmod(0o755)
    return folder
