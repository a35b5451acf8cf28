"""The registry's tables: the counter that is the pen, the journal, and the state that the journal adds up to.

``counter`` has one row. Whoever holds it locked may write: its number is the last revision that was committed, so
commit order is revision order, without gaps. A sequence would hand out numbers before the commit, and a reader that
remembers the highest one seen would miss changes.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Index, Integer, LargeBinary, MetaData, String, Table, Text, literal_column

__all__ = [
    "BLOCK_BITS",
    "SCHEMA_VERSION",
    "block",
    "counter",
    "instances",
    "journal",
    "metadata",
    "names",
    "namespaces",
    "services",
    "withheld",
]

SCHEMA_VERSION: Final = 1
BLOCK_BITS: Final = 10  # 1,024 revisions are a block, by which changes are found; see waypost.journal.history

metadata: Final = MetaData()

counter: Final = Table(
    "waypost_counter",
    metadata,
    Column("id", Integer, primary_key=True),  # always 1
    Column("revision", BigInteger, nullable=False),
    Column("schema_version", Integer, nullable=False),
)

block: Final = literal_column(f"(revision >> {BLOCK_BITS})", BigInteger)

journal: Final = Table(
    "waypost_journal",
    metadata,
    Column("revision", BigInteger, primary_key=True, autoincrement=False),
    Column("at_ms", BigInteger, nullable=False),
    Column("change", LargeBinary, nullable=False),  # waypost.catalog.changes, JSON
    Column("cause", LargeBinary, nullable=False),  # waypost.catalog.changes.Cause, JSON
    Column("service_id", String(64)),
    Column("instance_id", String(64)),
    Column("operation_id", String(64)),
    Column("operation_account", String(16)),
    Column("operation_region", String(32)),
    Column("operation_type", String(32)),
    Column("operation_status", String(16)),  # SUCCESS, FAIL
    Column("operation_namespace_id", String(64)),
    Column("operation_service_id", String(64)),
    Column("operation", LargeBinary),  # waypost.catalog.changes.Operation, JSON
    Index("waypost_journal_operation", "operation_id", unique=True),
    Index("waypost_journal_subject", "service_id", block, "instance_id"),
)

names: Final = Table(  # what services were called, also when they are gone: history is asked for by name
    "waypost_names",
    metadata,
    Column("service_id", String(64), primary_key=True),
    Column("account", String(16), nullable=False),
    Column("region", String(64), nullable=False),
    Column("namespace", Text, nullable=False),  # HttpName
    Column("service", String(127), nullable=False),  # as its namespace compares names
    Index("waypost_names_service", "service"),
)

namespaces: Final = Table(
    "waypost_namespaces",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("body", LargeBinary, nullable=False),  # waypost.catalog.model.Namespace, JSON
)

services: Final = Table(
    "waypost_services",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("created_revision", BigInteger, nullable=False),
    Column("instances_revision", BigInteger, nullable=False),
    Column("body", LargeBinary, nullable=False),  # waypost.catalog.model.Service, JSON
)

instances: Final = Table(
    "waypost_instances",
    metadata,
    Column("service_id", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("attributes", LargeBinary, nullable=False),
    Column("health", String(16), nullable=False),
    Column("proven", Integer, nullable=False),  # 0 or 1
    Column("generation", BigInteger, nullable=False),
    Column("creator_request_id", Text),
    Column("operation", String(64), nullable=False),
    sqlite_with_rowid=False,  # one tree instead of two
)

withheld: Final = Table(  # of a few instances: why they are not handed out
    "waypost_withheld",
    metadata,
    Column("service_id", String(64), primary_key=True),
    Column("id", String(64), primary_key=True),
    Column("lapsed", Integer, nullable=False),  # 0 or 1
    Column("drain", LargeBinary),  # waypost.catalog.model.Drain, JSON
)
