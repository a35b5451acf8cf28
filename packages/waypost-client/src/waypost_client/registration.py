"""A task that registers itself: there while it runs, renewed while it lives, withdrawn before it ends.

>>> with registered("worker", port=8080):
...     serve()
>>> async with registered("worker", port=8080):
...     await serve()

SIGTERM withdraws the registration first, lets the answers that were given expire while the program goes on serving, and
only then ends it. The registry's troubles are logged and never reach the program.
"""

import asyncio
import contextlib
import logging
import os
import random
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from types import FrameType, TracebackType
from typing import Any, Final, Self
from urllib.parse import urlsplit

from waypost_client.registry import (
    Deregistered,
    KnownService,
    NoLeases,
    NotRegistered,
    RegistryAway,
    RegistryClient,
    RegistryError,
    RegistryRefused,
)

__all__ = ["Registration", "registered"]

RENEWALS: Final = 3  # in the time of one lease
AUDIT_S: Final = 60.0  # between looks at whether a registry without leases still has the instance
WITHDRAWN_S: Final = 10.0  # that a withdrawal may take before the program ends without it
DRAIN_MARGIN_S: Final = 0.5  # after the TTL: answers that were on their way

log = logging.getLogger("waypost_client")


def registered(
    service: str,
    *,
    port: int,
    namespace: str | None = None,
    address: str | None = None,
    instance: str | None = None,
    lease_s: int = 30,
    attributes: Mapping[str, str] | None = None,
    endpoint: str | None = None,
    handle_sigterm: bool = True,
) -> "Registration":
    """Return a registration to enter with ``with``, or with ``async with`` in an asyncio program.

    :param namespace: of the service; left out, the variable SERVICE_NAMESPACE.
    :param address: where others reach the task; left out, SERVICE_ADDRESS, or the address that leads to the registry.
    :param instance: the id; left out, SERVICE_INSTANCE, or one that is never used again.
    :param lease_s: seconds after which the registry takes a silent task for gone.
    :param attributes: of the instance, beside its address, port and lease.
    :param endpoint: of the registry; left out, AWS_ENDPOINT_URL_SERVICEDISCOVERY, or AWS's own.
    :param handle_sigterm: withdraw at SIGTERM before the program ends. What handled SIGTERM before is called then.
    :raises ValueError: no namespace is given or in the environment.
    """
    namespace = namespace or os.environ.get("SERVICE_NAMESPACE", "")
    if not namespace:
        raise ValueError("namespace is missing: give it, or set SERVICE_NAMESPACE")
    client = RegistryClient(endpoint)
    given = address or os.environ.get("SERVICE_ADDRESS", "")
    own = given if given not in ("", "0.0.0.0", "::") else _address_towards(client.url)
    return Registration(
        client,
        namespace,
        service,
        instance or os.environ.get("SERVICE_INSTANCE") or secrets.token_hex(16),
        {
            **(attributes or {}),
            "AWS_INSTANCE_IPV6" if ":" in own else "AWS_INSTANCE_IPV4": own,
            "AWS_INSTANCE_PORT": str(port),
            "WAYPOST_LEASE": str(lease_s),
        },
        lease_s=lease_s,
        handle_sigterm=handle_sigterm,
    )


class Registration:
    """One task's registration. Enter it once."""

    def __init__(
        self,
        client: RegistryClient,
        namespace: str,
        service: str,
        instance: str,
        attributes: Mapping[str, str],
        *,
        lease_s: int,
        handle_sigterm: bool = True,
    ) -> None:
        self.instance = instance
        self.withdrawn_by: str | None = None  # who took it out of the registry, if somebody else did
        self._client, self._namespace, self._service = client, namespace, service
        self._attributes, self._lease_s = dict(attributes), lease_s
        self._known: KnownService | None = None
        self._leases = True
        self._withdraw = asyncio.Event()
        self._hurry = asyncio.Event()
        self._handle_sigterm = handle_sigterm
        self._keeping: asyncio.Task[None] | None = None
        self._thread: _OwnLoop | None = None
        self._cancelled: asyncio.Task[Any] | None = None  # by SIGTERM
        self._handlers = contextlib.ExitStack()

    # An asyncio program.

    async def __aenter__(self) -> Self:
        """Register. Raises RegistryRefused if the registry will never have it; if it is away, tries on."""
        await self._begin()
        self._keeping = asyncio.create_task(self._keep(), name="waypost registration")
        if self._handle_sigterm and threading.current_thread() is threading.main_thread():
            main, loop = asyncio.current_task(), asyncio.get_running_loop()
            assert main is not None
            self._handlers.enter_context(
                _sigterm(_Signals(loop.call_soon_threadsafe, self, end=lambda: self._cancel(loop, main)))
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Withdraw, and let the answers that were given expire, unless that has been done."""
        self._handlers.close()
        await self._end()
        if self._cancelled is not None and self._cancelled is asyncio.current_task() and kind is asyncio.CancelledError:
            self._cancelled.uncancel()
            raise SystemExit(128 + signal.SIGTERM)

    def _cancel(self, loop: asyncio.AbstractEventLoop, main: "asyncio.Task[Any]") -> None:
        self._cancelled = main
        loop.call_soon_threadsafe(main.cancel)

    # A plain program: the same, on a loop in a thread of its own.

    def __enter__(self) -> Self:
        """Register. Raises RegistryRefused if the registry will never have it; if it is away, tries on."""
        self._thread = _OwnLoop()
        try:
            self._thread.run(self._begin_keeping())
        except BaseException:
            self._thread.close()
            raise
        if self._handle_sigterm and threading.current_thread() is threading.main_thread():
            self._handlers.enter_context(_sigterm(_Signals(self._thread.soon, self, end=_end_main)))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Withdraw, and let the answers that were given expire, unless that has been done."""
        self._handlers.close()
        assert self._thread is not None
        self._thread.run(self._end())
        self._thread.close()

    async def withdraw(self) -> None:
        """Leave the registry, and return when the answers that were given have expired. The program goes on."""
        self._withdraw.set()
        if self._keeping is not None:
            await asyncio.shield(self._keeping)

    def hurry(self) -> None:
        """Skip the wait for answers to expire."""
        self._hurry.set()

    async def _begin_keeping(self) -> None:
        await self._begin()
        self._keeping = asyncio.create_task(self._keep(), name="waypost registration")

    async def _begin(self) -> None:
        try:
            await self._register()
        except RegistryRefused:
            await self._client.close()
            raise
        except RegistryError as error:
            log.warning("not registered yet: %s", error)

    async def _end(self) -> None:
        try:
            await self.withdraw()
        finally:
            await self._client.close()

    async def _register(self) -> None:
        self._known = await self._client.find_service(self._namespace, self._service)
        await self._client.register(self._known.id, self.instance, self._attributes)
        log.info("registered %s in %s.%s", self.instance, self._service, self._namespace)

    async def _keep(self) -> None:
        """Renew until the end is asked for; then withdraw and wait."""
        failures = 0
        while not await _within(self._withdraw, self._pause_s(failures)):
            try:
                await self._renew()
                failures = 0
            except RegistryAway as error:
                failures += 1
                log.warning("the registry is away: %s", error)
            except RegistryError as error:
                failures += 1
                log.warning("the registration is not renewed: %s", error)
        if self._known is not None:
            await self._leave(self._known)

    def _pause_s(self, failures: int) -> float:
        """Return the seconds until the next renewal: spread, so that many tasks do not renew as one."""
        if failures:
            return random.uniform(0.2, min(2.0**failures, self._lease_s / RENEWALS, 10.0))  # noqa: S311  spreads load
        if self._known is None:
            return 1.0
        every_s = self._lease_s / RENEWALS if self._leases else AUDIT_S
        return every_s * random.uniform(0.75, 1.0)  # noqa: S311  spreads load

    async def _renew(self) -> None:
        if self.withdrawn_by is not None:
            return  # whoever took it out is believed
        try:
            if self._known is None:
                raise NotRegistered("RegisterInstance", "it was never registered")
            if self._leases:
                await self._client.renew(self._known.id, self.instance)
            else:
                await self._client.check_registered(self._known.id, self.instance)
        except NoLeases:
            self._leases = False
            log.info("this registry knows no leases: a task that dies stays in it until somebody takes it out")
        except Deregistered as error:
            self.withdrawn_by = error.reason
            log.warning("no longer registered: %s", error.reason)
        except NotRegistered:
            await self._register()

    async def _leave(self, known: KnownService) -> None:
        try:
            async with asyncio.timeout(WITHDRAWN_S):
                await self._client.deregister(known.id, self.instance)
        except (RegistryError, TimeoutError) as error:
            log.warning("not deregistered, the lease ends by itself: %s", error)
        await _within(self._hurry, known.ttl_s + DRAIN_MARGIN_S)


class _OwnLoop:
    """An event loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="waypost registration", daemon=True)
        self._thread.start()

    def run(self, work: Any) -> None:
        """Run a coroutine there, and return when it is done."""
        asyncio.run_coroutine_threadsafe(work, self._loop).result()

    def soon(self, act: Callable[[], None]) -> None:
        self._loop.call_soon_threadsafe(act)

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()


class _Signals:
    """What SIGTERM does: the first withdraws, the second skips the wait; then the program is ended."""

    def __init__(
        self, soon: Callable[[Callable[[], None]], object], registration: Registration, *, end: Callable[[], object]
    ) -> None:
        self._soon, self._registration, self._end = soon, registration, end
        self.previous: Any = signal.SIG_DFL
        self._asked = self._drained = False
        self._ending: asyncio.Task[None] | None = None

    def handle(self, number: int, frame: FrameType | None) -> None:
        if self._drained:
            self._pass_on(number, frame)
        elif self._asked:
            self._soon(self._registration.hurry)
        else:
            self._asked = True
            self._soon(self._begin)

    def _begin(self) -> None:
        self._ending = asyncio.ensure_future(self._drain())

    async def _drain(self) -> None:
        await self._registration.withdraw()
        self._drained = True
        os.kill(os.getpid(), signal.SIGTERM)  # the main thread takes it from here

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        signal.signal(number, self.previous)
        if callable(self.previous):
            self.previous(number, frame)
        else:
            self._end()


def _end_main() -> None:
    raise SystemExit(128 + signal.SIGTERM)


@contextlib.contextmanager
def _sigterm(signals: _Signals) -> Iterator[None]:
    signals.previous = signal.signal(signal.SIGTERM, signals.handle)
    try:
        yield
    finally:
        if signal.getsignal(signal.SIGTERM) == signals.handle:
            signal.signal(signal.SIGTERM, signals.previous)


def _address_towards(url: str) -> str:
    """Return this machine's address on the way to a URL's host."""
    parts = urlsplit(url)
    family, kind, _, _, where = socket.getaddrinfo(parts.hostname or "", parts.port or 443, type=socket.SOCK_DGRAM)[0]
    with socket.socket(family, kind) as probe:
        probe.connect(where)  # sends nothing
        return str(probe.getsockname()[0])


async def _within(event: asyncio.Event, seconds: float) -> bool:
    """Return whether an event is set within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
