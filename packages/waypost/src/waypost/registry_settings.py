"""What one registry needs to know, read from the environment that its supervisor gives it."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from waypost.apis.access.keys import AccessKey, KeysInvalid, keys_from_file, keys_from_text
from waypost.apis.access.rates import Rates
from waypost.catalog.quotas import UNLIMITED, Quotas
from waypost.health.reach import CheckReach
from waypost.journal import Retention
from waypost.journal.retention import DAY_MS
from waypost.settings import ListenAddress, parse_database_url, parse_relaxations

__all__ = ["PLATFORM_KEY", "RegistrySettings", "SettingInvalid", "read_access_keys"]

PLATFORM_KEY: Final = "WAYPOST_PLATFORM_KEY"
"""``id:secret`` of the key that the platform has made for its own parts."""

DEFAULT_ACCOUNT: Final = "000000000000"
RETENTION: Final = Retention()
RATES: Final = Rates()

T = TypeVar("T")


class SettingInvalid(Exception):
    """A variable of the environment cannot be used; the message names it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RegistrySettings:
    """The settings of one registry."""

    database_url: str  # sqlite:///path or postgresql://…
    feed: Path  # Unix socket on which it feeds the nameserver
    account: str = DEFAULT_ACCOUNT  # of callers whose access key id is not one
    retention: Retention = RETENTION
    keys: tuple[AccessKey, ...] = ()  # none: nothing is verified
    hosts: tuple[str, ...] = ()  # under which unsigned calls are taken, beside those that no web page can have
    allow_unsigned: bool = False  # also when it listens on an address that others reach
    rates: Rates = RATES
    quotas: Quotas = UNLIMITED
    relax: frozenset[str] = frozenset()  # rules of Cloud Map that are loosened
    check_networks: str = ""  # CIDRs that active checks may go to, comma-separated; none: the default rule
    ui_write: bool = False  # the dashboard may change things
    listeners: tuple[ListenAddress, ...] = ()  # of the platform: never checked

    @classmethod
    def from_environment(cls, environment: Mapping[str, str]) -> "RegistrySettings":
        """Read the variables ``WAYPOST_…``.

        :raises SettingInvalid: one of them cannot be used.
        """

        def number(name: str, default: float) -> float:
            return _parsed(name, float, environment.get(name) or str(default))

        days = int(number("WAYPOST_HISTORY_DAYS", RETENTION.age_ms // DAY_MS))
        rows = int(number("WAYPOST_HISTORY_ROWS", RETENTION.rows))
        return cls(
            database_url=_parsed("WAYPOST_DATABASE_URL", parse_database_url, environment["WAYPOST_DATABASE_URL"]),
            feed=Path(environment["WAYPOST_FEED"]),
            account=environment.get("WAYPOST_ACCOUNT", DEFAULT_ACCOUNT),
            retention=_parsed("WAYPOST_HISTORY_DAYS", lambda _: Retention(age_ms=days * DAY_MS, rows=rows), ""),
            keys=read_access_keys(environment),
            hosts=tuple(filter(None, map(str.strip, environment.get("WAYPOST_HOSTS", "").split(",")))),
            allow_unsigned=environment.get("WAYPOST_ALLOW_UNSIGNED", "") not in ("", "0", "false"),
            ui_write=environment.get("WAYPOST_UI_WRITE", "") not in ("", "0", "false"),
            relax=frozenset(_parsed("WAYPOST_RELAX", parse_relaxations, environment.get("WAYPOST_RELAX", ""))),
            check_networks=_parsed("WAYPOST_CHECK_NETWORKS", _networks, environment.get("WAYPOST_CHECK_NETWORKS", "")),
            listeners=_parsed("WAYPOST_LISTENERS", _listeners, environment.get("WAYPOST_LISTENERS", "")),
            quotas=_parsed("WAYPOST_QUOTAS", Quotas.parse, environment.get("WAYPOST_QUOTAS", "")),
            rates=Rates(discover=number("WAYPOST_DISCOVER_RATE", 0), control=number("WAYPOST_CONTROL_RATE", 0)),
        )


def read_access_keys(environment: Mapping[str, str]) -> tuple[AccessKey, ...]:
    """Return the keys of WAYPOST_ACCESS_KEYS_FILE, of WAYPOST_ACCESS_KEYS, and, beside any of these, the platform's.

    :raises SettingInvalid: they are not written as they must be.
    """
    keys: list[AccessKey] = []
    if path := environment.get("WAYPOST_ACCESS_KEYS_FILE"):
        keys += _parsed("WAYPOST_ACCESS_KEYS_FILE", lambda text: keys_from_file(Path(text)), path)
    keys += _parsed("WAYPOST_ACCESS_KEYS", keys_from_text, environment.get("WAYPOST_ACCESS_KEYS", ""))
    if keys:
        keys += _parsed(PLATFORM_KEY, keys_from_text, environment.get(PLATFORM_KEY, ""))
    return tuple(keys)


def _networks(text: str) -> str:
    CheckReach.parse(text, loopback=False)
    return text


def _listeners(text: str) -> tuple[ListenAddress, ...]:
    return tuple(ListenAddress.parse(each) for each in text.split(",") if each)


def _parsed(name: str, parse: Callable[[str], T], text: str) -> T:
    try:
        return parse(text)
    except (KeysInvalid, ValueError) as error:
        raise SettingInvalid(f"{name}: {error}") from error
