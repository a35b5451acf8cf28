from datetime import UTC, datetime, timedelta

import pytest

from omnichannel.database import Database, NotFound
from omnichannel.database.keys import ApiKeys, Scope, api_key

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


async def test_a_key_is_known_by_its_secret_alone(database: Database) -> None:
    keys = ApiKeys(database)
    key, other = await keys.create("ada", now=NOW), await keys.create("bob", now=NOW)
    known = await keys.get(key, now=NOW)
    assert known is not None
    assert known.name == "ada"
    same_id = key[: key.rindex("_") + 1] if key.count("_") == 2 else key[:18]
    for wrong in ("", "omni", same_id, key[:-1], key + "x", key[:18] + other[18:], key.upper()):
        assert await keys.get(wrong, now=NOW) is None, wrong


async def test_a_secret_is_not_kept(database: Database) -> None:
    key = await ApiKeys(database).create("ada", now=NOW)
    async with database.read() as connection:
        row = (await connection.execute(api_key.select())).one()
    assert not any(key[18:] in str(value) for value in row)


async def test_a_key_holds_until_its_end_or_until_it_is_revoked(database: Database) -> None:
    keys = ApiKeys(database)
    short = await keys.create("ada", now=NOW, scopes=[Scope.READ], expires_at=NOW + timedelta(hours=1))
    known = await keys.get(short, now=NOW)
    assert known is not None
    assert (known.allows(Scope.READ), known.allows(Scope.WRITE)) == (True, False)
    assert await keys.get(short, now=NOW + timedelta(hours=1)) is None
    other = await keys.create("bob", now=NOW)
    (bob,) = [each for each in await keys.list() if each.name == "bob"]
    await keys.revoke(bob.id, now=NOW)
    assert await keys.get(other, now=NOW) is None
    with pytest.raises(NotFound):
        await keys.revoke(bob.id, now=NOW)
