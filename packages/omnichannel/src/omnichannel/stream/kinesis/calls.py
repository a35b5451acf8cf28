"""Calls of the Kinesis API: which failures may pass, and how long to wait before the next try."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random
from typing import Final

from aiobotocore.config import AioConfig
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError
from botocore.parsers import ResponseParserError

from omnichannel.stream.protocol import StreamUnavailable

__all__ = ["CALL_CONFIG", "Backoff", "ExpiredIterator", "NoSuchShard", "UnusablePosition", "kinesis_errors"]

CALL_CONFIG: Final = AioConfig(
    connect_timeout=3, read_timeout=10, max_pool_connections=64, retries={"mode": "standard", "total_max_attempts": 1}
)
"""No tries inside the library: each caller here knows better what it may repeat."""


class ExpiredIterator(Exception):
    """The iterator is older than five minutes: open another after the last record that was read."""


class UnusablePosition(Exception):
    """The stream cannot start there: it was made anew, or the record is past its retention."""


class NoSuchShard(Exception):
    """The stream or the shard is not there any more."""


@contextmanager
def kinesis_errors() -> Iterator[None]:
    """Let the library's errors out as ours.

    :raises ExpiredIterator, UnusablePosition, NoSuchShard: as told.
    :raises StreamUnavailable: anything else, such as throttling: try again later.
    """
    try:
        yield
    except ClientError as exc:
        error = exc.response.get("Error", {})
        code, words = str(error.get("Code", "")), str(error.get("Message", ""))
        match code:
            case "ExpiredIteratorException":
                raise ExpiredIterator(words) from exc
            case "InvalidArgumentException":
                raise UnusablePosition(words) from exc
            case "ResourceNotFoundException":
                raise NoSuchShard(words) from exc
        raise StreamUnavailable(f"Kinesis answered {code or 'an error'}: {words[:200]}") from exc
    except (BotoCoreError, ResponseParserError, HttpError, OSError, TimeoutError) as exc:
        raise StreamUnavailable(f"Kinesis cannot be reached: {str(exc)[:200] or type(exc).__name__}") from exc


class Backoff:
    """Waits that double, with full jitter, until something works again."""

    def __init__(self, *, base_s: float = 0.1, cap_s: float = 5.0, random: Random | None = None) -> None:
        self._base_s, self._cap_s = base_s, cap_s
        self._random = random or Random()  # noqa: S311 - spreads retries in time, guards nothing
        self._failures = 0

    def worked(self) -> None:
        """Start again with the shortest wait."""
        self._failures = 0

    async def wait(self) -> None:
        """Wait after a failure."""
        bound = min(self._cap_s, self._base_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        await asyncio.sleep(self._random.uniform(bound / 2, bound))
