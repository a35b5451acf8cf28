"""The tables of a stream outside the database: who reads which shard, how far, and what could not be read.

A row of ``stream_shard`` is a lease and a checkpoint in one, so that both change in one statement.
"""

from typing import Final

from sqlalchemy import BigInteger, Column, Integer, LargeBinary, String, Table, Text

from omnichannel.database.tables import metadata

__all__ = ["stream_member", "stream_parked", "stream_shard"]

stream_shard: Final = Table(
    "stream_shard",
    metadata,
    Column("stream", String(128), primary_key=True),
    Column("consumer_group", String(64), primary_key=True),
    Column("shard", String(128), primary_key=True),
    Column("parents", Text, nullable=False),  # shard ids, separated by spaces
    Column("state", String(8), nullable=False),  # waiting (for its parents), open, ended
    Column("owner", String(128)),  # NULL: free
    Column("epoch", Integer, nullable=False),  # grows with every change of the owner
    Column("beats", BigInteger, nullable=False),  # grows with every renewal: others watch it move
    Column("asked_by", String(128)),  # the member that the owner is asked to leave it to
    Column("checkpoint", Text),  # sequence number of the last record dealt with; NULL: none yet
    Column("heard_until", BigInteger),  # what was rung before has been heard; NULL: all has
)

stream_member: Final = Table(
    "stream_member",
    metadata,
    Column("stream", String(128), primary_key=True),
    Column("consumer_group", String(64), primary_key=True),
    Column("member", String(128), primary_key=True),
    Column("beats", BigInteger, nullable=False),
)

stream_parked: Final = Table(
    "stream_parked",
    metadata,
    Column("stream", String(128), primary_key=True),
    Column("shard", String(128), primary_key=True),
    Column("sequence", String(128), primary_key=True),
    Column("data", LargeBinary, nullable=False),  # the beginning of it
    Column("reason", Text, nullable=False),
    Column("parked_at", BigInteger, nullable=False),
)
"""Records that hold no hint: kept to be looked at, while the shard goes on."""
