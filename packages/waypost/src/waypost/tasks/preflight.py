"""What is looked at before anything starts, so that the commonest mistakes cost no wait."""

import shutil
import sys
from collections.abc import Mapping
from ipaddress import IPv4Network
from pathlib import Path

from waypost.tasks.errors import StartFailed
from waypost.tasks.listeners import find_free_port, is_free, is_held_everywhere, port_taken
from waypost.tasks.manifest import Manifest
from waypost_client.endpoint import Endpoint

__all__ = ["choose_task_port", "find_commands", "programs"]


def programs() -> Path:
    """Return the folder of the environment that runs this: its programs are found before others."""
    return Path(sys.executable).parent


def find_commands(manifest: Manifest, inherited: Mapping[str, str]) -> None:
    """Look for each service's program.

    :raises StartFailed: one is not there, or may not be executed.
    """
    search_path = f"{programs()}:{inherited.get('PATH', '')}"
    for spec in manifest.services:
        program = spec.command[0]
        path = str(manifest.folder / program) if "/" in program else program
        if shutil.which(path, path=search_path) is None:
            raise StartFailed(
                f"services.{spec.name}.command: the program {program!r} is not found, or may not be executed",
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
