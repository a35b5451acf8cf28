"""The command's flags and the environment say the same things."""

import dataclasses

import pytest
import typer
from typer.testing import CliRunner

from waypost.cli import app
from waypost.cli.registry_commands import parse_duration
from waypost.settings import PlatformSettings

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # the app is a group
SETTINGS = [field.name for field in dataclasses.fields(PlatformSettings)]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_a_flag_and_a_variable(name: str) -> None:
    option = next(each for each in COMMANDS["up"].params if each.name == name)
    assert option.opts == [f"--{name.replace('_', '-')}"]
    assert option.envvar == f"WAYPOST_{name.upper()}"


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "state_dir"])
def test_the_default_of_a_flag_is_the_default_of_the_setting(name: str) -> None:
    option = next(each for each in COMMANDS["up"].params if each.name == name)
    default = getattr(PlatformSettings(), name)
    assert str(option.default) == (",".join(default) if isinstance(default, tuple) else str(default))


@pytest.mark.parametrize(
    "command",
    ["up", "tasks", "stop", "deploy", "scale", "restart", "job", "logs", "run", "drain", "undrain", "history"],
)
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert f"Usage: waypost {command}" in result.output


def test_a_flag_that_cannot_be_used_is_refused() -> None:
    result = CliRunner().invoke(app, ["up", "--account", "12"])
    assert result.exit_code == 2
    assert "is not 12 digits" in result.output


@pytest.mark.parametrize(("text", "seconds"), [("30s", 30), ("10m", 600), ("2h", 7_200), ("1d", 86_400)])
def test_a_time_is_a_number_and_a_unit(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "10", "m", "-1m", "0s", "1.5h", "367d", "9999999999s", "1w"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 30s, 10m, 2h or 1d"):
        parse_duration(text)
