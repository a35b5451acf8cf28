"""The WhatsApp channel: the Cloud API, text inside the 24 hours after a person has written, else a template.

An address is a telephone number in the form of E.164. ``WHATSAPP_TEMPLATE=name/language`` sends that template, with the
message's text as its one body parameter. Source: WhatsApp Cloud API, "Messages" and "Error codes".
"""

from typing import Final

from omnichannel.channels.carries import WHATSAPP_LENGTH
from omnichannel.channels.credentials import CredentialMissing, Credentials
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.graph import Graph, GraphRefused
from omnichannel.channels.http_api import Unanswered, Unsent
from omnichannel.channels.rendered import Rendered, as_one_text
from omnichannel.channels.sms import check_number
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import Accepted, LostAnswer, Outcome
from omnichannel.settings import Settings, SettingsInvalid

__all__ = ["WhatsApp", "build"]

PARAMETER_LENGTH: Final = 1024  # of a template's body parameter, which takes no line breaks either


class WhatsApp:
    """Sends from the number whose id is ``phone_number_id``."""

    def __init__(self, graph: Graph, *, phone_number_id: str, template: str = "") -> None:
        self._graph, self._number, self._template = graph, phone_number_id, template

    @property
    def endpoint(self) -> str:
        return self._graph.url

    async def check_address(self, address: str) -> None:
        check_number(address)

    def render(self, subject: str, body: str) -> Rendered:
        if not self._template:
            return as_one_text(subject, body, limit=WHATSAPP_LENGTH, limit_of="WhatsApp")
        rendered = as_one_text(subject, body, limit=PARAMETER_LENGTH, limit_of="A template of WhatsApp")
        return Rendered(" ".join(rendered.text.split()), notes=(*rendered.notes, "A template takes no line breaks."))

    async def send(self, claim: Claim) -> Outcome:
        try:
            answer = await self._graph.post(f"{self._number}/messages", self._message(claim))
        except GraphRefused as exc:
            return exc.outcome
        except CredentialMissing as exc:
            return outcome_of(Failure.AUTH, str(exc))
        except Unsent as exc:
            return outcome_of(Failure.TRANSIENT, exc.reason)
        except Unanswered as exc:
            return LostAnswer(exc.reason)
        messages = answer.get("messages")
        if not isinstance(messages, list) or not messages:
            return LostAnswer("WhatsApp answered without a message's id")
        return Accepted(str(messages[0].get("id")))

    def _message(self, claim: Claim) -> dict[str, object]:
        text = self.render(claim.subject, claim.body).text
        common = {"messaging_product": "whatsapp", "recipient_type": "individual", "to": claim.address.lstrip("+")}
        if not self._template:
            return {**common, "type": "text", "text": {"preview_url": False, "body": text}}
        name, _, language = self._template.partition("/")
        parameters = [{"type": "text", "text": text}]
        template = {
            "name": name,
            "language": {"code": language or "en"},
            "components": [{"type": "body", "parameters": parameters}],
        }
        return {**common, "type": "template", "template": template}

    async def healthy(self) -> bool:
        return await self._graph.reachable()

    async def close(self) -> None:
        await self._graph.close()


def build(_: Settings, credentials: Credentials) -> WhatsApp | None:
    """Return the channel where a token is set. Raises SettingsInvalid."""
    token = credentials.secret("WHATSAPP_TOKEN")
    if token is None:
        return None
    number = credentials.text("WHATSAPP_PHONE_NUMBER_ID")
    if not number:
        raise SettingsInvalid(("WHATSAPP_PHONE_NUMBER_ID: must be set beside WHATSAPP_TOKEN",))
    graph = Graph.of(credentials, token=token)
    return WhatsApp(graph, phone_number_id=number, template=credentials.text("WHATSAPP_TEMPLATE"))
