from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from omnichannel.database import Database


@pytest.fixture
async def database(tmp_path: Path) -> AsyncIterator[Database]:
    """An open database with its tables. The store's own tests show that the databases behave alike."""
    database = Database.open(f"sqlite:///{tmp_path / 'api.db'}")
    await database.migrate()
    yield database
    await database.close()
