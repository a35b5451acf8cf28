"""The Apprise channel: any of the hundred and more services that the library of that name speaks to.

An address is the name of an entry in the file that ``APPRISE_URLS_FILE`` names (lines of ``name = url``), read at every
use. Apprise's URLs hold credentials, so a name is better than a URL; ``APPRISE_ALLOW_URLS=on`` takes URLs as well,
which are then kept in the database as they are, and may lead into this machine's own networks.

Apprise tells success, failure or a time-out, and nothing else: no id, no Retry-After, no reason that a program could
read. So a success is ``accepted``, and a failure may pass. It may also be an answer that was lost, which Apprise does
not tell from a refusal: what is tried again may then come twice.
"""

import asyncio
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.credentials import Credentials
from omnichannel.channels.entries import read_entries
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.rendered import Rendered
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome
from omnichannel.settings import Settings

__all__ = ["AppriseUrls", "build"]

THREADS: Final = 8  # its calls block: they get threads of their own
TIMEOUT_S: Final = 60.0
FEW: Final = 3  # tries for what Apprise calls a failure: it does not tell which ones may pass


class AppriseUrls:
    """Sends by Apprise to the entries of ``urls_file``, and to URLs where ``allow_urls``."""

    def __init__(self, *, urls_file: Path | None, allow_urls: bool, timeout_s: float = TIMEOUT_S) -> None:
        self._urls_file, self._allow_urls, self._timeout_s = urls_file, allow_urls, timeout_s
        self._threads: ThreadPoolExecutor | None = None

    @property
    def endpoint(self) -> str:
        return ""

    async def check_address(self, address: str) -> None:
        url = self._url(address)
        if not await self._in_thread(_can_be_used, url):
            raise InvalidAddress(_shown(address), "is no URL that Apprise knows")

    def render(self, subject: str, body: str) -> Rendered:
        return Rendered(body, subject, ("Apprise fits the text to the service's own limits, without telling how.",))

    async def send(self, claim: Claim) -> Outcome:
        try:
            url = self._url(claim.address)
        except InvalidAddress as exc:
            return outcome_of(Failure.AUTH, str(exc))
        try:
            async with asyncio.timeout(self._timeout_s + 5):
                status = await self._in_thread(_notify, url, claim.subject, claim.body, self._timeout_s)
        except TimeoutError:
            return LostAnswer("the service did not answer in time")
        match status:
            case "SUCCESS":
                return Accepted()
            case "TIMEOUT":
                return LostAnswer("the service did not answer in time")
            case "NOMATCH":
                return outcome_of(Failure.PERMANENT, f"{_shown(claim.address)} is no URL that Apprise knows")
        words = "the service did not take it; Apprise does not tell why"
        return outcome_of(Failure.TRANSIENT if claim.attempt < FEW else Failure.PERMANENT, words)

    async def healthy(self) -> bool:
        return True  # every address is a service of its own

    async def close(self) -> None:
        if self._threads is not None:
            self._threads.shutdown(wait=False, cancel_futures=True)

    def _url(self, address: str) -> str:
        if "://" in address:
            if not self._allow_urls:
                raise InvalidAddress(_shown(address), "is a URL: name an entry of APPRISE_URLS_FILE instead")
            return address
        url = self._entries().get(address)
        if url is None:
            raise InvalidAddress(address[:60], "is no entry of APPRISE_URLS_FILE")
        return url

    def _entries(self) -> Mapping[str, str]:
        return {} if self._urls_file is None else read_entries(self._urls_file)

    async def _in_thread(self, call: Any, *arguments: object) -> Any:
        if self._threads is None:
            self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="apprise")
        return await asyncio.get_running_loop().run_in_executor(self._threads, call, *arguments)


def _shown(address: str) -> str:
    """Return of a URL its scheme alone: the rest is secret."""
    scheme, separator, _ = address.partition("://")
    return f"{scheme}://…" if separator else address[:60]


def _can_be_used(url: str) -> bool:
    import apprise  # here: it takes half a second to load

    return bool(apprise.Apprise().add(url))


def _notify(url: str, subject: str, body: str, timeout_s: float) -> str:
    import apprise

    service = apprise.Apprise()
    if not service.add(url):
        return "NOMATCH"
    return str(service.notify(body=body, title=subject, timeout=timeout_s).status.name)


def build(_: Settings, credentials: Credentials) -> AppriseUrls | None:
    """Return the channel where a file is named or URLs are allowed."""
    file, allowed = credentials.text("APPRISE_URLS_FILE"), credentials.text("APPRISE_ALLOW_URLS") == "on"
    return AppriseUrls(urls_file=Path(file) if file else None, allow_urls=allowed) if file or allowed else None
