"""Email by Amazon SES: the same message as over SMTP, handed over by SendEmail of its API version 2.

Source: Amazon SES API v2 reference, "SendEmail". SES signs with DKIM where the domain is verified; whether a mail
arrives it tells later, by events that this does not read.
"""

from collections.abc import Mapping
from email.utils import parseaddr
from typing import Final

from omnichannel.channels.aws import AWS_ERRORS, aws_client, outcome_of_aws
from omnichannel.channels.email import check_mailbox, compose, render
from omnichannel.channels.failure import Failure
from omnichannel.channels.http_api import HttpApi
from omnichannel.channels.rendered import Rendered
from omnichannel.messages.model import Claim
from omnichannel.messages.outcome import Accepted, Outcome

__all__ = ["SES_ERRORS", "Ses"]

SES_ERRORS: Final[Mapping[str, Failure]] = {
    "LimitExceededException": Failure.QUOTA,
    "AccountSuspendedException": Failure.AUTH,
    "SendingPausedException": Failure.AUTH,
    "MailFromDomainNotVerifiedException": Failure.AUTH,
    "MessageRejected": Failure.PERMANENT,
    "NotFoundException": Failure.PERMANENT,
    "BadRequestException": Failure.PERMANENT,
}
"""Error codes of SendEmail. The daily quota comes as TooManyRequestsException too, which its words tell."""


class Ses:
    """Sends as ``sender``; credentials come from the environment, as in every AWS SDK."""

    def __init__(self, *, sender: str, region: str, endpoint_url: str | None = None, unsubscribe_url: str = "") -> None:
        self._sender, self._region, self._endpoint_url = sender, region, endpoint_url
        self._unsubscribe_url = unsubscribe_url

    @property
    def endpoint(self) -> str:
        return self._endpoint_url or f"https://email.{self._region}.amazonaws.com"

    async def check_address(self, address: str) -> None:
        check_mailbox(address)

    def render(self, subject: str, body: str) -> Rendered:
        return render(subject, body)

    async def send(self, claim: Claim) -> Outcome:
        message = compose(claim, sender=self._sender, unsubscribe_url=self._unsubscribe_url)
        try:
            async with aws_client("sesv2", region=self._region, endpoint_url=self._endpoint_url) as ses:
                answer = await ses.send_email(
                    FromEmailAddress=parseaddr(self._sender)[1],
                    Destination={"ToAddresses": [claim.address]},
                    Content={"Raw": {"Data": message}},
                )
        except AWS_ERRORS as exc:
            own = SES_ERRORS
            if "daily message quota" in str(exc).lower():
                own = {**SES_ERRORS, "TooManyRequestsException": Failure.QUOTA, "ThrottlingException": Failure.QUOTA}
            return outcome_of_aws(exc, own, service="SES")
        return Accepted(str(answer["MessageId"]))

    async def healthy(self) -> bool:
        api = HttpApi(self.endpoint)
        try:
            return await api.reachable()
        finally:
            await api.close()

    async def close(self) -> None:
        """Nothing is held open."""
