import asyncio

import pytest

from waypost.balancer.targets import SourceUnavailable, Targets, endpoint_of, follow
from waypost_client import Endpoint

ONE, TWO = Endpoint("192.0.2.1", 8080), Endpoint("192.0.2.2", 8080)


@pytest.mark.parametrize(
    ("attributes", "endpoint"),
    [
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INSTANCE_PORT": "8080"}, ONE),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1"}, Endpoint("192.0.2.1", 80)),
        ({"AWS_INSTANCE_IPV6": "2001:db8::1", "AWS_INSTANCE_PORT": "81"}, Endpoint("2001:db8::1", 81)),
        ({"AWS_INSTANCE_IPV4": "192.0.2.1", "AWS_INSTANCE_PORT": "http"}, None),
        ({"AWS_INSTANCE_CNAME": "example.com"}, None),
        ({}, None),
    ],
)
def test_an_instance_listens_where_its_attributes_say(attributes: dict[str, str], endpoint: Endpoint | None) -> None:
    assert endpoint_of(attributes) == endpoint


class Told:
    """A source that tells what it was given, one after the other, and then stops the following."""

    def __init__(self, *answers: tuple[Endpoint, ...] | None) -> None:
        self.stop = asyncio.Event()
        self.targets = Targets()
        self.seen: list[tuple[tuple[Endpoint, ...], float | None]] = []
        self._answers = list(answers)
        self._now = 0.0

    def clock(self) -> float:
        return self._now

    async def healthy_endpoints(self) -> tuple[Endpoint, ...]:
        self._now += 1
        self.seen.append((self.targets.endpoints, self.targets.told_at))
        if not self._answers:
            self.stop.set()
            raise SourceUnavailable("over")
        answer = self._answers.pop(0)
        if answer is None:
            raise SourceUnavailable("away")
        return answer

    async def followed(self) -> list[tuple[tuple[Endpoint, ...], float | None]]:
        """Return what the targets were before each question, and when they had been told."""
        await follow(self, self.targets, interval_s=0, stop=self.stop, clock=self.clock)
        return self.seen


async def test_the_targets_are_those_that_were_told_last() -> None:
    told = Told((ONE,), (ONE, TWO), ())
    assert [endpoints for endpoints, _ in await told.followed()] == [(), (ONE,), (ONE, TWO), ()]


async def test_while_the_source_is_away_the_last_list_stays_and_ages() -> None:
    told = Told((ONE,), None, None, (TWO,))
    assert await told.followed() == [((), None), ((ONE,), 0.0), ((ONE,), 0.0), ((ONE,), 0.0), ((TWO,), 3.0)]
