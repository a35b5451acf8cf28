"""``omnichannel schedules``: messages that recur."""

from pathlib import Path
from typing import Annotated, Any, Final
from urllib.parse import quote

import typer

from omnichannel.cli import content
from omnichannel.cli.ending import ending
from omnichannel.cli.options import Api, KeyFile, Limit, Output, OutputOption, StateDir, checked
from omnichannel.cli.printing import show, show_one

__all__ = ["schedules"]

COLUMNS: Final = ("id", "state", "cron", "zone", "next_at", "ends_at", "subject")

schedules = typer.Typer(help="Messages that recur. Example: omnichannel schedules list", no_args_is_help=True)

ScheduleId = Annotated[str, typer.Argument(metavar="SCHEDULE", help="The id of a schedule.")]
Count = Annotated[int, typer.Option("--count", min=1, max=100, help="How many times.")]
Zone = Annotated[str, typer.Option("--zone", metavar="ZONE", help="Whose clock it goes by, as Europe/Madrid.")]


@schedules.command("list")
def list_schedules(
    state: Annotated[str | None, typer.Option(metavar="STATE", help="Those that stand so, as paused.")] = None,
    limit: Limit = 50,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """List schedules, the newest first. Example: omnichannel schedules list"""
    from omnichannel.cli.publisher import open_publisher

    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        found = publisher.items("/schedules", limit=limit, query={"state": state})
        show([_row(each) for each in found] if output is Output.TABLE else found, output, columns=COLUMNS)


@schedules.command("create")
def create(
    cron: Annotated[str, typer.Argument(metavar="CRON", help="Minute, hour, day, month, weekday: '0 9 * * MON'.")],
    text: content.Text = None,
    to: content.To = None,
    zone: Zone = "UTC",
    file: content.File = None,
    subject: content.Subject = None,
    template: content.Template = None,
    variable: content.Variable = None,
    audience: content.Audience = None,
    urgent: content.Urgent = False,
    ordered: content.Ordered = False,
    misfire: Annotated[
        str, typer.Option(metavar="fire_once|fire_all|skip", help="For times that nobody could send at.")
    ] = "fire_once",
    starts_at: Annotated[str | None, typer.Option(metavar="TIME", help="Not before, on the clock of --zone.")] = None,
    ends_at: Annotated[str | None, typer.Option(metavar="TIME", help="Not after, on the clock of --zone.")] = None,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Keep a message that recurs.

    Example: omnichannel schedules create "0 9 * * MON" "Stand-up in ten minutes." --zone Europe/Madrid --to slack:C1
    """
    from omnichannel.cli.publisher import open_publisher
    from omnichannel.cli.times import parse_time

    said = content.message(text, file, to=to, subject=subject, template=template, variables=variable, audience=audience)
    asked: dict[str, Any] = {
        "cron": cron,
        "zone": zone,
        "misfire": misfire,
        "message": {**said, "urgent": urgent, "ordered": ordered},
    }
    for name, flag, value in (("starts_at", "--starts-at", starts_at), ("ends_at", "--ends-at", ends_at)):
        if value is not None:
            asked[name] = checked(flag, lambda each: parse_time(each, zone), value)
    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        _show(publisher.call("POST", "/schedules", body=asked), output)


@schedules.command("show")
def show_schedule(
    schedule: ScheduleId,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Show a schedule. Example: omnichannel schedules show 0198c5e2-…"""
    _call("GET", schedule, "", output, api, state_dir, api_key_file)


@schedules.command("pause")
def pause(
    schedule: ScheduleId,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Let nothing more come of a schedule until it is resumed. Example: omnichannel schedules pause 0198c5e2-…"""
    _call("POST", schedule, "/pause", output, api, state_dir, api_key_file)


@schedules.command("resume")
def resume(
    schedule: ScheduleId,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Let a schedule go on. Example: omnichannel schedules resume 0198c5e2-…"""
    _call("POST", schedule, "/resume", output, api, state_dir, api_key_file)


@schedules.command("delete")
def delete(
    schedule: ScheduleId,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """End a schedule for good; what it sent stays. Example: omnichannel schedules delete 0198c5e2-…"""
    _call("DELETE", schedule, "", output, api, state_dir, api_key_file)


@schedules.command("preview")
def preview(
    schedule: Annotated[
        str, typer.Argument(metavar="SCHEDULE|CRON", help="The id of a schedule, or a recurrence that is not kept.")
    ],
    zone: Zone = "UTC",
    count: Count = 10,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Show the next times of a schedule, or of a recurrence. Example: omnichannel schedules preview "0 9 * * MON"

    --zone is for a recurrence; a schedule has its own.
    """
    from omnichannel.cli.publisher import open_publisher

    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        if " " in schedule.strip():
            asked = {"cron": schedule, "zone": zone, "count": count}
            answer = publisher.call("POST", "/schedules/preview", body=asked)
        else:
            answer = publisher.call("GET", f"{_path(schedule)}/preview", query={"count": count})
        show(answer["items"], output, columns=("at", "local"))


@schedules.command("occurrences")
def occurrences(
    schedule: ScheduleId,
    limit: Limit = 50,
    output: OutputOption = Output.TABLE,
    api: Api = None,
    api_key_file: KeyFile = None,
    state_dir: StateDir = Path("var"),
) -> None:
    """Show what was decided about each time of a schedule. Example: omnichannel schedules occurrences 0198c5e2-…"""
    from omnichannel.cli.publisher import open_publisher

    with ending(), open_publisher(api, state_dir, api_key_file) as publisher:
        found = publisher.items(f"{_path(schedule)}/occurrences", limit=limit)
        show(found, output, columns=("nominal_at", "state", "message_id", "detail"))


def _call(
    method: str, schedule: str, what: str, output: Output, api: str | None, state_dir: Path, key_file: Path | None
) -> None:
    from omnichannel.cli.publisher import open_publisher

    with ending(), open_publisher(api, state_dir, key_file) as publisher:
        _show(publisher.call(method, f"{_path(schedule)}{what}"), output)


def _show(schedule: dict[str, Any], output: Output) -> None:
    if output is Output.TABLE:
        show([_row(schedule)], output, columns=COLUMNS)
    else:
        show_one(schedule, output)


def _row(schedule: dict[str, Any]) -> dict[str, Any]:
    said = schedule["message"]
    return {**schedule, "subject": said.get("subject") or said.get("template")}


def _path(schedule: str) -> str:
    return f"/schedules/{quote(schedule, safe='')}"
