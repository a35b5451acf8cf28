"""Who is signed in, and the token that shows that a change was asked for by our own page. Kept in memory alone."""

import hashlib
import hmac
import secrets
from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from waypost.apis.access.keys import AccessKey

__all__ = ["Sessions", "TooManyAttempts"]

SESSIONS: Final = 1_024  # at once; the oldest is forgotten first
LASTS_S: Final = 8 * 3_600.0
ATTEMPTS: Final = 20  # wrong ones in a minute
MINUTE_S: Final = 60.0


class TooManyAttempts(Exception):
    """So many secrets were wrong in the last minute that no other is tried."""


@dataclass(frozen=True, slots=True)
class _Session:
    key: AccessKey
    until: float


class Sessions:
    """The sessions of one process. Times are seconds of a steady clock."""

    def __init__(self) -> None:
        self._secret = secrets.token_bytes(32)
        self._sessions: OrderedDict[str, _Session] = OrderedDict()
        self._wrong: list[float] = []

    def check_attempts(self, *, now: float) -> None:
        """Refuse to try another secret. Raises TooManyAttempts."""
        self._wrong = [at for at in self._wrong if now - at < MINUTE_S]
        if len(self._wrong) >= ATTEMPTS:
            raise TooManyAttempts

    def note_wrong(self, *, now: float) -> None:
        """Count a secret that was wrong."""
        self._wrong.append(now)

    def open(self, key: AccessKey, *, now: float) -> str:
        """Return the token of a new session."""
        token = secrets.token_urlsafe(32)
        self._sessions[_digest(token)] = _Session(key, now + LASTS_S)
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return token

    def find(self, token: str, *, now: float) -> AccessKey | None:
        """Return whose session it is; None: it is none, or over."""
        session = self._sessions.get(_digest(token))
        if session is None or now >= session.until:
            return None
        return session.key

    def end(self, token: str) -> None:
        """Forget a session."""
        self._sessions.pop(_digest(token), None)

    def proof(self, token: str) -> str:
        """Return what a page of this session must send with a change; it is bound to this process, too."""
        return hmac.new(self._secret, token.encode(), hashlib.sha256).hexdigest()

    def proves(self, token: str, proof: str) -> bool:
        """Whether a page of this session sent this; compared in constant time."""
        return hmac.compare_digest(self.proof(token).encode(), proof.encode("utf-8", "replace"))


def _digest(token: str) -> str:
    """Return what is kept of a token: by it nobody signs in, and its look-up tells nothing of the token."""
    return hashlib.sha256(token.encode("utf-8", "replace")).hexdigest()
