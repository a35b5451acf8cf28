"""What a channel makes of a message: the text as it will be sent, and what had to be left out."""

from dataclasses import dataclass

__all__ = ["Rendered", "as_one_text"]


@dataclass(frozen=True, slots=True)
class Rendered:
    """A message as one channel carries it."""

    text: str
    subject: str | None = None  # None: the channel has no place of its own for it
    notes: tuple[str, ...] = ()  # what was changed or cut, in sentences


def as_one_text(subject: str, body: str, *, limit: int, limit_of: str) -> Rendered:
    """Return subject and body as one text of at most ``limit`` characters; what is longer is cut, and that is noted."""
    text = f"{subject}\n\n{body}" if body else subject
    if len(text) <= limit:
        return Rendered(text)
    cut = text[: limit - 1].rstrip() + "…"
    return Rendered(cut, notes=(f"{limit_of} takes {limit} characters; {len(text) - len(cut)} were cut.",))
