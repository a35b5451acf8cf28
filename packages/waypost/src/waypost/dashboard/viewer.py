"""Who looks at a page: what there is for them to see, and what they may change. Pure."""

from dataclasses import dataclass

from waypost.apis.access.keys import AccessKey
from waypost.apis.access.rights import EVERYTHING, Rights
from waypost.apis.cloudmap.caller import Caller
from waypost.catalog.changes import Cause
from waypost.catalog.model import Namespace

__all__ = ["Viewer"]


@dataclass(frozen=True, slots=True)
class Viewer:
    """Somebody who looks. Where no keys are configured, everybody sees every account."""

    account: str | None = None  # None: all
    rights: Rights = EVERYTHING
    by: str = "-"  # the id of the access key

    @classmethod
    def with_key(cls, key: AccessKey, *, account: str) -> "Viewer":
        """Return who has signed in with a key; ``account`` is that of keys that name none."""
        own = key.id if len(key.id) == 12 and key.id.isascii() and key.id.isdigit() else account
        return cls(account=key.account or own, rights=key.rights, by=key.id)

    def sees(self, namespace: Namespace) -> bool:
        """Whether a namespace, and what is in it, is there for them."""
        return self.account in (None, namespace.account) and self.rights.may_read(namespace.name)

    def may_change(self, namespace: Namespace) -> bool:
        """Whether they may change what is in a namespace."""
        return self.sees(namespace) and self.rights.may_write(namespace.name)

    def as_caller(self, namespace: Namespace, call: str, why: str = "") -> Caller:
        """Return them as one who calls the registry about a namespace."""
        cause = Cause(call=call, by=self.by, why="".join(letter for letter in why if letter.isprintable())[:256])
        return Caller(account=namespace.account, region=namespace.region, cause=cause, rights=self.rights)
