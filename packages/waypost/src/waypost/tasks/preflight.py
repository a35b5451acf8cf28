"""What is looked at before anything starts, so that the commonest mistakes cost no wait."""

import shutil
import sys
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path

from waypost.tasks.errors import ManifestInvalid, StartFailed
from waypost.tasks.launch import read_secrets
from waypost.tasks.listeners import find_free_port, is_free, is_held_everywhere, port_taken
from waypost.tasks.manifest import Manifest, Program
from waypost_client.endpoint import Endpoint

__all__ = ["choose_task_port", "look_over", "programs"]


def programs() -> Path:
    """Return the folder of the environment that runs this: its programs are found before others."""
    return Path(sys.executable).parent


def look_over(manifest: Manifest, inherited: Mapping[str, str]) -> None:
    """Look for the program, the secrets and the working directory of each service and job.

    :raises StartFailed: a program is not there, or may not be executed.
    :raises ManifestInvalid: a secret cannot be read, or a directory is none.
    """
    search_path = f"{programs()}:{inherited.get('PATH', '')}"
    for table, group in (("jobs", manifest.jobs), ("services", manifest.services)):
        for each in group:
            _find_program(each, manifest.folder, search_path, f"{table}.{each.name}")
            read_secrets(each, manifest.folder)
            folder = manifest.folder / each.working_directory
            if not folder.is_dir():
                raise ManifestInvalid(
                    f"{table}.{each.name}.working_directory: {folder} is no directory", "make it, or name another"
                )


def _find_program(program: Program, folder: Path, search_path: str, key: str) -> None:
    name = program.command[0]
    if shutil.which(str(folder / name) if "/" in name else name, path=search_path) is None:
        raise StartFailed(
            f"{key}.command: the program {name!r} is not found, or may not be executed",
            f"install it into {programs()}, or give its path",
        )


def choose_task_port(port: int, network: IPv4Network) -> int:
    """Return the port that tasks listen on; for 0, one that is free on every address.

    :raises InUse: somebody listens on it on every address.
    """
    if port == 0:
        return find_free_port()
    first = Endpoint(str(network[1 if network.num_addresses > 1 else 0]), port)
    if is_held_everywhere(port) and not is_free(first):
        raise port_taken(first)
    return port
