"""Where the registry is, for commands that speak to it and not to the platform."""

import json
from pathlib import Path

__all__ = ["registry_url"]


def registry_url(state_dir: Path) -> str | None:
    """Return the registry of the platform that runs in a state directory; None if none does."""
    try:
        address = json.loads((state_dir / "run.json").read_bytes())["http_address"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return f"http://{address}".replace("//0.0.0.0:", "//127.0.0.1:").replace("//[::]:", "//[::1]:")
