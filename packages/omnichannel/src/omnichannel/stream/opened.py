"""The stream that a URL names."""

from contextlib import AbstractAsyncContextManager

from omnichannel.database.engine import Database
from omnichannel.stream.protocol import Stream
from omnichannel.stream.sql import open_sql

__all__ = ["InvalidStreamUrl", "open_stream"]


class InvalidStreamUrl(ValueError):
    """The URL names no stream; ``reason`` says what is wrong with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def open_stream(url: str, database: Database) -> AbstractAsyncContextManager[Stream]:
    """Return the stream that a URL names, to be entered: ``sql:`` or ``kinesis://…``. Raises InvalidStreamUrl."""
    if url.removesuffix("//") == "sql:":
        return open_sql(database)
    if not url.startswith("kinesis:"):
        raise InvalidStreamUrl(f"{url!r} names no stream that there is; set it to sql: or kinesis://NAME")
    from omnichannel.stream.kinesis import KinesisAddress, open_kinesis  # here: the AWS library takes its time to load
    from omnichannel.stream.kinesis.address import InvalidKinesisUrl

    try:
        return open_kinesis(database, KinesisAddress.parse(url))
    except InvalidKinesisUrl as exc:
        raise InvalidStreamUrl(exc.reason) from exc
