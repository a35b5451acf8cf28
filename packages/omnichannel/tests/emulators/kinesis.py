"""Kinesis emulators from npm, installed once into a cache outside the repository, each started as a process of a test.

The versions and their digests are in the lock file beside this module.
"""

import hashlib
import os
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import Any

import boto3
from botocore.config import Config

HERE = Path(__file__).parent
INSTALL_TIMEOUT_S = 120
START_TIMEOUT_S = 30
KINESALITE = (
    "require('kinesalite')({createStreamMs: 5, updateStreamMs: 20, deleteStreamMs: 5, shardLimit: 100})"
    ".listen(+process.argv[1], process.argv[2])"
)


class EmulatorMissing(Exception):
    """An emulator cannot be had; the text says what is missing."""


def installed() -> Path:
    """Return the folder with ``node_modules``, after installing it where need be. Raises EmulatorMissing."""
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "waypost-tests"
    folder = cache / f"emulators-{hashlib.sha256(lock).hexdigest()[:12]}"
    if folder.is_dir():
        return folder
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise EmulatorMissing("Node with npm")
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as name:
        for file in ("package.json", "package-lock.json"):
            shutil.copy(HERE / file, name)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(command, cwd=name, capture_output=True, text=True, timeout=INSTALL_TIMEOUT_S)
        if done.returncode:
            raise EmulatorMissing(f"kinesalite (npm ci says: {done.stderr[-300:]})")
        made = Path(name) / "made"
        made.mkdir()
        shutil.move(Path(name) / "node_modules", made)
        with suppress(OSError):  # another run was faster
            made.rename(folder)
    return folder


@contextmanager
def running(name: str, *, address: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """Run ``kinesalite`` or ``kinesis-local``; yield its URL. Raises EmulatorMissing."""
    modules = installed() / "node_modules"
    port = port or free_port()
    environment = {"PATH": os.environ["PATH"], "LOG_LEVEL": "ERROR"}
    if name == "kinesalite":
        command, folder = ["node", "-e", KINESALITE, str(port), address], modules.parent
    else:  # it finds its certificate only in its own folder
        command, folder = ["node", "main.js"], modules / "kinesis-local"
        environment |= {"KINESIS_MOCK_PLAIN_PORT": str(port), "KINESIS_MOCK_TLS_PORT": str(free_port())}
        environment |= {f"{each}_DURATION": "20ms" for each in ("CREATE_STREAM", "SPLIT_SHARD", "MERGE_SHARDS")}
        environment |= {"SHARD_LIMIT": "200"}
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(command, cwd=folder, env=environment, stdout=log, stderr=log)
        try:
            _wait_for(address, port, process)
            yield f"http://{address}:{port}"
        finally:
            process.kill()
            process.wait(timeout=10)


def _wait_for(address: str, port: int, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT_S
    while time.monotonic() < deadline:
        assert process.poll() is None, "the emulator has ended"
        try:
            with closing(HTTPConnection(address, port, timeout=2)) as connection:
                connection.request("GET", "/")
                connection.getresponse().read()
        except (OSError, HTTPException):
            time.sleep(0.05)  # a process of another project starts: nothing to wait on but its port
        else:
            return
    raise AssertionError("the emulator does not answer")


@contextmanager
def client(url: str) -> Iterator[Any]:
    """Yield a boto3 client for an emulator."""
    kinesis = boto3.client(
        "kinesis",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 5}),
    )
    try:
        yield kinesis
    finally:
        kinesis.close()


def make_stream(url: str, name: str, *, shards: int) -> None:
    """Make a stream, and return once it can be used."""
    with client(url) as kinesis:
        kinesis.create_stream(StreamName=name, ShardCount=shards)
        until_active(kinesis, name)


def until_active(kinesis: Any, name: str) -> None:
    """Return once a change of a stream has taken place."""
    deadline = time.monotonic() + START_TIMEOUT_S
    while kinesis.describe_stream_summary(StreamName=name)["StreamDescriptionSummary"]["StreamStatus"] != "ACTIVE":
        assert time.monotonic() < deadline, "the stream does not become active"
        time.sleep(0.02)


def open_shards(kinesis: Any, name: str) -> list[Any]:
    """Return the shards that take records, by the start of their range."""
    shards = [
        shard
        for shard in kinesis.list_shards(StreamName=name)["Shards"]
        if "EndingSequenceNumber" not in shard["SequenceNumberRange"]
    ]
    return sorted(shards, key=lambda shard: int(shard["HashKeyRange"]["StartingHashKey"]))


def split(kinesis: Any, name: str, shard: Any) -> None:
    """Split a shard in the middle."""
    start, end = (int(shard["HashKeyRange"][key]) for key in ("StartingHashKey", "EndingHashKey"))
    kinesis.split_shard(StreamName=name, ShardToSplit=shard["ShardId"], NewStartingHashKey=str((start + end) // 2))
    until_active(kinesis, name)


def merge(kinesis: Any, name: str, left: Any, right: Any) -> None:
    """Merge two shards that lie side by side."""
    kinesis.merge_shards(StreamName=name, ShardToMerge=left["ShardId"], AdjacentShardToMerge=right["ShardId"])
    until_active(kinesis, name)


def free_port() -> int:
    """Return a port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])
