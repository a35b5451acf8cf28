"""``omnichannel send``: a message, now or at a time, with what becomes of it if that is waited for."""

from pathlib import Path
from typing import Annotated, Any, Final

import typer

from omnichannel.cli import content
from omnichannel.cli.ending import ending
from omnichannel.cli.errors import CommandFailed, Misused
from omnichannel.cli.options import Api, KeyFile, Output, OutputOption, StateDir, Timeout, checked
from omnichannel.cli.printing import say, show, show_one
from omnichannel.cli.standing import COLUMNS, row_of

__all__ = ["register"]

REHEARSED: Final = ("channel", "address", "status", "problem", "send_at_local", "text")


def register(app: typer.Typer) -> None:
    """Add it to the command."""
    app.command()(send)


def send(
    text: content.Text = None,
    to: content.To = None,
    file: content.File = None,
    subject: content.Subject = None,
    template: content.Template = None,
    variable: content.Variable = None,
    audience: content.Audience = None,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="When, as 2030-01-01T09:00; unless given, now.")
    ] = None,
    zone: Annotated[
        str | None, typer.Option(metavar="ZONE", help="Whose clock --at and --expires-at mean, as Europe/Madrid.")
    ] = None,
    expires_at: Annotated[str | None, typer.Option(metavar="TIME", help="No attempt starts at or after it.")] = None,
    urgent: content.Urgent = False,
    ordered: content.Ordered = False,
    idempotency_key: Annotated[
        str | None, typer.Option(metavar="KEY", help="Sent again with the same one, it is still one message.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what each would get, and send nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait", help="Return once all have it, or cannot: then 1.")] = False,
    timeout: Timeout = "5m",
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Send a message. Example: omnichannel send "We are live." --to email:ada@example.com --wait

    The text is the argument, a --file, or standard input. Without --subject its first line is the subject.
    """
    from omnichannel.cli.durations import parse_duration
    from omnichannel.cli.publisher import open_publisher
    from omnichannel.cli.times import parse_time

    timeout_s = checked("--timeout", parse_duration, timeout)
    message = content.message(
        text, file, to=to, subject=subject, template=template, variables=variable, audience=audience
    )
    message |= {"urgent": urgent, "ordered": ordered}
    for name, flag, value in (("send_at", "--at", at), ("expires_at", "--expires-at", expires_at)):
        if value is not None:
            message[name] = checked(flag, lambda each: parse_time(each, zone), value)
    headers = {"prefer": "dry-run"} if dry_run else {}
    if idempotency_key is not None:
        headers["idempotency-key"] = idempotency_key
    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        answer = publisher.call("POST", "/messages", body=message, headers=headers)
        if dry_run:
            _show_rehearsal(answer, output)
            return
        if wait:
            from omnichannel.cli.following import follow_to_the_end

            answer = follow_to_the_end(publisher, answer, timeout_s=timeout_s)
        if output in (Output.TABLE, Output.NAME):
            show([row_of(answer)], output, columns=COLUMNS)
        else:
            show_one(answer, output)
        if wait and answer["status"] != "completed":
            raise CommandFailed(
                f"the message {answer['id']} is {answer['status']}: omnichannel deliveries list {answer['id']}"
            )


def _show_rehearsal(answer: dict[str, Any], output: Output) -> None:
    if output in (Output.TABLE, Output.NAME):
        show(answer["deliveries"], output, columns=REHEARSED, name="address")
    else:
        show_one(answer, output)
    for error in answer["errors"]:
        say(f"{error.get('pointer') or error.get('parameter')}: {error['detail']}")
    if not answer["valid"]:
        raise Misused("it would not be taken")
