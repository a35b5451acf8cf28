"""How far a turn of the loop reads."""

import pytest

from waypost.nameserver.datagrams import DATAGRAMS_PER_TURN, TURNS_ALONE, turns_of_one


@pytest.mark.parametrize(("found", "turns"), [(0, TURNS_ALONE), (1, TURNS_ALONE), (2, 0), (DATAGRAMS_PER_TURN, 0)])
def test_only_after_a_query_that_came_alone_do_turns_read_one(found: int, turns: int) -> None:
    assert turns_of_one(found) == turns
