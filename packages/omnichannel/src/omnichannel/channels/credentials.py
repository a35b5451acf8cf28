"""Credentials from the environment, or from files that it names.

``NAME`` holds a value, ``NAME_FILE`` the path of a file with it. A file is read at every use, so that a credential is
renewed by writing the file, without a restart. Values never appear in an error, nor in ``repr``.

A channel may have several accounts. ``SMS__MARKETING__TWILIO_FROM`` is the variable ``TWILIO_FROM`` of the account
``marketing`` of the channel ``sms``. What an account does not set it does not have: it takes nothing from another but
where the provider is (``SHARED``).
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

__all__ = ["ACCOUNT_NAME", "CredentialMissing", "Credentials", "Secret"]

ACCOUNT_NAME: Final = r"[a-z][a-z0-9]*(_[a-z0-9]+)*"

SHARED: Final = frozenset(
    {
        "AWS_ENDPOINT_URL_SESV2",
        "AWS_ENDPOINT_URL_SNS",
        "AWS_REGION",
        "GRAPH_URL",
        "GRAPH_VERSION",
        "LINKEDIN_URL",
        "LINKEDIN_VERSION",
        "SLACK_HOOKS_URL",
        "SLACK_URL",
        "SMTP_CA_FILE",
        "TWILIO_URL",
    }
)
"""Variables that say where a provider is, and not who we are there."""

_OF_ACCOUNT: Final = re.compile(r"(?P<channel>[A-Z][A-Z0-9-]*)__(?P<account>[A-Z][A-Z0-9]*(?:_[A-Z0-9]+)*)__.+")


class CredentialMissing(Exception):
    """A credential cannot be had now; ``variable`` is the one that names it."""

    def __init__(self, variable: str, reason: str) -> None:
        super().__init__(variable, reason)
        self.variable, self.reason = variable, reason

    def __str__(self) -> str:
        return f"{self.variable} {self.reason}"


@dataclass(frozen=True, slots=True)
class Secret:
    """A value that is not shown."""

    variable: str
    _value: str | None = field(default=None, repr=False)
    _path: Path | None = None

    @property
    def is_file(self) -> bool:
        """Whether it is read from a file at every use."""
        return self._path is not None

    def read(self) -> str:
        """Return the value as it is now. Raises CredentialMissing."""
        if self._path is None:
            assert self._value is not None
            return self._value
        try:
            value = self._path.read_text().strip()
        except (OSError, UnicodeDecodeError) as exc:
            reason = getattr(exc, "strerror", None) or "it is no text"
            raise CredentialMissing(self.variable, f"names a file that cannot be read: {reason}") from exc
        if not value:
            raise CredentialMissing(self.variable, "names an empty file")
        return value


class Credentials:
    """The variables of an environment, or of one account in it."""

    def __init__(self, environment: Mapping[str, str], *, prefix: str = "") -> None:
        self._environment, self._prefix = environment, prefix

    def accounts(self, channel: str) -> tuple[str, ...]:
        """Return the names of a channel's accounts besides the one without a name."""
        found = (_OF_ACCOUNT.fullmatch(name) for name in self._environment)
        wanted = channel.upper()
        return tuple(sorted({each["account"].lower() for each in found if each and each["channel"] == wanted}))

    def of_account(self, channel: str, account: str) -> "Credentials":
        """Return the variables of an account."""
        return Credentials(self._environment, prefix=f"{channel}__{account}__".upper())

    @property
    def is_named(self) -> bool:
        """Whether these are the variables of an account with a name."""
        return bool(self._prefix)

    def named(self, name: str) -> str:
        """Return what a variable is called in the environment."""
        return f"{self._prefix}{name}"

    def text(self, name: str, default: str = "") -> str:
        """Return a variable that is no secret."""
        own = self._environment.get(self.named(name))
        return own or (self._environment.get(name) if name in SHARED else None) or default

    def secret(self, name: str) -> Secret | None:
        """Return a secret, None where neither ``name`` nor ``name``_FILE is set."""
        path = self._environment.get(f"{self.named(name)}_FILE")
        if path:
            return Secret(f"{self.named(name)}_FILE", None, Path(path))
        value = self._environment.get(self.named(name))
        return Secret(self.named(name), value) if value else None
