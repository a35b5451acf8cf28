"""The wheels: what a stranger installs."""

import re
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest
from tests.conftest import CHECKOUT


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Return the three wheels by name, built as for a release."""
    folder = tmp_path_factory.mktemp("wheels")
    for package in ("waypost-client", "waypost", "omnichannel"):
        command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder]
        subprocess.run([*command, CHECKOUT / "packages" / package], check=True, capture_output=True)
    return {path.name.split("-")[0]: path for path in folder.glob("*.whl")}


@pytest.mark.timeout(300)
def test_the_wheels_work_in_an_empty_environment(wheels: dict[str, Path], tmp_path: Path) -> None:
    pins = re.findall(r"^([\w.\[\]-]+==[^\s;\\]+)", (CHECKOUT / "requirements/run.txt").read_text(), re.MULTILINE)
    (tmp_path / "pins.txt").write_text("\n".join(pins))
    venv.create(tmp_path / "empty")
    programs = tmp_path / "empty/bin"
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--python", programs / "python"]
    install = [*pip, "install", "--quiet", "--no-compile"]  # most of the modules are never imported here
    subprocess.run(
        [*install, "--constraint", tmp_path / "pins.txt", *wheels.values()],
        check=True,
        capture_output=True,
        cwd=tmp_path,
    )
    for command in (["waypost", "up", "--help"], ["omnichannel", "--help"]):
        shown = subprocess.run([programs / command[0], *command[1:]], capture_output=True, text=True, cwd=tmp_path)
        assert shown.returncode == 0, shown.stderr
        assert "Usage" in shown.stdout
    subprocess.run([*pip, "check"], check=True, capture_output=True, cwd=tmp_path)


def test_each_wheel_carries_its_types_and_its_licence(wheels: dict[str, Path]) -> None:
    assert sorted(wheels) == ["omnichannel", "waypost", "waypost_client"]
    for name, wheel in wheels.items():
        names = zipfile.ZipFile(wheel).namelist()
        assert f"{name}/py.typed" in names
        assert any(each.endswith("LICENSE") for each in names), names
        assert not any("tests" in each for each in names)
    page = zipfile.ZipFile(wheels["omnichannel"]).namelist()
    assert {f"omnichannel/api/page/assets/{each}" for each in ("index.html", "main.js", "style.css")} <= set(page)


def test_the_lock_files_carry_hashes_and_no_index_address() -> None:
    for lock in ("run.txt", "dev.txt"):
        text = (CHECKOUT / "requirements" / lock).read_text()
        assert "://" not in text
        assert not re.search(r"^\s*-{1,2}(i|index|extra-index|find-links|trusted)", text, re.MULTILINE)
        for requirement in re.split(r"\n(?=\S)", text.strip()):
            assert re.match(r"[\w.\[\]-]+==\S+", requirement), requirement
            assert "--hash=sha256:" in requirement, requirement
