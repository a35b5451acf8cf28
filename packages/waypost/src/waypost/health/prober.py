"""The prober: watches targets on timers, and tells its supervisor the news of them.

Checks of different targets are spread over the interval, so that a restart does not align them. The prober keeps
nothing: after a restart its supervisor says again what to watch, and what is believed.
"""

import asyncio
import random
from collections.abc import Callable

from waypost.health.probe import Probe
from waypost.health.thresholds import Thresholds, Verdict
from waypost.health.wire import News, Unwatch, Watch, decode_order, encode_line

__all__ = ["serve_prober", "watch_target"]


async def serve_prober(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Follow the supervisor's orders until it closes the connection.

    :raises msgspec.ValidationError: it said something that is no order.
    """

    def tell(news: News) -> None:
        writer.write(encode_line(news))

    async with asyncio.TaskGroup() as group:
        watching: dict[int, asyncio.Task[None]] = {}
        while line := await reader.readline():
            order = decode_order(line)
            match order:
                case Watch():
                    watching[order.number] = group.create_task(watch_target(order, tell))
                case Unwatch() if order.number in watching:
                    watching.pop(order.number).cancel()
        for task in watching.values():
            task.cancel()


async def watch_target(watch: Watch, tell: Callable[[News], None]) -> None:
    """Check one target for ever; ``tell`` the news of it."""
    loop = asyncio.get_running_loop()
    interval_s = watch.interval_ms / 1000
    thresholds = Thresholds(watch.rise, watch.fall)
    verdict = Verdict(watch.healthy)
    told = (watch.healthy, "")
    probe = Probe(watch.address, watch.port, watch.path, timeout_s=watch.timeout_ms / 1000)
    try:
        if watch.healthy is not None:
            await asyncio.sleep(interval_s * random.random())  # noqa: S311  spreads load, keeps no secret
        while True:
            began = loop.time()
            result = await probe.check()
            verdict = verdict.after(result.passed, thresholds)
            now = (verdict.healthy, "" if result.passed else result.reason)
            if result.passed is verdict.healthy and now != told:
                told = now
                tell(News(number=watch.number, healthy=verdict.healthy, reason=result.reason))
            await asyncio.sleep(max(0.0, began + interval_s - loop.time()))
    finally:
        probe.close()
