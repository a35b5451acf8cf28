from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from omnichannel.messages.lifecycle import (
    ARRIVED,
    NEXT,
    OPEN,
    REPLAYABLE,
    UNCLAIMED,
    Event,
    IllegalMove,
    diagram,
    message_status,
    move,
)
from omnichannel.messages.model import DeliveryStatus, MessageStatus

S = DeliveryStatus
M = MessageStatus

MESSAGES = [
    ([S.SCHEDULED], M.SCHEDULED),
    ([S.SCHEDULED, S.SCHEDULED], M.SCHEDULED),
    ([S.SCHEDULED, S.CANCELLED], M.SCHEDULED),
    ([S.SCHEDULED, S.QUEUED], M.IN_PROGRESS),
    ([S.SCHEDULED, S.DELIVERED], M.IN_PROGRESS),
    ([S.SCHEDULED, S.DEAD], M.IN_PROGRESS),
    ([S.QUEUED], M.IN_PROGRESS),
    ([S.SENDING], M.IN_PROGRESS),
    ([S.RETRY_WAIT], M.IN_PROGRESS),
    ([S.RETRY_WAIT, S.DELIVERED], M.IN_PROGRESS),
    ([S.ACCEPTED], M.COMPLETED),
    ([S.DELIVERED], M.COMPLETED),
    ([S.ACCEPTED, S.DELIVERED], M.COMPLETED),
    ([S.DELIVERED, S.DEAD], M.PARTIALLY_FAILED),
    ([S.ACCEPTED, S.UNKNOWN], M.PARTIALLY_FAILED),
    ([S.DELIVERED, S.CANCELLED], M.PARTIALLY_FAILED),
    ([S.DELIVERED, S.BOUNCED], M.PARTIALLY_FAILED),
    ([S.DEAD], M.FAILED),
    ([S.UNKNOWN], M.FAILED),
    ([S.SUPPRESSED], M.FAILED),
    ([S.EXPIRED], M.FAILED),
    ([S.BOUNCED], M.FAILED),
    ([S.DEAD, S.UNKNOWN, S.CANCELLED], M.FAILED),
    ([S.CANCELLED, S.CANCELLED], M.CANCELLED),
]


@pytest.mark.parametrize(("deliveries", "expected"), MESSAGES)
def test_a_message_is_what_its_deliveries_make_it(deliveries: list[S], expected: M) -> None:
    assert message_status(Counter(deliveries)) is expected


def test_a_message_without_deliveries_has_no_status() -> None:
    with pytest.raises(ValueError, match="at least one"):
        message_status({S.QUEUED: 0})


@given(st.lists(st.sampled_from(S), min_size=1))
def test_a_message_is_open_exactly_while_a_delivery_is(deliveries: list[S]) -> None:
    is_open = message_status(Counter(deliveries)) in {M.SCHEDULED, M.IN_PROGRESS}
    assert is_open == any(status in OPEN for status in deliveries)


def test_every_state_is_reached() -> None:
    assert set(NEXT.values()) == set(S)


def test_only_an_unclaimed_delivery_can_be_cancelled() -> None:
    assert {status for status, event in NEXT if event is Event.CANCELLED} == UNCLAIMED


def test_an_open_delivery_can_always_move_on() -> None:
    assert {status for status, _ in NEXT} >= OPEN


@pytest.mark.parametrize("status", sorted(set(S) - OPEN))
def test_what_has_ended_is_never_sent_again(status: S) -> None:
    by_itself = {to for (at, event), to in NEXT.items() if at is status and event is not Event.REPLAYED}
    assert by_itself.isdisjoint(OPEN)


def test_only_what_has_failed_can_be_replayed() -> None:
    assert {S.DEAD, S.UNKNOWN} == REPLAYABLE


def test_an_illegal_move_is_refused_in_words() -> None:
    with pytest.raises(IllegalMove, match="a delivery that is cancelled cannot be claimed"):
        move(S.CANCELLED, Event.CLAIMED)


class Life(RuleBasedStateMachine):
    """A delivery to which anything happens, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.status = S.SCHEDULED
        self.attempts = 0
        self.taken = False  # the channel has taken it

    @rule(event=st.sampled_from(Event))
    def happens(self, event: Event) -> None:
        before = self.status
        try:
            self.status = move(before, event)
        except IllegalMove:
            return
        self.attempts += event is Event.CLAIMED
        self.taken |= event in {Event.ACCEPTED, Event.DELIVERED}

    @precondition(lambda self: self.status in OPEN)
    @rule()
    def goes_on(self) -> None:
        ahead = {S.SCHEDULED: Event.DISPATCHED, S.RETRY_WAIT: Event.DISPATCHED, S.QUEUED: Event.CLAIMED}
        self.happens(ahead.get(self.status, Event.ACCEPTED))

    @invariant()
    def nothing_arrives_without_an_attempt(self) -> None:
        assert self.attempts or self.status not in ARRIVED | {S.DEAD, S.UNKNOWN, S.BOUNCED, S.SENDING, S.RETRY_WAIT}

    @invariant()
    def what_the_channel_took_is_not_sent_again(self) -> None:
        assert not (self.taken and self.status in OPEN)


TestLife = Life.TestCase


def test_the_documented_diagram_is_drawn_from_the_table() -> None:
    page = (Path(__file__).parents[5] / "docs" / "why" / "delivery.md").read_text(encoding="utf-8")
    assert f"```mermaid\n{diagram()}\n```" in page
