"""``waypost up`` and ``waypost serve``: a platform, or a registry alone, in the foreground."""

import os
from functools import partial
from pathlib import Path

from waypost.settings import PlatformSettings
from waypost.tasks.environment import with_aws_defaults
from waypost.tasks.manifest import load_manifest
from waypost.tasks.node import run_node
from waypost.tasks.platform import run_platform
from waypost.tasks.report import Report

__all__ = ["run_in_foreground", "serve_in_foreground"]


async def run_in_foreground(manifest: Path, settings: PlatformSettings) -> None:
    """Run a platform to its end. Raises PlatformError."""
    os.environ.update(with_aws_defaults(os.environ))  # the SDK reads region and keys from there
    await run_platform(partial(load_manifest, manifest), settings, inherited=dict(os.environ), report=Report())


async def serve_in_foreground(settings: PlatformSettings) -> None:
    """Run a registry with its nameserver to its end. Raises PlatformError."""
    await run_node(settings, inherited=dict(os.environ), report=Report())
