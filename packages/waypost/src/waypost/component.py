"""What every child process of the platform does alike: say that it is ready, and end when its supervisor has.

The supervisor binds every listening socket itself and hands it down, so that a port that is in use is found before
anything starts, and so that what arrives while a child is replaced waits in the socket instead of being refused.
"""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections.abc import Coroutine, Mapping
from typing import Any, Final

from waypost.log_file import open_log
from waypost.structured_log import structlog
from waypost_client.tracing import Tracing, TracingUnavailable

__all__ = ["LIFELINE", "READY", "inherited_socket", "open_tracing", "run_component", "say_ready", "stop_requested"]

READY: Final = "WAYPOST_READY_FD"
"""Write end of a pipe: one line on it says that the child serves."""

LIFELINE: Final = "WAYPOST_LIFELINE_FD"
"""Read end of a pipe that only the supervisor holds open: its end is the supervisor's."""


def inherited_socket(environment: Mapping[str, str], name: str) -> socket.socket:
    """Return the socket whose descriptor the variable ``name`` gives, non-blocking.

    :raises KeyError: the variable is missing: the process was not started by a supervisor.
    """
    inherited = socket.socket(fileno=int(environment[name]))
    inherited.setblocking(False)
    return inherited


def say_ready(environment: Mapping[str, str]) -> None:
    """Tell the supervisor, if there is one, that this process now serves."""
    descriptor = environment.get(READY)
    if descriptor is not None:
        os.write(int(descriptor), b"ready\n")
        os.close(int(descriptor))


def stop_requested(environment: Mapping[str, str]) -> asyncio.Event:
    """Return an event that is set by SIGTERM, SIGINT, or the end of the supervisor. Needs a running loop."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    descriptor = environment.get(LIFELINE)
    if descriptor is not None:
        lifeline = int(descriptor)

        def ended() -> None:
            loop.remove_reader(lifeline)
            stop.set()

        loop.add_reader(lifeline, ended)  # nothing is ever written: readable means that the other end is closed
    return stop


def open_tracing(service: str, environment: Mapping[str, str]) -> Tracing | None:
    """Return what starts spans where the environment asks for them; that it cannot costs a line in the log."""
    try:
        return Tracing.from_environment(service, environment)
    except TracingUnavailable as exc:
        structlog.get_logger().warning("tracing.unavailable", error=str(exc))
        return None


class _Others(logging.Handler):
    """What libraries log in the standard library's way, as lines of our own."""

    def emit(self, record: logging.LogRecord) -> None:
        words, exc_info = record.getMessage(), record.exc_info
        structlog.get_logger().log(record.levelno, "library.said", by=record.name, words=words, exc_info=exc_info)


def run_component(main: Coroutine[Any, Any, None]) -> None:
    """Run a child process's coroutine, on uvloop where it exists, with its log as JSON lines on stderr."""
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(open_log(sys.stderr.fileno())),
        cache_logger_on_first_use=True,
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Others()], force=True)
    try:
        import uvloop
    except ImportError:  # there is none for Windows
        asyncio.run(main)
    else:
        uvloop.run(main)
