"""The exit test: the publisher runs and delivers where no Waypost is, on PostgreSQL and Kinesis."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ...conftest import missing
from ...emulators import kinesis
from .without_waypost import MESSAGES

PROGRAM = Path(__file__).with_name("without_waypost.py")


@pytest.mark.timeout(150)
def test_the_publisher_delivers_with_names_from_another_dns_server(postgres_cluster: Any, tmp_path: Path) -> None:
    for program in ("knotd", "unshare", "ip"):
        if shutil.which(program) is None:
            missing(program)
    if subprocess.run(["unshare", "-Urmn", "true"], capture_output=True).returncode:
        missing("the right to make user and network namespaces")
    try:
        kinesis.installed()
    except kinesis.EmulatorMissing as exc:
        missing(str(exc))
    url = postgres_cluster.create_database("without_waypost")
    environment = {name: os.environ[name] for name in ("PATH", "HOME", "XDG_CACHE_HOME") if name in os.environ}
    assert "WAYPOST_DNS" not in environment
    done = subprocess.run(
        ["unshare", "-Urmn", sys.executable, PROGRAM, url, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=140,
    )
    logs = "\n".join(f"{path.name}: {path.read_text()[-2000:]}" for path in sorted(tmp_path.glob("*.log")))
    assert done.returncode == 0, done.stderr + logs
    told = json.loads(done.stdout)
    assert told["statuses"] == {"completed": MESSAGES}, logs
    assert (told["received"], told["most"]) == (MESSAGES, 1)
    assert told["echoed"] == ["127.0.2.1:8080", "127.0.2.2:8080"]
