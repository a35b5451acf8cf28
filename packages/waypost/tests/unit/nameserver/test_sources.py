"""The table of standards names tests that are there."""

import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[5]
TESTS = REPOSITORY / "packages" / "waypost" / "tests"
TABLE = REPOSITORY / "docs" / "sources-dns.md"


def test_every_line_of_the_table_is_held_by_tests_that_exist() -> None:
    defined = {
        name for path in TESTS.rglob("test_*.py") for name in re.findall(r"def (test_\w+)\(", path.read_text("utf-8"))
    }
    lines = [line for line in TABLE.read_text("utf-8").splitlines() if line.startswith("| ")][1:]
    assert len(lines) > 40
    for line in lines:
        *_, tests, _ = line.split("|")
        named = re.findall(r"`(test_\w+)`", tests)
        assert named, line
        assert set(named) <= defined, line
