"""The door of the registry's HTTP application: what does not pass is answered here, and nothing behind it hears of it.

Without access keys every call is unsigned: it is taken only under a trusted host. With access keys every call must be
signed, but for the two that monitoring makes. The dashboard has a door of its own behind this one, for people; here it
is seen to that it was called under a trusted host, and by no page but its own. No web page may call anything else.
"""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Final

from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

from waypost.apis.access.hosts import Hosts, host_name
from waypost.apis.access.keys import KEY, AccessKey, KeyRing
from waypost.apis.access.signature import SignedRequest
from waypost.apis.bodies import BODY, read_body
from waypost.apis.calls import refuse
from waypost.apis.cloudmap.errors import WireError
from waypost.apis.direct_http import Headers

__all__ = ["Door"]

MONITORING: Final = ("/health", "/metrics")
DASHBOARD: Final = "/ui"


def _now() -> datetime:
    return datetime.now(UTC)


class Door:
    """Lets in what may come in. ``bodies`` says which paths take a larger body than others."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        hosts: Hosts,
        keys: KeyRing,
        bodies: Mapping[str, int],
        now: Callable[[], datetime] = _now,
    ) -> None:
        self._app, self._hosts, self._keys, self._bodies, self._now = app, hosts, keys, bodies, now

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        try:
            if is_dashboard(scope["path"]):
                self._check_unsigned(scope["path"], scope["headers"])
            elif self._keys and scope["path"] not in MONITORING:
                _check_origin(scope["headers"])
                scope[KEY], receive = await self._verify(scope, receive)
            else:
                self._check_unsigned(scope["path"], scope["headers"])
        except WireError as refusal:
            await _refused(scope, refusal)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def admit(self, headers: Headers, body: bytes) -> AccessKey | None:
        """Return the key that ``POST /`` was signed with, None where there are no keys.

        :raises WireError: why it may not come in.
        """
        if not self._keys:
            self._check_unsigned("/", headers)
            return None
        _check_origin(headers)
        request = SignedRequest(method="POST", raw_path=b"/", query=b"", headers=headers, body=body)
        return self._keys.verify(request, now=self._now())

    def _check_unsigned(self, path: str, headers: Headers) -> None:
        host, origin = b"", None
        for name, value in headers:
            if name == b"host":
                host = value
            elif name == b"origin":
                origin = value
        if origin is not None and not (is_dashboard(path) and _is_own(origin, host)):
            raise _page_refused()
        if not self._hosts.trusts(host):
            called = host_name(host.decode("latin-1"))[:256]
            raise WireError(
                "AccessDeniedException",
                f"Unsigned calls are not taken under the host '{called}': use an IP address, localhost or a name "
                "without a dot, list the host in WAYPOST_HOSTS, or configure access keys.",
                status=403,
            )

    async def _verify(self, scope: Scope, receive: Receive) -> tuple[AccessKey, Receive]:
        headers = scope["headers"]
        body = await read_body(scope, receive, octets=self._bodies.get(scope["path"], BODY))
        request = SignedRequest(
            method=scope["method"],
            raw_path=scope["raw_path"],
            query=scope["query_string"],
            headers=headers,
            body=body,
        )
        return self._keys.verify(request, now=self._now()), _again(body, receive)


def _check_origin(headers: Headers) -> None:
    if any(name == b"origin" for name, _ in headers):
        raise _page_refused()


def is_dashboard(path: str) -> bool:
    """Whether a path is the dashboard's."""
    return path == DASHBOARD or path.startswith(DASHBOARD + "/")


def _is_own(origin: bytes, host: bytes) -> bool:
    """Whether a page comes from where it calls."""
    return origin.lower() in (b"http://" + host.lower(), b"https://" + host.lower())


def _page_refused() -> WireError:
    return WireError("AccessDeniedException", "A web page must not drive the registry.", status=403)


def _refused(scope: Scope, refusal: WireError) -> Response:
    response = refuse(refusal)
    if scope["path"] == "/":  # Cloud Map's own wire
        response.status_code = refusal.status
    return response


def _again(body: bytes, receive: Receive) -> Receive:
    """Return a receive that begins with a body that was read already."""
    unread = [body]

    async def receive_again() -> dict[str, object]:
        if unread:
            return {"type": "http.request", "body": unread.pop(), "more_body": False}
        return await receive()  # type: ignore[return-value]  # a mutable mapping

    return receive_again
