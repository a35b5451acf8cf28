"""The commands of whoever operates the publisher: its services, its keys, its database, its channels, a receiver.

What is imported here must be quick: ``--help`` waits for it.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from omnichannel.cli.ending import ending, refuse
from omnichannel.cli.errors import Conflict, Misused
from omnichannel.cli.options import Api, KeyFile, Output, OutputOption, StateDir
from omnichannel.cli.printing import show, show_one
from omnichannel.cli.sealing import sealing

if TYPE_CHECKING:
    from omnichannel.database import Database
    from omnichannel.settings import Settings

__all__ = ["register"]

CHANNEL_COLUMNS: Final = ("name", "configured", "healthy", "circuit", "last_error", "proven")

serve = typer.Typer(help="Run one of the services. Example: omnichannel serve api", no_args_is_help=True)
keys = typer.Typer(help="The keys of the API. Example: omnichannel keys list", no_args_is_help=True)
db = typer.Typer(help="The database. Example: omnichannel db upgrade", no_args_is_help=True)
channels = typer.Typer(help="The channels. Example: omnichannel channels list", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add them to the command."""
    for name, service in (("api", api), ("worker", worker), ("scheduler", scheduler)):
        serve.command(name)(service)
        app.command(name)(service)
    app.add_typer(serve, name="serve")
    app.add_typer(keys, name="keys")
    app.add_typer(db, name="db")
    app.add_typer(channels, name="channels")
    app.add_typer(sealing, name="sealing")
    app.command()(receive)


def api() -> None:
    """Serve the REST API. Example: SERVICE_PORT=8000 omnichannel serve api"""
    _serve("api")


def worker() -> None:
    """Deliver what is due. Example: DATABASE_URL=postgresql://db.example/publisher omnichannel serve worker"""
    _serve("worker")


def scheduler() -> None:
    """Dispatch what becomes due. Example: DATABASE_URL=postgresql://db.example/publisher omnichannel serve scheduler"""
    _serve("scheduler")


def _serve(name: str) -> None:
    from waypost_client.loading import uncollected

    with uncollected():
        from omnichannel.cli.services import serving

        run = serving(name)
    run()


def receive(
    address: Annotated[str, typer.Argument(metavar="HOST:PORT", help="Where to listen.")] = "127.0.0.1:9000",
) -> None:
    """Print every webhook that arrives, as one line of JSON. Example: omnichannel receive 127.0.0.1:9000"""
    from omnichannel.cli.receive import BadAddress
    from omnichannel.cli.receive import receive as print_webhooks

    try:
        print_webhooks(address)
    except BadAddress as exc:
        refuse(Conflict(str(exc)))
    except KeyboardInterrupt:
        pass


@keys.command()
def create(
    name: Annotated[str, typer.Argument(metavar="NAME", help="Whose key it is, in your words.")],
    scope: Annotated[
        list[str] | None,
        typer.Option(
            metavar="messages:read|messages:write|content:write|admin",
            help="What it allows; may be given several times. Without it: everything.",
        ),
    ] = None,
    days: Annotated[float | None, typer.Option(min=0.001, max=36_500, help="How long it holds.")] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Make a key and print it. It is shown this once; only a hash of it is kept.

    Example: omnichannel keys create ci --scope messages:write --days 90
    """
    from omnichannel.cli.services import on_database
    from omnichannel.database.keys import ApiKeys, Scope

    now = datetime.now(UTC)
    expires_at = None if days is None else now + timedelta(days=days)
    try:
        scopes = tuple(Scope(each) for each in scope or [Scope.ADMIN])
    except ValueError as exc:
        refuse(Misused(f"{exc}: --scope is one of {', '.join(Scope)}"))

    async def made(_: "Settings", database: "Database") -> str:
        return await ApiKeys(database).create(name, now=now, scopes=scopes, expires_at=expires_at)

    key = on_database(made)
    if output is Output.TABLE:
        typer.echo(key)
    else:
        show_one({"key": key, "name": name, "scopes": sorted(scopes)}, output)


@keys.command("list")
def list_keys(output: OutputOption = Output.TABLE) -> None:
    """List the keys with their state and last use. Example: omnichannel keys list -o json"""
    from omnichannel.cli.services import on_database
    from omnichannel.database.keys import ApiKeys

    now = datetime.now(UTC)

    async def listed(_: "Settings", database: "Database") -> list[dict[str, Any]]:
        return [
            {
                "id": key.id,
                "state": "revoked"
                if key.revoked_at
                else "expired"
                if key.expires_at is not None and key.expires_at <= now
                else "holds",
                "scopes": sorted(key.scopes),
                "last_used_at": None if key.last_used_at is None else key.last_used_at.isoformat(timespec="seconds"),
                "expires_at": None if key.expires_at is None else key.expires_at.isoformat(timespec="seconds"),
                "name": key.name,
            }
            for key in await ApiKeys(database).list()
        ]

    show(on_database(listed), output, columns=("id", "state", "scopes", "last_used_at", "name"))


@keys.command()
def revoke(
    key_id: Annotated[str, typer.Argument(metavar="ID", help="The 12 digits after omni_.")],
    output: OutputOption = Output.TABLE,
) -> None:
    """Let a key hold no more, at once. Example: omnichannel keys revoke 0123456789ab"""
    from omnichannel.cli.services import on_database
    from omnichannel.database.keys import ApiKeys

    async def revoked(_: "Settings", database: "Database") -> None:
        await ApiKeys(database).revoke(key_id, now=datetime.now(UTC))

    on_database(revoked)
    if output is not Output.TABLE:
        show_one({"id": key_id, "state": "revoked"}, output)


@db.command()
def upgrade(output: OutputOption = Output.TABLE) -> None:
    """Bring the database that DATABASE_URL names to the newest revision. Example: omnichannel db upgrade

    Any number of processes may do so at once.
    """
    from omnichannel.cli.services import on_database

    async def revision(_: "Settings", database: "Database") -> str | None:
        return await database.revision()

    found = on_database(revision)
    if output is Output.TABLE:
        typer.echo(f"the database is at revision {found}")
    else:
        show_one({"revision": found}, output)


@channels.command("list")
def list_channels(
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """List the channels, and whether each can be used. Example: omnichannel channels list"""
    from omnichannel.cli.publisher import open_publisher

    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        show(publisher.call("GET", "/channels")["items"], output, columns=CHANNEL_COLUMNS)


@channels.command("test")
def try_channel(
    name: Annotated[str, typer.Argument(metavar="CHANNEL", help="The channel, such as email.")],
    to: Annotated[str, typer.Option(metavar="ADDRESS", help="The address, as in a message's recipient.")],
    account: Annotated[
        str | None, typer.Option(metavar="NAME", help="Which account of the channel; without it: the unnamed.")
    ] = None,
    output: OutputOption = Output.TABLE,
) -> None:
    """Send one real message and print what the provider answered. Settings are those of the services.

    Example: omnichannel channels test email --to ada@example.com
    """
    from omnichannel.cli.channels import send_test
    from omnichannel.cli.services import on_database

    async def sent(settings: "Settings", database: "Database") -> str:
        return await send_test(settings, database, name=name, to=to, account=account)

    answer = on_database(sent)
    if output is Output.TABLE:
        typer.echo(answer)
    else:
        show_one({"channel": name, "account": account, "to": to, "answer": answer}, output)
