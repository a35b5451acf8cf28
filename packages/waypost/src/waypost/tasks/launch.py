"""How a process of a service or a job is made: its command, its environment, where it runs and where it prints."""

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from waypost.tasks import limited
from waypost.tasks.errors import ManifestInvalid
from waypost.tasks.manifest import Program

__all__ = ["Launch", "launch_of", "read_secrets"]

SECRET_MOST: Final = 65_536  # octets; the kernel takes 128 KiB for one variable


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """What a process is made of."""

    command: tuple[str, ...]
    environment: dict[str, str]
    folder: Path
    log: Path | None  # None: it prints where the platform prints


def launch_of(program: Program, environment: Mapping[str, str], *, folder: Path, log: Path) -> Launch:
    """Return how a program of a manifest in ``folder`` is launched."""
    first, *rest = program.command
    if "/" in first:
        first = str(folder / first)  # it is the manifest's path, wherever the program runs
    command = (first, *rest)
    limits = program.limits.given
    if limits:
        command = (sys.executable, "-IS", limited.__file__, json.dumps(dict(limits)), *command)
    return Launch(command=command, environment=dict(environment), folder=folder / program.working_directory, log=log)


def read_secrets(program: Program, folder: Path) -> dict[str, str]:
    """Return the variables whose values stand in files; the line end at the end of a file is not part of its value.

    :raises ManifestInvalid: one cannot be read, or cannot be the value of a variable.
    """
    return {name: _read_secret(program.name, name, folder / path) for name, path in program.secrets}


def _read_secret(program: str, name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            content = file.read(SECRET_MOST + 1)
        value = content.decode()
    except (OSError, UnicodeDecodeError) as exc:
        reason = exc.strerror if isinstance(exc, OSError) else "not UTF-8 text"
        raise ManifestInvalid(f"{program}: the secret {name} cannot be read from {path} ({reason})", "mend it") from exc
    if len(content) > SECRET_MOST or "\0" in value:
        mend = f"a secret is text without NUL of at most {SECRET_MOST} octets"
        raise ManifestInvalid(f"{program}: the secret {name} in {path} cannot be a variable", mend)
    return value.removesuffix("\n").removesuffix("\r")
