import asyncio
import subprocess
import sys
from datetime import UTC, datetime

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

from omnichannel.database import (  # noqa: F401 - some add their tables
    Database,
    DatabaseUnavailable,
    accounts,
    keys,
    quotas,
    resource_tables,
)
from omnichannel.database.audiences import Audiences
from omnichannel.database.engine import NEWEST_REVISION
from omnichannel.database.tables import metadata
from omnichannel.messages.model import Channel, Recipient


async def test_the_migrations_make_the_tables_that_the_statements_use(database: Database) -> None:
    def differences(connection: Connection) -> list[object]:
        found = compare_metadata(MigrationContext.configure(connection), metadata)
        return [each for each in found if "alembic_version" not in repr(each)]

    async with database.read() as connection:
        assert await connection.run_sync(differences) == []


async def test_six_processes_may_migrate_at_once(database_url: str) -> None:
    program = (
        "import asyncio, sys\n"
        "from omnichannel.database import Database\n"
        "async def main():\n"
        "    database = Database.open(sys.argv[1])\n"
        "    await database.migrate()\n"
        "    await database.ping()\n"
        "    await database.close()\n"
        "asyncio.run(main())\n"
    )
    started = [
        await asyncio.create_subprocess_exec(
            sys.executable, "-W", "error", "-c", program, database_url, stderr=subprocess.PIPE
        )
        for _ in range(6)
    ]
    ended = await asyncio.gather(*(process.communicate() for process in started))
    assert [error.decode() for _, error in ended] == [""] * 6
    assert [process.returncode for process in started] == [0] * 6


def test_the_newest_revision_is_the_last_of_the_migrations() -> None:
    config = Config()
    config.set_main_option("script_location", "omnichannel.database:migrations")
    assert ScriptDirectory.from_config(config).get_heads() == [NEWEST_REVISION]


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await database.migrate()
    await database.ping()


async def test_a_database_without_tables_does_not_answer_a_ping(database_url: str) -> None:
    database = Database.open(database_url)
    with pytest.raises(DatabaseUnavailable):
        await database.ping()
    await database.close()


def _move(connection: Connection, revision: str) -> None:
    config = Config()
    config.set_main_option("script_location", "omnichannel.database:migrations")
    config.attributes["connection"] = connection
    (command.downgrade if revision != "heads" else command.upgrade)(config, revision)


async def test_every_revision_can_be_gone_back_and_forward_again(database: Database) -> None:
    async with database.write() as connection:
        await connection.run_sync(_move, "base")
    async with database.write() as connection:
        await connection.run_sync(_move, "heads")
    await database.ping()
    await test_the_migrations_make_the_tables_that_the_statements_use(database)


async def test_audiences_keep_their_members_over_the_revision_that_lets_them_grow(database: Database) -> None:
    async with database.write() as connection:
        await connection.run_sync(_move, "0111")
        await connection.execute(text("INSERT INTO audience (name, created_at) VALUES ('team', 1), ('nobody', 2)"))
        members = "('team', 0, 'webhook', 'ada', 'Europe/Madrid'), ('team', 1, 'email', 'bob', NULL)"
        columns = "audience, position, channel, address, zone"
        await connection.execute(text(f"INSERT INTO audience_member ({columns}) VALUES {members}"))
    async with database.write() as connection:
        await connection.run_sync(_move, "heads")
    audiences = Audiences(database)
    ada = Recipient(Channel.WEBHOOK, "ada", "Europe/Madrid")
    bob = Recipient(Channel.EMAIL, "bob")
    assert (await audiences.members("team", limit=10)).items == (ada, bob)
    assert [each.members for each in await audiences.list()] == [0, 2]
    many = [Recipient(Channel.EMAIL, f"to-{each}") for each in range(1000)]
    await audiences.add("team", many, now=datetime(2030, 1, 1, tzinfo=UTC))
    async with database.write() as connection:
        await connection.run_sync(_move, "0111")
        count = await connection.execute(text("SELECT count(*) FROM audience_member WHERE audience = 'team'"))
        assert count.scalar_one() == 1000
