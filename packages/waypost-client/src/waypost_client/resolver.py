"""Asks nameservers where a service listens, and remembers the answer for as long as it holds."""

import asyncio
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from copy import copy
from dataclasses import replace
from ipaddress import ip_address
from math import inf
from typing import Final

import dns.exception
import dns.message
import dns.name
import dns.rdatatype

from waypost_client.cache import Answer, Cache, Refusal
from waypost_client.endpoint import Endpoint
from waypost_client.errors import NoAddress, ResolutionFailed
from waypost_client.exchange import exchange
from waypost_client.nameservers import nameservers
from waypost_client.reply import Alias, Located, NoData, NoName, Outcome, Server, Trouble, read_reply

__all__ = ["Resolver"]

PAYLOAD: Final = 1232  # octets of UDP that cross any network in one piece (DNS Flag Day 2020)
LONGEST_ALIAS_CHAIN: Final = 8
MOST_SERVERS: Final = 64  # of one SRV answer whose addresses did not come with it, so many are asked for
LOOPBACK: Final = "127.0.0.1"

log: Final = logging.getLogger("waypost_client")


class Resolver:
    """Turns a service's name into endpoints, by DNS.

    An A record gives an address, and the caller the port. Where there is none, AAAA is asked for, and SRV, which gives
    address and port. An answer is used for its TTL, an absence for the TTL in its SOA but at most
    ``longest_absence_s``; callers that ask for one name at the same time share one look-up. While no nameserver
    answers, the last good answer is given for another ``stale_for_s``, and says so (``Answer.stale``).
    """

    def __init__(
        self,
        servers: Sequence[Endpoint],
        *,
        try_s: float = 1.0,
        tries: int = 3,
        longest_absence_s: float = 5.0,
        stale_for_s: float = 3600.0,
        retry_s: float = 1.0,
        names: int = 1024,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Ask these nameservers in turn, the first one first.

        :param try_s: seconds that one nameserver has to reply; all tries together bound a look-up.
        :param tries: questions sent before a look-up fails.
        :param longest_absence_s: seconds; lower finds a new service sooner and asks more often.
        :param stale_for_s: seconds; lower where addresses pass to other services quickly.
        :param retry_s: seconds between look-ups of one name while no nameserver answers.
        :param names: names remembered at most.
        """
        assert servers, "a resolver needs a nameserver to ask"
        self._servers = tuple(servers)
        self._try_s = try_s
        self._tries = tries
        self._longest_absence_s = longest_absence_s
        self._clock = clock
        self._cache = Cache(size=names, stale_for_s=stale_for_s, retry_s=retry_s)
        self._look_ups: dict[tuple[str, int], asyncio.Task[Answer | Refusal]] = {}

    @classmethod
    def from_environment(cls, environment: Mapping[str, str] = os.environ) -> "Resolver":
        """Return a resolver that asks ``WAYPOST_DNS``, or else the system's nameservers.

        :raises NameserverUnknown: there is no telling whom to ask.
        """
        return cls(nameservers(environment))

    async def resolve(self, name: str, *, port: int, newer_than: float | None = None) -> Answer:
        """Return where the service of that name listens: on ``port``, unless DNS says on which.

        :param newer_than: seconds of the resolver's clock; an answer that was asked for before is not used if DNS can
            be asked, although its time has not passed: for callers who see that it is wrong.
        An IP address is its own answer, and ``localhost`` is the loopback address (RFC 6761).

        :raises NoAddress: DNS says that there is nobody.
        :raises ResolutionFailed: no nameserver answers, and no answer is remembered.
        """
        name = name.rstrip(".").lower()
        literal = _literal(name)
        if literal is not None:
            return Answer(name=name, endpoints=(Endpoint(literal, port),), expires_at=inf, asked_at=inf)
        outcome = self._cache.get(name, port, now=self._clock())
        if newer_than is not None and isinstance(outcome, Answer) and outcome.asked_at < newer_than:
            outcome = None
        if outcome is None:
            look_up = self._look_up_once(name, port)
            outcome = self._cache.meanwhile(name, port, now=self._clock()) or await _result(look_up, name)
        if isinstance(outcome, Refusal):
            raise copy(outcome.error)  # each caller's own: a raised one gathers tracebacks
        return outcome

    async def aclose(self) -> None:
        """End the look-ups that are under way."""
        under_way = tuple(self._look_ups.values())
        for task in under_way:
            task.cancel()
        await asyncio.gather(*under_way, return_exceptions=True)

    def _look_up_once(self, name: str, port: int) -> asyncio.Task[Answer | Refusal]:
        task = self._look_ups.get((name, port))
        if task is None:
            task = asyncio.create_task(self._look_up(name, port), name=f"resolve {name}")
            self._look_ups[name, port] = task
            task.add_done_callback(lambda _: self._look_ups.pop((name, port)))
        return task

    async def _look_up(self, name: str, port: int) -> Answer | Refusal:
        asked_at = self._clock()
        found = await self._locate(name)
        was_away = self._cache.is_falling_back(name, port)
        if isinstance(found, Trouble):
            instead = self._cache.fall_back(name, port, ResolutionFailed(name, found.reason), now=self._clock())
            if not was_away:
                given = "the last good answer is used" if isinstance(instead, Answer) else "nothing is known of it"
                log.warning("%s could not be resolved: %s; %s", name, found.reason, given)
            return instead
        if was_away:
            log.info("%s is resolved again", name)
        outcome = self._outcome(name, port, found, asked_at)
        self._cache.keep(name, port, outcome)
        return outcome

    def _outcome(self, name: str, port: int, found: Located | NoData | NoName, asked_at: float) -> Answer | Refusal:
        if isinstance(found, Located):
            own = (Endpoint(address, port) for address in found.addresses)
            told = (Endpoint(address, server.port) for server in found.servers for address in server.addresses)
            return Answer(name=name, endpoints=(*own, *told), expires_at=asked_at + found.ttl_s, asked_at=asked_at)
        error = NoAddress(name, exists=isinstance(found, NoData))
        return Refusal(error=error, expires_at=asked_at + min(found.ttl_s, self._longest_absence_s))

    async def _locate(self, text: str) -> Located | NoData | NoName | Trouble:
        try:
            name = dns.name.from_text(text)
        except dns.exception.DNSException as error:
            return Trouble(f"it is no domain name: {error}")
        found = await self._ask(name, dns.rdatatype.A)
        if not isinstance(found, NoData):
            return found
        ipv6, srv = await asyncio.gather(self._ask(name, dns.rdatatype.AAAA), self._ask(name, dns.rdatatype.SRV))
        if isinstance(ipv6, Located):
            return ipv6
        if isinstance(srv, Located):
            return await self._with_addresses(srv)
        return next((each for each in (ipv6, srv) if isinstance(each, Trouble)), found)

    async def _with_addresses(self, srv: Located) -> Located | NoData | Trouble:
        bare = [server for server in srv.servers if not server.addresses]
        asked = await asyncio.gather(*(self._addresses_of(server) for server in bare[:MOST_SERVERS]))
        complete = [server for server in srv.servers if server.addresses]
        troubles, ttl_s = [], srv.ttl_s
        for server, found in zip(bare, asked, strict=False):
            if isinstance(found, Located):
                complete.append(replace(server, addresses=found.addresses))
                ttl_s = min(ttl_s, found.ttl_s)
            elif isinstance(found, Trouble):
                troubles.append(found)
        if complete:
            return Located(ttl_s, servers=tuple(complete))
        return troubles[0] if troubles else NoData(0)

    async def _addresses_of(self, server: Server) -> Located | NoData | NoName | Trouble:
        ipv4 = await self._ask(server.target, dns.rdatatype.A)
        return await self._ask(server.target, dns.rdatatype.AAAA) if isinstance(ipv4, NoData) else ipv4

    async def _ask(
        self, name: dns.name.Name, record_type: dns.rdatatype.RdataType
    ) -> Located | NoData | NoName | Trouble:
        ttl_s = inf
        for _ in range(LONGEST_ALIAS_CHAIN):
            outcome = await self._ask_in_turn(name, record_type)
            if isinstance(outcome, Trouble):
                return outcome
            ttl_s = min(ttl_s, outcome.ttl_s)
            if not isinstance(outcome, Alias):
                return replace(outcome, ttl_s=ttl_s)
            name = outcome.target
        return Trouble(f"more than {LONGEST_ALIAS_CHAIN} aliases lead from one to the next")

    async def _ask_in_turn(self, name: dns.name.Name, record_type: dns.rdatatype.RdataType) -> Outcome:
        trouble = Trouble("not asked")
        for turn in range(self._tries):
            nameserver = self._servers[turn % len(self._servers)]
            query = dns.message.make_query(name, record_type, use_edns=0, payload=PAYLOAD)
            try:
                async with asyncio.timeout(self._try_s):
                    outcome = read_reply(await exchange(query, nameserver))
            except TimeoutError:
                outcome = Trouble(f"{nameserver} did not answer within {self._try_s:g} s")
            except (OSError, dns.exception.DNSException) as error:
                outcome = Trouble(f"{nameserver}: {error}")
            if not isinstance(outcome, Trouble):
                return outcome
            trouble = outcome
        return trouble


def _literal(name: str) -> str | None:
    if name == "localhost" or name.endswith(".localhost"):
        return LOOPBACK
    try:
        return str(ip_address(name))
    except ValueError:
        return None


async def _result(look_up: asyncio.Task[Answer | Refusal], name: str) -> Answer | Refusal:
    await asyncio.wait([look_up])  # not awaited itself: a caller that gives up must not end the look-up of the others
    if look_up.cancelled():
        raise ResolutionFailed(name, "the resolver was closed")
    return look_up.result()
