"""Times as people write them: with a zone of their own, or on the clock of a zone that stands beside them. Pure."""

from datetime import UTC, datetime
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

__all__ = ["parse_time"]


def parse_time(text: str, zone: str | None) -> str:
    """Return a time in UTC, as RFC 3339 writes it. ``zone`` is an IANA name; a time with an offset needs none.

    A time that a clock shows twice is the earlier one.

    :raises ValueError: it is no time, has no zone, or the zone's clock never shows it.
    """
    try:
        time = datetime.fromisoformat(text.strip())
    except ValueError:
        raise ValueError(f"{text!r} is no time such as 2030-01-01T09:00") from None
    if time.tzinfo is None:
        if zone is None:
            raise ValueError(f"{text!r} has no zone: add --zone Europe/Madrid, or an offset as in {text}+01:00")
        try:
            local = time.replace(tzinfo=ZoneInfo(zone))
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"{zone!r} is no time zone such as Europe/Madrid") from None
        if local.astimezone(UTC).astimezone(local.tzinfo).replace(tzinfo=None) != time:
            raise ValueError(f"no clock in {zone} shows {text}: it is put forward over it")
        time = local
    return time.astimezone(UTC).isoformat().replace("+00:00", "Z")
