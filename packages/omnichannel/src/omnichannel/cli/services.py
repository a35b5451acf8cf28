"""What runs on the settings of the environment: the three services, and work on their database.

A service runs in the foreground, logs JSON lines to standard error, and ends with exit code 0 on SIGTERM or Ctrl-C.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Final, TypeVar

from omnichannel.calls import EndpointsUnknown
from omnichannel.cli.ending import refuse
from omnichannel.cli.errors import CommandFailed, Conflict, Misused, NotFound, TestFailed, Unavailable
from omnichannel.cli.progress import spinning
from omnichannel.database import Database, DatabaseUnavailable
from omnichannel.database import NotFound as NotKept
from omnichannel.database.sealing import SealingFailed
from omnichannel.serving.backing import open_database
from omnichannel.serving.logs import configure_log
from omnichannel.serving.server import CannotListen
from omnichannel.settings import Settings, SettingsInvalid
from waypost_client import NameserverUnknown

__all__ = ["on_database", "on_settings", "serving"]

Result = TypeVar("Result")

MEANINGS: Final[Mapping[type[Exception], type[CommandFailed]]] = {
    SettingsInvalid: Misused,
    EndpointsUnknown: Misused,
    NameserverUnknown: Misused,
    CannotListen: Conflict,
    DatabaseUnavailable: Unavailable,
    NotKept: NotFound,
    SealingFailed: Misused,
    TestFailed: CommandFailed,
}
"""The refusals that are told in one line instead of a traceback, as those of the commands."""


def serving(name: str) -> Callable[[], None]:
    """Load a service, api, worker or scheduler, and return what runs it to its end."""
    run = _service(name)

    async def logged(settings: Settings) -> None:
        configure_log(service=name, instance=settings.service_instance)
        await run(settings)

    return lambda: on_settings(logged)


def on_database(work: Callable[[Settings, Database], Coroutine[Any, Any, Result]]) -> Result:
    """Do some work on the database, which is brought up to date first."""

    async def opened(settings: Settings) -> Result:
        database = open_database(settings)
        try:
            await database.migrate()
            return await work(settings, database)
        finally:
            await database.close()

    with spinning("working on the database"):
        return on_settings(opened)


def _service(name: str) -> Callable[[Settings], Coroutine[Any, Any, None]]:
    match name:  # one alone is loaded
        case "api":
            from omnichannel.api.service import run
        case "worker":
            from omnichannel.worker.service import run
        case _:
            from omnichannel.scheduler.service import run
    return run


def on_settings(work: Callable[[Settings], Coroutine[Any, Any, Result]]) -> Result:
    """Run some work on the settings of the environment. A refusal ends the process with one line that names it."""
    try:
        settings = Settings.from_environment()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work(settings))
    except tuple(MEANINGS) as exc:
        refuse(_meaning(exc))
    except ExceptionGroup as group:
        refusals, others = group.split(tuple(MEANINGS))
        if refusals is None or others is not None:
            raise
        refuse(_meaning(_first(refusals)))


def _meaning(exc: Exception) -> CommandFailed:
    if isinstance(exc, DatabaseUnavailable):
        return Unavailable(f"the database that DATABASE_URL names is out of reach: {exc}")
    return next(meant(str(exc)) for kind, meant in MEANINGS.items() if isinstance(exc, kind))


def _first(group: ExceptionGroup[Exception]) -> Exception:
    exc: Exception = group
    while isinstance(exc, ExceptionGroup):
        exc = exc.exceptions[0]
    return exc


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not made for this system
        return None
    return uvloop.new_event_loop
