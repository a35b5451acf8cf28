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

from waypost.balancer.admin import admin_pages
from waypost.balancer.forwarding import Forwarder, open_upstream
from waypost.balancer.headers import Forwarding
from waypost.balancer.limits import Limits
from waypost.balancer.metrics import Metrics
from waypost.balancer.server import serve
from waypost.balancer.settings import BalancerSettings, SettingInvalid
from waypost.balancer.targets import CloudMapSource, SourceUnavailable, Targets, follow
from waypost.cloudmap import open_cloudmap
from waypost.component import run_component, say_ready, stop_requested
from waypost.promise import PromiseLog

INTERVAL_S: Final = 0.25  # between two questions to the registry
ANSWER_S: Final = 1.0  # that the registry has to answer
BAD_USAGE: Final = 2  # exit status


async def balance(settings: BalancerSettings, environment: Mapping[str, str]) -> None:
    """Serve until told to stop, and end what is under way first."""
    stop = stop_requested(environment)
    targets = Targets()
    metrics = Metrics(
        targets=lambda: len(targets.endpoints),
        told_ago_s=lambda: inf if targets.told_at is None else time.monotonic() - targets.told_at,
    )
    registry = open_cloudmap(settings.registry_url, connect_timeout_s=ANSWER_S, read_timeout_s=ANSWER_S, attempts=1)
    async with registry as client, open_upstream() as upstream:
        source = CloudMapSource(client, namespace=settings.namespace, service=settings.service)
        forward = Forwarder(
            f"{settings.service}.{settings.namespace}",
            targets,
            upstream,
            forwarding=Forwarding(settings.listener.getsockname()[1], settings.trusted_proxies),
            metrics=metrics,
            promise=PromiseLog.open("balancer", environment),
            log_requests=settings.log_requests,
        )
        with suppress(SourceUnavailable):  # told by follow(); until there is a list the answer is 503
            targets.replace(await source.healthy_endpoints(), now=time.monotonic())
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(follow(source, targets, interval_s=INTERVAL_S, stop=stop), name="follow the registry")
            admin = serve(settings.admin_listener, admin_pages(metrics, targets), stop=stop, limits=Limits())
            tasks.create_task(admin, name="own pages")
            ready = partial(say_ready, environment)
            service = serve(settings.listener, forward, stop=stop, limits=settings.limits, ready=ready)
            tasks.create_task(service, name="balance")


def main() -> int:
    """Run the process; return its exit status."""
    try:
        settings = BalancerSettings.from_environment(os.environ)
    except SettingInvalid as error:
        print(f"balancer: {error}", file=sys.stderr)  # noqa: T201 - there is no log yet
        return BAD_USAGE
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))  # a descriptor for each client, and one for its target
    run_component(balance(settings, os.environ))
    return 0


if __name__ == "__main__":
    sys.exit(main())
