"""The dashboard's HTTP application, below ``/ui``: the page, what it reads, its stream, and what it may do.

Where access keys are configured, nothing is read without having signed in with one; a session is a cookie that scripts
cannot read and other sites cannot send. A change needs in addition a proof that only our own page has been told.
"""

import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import BaseRoute, Route

from waypost.apis.access.keys import KeyRing
from waypost.apis.bodies import decode_json, read_body
from waypost.apis.calls import refuse
from waypost.apis.cloudmap.errors import WireError
from waypost.apis.event_stream import EventStream
from waypost.apis.leases import decode
from waypost.dashboard.actions import Actions
from waypost.dashboard.assets import HEADERS, load_assets
from waypost.dashboard.content import Content
from waypost.dashboard.hub import Hub, TooManyPages
from waypost.dashboard.sessions import Sessions, TooManyAttempts
from waypost.dashboard.viewer import Viewer

__all__ = ["Dashboard"]

PAGE: Final = 50
PAGES: Final = 200  # rows that one answer holds at most
WANTED: Final = 200  # characters of a filter
BODY: Final = 4_096  # octets
REVISIONS: Final = 1 << 62
PROOF: Final = "x-waypost-proof"

Read = Callable[[Viewer, Request], Awaitable[Any]]


class _SignIn(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    id: str
    secret: str


class Dashboard:
    """The dashboard of one registry. ``actions`` None: it only shows."""

    def __init__(self, content: Content, hub: Hub, *, keys: KeyRing, account: str, actions: Actions | None) -> None:
        self._content, self._hub, self._keys, self._account, self._actions = content, hub, keys, account, actions
        self._sessions = Sessions()
        self._assets = load_assets()

    def routes(self) -> list[BaseRoute]:
        """Return where everything is."""
        reads: dict[str, Read] = {
            "overview": self._overview,
            "services": self._services,
            "services/{service}": self._service,
            "services/{service}/instances": self._instances,
            "services/{service}/instances/{instance:path}": self._instance,
            "changes": self._changes,
            "explain": self._explain,
            "names": self._names,
            "map": self._map,
        }
        routes: list[BaseRoute] = [
            Route("/ui", self._index),
            Route("/ui/", _to_index),
            Route("/ui/assets/{name}", self._asset),
            Route("/ui/api/me", self._endpoint(self._me, open_=True)),
            Route("/ui/api/sign-in", self._sign_in, methods=["POST"]),
            Route("/ui/api/sign-out", self._sign_out, methods=["POST"]),
            Route("/ui/events", self._events),
        ]
        routes += [Route(f"/ui/api/{path}", self._endpoint(read)) for path, read in reads.items()]
        if self._actions is not None:
            routes.append(Route("/ui/api/actions/{action}", self._act, methods=["POST"]))
        return routes

    async def _index(self, request: Request) -> Response:
        return self._file(request, "index.html")

    async def _asset(self, request: Request) -> Response:
        return self._file(request, request.path_params["name"])

    def _file(self, request: Request, name: str) -> Response:
        asset = self._assets.get(name)
        if asset is None:
            return _secured(refuse(WireError("InvalidInput", "There is no such file.", status=404)))
        headers = {"etag": asset.etag, "cache-control": "no-cache"}
        if request.headers.get("if-none-match") == asset.etag:
            return _secured(Response(status_code=304, headers=headers))
        return _secured(Response(asset.body, headers=headers, media_type=asset.media_type))

    def _endpoint(self, read: Read, *, open_: bool = False) -> Callable[[Request], Awaitable[Response]]:
        async def answer(request: Request) -> Response:
            try:
                _check_same_site(request)
                viewer = self._viewer(request)
                if viewer is None and not open_:
                    raise _not_signed_in()
                told = await read(viewer or Viewer(account=""), request)
                return _json(told)
            except Exception as error:
                return _secured(refuse(error))

        return answer

    def _viewer(self, request: Request) -> Viewer | None:
        """Return who looks; None: they must sign in."""
        if not self._keys:
            return Viewer()
        key = self._sessions.find(_token(request), now=time.monotonic())
        return None if key is None else Viewer.with_key(key, account=self._account)

    async def _me(self, _: Viewer, request: Request) -> Any:
        viewer = self._viewer(request)
        return {
            "keys": bool(self._keys),
            "signed_in": viewer is not None,
            "who": None if viewer is None or viewer.by == "-" else viewer.by,
            "write": self._actions is not None,
            "platform": self._content.platform.exists,
            "proof": None if viewer is None else self._sessions.proof(_token(request)),
        }

    async def _sign_in(self, request: Request) -> Response:
        now = time.monotonic()
        try:
            _check_own_page(request)
            asked = decode(decode_json(await _body(request)), _SignIn)
            self._sessions.check_attempts(now=now)
            key = self._keys.check(asked.id, asked.secret)
            if key is None:
                self._sessions.note_wrong(now=now)
                raise WireError("UnrecognizedClientException", "No access key has this id and this secret.", status=403)
        except TooManyAttempts:
            return _secured(refuse(WireError("ThrottlingException", "Too many attempts: wait for a minute.")))
        except Exception as error:
            return _secured(refuse(error))
        response = _json({"who": key.id})
        response.set_cookie(
            _cookie(request),
            self._sessions.open(key, now=now),
            path="/ui",
            secure=request.url.scheme == "https",
            httponly=True,
            samesite="strict",
        )
        return response

    async def _sign_out(self, request: Request) -> Response:
        try:
            _check_own_page(request)
            await _body(request)
        except Exception as error:
            return _secured(refuse(error))
        self._sessions.end(_token(request))
        response = _json({})
        response.delete_cookie(_cookie(request), path="/ui", httponly=True, samesite="strict")
        return response

    async def _act(self, request: Request) -> Response:
        try:
            _check_own_page(request)
            viewer = self._viewer(request)
            if viewer is None:
                raise _not_signed_in()
            if not self._sessions.proves(_token(request), request.headers.get(PROOF, "")):
                raise WireError("AccessDeniedException", "The page is out of date: load it again.", status=403)
            assert self._actions is not None, "there is this route"
            body = decode_json(await _body(request))
            return _json(await self._actions.act(viewer, request.path_params["action"], body))
        except Exception as error:
            return _secured(refuse(error))

    async def _events(self, request: Request) -> Response:
        try:
            _check_same_site(request)
            viewer = self._viewer(request)
            if viewer is None:
                raise _not_signed_in()
            if request.method == "HEAD":
                raise WireError("InvalidInput", "The stream is read by GET: it has no end.", status=405)
            query = request.query_params
            after = _number(request.headers.get("last-event-id") or query.get("after"), "after", None, REVISIONS)
            page = self._hub.open(viewer, after=after, map_=query.get("map") == "true")
        except TooManyPages:
            words = "Too many pages are open. Close some, or try again later."
            return _secured(refuse(WireError("ServiceUnavailable", words, status=503)))
        except Exception as error:
            return _secured(refuse(error))
        headers = [(name.encode(), value.encode()) for name, value in HEADERS.items()]
        return EventStream(page, leave=lambda: self._hub.leave(page), headers=headers)

    async def _overview(self, viewer: Viewer, _: Request) -> Any:
        return await self._content.overview(viewer)

    async def _services(self, viewer: Viewer, request: Request) -> Any:
        query = request.query_params
        return self._content.services(
            viewer, **_paging(query), wanted=_wanted(query), namespace_id=query.get("namespace") or None
        )

    async def _service(self, viewer: Viewer, request: Request) -> Any:
        return await self._content.service(viewer, request.path_params["service"])

    async def _instances(self, viewer: Viewer, request: Request) -> Any:
        query = request.query_params
        return await self._content.instances(
            viewer, request.path_params["service"], **_paging(query), wanted=_wanted(query)
        )

    async def _instance(self, viewer: Viewer, request: Request) -> Any:
        return await self._content.instance(viewer, request.path_params["service"], request.path_params["instance"])

    async def _changes(self, viewer: Viewer, request: Request) -> Any:
        query = request.query_params
        before = _number(query.get("before"), "before", None, REVISIONS)
        limit = _number(query.get("limit"), "limit", PAGE, PAGES) or PAGE
        return await self._content.changes(viewer, service_id=query.get("service") or None, before=before, limit=limit)

    async def _explain(self, viewer: Viewer, request: Request) -> Any:
        query = request.query_params
        return await self._content.explanation(viewer, query.get("name", ""), query.get("type") or None)

    async def _names(self, viewer: Viewer, request: Request) -> Any:
        return self._content.names(viewer, request.query_params.get("begin", "")[:WANTED].lower())

    async def _map(self, viewer: Viewer, request: Request) -> Any:
        return self._content.map(viewer, request.query_params.get("namespace") or None)


async def _to_index(_: Request) -> Response:
    return _secured(RedirectResponse("/ui", status_code=308))


def _json(value: Any) -> Response:
    body = msgspec.json.encode(value)
    return _secured(Response(body, media_type="application/json", headers={"cache-control": "no-store"}))


def _secured(response: Response) -> Response:
    for name, value in HEADERS.items():
        response.headers[name] = value
    return response


def _not_signed_in() -> WireError:
    return WireError("NotSignedIn", "Sign in with an access key.", status=401)


def _cookie(request: Request) -> str:
    """Return the cookie's name: hosts share cookies over all their ports, and each registry has its own."""
    port = request.headers.get("host", "").rpartition(":")[2]
    return f"waypost_session_{port}" if port.isascii() and port.isdigit() else "waypost_session"


def _token(request: Request) -> str:
    return request.cookies.get(_cookie(request), "")


def _check_same_site(request: Request) -> None:
    """Refuse what another site's page asks for; browsers say so."""
    if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
        raise WireError("AccessDeniedException", "Another site's page must not read the registry.", status=403)


def _check_own_page(request: Request) -> None:
    """Refuse a change that does not come from our own page as far as its headers tell; the door has seen its Origin."""
    _check_same_site(request)
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise WireError("SerializationException", "The body must be application/json.", status=415)


async def _body(request: Request) -> bytes:
    return await read_body(request.scope, request.receive, octets=BODY)


def _paging(query: QueryParams) -> dict[str, int]:
    offset = _number(query.get("offset"), "offset", 0, REVISIONS) or 0
    return {"offset": offset, "limit": _number(query.get("limit"), "limit", PAGE, PAGES) or PAGE}


def _wanted(query: QueryParams) -> str:
    return query.get("filter", "")[:WANTED].strip().lower()


def _number(text: str | None, name: str, default: int | None, most: int) -> int | None:
    if text is None or text == "":
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and int(text) <= most):
        raise WireError("InvalidInput", f"The query parameter '{name}' must be a number up to {most}.")
    return int(text)
