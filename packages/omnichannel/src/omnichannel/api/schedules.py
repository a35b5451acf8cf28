"""Recurring messages over HTTP."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any, Final, Self

from fastapi import APIRouter, Query, Response
from pydantic import Field, field_validator, model_validator

from omnichannel.api.composing import Composer, refuse
from omnichannel.api.version1 import V1, refused
from omnichannel.api.wire import ContentIn, Instant, PageQuery, Refusing, Telling, Zone
from omnichannel.database import Database, NotFound
from omnichannel.database.schedules import Schedules
from omnichannel.messages.content import content_of
from omnichannel.messages.ids import is_id
from omnichannel.messages.recurrence import CRON_LENGTH, InvalidRecurrence, Recurrence
from omnichannel.messages.schedules import Misfire, Schedule, ScheduleState

__all__ = ["schedule_routes"]

PREVIEWED: Final = 100


class RecurrenceIn(Refusing):
    """When it recurs."""

    cron: Annotated[
        str,
        Field(
            min_length=1,
            max_length=CRON_LENGTH,
            description="Minute, hour, day, month, weekday.",
            examples=["0 9 * * MON"],
        ),
    ]
    zone: Zone = "UTC"

    @field_validator("cron")
    @classmethod
    def _parses(cls, value: str) -> str:
        try:
            Recurrence(value, "UTC")
        except InvalidRecurrence as exc:
            raise ValueError(exc.reason) from None
        return " ".join(value.split())

    def recurrence(self) -> Recurrence:
        """Return the recurrence that is asked for."""
        return Recurrence(self.cron, self.zone)


class ScheduleIn(RecurrenceIn):
    """A message that recurs."""

    message: ContentIn
    misfire: Annotated[Misfire, Field(description="What happens to times that went by while nobody could send.")] = (
        Misfire.FIRE_ONCE
    )
    misfire_limit: Annotated[int, Field(ge=1, le=100, description="Of `fire_all`: how many, the latest.")] = 10
    starts_at: Instant | None = None
    ends_at: Instant | None = None
    expires_after_s: Annotated[
        float | None,
        Field(gt=0, le=366 * 86_400, description="An occurrence not sent this long after its time is not sent."),
    ] = None

    @model_validator(mode="after")
    def _lasts(self) -> Self:
        if self.starts_at is not None and self.ends_at is not None and self.ends_at <= self.starts_at:
            raise ValueError("ends_at must be after starts_at")
        return self


class ScheduleOut(Telling):
    """A schedule as it stands."""

    id: str
    state: ScheduleState
    cron: str
    zone: str
    misfire: Misfire
    misfire_limit: int
    ends_at: datetime | None
    next_at: Annotated[datetime | None, Field(description="The nominal time of the next occurrence.")]
    created_at: datetime
    message: dict[str, Any]


class SchedulePage(Telling):
    """Some schedules, newest first."""

    items: tuple[ScheduleOut, ...]
    next: str | None


class ScheduleQuery(PageQuery):
    """Which schedules to list."""

    state: ScheduleState | None = None


class OccurrenceOut(Telling):
    """What was decided about one time of a schedule."""

    nominal_at: datetime
    state: Annotated[str, Field(description="`sent`, `skipped` or `failed`.")]
    message_id: str | None
    detail: str | None
    decided_at: datetime


class OccurrencePage(Telling):
    """Some occurrences, newest first."""

    items: tuple[OccurrenceOut, ...]
    next: str | None


class PreviewQuery(Refusing):
    """How many times to show."""

    count: Annotated[int, Field(ge=1, le=PREVIEWED)] = 10


class PreviewIn(RecurrenceIn):
    """A recurrence to be looked at before it is used."""

    count: Annotated[int, Field(ge=1, le=PREVIEWED)] = 10
    after: Annotated[Instant | None, Field(description="Absent: now.")] = None


class Run(Telling):
    """One time, as an instant and on the schedule's clock."""

    at: datetime
    local: str


class PreviewOut(Telling):
    """The next times."""

    items: tuple[Run, ...]


def schedule_routes(v1: V1, database: Database, composer: Composer, *, clock: Callable[[], datetime]) -> APIRouter:
    """Return the routes under ``/schedules``."""
    routes = v1.router("/schedules", tags=["schedules"])
    schedules = Schedules(database)

    @routes.post("", status_code=201, responses=refused(409, 422))
    async def create_schedule(asked: ScheduleIn, response: Response) -> ScheduleOut:
        """Keep a message that recurs. A template is rendered now; an audience is expanded at each occurrence."""
        composed = await composer.judge(asked.message, at=("body", "message"))
        refuse(composed.errors)
        assert composed.message is not None
        content = content_of(
            composed.message,
            audience=asked.message.audience,
            own=composed.own,
            expires_after_s=asked.expires_after_s,
        )
        made = await schedules.create(
            asked.recurrence(),
            content,
            misfire=asked.misfire,
            misfire_limit=asked.misfire_limit,
            starts_at=asked.starts_at,
            ends_at=asked.ends_at,
            now=clock(),
        )
        response.headers["location"] = f"/v1/schedules/{made.id}"
        return _told(made)

    @routes.post("/preview", responses=refused(422))
    async def preview_recurrence(asked: PreviewIn) -> PreviewOut:
        """Show the next times of a recurrence; nothing is kept."""
        return _preview(asked.recurrence(), asked.after or clock(), asked.count)

    @routes.get("", responses=refused(422))
    async def list_schedules(asked: Annotated[ScheduleQuery, Query()]) -> SchedulePage:
        """List schedules, newest first."""
        page = await schedules.list_schedules(state=asked.state, limit=asked.limit, cursor=asked.cursor)
        return SchedulePage(items=tuple(map(_told, page.items)), next=page.next)

    @routes.get("/{schedule_id}", responses=refused(404))
    async def read_schedule(schedule_id: str) -> ScheduleOut:
        """Tell how a schedule stands."""
        return _told(await schedules.find(_known(schedule_id)))

    @routes.delete("/{schedule_id}", responses=refused(404))
    async def end_schedule(schedule_id: str) -> ScheduleOut:
        """End a schedule for good. What it has sent stays, and so do its occurrences."""
        return _told(await schedules.finish(_known(schedule_id)))

    @routes.post("/{schedule_id}/pause", responses=refused(404, 409))
    async def pause_schedule(schedule_id: str) -> ScheduleOut:
        """Let nothing more come of a schedule until it is resumed."""
        return _told(await schedules.pause(_known(schedule_id)))

    @routes.post("/{schedule_id}/resume", responses=refused(404, 409))
    async def resume_schedule(schedule_id: str) -> ScheduleOut:
        """Let a schedule go on. Times that went by meanwhile are misfires."""
        return _told(await schedules.resume(_known(schedule_id)))

    @routes.get("/{schedule_id}/preview", responses=refused(404, 422))
    async def preview_schedule(schedule_id: str, asked: Annotated[PreviewQuery, Query()]) -> PreviewOut:
        """Show the next times of a schedule."""
        found = await schedules.find(_known(schedule_id))
        shown = _preview(found.recurrence, clock(), asked.count)
        ends_at = found.ends_at
        return PreviewOut(items=tuple(run for run in shown.items if ends_at is None or run.at <= ends_at))

    @routes.get("/{schedule_id}/occurrences", responses=refused(404, 422))
    async def list_occurrences(schedule_id: str, asked: Annotated[PageQuery, Query()]) -> OccurrencePage:
        """List what was decided about a schedule's times, newest first."""
        page = await schedules.occurrences(_known(schedule_id), limit=asked.limit, cursor=asked.cursor)
        return OccurrencePage.model_validate(page)

    return routes


def _known(schedule_id: str) -> str:
    if not is_id(schedule_id):
        raise NotFound("schedule", schedule_id)
    return schedule_id


def _told(schedule: Schedule) -> ScheduleOut:
    return ScheduleOut(
        id=schedule.id,
        state=schedule.state,
        cron=schedule.recurrence.cron,
        zone=schedule.recurrence.zone,
        misfire=schedule.misfire,
        misfire_limit=schedule.misfire_limit,
        ends_at=schedule.ends_at,
        next_at=schedule.next_at,
        created_at=schedule.created_at,
        message=schedule.content,
    )


def _preview(recurrence: Recurrence, after: datetime, count: int) -> PreviewOut:
    times = recurrence.next(after, count)
    return PreviewOut(items=tuple(Run(at=each, local=recurrence.local(each)) for each in times))
