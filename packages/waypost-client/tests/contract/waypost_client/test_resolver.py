import asyncio
import logging
import socket

import pytest

from waypost_client import Answer, Endpoint, NoAddress, ResolutionFailed, Resolver

A = ";ANSWER\na.example. 2 IN A 192.0.2.1\na.example. 2 IN A 192.0.2.2"
BOTH = (Endpoint("192.0.2.1", 80), Endpoint("192.0.2.2", 80))


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def resolver(nameserver: Endpoint, clock: Clock) -> Resolver:
    return Resolver([nameserver], try_s=0.2, tries=2, clock=clock)


async def test_an_answer_holds_every_address(resolver: Resolver, zone: dict[str, str]) -> None:
    zone["a.example. A"] = A
    assert await resolver.resolve("a.example", port=80) == Answer(name="a.example", endpoints=BOTH, expires_at=1002.0)


async def test_a_name_is_the_same_in_capitals_and_with_a_dot(
    resolver: Resolver, zone: dict[str, str], questions: list[str]
) -> None:
    zone["a.example. A"] = A
    for name in ("a.example", "A.Example", "a.example."):
        assert (await resolver.resolve(name, port=80)).endpoints == BOTH
    assert questions == ["a.example. A udp"]


async def test_dns_is_asked_again_when_the_ttl_has_passed(
    resolver: Resolver, zone: dict[str, str], questions: list[str], clock: Clock
) -> None:
    zone["a.example. A"] = A
    for clock.now in (1000.0, 1001.9, 1002.0):
        await resolver.resolve("a.example", port=80)
    assert len(questions) == 2


async def test_callers_at_the_same_time_share_one_query(
    resolver: Resolver, zone: dict[str, str], questions: list[str]
) -> None:
    zone["a.example. A"] = A
    await asyncio.gather(*(resolver.resolve("a.example", port=80) for _ in range(50)))
    assert questions == ["a.example. A udp"]


async def test_a_caller_that_gives_up_does_not_end_the_look_up_of_the_others(
    resolver: Resolver, zone: dict[str, str]
) -> None:
    zone["a.example. A"] = A
    first, second = (asyncio.create_task(resolver.resolve("a.example", port=80)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).endpoints == BOTH


async def test_a_name_that_does_not_exist_is_remembered_for_the_minimum_of_its_zone(
    resolver: Resolver, questions: list[str], clock: Clock
) -> None:
    for clock.now in (1000.0, 1002.9):
        with pytest.raises(NoAddress, match=r"a\.example does not exist"):
            await resolver.resolve("a.example", port=80)
    assert questions == ["a.example. A udp"]
    clock.now = 1003.0
    with pytest.raises(NoAddress):
        await resolver.resolve("a.example", port=80)
    assert len(questions) == 2


async def test_an_absence_is_never_remembered_for_longer_than_the_limit(
    nameserver: Endpoint, questions: list[str], clock: Clock
) -> None:
    resolver = Resolver([nameserver], longest_absence_s=1, clock=clock)
    for clock.now in (1000.0, 1001.0):
        with pytest.raises(NoAddress):
            await resolver.resolve("a.example", port=80)
    assert len(questions) == 2


async def test_a_name_without_ipv4_is_asked_for_ipv6(resolver: Resolver, zone: dict[str, str]) -> None:
    zone["a.example. AAAA"] = ";ANSWER\na.example. 2 IN AAAA 2001:db8::1"
    assert (await resolver.resolve("a.example", port=80)).endpoints == (Endpoint("2001:db8::1", 80),)


async def test_srv_gives_the_port_too(resolver: Resolver, zone: dict[str, str]) -> None:
    zone["a.example. SRV"] = (
        ";ANSWER\na.example. 2 IN SRV 1 1 9001 one.a.example.\na.example. 2 IN SRV 1 1 9002 two.a.example.\n"
        ";ADDITIONAL\none.a.example. 2 IN A 192.0.2.1"
    )
    zone["two.a.example. A"] = ";ANSWER\ntwo.a.example. 1 IN A 192.0.2.1"
    answer = await resolver.resolve("a.example", port=80)
    assert sorted(answer.endpoints) == [Endpoint("192.0.2.1", 9001), Endpoint("192.0.2.1", 9002)]
    assert answer.expires_at == 1001.0


async def test_a_name_that_exists_without_address_says_so(resolver: Resolver, zone: dict[str, str]) -> None:
    zone["a.example. TXT"] = ";ANSWER\na.example. 2 IN TXT hello"
    with pytest.raises(NoAddress, match=r"a\.example has no address at present"):
        await resolver.resolve("a.example", port=80)


async def test_an_alias_into_another_zone_is_followed(resolver: Resolver, zone: dict[str, str]) -> None:
    zone["b.example. A"] = ";ANSWER\nb.example. 1 IN CNAME a.example."
    zone["a.example. A"] = A
    assert await resolver.resolve("b.example", port=80) == Answer(name="b.example", endpoints=BOTH, expires_at=1001.0)


async def test_aliases_without_end_are_given_up(resolver: Resolver, zone: dict[str, str]) -> None:
    for here, there in (("b", "c"), ("c", "b")):
        zone[f"{here}.example. A"] = f";ANSWER\n{here}.example. 1 IN CNAME {there}.example."
    with pytest.raises(ResolutionFailed, match="aliases"):
        await resolver.resolve("b.example", port=80)


async def test_a_truncated_answer_is_fetched_by_tcp(
    resolver: Resolver, zone: dict[str, str], questions: list[str]
) -> None:
    zone["a.example. A"] = f"flags TC\n{A}"
    assert (await resolver.resolve("a.example", port=80)).endpoints == BOTH
    assert questions == ["a.example. A udp", "a.example. A tcp"]


async def test_the_next_nameserver_is_asked_when_the_first_is_silent(
    nameserver: Endpoint, zone: dict[str, str]
) -> None:
    zone["a.example. A"] = A
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        resolver = Resolver([Endpoint(*silent.getsockname()), nameserver], try_s=0.05)
        assert (await resolver.resolve("a.example", port=80)).endpoints == BOTH


async def test_the_next_nameserver_is_asked_when_nobody_listens_at_the_first(
    nameserver: Endpoint, zone: dict[str, str]
) -> None:
    zone["a.example. A"] = A
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as closed:
        closed.bind(("127.0.0.1", 0))
        nobody = Endpoint(*closed.getsockname())
    resolver = Resolver([nobody, nameserver], try_s=30)
    async with asyncio.timeout(5):
        assert (await resolver.resolve("a.example", port=80)).endpoints == BOTH


@pytest.mark.parametrize("trouble", ["silence", "rcode SERVFAIL\n", "rcode REFUSED\n"])
async def test_while_dns_is_away_the_last_good_answer_is_given_and_says_so(
    resolver: Resolver, zone: dict[str, str], clock: Clock, trouble: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "waypost_client")
    zone["a.example. A"] = A
    await resolver.resolve("a.example", port=80)
    zone["a.example. A"] = trouble
    for clock.now in (1003.0, 1003.5, 1005.0, 1005.5):
        answer = await resolver.resolve("a.example", port=80)
        assert (answer.endpoints, answer.stale) == (BOTH, True)
    zone["a.example. A"] = A
    while (await resolver.resolve("a.example", port=80)).stale:
        clock.now += 1
        await asyncio.sleep(0.01)
    assert [record.levelname for record in caplog.records] == ["WARNING", "INFO"]


async def test_once_dns_is_known_to_be_away_no_caller_waits_for_it(
    nameserver: Endpoint, zone: dict[str, str], clock: Clock
) -> None:
    resolver = Resolver([nameserver], try_s=30, tries=1, clock=clock)
    zone["a.example. A"] = A
    await resolver.resolve("a.example", port=80)
    clock.now, zone["a.example. A"] = 1003.0, "rcode SERVFAIL\n"
    await resolver.resolve("a.example", port=80)
    clock.now, zone["a.example. A"] = 1010.0, "silence"
    async with asyncio.timeout(5):
        assert (await resolver.resolve("a.example", port=80)).stale
    await resolver.aclose()


async def test_with_nothing_remembered_the_failure_says_what_the_nameserver_did(
    resolver: Resolver, zone: dict[str, str], nameserver: Endpoint
) -> None:
    zone["a.example. A"] = "silence"
    with pytest.raises(ResolutionFailed, match=rf"a\.example .*{nameserver} did not answer within 0\.2 s"):
        await resolver.resolve("a.example", port=80)


async def test_closing_ends_the_look_ups_under_way(nameserver: Endpoint, zone: dict[str, str]) -> None:
    resolver = Resolver([nameserver], try_s=30)
    zone["a.example. A"] = "silence"
    waiting = asyncio.create_task(resolver.resolve("a.example", port=80))
    await asyncio.sleep(0)
    await resolver.aclose()
    with pytest.raises(ResolutionFailed, match="the resolver was closed"):
        await waiting


@pytest.mark.parametrize(
    ("host", "address"), [("192.0.2.7", "192.0.2.7"), ("2001:db8::7", "2001:db8::7"), ("localhost", "127.0.0.1")]
)
async def test_an_address_is_its_own_answer(resolver: Resolver, questions: list[str], host: str, address: str) -> None:
    assert (await resolver.resolve(host, port=80)).endpoints == (Endpoint(address, 80),)
    assert not questions


@pytest.mark.parametrize("name", ["a..example", "x" * 64 + ".example"])
async def test_what_is_no_domain_name_fails_without_a_query(
    resolver: Resolver, questions: list[str], name: str
) -> None:
    with pytest.raises(ResolutionFailed, match="no domain name"):
        await resolver.resolve(name, port=80)
    assert not questions
