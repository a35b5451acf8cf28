"""The log of a supervisor: JSON lines in a file of its own."""

from pathlib import Path

from waypost.log_file import open_log
from waypost.structured_log import structlog

__all__ = ["log_to"]


def log_to(path: Path) -> None:
    """Write the supervisor's own log as JSON lines beside those of its parts: the terminal is for people."""
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        logger_factory=structlog.WriteLoggerFactory(open_log(str(path))),
    )
