"""The supervisor's pages for its operators: ``/health``, and ``/metrics`` in Prometheus's text format."""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Final

from waypost.pages import JSON, PROMETHEUS_TEXT, Page
from waypost.tasks.requests import TaskRow

__all__ = ["platform_metrics", "supervisor_pages"]

HEAD: Final = {
    "waypost_tasks": ("gauge", "Tasks by service and state."),
    "waypost_tasks_wanted": ("gauge", "Tasks that the manifest or scale asks for."),
    "waypost_task_starts_total": ("counter", "Tasks started, the first ones among them."),
    "waypost_part_up": ("gauge", "1 while this part of the platform runs, 0 while it is started anew."),
}


def supervisor_pages(
    tasks: Callable[[], Iterable[TaskRow]],
    wanted: Callable[[], Mapping[str, int]],
    starts: Callable[[], Mapping[str, int]],
    parts: Callable[[], Mapping[str, int | None]],
) -> Mapping[str, Callable[[], Page]]:
    """Return the pages of a platform.

    :param wanted: counts by service.
    :param starts: tasks started so far, by service.
    :param parts: process ids by part; None: it is being started anew.
    """

    def metrics() -> Page:
        return "200 OK", PROMETHEUS_TEXT, platform_metrics(tasks(), wanted(), starts(), parts()).encode()

    return {"/health": lambda: ("200 OK", JSON, b'{"status": "ok"}'), "/metrics": metrics}


def platform_metrics(
    tasks: Iterable[TaskRow],
    wanted: Mapping[str, int],
    starts: Mapping[str, int],
    parts: Mapping[str, int | None],
) -> str:
    """Return the page. Labels are names of the manifest, states, and parts: there are as many as it says."""
    states = Counter((task.service, task.state.replace(" ", "_")) for task in tasks)
    samples = {
        "waypost_tasks": {f'service="{service}",state="{state}"': count for (service, state), count in states.items()},
        "waypost_tasks_wanted": {f'service="{service}"': count for service, count in wanted.items()},
        "waypost_task_starts_total": {f'service="{service}"': count for service, count in starts.items()},
        "waypost_part_up": {f'part="{part}"': int(pid is not None) for part, pid in parts.items()},
    }
    lines: list[str] = []
    for name, (kind, tells) in HEAD.items():
        lines += (f"# HELP {name} {tells}", f"# TYPE {name} {kind}")
        lines += (f"{name}{{{labels}}} {value}" for labels, value in sorted(samples[name].items()))
    return "\n".join(lines) + "\n"
