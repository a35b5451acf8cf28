"""When results change the verdict."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from waypost.health.thresholds import Thresholds, Verdict


def verdicts(results: str, thresholds: Thresholds, healthy: bool | None = None) -> str:
    """Return the verdict after each result: + healthy, - unhealthy, ? unknown."""
    verdict, seen = Verdict(healthy), ""
    for result in results:
        verdict = verdict.after(result == "+", thresholds)
        seen += {True: "+", False: "-", None: "?"}[verdict.healthy]
    return seen


@pytest.mark.parametrize(
    ("results", "rise", "fall", "healthy", "expected"),
    [
        ("+", 1, 2, None, "+"),
        ("--", 1, 2, None, "?-"),
        ("+-+-+--", 1, 2, None, "++++++-"),
        ("-+-++", 2, 2, None, "????+"),
        ("+-++-", 2, 1, False, "---+-"),
        ("---", 1, 3, True, "++-"),
    ],
)
def test_results_in_a_row_change_the_verdict(
    results: str, rise: int, fall: int, healthy: bool | None, expected: str
) -> None:
    assert verdicts(results, Thresholds(rise, fall), healthy) == expected


@given(st.text("+-", max_size=50), st.integers(1, 5), st.integers(1, 5))
def test_a_verdict_never_changes_but_after_its_threshold_of_equal_results(results: str, rise: int, fall: int) -> None:
    seen = verdicts(results, Thresholds(rise, fall), True)
    for index, (before, after) in enumerate(zip("+" + seen, seen, strict=False)):
        if before != after:
            run = rise if after == "+" else fall
            assert results[index - run + 1 : index + 1] == after * run
