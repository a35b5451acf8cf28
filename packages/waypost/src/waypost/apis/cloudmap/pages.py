"""Pages of a list, by a token that stays valid while rows come and go.

A token says after which key the next page begins, and is good only for the call, with the filters, that gave it.
"""

import base64
import binascii
import hashlib
import heapq
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self, TypeVar

import msgspec

from waypost.apis.cloudmap.errors import WireError

__all__ = ["Page"]

T = TypeVar("T")
Key = tuple[Any, ...]

PAGE: Final = 100  # rows, where the caller gives no MaxResults


class _Token(msgspec.Struct, array_like=True):
    scope: str
    after: list[int | str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """Which page of a list a caller asks for."""

    scope: str  # of the token: the call with what it asks for
    size: int
    after: Key | None  # key of the last row of the page before; None for the first page

    @classmethod
    def read(cls, call: str, input_: dict[str, Any], *kinds: type) -> Self:
        """Return what NextToken and MaxResults of a checked input say; ``kinds`` are the types in a key.

        :raises WireError: InvalidInput: the token is not one that this call gave.
        """
        scope = _scope(call, input_)
        after = _after(input_["NextToken"], scope, kinds) if "NextToken" in input_ else None
        return cls(scope=scope, size=input_.get("MaxResults", PAGE), after=after)

    def of(self, rows: Iterable[T], key: Callable[[T], Key]) -> tuple[list[T], dict[str, str]]:
        """Return the page of rows, in the order of their keys, and the answer's members that lead to the next one."""
        rest = rows if self.after is None else (row for row in rows if key(row) > self.after)
        return self.cut(heapq.nsmallest(self.size + 1, rest, key=key), key)

    def cut(self, rows: Sequence[T], key: Callable[[T], Key]) -> tuple[list[T], dict[str, str]]:
        """Return the same from the rows that follow, in order, of which one more than ``size`` is enough."""
        shown = list(rows[: self.size])
        if len(rows) <= self.size:
            return shown, {}
        token = msgspec.json.encode(_Token(self.scope, list(key(shown[-1]))))
        return shown, {"NextToken": base64.urlsafe_b64encode(token).decode()}


def _scope(call: str, input_: dict[str, Any]) -> str:
    asked = {name: value for name, value in input_.items() if name not in ("NextToken", "MaxResults")}
    return hashlib.sha256(msgspec.json.encode([call, asked], order="deterministic")).hexdigest()[:16]


def _after(text: str, scope: str, kinds: tuple[type, ...]) -> Key:
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(text.encode()), type=_Token)
    except (binascii.Error, msgspec.DecodeError, UnicodeError):
        token = None
    if token is None or token.scope != scope or tuple(type(part) for part in token.after) != kinds:
        raise WireError("InvalidInput", "NextToken is not one that this call gave: start again without it.")
    return tuple(token.after)
