"""What the package gives away is there, and comes when it is asked for."""

import subprocess
import sys

import pytest

import waypost_client


def test_every_name_is_found() -> None:
    assert sorted(waypost_client.HOMES) == sorted(waypost_client.__all__)
    for name in waypost_client.__all__:
        assert getattr(waypost_client, name).__class__.__name__ != "module", name
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        waypost_client.Nothing  # noqa: B018


def test_tracing_alone_imports_no_resolver_and_no_http_client() -> None:
    look = "import sys, waypost_client.tracing; print(sorted({'dns', 'httpx2'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", look], capture_output=True, text=True, check=True).stdout == "[]\n"
