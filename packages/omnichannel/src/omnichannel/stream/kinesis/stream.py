"""The stream behind ``STREAM_URL=kinesis://…``: a writer, a relay from the outbox, and a member for each group."""

import asyncio
import json
import os
import socket
import time
from asyncio import Event, Task, TaskGroup
from collections.abc import AsyncIterator, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from datetime import datetime
from secrets import token_hex
from typing import Any, Final

from aiobotocore.session import get_session

from omnichannel.database.engine import Database
from omnichannel.database.errors import DatabaseUnavailable
from omnichannel.database.rows import to_ms
from omnichannel.stream.kinesis.address import KinesisAddress
from omnichannel.stream.kinesis.calls import CALL_CONFIG, NoSuchShard, UnusablePosition, kinesis_errors
from omnichannel.stream.kinesis.group import Group
from omnichannel.stream.kinesis.hint_events import Hint
from omnichannel.stream.kinesis.relay import Relay
from omnichannel.stream.kinesis.writer import Writer
from omnichannel.stream.protocol import Hints, Position, StreamUnavailable

__all__ = ["KinesisStream", "open_kinesis"]

PING_FRESH_S: Final = 2.0  # DescribeStreamSummary allows 20 calls a second and account, for every process together
CLOSE_TIMEOUT_S: Final = 5.0
REGION: Final = "us-east-1"  # where nothing names one: emulators do not care


class KinesisStream:
    """Hints on Kinesis. Made by ``open_kinesis``, which ends what runs in the background."""

    def __init__(self, database: Database, client: Any, address: KinesisAddress, *, tasks: TaskGroup) -> None:
        self._database, self._client, self._address, self._tasks = database, client, address, tasks
        self._writer = Writer(client, address.stream)
        self._member = f"{socket.gethostname()}-{os.getpid()}-{token_hex(4)}"
        self._groups: dict[str, Group] = {}
        self._background: list[Task[None]] = []
        self._stop = Event()
        self._answered_at = float("-inf")

    async def start(self) -> None:
        """Begin to carry what is in the outbox."""
        self._begin(Relay(self._database, self._writer).run(self._stop), name="relay")

    async def ping(self) -> None:
        """Return when the stream is there and its groups can be served."""
        if time.monotonic() - self._answered_at >= PING_FRESH_S:
            try:
                with kinesis_errors():
                    await self._client.describe_stream_summary(**self._address.stream)
            except (NoSuchShard, UnusablePosition) as exc:
                raise StreamUnavailable(f"there is no stream {self._address.name}: {exc}") from exc
            self._answered_at = time.monotonic()
        for group in self._groups.values():
            if group.trouble is not None:
                raise StreamUnavailable(group.trouble)

    async def ring(self, ids: Sequence[str], *, now: datetime) -> None:
        """Put a record for each id on the stream."""
        left = await self._writer.write([Hint(each, to_ms(now)) for each in ids])
        if left:
            raise StreamUnavailable(f"{len(left)} of {len(ids)} records were not taken")

    async def hints(self, group: str, *, limit: int) -> Hints:
        """Return ids of the shards that this process has by now. The first call for a group joins it."""
        heard, marks = self._group(group).heard(limit)
        return Hints(heard, Position(group, json.dumps(marks)))

    async def commit(self, position: Position) -> None:
        """Move the checkpoints of the shards that are still this process's."""
        marks = {shard: (int(epoch), int(number)) for shard, (epoch, number) in json.loads(position.token).items()}
        with _unavailable():
            await self._group(position.group).commit(marks)

    def shards(self, group: str) -> frozenset[str]:
        """Return the shards that this process reads for a group."""
        return self._group(group).shards

    async def close(self) -> None:
        """End the background: what was taken from the outbox is carried, and the shards are left to others.

        What takes too long is cut off: the sweep rings again for such hints, and such leases lapse.
        """
        self._stop.set()
        if self._background:
            await asyncio.wait(self._background, timeout=CLOSE_TIMEOUT_S)
        for task in self._background:
            task.cancel()

    def _group(self, name: str) -> Group:
        group = self._groups.get(name)
        if group is None:
            group = self._groups[name] = Group(
                self._database, self._client, self._address, group=name, member=self._member
            )
            self._begin(group.run(self._stop), name=f"group {name}")
        return group

    def _begin(self, work: Coroutine[Any, Any, None], *, name: str) -> None:
        self._background.append(self._tasks.create_task(work, name=name))


@asynccontextmanager
async def open_kinesis(database: Database, address: KinesisAddress) -> AsyncIterator[KinesisStream]:
    """Yield the stream at an address. Credentials come from the environment, as in every AWS SDK."""
    region = address.region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or REGION
    client = get_session().create_client(
        "kinesis", region_name=region, endpoint_url=address.endpoint_url, config=CALL_CONFIG
    )
    async with client as kinesis, TaskGroup() as tasks:
        stream = KinesisStream(database, kinesis, address, tasks=tasks)
        try:
            yield stream
        finally:
            await stream.close()


@contextmanager
def _unavailable() -> Iterator[None]:
    try:
        yield
    except DatabaseUnavailable as error:
        raise StreamUnavailable(error.reason) from error
