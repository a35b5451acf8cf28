"""Email by Amazon SES: the same message as over SMTP, handed over by SendEmail of its API version 2.

Source: Amazon SES API v2 reference, "SendEmail". SES signs with DKIM where the domain is verified; whether a mail
arrives it tells later, by events (``ses_receipts``).
"""

from collections.abc import Mapping
from email.utils import parseaddr
from typing import Final

from omnichannel.channels.aws import AwsAccount, aws_errors, outcome_of_aws
from omnichannel.channels.email import check_mailbox, render
from omnichannel.channels.failure import Failure
from omnichannel.channels.http_api import HttpApi
from omnichannel.channels.mime import compose
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
    """Sends as ``sender``. A ``configuration_set`` is what SES publishes its events by, which become receipts."""

    def __init__(
        self, account: AwsAccount, *, sender: str, unsubscribe_url: str = "", configuration_set: str = ""
    ) -> None:
        self._account, self._sender = account, sender
        self._unsubscribe_url, self._configuration_set = unsubscribe_url, configuration_set

    @property
    def endpoint(self) -> str:
        return self._account.endpoint_url or f"https://email.{self._account.region}.amazonaws.com"

    async def check_address(self, address: str) -> None:
        check_mailbox(address)

    def render(self, subject: str, body: str) -> Rendered:
        return render(subject, body)

    async def send(self, claim: Claim) -> Outcome:
        message = compose(claim, sender=self._sender, unsubscribe_url=self._unsubscribe_url)
        try:
            own = {"ConfigurationSetName": self._configuration_set} if self._configuration_set else {}
            async with self._account.client("sesv2") as ses:
                answer = await ses.send_email(
                    FromEmailAddress=parseaddr(self._sender)[1],
                    Destination={"ToAddresses": [claim.address]},
                    Content={"Raw": {"Data": message}},
                    **own,
                )
        except aws_errors() as exc:
            errors = SES_ERRORS
            if "daily message quota" in str(exc).lower():
                errors = {**SES_ERRORS, "TooManyRequestsException": Failure.QUOTA, "ThrottlingException": Failure.QUOTA}
            return outcome_of_aws(exc, errors, service="SES")
        return Accepted(str(answer["MessageId"]))

    async def healthy(self) -> bool:
        api = HttpApi(self.endpoint)
        try:
            return await api.reachable()
        finally:
            await api.close()

    async def close(self) -> None:
        """Nothing is held open."""
