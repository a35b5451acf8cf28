"""The nameserver's pages for its operators."""

import asyncio
import json
from collections.abc import Callable, Mapping

from waypost.nameserver.counters import Counters, metrics_text
from waypost.nameserver.freshness import Freshness
from waypost.pages import JSON, PROMETHEUS_TEXT, Page

__all__ = ["nameserver_pages"]


def nameserver_pages(counters: Counters, freshness: Callable[[], Freshness]) -> Mapping[str, Callable[[], Page]]:
    """Return ``/health``, 503 while the answers have expired, and ``/metrics``."""

    def metrics() -> Page:
        now_ms = int(asyncio.get_running_loop().time() * 1000)
        return "200 OK", PROMETHEUS_TEXT, metrics_text(counters, now_ms=now_ms)

    def health() -> Page:
        worth = freshness()
        status = "503 Service Unavailable" if worth is Freshness.EXPIRED else "200 OK"
        return status, JSON, json.dumps({"status": worth.value}).encode()

    return {"/health": health, "/metrics": metrics}
