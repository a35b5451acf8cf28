"""An email as bytes: text, HTML and attachments as MIME (RFC 2045), with the headers that a mailing needs.

Every try of a delivery has the same bytes, Message-ID and boundaries included. HTML goes out as it was handed in:
nothing is taken out of it and nothing is put in. DKIM is left to the relay, which holds the domain's key.
"""

from email.message import EmailMessage
from email.policy import SMTP as SMTP_POLICY
from email.utils import format_datetime, parseaddr
from typing import Final
from urllib.parse import quote

from omnichannel.messages.model import Claim

__all__ = ["compose"]

POLICY: Final = SMTP_POLICY.clone(cte_type="7bit")  # not every server takes 8BITMIME
NOT_AS_A_FILE: Final = frozenset({"multipart", "message"})  # RFC 2046 forbids to encode these


def compose(claim: Claim, *, sender: str, unsubscribe_url: str = "") -> bytes:
    """Return the message of a delivery, ready for the wire but for the dots.

    ``unsubscribe_url`` becomes List-Unsubscribe (RFC 2369), with one click where it is an https URL (RFC 8058);
    ``{address}`` in it is the recipient's.
    """
    message = EmailMessage(policy=POLICY)
    message["From"] = sender
    message["To"] = claim.address
    message["Subject"] = claim.subject
    message["Date"] = format_datetime(claim.first_attempt_at)
    message["Message-ID"] = f"<{claim.delivery_id}@{parseaddr(sender)[1].rpartition('@')[2]}>"
    if unsubscribe_url:
        message["List-Unsubscribe"] = f"<{unsubscribe_url.replace('{address}', quote(claim.address, safe=''))}>"
        if unsubscribe_url.lower().startswith("https://"):
            message["List-Unsubscribe-Post"] = "List-Unsubscribe=One-Click"
    message.set_content(claim.body)
    if claim.html is not None:
        message.add_alternative(claim.html, subtype="html")
    for each in claim.attachments:
        main, _, kind = each.media_type.partition("/")
        if main in NOT_AS_A_FILE:
            main, kind = "application", "octet-stream"
        message.add_attachment(each.content, maintype=main, subtype=kind, filename=each.name)
    for number, part in enumerate(part for part in message.walk() if part.is_multipart()):
        part.set_boundary(f"=_{claim.delivery_id}_{number}")  # drawn at random otherwise
    return message.as_bytes()
