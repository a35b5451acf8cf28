"""Secrets at rest: sealed by AES-256-GCM with a key from the environment, so that the database alone gives none away.

``OMNICHANNEL_SEALING_KEY`` holds keys, the newest first, separated by commas; the first one seals, all of them open. So
a key is replaced by putting the new one in front, sealing everything again, and taking the old one out. What is sealed
names its key by a digest, and is bound to its row: moved to another, it does not open. Source: NIST SP 800-38D, RFC
5116 section 5.1; a nonce is drawn anew for each value.
"""

import base64
import hashlib
import os
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from omnichannel.channels.credentials import CredentialMissing, Credentials, Secret

__all__ = ["VARIABLE", "Seal", "SealingFailed", "new_key"]

VARIABLE: Final = "OMNICHANNEL_SEALING_KEY"
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MARK: Final = "sealed:"


class SealingFailed(Exception):
    """A secret cannot be sealed, or not be opened; ``reason`` is a sentence that holds nothing secret."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


def new_key() -> str:
    """Return a new key, as the variable holds it."""
    return base64.urlsafe_b64encode(os.urandom(KEY_BYTES)).decode()


class Seal:
    """The keys, read anew at every use where they stand in a file; without keys nothing is sealed."""

    def __init__(self, keys: Secret | None = None) -> None:
        self._keys = keys

    @classmethod
    def of(cls, credentials: Credentials) -> "Seal":
        """Return the seal that the environment names. Its keys are looked at when they are used."""
        return cls(credentials.secret(VARIABLE))

    @property
    def has_keys(self) -> bool:
        """Whether the environment names any."""
        return self._keys is not None

    def check(self) -> None:
        """Raise SealingFailed unless there are keys, and every one is good."""
        self._read()

    def close(self, secret: str, *, place: str) -> str:
        """Return a secret as it may be kept at this place, such as a row's id. Raises SealingFailed."""
        (name, key), *_ = self._read().items()
        nonce = os.urandom(NONCE_BYTES)
        sealed = nonce + AESGCM(key).encrypt(nonce, secret.encode(), _bound(name, place))
        return f"{MARK}{name}:{base64.b64encode(sealed).decode()}"

    def open(self, kept: str, *, place: str) -> str:
        """Return the secret that is kept at this place. Raises SealingFailed.

        One that was kept before there were seals comes back as it is.
        """
        if not kept.startswith(MARK):
            return kept
        name, _, text = kept.removeprefix(MARK).partition(":")
        key = self._read().get(name)
        if key is None:
            raise SealingFailed(f"A secret was sealed with the key {name}, which is not in {VARIABLE}.")
        try:
            sealed = base64.b64decode(text, validate=True)
            return AESGCM(key).decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], _bound(name, place)).decode()
        except (InvalidTag, ValueError):
            raise SealingFailed("A sealed secret was changed in the database, or moved, and does not open.") from None

    def is_newest(self, kept: str) -> bool:
        """Return whether a secret is sealed with the first key. Raises SealingFailed."""
        return kept.startswith(f"{MARK}{next(iter(self._read()))}:")

    def _read(self) -> dict[str, bytes]:
        """Return the keys by their names, the newest first."""
        if self._keys is None:
            raise SealingFailed(f"{VARIABLE} is not set: `omnichannel sealing new` prints a key for it.")
        try:
            entries = [entry.strip() for entry in self._keys.read().split(",")]
        except CredentialMissing as exc:
            raise SealingFailed(f"{exc}.") from None
        keys = [_parse(entry, self._keys.variable) for entry in entries if entry]
        if not keys:
            raise SealingFailed(f"{self._keys.variable} holds no key.")
        return {hashlib.sha256(key).hexdigest()[:8]: key for key in keys}


def _parse(text: str, variable: str) -> bytes:
    try:
        key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except ValueError:
        key = b""
    if len(key) != KEY_BYTES:
        raise SealingFailed(f"{variable} must hold {KEY_BYTES} bytes in base64: `omnichannel sealing new` prints such.")
    return key


def _bound(name: str, place: str) -> bytes:
    return f"{name}\0{place}".encode()
