"""What the environment decides. Read once, by the composition roots; everything else is handed values.

The names of service discovery (``SERVICE_…``, ``DATABASE_URL``, ``STREAM_URL``) are those that the platform gives every
task; the rest is the publisher's own. Durations are in seconds.
"""

import contextlib
import ipaddress
from email.utils import parseaddr
from pathlib import Path
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AnyUrl, Field, UrlConstraints, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

__all__ = ["Settings", "SettingsInvalid", "SmtpUrl"]

Seconds = Annotated[float, Field(gt=0, le=86_400)]
SmtpUrl = Annotated[AnyUrl, UrlConstraints(allowed_schemes=["smtp", "smtps"], host_required=True)]


class SettingsInvalid(Exception):
    """Variables of the environment cannot be used; ``problems`` has one sentence for each."""

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "; ".join(self.problems)


class Settings(BaseSettings):
    """Each field is the environment variable of the same name in capitals."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    service_address: str = "0.0.0.0"  # to bind; every address is right where a task is alone on its machine
    service_port: Annotated[int, Field(ge=0, le=65_535)] = 8080  # 0: any free one; the log says which
    service_instance: str = ""  # the registered instance id, by which the log and the claims name this process

    database_url: str = "sqlite:///omnichannel.db"
    stream_url: str = "sql:"  # or kinesis://name?endpoint_url=…

    omnichannel_auth: Literal["on", "off"] = "on"  # off: no key is asked for; only for an API that nobody else reaches

    webhook_allow_networks: str = ""  # CIDRs, comma-separated, that webhooks may reach besides the public internet
    webhook_refuse_listeners: str = ""  # address:port, comma-separated, that webhooks never reach
    webhook_timeout_s: Seconds = 15.0  # from the start of the connection to the end of the answer's header
    smtp_url: SmtpUrl | None = None  # smtp://[user:password@]host:port, smtps:// for TLS from the first byte
    smtp_from: str = "omnichannel@localhost"  # sender of every email
    smtp_timeout_s: Seconds = 30.0  # for each reply of the server

    omnichannel_retry_base_s: Seconds = 5.0  # upper bound of the first wait; it doubles with each try
    omnichannel_retry_cap_s: Seconds = 3600.0  # no wait is longer
    omnichannel_retry_attempts: Annotated[int, Field(ge=1, le=100)] = 8  # tries before a delivery is dead

    omnichannel_concurrency: Annotated[int, Field(ge=1, le=1000)] = 32  # deliveries that one worker has in flight
    omnichannel_drain_s: Seconds = 10.0  # after SIGTERM what is in flight may end within this; then it is cut off
    omnichannel_poll_s: Annotated[float, Field(ge=0.01, le=60)] = (
        0.2  # a scheduler looks for what is due this often ...
    )
    # ... and exactly when something that it knows of becomes due

    omnichannel_retention_days: Annotated[float, Field(ge=0, le=36_500)] = (
        90  # ended messages are kept so long; 0: always
    )
    omnichannel_archive_dir: Path | None = (
        None  # where they are written before they are deleted, one JSON object a line
    )

    aws_endpoint_url_servicediscovery: str = ""  # the registry and ...
    waypost_dns: str = ""  # ... the nameserver of the platform: here only so that no webhook is sent to them

    @classmethod
    def from_environment(cls) -> Self:
        """Read the process's environment.

        :raises SettingsInvalid: a variable cannot be used.
        """
        try:
            return cls()
        except ValidationError as exc:
            raise SettingsInvalid(tuple(_sentence(error) for error in exc.errors(include_input=False))) from None

    @field_validator("service_address")
    @classmethod
    def _is_an_address(cls, value: str) -> str:
        ipaddress.ip_address(value)
        return value

    @field_validator("webhook_allow_networks")
    @classmethod
    def _names_networks(cls, value: str) -> str:
        for entry in _entries(value):
            ipaddress.ip_network(entry)
        return value

    @field_validator("webhook_refuse_listeners")
    @classmethod
    def _names_listeners(cls, value: str) -> str:
        for entry in _entries(value):
            _listener(entry)
        return value

    @field_validator("smtp_from")
    @classmethod
    def _is_a_sender(cls, value: str) -> str:
        if "@" not in parseaddr(value)[1] or not value.isprintable():
            raise ValueError("is no sender, such as news@example.com or News <news@example.com>")
        return value

    @field_validator("omnichannel_archive_dir")
    @classmethod
    def _is_a_folder(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("is no folder")
        return value

    @model_validator(mode="after")
    def _waits_have_room(self) -> Self:
        if self.omnichannel_retry_cap_s < self.omnichannel_retry_base_s:
            raise ValueError("OMNICHANNEL_RETRY_CAP_S: must not be below OMNICHANNEL_RETRY_BASE_S")
        return self

    @property
    def own_listeners(self) -> frozenset[tuple[str, int]]:
        """Address and port of each listener of the platform that this process knows of.

        A task on a loopback address has its siblings on others with the same port: ``0.0.0.0`` stands for all of them.
        """
        loopback = ipaddress.ip_address(self.service_address).is_loopback
        own = {("0.0.0.0" if loopback else self.service_address, self.service_port)}
        own.update(_listener(entry) for entry in _entries(self.webhook_refuse_listeners))
        for url in (self.aws_endpoint_url_servicediscovery, f"//{self.waypost_dns}"):
            with contextlib.suppress(ValueError):  # whoever uses these variables says what is wrong with them
                parts = urlsplit(url)
                if parts.hostname and parts.port:
                    own.add((parts.hostname, parts.port))
        return frozenset(own)


def _entries(text: str) -> list[str]:
    """Return the entries of a comma-separated list, without spaces and empty ones."""
    return [entry.strip() for entry in text.split(",") if entry.strip()]


def _listener(text: str) -> tuple[str, int]:
    """Return the two parts of ``address:port``.

    :raises ValueError: it has not that form.
    """
    address, _, port = text.rpartition(":")
    if not address or not port.isdecimal():
        raise ValueError(f"{text!r} is not of the form address:port")
    return address.strip("[]"), int(port)


def _sentence(error: Any) -> str:
    words = str(error["msg"]).removeprefix("Value error, ")
    return f"{str(error['loc'][0]).upper()}: {words}" if error["loc"] else words  # else it is about several
