"""moto's server: AWS as far as one process in memory goes. Its Kinesis reshards wrongly: good for a smoke test only."""

import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress

from .kinesis import free_port

__all__ = ["running"]

START_TIMEOUT_S = 40


@contextmanager
def running() -> Iterator[str]:
    """Run the server; yield its URL."""
    port = free_port()
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    quiet = subprocess.DEVNULL
    process = subprocess.Popen(command, stdout=quiet, stderr=quiet, env={"PATH": os.environ["PATH"]})
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            with suppress(OSError), urllib.request.urlopen(f"{url}/moto-api/data.json", timeout=2):
                break
            assert process.poll() is None
            time.sleep(0.1)  # a process of another project starts: nothing to wait on but its port
        yield url
    finally:
        process.kill()
        process.wait(timeout=10)
