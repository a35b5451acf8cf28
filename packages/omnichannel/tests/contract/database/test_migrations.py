import asyncio
import subprocess
import sys

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import Connection

from omnichannel.database import (  # noqa: F401 - some add their tables
    Database,
    DatabaseUnavailable,
    accounts,
    keys,
    quotas,
    resource_tables,
)
from omnichannel.database.tables import metadata


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


async def test_migrating_again_changes_nothing(database: Database) -> None:
    await database.migrate()
    await database.ping()


async def test_a_database_without_tables_does_not_answer_a_ping(database_url: str) -> None:
    database = Database.open(database_url)
    with pytest.raises(DatabaseUnavailable):
        await database.ping()
    await database.close()
