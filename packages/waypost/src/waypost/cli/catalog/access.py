"""Where the registry is, and a client for it.

The flag ``--endpoint-url`` comes first, then ``AWS_ENDPOINT_URL_SERVICEDISCOVERY``, then the platform that runs on the
state directory, then 127.0.0.1:8500. The word ``aws`` means AWS's own Cloud Map.
"""

import json
import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from types_aiobotocore_servicediscovery import ServiceDiscoveryClient

__all__ = ["AWS", "Access"]

AWS: Final = "aws"
DEFAULT: Final = "http://127.0.0.1:8500"


@dataclass(frozen=True, slots=True)
class Access:
    """Where a command finds the registry and the nameserver."""

    endpoint: str  # a URL, or AWS
    nameserver: str | None  # host:port; None: the system's

    @classmethod
    def find(cls, endpoint_url: str | None, state_dir: Path, environment: Mapping[str, str] = os.environ) -> "Access":
        """Return what the flag, the environment and the state directory say, in that order."""
        run = _run_file(state_dir)
        endpoint = endpoint_url or environment.get("AWS_ENDPOINT_URL_SERVICEDISCOVERY")
        address = run.get("http_address")
        if endpoint is None:
            endpoint = f"http://{address}" if address else DEFAULT
        nameserver = environment.get("WAYPOST_DNS") or run.get("dns_address")
        return cls(endpoint.rstrip("/"), nameserver)

    @asynccontextmanager
    async def client(self) -> "AsyncIterator[ServiceDiscoveryClient]":
        """Yield a client. Errors of the SDK inside the block leave it as this package's own."""
        from waypost.cli.catalog.sdk_errors import foreign_errors
        from waypost.cloudmap import open_cloudmap  # the SDK takes its time, and --help should not wait for it
        from waypost.tasks.environment import with_aws_defaults

        if self.endpoint != AWS:  # a registry on loopback asks for no key, but the SDK does
            os.environ.update(with_aws_defaults(os.environ))
        elif "AWS_REGION" in os.environ:  # the name in other SDKs, which botocore does not know
            os.environ.setdefault("AWS_DEFAULT_REGION", os.environ["AWS_REGION"])
        with foreign_errors(self.endpoint):
            async with open_cloudmap(None if self.endpoint == AWS else self.endpoint, attempts=2) as client:
                yield client


def _run_file(state_dir: Path) -> dict[str, str]:
    try:
        run = json.loads((state_dir / "run.json").read_text())
    except (OSError, ValueError):
        return {}
    return {name: value for name, value in run.items() if isinstance(value, str)}
