"""Why the platform could not do what it was asked to.

::

    PlatformError
    ├── ManifestInvalid     exit 2   a key of the manifest, or a flag, cannot be used
    ├── InUse               exit 5   a port, or the state directory, belongs to somebody else
    ├── StartFailed         exit 1   a task, a job or a part of the platform did not come up
    ├── DeployFailed        exit 1   the new version was rolled back (waypost.tasks.deploys)
    ├── Busy                exit 5   something else is being done with the service (waypost.tasks.deploys)
    ├── NoSuchTask          exit 3   no service, job or task has that name or id (waypost.tasks.supervisor)
    ├── NotRunning          exit 6   no platform answers (waypost.tasks.requests)
    └── NotPossible                  what a running platform has answered, with its exit code (waypost.tasks.requests)

Each is one line: what is wrong, then how to mend it.
"""

__all__ = ["InUse", "ManifestInvalid", "PlatformError", "StartFailed"]


class PlatformError(Exception):
    """What is wrong, how to mend it, and the last lines of the log that shows it, if there is one."""

    exit_code: int = 1

    def __init__(self, problem: str, mend: str, log_tail: str = "") -> None:
        super().__init__(problem, mend, log_tail)
        self.problem, self.mend, self.log_tail = problem, mend, log_tail

    def __str__(self) -> str:
        return f"{self.problem}: {self.mend}"


class ManifestInvalid(PlatformError):
    """A key of the manifest, or a flag, is missing or has a value that cannot be used."""

    exit_code = 2


class InUse(PlatformError):
    """A port or the state directory is held by another process."""

    exit_code = 5


class StartFailed(PlatformError):
    """A task or a part of the platform ended, or stayed unhealthy, before it ever served."""

    exit_code = 1
