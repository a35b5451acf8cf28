"""Every command explains itself, prints for programs, is documented, and is run by a test."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from waypost.cli import app

REPOSITORY = Path(__file__).parents[5]
PAGE = (REPOSITORY / "docs/reference/command-line.md").read_text()
HEAVY = ("rich", "dns", "sqlalchemy", "aiobotocore", "botocore", "aiohttp", "starlette", "structlog", "asyncio")
PRINTS_NO_DATA = {
    "up": "runs until it is told to end",
    "serve": "likewise",
    "run": "likewise",
    "env": "prints lines for a shell",
    "completion": "likewise",
    "export": "prints a document, always JSON",
    "resolver show": "prints files for others",
    "resolver install": "likewise",
    "resolver remove": "likewise",
}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))
SOURCES = "\n".join(
    path.read_text() for path in (REPOSITORY / "packages/waypost/tests").rglob("*.py") if path != Path(__file__)
)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself_by_an_example(name: str) -> None:
    words = " ".join((COMMANDS[name].help or "").split())
    assert re.search(rf"Example: .*waypost {name}\b", words), words
    for parameter in COMMANDS[name].params:
        assert parameter.help, f"{name}: {parameter.name} says nothing"


@pytest.mark.parametrize("name", COMMANDS.keys() - PRINTS_NO_DATA.keys())
def test_a_command_that_prints_data_prints_it_for_programs_too(name: str) -> None:
    assert "--output" in [flag for each in COMMANDS[name].params for flag in each.opts]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_on_its_page(name: str) -> None:
    if name.startswith("resolver "):
        assert "`waypost resolver show\\|install\\|remove`" in PAGE
    else:
        assert re.search(rf"`waypost {name}[` ]", PAGE)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_run_by_a_test(name: str) -> None:
    quoted = rf'resolver\(\s*"{name.split()[1]}"' if name.startswith("resolver ") else rf'"{name}"'
    assert re.search(quoted, SOURCES), f"no test runs waypost {name}"


def test_the_list_of_commands_is_whole() -> None:
    wanted = (
        "up serve run deploy scale restart stop logs namespaces services instances register deregister drain undrain "
        "discover resolve history explain wait export import apply doctor env completion"
    )
    assert set(wanted.split()) <= COMMANDS.keys()


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['waypost', '--help']\n"
        "from waypost.cli import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.splitlines()[-1] == "[]"
