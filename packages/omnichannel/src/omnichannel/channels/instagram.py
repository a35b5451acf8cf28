"""The Instagram channel: pictures with a caption, published in two steps. An address is the account's id.

Instagram fetches the pictures itself: the URL of each, public and ending in .jpg or .jpeg, stands on a line of its own
in the message's body. A container is made of it, and once that is ready it is published; several pictures become a
carousel, a container of containers. Before the last step nothing is public, so everything up to there may be tried
again. When the answer to that step is lost, the container is asked: it knows whether it was published. Source:
Instagram Platform, "Content publishing", sections "Create a container", "Create a carousel container", "Publish the
container" and "Troubleshooting".
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Final

from omnichannel.channels.adapter import InvalidAddress
from omnichannel.channels.carries import INSTAGRAM_LENGTH
from omnichannel.channels.credentials import CredentialMissing, Credentials
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.graph import Graph, GraphRefused
from omnichannel.channels.http_api import Unanswered, Unsent
from omnichannel.channels.rendered import Rendered, as_one_text
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome
from omnichannel.settings import Settings

__all__ = ["Instagram", "build"]

ACCOUNT: Final = re.compile(r"[0-9]{5,20}")
IMAGE: Final = re.compile(r"(?m)^[ \t]*(https://\S+\.jpe?g(?:\?\S*)?)[ \t]*\n?", re.IGNORECASE)
LOOKS: Final = 12  # at a container that is in progress
PICTURES: Final = 10  # of a carousel


class Instagram:
    """Publishes images. ``look_every_s`` is the wait between two looks at a container."""

    def __init__(self, graph: Graph, *, look_every_s: float = 5.0) -> None:
        self._graph, self._look_every_s = graph, look_every_s

    @property
    def endpoint(self) -> str:
        return self._graph.url

    async def check_address(self, address: str) -> None:
        if not ACCOUNT.fullmatch(address):
            raise InvalidAddress(address[:40], "is no Instagram account's id, such as 17841400000000000")

    def render(self, subject: str, body: str) -> Rendered:
        images = IMAGE.findall(body)
        caption = IMAGE.sub("", body).strip() if images else body
        rendered = as_one_text(subject, caption, limit=INSTAGRAM_LENGTH, limit_of="A caption on Instagram")
        return Rendered(rendered.text, notes=(*rendered.notes, *_told(images)))

    async def send(self, claim: Claim) -> Outcome:
        images = IMAGE.findall(claim.body)[:PICTURES]
        if not images:
            return outcome_of(Failure.PERMANENT, "needs the URL of a JPEG on a line of its own in the body")
        try:
            caption = self.render(claim.subject, claim.body).text
            container = await self._contain(claim.address, images, caption)
            state = await self._until_ready(container)
        except GraphRefused as exc:
            return exc.outcome
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        except (Unsent, Unanswered) as exc:  # nothing is public yet
            return outcome_of(Failure.TRANSIENT, exc.reason)
        except KeyError:
            return outcome_of(Failure.TRANSIENT, "Instagram answered without a container's id")
        if state != "FINISHED":
            passing = state in ("IN_PROGRESS", "EXPIRED")
            return outcome_of(Failure.TRANSIENT if passing else Failure.PERMANENT, f"the image's container is {state}")
        return await self._publish(claim.address, container)

    async def _contain(self, account: str, images: Sequence[str], caption: str) -> str:
        """Return the container of what is to be published. Raises KeyError where the API names none."""
        path = f"{account}/media"
        if len(images) == 1:
            return str((await self._graph.post(path, {"image_url": images[0], "caption": caption}))["id"])
        children = []
        for each in images:
            made = await self._graph.post(path, {"image_url": each, "is_carousel_item": True})
            children.append(str(made["id"]))
        await asyncio.gather(*map(self._until_ready, children))
        carousel = {"media_type": "CAROUSEL", "children": ",".join(children), "caption": caption}
        return str((await self._graph.post(path, carousel))["id"])

    async def _until_ready(self, container: str) -> str:
        state = "IN_PROGRESS"
        for _ in range(LOOKS):
            state = await self._state(container)
            if state != "IN_PROGRESS":
                break
            await asyncio.sleep(self._look_every_s)
        return state

    async def _state(self, container: str) -> str:
        return str((await self._graph.get(f"{container}?fields=status_code")).get("status_code", "IN_PROGRESS"))

    async def _publish(self, account: str, container: str) -> Outcome:
        try:
            answer = await self._graph.post(f"{account}/media_publish", {"creation_id": container})
        except Unsent as exc:
            return outcome_of(Failure.TRANSIENT, exc.reason)
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        except Unanswered as exc:
            return await self._reconcile(container, LostAnswer(exc.reason))
        except GraphRefused as exc:  # an error may come although the post went live
            return await self._reconcile(container, exc.outcome)
        return Accepted(str(answer["id"])) if "id" in answer else LostAnswer("Instagram answered without a post's id")

    async def _reconcile(self, container: str, otherwise: Outcome) -> Outcome:
        """Ask the container whether it was published after all; where it does not tell, the outcome is the other."""
        try:
            state = await self._state(container)
        except (GraphRefused, Unsent, Unanswered, CredentialMissing):
            return otherwise
        if state == "PUBLISHED":
            return Accepted(container)
        if state == "FINISHED" and isinstance(otherwise, LostAnswer):  # it waits to be published: nothing is public
            return outcome_of(Failure.TRANSIENT, f"{otherwise.reason}; nothing was published")
        return otherwise

    async def healthy(self) -> bool:
        return await self._graph.reachable()

    async def close(self) -> None:
        await self._graph.close()


def _told(images: Sequence[str]) -> tuple[str, ...]:
    match images:
        case []:
            return ("There is no image, without which Instagram takes nothing.",)
        case [image]:
            return (f"The image is {image}.",)
    carried = f"There are {min(len(images), PICTURES)} images, which become a carousel."
    left = len(images) - PICTURES
    return (carried, f"A carousel holds {PICTURES} images; {left} were cut.") if left > 0 else (carried,)


def build(_: Settings, credentials: Credentials) -> Instagram | None:
    """Return the channel where a token is set."""
    token = credentials.secret("INSTAGRAM_TOKEN")
    return None if token is None else Instagram(Graph.of(credentials, token=token))
