"""Errors of the SDK, of the registry's own calls and of the platform's registry code, as those of the commands.

Apart from them, because the SDK takes its time to load.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ParamValidationError

from waypost.cli.errors import CommandFailed, Conflict, Denied, Misused, NotFound, Unavailable
from waypost.own_calls import CallAway, CallRefused, NoSuchCall

__all__ = ["foreign_errors"]

_BY_CODE: Final[Mapping[str, type[CommandFailed]]] = {
    "InvalidInput": Misused,
    "ValidationException": Misused,
    "SerializationException": Misused,
    "CustomHealthNotFound": Misused,
    "NamespaceNotFound": NotFound,
    "ServiceNotFound": NotFound,
    "InstanceNotFound": NotFound,
    "OperationNotFound": NotFound,
    "ResourceNotFoundException": NotFound,
    "AccessDeniedException": Denied,
    "UnrecognizedClientException": Denied,
    "InvalidClientTokenId": Denied,
    "InvalidSignatureException": Denied,
    "SignatureDoesNotMatch": Denied,
    "IncompleteSignature": Denied,
    "IncompleteSignatureException": Denied,
    "MissingAuthenticationToken": Denied,
    "MissingAuthenticationTokenException": Denied,
    "NamespaceAlreadyExists": Conflict,
    "ServiceAlreadyExists": Conflict,
    "ResourceInUse": Conflict,
    "DuplicateRequest": Conflict,
    "ServiceUnavailable": Unavailable,
    "ServiceUnavailableException": Unavailable,
    "RequestLimitExceeded": Unavailable,
    "ThrottlingException": Unavailable,
}
_BY_STATUS: Final[Mapping[int, type[CommandFailed]]] = {401: Denied, 403: Denied, 404: NotFound, 409: Conflict}


@contextmanager
def foreign_errors(endpoint: str) -> Iterator[None]:
    """Let the errors of others out as the commands' own."""
    try:
        yield
    except ClientError as error:
        told = error.response.get("Error", {})
        code, message = str(told.get("Code", "")), str(told.get("Message", ""))
        status = error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
        if status == 503:
            raise Unavailable(message or code) from error
        if code.isdecimal() and status not in (401, 403):  # no error of Cloud Map's: somebody else is there
            raise _away(endpoint, f"somebody answers, with HTTP status {status}") from error
        raise _of(code, status)(f"{code}: {message}".rstrip(": ")) from error
    except ParamValidationError as error:
        raise Misused(" ".join(str(error).split())) from error
    except (NoCredentialsError, NoRegionError) as error:
        raise Misused(
            f"{str(error).rstrip('.')}: set AWS_REGION, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY."
        ) from error
    except BotoCoreError as error:
        raise _away(endpoint, str(error)) from error
    except CallAway as error:
        raise _away(endpoint, str(error)) from error
    except CallRefused as error:
        raise _of(error.type, error.status)(str(error)) from error
    except NoSuchCall as error:
        raise CommandFailed(f"the registry at {endpoint} is not Waypost's, or an older one ({error})") from error


def _of(code: str, status: int) -> type[CommandFailed]:
    return _BY_CODE.get(code) or _BY_STATUS.get(status, CommandFailed)


def _away(endpoint: str, why: str) -> Unavailable:
    return Unavailable(
        f"no registry answers at {endpoint}: start one with waypost up, or name it with --endpoint-url ({why})"
    )
