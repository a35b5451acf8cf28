"""The balancer process. Started by ``waypost up``, with its sockets and settings in the environment."""

import asyncio
import os
import resource
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from math import inf
from typing import Final

from waypost.balancer.access_log import AccessLog
from waypost.balancer.admin import admin_pages
from waypost.balancer.checks import CheckPolicy, Checks, Standing
from waypost.balancer.forwarding import Forwarder
from waypost.balancer.headers import Forwarding
from waypost.balancer.limits import Limits
from waypost.balancer.metrics import Metrics
from waypost.balancer.server import CONNECTIONS, serve
from waypost.balancer.settings import BalancerSettings, SettingInvalid
from waypost.balancer.targets import CloudMapSource, SourceUnavailable, Targets, follow
from waypost.balancer.upstream import Upstream
from waypost.cloudmap import open_cloudmap
from waypost.component import open_tracing, run_component, say_ready, stop_requested
from waypost.promise import PromiseLog

INTERVAL_S: Final = 0.25  # between two questions to the registry
ANSWER_S: Final = 1.0  # that the registry has to answer
SWEEP_S: Final = 0.5  # between two looks for connections to targets that nobody needs
ADMIN_CONNECTIONS: Final = 64
OWN_DESCRIPTORS: Final = 224  # for the registry, checks, own pages and the log
BAD_USAGE: Final = 2  # exit status


async def balance(settings: BalancerSettings, environment: Mapping[str, str], *, connections: int) -> None:
    """Serve until told to stop, and end what is under way first."""
    stop = stop_requested(environment)
    targets = Targets()
    standing = Standing((settings.checks or CheckPolicy()).fall)
    upstream = Upstream()
    access_log = AccessLog(sys.stderr.buffer) if settings.log_requests else None
    tracing = open_tracing("waypost-balancer", environment)
    metrics = Metrics(
        targets=lambda: len(targets.endpoints),
        told_ago_s=lambda: inf if targets.told_at is None else time.monotonic() - targets.told_at,
        usable=lambda: len(forward.usable_targets),
    )
    forward = Forwarder(
        f"{settings.service}.{settings.namespace}",
        targets,
        upstream,
        forwarding=Forwarding(settings.listener.getsockname()[1], settings.trusted_proxies),
        metrics=metrics,
        promise=PromiseLog.open("balancer", environment),
        standing=standing,
        access_log=access_log,
        tracing=tracing,
    )
    registry = open_cloudmap(settings.registry_url, connect_timeout_s=ANSWER_S, read_timeout_s=ANSWER_S, attempts=1)
    try:
        async with registry as client, asyncio.TaskGroup() as tasks:
            source = CloudMapSource(client, namespace=settings.namespace, service=settings.service)
            with suppress(SourceUnavailable):  # told by follow(); until there is a list the answer is 503
                targets.replace(await source.healthy_endpoints(), now=time.monotonic())
            tasks.create_task(follow(source, targets, interval_s=INTERVAL_S, stop=stop), name="follow the registry")
            tasks.create_task(_sweep(upstream, targets, stop), name="close idle connections")
            if settings.checks is not None:
                checks = Checks(settings.checks, standing, lambda: targets.endpoints)
                tasks.create_task(checks.run(stop), name="check the targets")
            pages = admin_pages(metrics, targets, lambda: forward.usable_targets)
            admin = serve(settings.admin_listener, pages, stop=stop, limits=Limits(), connections=ADMIN_CONNECTIONS)
            tasks.create_task(admin, name="own pages")
            ready = partial(say_ready, environment)
            service = serve(
                settings.listener, forward, stop=stop, limits=settings.limits, connections=connections, ready=ready
            )
            tasks.create_task(service, name="balance")
    finally:
        upstream.close()
        if access_log is not None:
            access_log.flush()
        if tracing is not None:
            await asyncio.to_thread(tracing.close)


async def _sweep(upstream: Upstream, targets: Targets, stop: asyncio.Event) -> None:
    while not stop.is_set():
        upstream.sweep(targets.endpoints)
        with suppress(TimeoutError):
            async with asyncio.timeout(SWEEP_S):
                await stop.wait()


def connections_for(descriptors: int) -> int:
    """Return how many clients fit: each needs a descriptor, and one for its target."""
    return max(1, min(CONNECTIONS, (descriptors - OWN_DESCRIPTORS) // 2))


def main() -> int:
    """Run the process; return its exit status."""
    try:
        settings = BalancerSettings.from_environment(os.environ)
    except SettingInvalid as error:
        print(f"balancer: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return BAD_USAGE
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    run_component(balance(settings, os.environ, connections=connections_for(most)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
