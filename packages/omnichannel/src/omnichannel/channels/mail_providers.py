"""Which way emails go: by a mail server (SMTP) or by Amazon SES, as the environment says."""

from email.utils import parseaddr
from pathlib import Path
from typing import Final

from pydantic import TypeAdapter, ValidationError

from omnichannel.channels.aws import AwsAccount
from omnichannel.channels.credentials import Credentials, Secret
from omnichannel.channels.email import Email
from omnichannel.channels.ses import Ses
from omnichannel.channels.smtp_connections import AT_MOST, Connections, Server
from omnichannel.settings import Settings, SettingsInvalid, SmtpUrl

__all__ = ["build"]

MOST: Final = 1000  # connections: as many as a worker may have deliveries in flight


def build(settings: Settings, credentials: Credentials) -> Email | Ses | None:
    """Return the channel that the environment configures, None if it configures none. Raises SettingsInvalid."""
    unsubscribe_url = credentials.text("EMAIL_UNSUBSCRIBE_URL")
    sender = credentials.text("SMTP_FROM", settings.smtp_from)
    if "@" not in parseaddr(sender)[1] or not sender.isprintable():
        raise SettingsInvalid((f"{credentials.named('SMTP_FROM')}: is no sender, such as news@example.com",))
    match credentials.text("EMAIL_PROVIDER", "smtp"):
        case "ses":
            return Ses(
                AwsAccount.of(credentials, "AWS_ENDPOINT_URL_SESV2"),
                sender=sender,
                unsubscribe_url=unsubscribe_url,
                configuration_set=credentials.text("SES_CONFIGURATION_SET"),
            )
        case "smtp":
            server = _server(settings, credentials)
            if server is None:
                return None
            connections = Connections(server, at_most=_at_most(credentials))
            return Email(server, sender=sender, unsubscribe_url=unsubscribe_url, connections=connections)
        case other:
            raise SettingsInvalid((f"{credentials.named('EMAIL_PROVIDER')}: {other!r} is neither smtp nor ses",))


def _server(settings: Settings, credentials: Credentials) -> Server | None:
    url = credentials.secret("SMTP_URL")
    if url is None:
        return None
    if not url.is_file:
        _check(url)
    ca_file = credentials.text("SMTP_CA_FILE")
    return Server(
        url=url,
        password=credentials.secret("SMTP_PASSWORD"),
        ca_file=Path(ca_file) if ca_file else None,
        timeout_s=settings.smtp_timeout_s,
    )


def _at_most(credentials: Credentials) -> int:
    text = credentials.text("SMTP_CONNECTIONS", str(AT_MOST))
    if not text.isdecimal() or not 1 <= int(text) <= MOST:
        raise SettingsInvalid((f"{credentials.named('SMTP_CONNECTIONS')}: must be a number from 1 to {MOST}",))
    return int(text)


def _check(url: Secret) -> None:
    try:
        TypeAdapter(SmtpUrl).validate_python(url.read())
    except ValidationError:
        raise SettingsInvalid((f"{url.variable}: is no URL such as smtp://user:password@host:587",)) from None
