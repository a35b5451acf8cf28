"""The READMEs' commands, run as they stand on a platform with addresses of its own, print what the READMEs show."""

import os
import re
import socket
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from tests.conftest import CHECKOUT, PATIENCE_S, Platform

README = CHECKOUT / "README.md"
PUBLISHER = CHECKOUT / "packages/omnichannel/README.md"
END = "--- the command has ended"


@dataclass(frozen=True, slots=True)
class Example:
    """One command of a page, with the lines that the page shows below it."""

    command: str
    shown: tuple[str, ...]


def examples(page: Path) -> list[Example]:
    """Return the commands of a page's console blocks: ``$`` begins one, ``>`` continues it, the rest is its output."""
    found: list[Example] = []
    for block in re.findall(r"```console\n(.*?)```", page.read_text(), re.DOTALL):
        for line in block.splitlines():
            if line.startswith("$ "):
                found.append(Example(line[2:], ()))
            elif line.startswith("> "):
                found[-1] = Example(f"{found[-1].command}\n{line[2:]}", ())
            else:
                found[-1] = Example(found[-1].command, (*found[-1].shown, line))
    return found


def pattern(line: str) -> "re.Pattern[str]":
    """Return what matches a line of the page: numbers may be others, and ``…`` stands for anything."""
    return re.compile(re.sub(r"\d+", lambda _: r"\d+", re.escape(line)).replace("…", ".*") + r"\s*")


def test_a_line_of_a_page_matches_its_like_alone() -> None:
    assert pattern("ready in 4.1 s: …").fullmatch("ready in 12.9 s: http://127.0.0.1:8000")
    assert not pattern("127.88.0.5").fullmatch("127.88.0")
    assert not pattern("3 workers").fullmatch("no workers")


@dataclass
class Terminal:
    """One shell in the checkout, for which the platform's addresses stand in for the default ones."""

    platform: Platform
    shell: "subprocess.Popen[str]"
    output: Path
    receiver: str

    def type(self, example: Example) -> None:
        """Run a command; fail unless it prints in time what the page shows, in any order, and nothing else."""
        command = example.command
        dns_host, _, dns_port = self.platform.address("dns").rpartition(":")
        for written, real in {
            "127.0.0.1 -p 8600": f"{dns_host} -p {dns_port}",
            "127.0.0.1:8500": self.platform.address("http"),
            "127.0.0.1:8000": self.platform.address("balancer"),
            "127.0.0.1:9000": self.receiver,
        }.items():
            command = command.replace(written, real)
        deadline = time.monotonic() + PATIENCE_S
        while not self._shows(command, example.shown, deadline):
            # Only questions may be asked again: what they tell comes about by itself.
            assert command.startswith(("dig ", "sleep ")), (command, example.shown, self.output.read_text())
            assert time.monotonic() < deadline, (command, example.shown, self.output.read_text())

    def _shows(self, command: str, shown: tuple[str, ...], deadline: float) -> bool:
        """Run a command, and return whether the lines that it prints are those of the page, in any order."""
        read = self.output.stat().st_size
        assert self.shell.stdin is not None
        self.shell.stdin.write(f"{command}\necho; echo {END}\n")
        self.shell.stdin.flush()
        wanted = [pattern(line) for line in shown]
        while True:
            with self.output.open() as file:
                file.seek(read)
                lines = [line for line in file.read().splitlines() if line.strip()]
            told = [line for line in lines if line != END]
            if END in lines:
                if len(told) == len(wanted) and all(any(want.fullmatch(line) for line in told) for want in wanted):
                    return True
                if len(told) > len(wanted) or command.startswith(("dig ", "sleep ")):
                    return False
            assert time.monotonic() < deadline, (command, shown, lines)
            time.sleep(0.02)


@pytest.fixture(scope="module")
def platform(own_platform: Platform) -> Platform:
    """Return a platform of this module's own: its pages show all that there is."""
    return own_platform


@pytest.fixture
def terminal(platform: Platform) -> Iterator[Terminal]:
    """Yield a shell in which the development environment's programs come first, as in an activated one."""
    environment = {
        **os.environ,
        "PATH": f"{CHECKOUT / '.venv/bin'}{os.pathsep}{os.environ['PATH']}",
        "WAYPOST_STATE_DIR": str(platform.state),
    }
    with socket.create_server(("127.0.0.1", 0)) as free:
        receiver = f"127.0.0.1:{free.getsockname()[1]}"
    output = platform.state.parent / "terminal.out"
    with output.open("wb") as file:
        shell = subprocess.Popen(
            ["bash"],
            cwd=CHECKOUT,
            env=environment,
            stdin=subprocess.PIPE,
            stdout=file,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
    yield Terminal(platform, shell, output, receiver)
    assert shell.stdin is not None
    shell.stdin.write("kill $(jobs -p)\n")
    shell.stdin.close()
    shell.wait(PATIENCE_S)


@pytest.mark.parametrize("page", [README, PUBLISHER], ids=["waypost", "omnichannel"])
def test_every_command_does_what_the_page_shows(terminal: Terminal, page: Path) -> None:
    told = examples(page)
    assert told
    for example in told:
        if example.command == "make up":
            assert pattern(example.shown[-1]).fullmatch(
                next(line for line in terminal.platform.output.splitlines() if line.startswith("ready")).replace(
                    terminal.platform.address("balancer"), "127.0.0.1:8000"
                )
            )
        else:
            terminal.type(example)


def test_every_page_that_the_readme_names_is_there() -> None:
    for page in (README, PUBLISHER, *sorted((CHECKOUT / "docs").rglob("*.md"))):
        for target in re.findall(r"\]\((?!https?://)([^)#]+)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} names {target}"


def test_make_help_lists_what_the_pages_name() -> None:
    listed = subprocess.run(["make", "help"], cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout
    pages = README.read_text() + (CHECKOUT / "CONTRIBUTING.md").read_text()
    for target in set(re.findall(r"`make ([a-z]+)`", pages)) | {"up", "test", "lint", "bench", "help"}:
        assert re.search(rf"^ *make {target} ", listed, re.MULTILINE), target
