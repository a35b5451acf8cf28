"""What a process of the platform loads before it does anything, for a platform starts each of them."""

import subprocess
import sys
from typing import Final

import pytest

UNUSED: Final = {
    "waypost.server": {"rich", "botocore", "aiohttp", "httpx2", "alembic", "dns.asyncquery"},
    "waypost.nameserver.__main__": {"rich", "botocore", "aiohttp", "httpx2", "sqlalchemy", "starlette"},
    "waypost.health.__main__": {"rich", "botocore", "aiohttp", "httpx2", "sqlalchemy", "starlette", "dns"},
    "waypost.balancer.__main__": {"rich", "httpx2", "sqlalchemy", "starlette"},
    "waypost.tasks.platform": {"pygments", "sqlalchemy", "starlette"},
}
"""By module: what it never needs, or not for its work."""


@pytest.mark.parametrize("module", UNUSED)
def test_a_process_loads_nothing_that_it_may_never_need(module: str) -> None:
    program = f"import sys, {module}; print(sorted({UNUSED[module]!r} & set(sys.modules)))"
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout == "[]\n"
