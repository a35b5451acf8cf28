"""Attributes of a service that say how its instances are checked and guarded, beyond what Cloud Map knows. Pure."""

from collections.abc import Mapping
from typing import Final

__all__ = ["GRPC", "GRPC_SERVICE", "GRPC_SERVICE_LENGTH", "LIMITS", "setting_problems", "whole_number"]

GRPC: Final = ("WAYPOST_CHECK_TYPE", "GRPC")
GRPC_SERVICE: Final = "WAYPOST_CHECK_GRPC_SERVICE"
GRPC_SERVICE_LENGTH: Final = 100
LIMITS: Final[Mapping[str, tuple[int, int]]] = {
    "WAYPOST_CHECK_INTERVAL_MS": (100, 300_000),
    "WAYPOST_CHECK_TIMEOUT_MS": (50, 60_000),
    "WAYPOST_CHECK_RISE": (1, 10),
    "WAYPOST_CHECK_FALL": (1, 10),
    "WAYPOST_REMOVE_AFTER_S": (1, 30 * 86_400),
}


def setting_problems(attributes: Mapping[str, str]) -> list[str]:
    """Return, in words, which attributes of a service cannot be used as settings of its health."""
    problems = [
        f"{name} '{attributes[name]}' is no whole number from {least} to {most}."
        for name, (least, most) in LIMITS.items()
        if name in attributes and whole_number(attributes[name], least, most) is None
    ]
    if attributes.get(GRPC[0], GRPC[1]) != GRPC[1]:
        problems.append(f"{GRPC[0]} '{attributes[GRPC[0]]}' is not known: give GRPC, or leave it out.")
    name = attributes.get(GRPC_SERVICE, "")
    if not name.isascii() or len(name) > GRPC_SERVICE_LENGTH:
        problems.append(f"{GRPC_SERVICE} has at most {GRPC_SERVICE_LENGTH} characters, all of them ASCII.")
    if attributes.get("WAYPOST_FAIL_OPEN", "true") not in ("true", "false"):
        problems.append(f"WAYPOST_FAIL_OPEN '{attributes['WAYPOST_FAIL_OPEN']}' is neither true nor false.")
    return problems


def whole_number(text: str, least: int, most: int) -> int | None:
    """Return the decimal number that a text is, or None if it is none or out of bounds."""
    if not (text.isascii() and text.isdigit() and len(text) < 10 and least <= int(text) <= most):
        return None
    return int(text)
