"""Meta's Graph API: what WhatsApp, Facebook and Instagram share.

An error has a code, and often a subcode that says more; its words are for people and never looked at. Sources: Graph
API, "Handling errors" and "Rate limits"; WhatsApp Cloud API, "Error codes"; Instagram Platform, "Error codes".
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from omnichannel.channels.credentials import Credentials, Secret
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.http_api import Answer, HttpApi, Part
from omnichannel.channels.words import excerpt
from omnichannel.messages.outcome import Outcome

__all__ = ["GRAPH_ERRORS", "Graph", "GraphRefused"]

GRAPH_ERRORS: Final[Mapping[int, Failure]] = {
    1: Failure.TRANSIENT,  # unknown, try again
    2: Failure.TRANSIENT,  # service temporarily unavailable
    4: Failure.THROTTLED,  # the app's calls
    17: Failure.THROTTLED,  # the user's calls
    32: Failure.THROTTLED,  # the page's calls
    341: Failure.THROTTLED,  # the app's limit for now
    368: Failure.PERMANENT,  # blocked for policy violations
    506: Failure.PERMANENT,  # duplicate of the last post
    613: Failure.THROTTLED,  # calls of this kind
    3: Failure.AUTH,  # capability
    10: Failure.AUTH,  # permission
    102: Failure.AUTH,  # session
    190: Failure.AUTH,  # access token expired or revoked
    9: Failure.QUOTA,  # Instagram: posts of 24 hours
    9007: Failure.TRANSIENT,  # Instagram: the media are not ready
    80007: Failure.THROTTLED,  # WhatsApp business account
    130429: Failure.THROTTLED,  # WhatsApp: messages a second
    131048: Failure.THROTTLED,  # WhatsApp: too much of it was blocked or reported
    131056: Failure.THROTTLED,  # WhatsApp: to this person
    131000: Failure.TRANSIENT,  # WhatsApp: something went wrong
    131016: Failure.TRANSIENT,  # WhatsApp: service unavailable
    131057: Failure.TRANSIENT,  # WhatsApp: account in maintenance
    133004: Failure.TRANSIENT,  # WhatsApp: server temporarily unavailable
    131005: Failure.AUTH,  # WhatsApp: access denied
    131031: Failure.AUTH,  # WhatsApp: account locked
    131042: Failure.AUTH,  # WhatsApp: payment
    131026: Failure.GONE,  # WhatsApp: not a WhatsApp number
    131050: Failure.GONE,  # WhatsApp: the person has opted out of marketing
    131047: Failure.PERMANENT,  # WhatsApp: 24 hours since their last message; only a template may go
    131049: Failure.PERMANENT,  # WhatsApp: Meta chose not to deliver
}
"""By code. Codes 200 to 299 are permissions; every other one is permanent, or transient where Meta says so."""


class GraphRefused(Exception):
    """The API answered with an error; ``outcome`` is what it means."""

    def __init__(self, outcome: Outcome) -> None:
        super().__init__(outcome)
        self.outcome = outcome


class Graph:
    """The API with one token. ``version`` is such as ``v23.0``: each is served for two years."""

    def __init__(self, api: HttpApi, *, version: str, token: Secret) -> None:
        self._api, self._version, self._token = api, version, token

    @classmethod
    def of(cls, credentials: Credentials, *, token: Secret) -> "Graph":
        """Return the API that the environment names."""
        api = HttpApi(credentials.text("GRAPH_URL", "https://graph.facebook.com"))
        return cls(api, version=credentials.text("GRAPH_VERSION", "v23.0"), token=token)

    async def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """POST to a path below the version. Raises GraphRefused, Unsent, Unanswered, CredentialMissing."""
        return _body(await self._api.post(f"/{self._version}/{path}", body=dict(body), headers=self._headers()))

    async def upload(self, path: str, parts: Sequence[Part]) -> dict[str, Any]:
        """POST files to a path below the version. Raises as ``post`` does."""
        return _body(await self._api.post_parts(f"/{self._version}/{path}", parts, headers=self._headers()))

    async def get(self, path: str) -> dict[str, Any]:
        """GET a path below the version. Raises as ``post`` does, but for Unanswered: a read does no harm."""
        return _body(await self._api.get(f"/{self._version}/{path}", headers=self._headers()))

    @property
    def url(self) -> str:
        """Where the API is."""
        return self._api.url

    async def reachable(self) -> bool:
        """Return whether the server answers anything at all."""
        return await self._api.reachable()

    async def close(self) -> None:
        """Close the connections."""
        await self._api.close()

    def _headers(self) -> dict[str, str]:
        return {"authorization": f"Bearer {self._token.read()}"}


def _body(answer: Answer) -> dict[str, Any]:
    body = answer.json
    error = body.get("error")
    if answer.ok and error is None:
        return body
    raise GraphRefused(outcome_of_error(answer, error if isinstance(error, dict) else {}))


def outcome_of_error(answer: Answer, error: Mapping[str, Any]) -> Outcome:
    """Return what an error means."""
    code = error.get("code")
    words = f"Meta answered {answer.words}"
    if isinstance(code, int):
        subcode = error.get("error_subcode")
        named = f"{code}/{subcode}" if subcode else f"{code}"
        words = f"Meta answered error {named}: {excerpt(str(error.get('message', '')))}"
        known = GRAPH_ERRORS.get(code) or (Failure.AUTH if 200 <= code < 300 else None)
        if known is not None:
            return outcome_of(known, words, after_s=answer.after_s)
    if answer.status == 429:
        return outcome_of(Failure.THROTTLED, words, after_s=answer.after_s)
    if answer.status == 401:
        return outcome_of(Failure.AUTH, words)
    passing = answer.status >= 500 or error.get("is_transient") is True
    return outcome_of(Failure.TRANSIENT if passing else Failure.PERMANENT, words, after_s=answer.after_s)
