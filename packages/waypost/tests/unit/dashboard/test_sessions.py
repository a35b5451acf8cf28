"""Sessions and proofs: bounded, expiring, and each bound to its own."""

import pytest

from waypost.apis.access.keys import AccessKey
from waypost.dashboard.sessions import ATTEMPTS, LASTS_S, SESSIONS, Sessions, TooManyAttempts

KEY = AccessKey(id="AKIDTEAM", secret="a secret, long enough")


def test_a_session_is_found_until_it_is_over_or_ended() -> None:
    sessions = Sessions()
    token = sessions.open(KEY, now=0.0)
    assert sessions.find(token, now=LASTS_S - 1) is KEY
    assert sessions.find(token, now=LASTS_S) is None
    assert sessions.find("", now=0.0) is None
    assert sessions.find("ü\udcff", now=0.0) is None
    sessions.end(token)
    assert sessions.find(token, now=0.0) is None


def test_the_oldest_is_forgotten_first() -> None:
    sessions = Sessions()
    tokens = [sessions.open(KEY, now=0.0) for _ in range(SESSIONS + 1)]
    assert sessions.find(tokens[0], now=0.0) is None
    assert sessions.find(tokens[1], now=0.0) is KEY


def test_a_proof_is_of_one_session_and_one_process() -> None:
    sessions, other = Sessions(), Sessions()
    one, two = sessions.open(KEY, now=0.0), sessions.open(KEY, now=0.0)
    assert sessions.proves(one, sessions.proof(one))
    assert not sessions.proves(two, sessions.proof(one))
    assert not other.proves(one, sessions.proof(one))
    assert not sessions.proves(one, "")
    assert not sessions.proves(one, "ü\udcff")


def test_after_many_wrong_secrets_a_minute_must_pass() -> None:
    sessions = Sessions()
    for number in range(ATTEMPTS):
        sessions.check_attempts(now=float(number))
        sessions.note_wrong(now=float(number))
    with pytest.raises(TooManyAttempts):
        sessions.check_attempts(now=59.0)
    sessions.check_attempts(now=60.0)
