"""structlog, as every module here gets it: without Rich, by which it would draw tracebacks for a terminal.

Our logs are lines of JSON. Loading Rich and what that loads takes longer than the rest of structlog, each time anew.
"""

from waypost_client.loading import without

with without("rich", "better_exceptions"):
    import structlog

__all__ = ["structlog"]
