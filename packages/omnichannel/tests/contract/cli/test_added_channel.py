"""A channel of somebody else's, installed as a distribution of its own and used by the command as it is."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from zipfile import ZipFile

import pytest

OMNICHANNEL = Path(sys.executable).with_name("omnichannel")
MODULE = """
from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.carries import Carries
from omnichannel.channels.kinds import Kind
from omnichannel.channels.rendered import as_one_text
from omnichannel.messages.outcome import Accepted


class Pager:
    endpoint = "http://127.0.0.1:9"

    def __init__(self, token):
        self._token = token

    async def check_address(self, address):
        if not address.isdecimal():
            raise InvalidAddress(address, "is no pager's number")

    def render(self, subject, body):
        return as_one_text(subject, body, limit=80, limit_of="A pager")

    async def send(self, claim):
        return Accepted(f"page-to-{claim.address}-by-{self._token.read()}")

    async def healthy(self):
        return True

    async def close(self):
        pass


def build(settings, credentials):
    token = credentials.secret("PAGER_TOKEN")
    return None if token is None else Pager(token)


PAGER = Kind("pager", build, carries=Carries(characters=80))
"""
METADATA = "Metadata-Version: 2.1\nName: omnichannel-pager\nVersion: 1.0\nRequires-Dist: omnichannel\n"
WHEEL = "Wheel-Version: 1.0\nGenerator: by-hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
ENTRY_POINTS = "[omnichannel.channels]\npager = omnichannel_pager:PAGER\n"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that a wheel with one channel was installed into."""
    folder = tmp_path_factory.mktemp("wheel")
    wheel, target = folder / "omnichannel_pager-1.0-py3-none-any.whl", folder / "site"
    information = "omnichannel_pager-1.0.dist-info"
    with ZipFile(wheel, "w") as archive:
        archive.writestr("omnichannel_pager.py", MODULE)
        for name, text in {"METADATA": METADATA, "WHEEL": WHEEL, "entry_points.txt": ENTRY_POINTS}.items():
            archive.writestr(f"{information}/{name}", text)
        names = [*archive.namelist(), f"{information}/RECORD"]
        archive.writestr(f"{information}/RECORD", "".join(f"{name},,\n" for name in names))
    install = [sys.executable, "-m", "pip", "install", "--no-index", "--no-deps", "--target", str(target), str(wheel)]
    subprocess.run(install, check=True, capture_output=True, timeout=120)
    return target


@pytest.fixture(autouse=True)
def tables(tmp_path: Path, migrated_sqlite: Path) -> None:
    """Spare each command the migrations: that one makes its tables first, the publisher of ``conftest`` shows."""
    shutil.copy(migrated_sqlite, tmp_path / "test.db")


def run(site: Path | None, tmp_path: Path, *arguments: str, **more: str) -> "subprocess.CompletedProcess[str]":
    environment = {"PATH": os.environ["PATH"], "DATABASE_URL": f"sqlite:///{tmp_path / 'test.db'}"} | more
    if site is not None:
        environment["PYTHONPATH"] = str(site)
    command = [OMNICHANNEL, "channels", "test", "pager", *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)


def test_it_is_a_channel_once_it_is_installed(site: Path, tmp_path: Path) -> None:
    sent = run(site, tmp_path, "--to", "117", PAGER_TOKEN="t")
    assert (sent.returncode, sent.stdout) == (0, "accepted as page-to-117-by-t by a stand-in on this machine\n")
    own = run(site, tmp_path, "--to", "117", "--account", "night", PAGER__NIGHT__PAGER_TOKEN="n")
    assert own.stdout == "accepted as page-to-117-by-n by a stand-in on this machine\n", own.stderr


@pytest.mark.parametrize(
    ("installed", "arguments", "environment", "named"),
    [
        (False, ("--to", "117"), {}, "there is no channel pager"),
        (True, ("--to", "117"), {}, "the channel pager is not configured on this platform"),
        (True, ("--to", "ada"), {"PAGER_TOKEN": "t"}, "'ada' is no pager's number"),
    ],
)
def test_what_is_wrong_is_told_as_of_any_other(
    installed: bool,
    arguments: tuple[str, ...],
    environment: dict[str, str],
    named: str,
    site: Path,
    tmp_path: Path,
) -> None:
    done = run(site if installed else None, tmp_path, *arguments, **environment)
    assert (done.returncode, named in done.stderr) == (1, True), done.stderr
