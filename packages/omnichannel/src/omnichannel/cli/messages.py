"""``omnichannel messages``, ``deliveries``, ``retry`` and ``cancel``: what there is, how it stands, and another try."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from omnichannel.cli.ending import ending, refuse
from omnichannel.cli.errors import Misused, NotFound
from omnichannel.cli.options import Api, KeyFile, Limit, Output, OutputOption, StateDir
from omnichannel.cli.printing import show, show_one
from omnichannel.cli.standing import COLUMNS, DELIVERY_COLUMNS, row_of

__all__ = ["register"]

MANY: Final = 1_000_000  # deliveries: more than a message can have

messages = typer.Typer(help="The messages. Example: omnichannel messages list", no_args_is_help=True)
deliveries = typer.Typer(help="A message to one address. Example: omnichannel deliveries list", no_args_is_help=True)

MessageId = Annotated[str, typer.Argument(metavar="MESSAGE", help="The id of a message.")]
DeliveryId = Annotated[str, typer.Argument(metavar="DELIVERY", help="The id of a delivery.")]
Channel = Annotated[str | None, typer.Option("--channel", metavar="NAME", help="Of this channel alone.")]
Status = Annotated[str | None, typer.Option("--status", metavar="STATUS", help="Those that stand so.")]


def register(app: typer.Typer) -> None:
    """Add them to the command."""
    app.add_typer(messages, name="messages")
    app.add_typer(deliveries, name="deliveries")
    app.command()(retry)
    app.command()(cancel)


@messages.command("list")
def list_messages(
    status: Status = None,
    channel: Channel = None,
    schedule: Annotated[str | None, typer.Option(metavar="ID", help="That came of this schedule.")] = None,
    limit: Limit = 50,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """List messages, the newest first. Example: omnichannel messages list --status failed"""
    from omnichannel.cli.publisher import open_publisher

    query = {"status": status, "channel": channel, "schedule": schedule}
    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        found = publisher.items("/messages", limit=limit, query=query)
        rows = [row_of(each) for each in found] if output is Output.TABLE else found
        show(rows, output, columns=COLUMNS)


@messages.command("show")
def show_message(
    message: MessageId,
    watch: Annotated[bool, typer.Option("--watch", "-w", help="Go on with what changes, until it has ended.")] = False,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Show a message with its deliveries. Example: omnichannel messages show 0198c5e2-… --watch

    With --watch a terminal shows a live table; elsewhere each delivery that changes is a line, and with --output jsonl
    the whole message.
    """
    if watch and output is Output.JSON:
        refuse(Misused("--watch prints one after another: use --output jsonl"))
    from omnichannel.cli.publisher import open_publisher

    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        if watch:
            from omnichannel.cli.following import watch_message

            watch_message(publisher, message, output)
            return
        found = publisher.call("GET", f"/messages/{_id(message)}")
        if output is Output.TABLE:
            show([row_of(found)], output, columns=COLUMNS)
            show(found["deliveries"], output, columns=DELIVERY_COLUMNS)
        else:
            show_one(found, output)


@deliveries.command("list")
def list_deliveries(
    message: Annotated[
        str | None, typer.Argument(metavar="MESSAGE", help="Those of this message; unless given, of the newest.")
    ] = None,
    status: Status = None,
    channel: Channel = None,
    limit: Limit = 50,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """List deliveries of a message, or of the newest messages. Example: omnichannel deliveries list --status dead

    Without MESSAGE, --limit messages are looked through, of each its first thousand deliveries.
    """
    from omnichannel.cli.publisher import open_publisher

    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        if message is not None:
            path, asked = f"/messages/{_id(message)}/deliveries", {"status": status, "channel": channel}
            found = publisher.items(path, limit=MANY, query=asked)
            rows = [{**delivery, "message_id": message} for delivery in found]
        else:
            found = publisher.items("/messages", limit=limit, query={"channel": channel})
            rows = [
                {**delivery, "message_id": each["id"]}
                for each in found
                for delivery in each["deliveries"]
                if status in (None, delivery["status"]) and channel in (None, delivery["channel"])
            ]
        show(rows, output, columns=DELIVERY_COLUMNS)


@deliveries.command("show")
def show_delivery(
    delivery: DeliveryId,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Show a delivery with each of its attempts. Example: omnichannel deliveries show 0198c5e2-…"""
    from omnichannel.cli.publisher import open_publisher

    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        found = publisher.call("GET", f"/deliveries/{_id(delivery)}")
        if output is Output.TABLE:
            attempts = found.pop("history")
            show_one(found, output)
            show(attempts, output, columns=("number", "worker", "started_at", "ended_at", "outcome", "detail"))
        else:
            show_one(found, output)


@deliveries.command("why")
def why(
    delivery: DeliveryId,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Say why a delivery stands where it does, and what happens next. Example: omnichannel deliveries why 0198c5e2-…"""
    from omnichannel.cli.publisher import open_publisher

    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        show_one(publisher.call("GET", f"/deliveries/{_id(delivery)}/why"), output)


def retry(
    id_: Annotated[str, typer.Argument(metavar="MESSAGE|DELIVERY", help="The id of a message, or of one delivery.")],
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Try again at once what is dead, unknown, or waits for its next attempt. Example: omnichannel retry 0198c5e2-…"""
    from omnichannel.cli.publisher import open_publisher

    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        try:
            retried = publisher.call("POST", f"/messages/{_id(id_)}/retry")["retried"]
        except NotFound:
            publisher.call("POST", f"/deliveries/{_id(id_)}/retry")
            retried = 1
        _show_done({"id": id_, "retried": retried}, output)


def cancel(
    message: MessageId,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Cancel what no worker has begun. Example: omnichannel cancel 0198c5e2-…

    What is under way is finished and not tried again; the counts say what was cancelled, in flight, or had ended.
    """
    from omnichannel.cli.publisher import open_publisher

    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        done = publisher.call("POST", f"/messages/{_id(message)}/cancel")
        counts = {name: done[name] for name in ("cancelled", "in_flight", "ended")}
        _show_done({"id": message, "status": done["message"]["status"], **counts}, output)


def _show_done(row: dict[str, Any], output: Output) -> None:
    if output is Output.TABLE:
        show([row], output, columns=tuple(row))
    else:
        show_one(row, output)


def _id(text: str) -> str:
    from urllib.parse import quote

    return quote(text, safe="")
