"""Pages of a list, by a token that stays valid while rows come and go.

A token says after which key the next page begins, and is good only for the call, with the filters, that gave it.
"""

import base64
import binascii
import hashlib
from collections.abc import Callable, Iterable
from typing import Any, Final, TypeVar

import msgspec

from waypost.apis.cloudmap.errors import WireError

__all__ = ["page"]

T = TypeVar("T")

PAGE: Final = 100  # rows, where the caller gives no MaxResults


class _Token(msgspec.Struct, array_like=True):
    scope: str
    after: list[int | str]


def page(
    rows: Iterable[T], key: Callable[[T], tuple[Any, ...]], *, call: str, input_: dict[str, Any]
) -> tuple[list[T], dict[str, str]]:
    """Return a page of rows in the order of their keys, and the members of the answer that lead to the next one.

    ``input_`` is the call's checked input with its NextToken and MaxResults.

    :raises WireError: InvalidInput: the token is not one that this call gave.
    """
    scope = _scope(call, input_)
    after = _after(input_["NextToken"], scope) if "NextToken" in input_ else None
    size = input_.get("MaxResults", PAGE)
    ordered = sorted((row for row in rows if after is None or key(row) > after), key=key)
    chosen = ordered[:size]
    if len(ordered) <= size:
        return chosen, {}
    token = msgspec.json.encode(_Token(scope, list(key(chosen[-1]))))
    return chosen, {"NextToken": base64.urlsafe_b64encode(token).decode()}


def _scope(call: str, input_: dict[str, Any]) -> str:
    asked = {name: value for name, value in input_.items() if name not in ("NextToken", "MaxResults")}
    return hashlib.sha256(msgspec.json.encode([call, asked], order="deterministic")).hexdigest()[:16]


def _after(text: str, scope: str) -> tuple[Any, ...]:
    try:
        token = msgspec.json.decode(base64.urlsafe_b64decode(text.encode()), type=_Token)
    except (binascii.Error, msgspec.DecodeError, UnicodeEncodeError):
        token = None
    if token is None or token.scope != scope:
        raise WireError("InvalidInput", "NextToken is not one that this call gave: start again without it.")
    return tuple(token.after)
