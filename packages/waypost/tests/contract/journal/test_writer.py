"""Transactions of the one connection that writes: they take turns, and leave nothing behind that fails."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.exc import OperationalError

from waypost.journal.writer import ThreadWriter


def execute(connection: Connection, statement: str) -> int:
    result = connection.execute(text(statement))
    return int(result.scalar_one()) if result.returns_rows else 0


@pytest.fixture
async def writer(tmp_path: Path):  # type: ignore[no-untyped-def]
    writer = ThreadWriter(create_engine(f"sqlite:///{tmp_path / 'test.db'}", connect_args={"timeout": 0.1}))
    async with writer.begin() as transaction:
        await transaction.run(execute, "CREATE TABLE kept (number INTEGER)")
    yield writer
    await writer.dispose()


async def test_transactions_that_begin_together_take_turns(writer: ThreadWriter) -> None:
    async def write(number: int) -> None:
        async with writer.begin() as transaction:
            await transaction.run(execute, f"INSERT INTO kept VALUES ({number})")
            await asyncio.sleep(0)  # others come in between
            await transaction.run(execute, f"INSERT INTO kept VALUES ({number})")

    await asyncio.gather(*(write(number) for number in range(50)))
    async with writer.begin() as transaction:
        assert await transaction.run(execute, "SELECT count(*) FROM kept") == 100


async def fail_after(writer: ThreadWriter, statement: str) -> None:
    async with writer.begin() as transaction:
        await transaction.run(execute, statement)
        raise RuntimeError


async def hang_after(writer: ThreadWriter, statement: str) -> None:
    async with asyncio.timeout(0.01), writer.begin() as transaction:
        await transaction.run(execute, statement)
        await asyncio.Event().wait()


async def test_what_fails_or_is_cancelled_leaves_nothing(writer: ThreadWriter) -> None:
    with pytest.raises(RuntimeError):
        await fail_after(writer, "INSERT INTO kept VALUES (1)")
    with pytest.raises(TimeoutError):
        await hang_after(writer, "INSERT INTO kept VALUES (2)")
    async with writer.begin() as transaction:
        assert await transaction.run(execute, "SELECT count(*) FROM kept") == 0


async def test_a_transaction_without_work_needs_no_database(writer: ThreadWriter) -> None:
    async with writer.begin():
        pass


def write_twice(connection: Connection, table: str = "kept") -> None:
    execute(connection, "INSERT INTO kept VALUES (1)")
    execute(connection, f"INSERT INTO {table} VALUES (2)")


async def test_work_that_is_a_whole_transaction_is_committed(writer: ThreadWriter) -> None:
    await writer.write(write_twice)
    async with writer.begin() as transaction:
        assert await transaction.run(execute, "SELECT count(*) FROM kept") == 2


async def test_nothing_is_left_of_a_whole_transaction_that_fails(writer: ThreadWriter) -> None:
    with pytest.raises(OperationalError):
        await writer.write(lambda connection: write_twice(connection, "nowhere"))
    async with writer.begin() as transaction:
        assert await transaction.run(execute, "SELECT count(*) FROM kept") == 0
