"""Who may call the registry of a platform: looked at before it starts, with the key that its own parts call with."""

import secrets
from collections.abc import Mapping
from typing import Final

from waypost.settings import PlatformSettings
from waypost.tasks.errors import ManifestInvalid

__all__ = ["SECRETS", "check_access", "registry_access"]

PLATFORM_KEY_ID: Final = "waypost-platform"
SECRETS: Final = ("WAYPOST_ACCESS_KEYS", "WAYPOST_ACCESS_KEYS_FILE", "WAYPOST_PLATFORM_KEY")
"""Variables that no task gets: each must be given a key of its own."""


def check_access(settings: PlatformSettings, inherited: Mapping[str, str]) -> tuple[str, str] | None:
    """Return the id and the secret of a new key for the platform's own parts; None where nothing is verified.

    :raises ManifestInvalid: the access keys cannot be used, or others would reach a registry that has none.
    """
    keys_file = settings.access_keys_file
    if keys_file is not None or inherited.get("WAYPOST_ACCESS_KEYS"):
        from waypost.registry_settings import SettingInvalid, read_access_keys  # only few need all that it imports

        try:
            read_access_keys({**inherited, "WAYPOST_ACCESS_KEYS_FILE": str(keys_file or "")})
        except SettingInvalid as exc:
            raise ManifestInvalid(str(exc), "correct it") from exc
        return PLATFORM_KEY_ID, secrets.token_urlsafe(32)
    if not (settings.http_address.is_loopback or settings.allow_unsigned):
        raise ManifestInvalid(
            f"--http-address {settings.http_address}: others reach it, and the registry would take whatever they send",
            "give it access keys with --access-keys-file, listen on 127.0.0.1, or say --allow-unsigned",
        )
    return None


def registry_access(settings: PlatformSettings, key: tuple[str, str] | None) -> dict[str, str]:
    """Return the variables that tell the registry whom it may let in, what it keeps, and what its page may do."""
    return {
        "WAYPOST_ACCESS_KEYS_FILE": str(settings.access_keys_file.resolve()) if settings.access_keys_file else "",
        "WAYPOST_PLATFORM_KEY": ":".join(key) if key is not None else "",
        "WAYPOST_HOSTS": ",".join(settings.hosts),
        "WAYPOST_ALLOW_UNSIGNED": "1" if settings.allow_unsigned else "",
        "WAYPOST_DISCOVER_RATE": str(settings.discover_rate),
        "WAYPOST_CONTROL_RATE": str(settings.control_rate),
        "WAYPOST_HISTORY_DAYS": str(settings.history_days),
        "WAYPOST_HISTORY_ROWS": str(settings.history_rows),
        "WAYPOST_UI_WRITE": "1" if settings.ui_write else "",
    }
