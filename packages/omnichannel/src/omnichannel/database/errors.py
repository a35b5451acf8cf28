"""What can go wrong with the store.

StoreError
├── DatabaseUnavailable   try again later
├── InvalidDatabaseUrl    a setting is wrong
├── NotFound              the caller asked for what is not there
│   └── MessageNotFound
├── Conflict              what is there does not allow it
│   └── KeyInUse          another request with this idempotency key has not ended yet
├── KeyReused             this idempotency key was used for another request
└── InvalidCursor         the caller made up a cursor
"""

__all__ = [
    "Conflict",
    "DatabaseUnavailable",
    "InvalidCursor",
    "InvalidDatabaseUrl",
    "KeyInUse",
    "KeyReused",
    "MessageNotFound",
    "NotFound",
    "StoreError",
]


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


class NotFound(StoreError):
    """There is no such thing; ``kind`` says in a word or two what was asked for."""

    def __init__(self, kind: str, name: str) -> None:
        super().__init__(kind, name)
        self.kind, self.name = kind, name

    def __str__(self) -> str:
        return f"there is no {self.kind} {self.name}"


class MessageNotFound(NotFound):
    """There is no message with this id."""

    def __init__(self, message_id: str) -> None:
        super().__init__("message", message_id)
        self.args = (message_id,)
        self.message_id = message_id


class Conflict(StoreError):
    """What is there does not allow it; ``reason`` is a sentence without its full stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class KeyInUse(Conflict):
    """Another request with this idempotency key has not ended yet."""

    def __init__(self) -> None:
        super().__init__("another request with this Idempotency-Key is under way; ask again for its answer")
        self.args = ()


class KeyReused(StoreError):
    """This idempotency key was used for a request with another body."""


class InvalidCursor(StoreError):
    """The cursor did not come from an earlier page."""

    def __init__(self, cursor: str) -> None:
        super().__init__(cursor)
        self.cursor = cursor
