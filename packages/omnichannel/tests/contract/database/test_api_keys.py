from datetime import UTC, datetime

from omnichannel.database import Database
from omnichannel.database.keys import ApiKeys, api_key

NOW = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


async def test_a_key_is_known_by_its_secret_alone(database: Database) -> None:
    keys = ApiKeys(database)
    key, other = await keys.create("ada", now=NOW), await keys.create("bob", now=NOW)
    known = await keys.get(key)
    assert known is not None
    assert known.name == "ada"
    same_id = key[: key.rindex("_") + 1] if key.count("_") == 2 else key[:18]
    for wrong in ("", "omni", same_id, key[:-1], key + "x", key[:18] + other[18:], key.upper()):
        assert await keys.get(wrong) is None, wrong


async def test_a_secret_is_not_kept(database: Database) -> None:
    key = await ApiKeys(database).create("ada", now=NOW)
    async with database.read() as connection:
        row = (await connection.execute(api_key.select())).one()
    assert not any(key[18:] in str(value) for value in row)
