"""``omnichannel sealing``, as a user calls it."""

import os
import subprocess
import sys
from pathlib import Path

OMNICHANNEL = Path(sys.executable).with_name("omnichannel")


def run(tmp_path: Path, command: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    defaults = {"PATH": os.environ["PATH"], "DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}"}
    arguments = [OMNICHANNEL, "sealing", command]
    return subprocess.run(arguments, env=defaults | environment, capture_output=True, text=True, timeout=40)


def test_a_key_is_printed_and_used(tmp_path: Path) -> None:
    key = run(tmp_path, "new").stdout.strip()
    assert len(key) == 44
    renewed = run(tmp_path, "renew", OMNICHANNEL_SEALING_KEY=key)
    assert (renewed.returncode, renewed.stdout) == (0, "0 sealed anew\n"), renewed.stderr
