import asyncio
from collections.abc import Sequence

from omnichannel.database import DatabaseUnavailable
from omnichannel.database.group_commit import GroupCommit


class Disk:
    """Doubles numbers, and holds each transaction until it is let go."""

    def __init__(self) -> None:
        self.transactions: list[list[int]] = []
        self.begun = asyncio.Event()
        self.go = asyncio.Event()

    async def write(self, items: Sequence[int]) -> Sequence[int]:
        self.transactions.append(list(items))
        self.begun.set()
        await self.go.wait()
        if 13 in items:
            raise ValueError("13")
        if 503 in items:
            raise DatabaseUnavailable("away")
        return [2 * item for item in items]


async def submit_all(commit: GroupCommit[int, int], items: Sequence[int]) -> list[asyncio.Task[int]]:
    tasks = [asyncio.create_task(commit.submit(item)) for item in items]
    await asyncio.sleep(0)
    return tasks


async def test_calls_that_wait_together_share_a_transaction_and_keep_their_order() -> None:
    disk = Disk()
    tasks = await submit_all(commit := GroupCommit(disk.write, limit=64), [1])
    await disk.begun.wait()
    tasks += await submit_all(commit, [2, 3, 4])
    disk.go.set()
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8]
    assert disk.transactions == [[1], [2, 3, 4]]


async def test_a_transaction_holds_no_more_than_its_limit() -> None:
    disk = Disk()
    disk.go.set()
    tasks = await submit_all(GroupCommit(disk.write, limit=2), [1, 2, 3, 4, 5])
    assert await asyncio.gather(*tasks) == [2, 4, 6, 8, 10]
    assert [len(each) for each in disk.transactions] == [2, 2, 1]


async def test_an_item_that_cannot_be_written_fails_alone() -> None:
    disk = Disk()
    disk.go.set()
    tasks = await submit_all(GroupCommit(disk.write, limit=64), [1, 13, 2])
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [results[0], results[2]] == [2, 4]
    assert isinstance(results[1], ValueError)


async def test_an_unknown_commit_is_told_to_all_and_not_written_again() -> None:
    disk = Disk()
    disk.go.set()
    tasks = await submit_all(GroupCommit(disk.write, limit=64), [1, 503, 2])
    results = await asyncio.gather(*tasks, return_exceptions=True)
    assert [type(result) for result in results] == [DatabaseUnavailable] * 3
    assert disk.transactions == [[1, 503, 2]]


async def test_a_cancelled_call_leaves_the_others_their_results() -> None:
    disk = Disk()
    tasks = await submit_all(commit := GroupCommit(disk.write, limit=64), [1, 2])
    await disk.begun.wait()
    later = await submit_all(commit, [3, 4])
    tasks[0].cancel()  # its transaction has begun, and is another's too
    later[0].cancel()  # still waits
    await asyncio.sleep(0)
    disk.go.set()
    assert await asyncio.gather(tasks[1], later[1]) == [4, 8]
    assert disk.transactions == [[1, 2], [4]]
    await asyncio.wait([tasks[0], later[0]])
    assert tasks[0].cancelled()
    assert later[0].cancelled()


async def test_transactions_that_are_kept_apart_hold_what_came_between() -> None:
    disk = Disk()
    disk.go.set()
    commit = GroupCommit(disk.write, limit=4, apart_s=3600)
    assert await commit.submit(1) == 2  # the first after a silence does not wait
    tasks = await submit_all(commit, [2, 3])
    await asyncio.sleep(0)
    assert disk.transactions == [[1]]
    tasks += await submit_all(commit, [4, 5])  # as many as a transaction holds: it is written now
    assert await asyncio.gather(*tasks) == [4, 6, 8, 10]
    assert disk.transactions == [[1], [2, 3, 4, 5]]
