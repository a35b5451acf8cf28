"""Signatures of outgoing events. Source: Standard Webhooks 1.0, "Signature scheme"; ``v1`` is HMAC-SHA256."""

import base64
import hashlib
import hmac
from collections.abc import Sequence

__all__ = ["signature_header"]


def signature_header(secrets: Sequence[str], *, event_id: str, timestamp: int, payload: str) -> str:
    """Return the header ``webhook-signature``: one signature for each secret, separated by spaces.

    A secret reads ``whsec_<base64>``; ``timestamp`` is in seconds since 1970, as in the header ``webhook-timestamp``.
    """
    signed = f"{event_id}.{timestamp}.{payload}".encode()
    return " ".join(f"v1,{_signature(secret, signed)}" for secret in secrets)


def _signature(secret: str, signed: bytes) -> str:
    key = base64.b64decode(secret.removeprefix("whsec_"))
    return base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
