"""Writing to a stream: PutRecords, within its limits, until every record is in.

An answer of 200 may hold failures of single records, in the order of the request; only those are sent again
(API reference, PutRecords). Their order is lost by that, which a doorbell does not mind.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from omnichannel.stream.kinesis.calls import Backoff, NoSuchShard, UnusablePosition, kinesis_errors
from omnichannel.stream.kinesis.hint_events import Hint, pack
from omnichannel.stream.protocol import StreamUnavailable
from omnichannel.structured_log import structlog

__all__ = ["Writer", "batches"]

RECORDS: Final = 500  # in one call
BYTES: Final = 5 * 1024 * 1024  # in one call, keys included: what every stream takes; newer ones take 10 MiB
TRIES: Final = 6  # then the caller keeps what is left

log = structlog.get_logger()


class Writer:
    """Writes hints to the stream that ``stream`` names, through a client that its owner closes."""

    def __init__(self, client: Any, stream: Mapping[str, str]) -> None:
        self._client, self._stream = client, stream

    async def write(self, hints: Sequence[Hint]) -> tuple[Hint, ...]:
        """Write hints, and return those that the stream would not take in the end: throttled, failed, out of reach.

        When no answer came some of the returned ones may be in the stream all the same: they are heard twice then.
        """
        left: list[Hint] = []
        for batch in batches(hints):
            left.extend(await self._write_batch(batch))
        return tuple(left)

    async def _write_batch(self, batch: Sequence[Hint]) -> Sequence[Hint]:
        backoff = Backoff()
        left = batch
        for number in range(1, TRIES + 1):
            try:
                left = await self._put(left)
                problem = "some records were not taken"
            except StreamUnavailable as exc:
                problem = str(exc)
            if not left:
                break
            log.warning("stream.refused", error=problem, records=len(left), attempt=number)
            if number < TRIES:
                await backoff.wait()
        return left

    async def _put(self, hints: Sequence[Hint]) -> Sequence[Hint]:
        records = [{"Data": pack(hint), "PartitionKey": hint.delivery_id} for hint in hints]
        try:
            with kinesis_errors():
                answer = await self._client.put_records(Records=records, **self._stream)
        except (NoSuchShard, UnusablePosition) as exc:
            raise StreamUnavailable(f"the stream takes nothing: {exc}") from exc
        if not answer.get("FailedRecordCount"):
            return ()
        return [hint for hint, result in zip(hints, answer["Records"], strict=True) if result.get("ErrorCode")]


def batches(hints: Sequence[Hint]) -> Iterator[Sequence[Hint]]:
    """Yield the hints in parts that one call may hold."""
    start, size = 0, 0
    for place, hint in enumerate(hints):
        weight = len(pack(hint)) + len(hint.delivery_id)
        if place - start == RECORDS or size + weight > BYTES:
            yield hints[start:place]
            start, size = place, 0
        size += weight
    if start < len(hints):
        yield hints[start:]
