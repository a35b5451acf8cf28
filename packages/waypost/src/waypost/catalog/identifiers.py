"""Ids and ARNs, formed as AWS forms them. Pure: the source of chance and the time are passed in."""

import base64
import itertools
import random
from typing import Final, Literal

__all__ = ["Ids", "arn", "resource_id", "submitted_ms"]

DIGITS: Final = "0123456789abcdefghijklmnopqrstuvwxyz"
Kind = Literal["namespace", "service"]


class Ids:
    """Makes ids that are never used again. Give it ``random.SystemRandom()`` outside a simulation."""

    def __init__(self, chance: random.Random) -> None:
        self._chance = chance
        self._ours, self._count = chance.randbytes(6).hex(), itertools.count()
        self._at_ms, self._around = -1, ("", "")  # of an operation's id: what stands around the count

    def _letters(self, count: int) -> str:
        octets = self._chance.randbytes(-(-count * 5 // 8))  # five bits a letter: of a-z and 2-7
        return base64.b32encode(octets)[:count].decode().lower()

    def namespace(self) -> str:
        return f"ns-{self._letters(16)}"

    def service(self) -> str:
        return f"srv-{self._letters(16)}"

    def hosted_zone(self) -> str:
        return "Z" + self._letters(20).upper()

    def http_name(self, name: str) -> str:
        """Return another HttpName for a namespace whose name is taken: a dash and 16 letters are added."""
        return f"{name}-{self._letters(16)}"

    def operation(self, now_ms: int) -> str:
        """Return an id for an operation, of AWS's form: 32 of [a-z0-9], a dash, the time as eight base-36 digits.

        The first part is the time, what is ours alone, and a count. So they sort by time, and an index of them, which
        are many, grows at its end and not all over.
        """
        if now_ms != self._at_ms:  # what is decided together is decided within few milliseconds
            self._at_ms, self._around = now_ms, (f"{now_ms:012x}{self._ours}", _time_digits(now_ms))
        before, after = self._around
        return f"{before}{next(self._count) & 0xFFFFFFFF:08x}-{after}"


def _time_digits(now_ms: int) -> str:
    digits = ""
    rest = now_ms
    for _ in range(8):
        rest, digit = divmod(rest, 36)
        digits = DIGITS[digit] + digits
    return digits


def submitted_ms(operation: str) -> int:
    """Return when an operation was asked for, in milliseconds since the epoch: its id ends with it."""
    return int(operation[-8:], 36)


def arn(kind: Kind, region: str, account: str, identifier: str) -> str:
    """Return the ARN of a namespace or service."""
    partition = "aws-cn" if region.startswith("cn-") else "aws-us-gov" if region.startswith("us-gov-") else "aws"
    return f"arn:{partition}:servicediscovery:{region}:{account}:{kind}/{identifier}"


def resource_id(kind: Kind, id_or_arn: str, *, region: str, account: str) -> str:
    """Return the id in an ARN of this account and region, or what was given when it is no such ARN.

    An ARN of another account, region or kind stays as it is: no resource has such an id, so it will not be found.
    """
    prefix, slash, identifier = id_or_arn.partition("/")
    if slash and id_or_arn == arn(kind, region, account, identifier) and prefix:
        return identifier
    return id_or_arn
