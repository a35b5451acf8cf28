"""Who calls, as far as the request tells."""

import re
from typing import Final

import msgspec

from waypost.apis.access.keys import AccessKey
from waypost.apis.access.rights import EVERYTHING, Rights
from waypost.apis.cloudmap.errors import WireError
from waypost.catalog.changes import Cause, Operation
from waypost.catalog.identifiers import resource_id
from waypost.catalog.model import Namespace, Service

__all__ = ["Caller", "identify_caller"]

DEFAULT_REGION: Final = "us-east-1"
CREDENTIAL: Final = re.compile(r"Credential=([^/,\s]{1,128})/\d{8}/([a-z0-9-]{1,32})/[a-z0-9-]+/aws4_request")


class Caller(msgspec.Struct, frozen=True, kw_only=True):
    """A caller's account and region, which key every namespace, and the cause that its changes are kept with."""

    account: str
    region: str
    cause: Cause
    rights: Rights = EVERYTHING

    def check_may_read(self, namespace: Namespace) -> None:
        """Refuse a namespace that the caller may not look at.

        :raises WireError: AccessDeniedException.
        """
        self.check_may_read_name(namespace.name)

    def check_may_read_name(self, name: str) -> None:
        """As :meth:`check_may_read`, where nothing but the namespace's name is known."""
        if not self.rights.may_read(name):
            raise self._denied("read", name)

    def check_may_write(self, namespace: Namespace) -> None:
        """Refuse a namespace that the caller may not change.

        :raises WireError: AccessDeniedException.
        """
        self.check_may_write_name(namespace.name)

    def check_may_write_name(self, name: str) -> None:
        """As :meth:`check_may_write`, where nothing but the namespace's name is known."""
        if not self.rights.may_write(name):
            raise self._denied("write", name)

    def _denied(self, verb: str, name: str) -> WireError:
        who = f"arn:aws:iam::{self.account}:user/{self.cause.by}"
        words = f"User: {who} is not authorized to perform: servicediscovery:{self.cause.call}: the access key may not"
        return WireError("AccessDeniedException", f"{words} {verb} the namespace '{name}'.")

    def owns(self, resource: Namespace | Service | Operation) -> bool:
        """Whether a resource is of the caller's account and region: others do not exist for it."""
        return (resource.account, resource.region) == (self.account, self.region)

    def namespace_id(self, id_or_arn: str) -> str:
        return resource_id("namespace", id_or_arn, region=self.region, account=self.account)

    def service_id(self, id_or_arn: str) -> str:
        return resource_id("service", id_or_arn, region=self.region, account=self.account)


def identify_caller(
    *, call: str, authorization: str, why: str, account: str, verified: AccessKey | None = None
) -> Caller:
    """Return the caller that an Authorization header names: an access key id of 12 digits is its account.

    ``account`` is that of everybody else; the region is the credential scope's. ``verified`` is the access key with
    which the request was signed, where keys are configured: it brings its rights, and its account if it has one.
    """
    found = CREDENTIAL.search(authorization)
    key, region = (found[1], found[2]) if found else ("-", DEFAULT_REGION)
    own = key if len(key) == 12 and key.isascii() and key.isdigit() else account
    cause = Cause(call=call, by=key, why=_clean(why))
    if verified is None:
        return Caller(account=own, region=region, cause=cause)
    return Caller(account=verified.account or own, region=region, cause=cause, rights=verified.rights)


def _clean(words: str) -> str:
    """Return a registrant's words without control characters, cut to a line's length."""
    return (words if words.isprintable() else "".join(letter for letter in words if letter.isprintable()))[:256]
