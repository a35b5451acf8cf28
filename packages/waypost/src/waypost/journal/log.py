"""The journal on SQLAlchemy: one algorithm for SQLite and PostgreSQL.

Whoever holds the pen is the only writer of the whole installation until its transaction ends: on SQLite by BEGIN
IMMEDIATE, on PostgreSQL by the lock on the counter's row. Commits are flushed to the disk before they return.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from functools import partial
from typing import Any, Final

import msgspec
from sqlalchemy import Connection, insert, select, text
from sqlalchemy.schema import CreateIndex

from waypost.catalog.changes import (
    Cause,
    InstanceChanged,
    InstanceDeregistered,
    InstanceRegistered,
    Operation,
    Recorded,
    ServiceCreated,
    ServiceDeleted,
    ServiceUpdated,
    change_from_bytes,
    change_to_bytes,
)
from waypost.catalog.index import Catalog, View
from waypost.journal import tables
from waypost.journal.doorbell import CHANNEL, Doorbell, InstanceKey, listening, tell_renewed
from waypost.journal.engines import AWAY, BUSY_S, Engines, make_engines, words
from waypost.journal.history import find_history, find_last
from waypost.journal.names import names_statement
from waypost.journal.operations import KeptOperation, OperationFilter, operation_values
from waypost.journal.retention import Retention, trim
from waypost.journal.state import load_state, state_statements
from waypost.journal.statements import Statement, execute, insert_into

__all__ = ["HistoryLost", "Journal", "JournalUnavailable", "Overtaken", "Pen"]

UNSEEN: Final = 50_000  # changes of others that are taken in at once; whoever is further behind loads the state anew

_INSERT_JOURNAL: Final = insert_into(tables.journal)
_LOCK_COUNTER: Final = select(tables.counter.c.revision).with_for_update()
_READ_COUNTER: Final = f"SELECT revision FROM {tables.counter.name}"  # noqa: S608 (a name of our own)
_MOVE_COUNTER: Final = f"UPDATE {tables.counter.name} SET revision = ?"  # noqa: S608 (a name of our own)

_cause_encoder: Final = msgspec.json.Encoder()


class JournalUnavailable(Exception):
    """The database did not answer. Whether a commit that was under way took place is unknown."""


class HistoryLost(Exception):
    """What follows the revision that the reader knows is not in the journal: it must load the state anew.

    The rows were trimmed, or the database is an older copy of itself.
    """


class Overtaken(Exception):
    """Others have written since the revision on which it was decided what to write; nothing was."""


class Pen:
    """The right to write, for one transaction."""

    def __init__(self, revision: int, unseen: Sequence[Recorded]) -> None:
        self.revision = revision  # the last one committed by anybody
        self.unseen = unseen  # what others committed since the holder last looked, in order
        self.statements: Sequence[Statement] = ()  # to be carried out before the commit

    def append(self, recorded: Sequence[Recorded], *, before: View, after: View) -> None:
        """Have changes written, and the state that they lead from and to."""
        self.statements = _statements(recorded, before=before, after=after)


class Journal:
    """Owns the connections to the database."""

    def __init__(self, engines: Engines) -> None:
        self._writer, self._reader, self._listener = engines.writer, engines.reader, engines.listener

    @classmethod
    async def open(cls, url: str) -> "Journal":
        """Open the database at ``sqlite:///path`` or ``postgresql://…`` and create the tables if there are none.

        :raises JournalUnavailable: it cannot be reached, or a newer Waypost has written it.
        """
        engines = make_engines(url)
        journal = cls(engines)
        try:
            await journal._create_tables()
        except AWAY as error:
            await journal.close()
            raise JournalUnavailable(
                f"cannot open the registry's database {engines.address}: {words(error)}"
            ) from error
        except BaseException:
            await journal.close()
            raise
        return journal

    async def close(self) -> None:
        """Close every connection."""
        await self._writer.dispose()
        await self._reader.dispose()
        await self._listener.dispose()

    async def load(self) -> Catalog:
        """Return the stored state as a catalog.

        :raises JournalUnavailable: the database does not answer.
        """
        catalog = Catalog()
        try:
            async with self._reader.connect() as connection, connection.begin():
                if connection.dialect.name == "postgresql":
                    await connection.execute(text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY"))
                await load_state(connection, catalog)
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error
        return catalog

    @asynccontextmanager
    async def pen(self, *, seen: int) -> AsyncIterator[Pen]:
        """Take the pen, having seen the changes up to revision ``seen``; the end of the block commits.

        An exception out of the block leaves no trace.

        :raises JournalUnavailable: the database does not answer; after a commit, its outcome is unknown.
        :raises HistoryLost: the changes after ``seen`` are not to be had.
        """
        try:
            async with asyncio.timeout(2 * BUSY_S), self._writer.begin() as transaction:
                pen = Pen(*await transaction.run(_take_pen, seen))
                yield pen
                await transaction.run(_write, pen.statements)
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def append(self, recorded: Sequence[Recorded], *, seen: int, before: View, after: View) -> None:
        """Write changes that were decided without the pen, as who writes alone may; it is taken to write them.

        :param seen: the revision that they follow.
        :raises Overtaken: others have written after it.
        :raises JournalUnavailable: the database does not answer; after a commit, its outcome is unknown.
        """
        statements = _statements(recorded, before=before, after=after)
        try:
            async with asyncio.timeout(2 * BUSY_S):
                await self._writer.write(partial(_write_after, statements=statements, seen=seen))
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def recorded_after(self, seen: int) -> Sequence[Recorded]:
        """Return what was committed after revision ``seen``, in order.

        :raises JournalUnavailable: the database does not answer.
        :raises HistoryLost: the changes after ``seen`` are not to be had.
        """
        try:
            async with asyncio.timeout(BUSY_S), self._reader.connect() as connection:
                return await connection.run_sync(_read_after, seen)
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def latest(self, limit: int) -> Sequence[Recorded]:
        """Return the newest changes, in order, as many as are kept but at most ``limit``. Raises JournalUnavailable."""
        wanted = select(tables.journal).order_by(tables.journal.c.revision.desc()).limit(limit)
        try:
            async with self._reader.connect() as connection:
                return [_recorded(row) for row in await connection.execute(wanted)][::-1]
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    @property
    def shared(self) -> bool:
        """Whether other registries may write to the same database."""
        return self._reader.dialect.name == "postgresql"

    @asynccontextmanager
    async def doorbell(self, renewed: Callable[[Sequence[InstanceKey]], None]) -> AsyncIterator[Doorbell]:
        """Yield a bell that is rung after each commit of any registry; ``renewed`` hears of renewed leases.

        :raises JournalUnavailable: the database does not answer.
        """
        try:
            async with listening(self._listener, renewed) as bell:
                yield bell
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def tell_renewed(self, keys: Sequence[InstanceKey]) -> None:
        """Tell the other registries on the database which leases were renewed. Raises JournalUnavailable."""
        try:
            async with asyncio.timeout(BUSY_S), self._reader.begin() as connection:
                await tell_renewed(connection, keys)
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def find_operation(self, operation_id: str) -> KeptOperation | None:
        """Return an operation, or None if none is kept under this id.

        :raises JournalUnavailable: the database does not answer.
        """
        columns = tables.journal.c
        wanted = select(columns.revision, columns.at_ms, columns.operation, columns.change)
        wanted = wanted.where(columns.operation_id == operation_id)
        try:
            async with self._reader.connect() as connection:
                row = (await connection.execute(wanted)).one_or_none()
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error
        return None if row is None else KeptOperation.from_row(row)

    async def list_operations(self, wanted: OperationFilter, *, before: int | None, limit: int) -> list[KeptOperation]:
        """Return the newest operations that are meant, of revisions under ``before``.

        :raises JournalUnavailable: the database does not answer.
        """
        try:
            async with self._reader.connect() as connection:
                rows = await connection.execute(wanted.select(before=before, limit=limit))
                return [KeptOperation.from_row(row) for row in rows]
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def history(
        self, service_id: str, instance_id: str | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[Recorded]:
        """Return what happened to a service and its instances, or to one of them, newest first.

        :param before: only what has a lower revision.
        :raises JournalUnavailable: the database does not answer.
        """
        return await self.history_of([service_id], instance_id, before=before, limit=limit)

    async def history_of(
        self, service_ids: Sequence[str], instance_id: str | None = None, *, before: int | None = None, limit: int = 100
    ) -> list[Recorded]:
        """Return the history of several services as one; as :meth:`history` does."""
        try:
            async with self._reader.connect() as connection:
                rows = await connection.run_sync(find_history, service_ids, instance_id, before=before, limit=limit)
                return [_recorded(row) for row in rows]
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def last_of(self, service_id: str, instance_ids: Sequence[str]) -> dict[str, Recorded]:
        """Return the newest change of each of these instances of a service that is kept. Raises JournalUnavailable."""
        try:
            async with self._reader.connect() as connection:
                rows = await connection.run_sync(find_last, service_id, instance_ids)
                return {row.instance_id: _recorded(row) for row in rows}
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def times_of(self, revisions: Sequence[int]) -> dict[int, int]:
        """Return when these revisions were committed, in milliseconds, as far as kept. Raises JournalUnavailable."""
        columns = tables.journal.c
        wanted = select(columns.revision, columns.at_ms).where(columns.revision.in_(revisions))
        try:
            async with self._reader.connect() as connection:
                return {row.revision: row.at_ms for row in await connection.execute(wanted)}
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def before(self, revision: int | None, *, limit: int) -> list[Recorded]:
        """Return what happened before a revision, or at all, newest first. Raises JournalUnavailable."""
        wanted = select(tables.journal).order_by(tables.journal.c.revision.desc()).limit(limit)
        if revision is not None:
            wanted = wanted.where(tables.journal.c.revision < revision)
        try:
            async with self._reader.connect() as connection:
                return [_recorded(row) for row in await connection.execute(wanted)]
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def services_named(self, account: str, region: str, namespace: str, service: str) -> list[str]:
        """Return the ids of every service that had this name, as far as its history is kept. Raises JournalUnavailable.

        :param namespace: an HttpName.
        """
        columns = tables.names.c
        wanted = select(columns.service_id).where(
            columns.account == account,
            columns.region == region,
            columns.namespace == namespace,
            columns.service.in_({service, service.lower()}),
        )
        try:
            async with self._reader.connect() as connection:
                return list((await connection.execute(wanted)).scalars())
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def trim(self, retention: Retention, *, now_ms: int) -> int:
        """Forget a piece of what need not be kept, the oldest first, and return how many rows that were.

        :raises JournalUnavailable: the database does not answer.
        """
        try:
            async with asyncio.timeout(2 * BUSY_S), self._writer.begin() as transaction:
                return await transaction.run(trim, retention, now_ms=now_ms)
        except AWAY as error:
            raise JournalUnavailable(words(error)) from error

    async def _create_tables(self) -> None:
        async with self._writer.begin() as transaction:
            await transaction.run(_create_tables)


def _statements(recorded: Sequence[Recorded], *, before: View, after: View) -> Sequence[Statement]:
    """Return what writes changes, and the state that they lead from and to."""
    if not recorded:
        return ()
    return [
        Statement(_INSERT_JOURNAL, [_journal_row(each) for each in recorded]),
        *state_statements(recorded, before=before, after=after),
        names_statement(recorded, after),
        Statement(_MOVE_COUNTER, [(recorded[-1].revision,)]),
    ]


def _journal_row(recorded: Recorded) -> tuple[object, ...]:
    """Return the values of a row, in the order of the table's columns."""
    change = recorded.change
    service_id: str | None = None
    instance_id: str | None = None
    match change:
        case InstanceRegistered():
            service_id, instance_id = change.instance.service_id, change.instance.id
        case InstanceDeregistered() | InstanceChanged():
            service_id, instance_id = change.service_id, change.instance_id
        case ServiceCreated(service) | ServiceUpdated(service):
            service_id = service.id
        case ServiceDeleted():
            service_id = change.service_id
        case _:
            pass
    return (
        recorded.revision,
        recorded.at_ms,
        bytearray(change_to_bytes(change)),
        bytearray(_cause_encoder.encode(recorded.cause)),
        service_id,
        instance_id,
        *operation_values(recorded.operation, change),
    )


def _recorded(row: Any) -> Recorded:
    return Recorded(
        revision=row.revision,
        at_ms=row.at_ms,
        change=change_from_bytes(row.change),
        cause=msgspec.json.decode(row.cause, type=Cause),
        operation=None if row.operation is None else msgspec.json.decode(row.operation, type=Operation),
    )


def _create_tables(connection: Connection) -> None:
    if connection.dialect.name == "postgresql":  # two servers may start at once
        connection.execute(text("SELECT pg_advisory_xact_lock(8500)"))
    tables.metadata.create_all(connection)
    _renew_indexes(connection)
    version = connection.execute(select(tables.counter.c.schema_version)).scalar_one_or_none()
    if version is None:
        first = {"id": 1, "revision": 0, "schema_version": tables.SCHEMA_VERSION}
        connection.execute(insert(tables.counter).values(first))
    elif version != tables.SCHEMA_VERSION:
        raise JournalUnavailable(
            f"the registry's database has schema {version}, and this Waypost knows {tables.SCHEMA_VERSION}: "
            "start the version that wrote it, or give another WAYPOST_DATABASE_URL"
        )


def _renew_indexes(connection: Connection) -> None:
    """Give a journal that was there the indexes that it is searched by today."""
    for former in ("waypost_journal_instance", "waypost_journal_service"):
        connection.execute(text(f"DROP INDEX IF EXISTS {former}"))
    if connection.dialect.name == "postgresql":
        subject = connection.scalar(text("SELECT to_regclass('waypost_journal_subject')"))
        if subject is not None:
            return  # to create it if it is not there would wait for whoever vacuums the table
    for index in tables.journal.indexes:
        connection.execute(CreateIndex(index, if_not_exists=True))


def _write_after(connection: Connection, *, statements: Sequence[Statement], seen: int) -> None:
    cursor = connection.connection.cursor()
    cursor.execute(_READ_COUNTER)
    (revision,) = cursor.fetchone() or (None,)
    cursor.close()
    if revision != seen:
        raise Overtaken
    _write(connection, statements)


def _write(connection: Connection, statements: Sequence[Statement]) -> None:
    execute(connection, statements)
    if statements and connection.dialect.name == "postgresql":
        connection.execute(text(f"NOTIFY {CHANNEL}"))  # once a batch: it takes a lock of its own


def _take_pen(connection: Connection, seen: int) -> tuple[int, Sequence[Recorded]]:
    """Lock the counter; return where it stands, and the changes after revision ``seen``."""
    revision = connection.execute(_LOCK_COUNTER).scalar_one()
    return revision, _recorded_after(connection, seen, revision)


def _read_after(connection: Connection, seen: int) -> Sequence[Recorded]:
    return _recorded_after(connection, seen, connection.execute(select(tables.counter.c.revision)).scalar_one())


def _recorded_after(connection: Connection, seen: int, revision: int) -> Sequence[Recorded]:
    """Return the changes after revision ``seen`` up to the counter's, which are dense or lost."""
    if seen == revision:
        return ()
    wanted = select(tables.journal).where(tables.journal.c.revision > seen).order_by(tables.journal.c.revision)
    found = [] if revision > seen + UNSEEN else [_recorded(row) for row in connection.execute(wanted)]
    if not found or found[0].revision != seen + 1:
        raise HistoryLost(f"the changes after revision {seen} are gone, the journal stands at {revision}")
    return found
