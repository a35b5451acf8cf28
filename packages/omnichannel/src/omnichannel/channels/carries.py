"""What a channel has room for, told before anything is sent. Pure values."""

from dataclasses import dataclass
from typing import Final

__all__ = [
    "FACEBOOK_LENGTH",
    "INSTAGRAM_LENGTH",
    "LINKEDIN_LENGTH",
    "SLACK_LENGTH",
    "SMS_LENGTH",
    "WHATSAPP_LENGTH",
    "Carries",
]

SMS_LENGTH: Final = 1600  # characters that Twilio and Amazon SNS take, in as many segments as needed
SLACK_LENGTH: Final = 40_000  # characters of a message's text
WHATSAPP_LENGTH: Final = 4096  # characters of a text
FACEBOOK_LENGTH: Final = 63_206  # characters of a post
INSTAGRAM_LENGTH: Final = 2200  # characters of a caption
LINKEDIN_LENGTH: Final = 3000  # characters of a post


@dataclass(frozen=True, slots=True, kw_only=True)
class Carries:
    """The sizes of a channel."""

    characters: int | None = None  # of subject and body together; None: as many as a message may have
    attached_bytes: int = 0  # of all attachments together; 0: it carries none
    media_types: tuple[str, ...] = ()  # of attachments; empty: any
    html: bool = False
