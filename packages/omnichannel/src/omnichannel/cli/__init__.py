"""``omnichannel``: the three services, the keys of the API, the database, and a receiver to try webhooks with.

A service runs in the foreground, logs JSON lines to standard error, and ends with exit code 0 on SIGTERM or Ctrl-C.
Other exit codes: 2, a variable of the environment cannot be used; 5, its address cannot be listened on; 1, the rest.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final, NoReturn, TypeVar

import typer

from omnichannel.cli.channels import TestFailed, send_test
from omnichannel.cli.receive import BadAddress
from omnichannel.cli.receive import receive as print_webhooks
from omnichannel.database import DatabaseUnavailable, NotFound
from omnichannel.database.keys import ApiKeys, Scope
from omnichannel.discovery import EndpointsUnknown
from omnichannel.serving.backing import open_database
from omnichannel.serving.logs import configure_log
from omnichannel.serving.server import CannotListen
from omnichannel.settings import Settings, SettingsInvalid
from waypost_client import NameserverUnknown

__all__ = ["app"]

Result = TypeVar("Result")

EXIT_CODES: Final[Mapping[type[Exception], int]] = {
    SettingsInvalid: 2,
    EndpointsUnknown: 2,
    NameserverUnknown: 2,
    CannotListen: 5,
    DatabaseUnavailable: 1,
    NotFound: 1,
    TestFailed: 1,
    BadAddress: 5,
}
"""The refusals that are told in one line instead of a traceback."""

app = typer.Typer(
    help="The Omnichannel Publisher. Settings come from the environment; the README lists them.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
keys = typer.Typer(help="The keys of the API.", no_args_is_help=True)
app.add_typer(keys, name="keys")
db = typer.Typer(help="The database.", no_args_is_help=True)
app.add_typer(db, name="db")
channels = typer.Typer(help="The channels.", no_args_is_help=True)
app.add_typer(channels, name="channels")


@app.command()
def api() -> None:
    """Serve the REST API."""
    from omnichannel.api.service import run  # here, so that the other commands do not load it

    _serve("api", run)


@app.command()
def worker() -> None:
    """Deliver what is due."""
    from omnichannel.worker.service import run

    _serve("worker", run)


@app.command()
def scheduler() -> None:
    """Dispatch what becomes due."""
    from omnichannel.scheduler.service import run

    _serve("scheduler", run)


@app.command()
def receive(
    address: Annotated[str, typer.Argument(help="Where to listen, host:port.")] = "127.0.0.1:9000",
) -> None:
    """Print every webhook that arrives, as one line of JSON."""
    try:
        print_webhooks(address)
    except BadAddress as exc:
        _refuse(exc)
    except KeyboardInterrupt:
        pass


@keys.command()
def create(
    name: Annotated[str, typer.Argument(help="Whose key it is, in your words.")],
    scope: Annotated[
        list[Scope] | None, typer.Option(help="What it allows; may be given several times. Without it: everything.")
    ] = None,
    days: Annotated[float | None, typer.Option(min=0.001, max=36_500, help="How long it holds.")] = None,
) -> None:
    """Make a key and print it. It is shown this once; only a hash of it is kept."""
    now = datetime.now(UTC)
    expires_at = None if days is None else now + timedelta(days=days)
    scopes = tuple(scope or [Scope.ADMIN])
    typer.echo(_on_keys(lambda known: known.create(name, now=now, scopes=scopes, expires_at=expires_at)))


@keys.command("list")
def list_keys() -> None:
    """List the keys, one a line: id, state, scopes, last use, name."""
    now = datetime.now(UTC)
    for key in _on_keys(lambda known: known.list()):
        ended = key.expires_at is not None and key.expires_at <= now
        state = "revoked" if key.revoked_at else "expired" if ended else "holds"
        used = "never used" if key.last_used_at is None else f"used {key.last_used_at:%Y-%m-%d %H:%M}"
        typer.echo(f"{key.id}  {state}  {','.join(sorted(key.scopes))}  {used}  {key.name}")


@keys.command()
def revoke(key_id: Annotated[str, typer.Argument(help="The 12 digits after omni_.")]) -> None:
    """Let a key hold no more, at once."""
    _on_keys(lambda known: known.revoke(key_id, now=datetime.now(UTC)))


@db.command()
def upgrade() -> None:
    """Bring the database that DATABASE_URL names to the newest revision. Any number of processes may do so at once."""
    typer.echo(_run(_upgrade))


async def _upgrade(settings: Settings) -> str:
    database = open_database(settings)
    try:
        await database.migrate()
        return f"the database is at revision {await database.revision()}"
    finally:
        await database.close()


@channels.command("test")
def try_channel(
    name: Annotated[str, typer.Argument(help="The channel, such as email.")],
    to: Annotated[str, typer.Option(help="The address, as in a message's recipient.")],
) -> None:
    """Send one real message and print what the provider answered. Settings are those of the services."""

    async def sent(settings: Settings) -> str:
        database = open_database(settings)
        try:
            await database.migrate()
            return await send_test(settings, database, name=name, to=to)
        finally:
            await database.close()

    typer.echo(_run(sent))


def _on_keys(work: Callable[[ApiKeys], Coroutine[Any, Any, Result]]) -> Result:
    async def opened(settings: Settings) -> Result:
        database = open_database(settings)
        try:
            await database.migrate()
            return await work(ApiKeys(database))
        finally:
            await database.close()

    return _run(opened)


def _serve(name: str, service: Callable[[Settings], Coroutine[Any, Any, None]]) -> None:
    async def logged(settings: Settings) -> None:
        configure_log(service=name, instance=settings.service_instance)
        await service(settings)

    _run(logged)


def _run(work: Callable[[Settings], Coroutine[Any, Any, Result]]) -> Result:
    """Run some work on the settings of the environment. A refusal ends the process with one line that names it."""
    try:
        settings = Settings.from_environment()
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            return runner.run(work(settings))
    except tuple(EXIT_CODES) as exc:
        _refuse(exc)
    except ExceptionGroup as group:
        refusals, others = group.split(tuple(EXIT_CODES))
        if refusals is None or others is not None:
            raise
        _refuse(_first(refusals))


def _first(group: ExceptionGroup[Exception]) -> Exception:
    exc: Exception = group
    while isinstance(exc, ExceptionGroup):
        exc = exc.exceptions[0]
    return exc


def _refuse(exc: Exception) -> NoReturn:
    typer.echo(f"omnichannel: {exc}", err=True)
    raise typer.Exit(EXIT_CODES[type(exc)])


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:  # not made for this system
        return None
    return uvloop.new_event_loop
