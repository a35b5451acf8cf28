"""Messages that Amazon SNS posts to an HTTPS endpoint: who sent them, and from which topic.

The signature is made with RSA over some fields in a fixed order, by a key whose certificate SNS serves. Whoever wrote
the message also wrote where that certificate is: so only SNS's own hosts are asked. Sources: Amazon SNS developer
guide, "Verifying the signatures of Amazon SNS messages" and "Parsing message formats".
"""

import base64
import json
import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import aiohttp
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

__all__ = ["CertificateAway", "Fetch", "NotSigned", "SnsMessage", "SnsMessages", "fetch"]

HOST: Final = re.compile(r"sns\.[a-z]{2}(-[a-z]+)+-\d{1,2}\.amazonaws\.com(\.cn)?")
CONFIRMATIONS: Final = ("SubscriptionConfirmation", "UnsubscribeConfirmation")
SIGNED: Final[Mapping[str, tuple[str, ...]]] = {
    "Notification": ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
    **dict.fromkeys(CONFIRMATIONS, ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type")),
}
FETCH_TIMEOUT_S: Final = 5.0
FETCH_BYTES: Final = 64 * 1024
CERTIFICATES: Final = 16  # kept: SNS uses one at a time in each region

Fetch = Callable[[str], Awaitable[bytes]]
"""Returns what is at a URL, or raises OSError."""


class NotSigned(Exception):
    """A message is none of SNS's, or of no topic that is ours; ``reason`` is a sentence."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CertificateAway(Exception):
    """The certificate cannot be had now, so nothing is known of the message."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SnsMessage:
    """A message whose signature holds."""

    kind: str  # Notification, or one of CONFIRMATIONS
    topic: str
    text: str
    subscribe_url: str | None = None

    @property
    def json(self) -> dict[str, Any]:
        """Return the text as an object; an empty one if it is none."""
        return _object(self.text)


class SnsMessages:
    """Reads messages of these topics. ``fetch`` gets certificates, and the URL that confirms a subscription."""

    def __init__(self, topics: Collection[str], fetch: Fetch) -> None:
        self._topics, self._fetch = frozenset(topics), fetch
        self._certificates: dict[str, rsa.RSAPublicKey] = {}

    async def read(self, body: bytes) -> SnsMessage:
        """Return the message in a request's body. Raises NotSigned, CertificateAway."""
        fields = _object(body)
        kind, topic = fields.get("Type"), fields.get("TopicArn")
        if not isinstance(kind, str) or kind not in SIGNED or not isinstance(topic, str):
            raise NotSigned("The body is no message of Amazon SNS.")
        if topic not in self._topics:
            raise NotSigned("The message is of a topic that SNS_RECEIPT_TOPICS does not name.")
        await self._verify(fields, SIGNED[kind])
        return SnsMessage(
            kind=kind, topic=topic, text=str(fields.get("Message", "")), subscribe_url=fields.get("SubscribeURL")
        )

    async def confirm(self, message: SnsMessage) -> None:
        """Confirm that messages of a topic are wanted. Raises NotSigned, CertificateAway."""
        url = _sns_url(message.subscribe_url, "SubscribeURL")
        try:
            await self._fetch(url)
        except OSError as exc:
            raise CertificateAway(str(exc)) from exc

    async def _verify(self, fields: Mapping[str, Any], names: tuple[str, ...]) -> None:
        algorithm: hashes.HashAlgorithm
        match fields.get("SignatureVersion"):
            case "1":
                algorithm = hashes.SHA1()  # noqa: S303 - what SNS signs with unless a topic asks for version 2
            case "2":
                algorithm = hashes.SHA256()
            case _:
                raise NotSigned("The signature is of a version that is not known.")
        signed = "".join(f"{name}\n{fields[name]}\n" for name in names if fields.get(name) is not None)
        try:
            signature = base64.b64decode(str(fields.get("Signature", "")), validate=True)
            key = await self._key(_sns_url(fields.get("SigningCertURL"), "SigningCertURL"))
            key.verify(signature, signed.encode(), padding.PKCS1v15(), algorithm)
        except (InvalidSignature, ValueError):
            raise NotSigned("The signature does not fit.") from None

    async def _key(self, url: str) -> rsa.RSAPublicKey:
        if url in self._certificates:
            return self._certificates[url]
        from cryptography import x509  # slow to import, and most publishers get no messages of SNS

        try:
            key = x509.load_pem_x509_certificate(await self._fetch(url)).public_key()
        except OSError as exc:
            raise CertificateAway(str(exc)) from exc
        except ValueError:
            raise NotSigned("There is no certificate at SigningCertURL.") from None
        if not isinstance(key, rsa.RSAPublicKey):
            raise NotSigned("The certificate at SigningCertURL has no RSA key.")
        if len(self._certificates) >= CERTIFICATES:
            self._certificates.clear()
        self._certificates[url] = key
        return key


async def fetch(url: str) -> bytes:
    """Return what is at a URL. Raises OSError. Bounded in time and size; redirects are not followed."""
    timeout = aiohttp.ClientTimeout(total=FETCH_TIMEOUT_S)
    try:
        async with (
            aiohttp.ClientSession(timeout=timeout) as session,
            session.get(url, allow_redirects=False) as answer,
        ):
            if answer.status != 200:
                raise OSError(f"HTTP {answer.status}")
            return await answer.content.read(FETCH_BYTES)
    except (aiohttp.ClientError, TimeoutError) as exc:
        raise OSError(str(exc) or type(exc).__name__) from exc


def _sns_url(url: object, name: str) -> str:
    """Return a URL if it leads to SNS itself. Raises NotSigned."""
    try:
        parts = urlsplit(str(url))
        if parts.scheme == "https" and HOST.fullmatch(parts.netloc) and str(url).isprintable():
            return str(url)
    except ValueError:
        pass
    raise NotSigned(f"{name} does not lead to Amazon SNS.")


def _object(text: str | bytes) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
