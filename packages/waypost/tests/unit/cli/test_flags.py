"""The command's flags and the environment say the same things."""

import dataclasses

import pytest
import typer
from typer.testing import CliRunner

from waypost.cli import app
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


@pytest.mark.parametrize("command", ["up", "tasks", "stop", "deploy", "scale", "restart", "job", "logs"])
def test_every_command_explains_itself(command: str) -> None:
    result = CliRunner().invoke(app, [command, "--help"])
    assert result.exit_code == 0
    assert "--state-dir" in result.output


def test_a_flag_that_cannot_be_used_is_refused() -> None:
    result = CliRunner().invoke(app, ["up", "--account", "12"])
    assert result.exit_code == 2
    assert "is not 12 digits" in result.output
