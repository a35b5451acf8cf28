"""How messages and deliveries stand, as the commands show it. Pure."""

from typing import Any, Final

__all__ = ["COLUMNS", "DELIVERY_COLUMNS", "FINAL", "OPEN", "row_of"]

FINAL: Final = frozenset({"accepted", "delivered", "unknown", "dead", "suppressed", "expired", "cancelled", "bounced"})
"""Of a delivery: nothing more happens by itself."""

OPEN: Final = frozenset({"scheduled", "in_progress"})
"""Of a message: it goes on."""

COLUMNS: Final = ("id", "status", "send_at", "created_at", "channels", "done")
DELIVERY_COLUMNS: Final = ("id", "channel", "address", "status", "attempts", "last_error")


def row_of(message: dict[str, Any]) -> dict[str, Any]:
    """Return a message as a row of a table."""
    every = message["deliveries"]
    done = sum(each["status"] in FINAL for each in every)
    channels = sorted({each["channel"] for each in every})
    return {**message, "channels": channels, "done": f"{done}/{len(every)}"}
