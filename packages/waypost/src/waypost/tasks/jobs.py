"""One run of a job: a command that is started, and waited for to its end."""

import asyncio
from typing import Final

from waypost.structured_log import structlog
from waypost.tasks.errors import StartFailed
from waypost.tasks.first import first_of
from waypost.tasks.log_tail import read_tail
from waypost.tasks.manifest import JobSpec
from waypost.tasks.process import Process, describe_exit
from waypost.tasks.roster import Roster
from waypost.tasks.state_file import SavedTasks

__all__ = ["JobFailed", "end_left_jobs", "run_job"]

log = structlog.get_logger()

GRACE_S: Final = 5.0  # from SIGTERM to SIGKILL, for one that is out of time, or whose platform ends


class JobFailed(StartFailed):
    """A job did not end with code 0."""


async def run_job(roster: Roster, spec: JobSpec) -> str:
    """Run a job to its end; return its id. Cancelled, it ends the job first.

    :raises JobFailed: it ended in another way than with code 0, or not in time.
    :raises ManifestInvalid: a secret of it cannot be read.
    """
    try:
        job, process = roster.start_job(spec)
    except OSError as exc:
        raise JobFailed(f"the job {spec.name} cannot be executed ({exc.strerror})", "see its command") from exc
    log.info("job.started", job=spec.name, id=job, pid=process.pid)
    try:
        await first_of(process.exited, timeout_s=spec.timeout_s)
        in_time = process.exited.is_set()
    finally:
        if not process.exited.is_set():
            await process.end(grace_s=GRACE_S, hurry=roster.facilities.end_graces)
        process.kill()  # children that it left behind
        roster.retire_job(job)
    how = describe_exit(process.exit_code) if in_time else f"was not done within {spec.timeout_s:g} s"
    log.info("job.ended", job=spec.name, id=job, how=how)
    if process.exit_code != 0 or not in_time:
        path = roster.logs.of_task(spec.name, job)
        raise JobFailed(f"the job {spec.name} failed: {how}", f"see its log {path}", read_tail(path))
    return job


async def end_left_jobs(saved: SavedTasks) -> None:
    """End what a killed platform's jobs have left running: each is run anew, and never twice at a time."""
    for each in saved.jobs:
        process = Process.adopt(each.identity)
        if process is not None:
            log.info("job.left_behind", job=each.name, id=each.job, pid=each.pid)
            await process.end(grace_s=GRACE_S, hurry=asyncio.Event())
