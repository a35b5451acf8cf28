"""Connections to one mail server: opened with TLS and a password as its URL says, and kept for the next message.

A connection is one message's at a time. Before it is used again the server is asked to forget the last one (RSET): a
connection that has died meanwhile is found by that, and nothing was handed to it. Idle ones are closed before servers
commonly do so (five minutes by RFC 5321 section 4.5.3.2.7, less in practice).
"""

import asyncio
import contextlib
import ipaddress
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Final
from urllib.parse import unquote

from aiosmtplib import SMTP, SMTPAuthenticationError, SMTPException, SMTPNotSupported
from pydantic import AnyUrl, TypeAdapter, ValidationError

from omnichannel.channels.credentials import CredentialMissing, Secret
from omnichannel.channels.words import excerpt
from omnichannel.settings import SmtpUrl

__all__ = ["AT_MOST", "Connection", "Connections", "Server", "ServerMisconfigured"]

AT_MOST: Final = 8  # open at once: many servers bound what one client may have
IDLE_S: Final = 20.0
WAIT_S: Final = 60.0  # for a connection that is free; well below what a worker gives a delivery in all
MESSAGES: Final = 100  # over one connection: servers bound that too
RESET_TIMEOUT_S: Final = 5.0
QUIT_TIMEOUT_S: Final = 1.0

_URL: Final[TypeAdapter[AnyUrl]] = TypeAdapter(SmtpUrl)


class ServerMisconfigured(Exception):
    """The settings do not fit the server: its certificate, its TLS or its ways to log in. ``reason`` is a clause."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


@dataclass(frozen=True, slots=True, kw_only=True)
class Server:
    """Where the mail goes, with what to log in; ``url`` and ``password`` may be files, read at every use."""

    url: AnyUrl | Secret
    password: Secret | None = None  # else the one in the URL
    ca_file: Path | None = None  # of who vouches for the server, besides those that the system trusts
    timeout_s: float = 30.0

    def now(self) -> tuple[AnyUrl, str | None]:
        """Return URL and password as they are now. Raises CredentialMissing, ServerMisconfigured."""
        url = self.url
        if isinstance(url, Secret):
            try:
                url = _URL.validate_python(url.read())
            except ValidationError as exc:
                raise ServerMisconfigured("SMTP_URL is no URL such as smtp://user:password@host:587") from exc
        if self.password is not None:
            return url, self.password.read()
        return url, unquote(url.password) if url.password else None

    async def connect(self, *, timeout_s: float | None = None) -> SMTP:
        """Return a connection that is ready for mail.

        :raises ServerMisconfigured: its certificate does not hold, or it lacks what the settings ask for.
        :raises CredentialMissing: a file with a credential is away.
        :raises SMTPAuthenticationError: it does not take the password.
        :raises SMTPException: it cannot be reached, or does not behave.
        """
        url, password = self.now()
        client = SMTP(
            hostname=(url.host or "").strip("[]"),
            port=url.port or (465 if url.scheme == "smtps" else 25),
            username=unquote(url.username) if url.username else None,
            password=password,
            local_hostname=socket.gethostname(),
            timeout=self.timeout_s if timeout_s is None else timeout_s,
            use_tls=url.scheme == "smtps",
            start_tls=_start_tls(url),
            tls_context=await asyncio.to_thread(_context, self.ca_file),
        )
        try:
            await client.connect()
        except BaseException as exc:
            client.close()
            if isinstance(exc, SMTPException | OSError):
                _raise_if_misconfigured(exc)
            raise
        return client

    @property
    def shown(self) -> str:
        """Scheme and host, without what is secret; empty while the URL cannot be read."""
        try:
            url, _ = self.now()
        except (CredentialMissing, ServerMisconfigured):
            return ""
        return f"{url.scheme}://{url.host}"


@dataclass(slots=True)
class Connection:
    """An open connection."""

    client: SMTP
    opened_for: tuple[AnyUrl, str | None] = field(repr=False)
    idle_since: float = 0.0
    messages: int = 0  # that went over it before this one

    @property
    def is_used(self) -> bool:
        """Whether a message has gone over it before."""
        return self.messages > 0


class Connections:
    """At most ``at_most`` connections, those that are idle kept for ``idle_s``. ``clock`` is monotonic."""

    def __init__(
        self,
        server: Server,
        *,
        at_most: int = AT_MOST,
        idle_s: float = IDLE_S,
        wait_s: float = WAIT_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._server, self._idle_s, self._wait_s, self._clock = server, idle_s, wait_s, clock
        self._room = asyncio.Semaphore(at_most)
        self._idle: list[Connection] = []  # the one used last at the end

    @contextlib.asynccontextmanager
    async def use(self, *, fresh: bool = False) -> AsyncIterator[Connection]:
        """Lend a connection, a ``fresh`` one if asked for; raises what ``Server.connect`` does.

        It is kept afterwards if the server still holds it open.
        """
        async with self._place():
            connection = await self._take(fresh=fresh)
            try:
                yield connection
            except BaseException:
                connection.client.close()
                raise
            connection.messages += 1
            connection.idle_since = self._clock()
            if connection.client.is_connected and connection.messages < MESSAGES:
                self._idle.append(connection)
            else:
                await _leave(connection)

    async def close(self) -> None:
        """Take leave of the server on every connection that is idle."""
        idle, self._idle = self._idle, []
        await asyncio.gather(*map(_leave, idle))

    @contextlib.asynccontextmanager
    async def _place(self) -> AsyncIterator[None]:
        """Wait for one of the connections to be free. Raises TimeoutError: nothing was sent."""
        try:
            async with asyncio.timeout(self._wait_s):
                await self._room.acquire()
        except TimeoutError:
            raise TimeoutError(f"no connection to the mail server was free within {self._wait_s:g} s") from None
        try:
            yield
        finally:
            self._room.release()

    async def _take(self, *, fresh: bool) -> Connection:
        await self._drop_old()
        wanted = self._server.now()
        while self._idle and not fresh:
            connection = self._idle.pop()
            if connection.opened_for == wanted and await _is_alive(connection):
                return connection
            connection.client.close()
        return Connection(await self._server.connect(), wanted)

    async def _drop_old(self) -> None:
        now = self._clock()
        old = [each for each in self._idle if now - each.idle_since >= self._idle_s]
        self._idle = [each for each in self._idle if now - each.idle_since < self._idle_s]
        for each in old:
            each.client.close()


async def _is_alive(connection: Connection) -> bool:
    try:
        await connection.client.rset(timeout=RESET_TIMEOUT_S)
    except (SMTPException, OSError):
        return False
    return True


async def _leave(connection: Connection) -> None:
    with contextlib.suppress(SMTPException, OSError):
        await connection.client.quit(timeout=QUIT_TIMEOUT_S)
    connection.client.close()


def _context(ca_file: Path | None) -> ssl.SSLContext:
    """Return what certificates are verified by; a file is read again when it has changed."""
    if ca_file is None:
        return _loaded(None, 0)
    try:
        return _loaded(ca_file, ca_file.stat().st_mtime_ns)
    except OSError as exc:
        reason = exc.strerror or "it holds no certificate"
        raise ServerMisconfigured(f"SMTP_CA_FILE cannot be used: {reason}") from exc


@lru_cache(maxsize=16)
def _loaded(ca_file: Path | None, _: int) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if ca_file is not None:
        context.load_verify_locations(ca_file)
    return context


def _start_tls(url: AnyUrl) -> bool | None:
    """Return whether STARTTLS is a must, as for a password that leaves this machine; None: used where it is offered."""
    if url.scheme == "smtps":
        return False
    try:
        local = ipaddress.ip_address((url.host or "").strip("[]")).is_loopback
    except ValueError:
        local = url.host == "localhost"
    return True if url.username and not local else None


def _raise_if_misconfigured(exc: BaseException) -> None:
    """Raise ServerMisconfigured for what no later try changes, and return for the rest."""
    cause: BaseException | None = exc
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            words = excerpt(cause.verify_message or str(cause))
            raise ServerMisconfigured(f"the mail server's certificate does not hold: {words}") from exc
        cause = cause.__cause__ or cause.__context__
    lacks = type(exc) is SMTPException or isinstance(exc, SMTPNotSupported)  # STARTTLS, or a way to log in
    if lacks and not isinstance(exc, SMTPAuthenticationError):
        raise ServerMisconfigured(f"the mail server does not offer what is asked of it: {excerpt(str(exc))}") from exc
