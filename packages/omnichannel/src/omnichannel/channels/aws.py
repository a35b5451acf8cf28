"""Calls of Amazon's APIs: what an error of the library or of a service means for a delivery.

Source: the services' API references, "Common errors"; each channel adds the codes of its own calls.
"""

from collections.abc import Mapping
from typing import Any, Final

from aiobotocore.config import AioConfig
from aiobotocore.session import get_session
from aiohttp import ClientError as HttpError
from botocore.exceptions import BotoCoreError, ClientError, ConnectTimeoutError, EndpointConnectionError
from botocore.parsers import ResponseParserError

from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.words import excerpt
from omnichannel.messages.outcome import Outcome

__all__ = ["AWS_ERRORS", "aws_client", "outcome_of_aws"]

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

AWS_ERRORS: Final = (BotoCoreError, ClientError, ResponseParserError, HttpError, OSError, TimeoutError)
"""What a call may raise."""

CONFIG: Final = AioConfig(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 1})
"""One try a call: a second one inside the library could deliver twice."""


def aws_client(service: str, *, region: str, endpoint_url: str | None) -> Any:
    """Return a client, to be entered. Credentials come from the environment, as in every AWS SDK."""
    return get_session().create_client(service, region_name=region, endpoint_url=endpoint_url, config=CONFIG)


def outcome_of_aws(error: Exception, own: Mapping[str, Failure], *, service: str) -> Outcome:
    """Return what an error of AWS_ERRORS means; ``own`` are the codes of the call, before the common ones."""
    if isinstance(error, ClientError):
        code = str(error.response.get("Error", {}).get("Code", ""))
        status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
        words = f"{service} answered {code}: {excerpt(str(error.response.get('Error', {}).get('Message', '')))}"
        by_status = Failure.TRANSIENT if status >= 500 else Failure.THROTTLED if status == 429 else Failure.PERMANENT
        return outcome_of(own.get(code) or COMMON.get(code) or by_status, words)
    words = excerpt(str(error) or type(error).__name__)
    if isinstance(error, EndpointConnectionError | ConnectTimeoutError):
        return outcome_of(Failure.TRANSIENT, f"cannot connect: {words}")
    if type(error).__name__ in ("NoCredentialsError", "PartialCredentialsError", "TokenRetrievalError"):
        return outcome_of(Failure.AUTH, words)  # the request was never signed, so it has not left
    return outcome_of(Failure.AMBIGUOUS, f"{service} did not answer: {words}")
