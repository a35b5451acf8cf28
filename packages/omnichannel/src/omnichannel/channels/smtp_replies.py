"""What a mail server's refusal means: a table of enhanced status codes, and the reply's own code where there is none.

Sources: RFC 5321 section 4.2 (reply codes), RFC 3463 and the IANA registry "SMTP Enhanced Status Codes", RFC 4954
section 6 (AUTH). Codes count, words never do.
"""

import re
from collections.abc import Mapping
from typing import Final

from omnichannel.channels.failure import Failure, outcome_of
from omnichannel.channels.words import excerpt
from omnichannel.messages.outcome import Outcome

__all__ = ["auth_class", "refusal", "reply_class", "said"]

ENHANCED: Final = re.compile(r"(?P<class>[245])\.(?P<rest>\d{1,3}\.\d{1,3})\b")
ENHANCED_5: Final[Mapping[str, Failure]] = {
    "1.1": Failure.GONE,  # no such mailbox
    "1.2": Failure.GONE,  # no such domain
    "1.6": Failure.GONE,  # the mailbox has moved
    "1.10": Failure.GONE,  # the domain takes no mail (null MX, RFC 7505)
    "2.1": Failure.GONE,  # the mailbox is disabled
    "7.3": Failure.AUTH,  # our connection is to prove more than it does
    "7.8": Failure.AUTH,  # our user or password is not taken (RFC 4954)
    "7.9": Failure.AUTH,  # the mechanism is too weak
    "7.11": Failure.AUTH,  # it asks for TLS before a password
    "7.13": Failure.AUTH,  # our account there is disabled
    "7.14": Failure.AUTH,  # it asks for a trust relationship
}
"""Of the other 5.7.x most are a policy against the message or its sender's domain (SPF, DKIM, DMARC): permanent."""

ENHANCED_4: Final[Mapping[str, Failure]] = {
    "2.2": Failure.TRANSIENT,  # the mailbox is full for now
    "3.2": Failure.THROTTLED,  # the system takes no messages for now
    "4.5": Failure.THROTTLED,  # congestion
    "7.0": Failure.THROTTLED,  # greylisting and rate limits of policy
    "7.1": Failure.THROTTLED,
    "7.28": Failure.THROTTLED,  # a flood of mail was seen
}
PLAIN_5: Final[Mapping[int, Failure]] = {
    530: Failure.AUTH,  # authentication required (RFC 4954)
    534: Failure.AUTH,
    535: Failure.AUTH,
    538: Failure.AUTH,
}
"""By the reply's own code, where no enhanced code says more."""


def reply_class(code: int, words: str) -> Failure:
    """Return the class of a refusal: that of its enhanced status code where there is a telling one, else its own.

    The first digit of an enhanced code counts more than the reply's.
    """
    found = ENHANCED.match(words.strip())
    permanent = (found["class"] == "5") if found else 500 <= code < 600
    subject = found["rest"] if found else ""
    if permanent:
        return ENHANCED_5.get(subject) or PLAIN_5.get(code) or Failure.PERMANENT
    return ENHANCED_4.get(subject, Failure.TRANSIENT)


def auth_class(code: int, words: str) -> Failure:
    """Return the class of a refusal to AUTH: no message is at fault, so nothing of it is permanent."""
    found = reply_class(code, words)
    return Failure.AUTH if found in (Failure.PERMANENT, Failure.GONE) else found


def refusal(code: int, words: str) -> Outcome:
    """Return what a refusal of a message means."""
    return outcome_of(reply_class(code, words), f"the mail server answered {said(code, words)}")


def said(code: int, words: str) -> str:
    """Return a reply, fit to be shown."""
    return f"{code} {excerpt(words)}".strip()
