"""What only Kinesis has: faults, shards that end, leases that move. On both emulators, behind the fault proxy."""

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator, Callable
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import select

from omnichannel.database import Store
from omnichannel.database.doorbell import ring
from omnichannel.database.stream_tables import stream_parked, stream_shard
from omnichannel.messages.ids import new_id
from omnichannel.messages.model import Channel, NewMessage, Recipient, Trace
from omnichannel.serving.metrics import REGISTRY
from omnichannel.stream.kinesis import KinesisStream
from omnichannel.stream.kinesis.hint_events import Hint, pack
from omnichannel.stream.protocol import StreamUnavailable

from ...emulators import kinesis
from ...emulators.fault_proxy import FaultProxy, refuses, resets_after_acceptance, stalls, takes_a_part
from .conftest import GROUP, NOW, Member, Streams, hear, ids, on_kinesis

_names = count(1)
Proxied = tuple[Streams, FaultProxy]
THROTTLED = "ProvisionedThroughputExceededException"


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():
            await asyncio.sleep(0.01)


def shards_of(member: Member) -> frozenset[str]:
    assert isinstance(member.stream, KinesisStream)
    return member.stream.shards(GROUP)


async def put(streams: Streams, *data: bytes) -> None:
    """Put records on the stream past everything of ours."""

    def call() -> None:
        with kinesis.client(streams.kinesis_url) as client:
            client.put_records(
                StreamName=streams.name, Records=[{"Data": each, "PartitionKey": new_id(NOW)} for each in data]
            )

    await asyncio.to_thread(call)


async def records(streams: Streams) -> list[dict[str, object]]:
    """Return the events that the stream holds, read past everything of ours."""

    def call() -> list[dict[str, object]]:
        with kinesis.client(streams.kinesis_url) as client:
            found = []
            for shard in client.list_shards(StreamName=streams.name)["Shards"]:
                at = client.get_shard_iterator(
                    StreamName=streams.name, ShardId=shard["ShardId"], ShardIteratorType="TRIM_HORIZON"
                )
                found += client.get_records(ShardIterator=at["ShardIterator"])["Records"]
            return [json.loads(each["Data"]) for each in found]

    return await asyncio.to_thread(call)


async def test_a_record_carries_the_trace_that_its_delivery_is_claimed_with(proxied: Proxied) -> None:
    streams, _ = proxied
    member = await streams.open()
    store = Store(member.database)
    trace = Trace("request-1", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01")
    to = (Recipient(Channel.WEBHOOK, "to"),)
    traced = await store.accept(NewMessage(subject="s", body="b", recipients=to, trace=trace), now=NOW)
    plain = await store.accept(NewMessage(subject="s", body="b", recipients=to), now=NOW)
    rung = [each.deliveries[0].id for each in (traced, plain)]
    await hear(member, wanted=rung)
    events = {event["subject"]: (event.get("requestid"), event.get("traceparent")) for event in await records(streams)}
    assert events == {rung[0]: (trace.request_id, trace.traceparent), rung[1]: (None, None)}
    claims = await store.claim(rung, owner="worker", now=NOW)
    assert [each.trace for each in claims] == [trace, Trace()]


async def test_only_the_records_that_failed_are_written_again(proxied: Proxied) -> None:
    streams, proxy = proxied
    member, rung = await streams.open(), ids(10)
    proxy.inject("PutRecords", takes_a_part(lambda place: place in (0, 3, 9)), takes_a_part(lambda place: place == 1))
    await member.stream.ring(rung, now=NOW)
    await hear(member, wanted=rung)
    assert (proxy.records, sorted(member.heard)) == (10 + 3 + 1, sorted(rung))  # none twice


async def test_throttles_and_failures_of_any_call_pass(proxied: Proxied) -> None:
    streams, proxy = proxied
    proxy.inject("ListShards", refuses("LimitExceededException"))
    for operation in ("PutRecords", "GetShardIterator", "GetRecords"):
        proxy.inject(operation, refuses(THROTTLED), refuses("InternalFailure", status=500))
    member, rung = await streams.open(), ids(5)
    await member.stream.ring(rung, now=NOW)
    await hear(member, wanted=rung)
    assert (proxy.pending, sorted(member.heard)) == (0, sorted(rung))


async def test_a_lost_answer_after_acceptance_loses_no_record(proxied: Proxied) -> None:
    streams, proxy = proxied
    member, rung = await streams.open(), ids(5)
    proxy.inject("PutRecords", resets_after_acceptance())
    proxy.inject("GetRecords", resets_after_acceptance(), stalls(0.3), resets_after_acceptance())
    await member.stream.ring(rung, now=NOW)
    await hear(member, wanted=rung)
    assert proxy.records == 10  # written again, for nobody knew
    assert set(member.heard) == set(rung)


async def test_an_expired_iterator_is_opened_again_after_the_last_record_read(proxied: Proxied) -> None:
    streams, proxy = proxied
    member, first, second = await streams.open(), ids(5), ids(5)
    await member.stream.ring(first, now=NOW)
    await until_read(member, 5)
    proxy.inject("GetRecords", refuses("ExpiredIteratorException"))
    await until(lambda: proxy.pending == 0)
    await member.stream.ring(second, now=NOW)
    await hear(member, wanted=first + second)
    assert sorted(member.heard) == sorted(first + second)  # what was read and not committed was not read twice


async def until_read(member: Member, number: int) -> None:
    async with asyncio.timeout(20):
        while len((await member.stream.hints(GROUP, limit=100)).ids) < number:
            await asyncio.sleep(0.01)


async def test_while_the_stream_is_away_what_is_rung_waits_in_the_database(proxied: Proxied) -> None:
    streams, proxy = proxied
    member, rung = await streams.open(), ids(3)
    target, proxy.target = proxy.target, "http://127.0.0.1:9"
    with pytest.raises(StreamUnavailable):
        await member.stream.ping()
    async with member.database.write() as connection:
        await ring(connection, rung, now_ms=1)
    await until(lambda: proxy.calls["PutRecords"] > 1)
    proxy.target = target
    await hear(member, wanted=rung)
    await member.stream.ping()


async def test_a_stream_that_is_not_there_is_unavailable(proxied: Proxied) -> None:
    streams, _ = proxied
    member = await streams.open(url=streams.url.replace(streams.name, "no-such-stream"))
    with pytest.raises(StreamUnavailable, match="no-such-stream"):
        await member.stream.ping()


async def test_a_record_that_holds_no_hint_is_set_aside_and_the_shard_goes_on(proxied: Proxied) -> None:
    streams, _ = proxied
    good, foreign = ids(2), {"specversion": "1.0", "type": "com.example.other", "subject": "1"}
    await put(
        streams, b"\xff\x00 no JSON", pack(Hint(good[0], 1)), json.dumps(foreign).encode(), pack(Hint(good[1], 1))
    )
    member = await streams.open()
    await hear(member, wanted=good)
    async with member.database.read() as connection:
        parked = (await connection.execute(select(stream_parked.c.data, stream_parked.c.reason))).all()
    assert {row.data[:4]: row.reason for row in parked} == {
        b"\xff\x00 n": "not JSON",
        b'{"sp': "no event of the type omnichannel.delivery.due",
    }


async def test_poison_alone_moves_the_checkpoint(proxied: Proxied) -> None:
    streams, _ = proxied
    member = await streams.open()
    await put(streams, b"poison")
    await member.stream.hints(GROUP, limit=1)

    async with asyncio.timeout(20):
        while True:
            async with member.database.read() as connection:
                if any((await connection.execute(select(stream_shard.c.checkpoint))).scalars()):
                    break
            await asyncio.sleep(0.05)


def aggregated(*parts: bytes) -> bytes:
    """Pack records as the producer library does (aggregation-format.md)."""

    def field(number: int, data: bytes) -> bytes:
        return bytes([number << 3 | 2]) + varint(len(data)) + data

    def varint(value: int) -> bytes:
        out = b""
        while value > 0x7F:
            out += bytes([value & 0x7F | 0x80])
            value >>= 7
        return out + bytes([value])

    message = field(1, b"key") + b"".join(field(3, b"\x08\x00" + field(3, part)) for part in parts)
    return b"\xf3\x89\x9a\xc2" + message + hashlib.md5(message).digest()


async def test_an_aggregated_record_is_heard_whole_and_in_parts(proxied: Proxied) -> None:
    streams, _ = proxied
    packed, plain = ids(300), ids(1)
    await put(streams, aggregated(*(pack(Hint(each, 1)) for each in packed)), pack(Hint(plain[0], 1)))
    member = await streams.open()
    await hear(member, wanted=packed[:100], limit=40)
    await member.leave()  # in the middle of the record: its next reader begins with it again
    after = await streams.open()
    await hear(after, wanted=packed + plain, limit=64)
    assert after.heard == packed + plain


@pytest.fixture(params=["kinesalite-postgres", "kinesis_local-sqlite"])
async def sharded(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Streams]:
    """A stream of four shards, on both emulators and with both databases."""
    emulator, _, kind = request.param.partition("-")
    streams = Streams("", f"sqlite:///{tmp_path / 'stream.db'}")
    if kind == "postgres":
        streams.database_url = request.getfixturevalue("postgres_cluster").create_database(f"shards_{next(_names)}")
    await on_kinesis(streams, request.getfixturevalue(emulator), shards=4)
    yield streams
    for member in streams.members:
        await member.leave()


async def test_shards_are_handed_over_until_all_have_their_share(sharded: Streams) -> None:
    first = await sharded.open()
    await until(lambda: len(shards_of(first)) == 4)
    second = await sharded.open()
    await until(lambda: len(shards_of(second)) == 2 and len(shards_of(first)) == 2)
    assert not shards_of(first) & shards_of(second)
    await first.leave()
    await until(lambda: len(shards_of(second)) == 4)


async def test_the_shards_of_a_member_that_renews_no_more_are_taken(sharded: Streams) -> None:
    first = await sharded.open()
    await until(lambda: len(shards_of(first)) == 4)
    assert isinstance(first.stream, KinesisStream)
    for task in first.stream._background:  # as if it were killed: nothing is released
        task.cancel()
    second, rung = await sharded.open(), ids(20)
    await second.stream.ring(rung, now=NOW)
    await hear(second, wanted=rung)
    assert len(shards_of(second)) == 4


async def test_a_split_and_a_merge_lose_nothing_and_parents_come_before_children(sharded: Streams) -> None:
    """Four members listen while a shard is split, two others are merged, and everything is written to meanwhile."""
    members = [await sharded.open() for _ in range(4)]
    rung = ids(900)
    heard_at: dict[str, int] = {}

    async def write(part: list[str]) -> None:
        for start in range(0, len(part), 10):
            await members[start % 4].stream.ring(part[start : start + 10], now=NOW)

    async def listen() -> None:
        async with asyncio.timeout(45):
            while set(rung) - heard_at.keys():
                for member in members:
                    for each in await member.listen(limit=20):
                        heard_at.setdefault(each, len(heard_at))
                await asyncio.sleep(0.002)

    def reshard(which: int) -> None:
        with kinesis.client(sharded.kinesis_url) as client:
            shards = kinesis.open_shards(client, sharded.name)
            if which:
                kinesis.merge(client, sharded.name, shards[-2], shards[-1])
            else:
                kinesis.split(client, sharded.name, shards[0])

    async def run() -> None:
        await write(rung[:300])
        await asyncio.to_thread(reshard, 0)
        await write(rung[300:600])
        await asyncio.to_thread(reshard, 1)
        await write(rung[600:])

    await asyncio.gather(run(), listen())
    where = await asyncio.to_thread(_written, sharded)
    with kinesis.client(sharded.kinesis_url) as client:
        listed = client.list_shards(StreamName=sharded.name)["Shards"]
    children = 0
    for shard in listed:
        for parent in filter(None, (shard.get("ParentShardId"), shard.get("AdjacentParentShardId"))):
            children += 1
            last = max((heard_at[each] for each in where[parent]), default=-1)
            assert all(heard_at[each] > last for each in where[shard["ShardId"]])
    assert children == 4  # two of a split, one of a merge with two parents
    assert len(listed) == 4 + 2 + 1


def _written(streams: Streams) -> dict[str, set[str]]:
    """Return the delivery ids on each shard, read past everything of ours."""
    found: dict[str, set[str]] = {}
    with kinesis.client(streams.kinesis_url) as client:
        for shard in client.list_shards(StreamName=streams.name)["Shards"]:
            name = shard["ShardId"]
            asked = {"StreamName": streams.name, "ShardId": name, "ShardIteratorType": "TRIM_HORIZON"}
            iterator = client.get_shard_iterator(**asked)["ShardIterator"]
            records = client.get_records(ShardIterator=iterator, Limit=10_000)["Records"]
            found[name] = {json.loads(record["Data"])["subject"] for record in records}
    return found


async def test_each_worker_tells_how_far_behind_it_is_on_the_shards_that_it_reads(proxied: Proxied) -> None:
    streams, _ = proxied
    member, rung = await streams.open(), ids(3)
    await member.stream.ring(rung, now=NOW)
    await hear(member, wanted=rung)
    (shard,) = shards_of(member)
    assert REGISTRY.get_sample_value("omnichannel_stream_behind_seconds", {"shard": shard}) == 0
    await member.leave()
    assert REGISTRY.get_sample_value("omnichannel_stream_behind_seconds", {"shard": shard}) is None
