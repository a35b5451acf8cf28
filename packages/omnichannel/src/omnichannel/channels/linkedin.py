"""The LinkedIn channel: a post in the name of a person or an organisation, whose URN is the address.

Images are uploaded first and then named by the post; nothing is public before it. The id of the post is in a header,
the body is empty. A repetition is refused, and the refusal names the post that is there: then the first try has arrived
after all. Sources: LinkedIn Marketing API, "Posts API", "Images API", "MultiImage API", "little Text format", "API
versioning", "Rate limiting".
"""

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final
from urllib.parse import urlsplit

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.carries import LINKEDIN_LENGTH
from omnichannel.channels.credentials import CredentialMissing, Credentials, Secret
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.http_api import Answer, HttpApi, Unanswered, Unsent
from omnichannel.channels.rendered import Rendered
from omnichannel.messages.model import AttachmentRef, Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome
from omnichannel.settings import Settings, SettingsInvalid

__all__ = ["LinkedIn", "build", "escaped", "linkedin_outcome"]

AUTHOR: Final = re.compile(r"urn:li:(person|organization):[A-Za-z0-9_-]{1,40}")
POST: Final = re.compile(r"urn:li:(share|ugcPost|activity):\d+")
RESERVED: Final = re.compile(r"([\\|{}@\[\]()<>#*_~])")
IMAGE: Final = re.compile(r"urn:li:image:[A-Za-z0-9_-]{1,100}")
UPLOADS: Final = re.compile(r"([a-z0-9-]+\.)*linkedin\.com")
VERSION: Final = re.compile(r"20\d{2}(0[1-9]|1[0-2])")


class _Refused(Exception):
    """An image was not taken; the post was not made."""

    def __init__(self, answer: Answer) -> None:
        super().__init__(answer)
        outcome = linkedin_outcome(answer, now=datetime.now(UTC))
        unclear = isinstance(outcome, Accepted | LostAnswer)  # a 2xx, but not as it is documented: nothing is public
        words = f"LinkedIn took no image: {answer.words}"
        self.outcome: Outcome = outcome_of(Failure.TRANSIENT, words) if unclear else outcome


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
        if len(text) <= LINKEDIN_LENGTH:
            return Rendered(text)
        cut = text[: LINKEDIN_LENGTH - 1].rstrip() + "…"
        return Rendered(cut, notes=(f"LinkedIn takes {LINKEDIN_LENGTH} characters; {len(text) - len(cut)} were cut.",))

    async def send(self, claim: Claim) -> Outcome:
        try:
            images = [await self._upload(claim.address, each) for each in claim.attachments]
        except _Refused as exc:
            return exc.outcome
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        except (Unsent, Unanswered) as exc:  # nothing is public yet
            return outcome_of(Failure.TRANSIENT, exc.reason)
        try:
            answer = await self._api.post("/rest/posts", body=self._post(claim, images), headers=self._headers())
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        except Unsent as exc:
            return outcome_of(Failure.TRANSIENT, exc.reason)
        except Unanswered as exc:
            return LostAnswer(exc.reason)
        return linkedin_outcome(answer, now=datetime.now(UTC))

    def _headers(self) -> dict[str, str]:
        return {
            "authorization": f"Bearer {self._token.read()}",
            "linkedin-version": self._version,
            "x-restli-protocol-version": "2.0.0",
        }

    def _post(self, claim: Claim, images: Sequence[str]) -> dict[str, object]:
        post: dict[str, object] = {
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
        if len(images) == 1:
            post["content"] = {"media": {"id": images[0]}}
        elif images:
            post["content"] = {"multiImage": {"images": [{"id": each} for each in images]}}
        return post

    async def _upload(self, author: str, file: AttachmentRef) -> str:
        """Return the URN of an image. Raises _Refused, CredentialMissing, Unsent, Unanswered."""
        asked = {"initializeUploadRequest": {"owner": author}}
        begun = await self._api.post("/rest/images?action=initializeUpload", body=asked, headers=self._headers())
        value = begun.json.get("value")
        if not begun.ok or not isinstance(value, dict):
            raise _Refused(begun)
        url, image = str(value.get("uploadUrl")), str(value.get("image"))
        if not self._is_linkedins(url) or not IMAGE.fullmatch(image):
            raise _Refused(begun)
        sent = await self._api.put(url, file.content, headers=self._headers() | {"content-type": file.media_type})
        if not sent.ok:
            raise _Refused(sent)
        return image

    def _is_linkedins(self, url: str) -> bool:
        """Return whether a URL, to which our token goes along, leads to LinkedIn, or to what stands in for it."""
        try:
            asked, own = urlsplit(url), urlsplit(self._api.url)
            same = (asked.scheme, asked.netloc) == (own.scheme, own.netloc)
            return same or (asked.scheme == "https" and UPLOADS.fullmatch(asked.netloc) is not None)
        except ValueError:
            return False

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
