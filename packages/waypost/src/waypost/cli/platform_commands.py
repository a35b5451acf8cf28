"""The commands for a running platform: tasks, stop, deploy, scale, restart, job, logs.

Data goes to standard output and everything else to standard error. What is imported here must be quick: `--help` waits
for it.
"""

from pathlib import Path
from typing import Annotated

import typer

from waypost.cli.ending import end
from waypost.cli.options import Output, OutputOption, StateDir

__all__ = ["register"]

COUNT_MOST = 1000


def register(app: typer.Typer) -> None:
    """Add them to the command."""
    for command in (tasks, stop, deploy, scale, restart, job, logs):
        app.command()(command)


def tasks(output: OutputOption = Output.TABLE, state_dir: StateDir = Path("var")) -> None:
    """List the tasks of the running platform. Example: waypost tasks -o json"""
    from waypost.cli.platform_requests import print_tasks

    end(print_tasks(state_dir, output))


def stop(
    target: Annotated[str, typer.Argument(metavar="SERVICE|INSTANCE", help="A service, or the id of one task.")],
    output: OutputOption = Output.TABLE,
    state_dir: StateDir = Path("var"),
) -> None:
    """Drain and stop tasks, and leave their places empty. Example: waypost stop worker

    Returns once their processes are gone.
    """
    from waypost.cli.platform_requests import stop_tasks

    end(stop_tasks(state_dir, target, output))


def deploy(
    services: Annotated[
        list[str] | None, typer.Argument(metavar="SERVICE|JOB...", help="These alone; unless given, everything.")
    ] = None,
    output: OutputOption = Output.TABLE,
    state_dir: StateDir = Path("var"),
) -> None:
    """Bring the changed manifest into force, without a request being lost. Example: waypost deploy worker

    New tasks are started; once they are healthy and answered by DNS, old ones are drained and stopped. A new version
    that does not come up is rolled back. Ctrl-C leaves the deploy to go on.
    """
    from waypost.cli.platform_requests import run_request
    from waypost.tasks.requests import Deploy

    request = Deploy(tuple(services or ()))
    end(run_request(state_dir, request, output))


def scale(
    counts: Annotated[list[str], typer.Argument(metavar="SERVICE=COUNT...", help="How many tasks each shall have.")],
    output: OutputOption = Output.TABLE,
    state_dir: StateDir = Path("var"),
) -> None:
    """Have more or fewer tasks of a service. Example: waypost scale worker=5

    It holds until the platform ends, or the manifest's own count is changed and deployed.
    """
    from waypost.cli.platform_requests import run_request
    from waypost.tasks.requests import Scale

    wanted = dict(_parse_count(each) for each in counts)
    end(run_request(state_dir, Scale(wanted), output))


def restart(
    target: Annotated[str, typer.Argument(metavar="SERVICE|INSTANCE", help="A service, or the id of one task.")],
    output: OutputOption = Output.TABLE,
    state_dir: StateDir = Path("var"),
) -> None:
    """Replace tasks by new ones of the same kind, without a request being lost. Example: waypost restart worker"""
    from waypost.cli.platform_requests import run_request
    from waypost.tasks.requests import Restart

    end(run_request(state_dir, Restart(target), output))


def job(
    name: Annotated[str, typer.Argument(metavar="JOB", help="A job of the manifest.")],
    output: OutputOption = Output.TABLE,
    state_dir: StateDir = Path("var"),
) -> None:
    """Run a job of the manifest once more, and wait for its end. Example: waypost job migrate"""
    from waypost.cli.platform_requests import run_request
    from waypost.tasks.requests import RunJob

    end(run_request(state_dir, RunJob(name), output))


def logs(
    target: Annotated[
        str,
        typer.Argument(
            metavar="SERVICE|INSTANCE|PART",
            help="A service or job, the id of one task, or registry, nameserver, prober, balancer or platform.",
        ),
    ],
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on as more is printed, until Ctrl-C.")] = False,
    tail: Annotated[int, typer.Option(min=0, help="Lines of each task to begin with.")] = 100,
    output: OutputOption = Output.TABLE,
    state_dir: StateDir = Path("var"),
) -> None:
    """Print what tasks have printed, also of one that has ended. Example: waypost logs worker -f"""
    from waypost.cli.logs import print_logs

    end(print_logs(state_dir, target, output, follow=follow, tail=tail))


def _parse_count(text: str) -> tuple[str, int]:
    service, _, count = text.partition("=")
    if not service or not (count.isascii() and count.isdigit()) or int(count) > COUNT_MOST:
        raise typer.BadParameter(f"{text!r} is not SERVICE=COUNT with a count from 0 to {COUNT_MOST}, as in worker=5")
    return service, int(count)
