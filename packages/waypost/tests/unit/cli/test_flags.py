"""The command's flags and the environment say the same things."""

import dataclasses

import pytest
import typer
from typer.testing import CliRunner

from waypost.balancer.settings import ACCESS_LOG, BODY_BYTES, TRUSTED_PROXIES
from waypost.cli import app
from waypost.cli.durations import parse_duration
from waypost.nameserver.settings import VARIABLES
from waypost.settings import PlatformSettings

COMMANDS = typer.main.get_command(app).commands  # type: ignore[attr-defined]  # the app is a group
PASSED_ON = ("dns", "balancer")  # variables that a part reads for itself
SETTINGS = [field.name for field in dataclasses.fields(PlatformSettings) if field.name not in PASSED_ON]
NAMESERVER = [variable for variable, _ in VARIABLES.values() if variable != "WAYPOST_RELAX"]
BALANCER = [ACCESS_LOG, BODY_BYTES, TRUSTED_PROXIES]


@pytest.mark.parametrize("name", SETTINGS)
def test_every_setting_is_a_flag_and_a_variable(name: str) -> None:
    option = next(each for each in COMMANDS["up"].params if each.name == name)
    assert option.opts == [f"--{name.replace('_', '-')}"]
    assert option.envvar == f"WAYPOST_{name.upper()}"


@pytest.mark.parametrize("name", [name for name in SETTINGS if name != "state_dir"])
def test_the_default_of_a_flag_is_the_default_of_the_setting(name: str) -> None:
    option = next(each for each in COMMANDS["up"].params if each.name == name)
    default = getattr(PlatformSettings(), name)
    assert str(option.default) == (",".join(map(str, default)) if isinstance(default, tuple) else str(default))


@pytest.mark.parametrize("variable", [*NAMESERVER, *BALANCER])
def test_every_variable_of_nameserver_and_balancer_is_a_flag(variable: str) -> None:
    name = variable.removeprefix("WAYPOST_").lower()
    option = next(each for each in COMMANDS["up"].params if each.name == name)
    assert option.opts == [f"--{name.replace('_', '-')}"]
    assert option.envvar == variable


@pytest.mark.parametrize(
    ("flag", "value", "problem"),
    [
        ("--dns-forward", "example.org", "'example.org' is not address or address:port"),
        ("--dns-transfer-networks", "10.0.0.0/33", "'10.0.0.0/33' is not a network"),
        ("--dns-vpcs", "10.0.0.0/8", "'10.0.0.0/8' is not vpc-id=network"),
        ("--dns-rate-limit", "-1", "'-1' is not a whole number"),
        ("--dns-stale-max", "soon", "'soon' is not a number of seconds"),
        ("--dns-address", ",", "give at least one host:port"),
        ("--balancer-body-bytes", "many", "'many' is not a number of bytes"),
        ("--balancer-access-log", "maybe", "'maybe' is neither on nor off"),
        ("--balancer-trusted-proxies", "me", "'me' does not appear to be an IPv4 or IPv6 network"),
        ("--database-url", "mysql://user:hidden@host/name", "neither sqlite:///path nor postgresql://user@host/name"),
    ],
)
def test_what_a_part_cannot_use_is_refused_at_the_start(flag: str, value: str, problem: str) -> None:
    result = CliRunner().invoke(app, ["up", flag, value], env={"COLUMNS": "200"})
    assert result.exit_code == 2
    assert f"'{flag}'" in result.output
    assert problem in result.output
    assert "hidden" not in result.output


def test_a_flag_that_cannot_be_used_is_refused() -> None:
    result = CliRunner().invoke(app, ["up", "--account", "12"])
    assert result.exit_code == 2
    assert "is not 12 digits" in result.output


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("500ms", 0.5), ("30s", 30), ("7", 7), ("1.5h", 5_400), ("10m", 600), ("2h", 7_200), ("1d", 86_400), ("0s", 0)],
)
def test_a_time_is_a_number_and_a_unit(text: str, seconds: float) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "m", "-1m", "367d", "9999999999s", "1w", "1 h", "soon", "1.s"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="such as 500ms, 30s, 10m, 2h or 1d"):
        parse_duration(text)
