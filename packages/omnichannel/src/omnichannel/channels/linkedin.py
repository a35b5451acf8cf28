"""The LinkedIn channel: a post in the name of a person or an organisation, whose URN is the address.

The id of the post is in a header, the body is empty. A repetition is refused, and the refusal names the post that is
there: then the first try has arrived after all. Sources: LinkedIn Marketing API, "Posts API", "little Text format",
"API versioning", "Rate limiting".
"""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.credentials import CredentialMissing, Credentials, Secret
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.http_api import Answer, HttpApi, Unanswered, Unsent
from omnichannel.channels.rendered import Rendered
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome
from omnichannel.settings import Settings, SettingsInvalid

__all__ = ["LinkedIn", "build", "escaped", "linkedin_outcome"]

LENGTH: Final = 3000  # characters of a post
AUTHOR: Final = re.compile(r"urn:li:(person|organization):[A-Za-z0-9_-]{1,40}")
POST: Final = re.compile(r"urn:li:(share|ugcPost|activity):\d+")
RESERVED: Final = re.compile(r"([\\|{}@\[\]()<>#*_~])")
VERSION: Final = re.compile(r"20\d{2}(0[1-9]|1[0-2])")


class LinkedIn:
    """Posts with ``token``; ``version`` is a month such as 202506, and each is served for a year."""

    def __init__(self, api: HttpApi, *, token: Secret, version: str) -> None:
        self._api, self._token, self._version = api, token, version

    @property
    def endpoint(self) -> str:
        return self._api.url

    async def check_address(self, address: str) -> None:
        if not AUTHOR.fullmatch(address):
            raise InvalidAddress(address[:60], "is no author such as urn:li:organization:1234 or urn:li:person:abc")

    def render(self, subject: str, body: str) -> Rendered:
        text = f"{subject}\n\n{body}"
        if len(text) <= LENGTH:
            return Rendered(text)
        cut = text[: LENGTH - 1].rstrip() + "…"
        return Rendered(cut, notes=(f"LinkedIn takes {LENGTH} characters; {len(text) - len(cut)} were cut.",))

    async def send(self, claim: Claim) -> Outcome:
        post = {
            "author": claim.address,
            "commentary": escaped(self.render(claim.subject, claim.body).text),
            "visibility": "PUBLIC",
            "distribution": {
                "feedDistribution": "MAIN_FEED",
                "targetEntities": [],
                "thirdPartyDistributionChannels": [],
            },
            "lifecycleState": "PUBLISHED",
            "isReshareDisabledByAuthor": False,
        }
        try:
            headers = {
                "authorization": f"Bearer {self._token.read()}",
                "linkedin-version": self._version,
                "x-restli-protocol-version": "2.0.0",
            }
            answer = await self._api.post("/rest/posts", body=post, headers=headers)
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        except Unsent as exc:
            return outcome_of(Failure.TRANSIENT, exc.reason)
        except Unanswered as exc:
            return LostAnswer(exc.reason)
        return linkedin_outcome(answer, now=datetime.now(UTC))

    async def healthy(self) -> bool:
        return await self._api.reachable()

    async def close(self) -> None:
        await self._api.close()


def linkedin_outcome(answer: Answer, *, now: datetime) -> Outcome:
    """Return what an answer of the Posts API means."""
    if answer.ok:
        post = answer.headers.get("x-restli-id")
        return Accepted(str(post)) if post else LostAnswer("LinkedIn answered without a post's id")
    words = f"LinkedIn answered {answer.words}"
    there = POST.search(answer.text)
    if answer.status == 422 and "DUPLICATE_POST" in answer.text and there:
        return Accepted(there[0])
    if answer.status == 429:  # a daily limit, which ends at midnight UTC
        midnight = (now + timedelta(days=1)).replace(hour=0, minute=0, second=0, microsecond=0)
        wait_s = answer.after_s if answer.after_s is not None else (midnight - now).total_seconds()
        return outcome_of(Failure.QUOTA, words, after_s=wait_s)
    if answer.status in (401, 403, 426):  # 426: the version has been retired
        return outcome_of(Failure.AUTH, words)
    return outcome_of(Failure.TRANSIENT if answer.status >= 500 else Failure.PERMANENT, words, after_s=answer.after_s)


def escaped(text: str) -> str:
    """Return text with the characters escaped that mean something in LinkedIn's text format."""
    return RESERVED.sub(r"\\\1", text)


def build(_: Settings, credentials: Credentials) -> LinkedIn | None:
    """Return the channel where a token is set. Raises SettingsInvalid."""
    token = credentials.secret("LINKEDIN_TOKEN")
    if token is None:
        return None
    version = credentials.text("LINKEDIN_VERSION")
    if not VERSION.fullmatch(version):
        raise SettingsInvalid(("LINKEDIN_VERSION: must be a month such as 202510, beside LINKEDIN_TOKEN",))
    return LinkedIn(HttpApi(credentials.text("LINKEDIN_URL", "https://api.linkedin.com")), token=token, version=version)
