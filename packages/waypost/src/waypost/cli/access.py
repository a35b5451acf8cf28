"""Where the registry and the nameserver are.

The flag ``--endpoint-url`` comes first, then ``AWS_ENDPOINT_URL_SERVICEDISCOVERY``, then the file, then the platform
that runs on the state directory, then 127.0.0.1:8500. The word ``aws`` means AWS's own Cloud Map.
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from waypost.cli.options import checked
from waypost.settings import ListenAddress

__all__ = ["AWS", "Access", "read_run_file"]

AWS: Final = "aws"
DEFAULT: Final = "http://127.0.0.1:8500"


@dataclass(frozen=True, slots=True)
class Access:
    """Where a command finds the registry and the nameserver."""

    endpoint: str  # a URL, or AWS
    nameserver: str | None  # host:port; None: the system's

    @classmethod
    def find(cls, endpoint_url: str | None, state_dir: Path, *, dns: str | None = None) -> "Access":
        """Return what flags, which know the environment, and the state directory say, in that order.

        :raises typer.BadParameter: what says where the registry is is no address.
        """
        running = read_run_file(state_dir)
        endpoint = endpoint_url
        if not endpoint:
            address = running.get("http_address")
            endpoint = f"http://{_reached(address)}" if address else DEFAULT
        endpoint = checked("--endpoint-url", _parse_endpoint, endpoint)
        nameserver = running.get("dns_address")
        return cls(endpoint.rstrip("/"), dns or (_reached(nameserver) if nameserver else None))

    @property
    def url(self) -> str | None:
        """The registry's address; None: AWS's own Cloud Map."""
        return None if self.endpoint == AWS else self.endpoint


def read_run_file(state_dir: Path) -> dict[str, str]:
    """Return what the running platform says in its state directory, its texts alone; nothing where none runs."""
    try:
        run = json.loads((state_dir / "run.json").read_text())
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in run.items() if isinstance(value, str)} if isinstance(run, dict) else {}


def _parse_endpoint(text: str) -> str:
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port that is none
        usable = False
    if not usable and text != AWS:
        raise ValueError(
            f"{text!r} is no address of a registry: give one such as {DEFAULT}, or {AWS}, "
            "here or in AWS_ENDPOINT_URL_SERVICEDISCOVERY"
        )
    return text


def _reached(address: str) -> str:
    try:
        return str(ListenAddress.parse(address).to_connect)
    except ValueError:
        return address
