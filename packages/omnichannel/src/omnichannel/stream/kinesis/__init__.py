"""The event stream on Amazon Kinesis: shards, leases and checkpoints live only in here."""

from omnichannel.stream.kinesis.address import KinesisAddress
from omnichannel.stream.kinesis.stream import KinesisStream, open_kinesis

__all__ = ["KinesisAddress", "KinesisStream", "open_kinesis"]
