"""What ``waypost env`` prints."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from waypost.cli import app
from waypost.cli.client_environment import exports


def printed(tmp_path: Path, *words: str, **environment: str | None) -> list[str]:
    (tmp_path / "run.json").write_text(json.dumps({"http_address": "0.0.0.0:8500", "dns_address": "[::1]:8600"}))
    names = ("AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCESS_KEY_ID", "AWS_PROFILE")
    unset: dict[str, str | None] = dict.fromkeys(names)
    command = ["env", "--state-dir", str(tmp_path), *words]
    result = CliRunner().invoke(app, command, env={**unset, **environment})
    assert result.exit_code == 0
    return result.output.splitlines()


def test_it_exports_what_aws_tools_need(tmp_path: Path) -> None:
    assert printed(tmp_path) == [
        "export AWS_ENDPOINT_URL_SERVICEDISCOVERY=http://127.0.0.1:8500",
        "export AWS_DISABLE_HOST_PREFIX_INJECTION=true",
        "export WAYPOST_DNS='[::1]:8600'",
        "export AWS_REGION=us-east-1",
        "export AWS_DEFAULT_REGION=us-east-1",
        "export AWS_ACCESS_KEY_ID=waypost",
        "export AWS_SECRET_ACCESS_KEY=waypost",
    ]


def test_fish_has_words_of_its_own(tmp_path: Path) -> None:
    assert printed(tmp_path, "--shell", "fish")[1] == "set -gx AWS_DISABLE_HOST_PREFIX_INJECTION true;"


@pytest.mark.parametrize("name", ["AWS_ACCESS_KEY_ID", "AWS_PROFILE"])
def test_a_region_and_keys_that_are_there_stay(tmp_path: Path, name: str) -> None:
    lines = printed(tmp_path, AWS_REGION="eu-west-1", **{name: "mine"})
    assert len(lines) == 3
    assert "AWS_REGION" not in exports("127.0.0.1:1", "127.0.0.1:2", {"AWS_DEFAULT_REGION": "eu-west-1"})


def test_no_platform_is_said_so(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["env", "--state-dir", str(tmp_path)])
    assert (result.exit_code, result.stdout) == (6, "")
    assert "waypost up" in result.stderr
