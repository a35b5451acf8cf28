"""What services were called: history is asked for by name, and most of all when the service is gone."""

from collections.abc import Iterable
from typing import Final

from sqlalchemy import Connection, delete, select

from waypost.catalog.changes import Recorded, ServiceCreated
from waypost.catalog.index import View, folded_name
from waypost.journal.statements import Statement, insert_into
from waypost.journal.tables import journal, names, services

__all__ = ["forget_names", "names_statement"]

_INSERT: Final = insert_into(names)


def names_statement(recorded: Iterable[Recorded], after: View) -> Statement:
    """Return what writes the names of the services that were created."""
    created = [each.change.service for each in recorded if isinstance(each.change, ServiceCreated)]
    rows = [
        (
            service.id,
            service.account,
            service.region,
            namespace.http_name,
            folded_name(namespace.type, service.name),
        )
        for service in created
        if (namespace := after.get_namespace(service.namespace_id)) is not None
    ]
    return Statement(_INSERT, rows)


def forget_names(connection: Connection) -> None:
    """Forget the names of services that are gone, and of which nothing is kept."""
    kept = select(journal.c.revision).where(journal.c.service_id == names.c.service_id).exists()
    present = select(services.c.id).where(services.c.id == names.c.service_id).exists()
    connection.execute(delete(names).where(~present, ~kept))
