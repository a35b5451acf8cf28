"""What a channel has room for, told before anything is sent. A pure value."""

from dataclasses import dataclass

__all__ = ["Carries"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Carries:
    """The sizes of a channel."""

    characters: int | None = None  # of subject and body together; None: as many as a message may have
    attached_bytes: int = 0  # of all attachments together; 0: it carries none
    media_types: tuple[str, ...] = ()  # of attachments; empty: any
    html: bool = False
