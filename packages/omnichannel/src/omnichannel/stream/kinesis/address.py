"""Where a stream is: ``kinesis://name`` or ``kinesis://arn:aws:kinesis:…``, with options after a question mark."""

import re
from dataclasses import dataclass
from typing import Annotated, Final
from urllib.parse import parse_qsl, urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

__all__ = ["InvalidKinesisUrl", "KinesisAddress"]

SCHEME: Final = "kinesis://"
NAME: Final = re.compile(r"[A-Za-z0-9_.-]{1,128}")  # API reference, CreateStream: StreamName
ARN: Final = re.compile(r"arn:aws[a-z-]*:kinesis:(?P<region>[a-z0-9-]+):\d{12}:stream/(?P<name>[A-Za-z0-9_.-]{1,128})")


class InvalidKinesisUrl(ValueError):
    """The URL names no stream; ``reason`` says what is wrong with it."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class _Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    endpoint_url: str | None = None
    region: Annotated[str, Field(pattern=r"^[a-z0-9-]+$")] | None = None
    read_every_ms: Annotated[int, Field(ge=10, le=10_000)] = 200
    lease_s: Annotated[float, Field(ge=0.5, le=300)] = 10.0

    @field_validator("endpoint_url")
    @classmethod
    def _is_http(cls, value: str) -> str:
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("is no http or https URL")
        return value


@dataclass(frozen=True, slots=True, kw_only=True)
class KinesisAddress:
    """A stream and how it is read."""

    name: str
    arn: str | None = None  # named by this where it is known: the API prefers it
    region: str | None = None  # None: that of the environment
    endpoint_url: str | None = None  # None: Amazon's
    read_every_s: float = 0.2  # between two reads of a shard: Kinesis allows 5 a second, for all groups together
    lease_s: float = 10.0  # a member that renews nothing for so long has lost its shards; renewed at a third of it

    @classmethod
    def parse(cls, url: str) -> "KinesisAddress":
        """Return the address that a URL is.

        :raises InvalidKinesisUrl: it is none.
        """
        target, _, query = url.removeprefix(SCHEME).partition("?")
        by_arn = ARN.fullmatch(target)
        if not url.startswith(SCHEME) or not (by_arn or NAME.fullmatch(target)):
            raise InvalidKinesisUrl(f"{url!r} is not of the form kinesis://name or kinesis://arn:aws:kinesis:…")
        try:
            options = _Options.model_validate(dict(parse_qsl(query, keep_blank_values=True)))
        except ValidationError as exc:
            first = exc.errors(include_url=False)[0]
            raise InvalidKinesisUrl(f"{first['loc'][0]}: {first['msg']}") from None
        return cls(
            name=by_arn["name"] if by_arn else target,
            arn=target if by_arn else None,
            region=options.region or (by_arn["region"] if by_arn else None),
            endpoint_url=options.endpoint_url,
            read_every_s=options.read_every_ms / 1000,
            lease_s=options.lease_s,
        )

    @property
    def stream(self) -> dict[str, str]:
        """Return the argument by which calls of the API name the stream."""
        return {"StreamARN": self.arn} if self.arn else {"StreamName": self.name}
