"""Every command explains itself, prints for programs, is documented, and is run by a test."""

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from omnichannel.cli import app

REPOSITORY = Path(__file__).parents[5]
PAGE = (REPOSITORY / "docs/reference/omnichannel-command-line.md").read_text()
HEAVY = ("rich", "httpx2", "sqlalchemy", "pydantic", "fastapi", "dns", "botocore", "aiohttp", "apprise", "asyncio")
PRINTS_NO_DATA = {
    "api": "runs until it is told to end",
    "worker": "likewise",
    "scheduler": "likewise",
    "serve api": "likewise",
    "serve worker": "likewise",
    "serve scheduler": "likewise",
    "receive": "prints JSON lines only",
}


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


COMMANDS = dict(commands(typer.main.get_command(app)))
SOURCES = "\n".join(
    path.read_text()
    for path in (REPOSITORY / "packages/omnichannel/tests").rglob("test_*.py")
    if path != Path(__file__)
)
SOURCES += (Path(__file__).parents[2] / "contract/cli/conftest.py").read_text()


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_explains_itself_by_an_example(name: str) -> None:
    words = " ".join((COMMANDS[name].help or "").split())
    assert re.search(rf"Example: .*omnichannel (serve )?{name}\b", words), words
    for parameter in COMMANDS[name].params:
        assert parameter.help, f"{name}: {parameter.name} says nothing"


@pytest.mark.parametrize("name", COMMANDS.keys() - PRINTS_NO_DATA.keys())
def test_a_command_that_prints_data_prints_it_for_programs_too(name: str) -> None:
    assert "--output" in [flag for each in COMMANDS[name].params for flag in each.opts]


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_on_its_page(name: str) -> None:
    assert re.search(rf"`omnichannel {name}[` ]", PAGE)


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_is_run_by_a_test(name: str) -> None:
    words = name.split()
    quoted = r",\s*".join(f'"{word}"' for word in words)
    by_name = r'"serve",\s*service' if words[0] == "serve" else r"^$"
    assert re.search(rf"{quoted}|{by_name}", SOURCES), f"no test runs omnichannel {name}"


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; sys.argv = ['omnichannel', '--help']\n"
        "from omnichannel.cli import app\n"
        "try:\n    app()\nexcept SystemExit:\n    pass\n"
        f"print(sorted(set({HEAVY!r}) & set(sys.modules)))"
    )
    shown = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert shown.stdout.splitlines()[-1] == "[]"
