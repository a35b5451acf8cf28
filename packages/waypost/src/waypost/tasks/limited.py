"""Sets resource limits, then becomes the task's own program: ``python -IS limited.py LIMITS PROGRAM [ARGUMENT…]``.

A child cannot be limited from outside before it runs, and code between fork and exec is not safe in a program with
threads. So this stands in between: it imports next to nothing, and its process id is the task's. LIMITS is a JSON
object of the manifest's names.
"""

import json
import os
import resource
import sys

RESOURCES = {
    "open_files": resource.RLIMIT_NOFILE,
    "processes": resource.RLIMIT_NPROC,
    "memory_bytes": resource.RLIMIT_AS,
    "file_bytes": resource.RLIMIT_FSIZE,
    "core_bytes": resource.RLIMIT_CORE,
    "cpu_s": resource.RLIMIT_CPU,
}


def main(limits: str, *command: str) -> int:
    """Limit this process and replace it. Returns an exit code only if that cannot be."""
    for name, value in json.loads(limits).items():
        try:
            resource.setrlimit(RESOURCES[name], (value, value))
        except (OSError, ValueError) as exc:
            print(f"limits.{name} = {value} cannot be set: {exc}", file=sys.stderr)  # noqa: T201  into the task's log
            return 126
    try:
        os.execvp(command[0], command)  # noqa: S606  the command is the user's own
    except OSError as exc:
        print(f"{command[0]} cannot be executed: {exc.strerror}", file=sys.stderr)  # noqa: T201  into the task's log
        return 127


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
