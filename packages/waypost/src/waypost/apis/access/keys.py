"""Access keys: who may call, proved by signature, and with which rights."""

import hmac
import re
import secrets
import tomllib
from collections.abc import Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, Final

import msgspec

from waypost.apis.access.rights import EVERYTHING, Rights
from waypost.apis.access.signature import SignedRequest, check_claim, read_claim, signature_of
from waypost.apis.cloudmap.errors import WireError

__all__ = ["KEY", "AccessKey", "KeyRing", "KeysInvalid", "keys_from_file", "keys_from_text"]

KEY: Final = "waypost.key"
"""Where the ASGI scope of a request holds the AccessKey that signed it, where keys are configured."""

ID: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")
ACCOUNT: Final = re.compile(r"[0-9]{12}")
SECRET: Final = 16  # characters that a secret has at least


class KeysInvalid(ValueError):
    """The access keys are not written as they must be."""


class AccessKey(msgspec.Struct, frozen=True, kw_only=True):
    """One key. The secret must be kept as it is: signatures are made with it."""

    id: str
    secret: str
    account: str | None = None  # None: that of callers whose key id is none
    rights: Rights = EVERYTHING

    def __repr__(self) -> str:
        return f"AccessKey({self.id!r})"  # never with the secret

    def __post_init__(self) -> None:
        if not ID.fullmatch(self.id):
            raise KeysInvalid(f"the access key id {self.id[:32]!r} is not 1 to 128 letters, digits, '_', '.' and '-'")
        if len(self.secret) < SECRET:
            raise KeysInvalid(f"the secret of access key {self.id} is shorter than {SECRET} characters")
        if self.account is not None and not ACCOUNT.fullmatch(self.account):
            raise KeysInvalid(f"the account of access key {self.id} is not 12 digits")


class KeyRing:
    """The keys that are known."""

    def __init__(self, keys: Iterable[AccessKey]) -> None:
        self._keys: dict[str, AccessKey] = {}
        for key in keys:
            if key.id in self._keys:
                raise KeysInvalid(f"the access key {key.id} is given twice")
            self._keys[key.id] = key
        self._unknown = AccessKey(id="unknown", secret=secrets.token_hex(SECRET))

    def __bool__(self) -> bool:
        return bool(self._keys)

    def check(self, key_id: str, secret: str) -> AccessKey | None:
        """Return the key of this id if that is its secret; it takes as long if there is no such key."""
        known = self._keys.get(key_id)
        right = hmac.compare_digest((known or self._unknown).secret.encode(), secret.encode())
        return known if right else None

    def verify(self, request: SignedRequest, *, now: datetime) -> AccessKey:
        """Return the key that a request was signed with.

        A key that is not known costs the same time as a wrong signature.

        :raises WireError: with AWS's own types, why it is not taken.
        """
        headers = request.values()
        claim = read_claim(headers)
        check_claim(claim, headers, now=now)
        known = self._keys.get(claim.key_id)
        expected = signature_of(request, claim, (known or self._unknown).secret)
        right = hmac.compare_digest(expected, claim.signature)
        if known is None or "x-amz-security-token" in headers:  # there are no temporary credentials here
            raise WireError("UnrecognizedClientException", "The security token included in the request is invalid.")
        if not right:
            raise WireError(
                "InvalidSignatureException",
                "The request signature we calculated does not match the signature you provided. Check your AWS Secret "
                "Access Key and signing method. Consult the service documentation for details.",
            )
        return known


class _Written(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    secret: str
    account: str | None = None
    read: tuple[str, ...] | None = None
    write: tuple[str, ...] | None = None

    @property
    def rights(self) -> Rights:
        if self.read is None and self.write is None:
            return EVERYTHING
        return Rights(read=self.read or (), write=self.write or ())


def keys_from_file(path: Path) -> list[AccessKey]:
    """Return the keys of a TOML file: a table for each, by its id, with ``secret``, ``account``, ``read``, ``write``.

    :raises KeysInvalid: it cannot be read, or is not that.
    """
    try:
        tables: Mapping[str, Any] = tomllib.loads(path.read_text())
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise KeysInvalid(f"cannot read the access keys in {path}: {error}") from error
    keys = []
    for key_id, table in tables.items():
        try:
            written = msgspec.convert(table, _Written)
        except msgspec.ValidationError as error:
            raise KeysInvalid(f"the access key {key_id} in {path}: {error}") from error
        keys.append(AccessKey(id=key_id, secret=written.secret, account=written.account, rights=written.rights))
    return keys


def keys_from_text(text: str) -> list[AccessKey]:
    """Return the keys of ``id:secret,id:secret``; each may do everything.

    :raises KeysInvalid: it is not that.
    """
    keys = []
    for number, part in enumerate(filter(None, (each.strip() for each in text.split(","))), start=1):
        key_id, colon, secret = part.partition(":")
        if not colon:
            raise KeysInvalid(f"access key {number} is not id:secret")
        keys.append(AccessKey(id=key_id, secret=secret))
    return keys
