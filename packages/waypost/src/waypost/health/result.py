"""What one check of one target finds. Pure."""

from dataclasses import dataclass

__all__ = ["CheckResult", "cleaned"]

SAID = 256  # characters of a target's own words that are kept


@dataclass(frozen=True, slots=True)
class CheckResult:
    """Whether a check passed, and what was seen."""

    passed: bool
    reason: str  # in our words: "HTTP 503", "connection refused"
    unreachable: bool = False  # nobody answered: the fault may lie between us and the target
    own_fault: bool = False  # the check could not even be tried: it says nothing about the target
    said: str = ""  # the target's words, cleaned: the begin of the body of an answer that fails


def cleaned(words: bytes) -> str:
    """Return a target's words as one printable line of at most 256 characters."""
    text = words[: 4 * SAID].decode("utf-8", "replace")
    return "".join(letter if letter.isprintable() else " " for letter in text).strip()[:SAID]
