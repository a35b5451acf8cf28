"""What a service loads before it does anything: a platform starts a handful of them, each of which would pay for it."""

import subprocess
import sys
from typing import Final

import pytest

UNUSED: Final = {
    "worker": {"rich", "fastapi", "dns", "httpx2", "botocore", "aiosmtplib", "alembic"},
    "scheduler": {"rich", "fastapi", "dns", "httpx2", "botocore", "aiosmtplib", "alembic", "aiohttp"},
    "api": {"rich", "botocore", "aiosmtplib", "alembic"},
}
"""By service: what it needs never, or only once a channel or a command does."""


@pytest.mark.parametrize("service", UNUSED)
def test_a_service_loads_nothing_that_it_may_never_need(service: str) -> None:
    program = (
        "import sys\n"
        "from omnichannel.cli.services import serving\n"
        f"serving({service!r})\n"
        f"print(sorted({UNUSED[service]!r} & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout == "[]\n"
