from datetime import UTC, datetime, timedelta

import pytest

from omnichannel.channels.breaker import Account, Circuit, circuit, is_answer, pause_after
from omnichannel.messages.outcome import (
    Accepted,
    Delivered,
    Gone,
    LostAnswer,
    Outcome,
    PermanentFailure,
    Throttled,
    TransientFailure,
)

NOW = datetime(2030, 1, 1, 9, tzinfo=UTC)
SOON = NOW + timedelta(seconds=5)


@pytest.mark.parametrize(
    ("account", "state"),
    [
        (Account(), Circuit.CLOSED),
        (Account(failures=4), Circuit.CLOSED),
        (Account(failures=5, paused_until=SOON), Circuit.OPEN),
        (Account(failures=5, paused_until=NOW), Circuit.HALF_OPEN),
        (Account(paused_until=SOON), Circuit.OPEN),  # the provider asked to be let alone
        (Account(paused_until=NOW), Circuit.CLOSED),
    ],
)
def test_the_state_of_an_account(account: Account, state: Circuit) -> None:
    assert circuit(account, now=NOW) is state


@pytest.mark.parametrize(
    ("outcome", "failures", "pause_s"),
    [
        (TransientFailure("x"), 4, None),
        (TransientFailure("x"), 5, 5),
        (LostAnswer("x"), 6, 10),
        (TransientFailure("x"), 100, 300),
        (Throttled("x", 7), 1, 7),
        (Throttled("x", 100_000), 1, 3600),
        (Throttled("x"), 50, None),  # it says nothing of the others: the delivery alone waits
        (Accepted(), 9, None),
        (PermanentFailure("x"), 9, None),
    ],
)
def test_the_pause_after_an_outcome(outcome: Outcome, failures: int, pause_s: float | None) -> None:
    expected = None if pause_s is None else timedelta(seconds=pause_s)
    assert pause_after(outcome, failures=failures) == expected


def test_a_refusal_of_the_message_shows_that_the_provider_works() -> None:
    assert all(map(is_answer, [Accepted(), Delivered(), PermanentFailure("x"), Gone("x")]))
    assert not any(map(is_answer, [TransientFailure("x"), Throttled("x"), LostAnswer("x")]))
