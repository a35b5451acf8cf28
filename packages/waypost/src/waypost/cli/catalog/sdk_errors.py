"""The SDK's errors, as those of the commands. Apart from them, because the SDK takes its time to load."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ParamValidationError

from waypost.cli.catalog.errors import CommandFailed, Conflict, Denied, Misused, NotFound, Unavailable

__all__ = ["foreign_errors"]

_BY_CODE: Final[Mapping[str, type[CommandFailed]]] = {
    "InvalidInput": Misused,
    "ValidationException": Misused,
    "CustomHealthNotFound": Misused,
    "NamespaceNotFound": NotFound,
    "ServiceNotFound": NotFound,
    "InstanceNotFound": NotFound,
    "OperationNotFound": NotFound,
    "ResourceNotFoundException": NotFound,
    "AccessDeniedException": Denied,
    "UnrecognizedClientException": Denied,
    "InvalidClientTokenId": Denied,
    "SignatureDoesNotMatch": Denied,
    "IncompleteSignature": Denied,
    "MissingAuthenticationToken": Denied,
    "NamespaceAlreadyExists": Conflict,
    "ServiceAlreadyExists": Conflict,
    "ResourceInUse": Conflict,
    "DuplicateRequest": Conflict,
    "ServiceUnavailable": Unavailable,
    "ServiceUnavailableException": Unavailable,
    "RequestLimitExceeded": Unavailable,
    "ThrottlingException": Unavailable,
}


@contextmanager
def foreign_errors(endpoint: str) -> Iterator[None]:
    """Let the SDK's errors out as this module's."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        code = str(told.get("Code", ""))
        if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") == 503:
            raise Unavailable(str(told.get("Message") or code)) from error
        raise _BY_CODE.get(code, CommandFailed)(f"{code}: {told.get('Message', '')}".rstrip(": ")) from error
    except ParamValidationError as error:
        raise Misused(" ".join(str(error).split())) from error
    except (NoCredentialsError, NoRegionError) as error:
        raise Misused(f"{error} Set AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY.") from error
    except BotoCoreError as error:
        raise Unavailable(
            f"no registry answers at {endpoint}: start one with waypost up, or name it with --endpoint-url ({error})"
        ) from error
