"""What can go wrong with the store.

StoreError
├── DatabaseUnavailable   try again later
├── InvalidDatabaseUrl    a setting is wrong
├── MessageNotFound       the caller asked for what is not there
└── InvalidCursor         the caller made up a cursor
"""

__all__ = ["DatabaseUnavailable", "InvalidCursor", "InvalidDatabaseUrl", "MessageNotFound", "StoreError"]


class StoreError(Exception):
    """Root of the store's errors."""


class DatabaseUnavailable(StoreError):
    """The database cannot be reached or is busy; whether a write that raised this took place is not known."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class InvalidDatabaseUrl(StoreError):
    """The URL names no database that the publisher can use."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class MessageNotFound(StoreError):
    """There is no message with this id."""

    def __init__(self, message_id: str) -> None:
        super().__init__(message_id)
        self.message_id = message_id


class InvalidCursor(StoreError):
    """The cursor did not come from an earlier page."""

    def __init__(self, cursor: str) -> None:
        super().__init__(cursor)
        self.cursor = cursor
