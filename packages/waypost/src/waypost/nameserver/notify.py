"""NOTIFY: secondaries are told at once when a zone has changed. Source: RFC 1996.

A secondary is told of a zone again until it confirms; what changes meanwhile is one more notification, not one for each
change. A secondary that stays silent learns of the zone by its refresh timer.
"""

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from functools import partial
from itertools import islice
from typing import Final

from dns.flags import Flag
from dns.opcode import Opcode
from dns.rdataclass import RdataClass
from dns.rdatatype import RdataType

from waypost.nameserver.counters import Counters
from waypost.nameserver.messages import FLAGS_AND_COUNTS
from waypost.nameserver.queries import HEADER_OCTETS, TYPE_AND_CLASS
from waypost.nameserver.sections import ASKED_NAME, AUTHORITATIVE, encode_choices
from waypost.nameserver.settings import Place
from waypost.nameserver.zone import Zone
from waypost.structured_log import structlog

__all__ = ["Notifier"]

PATIENCE_S: Final = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds for a secondary to confirm, at each try
MOST_AT_ONCE: Final = 64  # notifications under way; a server that starts has all its zones to tell of
APART_S: Final = 0.1  # seconds between two notifications of a zone: what changes meanwhile is told together
NOTIFY: Final = Opcode.NOTIFY << 11 | AUTHORITATIVE
QUESTION_OF_SOA: Final = TYPE_AND_CLASS.pack(RdataType.SOA, RdataClass.IN)

log = structlog.get_logger()


class Notifier:
    """Tells secondaries.

    :param zone_named: returns the zone of a name as it is now, or None.
    :param sources: addresses of this server: the first of each family is the one that its secondaries know it by.
    """

    def __init__(
        self,
        secondaries: Sequence[Place],
        zone_named: Callable[[bytes], Zone | None],
        counters: Counters,
        *,
        sources: Sequence[str] = (),
    ) -> None:
        self._secondaries, self._zone_named, self._counters = secondaries, zone_named, counters
        self._sources = {":" in source: source for source in reversed(sources)}  # of each family the first
        self._changed = {secondary: dict[bytes, None]() for secondary in secondaries}
        self._ring = asyncio.Event()

    def changed(self, zones: set[bytes]) -> None:
        """Note that zones have changed. Does not wait."""
        if not zones:
            return
        for waiting in self._changed.values():
            waiting.update(dict.fromkeys(zones))
        self._ring.set()

    async def run(self) -> None:
        """Tell of what changes, until cancelled."""
        busy: dict[tuple[Place, bytes], asyncio.Task[None]] = {}
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._ring.wait()
                self._ring.clear()
                for secondary, zones in self._changed.items():
                    due = (name for name in zones if (secondary, name) not in busy)
                    for zone in list(islice(due, max(0, MOST_AT_ONCE - len(busy)))):
                        del zones[zone]
                        task = tasks.create_task(self._tell(secondary, zone), name="notify")
                        busy[secondary, zone] = task
                        task.add_done_callback(partial(self._told, busy, (secondary, zone)))

    def _told(
        self, busy: "dict[tuple[Place, bytes], asyncio.Task[None]]", done: tuple[Place, bytes], _: "asyncio.Task[None]"
    ) -> None:
        del busy[done]
        self._ring.set()  # it may have changed again

    async def _tell(self, secondary: Place, name: bytes) -> None:
        """Tell a secondary of a zone, until it confirms or more tries help nobody."""
        for patience_s in PATIENCE_S:
            zone = self._zone_named(name)
            if zone is None:
                return
            try:
                async with asyncio.timeout(patience_s):
                    await self._notify(secondary, zone)
            except TimeoutError:
                continue
            except OSError as exc:
                log.info("notify.not_sent", secondary=str(secondary), error=str(exc))
                await asyncio.sleep(patience_s)
            else:
                self._counters.add("notified")
                await asyncio.sleep(APART_S)
                return
        log.warning("notify.unconfirmed", secondary=str(secondary))

    async def _notify(self, secondary: Place, zone: Zone) -> None:
        loop = asyncio.get_running_loop()
        message = _message(zone)
        is_ipv6 = ":" in secondary.host
        with socket.socket(socket.AF_INET6 if is_ipv6 else socket.AF_INET, socket.SOCK_DGRAM) as telling:
            telling.setblocking(False)
            if is_ipv6 in self._sources:
                telling.bind((self._sources[is_ipv6], 0))
            telling.connect((secondary.host, secondary.port))
            await loop.sock_sendall(telling, message)
            while True:
                answer = await loop.sock_recv(telling, 512)
                if len(answer) >= HEADER_OCTETS and answer[:2] == message[:2] and answer[2] & int(Flag.QR) >> 8:
                    return


def _message(zone: Zone) -> bytes:
    """Return the notification of a zone, with its SOA record for who can use it (RFC 1996 section 3.7)."""
    (soa,) = encode_choices(ASKED_NAME, zone.soa())
    head = secrets.token_bytes(2) + FLAGS_AND_COUNTS.pack(NOTIFY, 1, 1, 0, 0)
    return head + zone.name + QUESTION_OF_SOA + soa.record
