"""What shells complete, by the scripts that ``waypost completion`` prints."""

import shutil
import subprocess

import pytest
from typer.testing import CliRunner

from conftest import missing
from waypost.cli import app


def script(shell: str) -> str:
    printed = CliRunner().invoke(app, ["completion", shell])
    assert (printed.exit_code, printed.stderr) == (0, "")
    return printed.stdout


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        (["ex"], ["explain", "export"]),
        (["resolver", ""], ["show", "install", "remove", "--help"]),
        (["resolver", "inst"], ["install"]),
        (["instances", "--wa"], ["--watch"]),
        (["instances", "web", "--output", ""], ["table", "json", "jsonl", "name"]),
        (["wait", "web", "--for", "v"], ["visible"]),
        (["completion", "f"], ["fish"]),
        (["explain", "nothing"], []),
    ],
)
def test_bash_completes_commands_flags_and_values(line: list[str], offered: list[str]) -> None:
    words = " ".join(f"'{word}'" for word in ["waypost", *line])
    asked = f"COMP_WORDS=({words}); COMP_CWORD={len(line)}; _waypost_completion; printf '%s\\n' \"${{COMPREPLY[@]}}\""
    heard = subprocess.run(["bash", "-c", f"{script('bash')}\n{asked}"], capture_output=True, text=True, check=True)
    assert (heard.stdout.split(), heard.stderr) == (offered, "")


@pytest.mark.parametrize(("shell", "check"), [("zsh", ["-n"]), ("fish", ["--no-execute"])])
def test_the_script_is_one_of_its_shell(shell: str, check: list[str]) -> None:
    printed = script(shell)
    assert "explain" in printed
    if shutil.which(shell) is None:
        missing(shell)
    subprocess.run([shell, *check], input=printed, text=True, check=True, capture_output=True)


def test_another_shell_is_refused() -> None:
    assert CliRunner().invoke(app, ["completion", "tcsh"]).exit_code == 2
