"""The platform whose nameserver is looked at."""

from ..tasks.conftest import echo, platform

__all__ = ["echo", "platform"]
