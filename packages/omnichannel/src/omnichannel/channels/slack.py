"""The Slack channel: by a bot's token to a conversation, or by an incoming webhook.

An address is a conversation's id or name (``C024BE91L``, ``#general``), the name of an entry in the file of incoming
webhooks (lines of ``name = url``, read at every use), or such a webhook's URL, which is a secret: an entry keeps it out
of the database. Slack answers most refusals of its Web API with status 200 and ``"ok": false``. Sources: Slack API,
"chat.postMessage", "Incoming webhooks", "Rate limits".
"""

import asyncio
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.carries import SLACK_LENGTH
from omnichannel.channels.credentials import CredentialMissing, Credentials, Secret
from omnichannel.channels.entries import read_entries
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.http_api import Answer, HttpApi, Unanswered, Unsent
from omnichannel.channels.rendered import Rendered, as_one_text
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome
from omnichannel.settings import Settings

__all__ = ["Slack", "build", "outcome_of_api", "outcome_of_hook"]

ENTRY: Final = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
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

    def __init__(
        self,
        api: HttpApi,
        *,
        token: Secret | None,
        hooks_url: str,
        hooks_file: Path | None = None,
        takes_urls: bool = True,
    ) -> None:
        self._api, self._token, self._hooks_url = api, token, hooks_url.rstrip("/") + "/"
        self._hooks_file, self._takes_urls = hooks_file, takes_urls

    @property
    def endpoint(self) -> str:
        return self._api.url

    async def check_address(self, address: str) -> None:
        if ENTRY.fullmatch(address):
            await asyncio.to_thread(self._hook, address)
            return
        if address.startswith(self._hooks_url) and address.isprintable() and " " not in address and self._takes_urls:
            return
        if address.startswith(self._hooks_url):
            raise InvalidAddress(
                address[:20],
                "is a secret: name an entry of SLACK_WEBHOOKS_FILE, or set SLACK_WEBHOOKS=on to have it kept",
            )
        if not CONVERSATION.fullmatch(address):
            raise InvalidAddress(address[:20], "is no conversation such as C024BE91L or #general, nor a webhook's URL")
        if self._token is None:
            raise InvalidAddress(address, "needs SLACK_BOT_TOKEN, which is not set")

    def render(self, subject: str, body: str) -> Rendered:
        return as_one_text(f"*{_escaped(subject)}*", _escaped(body), limit=SLACK_LENGTH, limit_of="Slack")

    async def send(self, claim: Claim) -> Outcome:
        text = self.render(claim.subject, claim.body).text
        try:
            if claim.address.startswith("http") or ENTRY.fullmatch(claim.address):
                url = await asyncio.to_thread(self._hook, claim.address)
                return outcome_of_hook(await self._api.post(url, body={"text": text}))
            if self._token is None:
                return outcome_of(Failure.AUTH, "SLACK_BOT_TOKEN is not set")
            headers = {"authorization": f"Bearer {self._token.read()}"}
            body = {"channel": claim.address, "text": text, "unfurl_links": False}
            return outcome_of_api(await self._api.post("/api/chat.postMessage", body=body, headers=headers))
        except InvalidAddress as exc:  # it was taken under another setting, or is no entry any more
            return outcome_of(Failure.AUTH if ENTRY.fullmatch(claim.address) else Failure.PERMANENT, exc.reason)
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        except Unsent as exc:
            return outcome_of(Failure.TRANSIENT, exc.reason)
        except Unanswered as exc:
            return LostAnswer(exc.reason)

    def _hook(self, address: str) -> str:
        """Return the URL of an incoming webhook. Raises InvalidAddress."""
        url = address
        if ENTRY.fullmatch(address):
            entries = read_entries(self._hooks_file) if self._hooks_file is not None else {}
            if address not in entries:
                raise InvalidAddress(address, "is no entry of SLACK_WEBHOOKS_FILE")
            url = entries[address]
        if not url.startswith(self._hooks_url):
            raise InvalidAddress(address[:20], f"is no webhook below {self._hooks_url}")
        return url

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
    """Return the channel where a token is set, or incoming webhooks by a file, or by URLs (``SLACK_WEBHOOKS=on``)."""
    token, file = credentials.secret("SLACK_BOT_TOKEN"), credentials.text("SLACK_WEBHOOKS_FILE")
    takes_urls = credentials.text("SLACK_WEBHOOKS") == "on"
    if token is None and not file and not takes_urls:
        return None
    return Slack(
        HttpApi(credentials.text("SLACK_URL", "https://slack.com")),
        token=token,
        hooks_url=credentials.text("SLACK_HOOKS_URL", "https://hooks.slack.com/services"),
        hooks_file=Path(file) if file else None,
        takes_urls=takes_urls,
    )
