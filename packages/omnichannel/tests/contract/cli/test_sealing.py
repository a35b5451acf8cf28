"""``omnichannel sealing``, as a user calls it."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

OMNICHANNEL = Path(sys.executable).with_name("omnichannel")


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, migrated_sqlite: Path) -> None:
    """Spare each command the migrations: that one makes its tables first, the publisher of ``conftest`` shows."""
    shutil.copy(migrated_sqlite, tmp_path / "test.db")


def run(tmp_path: Path, *words: str, **environment: str) -> "subprocess.CompletedProcess[str]":
    defaults = {"PATH": os.environ["PATH"], "DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}"}
    command = [OMNICHANNEL, *words]
    return subprocess.run(command, env=defaults | environment, capture_output=True, text=True, timeout=40)


def test_a_key_is_printed_and_used(tmp_path: Path) -> None:
    key = run(tmp_path, "sealing", "new").stdout.strip()
    assert len(key) == 44
    renewed = run(tmp_path, "sealing", "renew", OMNICHANNEL_SEALING_KEY=key)
    assert (renewed.returncode, renewed.stdout) == (0, "0 sealed anew\n"), renewed.stderr
    told = json.loads(run(tmp_path, "sealing", "renew", "-o", "json", OMNICHANNEL_SEALING_KEY=key).stdout)
    assert told == {"sealed": 0}
    assert len(json.loads(run(tmp_path, "sealing", "new", "-o", "json").stdout)["key"]) == 44


def test_without_a_key_nothing_is_sealed_and_the_mend_is_said(tmp_path: Path) -> None:
    refused = run(tmp_path, "sealing", "renew")
    assert refused.returncode == 2
    assert "OMNICHANNEL_SEALING_KEY" in refused.stderr
    assert "Traceback" not in refused.stderr
