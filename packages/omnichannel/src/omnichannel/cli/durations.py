"""Times as people write them: ``500ms``, ``30s``, ``10m``, ``2h``, ``1d``. Pure."""

import re
from typing import Final

__all__ = ["parse_duration"]

UNITS: Final = {"ms": 0.001, "s": 1, "m": 60, "h": 3600, "d": 86_400}
LONGEST_S: Final = 366 * 86_400


def parse_duration(text: str) -> float:
    """Return the seconds of a number and its unit; a number alone is seconds.

    :raises ValueError: it has not that form, or is longer than a year.
    """
    found = re.fullmatch(r"([0-9]{1,8}(?:\.[0-9]{1,6})?)(ms|s|m|h|d)?", text)
    seconds = float(found[1]) * UNITS[found[2] or "s"] if found else -1.0
    if not 0 <= seconds <= LONGEST_S:
        raise ValueError(f"{text!r} is no time such as 500ms, 30s, 10m, 2h or 1d, of at most 366 days")
    return seconds
