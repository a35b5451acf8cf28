"""AWS Signature Version 4: what a request says, and what its signature should be. Pure.

Source: "Create a signed AWS API request" in the IAM user guide. The errors are those that AWS answers with.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final
from urllib.parse import quote, unquote_to_bytes

from waypost.apis.cloudmap.errors import WireError

__all__ = ["SERVICE", "Claim", "SignedRequest", "check_claim", "read_claim", "signature_of"]

SERVICE: Final = "servicediscovery"
ALGORITHM: Final = "AWS4-HMAC-SHA256"
TERMINATOR: Final = "aws4_request"
SKEW: Final = timedelta(minutes=5)
TIME: Final = "%Y%m%dT%H%M%SZ"
SCOPE: Final = re.compile(r"([^/,\s]{1,128})/([0-9]{8})/([^/,\s]{1,64})/([^/,\s]{1,64})/([^/,\s]{1,64})")
REGION: Final = re.compile(r"[a-z0-9-]{1,32}")
SIGNATURE: Final = re.compile(r"[0-9a-f]{64}")
HEADER_NAMES: Final = re.compile(r"[a-z0-9-]+(;[a-z0-9-]+)*")


@dataclass(frozen=True, slots=True, kw_only=True)
class SignedRequest:
    """What of a request is signed, as it came over the wire."""

    method: str
    raw_path: bytes
    query: bytes
    headers: Sequence[tuple[bytes, bytes]]  # names in lower case
    body: bytes = b""

    def values(self) -> dict[str, str]:
        """Return each header's value in canonical form: trimmed, runs of blanks as one, repeated ones joined."""
        found: dict[str, list[str]] = {}
        for name, value in self.headers:
            found.setdefault(name.decode("latin-1"), []).append(" ".join(value.decode("latin-1").split()))
        return {name: ",".join(values) for name, values in found.items()}


@dataclass(frozen=True, slots=True, kw_only=True)
class Claim:
    """What an Authorization header says."""

    key_id: str
    date: str  # YYYYMMDD
    region: str
    service: str
    terminator: str
    signed_headers: tuple[str, ...]
    signature: str  # 64 hexadecimal digits
    time: str  # X-Amz-Date


def read_claim(headers: Mapping[str, str]) -> Claim:
    """Return what a request's headers claim.

    :raises WireError: MissingAuthenticationTokenException or IncompleteSignatureException.
    """
    authorization = headers.get("authorization", "")
    if not authorization:
        raise WireError("MissingAuthenticationTokenException", "Missing Authentication Token")
    algorithm, _, rest = authorization.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm[:32]}', only '{ALGORITHM}' is taken.")
    given = dict(part.strip().partition("=")[::2] for part in rest.split(","))
    absent = [name for name in ("Credential", "Signature", "SignedHeaders") if not given.get(name)]
    if absent:
        raise _incomplete(" ".join(f"Authorization header requires '{name}' parameter." for name in absent))
    scope = SCOPE.fullmatch(given["Credential"])
    if scope is None:
        raise _incomplete("Credential must have exactly 5 slash-delimited elements: keyid/date/region/service/term.")
    if not SIGNATURE.fullmatch(given["Signature"]) or not HEADER_NAMES.fullmatch(given["SignedHeaders"]):
        raise _incomplete("Signature must be 64 hexadecimal digits, and SignedHeaders names in lower case.")
    time = headers.get("x-amz-date", "")
    if not time:
        raise _incomplete("Authorization header requires existence of a 'X-Amz-Date' header.")
    key_id, date, region, service, terminator = scope.groups()
    return Claim(
        key_id=key_id,
        date=date,
        region=region,
        service=service,
        terminator=terminator,
        signed_headers=tuple(given["SignedHeaders"].split(";")),
        signature=given["Signature"],
        time=time,
    )


def check_claim(claim: Claim, headers: Mapping[str, str], *, now: datetime) -> None:
    """Refuse a claim that no signature can make good: its time, its scope, or what it leaves unsigned.

    :raises WireError: InvalidSignatureException.
    """
    _check_time(claim, now)
    if claim.date != claim.time[:8]:
        raise _invalid(
            "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{claim.date}' != '{claim.time[:8]}', from '{claim.time}'."
        )
    if not REGION.fullmatch(claim.region):
        raise _invalid("Credential should be scoped to a valid region.")
    if claim.service != SERVICE:
        raise _invalid(f"Credential should be scoped to correct service: '{SERVICE}'.")
    if claim.terminator != TERMINATOR:
        raise _invalid(f"Credential should be scoped with a valid terminator: '{TERMINATOR}'.")
    if "host" not in claim.signed_headers:
        raise _invalid("'Host' must be a 'SignedHeader' in the AWS Authorization.")
    # What decides about the request must be signed, or somebody on the way could make another one of it.
    unsigned = [name for name in headers if name.startswith("x-amz-") and name not in claim.signed_headers]
    if unsigned:
        raise _invalid(f"The headers {', '.join(sorted(unsigned))} must be in SignedHeaders.")
    absent = [name for name in claim.signed_headers if name not in headers]
    if absent:
        raise _invalid(f"The request has no header {', '.join(absent)}, which SignedHeaders names.")


def signature_of(request: SignedRequest, claim: Claim, secret: str) -> str:
    """Return the signature that a request with this claim has if it was made with this secret."""
    headers = request.values()
    canonical = "\n".join(
        (
            request.method,
            _canonical_path(request.raw_path),
            _canonical_query(request.query),
            *(f"{name}:{headers.get(name, '')}" for name in claim.signed_headers),
            "",
            ";".join(claim.signed_headers),
            hashlib.sha256(request.body).hexdigest(),
        )
    )
    scope = f"{claim.date}/{claim.region}/{claim.service}/{claim.terminator}"
    to_sign = "\n".join((ALGORITHM, claim.time, scope, hashlib.sha256(canonical.encode("latin-1")).hexdigest()))
    key = _signing_key(secret, claim.date, claim.region, claim.service, claim.terminator)
    return hmac.new(key, to_sign.encode("latin-1"), hashlib.sha256).hexdigest()


@lru_cache(maxsize=256)
def _signing_key(secret: str, date: str, region: str, service: str, terminator: str) -> bytes:
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, terminator):
        key = hmac.digest(key, part.encode("latin-1"), "sha256")
    return key


def _canonical_path(raw_path: bytes) -> str:
    """Return the path as AWS's SDKs sign it for every service but S3: normalised, and encoded once more."""
    path = raw_path.decode("latin-1")
    kept: list[str] = []
    for part in path.split("/"):
        if part == "..":
            kept[-1:] = []
        elif part not in ("", "."):
            kept.append(part)
    tail = "/" if kept and path.endswith("/") else ""
    return quote("/" + "/".join(kept) + tail, safe="/~", encoding="latin-1")


def _canonical_query(query: bytes) -> str:
    pairs = []
    for part in query.split(b"&"):
        if part:
            name, _, value = part.partition(b"=")
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: bytes) -> str:
    return quote(unquote_to_bytes(text), safe="-_.~")


def _check_time(claim: Claim, now: datetime) -> None:
    try:
        time = datetime.strptime(claim.time, TIME).replace(tzinfo=UTC)
    except ValueError:
        raise _incomplete("X-Amz-Date must have the form YYYYMMDDTHHMMSSZ.") from None
    if time < now - SKEW:
        limit = f"{(now - SKEW).strftime(TIME)} ({now.strftime(TIME)} - 5 min.)"
        raise _invalid(f"Signature expired: {claim.time} is now earlier than {limit}")
    if time > now + SKEW:
        limit = f"{(now + SKEW).strftime(TIME)} ({now.strftime(TIME)} + 5 min.)"
        raise _invalid(f"Signature not yet current: {claim.time} is still later than {limit}")


def _incomplete(message: str) -> WireError:
    return WireError("IncompleteSignatureException", message)


def _invalid(message: str) -> WireError:
    return WireError("InvalidSignatureException", message)
