"""The Facebook channel: a post in a page's feed, with pictures. An address is the page's id.

Pictures are uploaded first, unpublished, and then named by the post: nothing is public before it, so everything up to
there may be tried again. What is uploaded and never named Meta deletes after a day. The token is the page's own.
Sources: Graph API reference, "Page feed" and "Page photos"; Pages API, "Publish a multi-photo post".
"""

import re
from collections.abc import Sequence
from typing import Final

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.carries import FACEBOOK_LENGTH
from omnichannel.channels.credentials import CredentialMissing, Credentials
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.graph import Graph, GraphRefused
from omnichannel.channels.http_api import Part, Unanswered, Unsent
from omnichannel.channels.rendered import Rendered, as_one_text
from omnichannel.messages.model import AttachmentRef, Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome
from omnichannel.settings import Settings

__all__ = ["Facebook", "build"]

PAGE: Final = re.compile(r"[0-9]{5,20}")


class Facebook:
    """Posts to pages."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph

    @property
    def endpoint(self) -> str:
        return self._graph.url

    async def check_address(self, address: str) -> None:
        if not PAGE.fullmatch(address):
            raise InvalidAddress(address[:40], "is no page's id, such as 102030405060708")

    def render(self, subject: str, body: str) -> Rendered:
        return as_one_text(subject, body, limit=FACEBOOK_LENGTH, limit_of="Facebook")

    async def send(self, claim: Claim) -> Outcome:
        try:
            photos = [await self._upload(claim.address, each) for each in claim.attachments]
        except (Unsent, Unanswered) as exc:  # nothing is public yet
            return outcome_of(Failure.TRANSIENT, exc.reason)
        except KeyError:
            return outcome_of(Failure.TRANSIENT, "Facebook answered without a picture's id")
        except GraphRefused as exc:
            return exc.outcome
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        return await self._post(claim, photos)

    async def _upload(self, page: str, file: AttachmentRef) -> str:
        parts = [Part("published", "false"), Part("source", file.content, file.name, file.media_type)]
        return str((await self._graph.upload(f"{page}/photos", parts))["id"])

    async def _post(self, claim: Claim, photos: Sequence[str]) -> Outcome:
        post: dict[str, object] = {"message": self.render(claim.subject, claim.body).text}
        if photos:
            post["attached_media"] = [{"media_fbid": each} for each in photos]
        try:
            answer = await self._graph.post(f"{claim.address}/feed", post)
        except GraphRefused as exc:
            return exc.outcome
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        except Unsent as exc:
            return outcome_of(Failure.TRANSIENT, exc.reason)
        except Unanswered as exc:
            return LostAnswer(exc.reason)
        return Accepted(str(answer["id"])) if "id" in answer else LostAnswer("Facebook answered without a post's id")

    async def healthy(self) -> bool:
        return await self._graph.reachable()

    async def close(self) -> None:
        await self._graph.close()


def build(_: Settings, credentials: Credentials) -> Facebook | None:
    """Return the channel where a token is set."""
    token = credentials.secret("FACEBOOK_PAGE_TOKEN")
    return None if token is None else Facebook(Graph.of(credentials, token=token))
