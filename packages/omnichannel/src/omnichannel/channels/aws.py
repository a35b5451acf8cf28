"""Calls of Amazon's APIs: what an error of the library or of a service means for a delivery.

Source: the services' API references, "Common errors"; each channel adds the codes of its own calls.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

from omnichannel.channels.credentials import CredentialMissing, Credentials, Secret
from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.words import excerpt
from omnichannel.messages.outcome import Outcome

__all__ = ["AwsAccount", "aws_errors", "outcome_of_aws"]

COMMON: Final[Mapping[str, Failure]] = {
    "Throttling": Failure.THROTTLED,
    "ThrottlingException": Failure.THROTTLED,
    "ThrottledException": Failure.THROTTLED,
    "TooManyRequestsException": Failure.THROTTLED,
    "RequestLimitExceeded": Failure.THROTTLED,
    "InternalFailure": Failure.TRANSIENT,
    "ServiceUnavailable": Failure.TRANSIENT,
    "RequestExpired": Failure.TRANSIENT,  # a clock is wrong
    "AccessDenied": Failure.AUTH,
    "AccessDeniedException": Failure.AUTH,
    "ExpiredToken": Failure.AUTH,
    "ExpiredTokenException": Failure.AUTH,
    "IncompleteSignature": Failure.AUTH,
    "InvalidClientTokenId": Failure.AUTH,
    "MissingAuthenticationToken": Failure.AUTH,
    "NotAuthorized": Failure.AUTH,
    "OptInRequired": Failure.AUTH,
    "SignatureDoesNotMatch": Failure.AUTH,
    "UnrecognizedClientException": Failure.AUTH,
}

CONNECT_TIMEOUT_S: Final = 5.0
ONE_TRY: Final = {"mode": "standard", "total_max_attempts": 1}
"""A second try inside the library could deliver twice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class AwsAccount:
    """Where a service is, and who asks: without a key the credentials are found as in every AWS SDK."""

    region: str
    endpoint_url: str | None = None
    key_id: str | None = None
    key: Secret | None = None
    timeout_s: float = 20.0  # for an answer

    @classmethod
    def of(cls, credentials: Credentials, endpoint: str) -> "AwsAccount":
        """Return the account that the environment names; ``endpoint`` is the variable of the service's URL."""
        own = credentials.is_named  # the account without a name leaves it all to the SDK, which renews by itself
        return cls(
            region=credentials.text("AWS_REGION", "us-east-1"),
            endpoint_url=credentials.text(endpoint) or None,
            key_id=(credentials.text("AWS_ACCESS_KEY_ID") or None) if own else None,
            key=credentials.secret("AWS_SECRET_ACCESS_KEY") if own else None,
        )

    def client(self, service: str) -> Any:
        """Return a client, to be entered. Raises CredentialMissing."""
        # Slow to import, and most publishers have no account of Amazon's.
        from aiobotocore.config import AioConfig
        from aiobotocore.session import get_session

        key = None if self.key is None else self.key.read()
        session = get_session()
        session.register_component("data_loader", _models())
        return session.create_client(
            service,
            region_name=self.region,
            endpoint_url=self.endpoint_url,
            config=AioConfig(connect_timeout=CONNECT_TIMEOUT_S, read_timeout=self.timeout_s, retries=dict(ONE_TRY)),
            aws_access_key_id=self.key_id,
            aws_secret_access_key=key,
        )


@cache
def _models() -> Any:
    """Return what reads the models of Amazon's APIs, and keeps them: each takes a tenth of a second of a processor."""
    from botocore.loaders import create_loader

    return create_loader()


def aws_errors() -> tuple[type[Exception], ...]:
    """Return what a call may raise. Python asks for it only when something was raised: until then nothing is loaded."""
    from aiohttp import ClientError as HttpError
    from botocore.exceptions import BotoCoreError, ClientError
    from botocore.parsers import ResponseParserError

    return (BotoCoreError, ClientError, ResponseParserError, HttpError, OSError, TimeoutError, CredentialMissing)


def outcome_of_aws(error: Exception, own: Mapping[str, Failure], *, service: str) -> Outcome:
    """Return what one of ``aws_errors`` means; ``own`` are the codes of the call, before the common ones."""
    from botocore.exceptions import ClientError, ConnectTimeoutError, EndpointConnectionError

    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        words = f"{service} answered {code}: {excerpt(str(error.response.get('Error', {}).get('Message', '')))}"
        by_status = Failure.TRANSIENT if status >= 500 else Failure.THROTTLED if status == 429 else Failure.PERMANENT
        return outcome_of(own.get(code) or COMMON.get(code) or by_status, words)
    words = excerpt(str(error) or type(error).__name__)
    if isinstance(error, CredentialMissing):
        return outcome_of(Failure.AUTH, words)
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return outcome_of(Failure.TRANSIENT, f"cannot connect: {words}")
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"):
        return outcome_of(Failure.AUTH, words)  # the request was never signed, so it has not left
    return outcome_of(Failure.AMBIGUOUS, f"{service} did not answer: {words}")
