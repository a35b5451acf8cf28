"""The Slack channel: by a bot's token to a conversation, or by an incoming webhook.

An address is a conversation's id or name (``C024BE91L``, ``#general``), or an incoming webhook's URL. Slack answers
most refusals of its Web API with status 200 and ``"ok": false``. Sources: Slack API, "chat.postMessage", "Incoming
webhooks", "Rate limits".
"""

import re
from collections.abc import Mapping
from typing import Final

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.credentials import CredentialMissing, Credentials, Secret
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.http_api import Answer, HttpApi, Unanswered, Unsent
from omnichannel.channels.rendered import Rendered, as_one_text
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome
from omnichannel.settings import Settings

__all__ = ["Slack", "build", "outcome_of_api", "outcome_of_hook"]

LENGTH: Final = 40_000  # characters of a message's text
CONVERSATION: Final = re.compile(r"[CDGU][A-Z0-9]{2,30}|#[^\s#,]{1,80}")

ERRORS: Final[Mapping[str, Failure]] = {
    "ratelimited": Failure.THROTTLED,
    "rate_limited": Failure.THROTTLED,
    "message_limit_exceeded": Failure.QUOTA,
    "invalid_auth": Failure.AUTH,
    "not_authed": Failure.AUTH,
    "token_expired": Failure.AUTH,
    "token_revoked": Failure.AUTH,
    "account_inactive": Failure.AUTH,
    "missing_scope": Failure.AUTH,
    "no_permission": Failure.AUTH,
    "org_login_required": Failure.AUTH,
    "ekm_access_denied": Failure.AUTH,
    "channel_not_found": Failure.PERMANENT,
    "not_in_channel": Failure.PERMANENT,
    "restricted_action": Failure.PERMANENT,
    "msg_too_long": Failure.PERMANENT,
    "no_text": Failure.PERMANENT,
    "too_many_attachments": Failure.PERMANENT,
    "invalid_arguments": Failure.PERMANENT,
    "is_archived": Failure.GONE,
    "channel_is_archived": Failure.GONE,
    "user_not_found": Failure.GONE,
    "no_service": Failure.GONE,  # the incoming webhook was removed or its app disabled
    "no_team": Failure.GONE,
    "team_disabled": Failure.GONE,
    "service_unavailable": Failure.TRANSIENT,
    "team_added_to_org": Failure.TRANSIENT,
    "request_timeout": Failure.TRANSIENT,
    "internal_error": Failure.AMBIGUOUS,  # "some aspect of the operation may have succeeded"
    "fatal_error": Failure.AMBIGUOUS,
}
"""What is not in here is permanent: it speaks of the request."""


class Slack:
    """Sends by ``token`` where an address is a conversation; to incoming webhooks below ``hooks_url`` without one."""

    def __init__(self, api: HttpApi, *, token: Secret | None, hooks_url: str) -> None:
        self._api, self._token, self._hooks_url = api, token, hooks_url.rstrip("/") + "/"

    @property
    def endpoint(self) -> str:
        return self._api.url

    async def check_address(self, address: str) -> None:
        if address.startswith(self._hooks_url) and address.isprintable() and " " not in address:
            return
        if not CONVERSATION.fullmatch(address):
            raise InvalidAddress(address[:20], "is no conversation such as C024BE91L or #general, nor a webhook's URL")
        if self._token is None:
            raise InvalidAddress(address, "needs SLACK_BOT_TOKEN, which is not set")

    def render(self, subject: str, body: str) -> Rendered:
        return as_one_text(f"*{_escaped(subject)}*", _escaped(body), limit=LENGTH, limit_of="Slack")

    async def send(self, claim: Claim) -> Outcome:
        text = self.render(claim.subject, claim.body).text
        try:
            if claim.address.startswith("http"):
                if not claim.address.startswith(self._hooks_url):  # it was taken under another setting
                    return outcome_of(Failure.PERMANENT, f"is no webhook below {self._hooks_url}")
                return outcome_of_hook(await self._api.post(claim.address, body={"text": text}))
            if self._token is None:
                return outcome_of(Failure.AUTH, "SLACK_BOT_TOKEN is not set")
            headers = {"authorization": f"Bearer {self._token.read()}"}
            body = {"channel": claim.address, "text": text, "unfurl_links": False}
            return outcome_of_api(await self._api.post("/api/chat.postMessage", body=body, headers=headers))
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        except Unsent as exc:
            return outcome_of(Failure.TRANSIENT, exc.reason)
        except Unanswered as exc:
            return LostAnswer(exc.reason)

    async def healthy(self) -> bool:
        return await self._api.reachable()

    async def close(self) -> None:
        await self._api.close()


def outcome_of_api(answer: Answer) -> Outcome:
    """Return what an answer of the Web API means."""
    body = answer.json
    if answer.ok and body.get("ok") is True:
        return Accepted(f"{body.get('channel')}/{body.get('ts')}")
    error = str(body.get("error", ""))
    words = f"Slack answered {error}" if error else f"Slack answered {answer.words}"
    if answer.status == 429:
        return outcome_of(Failure.THROTTLED, words, after_s=answer.after_s)
    if error:
        return outcome_of(ERRORS.get(error, Failure.PERMANENT), words, after_s=answer.after_s)
    return outcome_of(_by_status(answer), words)


def outcome_of_hook(answer: Answer) -> Outcome:
    """Return what an answer of an incoming webhook means: a status, and a word as plain text."""
    if answer.ok:
        return Accepted()
    words = f"Slack answered {answer.words}"
    if answer.status == 429:
        return outcome_of(Failure.THROTTLED, words, after_s=answer.after_s)
    named = ERRORS.get(answer.text.strip())
    return outcome_of(named or (Failure.GONE if answer.status == 410 else _by_status(answer)), words)


def _by_status(answer: Answer) -> Failure:
    if answer.ok:  # a 200 that is not Slack's: nobody knows
        return Failure.AMBIGUOUS
    return Failure.TRANSIENT if answer.status >= 500 else Failure.PERMANENT


def _escaped(text: str) -> str:
    """Return text without the three characters that Slack reads as its own ("Formatting text for app surfaces")."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def build(_: Settings, credentials: Credentials) -> Slack | None:
    """Return the channel where a token is set, or incoming webhooks are allowed (``SLACK_WEBHOOKS=on``)."""
    token = credentials.secret("SLACK_BOT_TOKEN")
    if token is None and credentials.text("SLACK_WEBHOOKS") != "on":
        return None
    api = HttpApi(credentials.text("SLACK_URL", "https://slack.com"))
    return Slack(api, token=token, hooks_url=credentials.text("SLACK_HOOKS_URL", "https://hooks.slack.com/services"))
