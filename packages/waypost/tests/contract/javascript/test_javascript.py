"""The AWS SDK for JavaScript v3: one whole life of a namespace, unsigned and signed."""

import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from conftest import missing

HERE = Path(__file__).parent
SECRET = "a secret that is long enough"


@pytest.fixture(scope="session")
def sdk() -> Path:
    """Return a folder in which the SDK is installed, from the lock file, once for each state of it."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        missing("node with npm")
    lock = (HERE / "package-lock.json").read_bytes()
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache")) / "waypost-tests"
    folder = cache / f"javascript-{hashlib.sha256(lock).hexdigest()[:16]}"
    if not (folder / "installed").exists():
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, folder)
        install = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        done = subprocess.run(install, cwd=folder, capture_output=True, text=True, timeout=50)
        if done.returncode != 0:
            missing(f"the AWS SDK for JavaScript (npm ci: {done.stderr.strip()[-200:]})")
        (folder / "installed").touch()
    shutil.copy(HERE / "life.mjs", folder)
    return folder


def life(sdk: Path, registry: Any, key: str) -> dict[str, Any]:
    done = subprocess.run(
        ["node", "life.mjs", registry.url, key, SECRET], cwd=sdk, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def check(seen: dict[str, Any]) -> None:
    assert seen["created"] == {"status": "SUCCESS", "type": "CREATE_NAMESPACE", "isDate": True}
    assert (seen["again"]["name"], seen["again"]["status"]) == ("ServiceAlreadyExists", 400)
    assert seen["pages"] == [["i-1", "i-2"], ["i-3"]]
    assert seen["health"] == {"i-1": "HEALTHY", "i-2": "UNHEALTHY", "i-3": "HEALTHY"}
    assert seen["healthy"] == ["192.0.2.1", "192.0.2.3"]
    assert seen["sameRevision"] is True
    assert seen["tags"] == [{"Key": "from", "Value": "js"}]
    assert (seen["inUse"]["name"], seen["inUse"]["is"]) == ("ResourceInUse", "client")
    assert "i-1" in seen["inUse"]["message"]
    assert seen["missing"]["name"] == "InstanceNotFound"
    assert seen["deleted"] == "SUCCESS"
    assert seen["gone"]["name"] == "NamespaceNotFound"


def test_one_life_of_a_namespace(sdk: Path, shared_registry: Any, account: str) -> None:
    check(life(sdk, shared_registry, account))


def test_one_life_of_a_namespace_with_signatures_verified(sdk: Path, tmp_path: Path, start_registry: Any) -> None:
    running = start_registry(tmp_path, WAYPOST_ACCESS_KEYS=f"AKIDJS:{SECRET}")
    try:
        check(life(sdk, next(running), "AKIDJS"))
    finally:
        running.close()
