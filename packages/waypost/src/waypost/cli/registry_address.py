"""Where the registry is, for commands that may speak to AWS's own as well."""

from pathlib import Path

from waypost.cli.catalog.access import AWS, Access

__all__ = ["registry_url"]


def registry_url(endpoint_url: str | None, state_dir: Path) -> str | None:
    """Return where the flag, the environment and the state directory say that it is; None: AWS's own Cloud Map."""
    endpoint = Access.find(endpoint_url, state_dir).endpoint
    return None if endpoint == AWS else endpoint.replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
