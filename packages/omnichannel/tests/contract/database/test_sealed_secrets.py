"""No secret is in the database in clear, and keys are replaced while it is in use."""

import io
from datetime import UTC, datetime
from pathlib import Path

import pytest
import structlog
from sqlalchemy import select, update

from omnichannel.channels.credentials import Secret
from omnichannel.database import Database, Store
from omnichannel.database.endpoints import Endpoints
from omnichannel.database.resource_tables import endpoint
from omnichannel.database.sealing import VARIABLE, Seal, SealingFailed, new_key
from omnichannel.messages.model import Channel, NewMessage, Recipient
from omnichannel.messages.outcome import Delivered

NOW = datetime(2030, 1, 1, 9, tzinfo=UTC)
FIRST, SECOND = new_key(), new_key()


def seal(*keys: str) -> Seal:
    return Seal(Secret(VARIABLE, ",".join(keys)))


async def end_one(database: Database) -> None:
    """Let there be events for every endpoint."""
    store = Store(database)
    message = await store.accept(
        NewMessage(subject="s", body="b", recipients=(Recipient(Channel.WEBHOOK, "to"),)), now=NOW
    )
    (claim,) = await store.claim([message.deliveries[0].id], owner="w", now=NOW)
    await store.record(claim, Delivered(), now=NOW)


async def kept(database: Database) -> list[str]:
    async with database.read() as connection:
        rows = (await connection.execute(select(endpoint))).all()
    return [text for row in rows for text in (row.secret, row.previous_secret) if text]


async def test_the_files_of_the_database_and_the_log_hold_no_secret(tmp_path: Path) -> None:
    log = io.StringIO()
    structlog.configure(logger_factory=structlog.PrintLoggerFactory(log))
    database = Database.open(f"sqlite:///{tmp_path / 'sealed.db'}")
    try:
        await database.migrate()
        endpoints = Endpoints(database, seal(FIRST))
        made, secret = await endpoints.add("https://example.com/events", now=NOW)
        later = await endpoints.rotate(made.id, now=NOW)
        await end_one(database)
        events = await endpoints.take(now=NOW, limit=10)
        assert {each.secrets for each in events} == {(later, secret)}
        assert later not in repr(events)
        assert await Endpoints(database, seal(SECOND)).take(now=NOW, limit=10) == ()
    finally:
        await database.close()
        structlog.reset_defaults()
    for file in tmp_path.iterdir():
        content = file.read_bytes()
        for each in (secret, later, FIRST):
            assert each.removeprefix("whsec_").encode() not in content, file.name
            assert each not in log.getvalue()
    assert any(b"sealed:" in file.read_bytes() for file in tmp_path.iterdir())


async def test_a_key_is_replaced_and_what_was_in_clear_is_sealed(database: Database) -> None:
    old = Endpoints(database, seal(FIRST))
    (one, secret), (two, _) = [await old.add(f"https://example.com/{n}", now=NOW) for n in range(2)]
    async with database.write() as connection:
        clear = update(endpoint).where(endpoint.c.id == two.id).values(secret="whsec_clear", previous_secret=None)
        await connection.execute(clear)
    both = Endpoints(database, seal(SECOND, FIRST))
    assert await both.seal_again() == 2
    assert await both.seal_again() == 0
    assert all(text.startswith("sealed:") for text in await kept(database))
    await end_one(database)
    events = await Endpoints(database, seal(SECOND)).take(now=NOW, limit=10)
    assert {each.endpoint_id: each.secrets for each in events} == {one.id: (secret,), two.id: ("whsec_clear",)}


async def test_events_wait_while_their_secret_does_not_open(database: Database) -> None:
    made, _ = await Endpoints(database, seal(FIRST)).add("https://example.com/events", now=NOW)
    await end_one(database)
    with structlog.testing.capture_logs() as logs:
        assert await Endpoints(database, Seal()).take(now=NOW, limit=10) == ()
    assert {(each["event"], each["endpoint"]) for each in logs} == {("endpoint.sealed", made.id)}
    with pytest.raises(SealingFailed, match=VARIABLE):
        await Endpoints(database, Seal()).add("https://example.com/events", now=NOW)
    with pytest.raises(SealingFailed, match=VARIABLE):
        await Endpoints(database, seal(SECOND)).seal_again()
